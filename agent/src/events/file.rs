//! Events of a saved log (.evtx), on every system: for a person at a sick server, or far from it.

use std::path::{Path, PathBuf};

use evtx::{EvtxParser, ParserSettings};
use tidemark_model::Timestamp;
use tidemark_model::sample::EventHit;

use super::xml::{self, Reading};

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventFileError {
    /// It cannot be opened, or it is no event log.
    #[error("{path} cannot be read as an event log (.evtx)", path = .path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<evtx::err::EvtxError>,
    },
}

/// Events of a log, the newest of them, however many the log holds.
#[derive(Debug)]
pub struct LogHits {
    hits: Vec<EventHit>,
    newest_max: usize,
    /// Older ones that were left out.
    pub left_out: u64,
    /// Records that are damaged or could not be understood, and are left out.
    pub unreadable: u64,
}

impl LogHits {
    /// Room for at most `newest_max` events, at least one.
    #[must_use]
    pub fn new(newest_max: usize) -> Self {
        Self {
            hits: Vec::new(),
            newest_max: newest_max.max(1),
            left_out: 0,
            unreadable: 0,
        }
    }

    /// Adds an event; from time to time the oldest ones go.
    pub fn push(&mut self, hit: EventHit) {
        self.hits.push(hit);
        if self.hits.len() >= self.newest_max.saturating_mul(2) {
            self.leave_out_oldest();
        }
    }

    /// The events, in the order of their records.
    #[must_use]
    pub fn into_sorted(mut self) -> Self {
        self.leave_out_oldest();
        self
    }

    /// The events that are there.
    #[must_use]
    pub fn hits(&self) -> &[EventHit] {
        &self.hits
    }

    fn leave_out_oldest(&mut self) {
        self.hits
            .sort_by_key(|hit| hit.log.as_ref().and_then(|log| log.record_id));
        let older = self.hits.len().saturating_sub(self.newest_max);
        self.hits.drain(..older);
        self.left_out += older as u64;
    }
}

/// Reads the newest of a file's events that `is_wanted` wants.
///
/// # Errors
/// When it is no event log at all; damaged parts are counted and left out.
pub fn read(
    path: &Path,
    read_at: Timestamp,
    newest_max: usize,
    is_wanted: impl Fn(&EventHit) -> bool,
) -> Result<LogHits, EventFileError> {
    let settings = ParserSettings::new().indent(false).num_threads(1);
    let mut parser = EvtxParser::from_path(path)
        .map_err(|source| EventFileError::Open {
            path: path.to_owned(),
            source: Box::new(source),
        })?
        .with_configuration(settings);
    let reading = Reading {
        read_at,
        log_epoch: 0,
    };
    let mut found = LogHits::new(newest_max);
    for record in parser.records() {
        match record.map(|record| xml::parse(&record.data, reading)) {
            Ok(Ok(hit)) if is_wanted(&hit) => found.push(hit),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "a record cannot be understood");
                found.unreadable += 1;
            }
            Err(error) => {
                tracing::debug!(%error, "a record is damaged");
                found.unreadable += 1;
            }
        }
    }
    Ok(found.into_sorted())
}

#[cfg(test)]
mod tests;
