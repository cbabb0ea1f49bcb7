//! What is known of the points of one step while they pass by in order of time.

use super::Agg;
use crate::Bucket;

/// A stretch of one series: a raw point, or a bucket of a coarser tier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// When it begins, in Unix milliseconds.
    pub at: i64,
    /// How long it is; 0 for a raw point.
    pub width: i64,
    /// What it holds.
    pub bucket: Bucket,
}

impl Item {
    /// When its last value was, as far as that is known.
    const fn last_at(&self) -> i64 {
        self.at.saturating_add(self.width)
    }
}

/// The points of one step.
#[derive(Clone, Debug)]
pub struct Stat {
    agg: Agg,
    bucket: Option<Bucket>,
    first: (i64, i64),
    last_at: i64,
    moments: Moments,
    /// One value a point (or bucket), with how many points it stands for; only for percentiles.
    values: Vec<(i64, u64)>,
}

impl Stat {
    /// Of no points.
    pub const fn new(agg: Agg) -> Self {
        Self {
            agg,
            bucket: None,
            first: (0, 0),
            last_at: 0,
            moments: Moments::ZERO,
            values: Vec::new(),
        }
    }

    /// Forgets all points.
    pub fn clear(&mut self) {
        self.bucket = None;
        self.moments = Moments::ZERO;
        self.values.clear();
    }

    /// Adds what is later than all before.
    pub fn push(&mut self, item: &Item) {
        match &mut self.bucket {
            Some(bucket) => bucket.join(item.bucket),
            None => {
                self.bucket = Some(item.bucket);
                self.first = (item.last_at(), item.bucket.last);
            }
        }
        self.last_at = item.last_at();
        match self.agg {
            Agg::Slope | Agg::TimeToExhaustion => self.moments.push(item),
            Agg::P50 => self
                .values
                .push((item.bucket.avg() as i64, item.bucket.count)),
            Agg::P95 | Agg::P99 => self.values.push((item.bucket.max, item.bucket.count)),
            Agg::Min | Agg::Avg | Agg::Max | Agg::Last | Agg::Sum | Agg::Count | Agg::Rate => {}
        }
    }

    /// Time and value of the latest point; `None` without one.
    pub fn last(&self) -> Option<(i64, i64)> {
        Some((self.last_at, self.bucket?.last))
    }

    /// The aggregate. `before` is the last point before the step, for rates; `capacity` the last known one.
    pub fn value(&mut self, before: Option<(i64, i64)>, capacity: Option<i64>) -> Option<f64> {
        let bucket = self.bucket?;
        match self.agg {
            Agg::Min => Some(bucket.min as f64),
            Agg::Avg => Some(bucket.avg()),
            Agg::Max => Some(bucket.max as f64),
            Agg::Last => Some(bucket.last as f64),
            Agg::Sum => Some(bucket.sum as f64),
            Agg::Count => Some(bucket.count as f64),
            Agg::P50 => self.percentile(50),
            Agg::P95 => self.percentile(95),
            Agg::P99 => self.percentile(99),
            Agg::Rate => {
                let (at, value) = before.unwrap_or(self.first);
                let seconds = (self.last_at - at) as f64 / 1_000.0;
                (seconds > 0.0).then(|| (bucket.last as f64 - value as f64) / seconds)
            }
            Agg::Slope => self.moments.slope().map(|a_ms| a_ms * 3_600_000.0),
            Agg::TimeToExhaustion => {
                let headroom = capacity? as f64 - bucket.last as f64;
                if headroom <= 0.0 {
                    return Some(0.0);
                }
                let a_ms = self.moments.slope().filter(|slope| *slope > 0.0)?;
                Some(headroom / a_ms / 1_000.0)
            }
        }
    }

    /// The smallest value that at least `percent` of 100 points do not exceed.
    fn percentile(&mut self, percent: u64) -> Option<f64> {
        self.values.sort_unstable();
        let total: u64 = self.values.iter().map(|(_, count)| count).sum();
        let rank = u128::from(total) * u128::from(percent);
        let mut seen = 0u128;
        let found = self.values.iter().find(|(_, count)| {
            seen += u128::from(*count) * 100;
            seen >= rank
        });
        found.map(|(value, _)| *value as f64)
    }
}

/// Sums for a straight line by least squares, around the first point so that they stay small.
#[derive(Clone, Copy, Debug)]
struct Moments {
    origin: Option<(f64, f64)>,
    n: f64,
    t: f64,
    tt: f64,
    v: f64,
    tv: f64,
}

impl Moments {
    const ZERO: Self = Self {
        origin: None,
        n: 0.0,
        t: 0.0,
        tt: 0.0,
        v: 0.0,
        tv: 0.0,
    };

    fn push(&mut self, item: &Item) {
        let (at, value) = (item.at as f64 + item.width as f64 / 2.0, item.bucket.avg());
        let (at_origin, value_origin) = *self.origin.get_or_insert((at, value));
        let (t, v, weight) = (
            at - at_origin,
            value - value_origin,
            item.bucket.count as f64,
        );
        self.n += weight;
        self.t += weight * t;
        self.tt += weight * t * t;
        self.v += weight * v;
        self.tv += weight * t * v;
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
        for (at, value) in points {
            stat.push(&Item {
                at: *at,
                width: 0,
                bucket: Bucket::of(*value),
            });
        }
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
