//! Batches for a session, from stored records. One encoder a session; what it makes must be sent, in order.

use std::io;

use prost::Message;
use tidemark_model::Seq;

use super::event::each_event_name;
use super::{BatchLimits, StoredRecord, prefix_of};
use crate::convert::ConvertError;
use crate::convert::budget::BODY_MESSAGES_MAX;
use crate::convert::names::{NameWriter, TableFull};
use crate::convert::sample::each_name;
use crate::v1;

/// Bodies up to this size, which are a host's everyday ones, are worth more effort: a tenth smaller for a tenth of a
/// millisecond. A backlog is not.
const SMALL_BODY_BYTES: usize = 16 * 1024;

const fn compression_level(body_bytes: usize) -> i32 {
    if body_bytes <= SMALL_BODY_BYTES {
        12
    } else {
        3
    }
}

/// Why no batch could be made. Except for [`EncodeError::Compression`], the first record can never be sent as it is: the
/// caller gives it up, reports the gap and goes on.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// There was nothing to encode.
    #[error("a batch holds at least one record")]
    Empty,
    /// The first record alone is larger than a batch may be.
    #[error("the record does not fit a batch of {bytes_max} bytes")]
    TooLarge {
        /// The session's limit.
        bytes_max: u32,
    },
    /// The first record is not what [`super::encode_stored`] makes.
    #[error("the stored record is damaged")]
    Damaged(#[source] ConvertError),
    /// zstd failed, which it does for want of memory only.
    #[error("the batch could not be compressed")]
    Compression(#[source] io::Error),
}

/// A batch, and how many of the records it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedBatch {
    /// For the wire.
    pub batch: v1::RecordBatch,
    /// How many of the records that were given are in it, from the first on; at least 1.
    pub taken: usize,
}

/// Makes a session's batches.
#[derive(Debug, Default)]
pub struct BatchEncoder {
    names: NameWriter,
    /// The table started anew, and the other end has yet to hear of it.
    reset_names: bool,
    prefix: Vec<u8>,
}

/// The batch under construction.
#[derive(Default)]
struct OpenBatch {
    records: Vec<v1::Record>,
    records_bytes: usize,
    messages: usize,
}

/// Why a record cannot join the batch.
enum Unfit {
    Names,
    Bytes,
    Damaged(ConvertError),
}

impl From<TableFull> for Unfit {
    fn from(_: TableFull) -> Self {
        Self::Names
    }
}

impl BatchEncoder {
    /// Encodes stored records with consecutive seqs from `first` on, as many as the limits allow.
    ///
    /// # Errors
    /// When not even the first record can be sent; see [`EncodeError`]. A later record that cannot be sent ends the batch
    /// before it.
    pub fn encode<R: AsRef<[u8]>>(
        &mut self,
        first: Seq,
        records: &[R],
        limits: BatchLimits,
    ) -> Result<EncodedBatch, EncodeError> {
        let mut open = OpenBatch::default();
        for stored in records.iter().take(limits.records_max as usize) {
            match self.add(&mut open, stored.as_ref(), limits) {
                Ok(()) => {}
                Err(_) if !open.records.is_empty() => break,
                Err(Unfit::Damaged(error)) => return Err(EncodeError::Damaged(error)),
                Err(Unfit::Names | Unfit::Bytes) => {
                    return Err(EncodeError::TooLarge {
                        bytes_max: limits.bytes_max,
                    });
                }
            }
        }
        self.close(first, open)
    }

    fn add(
        &mut self,
        open: &mut OpenBatch,
        stored: &[u8],
        limits: BatchLimits,
    ) -> Result<(), Unfit> {
        let stored = StoredRecord::parse(stored).map_err(Unfit::Damaged)?;
        let mark = self.names.mark();
        let added = self.try_add(open, &stored, limits);
        if added.is_err() {
            self.names.rollback(mark);
        }
        match added {
            // A table can start anew only before a batch; a record that does not fit an empty one never will.
            Err(Unfit::Names) if open.records.is_empty() && !self.names.is_empty() => {
                self.names = NameWriter::default();
                self.reset_names = true;
                let added = self.try_add(open, &stored, limits);
                if added.is_err() {
                    self.names = NameWriter::default();
                }
                added
            }
            added => added,
        }
    }

    fn try_add(
        &mut self,
        open: &mut OpenBatch,
        stored: &StoredRecord,
        limits: BatchLimits,
    ) -> Result<(), Unfit> {
        let record = self.with_session_names(stored)?;
        let length = record.encoded_len();
        let records_bytes = open.records_bytes + 1 + prost::length_delimiter_len(length) + length;
        let reset_flag_bytes = 2;
        let bytes = reset_flag_bytes + self.names.unsent_encoded_bytes() + records_bytes;
        // The names of a batch are messages of its body, too: counted once with each record that brought them.
        let messages = open.messages + stored.messages;
        if bytes > limits.bytes_max as usize || messages > BODY_MESSAGES_MAX {
            return Err(Unfit::Bytes);
        }
        open.records.push(record);
        open.records_bytes = records_bytes;
        open.messages = messages;
        Ok(())
    }

    /// The record with its names' numbers in this session.
    fn with_session_names(&mut self, stored: &StoredRecord) -> Result<v1::Record, Unfit> {
        let mut record = stored.record.clone();
        let mut outcome = Ok(());
        let rename = |number: &mut u32| {
            let Some(index) = number.checked_sub(1) else {
                return;
            };
            let renamed = match stored.names.get(index as usize) {
                Some(name) => self.names.intern(name).map_err(Unfit::from),
                None => Err(Unfit::Damaged(ConvertError::Malformed {
                    field: "stored record",
                    reason: "it refers to a name that it does not hold",
                })),
            };
            match renamed {
                Ok(renamed) => *number = renamed,
                Err(unfit) => outcome = Err(unfit),
            }
        };
        match &mut record.kind {
            Some(v1::record::Kind::Sample(sample)) => each_name(sample, rename),
            Some(v1::record::Kind::Event(event)) => each_event_name(event, rename),
            None => {}
        }
        outcome.map(|()| record)
    }

    fn close(&mut self, first: Seq, open: OpenBatch) -> Result<EncodedBatch, EncodeError> {
        let taken = open.records.len();
        let count = u32::try_from(taken)
            .ok()
            .filter(|count| *count > 0)
            .ok_or(EncodeError::Empty)?;
        let body = v1::RecordBody {
            new_names: self.names.take_new(),
            reset_names: std::mem::take(&mut self.reset_names),
            records: open.records,
        }
        .encode_to_vec();
        // A context for each batch: an agent makes one in 30 s, and thousands of sessions in one process keep none.
        let body_zstd =
            zstd::bulk::Compressor::with_dictionary(compression_level(body.len()), &self.prefix)
                .and_then(|mut compressor| compressor.compress(&body))
                .map_err(EncodeError::Compression)?;
        self.prefix.clear();
        self.prefix.extend_from_slice(prefix_of(&body));
        Ok(EncodedBatch {
            batch: v1::RecordBatch {
                first_seq: first.get(),
                count,
                body_zstd,
            },
            taken,
        })
    }
}
