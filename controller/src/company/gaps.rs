//! Hosts of which the detectors here have seen less than is stored: an agent delivers at once what it kept during an outage, and
//! other controllers are told of its newest sample alone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidemark_model::{HostId, Timestamp};

/// Two samples that are further apart have others between them that are worth a look, in milliseconds: what is older than two hours is
/// seen five minutes at a time anyway.
pub(super) const GAP_MS: i64 = 300_000;

/// After the last gap of a host what it had kept has been delivered, and is read once, not once for each part of it.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// The hosts, and when their last gap was heard of. At most one entry a host.
#[derive(Debug, Default)]
pub struct Gaps {
    heard_at: Mutex<HashMap<HostId, Timestamp>>,
}

impl Gaps {
    /// There was a gap between two samples of a host, as was heard at `now`.
    pub fn note(&self, host: HostId, now: Timestamp) {
        let mut heard_at = self.heard_at.lock().unwrap_or_else(PoisonError::into_inner);
        heard_at.insert(host, now);
    }

    /// The hosts whose samples have all been delivered by `now`; they are off the list.
    #[must_use]
    pub fn take_settled(&self, now: Timestamp) -> Vec<HostId> {
        let mut heard_at = self.heard_at.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not make it wait for hours.
        let is_settled = |at: Timestamp| {
            u128::from(now.ms_since(at).unsigned_abs()) >= SETTLED_AFTER.as_millis()
        };
        heard_at
            .extract_if(|_, at| is_settled(*at))
            .map(|(host, _)| host)
            .collect()
    }
}
