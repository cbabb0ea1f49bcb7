//! Times, spans and counts as a person says them.

use jiff::tz::TimeZone;
use tidemark_model::Timestamp;
use tidemark_model::view::{PortSpaceView, WindowStanding};
use tidemark_model::window::Survival;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A span in words with what matters of it: `45 s`, `12 min`, `2 h 10 min`, `1 d 4 h`, `15 d`.
pub fn span(ms: i64) -> String {
    let ms = ms.max(0);
    let two = |large: i64, large_name: &str, small: i64, small_name: &str| {
        let (whole, rest) = (ms / large, ms % large / small);
        if rest == 0 {
            format!("{whole} {large_name}")
        } else {
            format!("{whole} {large_name} {rest} {small_name}")
        }
    };
    match ms {
        _ if ms < MINUTE => format!("{} s", ms / SECOND),
        _ if ms < 10 * MINUTE => two(MINUTE, "min", SECOND, "s"),
        _ if ms < HOUR => format!("{} min", ms / MINUTE),
        _ if ms < DAY => two(HOUR, "h", MINUTE, "min"),
        _ if ms < 14 * DAY => two(DAY, "d", HOUR, "h"),
        _ => format!("{} d", ms / DAY),
    }
}

/// How long ago something was, or how far ahead it is.
pub fn relative(at_ms: i64, now: Timestamp) -> String {
    let ms = now.unix_ms().saturating_sub(at_ms);
    match ms {
        _ if ms >= SECOND => format!("{} ago", span(ms)),
        _ if ms > -SECOND => "now".to_owned(),
        _ => format!("in {}", span(ms.saturating_neg())),
    }
}

/// When a port space runs out, with its interval: `in 2 h 10 min (1 h 50 min to 3 h)`. `-` when nothing says that it
/// will, `?` while too little is known to say anything.
pub fn eta(space: &PortSpaceView, now: Timestamp) -> String {
    let Some(eta_ms) = space.eta_ms else {
        let known = space.floor_ports_per_hour.is_some();
        return if known { "-" } else { "?" }.to_owned();
    };
    if eta_ms <= now.unix_ms() {
        return "now".to_owned();
    }
    let ahead = |at_ms: i64| {
        let ms = at_ms.saturating_sub(now.unix_ms());
        if ms < SECOND {
            "now".to_owned()
        } else {
            span(ms)
        }
    };
    let latest = space.eta_hi_ms.map_or_else(|| "never".to_owned(), ahead);
    match space.eta_lo_ms {
        Some(earliest_ms) => format!("in {} ({} to {latest})", ahead(eta_ms), ahead(earliest_ms)),
        None => format!("in {}", ahead(eta_ms)),
    }
}

/// A maintenance window and whether ports last until it: `saturday-night in 5 d, will not last`, `patching open, 2 h left`.
pub fn window(window: &WindowStanding, now: Timestamp) -> String {
    let at = window.at();
    let when = if at.contains(now) {
        format!("open, {} left", span(at.end.ms_since(now)))
    } else {
        relative(at.start.unix_ms(), now)
    };
    let survives = window.survives.as_deref().and_then(Survival::from_name);
    let verdict = survives.map_or_else(String::new, |survives| format!(", {}", survives.words()));
    format!("{} {when}{verdict}", window.name)
}

/// A date and time of day in `zone`: `Fri 27 Nov 03:20`, with the year when it is not this one.
pub fn date_time(at_ms: i64, zone: &TimeZone, now: Timestamp) -> String {
    let (Some(at), Some(now)) = (zoned(at_ms, zone), zoned(now.unix_ms(), zone)) else {
        return "?".to_owned();
    };
    let format = if at.year() == now.year() {
        "%a %-d %b %H:%M"
    } else {
        "%a %-d %b %Y %H:%M"
    };
    at.strftime(format).to_string()
}

/// As [`date_time`] with seconds, for steps shorter than a minute: `Fri 27 Nov 03:20:05`.
pub fn date_time_seconds(at_ms: i64, zone: &TimeZone, now: Timestamp) -> String {
    let Some(at) = zoned(at_ms, zone) else {
        return "?".to_owned();
    };
    format!("{}:{:02}", date_time(at_ms, zone, now), at.second())
}

/// A time of day in `zone` with seconds: `03:20:05`.
pub fn time_of_day(at_ms: i64, zone: &TimeZone) -> String {
    zoned(at_ms, zone).map_or_else(|| "?".to_owned(), |at| at.strftime("%H:%M:%S").to_string())
}

/// An instant for programs, in `zone`: `2026-11-23T02:10:00+01:00` (RFC 3339).
pub fn rfc3339(at_ms: i64, zone: &TimeZone) -> String {
    zoned(at_ms, zone).map_or_else(String::new, |at| {
        at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    })
}

