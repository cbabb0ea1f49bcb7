//! Numbers and stretches of time as an operator reads them. Knows nothing of what they mean.

use tidemark_model::Timestamp;

/// `10800` as `10,800`.
pub(crate) fn count(value: f64) -> String {
    let rounded = value.round();
    // Formatting a whole number costs a tenth of formatting a fraction.
    let digits = if rounded.abs() < 1e15 {
        (rounded.abs() as u64).to_string()
    } else {
        format!("{:.0}", rounded.abs())
    };
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if rounded < 0.0 {
        text.push('-');
    }
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of ports with its noun.
pub(crate) fn ports(value: f64) -> String {
    let noun = if (value.round() - 1.0).abs() < f64::EPSILON {
        "port"
    } else {
        "ports"
    };
    format!("{} {noun}", count(value))
}

/// A stretch of time in its two greatest units: `98 s`, `2 min 44 s`, `3 h 10 min`, `4 d 3 h`.
pub(crate) fn duration(milliseconds: f64) -> String {
    let seconds = (milliseconds / 1_000.0).max(0.0).round();
    let whole = seconds as u64;
    let (large, large_name, small, small_name) = match whole {
        0..120 => return format!("{whole} s"),
        120..7_200 => (whole / 60, "min", whole % 60, "s"),
        7_200..172_800 => (whole / 3_600, "h", whole % 3_600 / 60, "min"),
        _ => (whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
    };
    if small > 0 {
        format!("{large} {large_name} {small} {small_name}")
    } else {
        format!("{large} {large_name}")
    }
}

/// A time as `2026-01-05 14:10 UTC`.
pub(crate) fn clock_time(at: Timestamp) -> String {
    let (days, minutes) = (
        at.unix_ms().div_euclid(86_400_000),
        at.unix_ms().rem_euclid(86_400_000) / 60_000,
    );
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC",
        minutes / 60,
        minutes % 60
    )
}

/// Year, month and day of a number of days since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// A rate in the unit that reads best, with its hourly form where that differs: `+3.0 a second, 10,800 an hour`.
pub(crate) fn rate(per_ms: f64) -> String {
    let per_hour = per_ms * 3_600_000.0;
    let per_second = per_ms * 1_000.0;
    if per_second >= 0.1 {
        format!("+{per_second:.1} a second, {} an hour", count(per_hour))
    } else if per_hour >= 10.0 {
        format!("+{} an hour", count(per_hour))
    } else {
        format!("+{per_hour:.1} an hour, {} a day", count(per_hour * 24.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(10_800.4), "10,800");
        assert_eq!(count(-1_234_567.0), "-1,234,567");
        assert_eq!(ports(1.0), "1 port");
        let at = |unix_ms| clock_time(Timestamp::from_unix_ms(unix_ms));
        assert_eq!(at(1_767_571_200_000), "2026-01-05 00:00 UTC");
        assert_eq!(at(951_782_399_999), "2000-02-28 23:59 UTC");
        assert_eq!(at(951_868_800_000), "2000-03-01 00:00 UTC");
        assert_eq!(at(-60_000), "1969-12-31 23:59 UTC");
        assert_eq!(duration(98_000.0), "98 s");
        assert_eq!(duration(164_000.0), "2 min 44 s");
        assert_eq!(duration(7_200_000.0), "2 h");
        assert_eq!(duration(356_400_000.0), "4 d 3 h");
        assert_eq!(rate(0.003), "+3.0 a second, 10,800 an hour");
        assert_eq!(rate(2.0 / 3_600_000.0), "+2.0 an hour, 48 a day");
    }
}
