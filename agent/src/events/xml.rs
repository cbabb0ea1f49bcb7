//! An event's XML, as `EvtRender` and readers of .evtx files make it, as a hit.
//!
//! Every element may be missing, and all text is hostile: nothing is expanded but character references and the five
//! entities that XML itself has; what is too large is cut; a document type is refused.

mod elements;
#[cfg(test)]
pub(in crate::events) mod tests;

use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::events::Event;
use tidemark_model::Timestamp;
use tidemark_model::event::LogRecord;
use tidemark_model::sample::EventHit;
use tidemark_proto::convert::record::{
    EVENT_BINARY_BYTES_MAX, EVENT_TEXT_CHARS_MAX, EVENT_XML_BYTES_MAX,
};

use super::{meaning, packet};
use elements::{Elements, Found};

/// Longest XML that is read, in bytes: a record of a log is at most 64 KiB, and escaping can make it six times that.
pub const READ_BYTES_MAX: usize = 1024 * 1024;
/// Deepest element that is read; what manifests define is at most a handful deep.
pub const DEPTH_MAX: usize = 64;

/// Source of an event that does not name it.
const SOURCE_UNKNOWN: &str = "unknown";

/// Why an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventXmlError {
    /// Longer than any event is.
    #[error("the event's XML has {size_bytes} bytes; at most {READ_BYTES_MAX} are read")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// Elements within elements without end.
    #[error("the event's XML is nested deeper than {DEPTH_MAX} elements")]
    TooDeep,
    /// It declares a document type, which no event has and which could declare entities.
    #[error("the event's XML declares a document type, which no event does")]
    DocumentType,
    /// Not XML.
    #[error("the event's XML is malformed")]
    Malformed(#[source] quick_xml::Error),
    /// XML, but something else.
    #[error("the XML is no event: its outermost element is not Event, or it ends before that does")]
    NoEvent,
}

/// What the XML itself does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When it was read: stands in for a missing time.
    pub read_at: Timestamp,
    /// When its log was created, in unix milliseconds; 0 where that is unknown.
    pub log_epoch: i64,
}

/// The hit that an event's XML describes.
///
/// # Errors
/// When it is no event at all; a missing part is no error.
pub fn parse(xml: &str, reading: Reading) -> Result<EventHit, EventXmlError> {
    if xml.len() > READ_BYTES_MAX {
        return Err(EventXmlError::TooLarge {
            size_bytes: xml.len(),
        });
    }
    // Some readers put a byte order mark in front.
    let found = read(xml.trim_start_matches('\u{feff}'))?;
    Ok(hit(found, xml, reading))
}

fn read(xml: &str) -> Result<Found, EventXmlError> {
    let mut reader = Reader::from_str(xml);
    let mut elements = Elements::default();
    loop {
        match reader.read_event().map_err(EventXmlError::Malformed)? {
            Event::Start(start) => {
                if elements.depth() >= DEPTH_MAX {
                    return Err(EventXmlError::TooDeep);
                }
                elements.open(&start);
            }
            Event::Empty(start) => {
                elements.open(&start);
                elements.close();
            }
            Event::End(_) => elements.close(),
            Event::Text(text) => elements.text(&text),
            Event::CData(text) => elements.text(&text),
            Event::GeneralRef(reference) => elements.reference(&reference),
            Event::DocType(_) => return Err(EventXmlError::DocumentType),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => return elements.finish().ok_or(EventXmlError::NoEvent),
        }
    }
}

fn hit(found: Found, xml: &str, reading: Reading) -> EventHit {
    let source = found.source.or(found.source_alias);
    let source: Arc<str> = source.as_deref().unwrap_or(SOURCE_UNKNOWN).into();
    let code = found.code.unwrap_or(0);
    let binary = found
        .binary
        .and_then(|text| packet::bytes_of_hex(&text, EVENT_BINARY_BYTES_MAX))
        .filter(|binary| !binary.is_empty());
    let driver = binary
        .as_deref()
        .and_then(|binary| packet::decode(binary, code));
    let text = meaning::text(&source, code, &found.data, found.message.as_deref());
    EventHit {
        at: found.at.unwrap_or(reading.read_at),
        code,
        count: 1,
        text: text
            .chars()
            .take(EVENT_TEXT_CHARS_MAX)
            .collect::<String>()
            .into(),
        source,
        log: Some(Box::new(LogRecord {
            channel: found.channel.map(Arc::from),
            log_epoch: reading.log_epoch,
            record_id: found.record_id,
            computer: found.computer.map(Arc::from),
            level: found.level,
            qualifiers: found.qualifiers,
            process_id: found.process_id,
            thread_id: found.thread_id,
            data: found.data,
            binary: binary.map(Arc::from),
            error_code: driver.map(|driver| driver.error_code),
            final_status: driver.map(|driver| driver.final_status),
            xml: xml
                .get(..xml.floor_char_boundary(EVENT_XML_BYTES_MAX))
                .map(Arc::from),
        })),
    }
}
