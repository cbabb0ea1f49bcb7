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
pub struct Rates<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    keys_max: usize,
}

/// After how long the next one passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub Duration);

impl<K: Hash + Eq + Clone> Rates<K> {
    /// So many a second for each, and so many at once.
    #[must_use]
    pub fn per_second((rate, at_once): (NonZeroU32, NonZeroU32)) -> Self {
        Self::new(Quota::per_second(rate).allow_burst(at_once))
    }

    /// So many a minute for each, and so many at once.
    #[must_use]
    pub fn per_minute((rate, at_once): (NonZeroU32, NonZeroU32)) -> Self {
        Self::new(Quota::per_minute(rate).allow_burst(at_once))
    }

    fn new(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::keyed(quota),
            keys_max: KEYS_MAX,
        }
    }

    /// The same, with as many remembered: where so many ask all the time.
    #[must_use]
    pub fn remembering(self, keys_max: usize) -> Self {
        Self { keys_max, ..self }
    }

    /// Counts one of `key`.
    ///
    /// # Errors
    /// [`Wait`] when there were too many; it is not counted then.
    pub fn pass(&self, key: &K) -> Result<(), Wait> {
        self.forget();
        self.limiter
            .check_key(key)
            .map_err(|until| Wait(until.wait_time_from(self.limiter.clock().now())))
    }

    /// Waits until so many of `key` may come, and counts them; more than may come at once are not waited for.
    pub async fn wait(&self, key: &K, count: NonZeroU32) {
        self.forget();
        self.limiter.until_key_n_ready(key, count).await.ok();
    }

    fn forget(&self) {
        if self.limiter.len() > self.keys_max {
            self.limiter.retain_recent();
        }
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
