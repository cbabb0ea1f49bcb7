//! Records: what a spool holds and a session carries, one sample or one event each.
//!
//! A stored record is self-contained (a `RecordBody` with its own names), so that it can be read after any loss. A session
//! sends batches, whose names and compression build on the batches before.

use prost::Message;

use tidemark_model::Sample;
use tidemark_model::sample::EventHit;

use super::names::{NameReader, NameWriter};
use super::sample::{sample_from_wire, sample_to_wire};
use super::{ConvertError, budget};
use crate::v1;

mod decoder;
mod encoder;
mod event;
#[cfg(test)]
mod tests;

pub use decoder::{BatchDecoder, DecodedBatch};
pub use encoder::{BatchEncoder, EncodeError, EncodedBatch};
pub use event::{
    EVENT_BINARY_BYTES_MAX, EVENT_DATA_MAX, EVENT_DATUM_BYTES_MAX, EVENT_SOURCE_BYTES_MAX,
    EVENT_TEXT_CHARS_MAX, EVENT_XML_BYTES_MAX,
};

use event::{event_from_wire, event_to_wire};

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
    match record {
        Record::Sample(sample) => encode_stored_sample(sample),
        Record::Event(event) => {
            let mut names = NameWriter::default();
            let event = event_to_wire(event, &mut names);
            stored(v1::record::Kind::Event(event), names)
        }
    }
}

/// A sample as [`encode_stored`] makes it of a record.
#[must_use]
pub fn encode_stored_sample(sample: &Sample) -> Vec<u8> {
    let mut names = NameWriter::default();
    let sample = sample_to_wire(sample, &mut names);
    stored(v1::record::Kind::Sample(sample), names)
}

fn stored(kind: v1::record::Kind, mut names: NameWriter) -> Vec<u8> {
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
