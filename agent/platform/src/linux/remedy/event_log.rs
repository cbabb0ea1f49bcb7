//! Entries of the system's log: syslog's socket, which journald listens on as well (RFC 3164 form).

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tidemark_model::action::spec::EventLevel;

use crate::remedy_facts::{EventEntry, RemedyError};

const SOCKET: &str = "/dev/log";
/// Facility `daemon` (3), shifted as in the priority's encoding.
const DAEMON: u8 = 3 << 3;

/// Where it would go.
///
/// # Errors
/// [`RemedyError::Unsupported`] when nobody listens for log entries.
pub fn look(entry: &EventEntry<'_>) -> Result<String, RemedyError> {
    connect(Path::new(SOCKET))?;
    Ok(format!("system log, as {}", identifier(entry)))
}

/// Writes it.
///
/// # Errors
/// When the log does not take it.
pub fn write(entry: &EventEntry<'_>) -> Result<(), RemedyError> {
    write_to(Path::new(SOCKET), entry)
}

fn write_to(socket: &Path, entry: &EventEntry<'_>) -> Result<(), RemedyError> {
    let severity = match entry.level {
        EventLevel::Error => 3,
        EventLevel::Warning => 4,
        EventLevel::Information => 6,
    };
    // One entry is one line: a line break would begin another one in the log's files.
    let text = entry.text.replace('\n', " ");
    let line = format!(
        "<{}>{}: event {}: {text}",
        DAEMON | severity,
        identifier(entry),
        entry.id
    );
    connect(socket)?
        .send(line.as_bytes())
        .map(drop)
        .map_err(|error| RemedyError::Failed(format!("the system log does not take it: {error}")))
}

fn connect(path: &Path) -> Result<UnixDatagram, RemedyError> {
    let nobody = |error: std::io::Error| {
        RemedyError::Unsupported(format!(
            "nobody listens for log entries at {}: {error}",
            path.display()
        ))
    };
    let socket = UnixDatagram::unbound().map_err(nobody)?;
    socket.connect(path).map_err(nobody)?;
    Ok(socket)
}

fn identifier<'a>(entry: &EventEntry<'a>) -> &'a str {
    entry.source.or(entry.log).unwrap_or("tidemark")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_arrives_as_one_line_with_its_severity() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = UnixDatagram::bind(&path).unwrap();
        let entry = EventEntry {
            log: None,
            source: None,
            id: 5001,
            level: EventLevel::Error,
            text: "ports above 30000\nsecond",
        };
        write_to(&path, &entry).unwrap();
        let mut buffer = [0; 256];
        let bytes = log.recv(&mut buffer).unwrap();
        let line = String::from_utf8_lossy(&buffer[..bytes]).into_owned();
        assert_eq!(line, "<27>tidemark: event 5001: ports above 30000 second");
    }

    #[test]
    fn a_host_without_a_log_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let missing = connect(&folder.path().join("log")).unwrap_err();
        assert!(matches!(missing, RemedyError::Unsupported(_)));
    }
}
