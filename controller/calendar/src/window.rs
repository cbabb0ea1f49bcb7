//! A maintenance window that has been checked, and its occurrences.

mod check;

use std::time::Duration;

use jiff::Span;
use jiff::civil::{Date, DateTime};
use tidemark_model::Timestamp;
use tidemark_model::silence::{Labels, Matcher};
use tidemark_model::window::{Occurrence, WindowSpec};

use crate::recurrence::{Recurrence, Until};
use crate::zone::{WindowZone, Zone};

/// Shortest and longest window.
pub const DURATION_MIN: Duration = Duration::from_secs(300);
/// See [`DURATION_MIN`]. A host is not in maintenance for longer than a week.
pub const DURATION_MAX: Duration = Duration::from_secs(7 * 86_400);
/// A window must come within this, in years: a 29 February does.
pub const NEXT_WITHIN_YEARS: i64 = 5;

/// Occurrences later than this from where one looks are not looked for, in years.
const HORIZON_YEARS: i64 = 30;
/// Occurrences that run into each other and are taken for one; only clocks that are set forward bring them together.
const CHAIN_MAX: usize = 16;

/// What is wrong with a window: one sentence for each of its fields, with the limit and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct WindowError(pub Vec<String>);

/// A maintenance window that can be.
#[derive(Clone, Debug)]
pub struct Window {
    spec: WindowSpec,
    recurrence: Recurrence,
    duration: Duration,
    zone: WindowZone,
    excluded: Vec<(Date, Date)>,
    matchers: Vec<Matcher>,
}

impl Window {
    /// Checks what is to be applied at `now`.
    ///
    /// # Errors
    /// [`WindowError`] with everything that is wrong. A window that never comes, or comes only after years, is refused.
    pub fn new(spec: WindowSpec, now: Timestamp) -> Result<Self, WindowError> {
        let window = Self::read(spec)?;
        check::against_the_clock(&window, now)?;
        Ok(window)
    }

    /// Reads one that was applied before: what does not depend on the time of day is checked again.
    ///
    /// # Errors
    /// [`WindowError`] with everything that is wrong.
    pub fn read(spec: WindowSpec) -> Result<Self, WindowError> {
        check::read(spec)
    }

    /// As it was written, its recurrence in capitals.
    #[must_use]
    pub const fn spec(&self) -> &WindowSpec {
        &self.spec
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// In which time zone it is.
    #[must_use]
    pub const fn zone(&self) -> &WindowZone {
        &self.zone
    }

    /// How long it lasts.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.duration
    }

    /// Whether it is for a host with these labels.
    #[must_use]
    pub fn is_for(&self, host: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.takes(host))
    }

    /// Its occurrences in `zone` that end after `from`, ascending; each begins after the one before. Bounded: no further than
    /// 30 years ahead.
    #[must_use]
    pub fn times(&self, zone: &Zone, from: Timestamp) -> Times {
        let far = Duration::from_secs(86_400 * 366 * HORIZON_YEARS.unsigned_abs());
        let horizon = zone.wall(from.saturating_add(far));
        // Two days: no clock is set by more than one, and an occurrence may have begun before `from`.
        let slack = Span::new().days(2);
        let earliest = zone.wall(from.saturating_sub(self.duration));
        let earliest = earliest.and_then(|at| at.checked_sub(slack).ok());
        let starts = earliest.map(|earliest| {
            self.recurrence
                .starts(earliest)
                .filter(move |start| *start >= earliest)
        });
        let horizon = horizon.unwrap_or(DateTime::MAX);
        let starts = starts
            .into_iter()
            .flatten()
            .take_while(move |start| *start <= horizon);
        Times {
            starts: Box::new(starts),
            excluded: self.excluded.clone(),
            until: match self.recurrence.until() {
                Until::Instant(until) => Some(until),
                Until::Open | Until::Wall(_) => None,
            },
            duration: self.duration,
            zone: zone.clone(),
            from,
            last: None,
        }
    }

    /// Whether `at` is in it, in `zone`.
    #[must_use]
    pub fn contains(&self, zone: &Zone, at: Timestamp) -> bool {
        self.times(zone, at)
            .next()
            .is_some_and(|one| one.contains(at))
    }
}

/// The occurrences of a window, one by one.
pub struct Times {
    starts: Box<dyn Iterator<Item = DateTime> + Send>,
    excluded: Vec<(Date, Date)>,
    until: Option<Timestamp>,
    duration: Duration,
    zone: Zone,
    from: Timestamp,
    last: Option<Timestamp>,
}

impl Iterator for Times {
    type Item = Occurrence;

    fn next(&mut self) -> Option<Occurrence> {
        loop {
            let wall = self.starts.next()?;
            let day = wall.date();
            if self
                .excluded
                .iter()
                .any(|(first, last)| *first <= day && day <= *last)
            {
                continue;
            }
            let start = self.zone.instant(wall)?;
            if self.until.is_some_and(|until| start > until) {
                return None;
            }
            // A zone that skipped a whole day has the same instant for two days on the wall.
            let is_new = self.last.is_none_or(|last| last < start);
            let end = start.saturating_add(self.duration);
            if is_new && end > self.from {
                self.last = Some(start);
                return Some(Occurrence { start, end });
            }
        }
    }
}

/// Until when `at` is inside `times` without a break, those that run into each other taken together; `None` when it is in none.
#[must_use]
pub fn open_until(times: impl IntoIterator<Item = Occurrence>, at: Timestamp) -> Option<Timestamp> {
    let mut open: Option<Timestamp> = None;
    for one in times.into_iter().take(CHAIN_MAX) {
        let reached = open.unwrap_or(at);
        if one.start > reached {
            break;
        }
        if one.end > reached {
            open = Some(one.end);
        }
    }
    open
}

#[cfg(test)]
mod tests;
