//! Tiers: raw points, and buckets of five minutes and of an hour that answer min, max, sum, count and last exactly.

use std::collections::BTreeMap;
use std::fmt;

use crate::table::{Cells, Table};

/// How fine history is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Every point.
    Raw,
    /// Buckets of five minutes.
    FiveMinutes,
    /// Buckets of an hour.
    Hour,
}

impl Tier {
    /// Every tier, finest first.
    pub const ALL: [Self; 3] = [Self::Raw, Self::FiveMinutes, Self::Hour];

    /// Its stored number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::FiveMinutes => 1,
            Self::Hour => 2,
        }
    }

    /// The tier of that number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Raw,
            1 => Self::FiveMinutes,
            2 => Self::Hour,
            _ => return None,
        })
    }

    /// Its name in answers: `raw`, `5m` or `1h`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
        }
    }

    /// Width of a bucket in milliseconds; 1 for raw points, which have any time.
    #[must_use]
    pub const fn resolution_ms(self) -> i64 {
        match self {
            Self::Raw => 1,
            Self::FiveMinutes => 300_000,
            Self::Hour => 3_600_000,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is kept of all points of one series in one span of time; at least one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Lowest value.
    pub min: i64,
    /// Highest value.
    pub max: i64,
    /// The value with the latest time.
    pub last: i64,
    /// Sum of all values, exactly.
    pub sum: i128,
    /// How many values, at least 1.
    pub count: u64,
}

impl Bucket {
    /// Of one point.
    #[must_use]
    pub const fn of(value: i64) -> Self {
        Self {
            min: value,
            max: value,
            last: value,
            sum: value as i128,
            count: 1,
        }
    }

    /// Adds a point that is later than all in it.
    pub fn push(&mut self, value: i64) {
        self.join(Self::of(value));
    }

    /// Adds a bucket whose points are all later.
    pub fn join(&mut self, later: Self) {
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.last = later.last;
        self.sum = self.sum.saturating_add(later.sum);
        self.count = self.count.saturating_add(later.count);
    }

    /// The mean of all values.
    #[must_use]
    pub fn avg(self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64
    }
}

/// The buckets of `tier` of raw points. Bucket times are starts, aligned to the Unix epoch.
#[must_use]
pub fn roll_up_raw(table: &Table<i64>, tier: Tier) -> Table<Bucket> {
    roll_up(table, tier, Bucket::of)
}

/// The buckets of `tier` of finer buckets; equal to those of the raw points themselves.
#[must_use]
pub fn roll_up_buckets(table: &Table<Bucket>, tier: Tier) -> Table<Bucket> {
    roll_up(table, tier, |bucket| bucket)
}

fn roll_up<V: Copy>(
    table: &Table<V>,
    tier: Tier,
    to_bucket: impl Fn(V) -> Bucket,
) -> Table<Bucket> {
    let width = tier.resolution_ms();
    let mut times: Vec<i64> = Vec::new();
    // Where each fine time falls; fine times ascend, so coarse rows do.
    let mut coarse_rows = Vec::with_capacity(table.times().len());
    for time in table.times() {
        let start = time.saturating_sub(time.rem_euclid(width));
        if times.last() != Some(&start) {
            times.push(start);
        }
        coarse_rows.push(u32::try_from(times.len() - 1).unwrap_or(u32::MAX));
    }
    let mut series = BTreeMap::new();
    for (key, fine) in table.series() {
        let mut cells = Cells::<Bucket>::default();
        for (row, value) in fine.rows.iter().zip(&fine.values) {
            let Some(coarse) = coarse_rows.get(*row as usize) else {
                continue;
            };
            match cells.values.last_mut() {
                Some(bucket) if cells.rows.last() == Some(coarse) => bucket.join(to_bucket(*value)),
                Some(_) | None => {
                    cells.rows.push(*coarse);
                    cells.values.push(to_bucket(*value));
                }
            }
        }
        series.insert(key, cells);
    }
    Table::from_parts(times, series)
}

#[cfg(test)]
mod tests;
