//! Events for the wire and back. The sender cuts and mends what is too large; the receiver refuses it.

use std::sync::Arc;

use tidemark_model::event::{EventDatum, LogRecord};
use tidemark_model::sample::EventHit;

use crate::convert::names::{NameReader, NameWriter};
use crate::convert::{ConvertError, at_most, cut_chars, list_at_most, time_from_wire};
use crate::v1;

/// Characters of an event's text that are kept.
pub const EVENT_TEXT_CHARS_MAX: usize = 1024;
/// Bytes of an event's source, and of the names of its log and computer.
pub const EVENT_SOURCE_BYTES_MAX: usize = 255;
/// Values of an event that are kept; those behind them are in its XML.
pub const EVENT_DATA_MAX: usize = 64;
/// Bytes of one value or its name.
pub const EVENT_DATUM_BYTES_MAX: usize = 4 * 1024;
/// Bytes of the binary part; a driver's packet has at most 240 (`ERROR_LOG_MAXIMUM_SIZE`).
pub const EVENT_BINARY_BYTES_MAX: usize = 4 * 1024;
/// Bytes of the record as the system rendered it.
pub const EVENT_XML_BYTES_MAX: usize = 32 * 1024;

/// Largest record id: databases have no unsigned integers.
const RECORD_ID_MAX: u64 = i64::MAX as u64;

pub(super) fn event_to_wire(event: &EventHit, names: &mut NameWriter) -> v1::Event {
    v1::Event {
        at_ms: event.at.unix_ms(),
        source: intern(names, &event.source),
        code: event.code,
        count: event.count,
        text: without_nul(cut_chars(&event.text, EVENT_TEXT_CHARS_MAX)),
        log: event.log.as_deref().map(|log| log_to_wire(log, names)),
    }
}

/// Calls `rename` on every name number of an event, in a fixed order.
pub(super) fn each_event_name(event: &mut v1::Event, mut rename: impl FnMut(&mut u32)) {
    rename(&mut event.source);
    if let Some(log) = &mut event.log {
        rename(&mut log.channel);
        rename(&mut log.computer);
    }
}

fn log_to_wire(log: &LogRecord, names: &mut NameWriter) -> v1::LogRecord {
    let name = |names: &mut NameWriter, name: &Option<Arc<str>>| {
        name.as_deref().map_or(0, |name| intern(names, name))
    };
    v1::LogRecord {
        channel: name(names, &log.channel),
        log_epoch: log.log_epoch,
        record_id: log.record_id.filter(|id| *id <= RECORD_ID_MAX),
        computer: name(names, &log.computer),
        level: log.level.map(u32::from),
        qualifiers: log.qualifiers.map(u32::from),
        process_id: log.process_id,
        thread_id: log.thread_id,
        data: log
            .data
            .iter()
            .take(EVENT_DATA_MAX)
            .map(datum_to_wire)
            .collect(),
        binary: log.binary.as_deref().map(|binary| {
            let kept = binary.len().min(EVENT_BINARY_BYTES_MAX);
            binary.get(..kept).unwrap_or_default().to_vec()
        }),
        error_code: log.error_code,
        final_status: log.final_status,
        xml: log
            .xml
            .as_deref()
            .map(|xml| without_nul(cut_bytes(xml, EVENT_XML_BYTES_MAX))),
    }
}

fn datum_to_wire(datum: &EventDatum) -> v1::EventDatum {
    let name = datum.name.as_deref().unwrap_or_default();
    v1::EventDatum {
        name: without_nul(cut_bytes(name, EVENT_SOURCE_BYTES_MAX)),
        value: without_nul(cut_bytes(&datum.value, EVENT_DATUM_BYTES_MAX)),
    }
}

fn intern(names: &mut NameWriter, name: &str) -> u32 {
    names
        .intern(cut_bytes(name, EVENT_SOURCE_BYTES_MAX))
        .unwrap_or_default()
}

fn cut_bytes(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or(text)
}

/// Databases cannot hold NULs.
fn without_nul(text: &str) -> String {
    text.replace('\0', "?")
}

