//! A ladder that is being climbed: which rung is out, which comes next, and how it ended. Pure, so that every course can be
//! tried: there is never more than one rung out, no rung comes twice, and every course ends.
//!
//! ```text
//!   free --offer--> out --ended--> free (the next rung, after its wait)
//!     |              |
//!     |              +--> over: verified, done, escalated, stopped
//!     +--> over: escalated (done too often, or nothing left)
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Where a ladder stands. Rungs are named by their place in the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// Rungs in the order in which they are offered.
    order: Vec<usize>,
    /// How many of them have been out.
    taken: usize,
    /// Whether a rung was in vain: a ladder of which none was is done, not escalated.
    was_in_vain: bool,
    standing: Standing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
enum Standing {
    /// The next rung may be offered from then on.
    Free { from: Timestamp },
    /// A rung is asked for, or under way.
    Out { rung: usize },
    /// Nothing follows.
    Over { end: LadderEnd },
}

/// How a ladder ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum LadderEnd {
    /// A rung helped, as the host's samples say.
    Verified,
    /// Everything was done, and none of it can be seen in samples.
    Done,
    /// Somebody must look.
    Escalated {
        /// Why.
        why: String,
    },
    /// Somebody said no.
    Stopped {
        /// What was said.
        why: String,
    },
}

/// What came of a rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RungOutcome {
    /// It helped, as the host's samples say.
    Verified,
    /// It was done, and samples cannot say whether it helped.
    Done,
    /// It was refused, failed or did not help: the next one comes.
    InVain,
    /// Nobody knows what came of it, nobody approved it, or it was done too often: nothing more is tried.
    Unclear(String),
    /// Somebody said no.
    Stopped(String),
}

/// How often the same was done to the same within 24 h, and how often it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixes {
    /// So often it was.
    pub done: usize,
    /// So often it may be.
    pub most: usize,
}

impl Ladder {
    /// One of which nothing has been offered, to be climbed in that order.
    #[must_use]
    pub const fn new(order: Vec<usize>, now: Timestamp) -> Self {
        Self {
            order,
            taken: 0,
            was_in_vain: false,
            standing: Standing::Free { from: now },
        }
    }

