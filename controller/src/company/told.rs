//! What a controller tells of a host beside its newest sample.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemark_model::view::DeliveryView;
use tidemark_model::{Sample, Timestamp};

use super::gaps::GAP_MS;
use crate::live::{Delivery, Elsewhere, HostLive, Refusals};

/// As it is stored. What another release adds is left out, and what it does not say is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// When the host was last heard, by the clock of the controller that tells.
    heard_ms: Option<i64>,
    /// The host's clock less that controller's.
    skew_ms: Option<i64>,
    /// When the newest sample was taken, by the controller's clock.
    sampled_ms: Option<i64>,
    /// When the newest audit was taken.
    audited_ms: Option<i64>,
    /// When its certificate ends.
    certificate_ms: Option<i64>,
    /// Whether its agent takes actions.
    takes_actions: Option<bool>,
    /// Ports that its system refused since that controller started.
    refused: Refusals,
    /// What became of its records.
    delivery: DeliveryView,
}

impl Told {
    /// What there is to tell of a host.
    pub fn of(host: &HostLive, takes_actions: Option<bool>) -> Self {
        let certificate = host.profile.certificate_expires_at;
        Self {
            heard_ms: host.last_seen.map(Timestamp::unix_ms),
            skew_ms: host.clock_skew_ms,
            sampled_ms: host.newest.as_ref().map(|(at, _)| at.unix_ms()),
            audited_ms: host.facts.audited_at().map(Timestamp::unix_ms),
            certificate_ms: certificate.map(Timestamp::unix_ms),
            takes_actions,
            refused: host.refused,
            delivery: host.delivery.view(),
        }
    }

    /// When the newest audit was taken.
    pub fn audited_at(&self) -> Option<Timestamp> {
        self.audited_ms.map(Timestamp::from_unix_ms)
    }

    /// The session that it is told of, at that controller.
    pub fn elsewhere(&self, controller: &Arc<str>, session: String) -> Elsewhere {
        Elsewhere {
            controller: Arc::clone(controller),
            session: session.into(),
            takes_actions: self.takes_actions,
            refused: self.refused,
        }
    }

    /// Takes in what was told of a host whose session at that controller was known as `before`; says whether other samples came
    /// before this one that were not told.
    #[must_use]
    pub fn apply(
        self,
        host: &mut HostLive,
        sample: Option<Sample>,
        before: Option<&Elsewhere>,
    ) -> bool {
        let heard = self.heard_ms.map(Timestamp::from_unix_ms);
        host.last_seen = host.last_seen.max(heard);
        host.clock_skew_ms = self.skew_ms.or(host.clock_skew_ms);
        host.delivery = Delivery::of_view(&self.delivery);
        let certificate = self.certificate_ms.map(Timestamp::from_unix_ms);
        host.profile.certificate_expires_at = certificate.or(host.profile.certificate_expires_at);
        // What was refused before this was first heard may be weeks old.
        if let Some(before) = before {
            host.refusals.add_since(self.refused, before.refused);
        }
        let Some((at, sample)) = self.sampled_ms.map(Timestamp::from_unix_ms).zip(sample) else {
            return false;
        };
        // What is known may be of the stored history alone.
        let known = host.sampled_at();
        let is_news = host.newest.as_ref().is_none_or(|(newest, _)| *newest < at);
        if is_news {
            host.take_sample(at, Arc::new(sample));
        }
        known.is_some_and(|known| at.ms_since(known) > GAP_MS)
    }
}
