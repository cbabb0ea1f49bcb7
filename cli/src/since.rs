//! Moments as operators type them: so long ago, or a date and time.

use std::str::FromStr;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tidemark_model::Timestamp;
use tidemark_model::duration::parse_duration;

/// A moment, relative or absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long ago.
    Ago(Duration),
    /// A local date and time, in the zone of whoever asks.
    Local(DateTime),
    /// An instant with its offset, as in `2026-11-20T10:00:00Z`.
    Instant(Timestamp),
}

/// A text that is no moment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write how long ago, as in 1h or 14d, or a time, as in 2026-11-20T10:00 or 2026-11-20T10:00:00Z"
)]
pub struct NotAMoment;

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(duration) = parse_duration(text) {
            return Ok(Self::Ago(duration));
        }
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::Instant(Timestamp::from_unix_ms(
                instant.as_millisecond(),
            )));
        }
        text.parse::<DateTime>()
            .map(Self::Local)
            .map_err(|_| NotAMoment)
    }
}

impl Moment {
    /// When it is, seen at `now` in `zone`. A local time that a clock change skips or repeats is taken as RFC 5545
    /// does; one outside the calendar's range saturates.
    pub fn at(&self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Ago(duration) => now.saturating_sub(*duration),
            Self::Instant(instant) => *instant,
            Self::Local(civil) => zone
                .to_timestamp(*civil)
                .map_or(Timestamp::EPOCH, |instant| {
                    Timestamp::from_unix_ms(instant.as_millisecond())
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    #[test]
    fn durations_and_times_are_understood() {
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        for (text, expected_ms) in [
            ("1h", 1_800_000_000_000 - 3_600_000),
            ("14d", 1_800_000_000_000 - 14 * 86_400_000),
            ("2026-11-20T10:00", 1_795_165_200_000),
            ("2026-11-20 10:00", 1_795_165_200_000),
            ("2026-11-20T10:00:00Z", 1_795_168_800_000),
            ("2026-11-20", 1_795_129_200_000),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.at(now, &berlin()).unix_ms(), expected_ms, "{text}");
        }
    }

    #[test]
    fn other_texts_are_answered_with_examples() {
        for text in ["", "yesterday", "1x", "2026-13-01", "-1h"] {
            let error = text.parse::<Moment>().unwrap_err().to_string();
            assert!(
                error.contains("14d") && error.contains("2026-11-20T10:00"),
                "{error}"
            );
        }
    }
}
