//! Batches from a session. The sender is hostile until shown otherwise: sizes are checked before memory is taken.

use std::cell::RefCell;

use prost::Message;
use tidemark_model::Seq;

use super::{BatchLimits, Record, prefix_of, record_from_wire};
use crate::convert::delivery::SEQ_MAX;
use crate::convert::names::NameReader;
use crate::convert::{ConvertError, at_most, budget, list_at_most};
use crate::v1;

thread_local! {
    /// To make one for each batch takes as long as to decompress it; what it knew of the batch before is replaced with the dictionary.
    static DECOMPRESSOR: RefCell<zstd::bulk::Decompressor<'static>> = RefCell::default();
}

/// The records of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecodedBatch {
    /// Legal records, ascending.
    pub records: Vec<(Seq, Record)>,
    /// Records that cannot be taken, ascending, and why: to be answered with `Refused`. The session goes on.
    pub refused: Vec<(Seq, ConvertError)>,
}

/// Takes a session's batches apart. One decoder a session; it must see every batch, in order.
#[derive(Debug, Default)]
pub struct BatchDecoder {
    names: NameReader,
    prefix: Vec<u8>,
    broken: bool,
}

impl BatchDecoder {
    /// The records of the next batch.
    ///
    /// # Errors
    /// When the batch as a whole is malformed or beyond its limits. Later batches build on it, so the session must end:
    /// refuse the batch's seqs, lest the agent send it for ever, and close the stream. Every later call fails, too.
    pub fn decode(
        &mut self,
        batch: &v1::RecordBatch,
        limits: BatchLimits,
    ) -> Result<DecodedBatch, ConvertError> {
        if self.broken {
            return Err(ConvertError::Malformed {
                field: "batch",
                reason: "an earlier batch of its session was malformed",
            });
        }
        let decoded = self.try_decode(batch, limits);
        self.broken = decoded.is_err();
        decoded
    }

    fn try_decode(
        &mut self,
        batch: &v1::RecordBatch,
        limits: BatchLimits,
    ) -> Result<DecodedBatch, ConvertError> {
        check_seqs(batch, limits)?;
        let encoded = self.decompress(&batch.body_zstd, limits)?;
        budget::check_body(&encoded)?;
        let body = v1::RecordBody::decode(encoded.as_slice())
            .map_err(|_| malformed("it is not protobuf"))?;
        if body.records.len() != batch.count as usize {
            return Err(malformed("it does not hold count records"));
        }
        if body.reset_names {
            self.names.reset();
        }
        self.names.extend(body.new_names)?;
        self.prefix.clear();
        self.prefix.extend_from_slice(prefix_of(&encoded));
        let mut decoded = DecodedBatch::default();
        for (seq, record) in (batch.first_seq..).map(Seq::new).zip(body.records) {
            match record_from_wire(record, &self.names) {
                Ok(record) => decoded.records.push((seq, record)),
                Err(error) => decoded.refused.push((seq, error)),
            }
        }
        Ok(decoded)
    }

    /// The body of a batch. The size that its frame states is checked before memory is taken for it, and the frame may
    /// not hold more than it states.
    fn decompress(&self, body_zstd: &[u8], limits: BatchLimits) -> Result<Vec<u8>, ConvertError> {
        let stated = zstd::zstd_safe::get_frame_content_size(body_zstd)
            .ok()
            .flatten()
            .ok_or(malformed("it is not a zstd frame that states its size"))?;
        at_most(
            "batch.body_zstd uncompressed bytes",
            stated,
            limits.bytes_max.into(),
        )?;
        let size = usize::try_from(stated).map_err(|_| malformed("it is too large"))?;
        list_at_most(
            "batch.body_zstd bytes",
            body_zstd.len(),
            zstd::zstd_safe::compress_bound(size),
        )?;
        DECOMPRESSOR
            .with_borrow_mut(|decompressor| {
                decompressor.set_dictionary(&self.prefix)?;
                decompressor.decompress(body_zstd, size)
            })
            .map_err(|_| malformed("it cannot be decompressed to the size that it states"))
    }
}

fn check_seqs(batch: &v1::RecordBatch, limits: BatchLimits) -> Result<(), ConvertError> {
    if batch.first_seq == 0 {
        return Err(ConvertError::Missing {
            field: "batch.first_seq",
        });
    }
    if batch.count == 0 {
        return Err(ConvertError::Missing {
            field: "batch.count",
        });
    }
    at_most("batch.count", batch.count.into(), limits.records_max.into())?;
    at_most(
        "batch.first_seq",
        batch.first_seq,
        SEQ_MAX - u64::from(batch.count),
    )
}

const fn malformed(reason: &'static str) -> ConvertError {
    ConvertError::Malformed {
        field: "batch.body_zstd",
        reason,
    }
}
