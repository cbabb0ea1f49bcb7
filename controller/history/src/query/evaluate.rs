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
    /// The aggregate of each step; `None` for a step without points.
    pub steps: Vec<Option<f64>>,
    /// The aggregate over the whole range.
    pub overall: Option<f64>,
}

impl Stretches {
    /// Whether nothing was read.
    pub const fn is_empty(&self) -> bool {
        self.points.is_empty() && self.buckets.is_empty()
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

    fn each(&self, mut take: impl FnMut(&Item)) {
        let mut buckets = self.buckets.iter().peekable();
        for (at, value) in &self.points {
            while let Some(item) = buckets.next_if(|item| item.at < *at) {
                take(item);
            }
            take(&Item {
                at: *at,
                width: 0,
                bucket: Bucket::of(*value),
            });
        }
        buckets.for_each(take);
    }

    /// The last value of each step, or of those before it; and of all.
    pub fn last_known(&mut self, steps: &Steps) -> Vec<Option<i64>> {
        self.settle();
        let mut known = vec![None; steps.count];
        self.each(|item| {
            if let Some(slot) = steps
                .index_of(item.at)
                .and_then(|index| known.get_mut(index))
            {
                *slot = Some(item.bucket.last);
            }
        });
        let mut last = None;
        for slot in &mut known {
            *slot = slot.or(last);
            last = *slot;
        }
        known
    }

    /// What `agg` says of each step. `capacity` holds the last known one of each step, for times to exhaustion.
    pub fn evaluate(&mut self, agg: Agg, steps: &Steps, capacity: &[Option<i64>]) -> Evaluated {
        self.settle();
        let mut values = vec![None; steps.count];
        let (mut step, mut overall) = (Stat::new(agg), Stat::new(agg));
        let mut current = None;
        let mut before = None;
        let mut close = |index: Option<usize>, step: &mut Stat| {
            let Some(index) = index else { return };
            let capacity = capacity.get(index).copied().flatten();
            let near = before.filter(|(at, _)| steps.start_of(index) - at <= RATE_GAP_MAX_MS);
            if let Some(slot) = values.get_mut(index) {
                *slot = step.value(near, capacity);
            }
            before = step.last();
            step.clear();
        };
        self.each(|item| {
            let index = steps.index_of(item.at);
            if index != current {
                close(current, &mut step);
                current = index;
            }
            if index.is_some() {
                step.push(item);
                overall.push(item);
            }
        });
        close(current, &mut step);
        let capacity = capacity.last().copied().flatten();
        Evaluated {
            steps: values,
            overall: overall.value(None, capacity),
        }
    }
}
