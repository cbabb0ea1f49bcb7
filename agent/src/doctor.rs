//! Diagnosis of one host without a controller: what is looked at, and the report on it.
//!
//! Needs no port of its own, so that it works where none is left.

mod html;
mod report;
mod saved;
mod text;
mod watch;

use std::collections::BTreeSet;

use std::path::Path;

use tidemark_diagnose::Situation;
use tidemark_model::Timestamp;
use tidemark_model::host::Capability;
use tidemark_runtime::Clock;

use crate::archive::Part;
use crate::events::file::{self, EventFileError};

pub use report::{Report, SpaceLine, Verdict};
pub use saved::{SavedError, read_samples, saved_snapshot};
pub use watch::{Watch, watch};

/// Events that are looked at, the newest.
pub const EVENTS_MAX: usize = 100_000;

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

    /// Adds what a saved event log says that a rule asks for.
    ///
    /// # Errors
    /// When it is no event log at all; damaged parts are counted among what could not be seen.
    pub fn add_saved_log(&mut self, path: &Path, now: Timestamp) -> Result<(), EventFileError> {
        let found = file::read(path, now, EVENTS_MAX, tidemark_diagnose::is_asked_for)?;
        if found.unreadable > 0 {
            self.not_seen.push(format!(
                "{} records of the log are damaged or unknown.",
                found.unreadable
            ));
        }
        self.situation.events = found.hits().to_vec();
        self.situation.capabilities.insert(Capability::Events);
        Ok(())
    }
}

/// What was looked at and the report on it, as files for people and programs.
///
/// # Errors
/// When something in it has no JSON, which is a bug.
pub(crate) fn evidence_parts(looked: Looked) -> serde_json::Result<Vec<Part>> {
    let samples = serde_json::to_vec_pretty(&looked.situation.samples)?;
    let events = serde_json::to_vec_pretty(&looked.situation.events)?;
    let report = Report::of(looked, Clock::System.now());
    let part = |name, content| Part { name, content };
    Ok(vec![
        part("doctor.txt", report.to_text().into_bytes()),
        part("doctor.json", report.to_json()?.into_bytes()),
        part("doctor.html", report.to_html().into_bytes()),
        part("snapshot.json", samples),
        part("events.json", events),
    ])
}

#[cfg(test)]
mod tests;
