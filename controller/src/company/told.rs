//! What a controller tells of a host beside its newest sample.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemark_model::delivery::{GapReason, SpoolCounts};
use tidemark_model::{Protocol, Sample, Timestamp};

use crate::live::{Delivery, HostLive, Refusals};

/// As it is stored. What another release adds is left out, and what it does not say is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// When the host was last heard, by the clock of the controller that tells.
    pub heard_ms: Option<i64>,
    /// The host's clock less that controller's.
    pub skew_ms: Option<i64>,
    /// When the newest sample was taken, by the controller's clock.
    pub sampled_ms: Option<i64>,
    /// When the newest audit was taken.
    pub audited_ms: Option<i64>,
    refused_tcp: u32,
    refused_udp: u32,
    stored: u64,
    dropped: BTreeMap<String, u64>,
    duplicates: u64,
    spool: Option<SpoolCounts>,
}

impl Told {
    /// What there is to tell of a host.
    pub fn of(host: &HostLive) -> Self {
        let Delivery {
            stored,
            dropped,
            duplicates,
            spool,
        } = &host.delivery;
        Self {
            heard_ms: host.last_seen.map(Timestamp::unix_ms),
            skew_ms: host.clock_skew_ms,
            sampled_ms: host.newest.as_ref().map(|(at, _)| at.unix_ms()),
            audited_ms: host.facts.audited_at().map(Timestamp::unix_ms),
            refused_tcp: host.untold.of(Protocol::Tcp),
            refused_udp: host.untold.of(Protocol::Udp),
            stored: *stored,
            dropped: dropped
                .iter()
                .map(|(reason, records)| ((*reason).to_owned(), *records))
                .collect(),
            duplicates: *duplicates,
            spool: *spool,
        }
    }

    /// Takes in what was told of a host.
    pub fn apply(self, host: &mut HostLive, sample: Option<Sample>) {
        let heard = self.heard_ms.map(Timestamp::from_unix_ms);
        host.last_seen = host.last_seen.max(heard);
        host.clock_skew_ms = self.skew_ms.or(host.clock_skew_ms);
        host.delivery = self.delivery();
        let Some((at, sample)) = self.sampled_ms.map(Timestamp::from_unix_ms).zip(sample) else {
            return;
        };
        let is_news = host.newest.as_ref().is_none_or(|(newest, _)| *newest < at);
        if is_news {
            host.refusals = self.refusals();
            host.take_sample(at, Arc::new(sample));
        }
    }

    /// Ports that were refused since the sample that was told before.
    pub fn refusals(&self) -> Refusals {
        let mut refusals = Refusals::default();
        refusals.add(Protocol::Tcp, self.refused_tcp);
        refusals.add(Protocol::Udp, self.refused_udp);
        refusals
    }

    fn delivery(&self) -> Delivery {
        let reason = |name: &str| {
            let mut all = GapReason::ALL.iter();
            all.find(|reason| reason.as_str() == name)
        };
        Delivery {
            stored: self.stored,
            dropped: self
                .dropped
                .iter()
                .filter_map(|(name, records)| Some((reason(name)?.as_str(), *records)))
                .collect(),
            duplicates: self.duplicates,
            spool: self.spool,
        }
    }
}
