//! Thresholds as monitoring plugins write them: `[@]START:END`
//! (<https://www.monitoring-plugins.org/doc/guidelines.html>, "Threshold and Ranges").

use std::fmt;
use std::str::FromStr;

/// Values that are as they should be; others alert. With `@` it is the other way round.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    is_inside: bool,
    start: f64,
    end: f64,
    text: String,
}

/// A text that is no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a range is written [@]START:END, as in 80, 10:, ~:90, 10:90 or @10:20, and its start is not above its end"
)]
pub struct InvalidRange;

impl Range {
    /// Whether a value alerts.
    pub fn alerts(&self, value: f64) -> bool {
        (self.start <= value && value <= self.end) == self.is_inside
    }
}

impl FromStr for Range {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let (is_inside, range) = match text.strip_prefix('@') {
            Some(range) => (true, range),
            None => (false, text),
        };
        let (start, end) = range.split_once(':').unwrap_or(("", range));
        let start = match start {
            "" => 0.0,
            "~" => f64::NEG_INFINITY,
            number => decimal(number)?,
        };
        let end = match end {
            "" if range.contains(':') => f64::INFINITY,
            number => decimal(number)?,
        };
        if start > end {
            return Err(InvalidRange);
        }
        Ok(Self {
            is_inside,
            start,
            end,
            text: text.to_owned(),
        })
    }
}

/// A number in plain digits: what else `f64` reads would not be read by a monitoring system.
fn decimal(text: &str) -> Result<f64, InvalidRange> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_plain || digits.len() > 20 {
        return Err(InvalidRange);
    }
    text.parse().map_err(|_| InvalidRange)
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_alert_as_the_guidelines_say() {
        for (range, alerting, calm) in [
            ("10", &[-1.0, 10.1][..], &[0.0, 10.0][..]),
            ("10:", &[9.9, -1.0], &[10.0, 1e9]),
            ("~:10", &[10.1], &[-1e9, 10.0]),
            ("10:20", &[9.0, 21.0], &[10.0, 20.0]),
            ("@10:20", &[10.0, 15.0, 20.0], &[9.0, 21.0]),
            ("-5:5.5", &[-6.0, 6.0], &[-5.0, 5.5]),
            ("@0", &[0.0], &[1.0, -1.0]),
        ] {
            let read: Range = range.parse().unwrap();
            assert!(alerting.iter().all(|value| read.alerts(*value)), "{range}");
            assert!(!calm.iter().any(|value| read.alerts(*value)), "{range}");
            assert_eq!(read.to_string(), range);
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "", "@", "a", "1:2:3", "20:10", "nan", "inf:", "1e3", "~", "80%", "1;2", "1|2",
        ] {
            assert_eq!(text.parse::<Range>(), Err(InvalidRange), "{text}");
        }
    }
}
