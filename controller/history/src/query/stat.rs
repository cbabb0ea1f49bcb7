//! What is known of the points of one step while they pass by in order of time.

use super::Agg;
use crate::Bucket;

/// A bucket of a coarser tier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// When it begins, in Unix milliseconds.
    pub at: i64,
    /// How long it is.
    pub width: i64,
    /// What it holds.
    pub bucket: Bucket,
}

/// The points of one step, or of several.
#[derive(Clone, Debug)]
pub struct Stat {
    agg: Agg,
    count: u64,
    min: i64,
    max: i64,
    sum: i128,
    first: (i64, i64),
    last: (i64, i64),
    /// For slopes only.
    moments: Option<Moments>,
    /// One value a point (or bucket), with how many points it stands for; for percentiles only.
    values: Option<Vec<(i64, u64)>>,
}

impl Stat {
    /// Of no points.
    pub fn new(agg: Agg) -> Self {
        let needs_moments = matches!(agg, Agg::Slope | Agg::TimeToExhaustion);
        let needs_values = matches!(agg, Agg::P50 | Agg::P95 | Agg::P99);
        Self {
            agg,
            count: 0,
            min: i64::MAX,
            max: i64::MIN,
            sum: 0,
            first: (0, 0),
            last: (0, 0),
            moments: needs_moments.then_some(Moments::ZERO),
            values: needs_values.then(Vec::new),
        }
    }

    /// Forgets all points.
    pub fn clear(&mut self) {
        let values = self.values.take().map(|mut values| {
            values.clear();
            values
        });
        *self = Self {
            values,
            ..Self::new(self.agg)
        };
    }

    /// Adds raw points, ascending by time and later than all before.
    pub fn points(&mut self, points: &[(i64, i64)]) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return;
        };
        if self.count == 0 {
            self.first = *first;
        }
        self.last = *last;
        self.count = self.count.saturating_add(points.len() as u64);
        let (mut min, mut max, mut sum) = (self.min, self.max, 0i128);
        for (_, value) in points {
            min = min.min(*value);
            max = max.max(*value);
            sum += i128::from(*value);
        }
        (self.min, self.max) = (min, max);
        self.sum = self.sum.saturating_add(sum);
        if let Some(moments) = &mut self.moments {
            for (at, value) in points {
                moments.push(*at as f64, *value as f64, 1.0);
            }
        }
        if let Some(values) = &mut self.values {
            values.extend(points.iter().map(|(_, value)| (*value, 1)));
        }
    }

    /// Adds a bucket that is later than all before. Its last value counts as that of its end.
    pub fn bucket(&mut self, item: &Item) {
        let Item { at, width, bucket } = item;
        let last = (at.saturating_add(*width), bucket.last);
        if self.count == 0 {
            self.first = last;
        }
        self.last = last;
        self.count = self.count.saturating_add(bucket.count);
        self.min = self.min.min(bucket.min);
        self.max = self.max.max(bucket.max);
        self.sum = self.sum.saturating_add(bucket.sum);
        if let Some(moments) = &mut self.moments {
            let middle = *at as f64 + *width as f64 / 2.0;
            moments.push(middle, bucket.avg(), bucket.count as f64);
        }
        if let Some(values) = &mut self.values {
            let value = if self.agg == Agg::P50 {
                bucket.avg().round() as i64
            } else {
                bucket.max
            };
            values.push((value, bucket.count));
        }
    }

    /// Adds points that are all later.
    pub fn join(&mut self, later: &Self) {
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            self.first = later.first;
        }
        self.last = later.last;
        self.count = self.count.saturating_add(later.count);
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.sum = self.sum.saturating_add(later.sum);
        if let (Some(own), Some(later)) = (&mut self.moments, &later.moments) {
            own.join(later);
        }
        if let (Some(own), Some(later)) = (&mut self.values, &later.values) {
            own.extend_from_slice(later);
        }
    }

    /// Time and value of the latest point; `None` without one.
    pub fn last(&self) -> Option<(i64, i64)> {
        (self.count > 0).then_some(self.last)
    }

    /// The aggregate. `before` is the last point before the step, for rates; `capacity` the last known one.
    pub fn value(&mut self, before: Option<(i64, i64)>, capacity: Option<i64>) -> Option<f64> {
        let (last_at, last) = self.last()?;
        match self.agg {
            Agg::Min => Some(self.min as f64),
            Agg::Avg => Some(self.sum as f64 / self.count as f64),
            Agg::Max => Some(self.max as f64),
            Agg::Last => Some(last as f64),
            Agg::Sum => Some(self.sum as f64),
            Agg::Count => Some(self.count as f64),
            Agg::P50 => self.percentile(50),
            Agg::P95 => self.percentile(95),
            Agg::P99 => self.percentile(99),
            Agg::Rate => {
                let (at, value) = before.unwrap_or(self.first);
                let seconds = (last_at - at) as f64 / 1_000.0;
                (seconds > 0.0).then(|| (last as f64 - value as f64) / seconds)
            }
            Agg::Slope => self.slope_a_ms().map(|a_ms| a_ms * 3_600_000.0),
            Agg::TimeToExhaustion => {
                let headroom = capacity? as f64 - last as f64;
                if headroom <= 0.0 {
                    return Some(0.0);
                }
                let a_ms = self.slope_a_ms().filter(|slope| *slope > 0.0)?;
                Some(headroom / a_ms / 1_000.0)
            }
        }
    }

    fn slope_a_ms(&self) -> Option<f64> {
        self.moments.as_ref().and_then(Moments::slope)
    }

    /// The smallest value that at least `percent` of 100 points do not exceed.
    fn percentile(&mut self, percent: u64) -> Option<f64> {
        let values = self.values.as_mut()?;
        values.sort_unstable();
        let rank = u128::from(self.count) * u128::from(percent);
        let mut seen = 0u128;
        let found = values.iter().find(|(_, count)| {
            seen += u128::from(*count) * 100;
            seen >= rank
        });
        found.map(|(value, _)| *value as f64)
    }
}

