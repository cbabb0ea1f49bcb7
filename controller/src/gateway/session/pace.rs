//! How many records hosts may send, whatever sessions they send them in.

use std::num::NonZeroU32;

use tidemark_model::HostId;

use crate::fair::Rates;
use crate::fair::rates::quota;

/// Records a second that a host may send over time, and at once: at an interval of 30 s a month takes two minutes, and one host that
/// has too much to say leaves the database to the others.
const RECORDS: (NonZeroU32, NonZeroU32) = quota(1_000, 16_384);

/// Beyond so many hosts, those that have not sent for a while are forgotten.
const HOSTS_MAX: usize = 100_000;

/// The rates of all hosts.
#[derive(Debug)]
pub struct Pace(Rates<HostId>);

impl Default for Pace {
    fn default() -> Self {
        Self(Rates::per_second(RECORDS).remembering(HOSTS_MAX))
    }
}

impl Pace {
    /// Waits until so many records of a host may come.
    pub async fn records(&self, host: HostId, count: u32) {
        // A batch that was decoded holds fewer than may come at once.
        if let Some(count) = NonZeroU32::new(count) {
            self.0.wait(&host, count).await;
        }
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
        pace.records(greedy, RECORDS.1.get()).await;
        let more = timeout(Duration::from_millis(50), pace.records(greedy, 1_000)).await;
        assert!(more.is_err(), "a second's records came at once");
        timeout(Duration::from_secs(60), pace.records(modest, 1_000))
            .await
            .unwrap();
    }
}
