//! Times, spans and counts as a person says them. Times of day are UTC; the page's script offers local time.

use tidemark_model::Timestamp;
use time::{OffsetDateTime, Weekday};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A span in words with what matters of it: `45 s`, `12 min`, `2 h 10 min`, `1 d 4 h`, `15 d`.
#[must_use]
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
        _ if ms < HOUR => format!("{} min", ms / MINUTE),
        _ if ms < DAY => two(HOUR, "h", MINUTE, "min"),
        _ if ms < 14 * DAY => two(DAY, "d", HOUR, "h"),
        _ => format!("{} d", ms / DAY),
    }
}

/// An instant for programs: `2026-11-23T01:05:59.000Z`. Empty outside the calendar.
#[must_use]
pub fn iso_utc(at: Timestamp) -> String {
    calendar(at).map_or_else(String::new, |time| {
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            time.year(),
            u8::from(time.month()),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond()
        )
    })
}

/// An instant near `now` for people: `03:20` today, `Fri 03:20` within a week, `23 Nov 03:20` beyond.
#[must_use]
pub fn instant(at: Timestamp, now: Timestamp) -> String {
    let (Some(time), Some(today)) = (calendar(at), calendar(now)) else {
        return "?".to_owned();
    };
    let clock = format!("{:02}:{:02}", time.hour(), time.minute());
    let distance = at.ms_since(now).saturating_abs();
    if time.date() == today.date() {
        clock
    } else if distance < 6 * DAY {
        format!("{} {clock}", weekday(time.weekday()))
    } else if time.year() == today.year() {
        format!("{} {} {clock}", time.day(), month(time.month()))
    } else {
        format!("{} {} {}", time.day(), month(time.month()), time.year())
    }
}

/// A time of day with seconds: `03:20:05`, with the day before it when it is not `now`'s.
#[must_use]
pub fn moment(at: Timestamp, now: Timestamp) -> String {
    let (Some(time), Some(today)) = (calendar(at), calendar(now)) else {
        return "?".to_owned();
    };
    let clock = format!(
        "{:02}:{:02}:{:02}",
        time.hour(),
        time.minute(),
        time.second()
    );
    if time.date() == today.date() {
        clock
    } else {
        format!("{} {} {clock}", time.day(), month(time.month()))
    }
}

/// An instant with its date and zone, to stand alone in a message: `Sat 28 Nov 2026 16:20 UTC`.
#[must_use]
pub fn utc(at: Timestamp) -> String {
    calendar(at).map_or_else(
        || "at an unknown time".to_owned(),
        |time| {
            format!(
                "{} {} {} {} {:02}:{:02} UTC",
                weekday(time.weekday()),
                time.day(),
                month(time.month()),
                time.year(),
                time.hour(),
                time.minute()
            )
        },
    )
}

/// How long ago something was, or how far ahead it is: `25 min ago`, `in 2 h 10 min`, `now`.
#[must_use]
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    match at.ms_since(now) {
        ahead if ahead >= SECOND => format!("in {}", span(ahead)),
        ahead if ahead > -SECOND => "now".to_owned(),
        behind => format!("{} ago", span(behind.saturating_neg())),
    }
}

/// A number with its thousands apart: `16,384`.
#[must_use]
pub fn count(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit that suits them: `512 B`, `1.4 MB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1_000.0 {
            break;
        }
        value /= 1_000.0;
        unit = next;
    }
    if value < 10.0 && unit != "B" {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// Why a count of this quality is not exact; empty when it is.
#[must_use]
pub fn doubt(quality: &str) -> &'static str {
    match quality {
        "counted" => "",
        "earlier" => "bound sockets are those of an earlier list",
        _ => "hidden sockets are estimated",
    }
}

/// A share of a whole as a percentage: `43 %`, `<1 %`.
#[must_use]
pub fn percent(part: u32, whole: u32) -> String {
    if whole == 0 {
        return "?".to_owned();
    }
    let share = f64::from(part) * 100.0 / f64::from(whole);
    if part > 0 && share < 1.0 {
        "<1 %".to_owned()
    } else {
        format!("{share:.0} %")
    }
}

/// A rate of ports with its sign: `+12/h`; `None` while it is unknown.
#[must_use]
pub fn ports_per_hour(rate: Option<f64>) -> Option<String> {
    let rate = rate.filter(|rate| rate.is_finite())?;
    Some(if rate.abs() < 0.05 {
        "steady".to_owned()
    } else if rate.abs() < 10.0 {
        format!("{rate:+.1}/h")
    } else {
        let sign = if rate < 0.0 { "-" } else { "+" };
        format!("{sign}{}/h", count(rate.abs().round() as u64))
    })
}

/// So many hosts: `1 host`, `12 hosts`.
#[must_use]
pub fn hosts(number: u64) -> String {
    match number {
        1 => "1 host".to_owned(),
        more => format!("{} hosts", count(more)),
    }
}

/// Thousandths of an event a second as a rate: `1.2/s`.
#[must_use]
pub fn per_second(thousandths: u64) -> String {
    let rate = thousandths as f64 / 1_000.0;
    if rate == 0.0 {
        "0/s".to_owned()
    } else if rate < 10.0 {
        format!("{rate:.1}/s")
    } else {
        format!("{}/s", count(rate.round() as u64))
    }
}

fn calendar(at: Timestamp) -> Option<OffsetDateTime> {
    let nanoseconds = i128::from(at.unix_ms()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()
}

const fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

const fn month(month: time::Month) -> &'static str {
    use time::Month;
    match month {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_numbers_read_as_people_say_them() {
        let spans = [
            45_000,
            12 * MINUTE + 5_000,
            2 * HOUR + 10 * MINUTE,
            DAY + 4 * HOUR,
            15 * DAY,
        ];
        assert_eq!(
            spans.map(span),
            ["45 s", "12 min", "2 h 10 min", "1 d 4 h", "15 d"]
        );
        assert_eq!(
            [0_u32, 999, 1_000, 16_384].map(count),
            ["0", "999", "1,000", "16,384"]
        );
        assert_eq!(
            [
                percent(0, 10),
                percent(1, 1_000),
                percent(5, 10),
                percent(1, 0)
            ],
            ["0 %", "<1 %", "50 %", "?"]
        );
        assert_eq!(bytes(1_440_000), "1.4 MB");
        assert_eq!(ports_per_hour(Some(1_234.4)).as_deref(), Some("+1,234/h"));
        assert_eq!(ports_per_hour(None), None);
    }

    #[test]
    fn an_instant_says_as_much_of_the_date_as_is_needed() {
        // Monday 2026-11-23 01:05:59 UTC.
        let now = Timestamp::from_unix_ms(1_795_395_959_000);
        let later = |ms: i64| Timestamp::from_unix_ms(now.unix_ms() + ms);
        assert_eq!(iso_utc(now), "2026-11-23T01:05:59.000Z");
        assert_eq!(instant(later(HOUR), now), "02:05");
        assert_eq!(instant(later(4 * DAY), now), "Fri 01:05");
        assert_eq!(instant(later(10 * DAY), now), "3 Dec 01:05");
        assert_eq!(instant(later(100 * DAY), now), "3 Mar 2027");
        assert_eq!(instant(Timestamp::from_unix_ms(i64::MAX), now), "?");
        assert_eq!(moment(later(-DAY), now), "22 Nov 01:05:59");
    }
}
