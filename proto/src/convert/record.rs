//! Records: what a spool holds and a session carries, one sample or one event each.
//!
//! A stored record is self-contained (a `RecordBody` with its own names), so that it can be read after any loss. A session
//! sends batches, whose names and compression build on the batches before.

use prost::Message;
use std::sync::Arc;

use tidemark_model::Sample;
use tidemark_model::sample::EventHit;

use super::names::{NameReader, NameWriter};
use super::sample::{sample_from_wire, sample_to_wire, time_from_wire};
use super::{ConvertError, budget, cut_chars, list_at_most};
use crate::v1;

mod decoder;
mod encoder;
#[cfg(test)]
mod tests;

pub use decoder::{BatchDecoder, DecodedBatch};
pub use encoder::{BatchEncoder, EncodeError, EncodedBatch};

/// Characters of an event's text that are kept.
pub const EVENT_TEXT_CHARS_MAX: usize = 1024;
/// Bytes of an event's source.
pub const EVENT_SOURCE_BYTES_MAX: usize = 255;

/// One record of a spool.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are samples; a box would cost each of them an allocation"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// What an agent saw at one instant.
    Sample(Sample),
    /// What the host's log reported.
    Event(EventHit),
}

/// What one batch may hold; a session's are in its `Welcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records of a batch.
    pub records_max: u32,
    /// Bytes of a batch's uncompressed `RecordBody`.
    pub bytes_max: u32,
}

/// How far back the compression of a batch reaches into the body of the batch before, in bytes from its end. It makes a
/// steady host's samples two thirds smaller, and costs the controller as much memory a session.
const PREFIX_BYTES_MAX: usize = 8 * 1024;

/// The part of a body that the next batch is compressed against.
fn prefix_of(body: &[u8]) -> &[u8] {
    body.get(body.len().saturating_sub(PREFIX_BYTES_MAX)..)
        .unwrap_or(body)
}

/// A record as the spool keeps it. Texts are cut to their limits.
#[must_use]
pub fn encode_stored(record: &Record) -> Vec<u8> {
    let mut names = NameWriter::default();
    let kind = match record {
        Record::Sample(sample) => v1::record::Kind::Sample(sample_to_wire(sample, &mut names)),
        Record::Event(event) => v1::record::Kind::Event(event_to_wire(event, &mut names)),
    };
    let body = v1::RecordBody {
        new_names: names.take_new(),
        reset_names: false,
        records: vec![v1::Record { kind: Some(kind) }],
    };
    body.encode_to_vec()
}

/// A record as the spool kept it.
///
/// # Errors
/// When it is not one legal record.
pub fn decode_stored(stored: &[u8]) -> Result<Record, ConvertError> {
    let stored = StoredRecord::parse(stored)?;
    let mut names = NameReader::default();
    names.extend(stored.names)?;
    record_from_wire(stored.record, &names)
}

/// A stored record with its names, not yet checked further.
struct StoredRecord {
    names: Vec<String>,
    record: v1::Record,
    messages: usize,
}

impl StoredRecord {
    fn parse(stored: &[u8]) -> Result<Self, ConvertError> {
        let messages = budget::check_body(stored)?;
        let malformed = |reason| ConvertError::Malformed {
            field: "stored record",
            reason,
        };
        let body = v1::RecordBody::decode(stored).map_err(|_| malformed("it is not protobuf"))?;
        let mut records = body.records.into_iter();
        match (records.next(), records.next()) {
            (Some(record), None) => Ok(Self {
                names: body.new_names,
                record,
                messages,
            }),
            (None, _) | (Some(_), Some(_)) => Err(malformed("it does not hold one record")),
        }
    }
}

fn record_from_wire(record: v1::Record, names: &NameReader) -> Result<Record, ConvertError> {
    match record.kind {
        Some(v1::record::Kind::Sample(sample)) => {
            sample_from_wire(sample, names).map(Record::Sample)
        }
        Some(v1::record::Kind::Event(event)) => event_from_wire(&event, names).map(Record::Event),
        None => Err(ConvertError::Missing {
            field: "record.kind",
        }),
    }
}

fn event_to_wire(event: &EventHit, names: &mut NameWriter) -> v1::Event {
    let source_end = event.source.floor_char_boundary(EVENT_SOURCE_BYTES_MAX);
    let source = event.source.get(..source_end).unwrap_or_default();
    v1::Event {
        at_ms: event.at.unix_ms(),
        source: names.intern(source).unwrap_or_default(),
        code: event.code,
        count: event.count,
        text: cut_chars(&event.text, EVENT_TEXT_CHARS_MAX).replace('\0', "?"),
    }
}

fn event_from_wire(event: &v1::Event, names: &NameReader) -> Result<EventHit, ConvertError> {
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
    if event.text.contains('\0') {
        return Err(ConvertError::Malformed {
            field: "event.text",
            reason: "it holds a NUL",
        });
    }
    Ok(EventHit {
        at: time_from_wire("event.at_ms", event.at_ms)?,
        source,
        code: event.code,
        count: event.count,
        text: event.text.as_str().into(),
    })
}
