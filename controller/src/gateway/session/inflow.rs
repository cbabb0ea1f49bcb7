//! A session's records as they come: decoded, in ascending seq, without holes.

use tidemark_model::delivery::RecordGap;
use tidemark_proto::convert::ConvertError;
use tidemark_proto::convert::record::{BatchDecoder, BatchLimits, DecodedBatch};
use tidemark_proto::v1::{RecordBatch, Refused};

use super::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};

/// What one connection has delivered so far.
pub(crate) struct Inflow {
    decoder: BatchDecoder,
    /// The first seq that was not delivered yet.
    expected: u64,
}

/// Records are missing: an agent that lost them must say so in a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("records {first} to {last} are missing; an agent that lost them must say so in a gap")]
pub(crate) struct Missing {
    first: u64,
    last: u64,
}

impl Inflow {
    /// Of a connection whose first record must be `expected` at the latest.
    pub(crate) fn from(expected: u64) -> Self {
        Self {
            decoder: BatchDecoder::default(),
            expected,
        }
    }

    /// The records of a batch, and those among them that cannot be taken.
    ///
    /// # Errors
    /// When nothing of it can be taken.
    pub(crate) fn decode(&mut self, batch: &RecordBatch) -> Result<DecodedBatch, ConvertError> {
        let limits = BatchLimits {
            records_max: BATCH_RECORDS_MAX,
            bytes_max: BATCH_BYTES_MAX,
        };
        self.decoder.decode(batch, limits)
    }

    /// Counts a batch as delivered.
    ///
    /// # Errors
    /// When records before it are missing.
    pub(crate) fn expect_records(&mut self, batch: &RecordBatch) -> Result<(), Missing> {
        let next = batch.first_seq.saturating_add(u64::from(batch.count));
        self.expect(batch.first_seq, next)
    }

    /// Counts a gap as delivered.
    ///
    /// # Errors
    /// When records before it are missing.
    pub(crate) fn expect_gap(&mut self, gap: RecordGap) -> Result<(), Missing> {
        self.expect(gap.first.get(), gap.last.next().get())
    }

    fn expect(&mut self, first: u64, next: u64) -> Result<(), Missing> {
        if first > self.expected {
            return Err(Missing {
                first: self.expected,
                last: first.saturating_sub(1),
            });
        }
        self.expected = self.expected.max(next);
        Ok(())
    }
}

/// What is said of a batch of which nothing can be taken.
pub(crate) fn refused_batch(batch: &RecordBatch, error: &ConvertError) -> Refused {
    let last = batch
        .first_seq
        .saturating_add(u64::from(batch.count.max(1)))
        .saturating_sub(1);
    Refused {
        first_seq: batch.first_seq,
        last_seq: last,
        reason: error.to_string(),
    }
}

/// What is said of the records of a batch that cannot be taken.
pub(crate) fn refused_records(decoded: &DecodedBatch) -> Vec<Refused> {
    let refused = decoded.refused.iter();
    refused
        .map(|(seq, error)| Refused {
            first_seq: seq.get(),
            last_seq: seq.get(),
            reason: error.to_string(),
        })
        .collect()
}
