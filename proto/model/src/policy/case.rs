//! One policy on one host, from the first look at which its condition held to the end of what was done about it. Pure: the
//! caller brings the time and what it sees, and stores the case after each change.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ladder::{Ladder, LadderEnd};
use crate::action::{ActionId, ActionState};
use crate::kinds::kinds;
use crate::time::duration_ms;
use crate::view::ActionRequest;
use crate::{HostId, Timestamp};

/// A condition that nobody looked at for longer is counted anew: what was so before and is so again may have been
/// otherwise between.
const BLIND_MAX: Duration = Duration::from_secs(600);

/// That a condition still holds is stored this often.
const SEEN_EVERY: Duration = Duration::from_secs(60);

kinds! {
    /// Where a case stands. Stored by name: never rename one.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    CaseState
    /// Its condition holds, not yet for long enough, or it may not act yet.
    Holding = "holding",
    /// Its ladder is being climbed.
    Acting = "acting",
    /// A rung helped.
    Verified = "verified",
    /// Everything was done, and none of it can be seen in samples.
    Done = "done",
    /// Somebody must look; nothing more is done until the condition was gone.
    Escalated = "escalated",
    /// Somebody said no; nothing more is done until the condition was gone.
    Stopped = "stopped",
    /// The condition went away by itself.
    Cleared = "cleared",
    /// The policy was changed, disabled or deleted, or its host was shut out.
    Withdrawn = "withdrawn",
}

/// A policy on a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its number, ascending; 0 before it is stored.
    pub id: i64,
    /// Counts its changes, from 1.
    pub generation: u64,
    /// Name of the policy.
    pub policy: String,
    /// Its version.
    pub version: u64,
    /// The host.
    pub host: HostId,
    /// Where it stands.
    pub state: CaseState,
    /// Since when the condition holds.
    pub since: Timestamp,
    /// When its ladder was begun; `None` while it was not.
    pub fired_at: Option<Timestamp>,
    /// When nothing more was to come; a host has one case of a policy without it.
    pub ended_at: Option<Timestamp>,
    /// The rest.
    pub body: CaseBody,
}

/// What of a case is not searched for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CaseBody {
    /// When the condition was last seen to hold, to a minute.
    pub seen_at_ms: Timestamp,
    /// Since when it is known not to hold; `None` while it does.
    pub clear_since_ms: Option<Timestamp>,
    /// What was seen, in one sentence.
    pub seen: String,
    /// Why it does not go on, while it waits.
    pub waits_for: Option<String>,
    /// The incident that it is about.
    pub incident: Option<i64>,
    /// Its ladder, once it was begun.
    pub ladder: Option<Ladder>,
    /// The rung that is out.
    pub pending: Option<Pending>,
    /// What was tried, in order.
    pub tried: Vec<Tried>,
    /// Why it ended as it did.
    pub why: Option<String>,
}

/// A rung that is out. The whole request is kept before it is made, so that making it twice makes one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Its place in the policy.
    pub rung: usize,
    /// What is asked for.
    pub request: ActionRequest,
    /// The action that came of it; `None` before it is known.
    pub action: Option<ActionId>,
}

/// A rung that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Its place in the policy.
    pub rung: usize,
    /// What it does, in one line.
    pub summary: String,
    /// The action; `None` when none could be asked for.
    pub action: Option<ActionId>,
    /// How the action ended; `None` when there was none.
    pub state: Option<ActionState>,
    /// When.
    pub at_ms: Timestamp,
    /// Why, in one sentence.
    pub text: String,
}

/// What a look at a case makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing to store.
    Same,
    /// To be stored.
    Changed,
    /// To be deleted: its condition went away before it was begun.
    Gone,
    /// The condition was gone for long enough: what is not under way is to be taken back, and it ends.
    Cleared,
}

impl Case {
    /// A condition that is seen for the first time.
    #[must_use]
    pub fn begin(
        (policy, version): (&str, u64),
        host: HostId,
        now: Timestamp,
        seen: String,
    ) -> Self {
        Self {
            id: 0,
            generation: 1,
            policy: policy.to_owned(),
            version,
            host,
            state: CaseState::Holding,
            since: now,
            fired_at: None,
            ended_at: None,
            body: CaseBody {
                seen_at_ms: now,
                seen,
                ..CaseBody::default()
            },
        }
    }

    /// Whether the condition has held for long enough.
    #[must_use]
    pub fn is_due(&self, now: Timestamp, hold: Duration) -> bool {
        self.state == CaseState::Holding && now.ms_since(self.since) >= duration_ms(hold)
    }

    /// The condition is seen to hold.
    pub fn seen(&mut self, now: Timestamp, what: &str) -> Look {
        let was_blind = now.ms_since(self.body.seen_at_ms) > duration_ms(BLIND_MAX);
        let is_broken = self.state == CaseState::Holding && was_blind;
        let is_old = now.ms_since(self.body.seen_at_ms) >= duration_ms(SEEN_EVERY);
        if is_broken {
            self.since = now;
        }
        if !is_broken && !is_old && self.body.clear_since_ms.is_none() {
            return Look::Same;
        }
        self.body.seen_at_ms = now;
        self.body.clear_since_ms = None;
        what.clone_into(&mut self.body.seen);
        Look::Changed
    }

