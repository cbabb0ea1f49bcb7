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

/// What a file holds.
#[derive(Debug, Default)]
pub struct EventFile {
    /// Its events, in the order of their records.
    pub hits: Vec<EventHit>,
    /// Records that are damaged or could not be understood, and are left out.
    pub unreadable: u64,
}

/// Reads a file's events, of those that `is_wanted` wants.
///
/// # Errors
/// When it is no event log at all; damaged parts are counted and left out.
pub fn read(
    path: &Path,
    read_at: Timestamp,
    is_wanted: impl Fn(&EventHit) -> bool,
) -> Result<EventFile, EventFileError> {
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
    let mut file = EventFile::default();
    for record in parser.records() {
        let hit = record.map(|record| xml::parse(&record.data, reading));
        match hit {
            Ok(Ok(hit)) if is_wanted(&hit) => file.hits.push(hit),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "a record cannot be understood");
                file.unreadable += 1;
            }
            Err(error) => {
                tracing::debug!(%error, "a record is damaged");
                file.unreadable += 1;
            }
        }
    }
    file.hits
        .sort_by_key(|hit| hit.log.as_ref().and_then(|log| log.record_id));
    Ok(file)
}

#[cfg(test)]
mod tests;
