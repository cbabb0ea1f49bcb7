//! Diagnosis of one host without a controller: what is looked at, and the report on it.
//!
//! Needs no port of its own, so that it works where none is left.

mod html;
mod report;
mod saved;
mod text;
mod watch;

use std::collections::BTreeSet;

use tidemark_diagnose::Situation;

pub use report::{Report, SpaceLine, Verdict};
pub use saved::{SavedError, read_samples, sample_with_host};
pub use watch::{Watch, watch};

/// What was looked at.
#[derive(Clone, Debug)]
pub struct Looked {
    /// What it shows.
    pub situation: Situation,
    /// Name of the host; hostile text.
    pub host: String,
    /// Where it comes from.
    pub source: Source,
    /// What could not be seen, one sentence each.
    pub not_seen: Vec<String>,
}

/// Where the samples and events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// This host, at this moment.
    Live,
    /// Samples that were saved.
    Snapshot,
    /// A saved event log alone.
    Log,
}

impl Looked {
    /// Nothing yet, of a host with that system.
    #[must_use]
    pub fn nothing(host: &str, os: &str, source: Source) -> Self {
        let mut situation = Situation::new(os);
        situation.capabilities = BTreeSet::new();
        Self {
            situation,
            host: host.to_owned(),
            source,
            not_seen: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