/// Sums for a straight line by least squares, around the first point so that they stay small.
#[derive(Clone, Copy, Debug)]
struct Moments {
    origin: (f64, f64),
    n: f64,
    t: f64,
    tt: f64,
    v: f64,
    tv: f64,
}

impl Moments {
    const ZERO: Self = Self {
        origin: (0.0, 0.0),
        n: 0.0,
        t: 0.0,
        tt: 0.0,
        v: 0.0,
        tv: 0.0,
    };

    fn push(&mut self, at: f64, value: f64, weight: f64) {
        if self.n == 0.0 {
            self.origin = (at, value);
        }
        let (t, v) = (at - self.origin.0, value - self.origin.1);
        self.n += weight;
        self.t += weight * t;
        self.tt += weight * t * t;
        self.v += weight * v;
        self.tv += weight * t * v;
    }

    fn join(&mut self, other: &Self) {
        if self.n == 0.0 {
            *self = *other;
            return;
        }
        let (t, v) = (
            other.origin.0 - self.origin.0,
            other.origin.1 - self.origin.1,
        );
        self.n += other.n;
        self.t += other.t + other.n * t;
        self.tt += other.tt + 2.0 * t * other.t + other.n * t * t;
        self.v += other.v + other.n * v;
        self.tv += other.tv + t * other.v + v * other.t + other.n * t * v;
    }

    /// Change a millisecond; `None` with fewer than two times.
    fn slope(&self) -> Option<f64> {
        let spread = self.n * self.tt - self.t * self.t;
        (spread > 0.0).then(|| (self.n * self.tv - self.t * self.v) / spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(agg: Agg, points: &[(i64, i64)]) -> Stat {
        let mut stat = Stat::new(agg);
        stat.points(points);
        stat
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let points: Vec<(i64, i64)> = (1..=100).map(|value| (value, 101 - value)).collect();
        assert_eq!(stat(Agg::P95, &points).value(None, None), Some(95.0));
        assert_eq!(stat(Agg::P50, &points).value(None, None), Some(50.0));
        assert_eq!(stat(Agg::P99, &points[..1]).value(None, None), Some(100.0));
    }

    #[test]
    fn a_straight_rise_has_its_slope_and_its_end() {
        // Ten ports a minute from 1,000 of 16,384.
        let points: Vec<(i64, i64)> = (0..121)
            .map(|index| (1_790_000_000_000 + index * 30_000, 1_000 + index * 5))
            .collect();
        let slope = stat(Agg::Slope, &points).value(None, None).unwrap();
        assert!((slope - 600.0).abs() < 1e-6, "{slope}");
        let seconds = stat(Agg::TimeToExhaustion, &points)
            .value(None, Some(16_384))
            .unwrap();
        let expected = (16_384.0 - 1_600.0) / 600.0 * 3_600.0;
        assert!((seconds - expected).abs() < 1e-3, "{seconds}");
        assert_eq!(
            stat(Agg::TimeToExhaustion, &points).value(None, Some(1_600)),
            Some(0.0)
        );
        assert_eq!(stat(Agg::TimeToExhaustion, &points).value(None, None), None);
    }

    #[test]
    fn parts_joined_say_the_same_as_the_whole() {
        let points: Vec<(i64, i64)> = (0..500)
            .map(|index| (1_790_000_000_000 + index * 30_000, index * index % 977))
            .collect();
        for agg in Agg::ALL {
            let mut joined = Stat::new(agg);
            points
                .chunks(37)
                .for_each(|part| joined.join(&stat(agg, part)));
            let (joined, whole) = (
                joined.value(None, Some(2_000)),
                stat(agg, &points).value(None, Some(2_000)),
            );
            let (joined, whole) = (joined.unwrap_or(-1.0), whole.unwrap_or(-1.0));
            assert!(
                (joined - whole).abs() <= whole.abs() * 1e-9,
                "{agg:?}: {joined} {whole}"
            );
        }
    }

    #[test]
    fn what_does_not_rise_never_ends() {
        let falling: Vec<(i64, i64)> = (0..9).map(|index| (index, -index)).collect();
        assert_eq!(
            stat(Agg::TimeToExhaustion, &falling).value(None, Some(5)),
            None
        );
    }

    #[test]
    fn a_rate_begins_at_the_point_before_the_step() {
        let mut step = stat(Agg::Rate, &[(10_000, 70)]);
        assert_eq!(step.value(Some((0, 20)), None), Some(5.0));
        assert_eq!(step.value(None, None), None, "one point alone has no rate");
        assert_eq!(
            stat(Agg::Rate, &[(0, 1), (1_000, 4)]).value(None, None),
            Some(3.0)
        );
    }
}
