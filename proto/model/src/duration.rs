//! Durations as people write them: `500ms`, `30s`, `10m`, `1h30m`, `14d`, `2w`.

use std::fmt::Write as _;
use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a duration; write a number and a unit, as in 500ms, 30s, 10m, 1h30m, 14d or 2w"
)]
pub struct InvalidDuration {
    /// What was given, cut to 64 characters.
    pub text: String,
}

/// Units from the largest to the smallest, with their milliseconds.
const UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a duration in whole milliseconds; parts add up.
///
/// # Errors
/// [`InvalidDuration`] when a number or a unit is missing or unknown, or the sum does not fit.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    parse(text.trim()).ok_or_else(|| InvalidDuration {
        text: text.chars().take(64).collect(),
    })
}

fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total_ms = 0_u64;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |letter| !letter.is_ascii_digit());
        let (unit, after) = split_where(after, |letter| letter.is_ascii_digit());
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let part_ms = number.parse::<u64>().ok()?.checked_mul(*unit_ms)?;
        total_ms = total_ms.checked_add(part_ms)?;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_millis(total_ms))
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(ends).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Writes the two largest units of a duration, as in `2h 40m`; the rest is cut off.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    let mut parts = 0;
    for (unit, unit_ms) in UNITS.into_iter().filter(|(unit, _)| *unit != "w") {
        let count = rest_ms.checked_div(unit_ms).unwrap_or(0);
        if count > 0 {
            let space = if parts > 0 { " " } else { "" };
            // Writing to a String cannot fail.
            write!(text, "{space}{count}{unit}").ok();
            rest_ms = rest_ms.saturating_sub(count.saturating_mul(unit_ms));
        }
        parts += usize::from(count > 0 || parts > 0);
        if parts == 2 {
            break;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_durations() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("14d", 1_209_600_000),
            (" 2w ", 1_209_600_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "30",
            "s",
            "1x",
            "-1s",
            "1.5h",
            "99999999999999999999s",
            "1h 30m",
            "é",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn two_units_are_shown() {
        for (ms, text) in [
            (0, "0s"),
            (1_500, "1s 500ms"),
            (61_000, "1m 1s"),
            (9_600_000, "2h 40m"),
            (86_400_000, "1d"),
            (86_401_000, "1d"),
            (1_300_000_000, "15d 1h"),
        ] {
            assert_eq!(format_duration(Duration::from_millis(ms)), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,40}") {
            if let Ok(duration) = parse_duration(&text) {
                proptest::prop_assert!(duration.as_millis() <= u128::from(u64::MAX));
            }
        }
    }
}
