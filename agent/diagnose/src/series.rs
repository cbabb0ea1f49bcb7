//! A number over the window of samples: its slope, and whether it grows.

use std::time::Duration;

use tidemark_model::Timestamp;

/// Samples that a slope needs to count as measured (docs/DIAGNOSIS.md, "Growth").
const SAMPLES_FOR_SLOPE: usize = 10;

/// Values with their times, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    points: Vec<(Timestamp, f64)>,
}

/// Whether something grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Growth {
    /// By so much a minute, over as long as the rule asks for.
    Measured(f64),
    /// By so much a minute, over a shorter time.
    Glimpsed(f64),
    /// It does not, over as long as the rule asks for.
    Absent,
    /// The window is too short to tell.
    Unknown,
}

impl Growth {
    /// By how much a minute, where that was seen.
    pub(crate) const fn per_minute(self) -> Option<f64> {
        match self {
            Self::Measured(rate) | Self::Glimpsed(rate) => Some(rate),
            Self::Absent | Self::Unknown => None,
        }
    }
}

impl FromIterator<(Timestamp, f64)> for Series {
    fn from_iter<I: IntoIterator<Item = (Timestamp, f64)>>(points: I) -> Self {
        Self {
            points: points.into_iter().collect(),
        }
    }
}

impl Series {
    pub(crate) fn span(&self) -> Duration {
        match (self.points.first(), self.points.last()) {
            (Some((first, _)), Some((last, _))) => {
                Duration::from_millis(u64::try_from(last.ms_since(*first)).unwrap_or(0))
            }
            _ => Duration::ZERO,
        }
    }

    /// Median of the slopes between all pairs (Theil-Sen), a minute; `None` with less than two points.
    pub(crate) fn slope_per_minute(&self) -> Option<f64> {
        let mut slopes = Vec::new();
        for (position, (at, value)) in self.points.iter().enumerate() {
            for (later, next) in self.points.iter().skip(position + 1) {
                let minutes = later.ms_since(*at) as f64 / 60_000.0;
                if minutes > 0.0 {
                    slopes.push((next - value) / minutes);
                }
            }
        }
        median(slopes)
    }

    /// Whether it grows by at least `rate_min` a minute, for as long as `needed`.
    pub(crate) fn growth(&self, rate_min: f64, needed: Duration) -> Growth {
        let Some(slope) = self.slope_per_minute() else {
            return Growth::Unknown;
        };
        let is_measured = self.span() >= needed && self.points.len() >= SAMPLES_FOR_SLOPE;
        match (slope >= rate_min, is_measured) {
            (true, true) => Growth::Measured(slope),
            (true, false) => Growth::Glimpsed(slope),
            (false, true) => Growth::Absent,
            (false, false) => Growth::Unknown,
        }
    }

    /// Whether every step goes up or stays, and the last value is above the first.
    pub(crate) fn never_falls(&self) -> bool {
        let rises = self
            .points
            .windows(2)
            .all(|pair| matches!(pair, [(_, before), (_, after)] if after >= before));
        rises && self.points.len() >= 2
    }

    /// The lowest value of the last `window`; `None` when the series does not reach back that far.
    pub(crate) fn lowest_over(&self, window: Duration) -> Option<f64> {
        let (last, _) = self.points.last()?;
        let from = last.saturating_sub(window);
        let (first, _) = self.points.first()?;
        if *first > from {
            return None;
        }
        // The point at or before the beginning counts too.
        let begin = self.points.iter().rposition(|(at, _)| *at <= from)?;
        let values = self.points.get(begin..)?.iter().map(|(_, value)| *value);
        values.reduce(f64::min)
    }

    /// Highest and lowest value.
    pub(crate) fn extremes(&self) -> Option<(f64, f64)> {
        let values = || self.points.iter().map(|(_, value)| *value);
        Some((values().reduce(f64::min)?, values().reduce(f64::max)?))
    }

    /// Since when, without a break, it is at least `level`; `None` when it always was, or is not.
    pub(crate) fn since_at_least(&self, level: f64) -> Option<Timestamp> {
        let below = self.points.iter().rposition(|(_, value)| *value < level)?;
        self.points.get(below + 1).map(|(at, _)| *at)
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = values.get(middle.checked_sub(1)?).copied()?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOPE: Duration = Duration::from_secs(600);

    fn series(step_s: i64, values: &[f64]) -> Series {
        (0..)
            .map(|step: i64| Timestamp::from_unix_ms(step * step_s * 1_000))
            .zip(values.iter().copied())
            .collect()
    }

    #[test]
    fn one_wild_sample_does_not_bend_the_slope() {
        let values = [0.0, 1.0, 2.0, 900.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
        assert_eq!(series(60, &values).slope_per_minute(), Some(1.0));
    }

    #[test]
    fn growth_is_measured_only_over_the_time_that_the_rule_asks_for() {
        let rising: Vec<f64> = (0..11).map(f64::from).collect();
        let growth = |step_s, values: &[f64]| series(step_s, values).growth(1.0, SLOPE);
        assert_eq!(growth(60, &rising), Growth::Measured(1.0));
        assert_eq!(growth(6, &rising), Growth::Glimpsed(10.0));
        assert_eq!(growth(60, &[5.0; 11]), Growth::Absent);
        assert_eq!(growth(6, &[5.0; 11]), Growth::Unknown);
        assert_eq!(growth(60, &[5.0]), Growth::Unknown);
    }

    #[test]
    fn the_lowest_value_is_unknown_where_the_window_is_longer_than_the_series() {
        let series = series(60, &[3.0, 9.0, 5.0, 7.0]);
        assert_eq!(series.lowest_over(Duration::from_secs(120)), Some(5.0));
        assert_eq!(series.lowest_over(Duration::from_secs(180)), Some(3.0));
        assert_eq!(series.lowest_over(Duration::from_secs(181)), None);
    }

    #[test]
    fn a_level_holds_since_the_sample_after_the_last_below_it() {
        let series = series(60, &[9.0, 2.0, 5.0, 7.0]);
        assert_eq!(
            series.since_at_least(5.0),
            Some(Timestamp::from_unix_ms(120_000))
        );
        assert_eq!(series.since_at_least(1.0), None);
        assert_eq!(series.since_at_least(8.0), None);
    }
}
