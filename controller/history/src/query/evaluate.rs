//! One series: its stretches in order of time, and what a query says of each step of it.

use super::Agg;
use super::stat::{Item, Stat};
use super::steps::Steps;
use crate::Bucket;

/// How far back, in milliseconds, a rate may look for the point before its step: well above usual sampling intervals.
const RATE_GAP_MAX_MS: i64 = 600_000;

/// What was read of one series for one period.
#[derive(Clone, Debug, Default)]
pub struct Stretches {
    /// Time and value of raw points, in the order in which they were written.
    points: Vec<(i64, i64)>,
    /// Buckets of coarser tiers.
    buckets: Vec<Item>,
}

/// What a query says of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// Each step that has a value, ascending, with the aggregate: what comes and goes costs no memory while it is away.
    pub steps: Vec<(usize, f64)>,
    /// The aggregate over the whole range.
    pub overall: Option<f64>,
}

impl Stretches {
    /// Whether nothing was read.
    pub const fn is_empty(&self) -> bool {
        self.points.is_empty() && self.buckets.is_empty()
    }

    /// Makes room for so many further raw points.
    pub fn reserve(&mut self, points: usize) {
        self.points.reserve(points);
    }

    /// Adds a raw point.
    pub fn point(&mut self, at: i64, value: i64) {
        self.points.push((at, value));
    }

    /// Adds a bucket that begins at `at` and is `width` long.
    pub fn bucket(&mut self, at: i64, width: i64, bucket: Bucket) {
        self.buckets.push(Item { at, width, bucket });
    }

    /// Orders everything by time; of points with one time the last written stays.
    fn settle(&mut self) {
        if !self
            .points
            .is_sorted_by(|(left, _), (right, _)| left < right)
        {
            self.points.sort_by_key(|(at, _)| *at);
            self.points.reverse();
            self.points.dedup_by_key(|(at, _)| *at);
            self.points.reverse();
        }
        if !self.buckets.is_sorted_by_key(|item| item.at) {
            self.buckets.sort_by_key(|item| item.at);
        }
    }

    /// Hands everything to `walk` in order of time.
    fn walk(&self, walk: &mut Walk<'_>) {
        let mut buckets = self.buckets.iter().peekable();
        let mut points = self.points.as_slice();
        while let Some((at, _)) = points.first() {
            while let Some(item) = buckets.next_if(|item| item.at < *at) {
                walk.enter(item.at);
                walk.step.bucket(item);
            }
            walk.enter(*at);
            // As many points as there are before the next step or bucket.
            let until = buckets
                .peek()
                .map_or(walk.until, |item| walk.until.min(item.at));
            let ahead = points.iter().take_while(|(at, _)| *at < until).count();
            let (inside, rest) = points
                .split_at_checked(ahead.max(1))
                .unwrap_or((points, &[]));
            walk.step.points(inside);
            points = rest;
        }
        for item in buckets {
            walk.enter(item.at);
            walk.step.bucket(item);
        }
    }

    /// The last value of each step, or of those before it.
    pub fn last_known(&mut self, steps: &Steps) -> Vec<Option<i64>> {
        let lasts = self.evaluate(Agg::Last, steps, &[]).steps;
        let mut lasts = lasts.into_iter().peekable();
        let mut last = None;
        let known = (0..steps.count).map(|step| {
            // Ports fit an f64 exactly.
            let here = lasts.next_if(|(index, _)| *index == step);
            last = here.map(|(_, value)| value as i64).or(last);
            last
        });
        known.collect()
    }

    /// What `agg` says of each step. `capacity` holds the last known one of each step, for times to exhaustion.
    pub fn evaluate(&mut self, agg: Agg, steps: &Steps, capacity: &[Option<i64>]) -> Evaluated {
        self.settle();
        let mut walk = Walk {
            steps,
            capacity,
            values: Vec::new(),
            step: Stat::new(agg),
            overall: Stat::new(agg),
            current: None,
            until: i64::MIN,
            before: None,
        };
        self.walk(&mut walk);
        walk.close();
        let capacity = capacity.last().copied().flatten();
        Evaluated {
            steps: walk.values,
            overall: walk.overall.value(None, capacity),
        }
    }
}

/// Goes through the steps in order of time.
struct Walk<'a> {
    steps: &'a Steps,
    capacity: &'a [Option<i64>],
    values: Vec<(usize, f64)>,
    step: Stat,
    overall: Stat,
    /// The step that is being filled, and where it ends.
    current: Option<usize>,
    until: i64,
    /// The last point before it.
    before: Option<(i64, i64)>,
}

impl Walk<'_> {
    /// Goes to the step that holds `at`, which is not before the current one. All that is read lies in the range.
    fn enter(&mut self, at: i64) {
        if at < self.until {
            return;
        }
        self.close();
        self.current = self.steps.index_of(at);
        let next = self.current.map(|index| self.steps.start_of(index + 1));
        self.until = next.unwrap_or(i64::MAX);
    }

    fn close(&mut self) {
        if let Some(index) = self.current {
            let capacity = self.capacity.get(index).copied().flatten();
            let start = self.steps.start_of(index);
            let near = self.before.filter(|(at, _)| start - at <= RATE_GAP_MAX_MS);
            let value = self.step.value(near, capacity);
            self.values.extend(value.map(|value| (index, value)));
            self.overall.join(&self.step);
            self.before = self.step.last();
        }
        self.step.clear();
    }
}
