//! The recent past of one host's ports in use: a few buckets, the highest value of each.

use std::collections::VecDeque;

/// How many buckets are kept.
pub const BUCKETS: usize = 24;

/// Width of a bucket: 24 of them are an hour.
pub const BUCKET_MS: i64 = 150_000;

/// Values of the last hour.
#[derive(Debug, Default)]
pub struct Spark {
    /// Bucket number and its highest value, ascending.
    buckets: VecDeque<(i64, f64)>,
}

impl Spark {
    /// Takes a value; one that is older than all buckets is of no use here.
    pub fn push(&mut self, at_ms: i64, value: f64) {
        let bucket = at_ms.div_euclid(BUCKET_MS);
        match self
            .buckets
            .binary_search_by_key(&bucket, |(bucket, _)| *bucket)
        {
            Ok(found) => {
                if let Some((_, highest)) = self.buckets.get_mut(found) {
                    *highest = highest.max(value);
                }
            }
            Err(0) if self.buckets.len() >= BUCKETS => {}
            Err(position) => {
                self.buckets.insert(position, (bucket, value));
                if self.buckets.len() > BUCKETS {
                    self.buckets.pop_front();
                }
            }
        }
    }

    /// The values up to `now_ms`, oldest first; a bucket without a value is a gap.
    pub fn values(&self, now_ms: i64) -> Vec<Option<f64>> {
        let last = now_ms.div_euclid(BUCKET_MS);
        let first = last.saturating_sub(i64::try_from(BUCKETS).unwrap_or(0) - 1);
        (first..=last)
            .map(|wanted| {
                self.buckets
                    .iter()
                    .find(|(bucket, _)| *bucket == wanted)
                    .map(|(_, value)| *value)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_keeps_its_peak_and_a_silent_one_is_a_gap() {
        let mut spark = Spark::default();
        for (at_ms, value) in [(0, 5.0), (1_000, 9.0), (2_000, 4.0), (2 * BUCKET_MS, 7.0)] {
            spark.push(at_ms, value);
        }
        let values = spark.values(2 * BUCKET_MS + 1);
        assert_eq!(values.len(), BUCKETS);
        assert_eq!(
            values.iter().rev().take(3).copied().collect::<Vec<_>>(),
            [Some(7.0), None, Some(9.0)]
        );
    }

    #[test]
    fn it_never_grows_beyond_its_buckets() {
        let mut spark = Spark::default();
        for minute in (0..500).rev().chain(0..500) {
            spark.push(minute * 60_000, 1.0);
        }
        assert!(spark.buckets.len() <= BUCKETS);
    }
}