    /// The rung that may be offered at `now`.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<usize> {
        match self.standing {
            Standing::Free { from } if from <= now => self.order.get(self.taken).copied(),
            Standing::Free { .. } | Standing::Out { .. } | Standing::Over { .. } => None,
        }
    }

    /// The rung that is out.
    #[must_use]
    pub const fn out(&self) -> Option<usize> {
        match self.standing {
            Standing::Out { rung } => Some(rung),
            Standing::Free { .. } | Standing::Over { .. } => None,
        }
    }

    /// How it ended, once it has.
    #[must_use]
    pub const fn end(&self) -> Option<&LadderEnd> {
        match &self.standing {
            Standing::Over { end } => Some(end),
            Standing::Free { .. } | Standing::Out { .. } => None,
        }
    }

    /// Takes the next rung, which is out then; `None` when there is none at `now`. What was done to the same host and subject
    /// as often as may be is not done again, and nothing else either: it ends.
    pub fn offer(&mut self, now: Timestamp, fixes: Fixes) -> Option<usize> {
        let rung = self.next(now)?;
        if fixes.done >= fixes.most {
            self.escalate(format!(
                "the same was done {} times within 24 h on this host; somebody must look for the cause",
                fixes.done
            ));
            return None;
        }
        self.taken = self.taken.saturating_add(1);
        self.standing = Standing::Out { rung };
        Some(rung)
    }

    /// What came of the rung that is out; the next one may be offered after `wait`. Without a rung that is out nothing
    /// happens: a report that is told twice changes nothing.
    pub fn ended(&mut self, outcome: RungOutcome, now: Timestamp, wait: Duration) {
        if self.out().is_none() {
            return;
        }
        let end = match outcome {
            RungOutcome::Verified => LadderEnd::Verified,
            RungOutcome::Unclear(why) => LadderEnd::Escalated { why },
            RungOutcome::Stopped(why) => LadderEnd::Stopped { why },
            RungOutcome::Done | RungOutcome::InVain => {
                self.was_in_vain |= outcome == RungOutcome::InVain;
                if self.taken < self.order.len() {
                    self.standing = Standing::Free {
                        from: now.saturating_add(wait),
                    };
                    return;
                }
                if self.was_in_vain {
                    LadderEnd::Escalated {
                        why: "nothing of its ladder helped".to_owned(),
                    }
                } else {
                    LadderEnd::Done
                }
            }
        };
        self.standing = Standing::Over { end };
    }

    /// Passes over the next rung, which cannot be done here; as if it had been in vain.
    pub fn skip(&mut self, now: Timestamp) {
        let most = usize::MAX;
        if self.offer(now, Fixes { done: 0, most }).is_some() {
            self.ended(RungOutcome::InVain, now, Duration::ZERO);
        }
    }

    /// Ends it, whatever is out: somebody must look.
    pub fn escalate(&mut self, why: String) {
        if self.end().is_none() {
            self.standing = Standing::Over {
                end: LadderEnd::Escalated { why },
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    const FREE: Fixes = Fixes { done: 0, most: 2 };

    #[test]
    fn rungs_come_one_after_the_other_until_one_helped() {
        let mut ladder = Ladder::new(vec![2, 0, 1], at(0));
        assert_eq!(ladder.offer(at(0), FREE), Some(2));
        assert_eq!(ladder.offer(at(0), FREE), None, "one is out");
        ladder.ended(RungOutcome::InVain, at(5), Duration::from_millis(10));
        assert_eq!(ladder.offer(at(14), FREE), None, "it waits");
        assert_eq!(ladder.offer(at(15), FREE), Some(0));
        ladder.ended(RungOutcome::Verified, at(20), Duration::ZERO);
        assert_eq!(ladder.end(), Some(&LadderEnd::Verified));
        assert_eq!(ladder.next(at(99)), None);
    }

    #[test]
    fn after_the_last_rung_somebody_must_look_unless_nothing_was_in_vain() {
        let climbed = |outcomes: [RungOutcome; 2]| {
            let mut ladder = Ladder::new(vec![0, 1], at(0));
            for outcome in outcomes {
                ladder.offer(at(0), FREE);
                ladder.ended(outcome, at(0), Duration::ZERO);
            }
            ladder.end().cloned()
        };
        use RungOutcome::{Done, InVain};
        assert_eq!(climbed([Done, Done]), Some(LadderEnd::Done));
        for outcomes in [[Done, InVain], [InVain, Done], [InVain, InVain]] {
            let end = climbed(outcomes);
            assert!(matches!(end, Some(LadderEnd::Escalated { .. })), "{end:?}");
        }
    }

    #[test]
    fn the_third_fix_in_a_day_stops_and_nothing_else_is_tried() {
        let mut ladder = Ladder::new(vec![0, 1], at(0));
        assert_eq!(ladder.offer(at(0), Fixes { done: 2, most: 2 }), None);
        let end = ladder.end().cloned();
        assert!(
            matches!(&end, Some(LadderEnd::Escalated { why }) if why.contains("2 times within 24 h")),
            "{end:?}"
        );
        assert_eq!(ladder.offer(at(9), FREE), None);
    }

    /// What may happen to a ladder.
    #[derive(Clone, Debug)]
    enum Turn {
        Offer { fixes: usize },
        Ended(RungOutcome),
        Skip,
        Pass { ms: i64 },
    }

    fn turn() -> impl Strategy<Value = Turn> {
        let outcome = prop_oneof![
            3 => Just(RungOutcome::InVain),
            2 => Just(RungOutcome::Done),
            1 => Just(RungOutcome::Verified),
            1 => Just(RungOutcome::Unclear("x".to_owned())),
            1 => Just(RungOutcome::Stopped("x".to_owned())),
        ];
        prop_oneof![
            4 => (0_usize..3).prop_map(|fixes| Turn::Offer { fixes }),
            4 => outcome.prop_map(Turn::Ended),
            1 => Just(Turn::Skip),
            2 => (0_i64..50).prop_map(|ms| Turn::Pass { ms }),
        ]
    }

    proptest! {
        #[test]
        fn one_rung_at_a_time_none_twice_and_every_course_can_end(
            rungs in 1_usize..6,
            turns in prop::collection::vec(turn(), 0..40),
        ) {
            let mut ladder = Ladder::new((0..rungs).collect(), at(0));
            let (mut now, mut out, mut offered) = (0, None, Vec::new());
            for turn in turns {
                let was_over = ladder.end().cloned();
                match turn {
                    Turn::Offer { fixes } => {
                        if let Some(rung) = ladder.offer(at(now), Fixes { done: fixes, most: 2 }) {
                            prop_assert!(out.is_none(), "two are out");
                            prop_assert!(fixes < 2, "a third fix was offered");
                            prop_assert!(!offered.contains(&rung), "{rung} came twice");
                            prop_assert!(was_over.is_none(), "it went on after its end");
                            offered.push(rung);
                            out = Some(rung);
                        }
                    }
                    Turn::Ended(outcome) => {
                        ladder.ended(outcome, at(now), Duration::from_millis(20));
                        out = None;
                    }
                    Turn::Skip => ladder.skip(at(now)),
                    Turn::Pass { ms } => now += ms,
                }
                prop_assert_eq!(ladder.out(), out);
                if let Some(end) = was_over {
                    prop_assert_eq!(ladder.end(), Some(&end));
                }
            }
            // Whatever happened, so many turns end it: each rung is out once at most.
            for _ in 0..=rungs {
                now += 20;
                ladder.offer(at(now), FREE);
                ladder.ended(RungOutcome::InVain, at(now), Duration::ZERO);
            }
            prop_assert!(ladder.end().is_some());
        }

        #[test]
        fn a_stored_ladder_is_read_back(rungs in 1_usize..6, outs in 0_usize..6) {
            let mut ladder = Ladder::new((0..rungs).rev().collect(), at(7));
            for _ in 0..outs {
                ladder.offer(at(7), FREE);
                let text = serde_json::to_string(&ladder).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Ladder>(&text).unwrap(), &ladder);
                ladder.ended(RungOutcome::InVain, at(7), Duration::ZERO);
            }
            let text = serde_json::to_string(&ladder).unwrap();
            prop_assert_eq!(serde_json::from_str::<Ladder>(&text).unwrap(), ladder);
        }
    }
}
