//! What is known of a host when it is diagnosed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemark_model::audit::HostAudit;
use tidemark_model::forecast::Forecast;
use tidemark_model::host::Capability;
use tidemark_model::sample::EventHit;
use tidemark_model::{PortSpaceKey, Sample};

/// Samples that are looked at, the newest; more cost time and say no more.
pub const SAMPLES_MAX: usize = 240;

/// Which system the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Os {
    /// Ports are handed out one a socket, whatever the destination.
    Windows,
    /// Ports are shared by connections to different destinations.
    Linux,
}

impl Os {
    /// By the name that an agent states, as in `Windows Server 2019 (17763.5122)`.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        if name.starts_with("Windows") {
            Self::Windows
        } else {
            Self::Linux
        }
    }
}

/// What is known of a host.
#[derive(Clone, Debug)]
pub struct Situation {
    /// Which system.
    pub os: Os,
    /// Its name with build and revision, as the agent states it.
    pub os_name: Arc<str>,
    /// What its agent can see.
    pub capabilities: BTreeSet<Capability>,
    /// Samples of a window of time in any order; none where only a log is at hand. The newest [`SAMPLES_MAX`] count.
    pub samples: Vec<Sample>,
    /// What the detector says, where it knows more than the window.
    pub trends: BTreeMap<PortSpaceKey, Forecast>,
    /// Events of its log, in any order.
    pub events: Vec<EventHit>,
    /// How the host is set; `None` where nobody read it.
    pub audit: Option<HostAudit>,
    /// Median handles of the last seven days, by process image; empty where nobody keeps them.
    pub handle_medians: BTreeMap<Arc<str>, u32>,
    /// Other hosts that leak; `None` where they are not known.
    pub peers: Option<Vec<Peer>>,
}

/// Another host that leaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its name.
    pub host: Arc<str>,
    /// Which process or endpoint is to blame.
    pub culprit: Arc<str>,
    /// How fast its floor rises.
    pub floor_ports_per_hour: f64,
}

impl Situation {
    /// A host of which nothing is known yet but its system.
    #[must_use]
    pub fn new(os_name: &str) -> Self {
        Self {
            os: Os::of_name(os_name),
            os_name: os_name.into(),
            capabilities: BTreeSet::new(),
            samples: Vec::new(),
            trends: BTreeMap::new(),
            events: Vec::new(),
            audit: None,
            handle_medians: BTreeMap::new(),
            peers: None,
        }
    }

    /// Its samples, oldest first, one an instant.
    pub(crate) fn ordered_samples(&self) -> Vec<&Sample> {
        let mut samples: Vec<&Sample> = self.samples.iter().collect();
        samples.sort_by_key(|sample| sample.at);
        samples.dedup_by_key(|sample| sample.at);
        samples.split_off(samples.len().saturating_sub(SAMPLES_MAX))
    }

    /// Whether its agent can see that.
    #[must_use]
    pub fn can_see(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}
