//! How often each of many may ask, with a bound on how many are remembered.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Beyond so many, those who have not asked for a while are forgotten.
const KEYS_MAX: usize = 10_000;

/// A rate for each key.
#[derive(Debug)]
pub struct Rates<K: Hash + Eq + Clone>(DefaultKeyedRateLimiter<K>);

/// After how long the next one passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub Duration);

impl<K: Hash + Eq + Clone> Rates<K> {
    /// So many a second for each, and so many at once.
    #[must_use]
    pub fn per_second((rate, at_once): (NonZeroU32, NonZeroU32)) -> Self {
        Self(RateLimiter::keyed(
            Quota::per_second(rate).allow_burst(at_once),
        ))
    }

    /// So many a minute for each, and so many at once.
    #[must_use]
    pub fn per_minute((rate, at_once): (NonZeroU32, NonZeroU32)) -> Self {
        Self(RateLimiter::keyed(
            Quota::per_minute(rate).allow_burst(at_once),
        ))
    }

    /// Counts one of `key`.
    ///
    /// # Errors
    /// [`Wait`] when there were too many; it is not counted then.
    pub fn pass(&self, key: &K) -> Result<(), Wait> {
        if self.0.len() > KEYS_MAX {
            self.0.retain_recent();
        }
        self.0
            .check_key(key)
            .map_err(|until| Wait(until.wait_time_from(self.0.clock().now())))
    }
}

/// Two numbers that are not 0, for constants.
///
/// # Panics
/// When one of them is 0.
#[must_use]
pub const fn quota(rate: u32, at_once: u32) -> (NonZeroU32, NonZeroU32) {
    match (NonZeroU32::new(rate), NonZeroU32::new(at_once)) {
        (Some(rate), Some(at_once)) => (rate, at_once),
        _ => panic!("a rate is positive"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_rate_of_its_own() {
        let rates = Rates::per_minute(quota(1, 2));
        rates.pass(&"greedy").unwrap();
        rates.pass(&"greedy").unwrap();
        let Wait(wait) = rates.pass(&"greedy").unwrap_err();
        assert!(wait > Duration::from_secs(30) && wait <= Duration::from_secs(60));
        rates.pass(&"modest").unwrap();
    }
}
