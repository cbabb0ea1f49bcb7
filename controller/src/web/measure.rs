//! Values of history as people read them: in the unit that suits, with as many digits as say something.

use super::words;

/// How values of one unit are shown. `assets/history.js` does the same with the same scale and suffix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// What the value is multiplied with.
    pub scale: f64,
    /// What stands behind it, with the space before it.
    pub suffix: &'static str,
    /// The unit in words.
    pub unit: &'static str,
}

const fn measure(scale: f64, suffix: &'static str, unit: &'static str) -> Measure {
    Measure {
        scale,
        suffix,
        unit,
    }
}

impl Measure {
    /// Of a unit as answers of history name it.
    #[must_use]
    pub fn of_unit(unit: &str) -> Self {
        match unit {
            "1/1000 s" => measure(0.001, "/s", "a second"),
            "us" => measure(0.001, " ms", "milliseconds"),
            "bytes" => measure(1.0 / 1_048_576.0, " MiB", "MiB"),
            "s" => measure(1.0 / 3_600.0, " h", "hours"),
            "ports" => measure(1.0, "", "ports"),
            "sockets" => measure(1.0, "", "sockets"),
            "handles" => measure(1.0, "", "handles"),
            "points" => measure(1.0, "", "values"),
            "count" => measure(1.0, "", "number"),
            other => Self::of_change(other),
        }
    }

    /// Of what changes in a time: `ports/s`, `bytes/h`.
    fn of_change(unit: &str) -> Self {
        match unit.rsplit_once('/') {
            Some((of, "s")) => measure(Self::of_unit(of).scale, "/s", "change a second"),
            Some((of, "h")) => measure(Self::of_unit(of).scale, "/h", "change an hour"),
            Some(_) | None => measure(1.0, "", "number"),
        }
    }

    /// A value in words: `16,384`, `12.4/s`, `0.03 ms`.
    #[must_use]
    pub fn words(self, value: f64) -> String {
        let scaled = value * self.scale;
        if !scaled.is_finite() {
            return "unknown".to_owned();
        }
        let sign = if scaled < 0.0 { "\u{2212}" } else { "" };
        let size = scaled.abs();
        let text = if size >= 100.0 || size.fract() == 0.0 {
            // Beyond that a float holds no single digits.
            words::count(size.round().min(9e15) as u64)
        } else {
            let digits = if size >= 10.0 {
                1
            } else if size >= 1.0 {
                2
            } else {
                3
            };
            let text = format!("{size:.digits$}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        format!("{sign}{text}{}", self.suffix)
    }

    /// How a value stands to the one before: `+1,200 (+12 %)`.
    #[must_use]
    pub fn change(self, now: f64, before: f64) -> String {
        let by = now - before;
        let sign = if by > 0.0 { "+" } else { "" };
        let mut text = format!("{sign}{}", self.words(by));
        if before.abs() > f64::EPSILON {
            let percent = by * 100.0 / before.abs();
            text.push_str(&format!(" ({percent:+.0} %)").replace('-', "\u{2212}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_the_unit_that_suits_with_the_digits_that_say_something() {
        let cases = [
            ("ports", 16_384.0, "16,384"),
            ("ports", 12.5, "12.5"),
            ("ports", 0.0, "0"),
            ("1/1000 s", 12_400.0, "12.4/s"),
            ("us", 31.0, "0.031 ms"),
            ("bytes", 19_000_000.0, "18.1 MiB"),
            ("ports/h", -310.25, "\u{2212}310/h"),
            ("1/1000 s/s", 1_500.0, "1.5/s"),
            ("s", 5_400.0, "1.5 h"),
            ("ports", f64::NAN, "unknown"),
        ];
        for (unit, value, words) in cases {
            assert_eq!(Measure::of_unit(unit).words(value), words, "{value} {unit}");
        }
    }

    #[test]
    fn a_change_has_its_sign_and_its_share() {
        let ports = Measure::of_unit("ports");
        assert_eq!(ports.change(1_200.0, 1_000.0), "+200 (+20 %)");
        assert_eq!(ports.change(750.0, 1_000.0), "\u{2212}250 (\u{2212}25 %)");
        assert_eq!(ports.change(5.0, 0.0), "+5");
    }
}
