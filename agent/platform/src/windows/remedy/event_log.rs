//! Entries of the Windows event logs, written under a source that the host has registered.

use std::io;
use std::path::Path;

use tidemark_model::action::spec::EventLevel;

use crate::application_message::{Severity, insertable};
use crate::remedy_facts::{EventEntry, RemedyError};
use crate::windows::application_log::{SOURCE, text_in, write_event};
use crate::windows::{registry_read, wine};
use crate::windows_data::event_source_id::{candidates, message_files};

const LOGS: &str = r"SYSTEM\CurrentControlSet\Services\EventLog";
/// Windows alone writes to it.
const SECURITY: &str = "Security";

/// Where an entry goes.
struct Place {
    log: String,
    source: String,
    /// The whole identifier, upper bits included.
    id: u32,
}

/// Where it would go.
///
/// # Errors
/// [`RemedyError::NoSuchTarget`] when the host has no such source in that log: a source is registered by who installs it.
pub fn look(entry: &EventEntry<'_>) -> Result<String, RemedyError> {
    let Place { log, source, id } = place(entry)?;
    Ok(format!("{log} log, source {source}, identifier 0x{id:08X}"))
}

/// Writes it, with its text as the first insertion.
///
/// # Errors
/// As [`look`], and what the log service says.
pub fn write(entry: &EventEntry<'_>) -> Result<(), RemedyError> {
    let Place { source, id, .. } = place(entry)?;
    let text = insertable(entry.text);
    write_event(&source, severity(entry.level), id, [&text, ""])
        .map_err(|error| RemedyError::Failed(format!("the event log does not take it: {error}")))
}

fn place(entry: &EventEntry<'_>) -> Result<Place, RemedyError> {
    if wine::version().is_some() {
        // It says that it took an event, and keeps none.
        return Err(RemedyError::Unsupported(
            "Wine keeps no event log".to_owned(),
        ));
    }
    let source = entry.source.unwrap_or(SOURCE);
    let (log, key) = registered(entry.log, source)?;
    let files = registry_read::text(&key, "EventMessageFile").unwrap_or_default();
    Ok(Place {
        id: identifier(entry, files.as_deref().unwrap_or_default()),
        log,
        source: source.to_owned(),
    })
}

/// The log in which a source is registered, and its key.
fn registered(wanted: Option<&str>, source: &str) -> Result<(String, String), RemedyError> {
    let unreadable =
        |error: io::Error| RemedyError::Failed(format!("the logs cannot be listed: {error}"));
    for log in registry_read::keys_below(LOGS).map_err(unreadable)? {
        let key = format!(r"{LOGS}\{log}\{source}");
        match registry_read::keys_below(&key) {
            Ok(_) if log.eq_ignore_ascii_case(SECURITY) => {
                return Err(RemedyError::NoSuchTarget(format!(
                    "{source} writes to the log {SECURITY}, which Windows lets nobody else write"
                )));
            }
            Ok(_) if wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(&log)) => {
                return Ok((log, key));
            }
            Ok(_) => {
                return Err(RemedyError::NoSuchTarget(format!(
                    "source {source} writes to the log {log}: name that log, or another source"
                )));
            }
            // Others than administrators may not look into some logs' sources.
            Err(_) => {}
        }
    }
    Err(RemedyError::NoSuchTarget(format!(
        "no log of this host has a source {source}; register it first (`New-EventLog -LogName Application -Source {source}`)"
    )))
}

/// The identifier for which the source has a text; that of the severity when it has none for any, so that the viewer shows
/// the number and the text alone.
fn identifier(entry: &EventEntry<'_>, files: &str) -> u32 {
    let severity = severity(entry.level) as u32;
    let has_text =
        |id: &u32| message_files(files).any(|file| text_in(Path::new(file), *id).is_some());
    let mut ids = candidates(entry.id, severity);
    ids.find(has_text)
        .unwrap_or_else(|| (severity << 30) | u32::from(entry.id))
}

const fn severity(level: EventLevel) -> Severity {
    match level {
        EventLevel::Information => Severity::Informational,
        EventLevel::Warning => Severity::Warning,
        EventLevel::Error => Severity::Error,
    }
}
