//! When one host is in maintenance: of each of its windows the next two times, which is enough until one of them is over.

use std::sync::Arc;

use tidemark_calendar::open_until;
use tidemark_model::Timestamp;
use tidemark_model::view::WindowStanding;
use tidemark_model::window::{Occurrence, Survival};

/// A window of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub window: Arc<str>,
    /// The next times, soonest first; none where it does not come again.
    pub times: Vec<Occurrence>,
    /// Whether it silences incidents.
    pub silences: bool,
}

impl Entry {
    /// As answers show it.
    #[must_use]
    pub fn view(
        &self,
        at: Occurrence,
        now: Timestamp,
        survives: Option<Survival>,
    ) -> WindowStanding {
        WindowStanding {
            name: self.window.to_string(),
            starts_ms: at.start.unix_ms(),
            ends_ms: at.end.unix_ms(),
            is_open: at.contains(now),
            survives: survives.map(|survives| survives.as_str().to_owned()),
        }
    }
}

/// The windows of a host. Empty before it is planned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agenda {
    entries: Vec<Entry>,
    without_zone: Vec<Arc<str>>,
    edition: u64,
    /// It was made at the first and is good until the second.
    good: Option<(Timestamp, Timestamp)>,
}

impl Agenda {
    /// Of these windows, made at `now` from that edition of the book; `without_zone` names those that need the host's zone.
    #[must_use]
    pub fn new(
        entries: Vec<Entry>,
        without_zone: Vec<Arc<str>>,
        edition: u64,
        now: Timestamp,
    ) -> Self {
        let ends = entries.iter().filter_map(|entry| entry.times.first());
        let until = ends.map(|at| at.end).min();
        Self {
            entries,
            without_zone,
            edition,
            good: Some((now, until.unwrap_or(Timestamp::from_unix_ms(i64::MAX)))),
        }
    }

    /// Must be made anew, and is used until then.
    pub fn expire(&mut self) {
        self.good = None;
    }

    /// Whether it is what that edition of the book says at `now`.
    #[must_use]
    pub fn is_good(&self, edition: u64, now: Timestamp) -> bool {
        self.edition == edition
            && self
                .good
                .is_some_and(|(made, until)| made <= now && now < until)
    }

    /// Windows that the host is meant for, and never in while its time zone is not known.
    pub fn without_zone(&self) -> impl Iterator<Item = &str> {
        self.without_zone.iter().map(|name| &**name)
    }

    /// The times of the window of that name; `None` when the host is not in it, or its time zone is not known.
    #[must_use]
    pub fn times_of(&self, window: &str) -> Option<&[Occurrence]> {
        let entry = self.entries.iter().find(|entry| &*entry.window == window);
        entry.map(|entry| &*entry.times)
    }

    /// The window that counts: of those that are open the one that ends last, else the next.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Option<(&Entry, Occurrence)> {
        let coming = self.entries.iter().filter_map(|entry| {
            let at = entry.times.iter().find(|at| at.end > now)?;
            Some((entry, *at))
        });
        let (open, later): (Vec<_>, Vec<_>) = coming.partition(|(_, at)| at.start <= now);
        let longest = open.into_iter().max_by_key(|(_, at)| at.end);
        longest.or_else(|| later.into_iter().min_by_key(|(_, at)| at.start))
    }

    /// The window that silences incidents at `now`, and until when nobody is told: windows that run into each other silence
    /// as one.
    #[must_use]
    pub fn silence(&self, now: Timestamp) -> Option<(&Entry, Timestamp)> {
        let silencing = || self.entries.iter().filter(|entry| entry.silences);
        let entry = silencing().find(|entry| entry.times.iter().any(|at| at.contains(now)))?;
        let mut times: Vec<Occurrence> = silencing()
            .flat_map(|entry| entry.times.iter().copied())
            .filter(|at| at.end > now)
            .collect();
        times.sort_unstable();
        Some((entry, open_until(times, now)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn entry(window: &str, silences: bool, times: &[(i64, i64)]) -> Entry {
        Entry {
            window: window.into(),
            times: times
                .iter()
                .map(|(start, end)| Occurrence {
                    start: at(*start),
                    end: at(*end),
                })
                .collect(),
            silences,
        }
    }

    #[test]
    fn what_counts_is_the_open_window_that_ends_last_and_else_the_next() {
        let agenda = Agenda::new(
            vec![
                entry("a", false, &[(100, 200), (1_100, 1_200)]),
                entry("b", false, &[(150, 300), (1_150, 1_300)]),
                entry("over", false, &[]),
            ],
            vec![],
            1,
            at(0),
        );
        let standing = |now| {
            let (entry, when) = agenda.standing(at(now))?;
            Some((entry.window.to_string(), when.deadline(at(now)).unix_ms()))
        };
        let named = |name: &str, ms| Some((name.to_owned(), ms));
        assert_eq!(
            standing(0),
            named("a", 100),
            "before it is open, until it is"
        );
        assert_eq!(
            standing(120),
            named("a", 200),
            "while it is open, until it is over"
        );
        assert_eq!(standing(160), named("b", 300));
        assert_eq!(standing(300), named("a", 1_100));
        assert_eq!(standing(1_300), None);
        assert!(agenda.is_good(1, at(199)) && !agenda.is_good(1, at(200)));
        assert!(!agenda.is_good(2, at(0)) && !agenda.is_good(1, at(-1)));
    }

    #[test]
    fn windows_that_silence_and_run_into_each_other_silence_as_one() {
        let agenda = Agenda::new(
            vec![
                entry("a", true, &[(100, 200), (1_100, 1_200)]),
                entry("b", true, &[(200, 300), (1_200, 1_250)]),
                entry("loud", false, &[(250, 900)]),
            ],
            vec![],
            1,
            at(0),
        );
        let until = |now| {
            let (entry, until) = agenda.silence(at(now))?;
            Some((entry.window.to_string(), until.unix_ms()))
        };
        assert_eq!(until(99), None);
        assert_eq!(until(100), Some(("a".to_owned(), 300)));
        assert_eq!(until(299), Some(("b".to_owned(), 300)));
        assert_eq!(until(300), None);
        assert_eq!(until(1_100), Some(("a".to_owned(), 1_250)));
    }
}