    /// The condition is known not to hold; a case that was begun goes on until it was so for `hold`.
    pub fn clear(&mut self, now: Timestamp, hold: Duration) -> Look {
        if self.state == CaseState::Holding {
            return Look::Gone;
        }
        let since = self.body.clear_since_ms;
        if now.ms_since(since.unwrap_or(now)) >= duration_ms(hold) {
            return Look::Cleared;
        }
        if since.is_some() {
            return Look::Same;
        }
        self.body.clear_since_ms = Some(now);
        Look::Changed
    }

    /// Begins its ladder.
    pub fn fire(&mut self, ladder: Ladder, now: Timestamp) {
        self.state = CaseState::Acting;
        self.fired_at = Some(now);
        self.body.ladder = Some(ladder);
        self.body.waits_for = None;
    }

    /// Nobody did anything, and somebody must look.
    pub fn escalate(&mut self, why: String) {
        self.state = CaseState::Escalated;
        self.body.why = Some(why);
        self.body.waits_for = None;
    }

    /// Takes over how its ladder ended, if it has.
    pub fn take_end(&mut self, now: Timestamp) {
        let ladder = self.body.ladder.as_ref();
        let Some(end) = ladder.and_then(Ladder::end) else {
            return;
        };
        let (state, why) = match end {
            LadderEnd::Verified => (CaseState::Verified, None),
            LadderEnd::Done => (CaseState::Done, None),
            LadderEnd::Escalated { why } => (CaseState::Escalated, Some(why.clone())),
            LadderEnd::Stopped { why } => (CaseState::Stopped, Some(why.clone())),
        };
        self.state = state;
        self.body.why = why;
        self.body.waits_for = None;
        // The others stay until the condition was gone, so that they do not begin again at once.
        if state == CaseState::Verified {
            self.ended_at = Some(now);
        }
    }

    /// Nothing more is to come.
    pub fn close(&mut self, state: CaseState, now: Timestamp) {
        // How it ended before is what people look for.
        if matches!(self.state, CaseState::Holding | CaseState::Acting) {
            self.state = state;
        }
        self.ended_at = Some(now);
        self.body.pending = None;
        self.body.waits_for = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_unix_ms(minutes * 60_000)
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn case() -> Case {
        Case::begin(
            ("leak", 1),
            HostId::of_identity_spki(&[1]),
            at(0),
            "x".to_owned(),
        )
    }

    #[test]
    fn a_condition_counts_when_it_lasts_and_breaks_when_it_goes_away() {
        let mut one = case();
        assert!(!one.is_due(at(4), minutes(5)));
        assert_eq!(one.seen(at(4), "y"), Look::Changed);
        assert!(one.is_due(at(5), minutes(5)));
        assert_eq!(one.clear(at(5), minutes(5)), Look::Gone);
    }

    #[test]
    fn what_nobody_looked_at_is_counted_anew() {
        let mut one = case();
        assert_eq!(one.seen(at(9), "y"), Look::Changed);
        assert_eq!(one.since, at(0), "as after a short stop of the controller");
        assert_eq!(one.seen(at(60), "y"), Look::Changed);
        assert_eq!(one.since, at(60));
        assert!(!one.is_due(at(60), minutes(5)));
    }

    #[test]
    fn a_case_that_was_begun_ends_only_when_the_condition_stays_away() {
        let mut one = case();
        one.fire(Ladder::new(vec![0], at(5)), at(5));
        assert_eq!(one.clear(at(6), minutes(5)), Look::Changed);
        assert_eq!(one.clear(at(10), minutes(5)), Look::Same);
        assert_eq!(one.seen(at(10), "back"), Look::Changed);
        assert_eq!(one.clear(at(11), minutes(5)), Look::Changed);
        assert_eq!(one.clear(at(16), minutes(5)), Look::Cleared);
        one.close(CaseState::Cleared, at(16));
        assert_eq!(
            (one.state, one.ended_at),
            (CaseState::Cleared, Some(at(16)))
        );
    }

    #[test]
    fn an_escalation_stays_until_the_condition_was_gone_and_is_remembered() {
        let mut one = case();
        let mut ladder = Ladder::new(vec![0], at(5));
        ladder.escalate("third".to_owned());
        one.fire(ladder, at(5));
        one.take_end(at(5));
        assert_eq!((one.state, one.ended_at), (CaseState::Escalated, None));
        assert!(!one.is_due(at(99), minutes(5)), "it does not begin again");
        one.close(CaseState::Cleared, at(20));
        assert_eq!(one.state, CaseState::Escalated);
        assert_eq!(one.body.why.as_deref(), Some("third"));
    }
}
