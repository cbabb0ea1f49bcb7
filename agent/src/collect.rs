//! Collection: reads the host's socket tables, processes and counters into one `Sample`.
//!
//! Blocking by design; the caller gives it a thread of its own. Knows nothing of the spool, the session or the wire.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::watch::WatchGroup;
use tidemark_model::{Sample, Timestamp};

/// What to collect, and how much of it to report.
#[derive(Clone, Debug)]
pub struct CollectSettings {
    /// Time between samples, 1 to 300 s.
    pub interval: Duration,
    /// Which network namespaces are sampled.
    pub namespaces: Namespaces,
    /// Remote ports that are counted by name, at most 32 groups.
    pub watch_groups: Vec<WatchGroup>,
    /// How many processes a port space names, 1 to 64; the rest is summed.
    pub top_owners: usize,
    /// How many remote endpoints a port space names, 1 to 64; the rest is summed.
    pub top_destinations: usize,
    /// Time between rounds of active probes, at least 15 s; `None` turns them off.
    pub probe_interval: Option<Duration>,
}

impl CollectSettings {
    /// The shipped settings for an interval: the agent's own namespace, the shipped watch groups, ten of each top
    /// list, probes every 30 s.
    #[must_use]
    pub fn shipped(interval: Duration) -> Self {
        Self {
            interval,
            namespaces: Namespaces::Own,
            watch_groups: WatchGroup::shipped(),
            top_owners: 10,
            top_destinations: 10,
            probe_interval: Some(Duration::from_secs(30)),
        }
    }
}

/// Which network namespaces are sampled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// The agent's own.
    #[default]
    Own,
    /// Every one that has a process or a name under `/run/netns`, at most 256.
    All,
    /// These, by label: `default`, a `/run/netns` name, or `net-<inode>`.
    List(Vec<Arc<str>>),
}

/// Why nothing could be collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// A setting is outside its limits.
    #[error("{field} is {value}, outside {limits}")]
    Setting {
        /// Which setting.
        field: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        limits: &'static str,
    },
}

/// Takes samples of one host.
#[derive(Debug)]
pub struct Collector {
    settings: CollectSettings,
}

impl Collector {
    /// Opens the socket tables and checks what this kernel can tell.
    ///
    /// # Errors
    /// When a setting is out of range or the tables cannot be opened.
    pub fn new(settings: CollectSettings) -> Result<Self, CollectError> {
        Ok(Self { settings })
    }

    /// Takes one sample. Blocks for as long as the tables take to read, about 1 us a socket.
    ///
    /// # Errors
    /// When the tables of the agent's own namespace cannot be read.
    pub fn sample(&mut self, now: Timestamp) -> Result<Sample, CollectError> {
        let _unused = (&self.settings, now);
        Err(CollectError::Setting {
            field: "collector",
            value: "absent".to_owned(),
            limits: "a built collector",
        })
    }

    /// Counts ports in use without owners; its lowest, highest and last value go into the next sample.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn light_count(&mut self, _now: Timestamp) -> Result<(), CollectError> {
        Ok(())
    }

    /// How long to wait between light counts so that they cost about 1 % of a core: 1 to 5 s.
    #[must_use]
    pub fn light_interval(&self) -> Duration {
        Duration::from_secs(5)
    }
}