/// The instant in `zone`; `None` outside the calendar's range, where only a broken clock leads.
pub fn zoned(at_ms: i64, zone: &TimeZone) -> Option<jiff::Zoned> {
    jiff::Timestamp::from_millisecond(at_ms)
        .ok()
        .map(|at| at.to_zoned(zone.clone()))
}

/// A share as a percentage: `43 %`; `?` when it is unknown.
pub fn percent(share: Option<f64>) -> String {
    match share {
        None => "?".to_owned(),
        // Little is not nothing, and nearly all is not all.
        Some(share) if share > 0.0 && share < 0.01 => "<1 %".to_owned(),
        Some(share) if share > 0.99 && share < 1.0 => ">99 %".to_owned(),
        Some(share) => format!("{:.0} %", share * 100.0),
    }
}

/// A number with as many digits as matter: whole from 10 on, one decimal below, none when it is whole.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        "?".to_owned()
    } else if value.abs() >= 10.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// A rate of ports with its sign: `+12.3/h`; `?` when it is unknown.
pub fn ports_per_hour(rate: Option<f64>) -> String {
    match rate {
        Some(rate) if rate.abs() < 0.05 => "0/h".to_owned(),
        Some(rate) => format!("{}{}/h", if rate > 0.0 { "+" } else { "" }, number(rate)),
        None => "?".to_owned(),
    }
}

/// A size: `12.3 MiB`.
pub fn bytes(size: u64) -> String {
    let (divisor, name) = match size {
        0..1_024 => return format!("{size} B"),
        1_024..1_048_576 => (1_024.0, "KiB"),
        1_048_576..1_073_741_824 => (1_048_576.0, "MiB"),
        _ => (1_073_741_824.0, "GiB"),
    };
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let scaled = size as f64 / divisor;
    format!("{scaled:.1} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_keep_what_matters() {
        for (ms, text) in [
            (0, "0 s"),
            (45_000, "45 s"),
            (90_000, "1 min 30 s"),
            (12 * MINUTE + 5_000, "12 min"),
            (2 * HOUR + 10 * MINUTE, "2 h 10 min"),
            (3 * HOUR, "3 h"),
            (DAY + 4 * HOUR, "1 d 4 h"),
            (15 * DAY + HOUR, "15 d"),
            (-5, "0 s"),
        ] {
            assert_eq!(span(ms), text);
        }
    }

    #[test]
    fn the_past_and_the_future_are_told_apart() {
        let now = Timestamp::from_unix_ms(10 * DAY);
        assert_eq!(relative(10 * DAY - 3_000, now), "3 s ago");
        assert_eq!(relative(10 * DAY + HOUR, now), "in 1 h");
        assert_eq!(relative(10 * DAY, now), "now");
        assert_eq!(relative(i64::MIN, now), relative(i64::MIN, now));
    }

    #[test]
    fn a_window_is_said_with_what_becomes_of_the_ports() {
        let now = Timestamp::from_unix_ms(10 * DAY);
        let window = |starts_in: i64, survives: Option<&str>| WindowStanding {
            name: "night".to_owned(),
            starts_ms: 10 * DAY + starts_in,
            ends_ms: 10 * DAY + starts_in + 4 * HOUR,
            is_open: starts_in <= 0,
            survives: survives.map(str::to_owned),
        };
        for (starts_in, survives, text) in [
            (2 * HOUR, Some("will_not"), "night in 2 h, will not last"),
            (-HOUR, Some("may"), "night open, 3 h left, may not last"),
            (2 * HOUR, None, "night in 2 h"),
        ] {
            assert_eq!(super::window(&window(starts_in, survives), now), text);
        }
    }

    #[test]
    fn impossible_instants_are_unknown_not_a_panic() {
        let now = Timestamp::from_unix_ms(0);
        assert_eq!(date_time(i64::MAX, &TimeZone::UTC, now), "?");
        assert_eq!(time_of_day(i64::MIN, &TimeZone::UTC), "?");
    }

    #[test]
    fn a_little_is_not_nothing() {
        assert_eq!(
            [
                None,
                Some(0.0),
                Some(0.0001),
                Some(0.433),
                Some(0.9999),
                Some(1.0)
            ]
            .map(percent),
            ["?", "0 %", "<1 %", "43 %", ">99 %", "100 %"]
        );
    }

    #[test]
    fn numbers_and_sizes_show_the_digits_that_matter() {
        assert_eq!(
            [number(3.0), number(2.26), number(1234.6), number(f64::NAN)],
            ["3", "2.3", "1235", "?"]
        );
        assert_eq!(
            [bytes(12), bytes(2_048), bytes(13_000_000)],
            ["12 B", "2.0 KiB", "12.4 MiB"]
        );
        assert_eq!(
            [
                ports_per_hour(Some(12.34)),
                ports_per_hour(None),
                ports_per_hour(Some(0.01))
            ],
            ["+12/h", "?", "0/h"]
        );
    }
}
