//! A maintenance window as operators write it, and whether ports last until one. When a window is, and what a legal one
//! is, `tidemark-calendar` knows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::kinds::kinds;

/// Stands for the time zone of each host.
pub const HOST_LOCAL: &str = "host-local";

/// A maintenance window as it is applied, stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WindowSpec {
    /// Its name: 1 to 63 of `a-z`, `0-9` and `-`.
    pub name: String,
    /// What it is for, up to 500 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When it comes again, as the value of an RRULE (RFC 5545): `FREQ=WEEKLY;BYDAY=SA`. `FREQ` is `DAILY`, `WEEKLY`,
    /// `MONTHLY` or `YEARLY`.
    pub recurrence: String,
    /// From when on, and at which time of day, by the clock on the wall: `2026-12-05T02:00`.
    pub start: String,
    /// How long it lasts in elapsed time, 5 minutes to 7 days: `4h`, `1h30m` or `PT4H`.
    pub duration: String,
    /// The time zone of that clock, as in `Europe/Vienna`; `host-local` for each host's own.
    pub time_zone: String,
    /// Days on which it does not begin, `2026-12-26`, or periods with both ends in them, `2026-12-24/2027-01-06`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Which hosts it is for, 1 to 20 matchers that must all match, as in `tier=web` or `host!=db-*`; `host=*` for all.
    pub hosts: Vec<String>,
    /// Whether nobody is told of incidents on its hosts while it lasts.
    #[serde(default)]
    pub silences_incidents: bool,
}

/// One time that a window is open: from `start` on, until before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Occurrence {
    /// When it begins.
    pub start: Timestamp,
    /// When it is over.
    pub end: Timestamp,
}

impl Occurrence {
    /// Whether `at` is in it.
    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// When something must be put right at the latest, seen at `now`: its beginning; while it is open, its end.
    #[must_use]
    pub fn deadline(self, now: Timestamp) -> Timestamp {
        if self.start <= now {
            self.end
        } else {
            self.start
        }
    }

    /// How long it lasts.
    #[must_use]
    pub fn length(self) -> Duration {
        let ms = self.end.ms_since(self.start);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

kinds! {
    /// Whether ports last until a deadline. In answers by name.
    Survival

    /// Nothing says that they run out, or not before it.
    Will = "will",
    /// They may run out before it: the early end of the forecast's interval is.
    May = "may",
    /// They run out before it.
    WillNot = "will_not",
}

impl Survival {
    /// Of ports that run out at `eta`, and in ten of a hundred cases before `earliest`; `None` for no such time.
    #[must_use]
    pub fn until(deadline: Timestamp, eta: Option<Timestamp>, earliest: Option<Timestamp>) -> Self {
        let is_before = |at: Option<Timestamp>| at.is_some_and(|at| at < deadline);
        if is_before(eta) {
            Self::WillNot
        } else if is_before(earliest) {
            Self::May
        } else {
            Self::Will
        }
    }

    /// The worst of several; what is unknown among those that last leaves it unknown.
    #[must_use]
    pub fn worst(all: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let all: Vec<Option<Self>> = all.into_iter().collect();
        let has = |one: Option<Self>| all.contains(&one);
        if has(Some(Self::WillNot)) {
            Some(Self::WillNot)
        } else if has(Some(Self::May)) {
            Some(Self::May)
        } else if all.is_empty() || has(None) {
            None
        } else {
            Some(Self::Will)
        }
    }

    /// In a few words, as in `will not last`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Will => "lasts",
            Self::May => "may not last",
            Self::WillNot => "will not last",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    #[test]
    fn what_must_be_done_by_when_is_its_beginning_or_while_it_is_open_its_end() {
        let window = Occurrence {
            start: at(100),
            end: at(200),
        };
        let seen = [99, 100, 199, 200].map(|now| window.contains(at(now)));
        assert_eq!(seen, [false, true, true, false]);
        assert_eq!(window.deadline(at(99)), at(100));
        assert_eq!(window.deadline(at(100)), at(200));
        assert_eq!(window.length(), Duration::from_millis(100));
    }

    #[test]
    fn ports_survive_a_deadline_by_their_forecast_and_its_early_end() {
        let until = |eta: Option<i64>, earliest: Option<i64>| {
            Survival::until(at(100), eta.map(at), earliest.map(at))
        };
        assert_eq!(until(None, None), Survival::Will);
        assert_eq!(until(Some(100), Some(100)), Survival::Will);
        assert_eq!(until(Some(150), Some(99)), Survival::May);
        assert_eq!(until(Some(99), Some(50)), Survival::WillNot);
        let (will, not) = (Some(Survival::Will), Some(Survival::WillNot));
        assert_eq!(Survival::worst([will, None, not]), not);
        assert_eq!(Survival::worst([will, None]), None, "unknown is not good");
        assert_eq!(Survival::worst([will, will]), will);
        assert_eq!(Survival::worst([]), None);
    }
}
