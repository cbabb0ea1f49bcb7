//! What a cell of a table is in a segment: which integer fields it has.

use crate::{Bucket, Tier};

/// A cell that segments can hold.
pub trait Cell: Copy {
    /// How many columns a series has.
    const FIELDS: usize;

    /// Whether segments of `tier` hold such cells.
    fn fits(tier: Tier) -> bool;

    /// The cell's value in column `field`, `0..FIELDS`.
    fn field(self, field: usize) -> i64;

    /// The cells whose columns these are: `FIELDS` of them, equally long.
    fn from_columns(columns: Vec<Vec<i64>>) -> Vec<Self>;
}

impl Cell for i64 {
    const FIELDS: usize = 1;

    fn fits(tier: Tier) -> bool {
        tier == Tier::Raw
    }

    fn field(self, _field: usize) -> i64 {
        self
    }

    fn from_columns(mut columns: Vec<Vec<i64>>) -> Vec<Self> {
        columns.pop().unwrap_or_default()
    }
}

/// Stored as distances from `last`, which are small and often zero, and as what the sum exceeds `count * min` by.
impl Cell for Bucket {
    const FIELDS: usize = 6;

    fn fits(tier: Tier) -> bool {
        tier != Tier::Raw
    }

    fn field(self, field: usize) -> i64 {
        let excess = || {
            let lowest = i128::from(self.min).wrapping_mul(i128::from(self.count));
            self.sum.wrapping_sub(lowest) as u128
        };
        match field {
            0 => self.last,
            1 => self.last.wrapping_sub(self.min),
            2 => self.max.wrapping_sub(self.last),
            3 => self.count as i64,
            4 => excess() as u64 as i64,
            _ => (excess() >> 64) as i64,
        }
    }

    fn from_columns(columns: Vec<Vec<i64>>) -> Vec<Self> {
        let mut columns = columns.into_iter();
        let mut next = || columns.next().unwrap_or_default().into_iter();
        let (last, below, above, count) = (next(), next(), next(), next());
        let (excess_low, excess_high) = (next(), next());
        last.zip(below)
            .zip(above.zip(count))
            .zip(excess_low.zip(excess_high))
            .map(|(((last, below), (above, count)), (low, high))| {
                let (min, count) = (last.wrapping_sub(below), count as u64);
                let excess = (u128::from(high as u64) << 64) | u128::from(low as u64);
                let lowest = i128::from(min).wrapping_mul(i128::from(count));
                Self {
                    min,
                    max: last.wrapping_add(above),
                    last,
                    sum: lowest.wrapping_add(excess as i128),
                    count,
                }
            })
            .collect()
    }
}
