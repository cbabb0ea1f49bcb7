//! How many records hosts may send, whatever sessions they send them in.

use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tidemark_model::HostId;

/// Records a second that a host may send over time, and at once: at an interval of 30 s a month takes two minutes, and one host that
/// has too much to say leaves the database to the others.
const RECORDS_PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000).expect("1000 is not 0");
const RECORDS_AT_ONCE: NonZeroU32 = NonZeroU32::new(16_384).expect("16384 is not 0");

/// Beyond so many hosts, those that have not sent for a while are forgotten.
const HOSTS_MAX: usize = 100_000;

/// The rates of all hosts.
#[derive(Debug)]
pub struct Pace(DefaultKeyedRateLimiter<HostId>);

impl Default for Pace {
    fn default() -> Self {
        let quota = Quota::per_second(RECORDS_PER_SECOND).allow_burst(RECORDS_AT_ONCE);
        Self(RateLimiter::keyed(quota))
    }
}

impl Pace {
    /// Waits until so many records of a host may come.
    pub async fn records(&self, host: HostId, count: u32) {
        let Some(count) = NonZeroU32::new(count) else {
            return;
        };
        if self.0.len() > HOSTS_MAX {
            self.0.retain_recent();
        }
        // A batch that was decoded holds fewer than may come at once.
        self.0.until_key_n_ready(&host, count).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_host_that_sent_all_that_it_may_waits_and_another_does_not() {
        let pace = Pace::default();
        let [greedy, modest] = [1, 2].map(|number| HostId::of_identity_spki(&[number]));
        pace.records(greedy, RECORDS_AT_ONCE.get()).await;
        let more = timeout(Duration::from_millis(50), pace.records(greedy, 1_000)).await;
        assert!(more.is_err(), "a second's records came at once");
        timeout(Duration::from_secs(60), pace.records(modest, 1_000))
            .await
            .unwrap();
    }
}