pub(super) fn event_from_wire(
    event: &v1::Event,
    names: &NameReader,
) -> Result<EventHit, ConvertError> {
    let source: Arc<str> = names.required("event.source", event.source)?;
    list_at_most("event.source bytes", source.len(), EVENT_SOURCE_BYTES_MAX)?;
    if event.count == 0 {
        return Err(ConvertError::Missing {
            field: "event.count",
        });
    }
    list_at_most(
        "event.text characters",
        event.text.chars().count(),
        EVENT_TEXT_CHARS_MAX,
    )?;
    Ok(EventHit {
        at: time_from_wire("event.at_ms", event.at_ms)?,
        source,
        code: event.code,
        count: event.count,
        text: legal_text("event.text", &event.text)?,
        log: event
            .log
            .as_ref()
            .map(|log| log_from_wire(log, names).map(Box::new))
            .transpose()?,
    })
}

fn log_from_wire(log: &v1::LogRecord, names: &NameReader) -> Result<LogRecord, ConvertError> {
    let name = |field, number| {
        let name = names.optional(field, number)?;
        let bytes = name.as_deref().map_or(0, str::len);
        list_at_most(field, bytes, EVENT_SOURCE_BYTES_MAX)?;
        Ok(name)
    };
    // Checked as a time is: it stands in keys.
    time_from_wire("event.log.log_epoch", log.log_epoch)?;
    at_most(
        "event.log.record_id",
        log.record_id.unwrap_or(0),
        RECORD_ID_MAX,
    )?;
    list_at_most("event.log.data", log.data.len(), EVENT_DATA_MAX)?;
    let binary = log.binary.as_deref();
    list_at_most(
        "event.log.binary bytes",
        binary.map_or(0, <[u8]>::len),
        EVENT_BINARY_BYTES_MAX,
    )?;
    let xml = log.xml.as_deref();
    list_at_most(
        "event.log.xml bytes",
        xml.map_or(0, str::len),
        EVENT_XML_BYTES_MAX,
    )?;
    Ok(LogRecord {
        channel: name("event.log.channel", log.channel)?,
        log_epoch: log.log_epoch,
        record_id: log.record_id,
        computer: name("event.log.computer", log.computer)?,
        level: narrow("event.log.level", log.level)?,
        qualifiers: narrow("event.log.qualifiers", log.qualifiers)?,
        process_id: log.process_id,
        thread_id: log.thread_id,
        data: log
            .data
            .iter()
            .map(datum_from_wire)
            .collect::<Result<_, _>>()?,
        binary: binary.map(Arc::from),
        error_code: log.error_code,
        final_status: log.final_status,
        xml: xml
            .map(|xml| legal_text("event.log.xml", xml))
            .transpose()?,
    })
}

fn datum_from_wire(datum: &v1::EventDatum) -> Result<EventDatum, ConvertError> {
    list_at_most(
        "event.log.data name bytes",
        datum.name.len(),
        EVENT_SOURCE_BYTES_MAX,
    )?;
    list_at_most(
        "event.log.data value bytes",
        datum.value.len(),
        EVENT_DATUM_BYTES_MAX,
    )?;
    let name = legal_text("event.log.data name", &datum.name)?;
    Ok(EventDatum {
        name: (!name.is_empty()).then_some(name),
        value: legal_text("event.log.data value", &datum.value)?,
    })
}

/// A number of a narrower type; absent stays absent.
fn narrow<N: TryFrom<u32> + Bounded>(
    field: &'static str,
    value: Option<u32>,
) -> Result<Option<N>, ConvertError> {
    value
        .map(|value| {
            N::try_from(value).map_err(|_| ConvertError::OutOfRange {
                field,
                value: value.into(),
                limit: N::LIMIT,
            })
        })
        .transpose()
}

/// The largest value of a type, for the text of a refusal.
trait Bounded {
    const LIMIT: u64;
}

impl Bounded for u8 {
    const LIMIT: u64 = 0xff;
}

impl Bounded for u16 {
    const LIMIT: u64 = 0xffff;
}

fn legal_text(field: &'static str, text: &str) -> Result<Arc<str>, ConvertError> {
    if text.contains('\0') {
        return Err(ConvertError::Malformed {
            field,
            reason: "it holds a NUL",
        });
    }
    Ok(text.into())
}
