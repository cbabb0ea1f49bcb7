//! Time zones by their IANA names, and how a time on the wall becomes an instant.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tidemark_model::Timestamp;
use tidemark_model::window::HOST_LOCAL;

/// Longest name of a zone; the longest in tzdata has 32 characters.
const NAME_MAX: usize = 64;

/// A time zone that tzdata knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// The zone of that IANA name; `None` when tzdata has none of it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let is_legible = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '+' | '-');
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_legible) {
            return None;
        }
        let rules = TimeZone::get(name).ok()?;
        let name = rules.iana_name()?.to_owned();
        Some(Self { name, rules })
    }

    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self {
            name: "UTC".to_owned(),
            rules: TimeZone::UTC,
        }
    }

    /// Its IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When the clock on the wall shows `at` (RFC 5545, section 3.3.5). A time that the clock skips is taken by the offset
    /// before the gap, so that 02:30 becomes 03:30; of a time that it shows twice, the first. `None` outside the calendar.
    #[must_use]
    pub fn instant(&self, at: DateTime) -> Option<Timestamp> {
        let instant = self.rules.to_ambiguous_timestamp(at).compatible().ok()?;
        Some(Timestamp::from_unix_ms(instant.as_millisecond()))
    }

    /// What the clock on the wall shows; `None` outside the calendar.
    #[must_use]
    pub fn wall(&self, at: Timestamp) -> Option<DateTime> {
        let instant = jiff::Timestamp::from_millisecond(at.unix_ms()).ok()?;
        Some(self.rules.to_datetime(instant))
    }

    /// Date, time of day and offset, as in `Sat 2026-12-05 02:00 +01:00`; `?` outside the calendar.
    #[must_use]
    pub fn wall_words(&self, at: Timestamp) -> String {
        let instant = jiff::Timestamp::from_millisecond(at.unix_ms());
        instant.map_or_else(
            |_| "?".to_owned(),
            |at| {
                let at = at.to_zoned(self.rules.clone());
                at.strftime("%a %F %H:%M %:z").to_string()
            },
        )
    }
}

/// In which time zone a window is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowZone {
    /// In one and the same for all hosts.
    Fixed(Zone),
    /// In each host's own.
    HostLocal,
}

impl WindowZone {
    /// The zone of that name, or `host-local`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == HOST_LOCAL {
            return Some(Self::HostLocal);
        }
        Zone::named(name).map(Self::Fixed)
    }

    /// The zone for a host whose own is `host`; `None` when that is needed and not known.
    #[must_use]
    pub const fn on<'z>(&'z self, host: Option<&'z Zone>) -> Option<&'z Zone> {
        match self {
            Self::Fixed(zone) => Some(zone),
            Self::HostLocal => host,
        }
    }
}

impl fmt::Display for WindowZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(zone) => f.write_str(zone.name()),
            Self::HostLocal => f.write_str(HOST_LOCAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn zones_are_known_by_name_and_nothing_else_is() {
        assert_eq!(
            Zone::named("europe/vienna").unwrap().name(),
            "Europe/Vienna"
        );
        let unknown = [
            "",
            "Mars/Olympus",
            "../etc/passwd",
            "Europe/Vienna\0",
            "W. Europe Standard Time",
        ];
        for name in unknown {
            assert_eq!(Zone::named(name), None, "{name}");
        }
        assert_eq!(WindowZone::named("host-local"), Some(WindowZone::HostLocal));
    }

    #[test]
    fn a_time_that_is_skipped_is_later_and_of_one_that_comes_twice_it_is_the_first() {
        let vienna = Zone::named("Europe/Vienna").unwrap();
        let words = |year, month, day| {
            let at = date(year, month, day).at(2, 30, 0, 0);
            vienna.wall_words(vienna.instant(at).unwrap())
        };
        assert_eq!(words(2027, 3, 27), "Sat 2027-03-27 02:30 +01:00");
        assert_eq!(words(2027, 3, 28), "Sun 2027-03-28 03:30 +02:00");
        assert_eq!(words(2027, 10, 31), "Sun 2027-10-31 02:30 +02:00");
    }
}
