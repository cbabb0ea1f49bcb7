//! How one port space of a host has stood to a budget, sample after sample: within, over, exceeded, or unknown. Pure.
//!
//! Over begins above the limit and ends at 95 % of it, so that a level that trembles around the limit is one excess. Over
//! for longer than the budget holds is exceeded. What nobody can tell neither begins nor ends an excess.

use tidemark_model::Timestamp;
use tidemark_model::budget::{Budget, Quantity};
use tidemark_model::time::duration_ms;

use super::measure::{Measured, Measurement};

/// An excess ends when no more than this share of what is allowed is held, in percent.
const RELIEVED_PERCENT: u64 = 95;

/// How a port space stands to a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Over it for longer than it allows.
    Exceeded,
    /// Over it, not yet for as long as it allows.
    Over,
    /// Nobody can tell.
    Unknown,
    /// Within it.
    Within,
}

impl Standing {
    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exceeded => "exceeded",
            Self::Over => "over",
            Self::Unknown => "unknown",
            Self::Within => "within",
        }
    }
}

/// One port space and one budget over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// How it stood at the newest sample.
    pub standing: Standing,
    /// Since when it is over, on the controller's clock.
    pub over_since: Option<Timestamp>,
    /// What the newest sample says.
    pub measurement: Measurement,
    /// Limits that are over.
    over: Vec<Quantity>,
}

impl Track {
    /// A port space that is looked at for the first time.
    #[must_use]
    pub fn begin(budget: &Budget, measurement: Measurement, at: Timestamp) -> Self {
        let empty = Self {
            standing: Standing::Unknown,
            over_since: None,
            measurement: Measurement::default(),
            over: Vec::new(),
        };
        empty.next(budget, measurement, at)
    }

    /// The same with the next sample.
    #[must_use]
    pub fn next(self, budget: &Budget, measurement: Measurement, at: Timestamp) -> Self {
        let standing_of = |quantity: Quantity| {
            let limit = measurement
                .limits
                .iter()
                .find(|limit| limit.quantity == quantity);
            let was_over = self.over.contains(&quantity);
            limit.map_or(LimitStanding::Unknown, |limit| {
                limit_standing(limit, was_over)
            })
        };
        let of_limits: Vec<(Quantity, LimitStanding)> = budget
            .allow
            .keys()
            .map(|quantity| (*quantity, standing_of(*quantity)))
            .collect();
        let is_seen = of_limits.iter().any(|(_, one)| *one == LimitStanding::Over);
        let is_known = of_limits
            .iter()
            .all(|(_, one)| *one != LimitStanding::Unknown);
        // What was over, and of which nobody saw the end, still is.
        let is_over = |(quantity, one): &&(Quantity, LimitStanding)| match one {
            LimitStanding::Over => true,
            LimitStanding::Within => false,
            LimitStanding::Unknown => self.over.contains(quantity),
        };
        let over: Vec<Quantity> = of_limits
            .iter()
            .filter(is_over)
            .map(|(quantity, _)| *quantity)
            .collect();
        let over_since = if over.is_empty() {
            None
        } else {
            Some(self.over_since.unwrap_or(at))
        };
        let standing = match over_since {
            Some(since) if is_seen => {
                if at.ms_since(since) >= duration_ms(budget.hold) {
                    Standing::Exceeded
                } else {
                    Standing::Over
                }
            }
            None if is_known => Standing::Within,
            Some(_) | None => Standing::Unknown,
        };
        Self {
            standing,
            over_since,
            measurement,
            over,
        }
    }

    /// How one of its limits stands.
    #[must_use]
    pub fn of_limit(&self, limit: &Measured) -> Standing {
        match limit_standing(limit, self.over.contains(&limit.quantity)) {
            LimitStanding::Over => Standing::Over,
            LimitStanding::Within => Standing::Within,
            LimitStanding::Unknown => Standing::Unknown,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LimitStanding {
    Over,
    Within,
    Unknown,
}

fn limit_standing(limit: &Measured, was_over: bool) -> LimitStanding {
    let (Some(held), Some(allowed)) = (limit.held, limit.allowed) else {
        return LimitStanding::Unknown;
    };
    // Below it, an excess has ended.
    let bar = if was_over { relieved(allowed) } else { allowed };
    if held.least > bar {
        LimitStanding::Over
    } else if held.most.is_some_and(|most| most <= bar) {
        LimitStanding::Within
    } else {
        LimitStanding::Unknown
    }
}

fn relieved(allowed: u32) -> u32 {
    let relieved = u64::from(allowed) * RELIEVED_PERCENT / 100;
    u32::try_from(relieved).unwrap_or(allowed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use tidemark_model::Protocol;
    use tidemark_model::budget::{Allowance, Subject};
    use tidemark_model::problem::Severity;

    use super::*;
    use crate::budgets::measure::Held;

    fn budget() -> Budget {
        Budget {
            name: "web".to_owned(),
            hosts: vec![],
            subject: Subject::Process("x".to_owned()),
            protocol: Protocol::Tcp,
            namespace: "default".to_owned(),
            allow: BTreeMap::from([(Quantity::Ports, Allowance::Count(100))]),
            hold: Duration::from_secs(60),
            severity: Severity::Warning,
            advice: None,
        }
    }

    /// `least` to `most` ports of 100.
    fn held(least: u32, most: Option<u32>) -> Measurement {
        Measurement {
            limits: vec![Measured {
                quantity: Quantity::Ports,
                held: Some(Held { least, most }),
                allowed: Some(100),
            }],
            culprit: None,
            why_open: None,
        }
    }

    fn exactly(ports: u32) -> Measurement {
        held(ports, Some(ports))
    }

    /// The standings after each measurement, 30 s apart.
    fn after(measurements: &[Measurement]) -> Vec<&'static str> {
        let budget = budget();
        let mut track: Option<Track> = None;
        let mut at = Timestamp::from_unix_ms(0);
        let mut standings = Vec::new();
        for measurement in measurements {
            let next = match track.take() {
                None => Track::begin(&budget, measurement.clone(), at),
                Some(track) => track.next(&budget, measurement.clone(), at),
            };
            standings.push(next.standing.as_str());
            track = Some(next);
            at = at.saturating_add(Duration::from_secs(30));
        }
        standings
    }

    #[test]
    fn an_excess_counts_when_it_lasts_and_ends_below_the_limit() {
        let levels = [100, 101, 150, 99, 101, 96, 95, 99, 101];
        let seen = after(&levels.map(exactly));
        assert_eq!(
            seen,
            [
                "within", "over", "over", "exceeded", "exceeded", "exceeded", "within", "within",
                "over"
            ]
        );
    }

    #[test]
    fn what_nobody_can_tell_is_unknown_and_neither_begins_nor_ends_an_excess() {
        let nothing = Measurement::default();
        let open = held(40, Some(140));
        assert_eq!(
            after(&[open.clone(), held(40, None), nothing.clone()]),
            ["unknown", "unknown", "unknown"]
        );
        assert_eq!(
            after(&[exactly(101), open.clone(), nothing, exactly(101)]),
            ["over", "unknown", "unknown", "exceeded"]
        );
        assert_eq!(
            after(&[exactly(101), open, exactly(20), exactly(101), exactly(101)]),
            ["over", "unknown", "within", "over", "over"]
        );
    }

    #[test]
    fn holders_that_are_not_known_do_not_hide_an_excess_or_make_one() {
        assert_eq!(after(&[held(101, None)]), ["over"]);
        assert_eq!(after(&[held(10, Some(100))]), ["within"]);
        assert_eq!(after(&[held(10, Some(101))]), ["unknown"]);
    }

    #[test]
    fn a_limit_of_nothing_is_over_with_the_first_and_ends_with_the_last() {
        let mut measurement = exactly(1);
        let none = |mut measurement: Measurement| {
            measurement.limits[0].allowed = Some(0);
            measurement
        };
        measurement = none(measurement);
        assert_eq!(after(&[measurement, none(exactly(0))]), ["over", "within"]);
    }
}
