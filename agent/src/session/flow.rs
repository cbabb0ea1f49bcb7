//! Records on their way from the outbox to the controller, and what becomes of those that cannot be sent.

use tidemark_agent_core::{OutboxView, Sent};
use tidemark_model::{Epoch, GapReason, RecordGap, Seq};
use tidemark_proto::convert::record::{BatchEncoder, BatchLimits, EncodeError};
use tidemark_proto::v1;

use super::failures::chain;
use super::frames;
use crate::outbox::{Bounds, OutboxHandle, ReadLimits, Reading};

/// Most bytes of records that are read for one batch, so that a generous controller does not cost this host memory.
const READ_BYTES_MAX: usize = 256 * 1024;

/// The records' side of a session: reads the outbox, writes frames, and trims what is acked.
pub struct RecordFlow {
    outbox: OutboxHandle,
    encoder: BatchEncoder,
}

/// A frame, what it holds, and the records that turned out to be unsendable on the way.
#[derive(Debug)]
pub struct Outgoing {
    /// The frame.
    pub frame: v1::AgentFrame,
    /// What it holds.
    pub sent: Sent,
    /// What was given up because it cannot be sent; the frame says so.
    pub gave_up: Option<RecordGap>,
}

impl RecordFlow {
    /// Out of this outbox.
    #[must_use]
    pub fn new(outbox: OutboxHandle) -> Self {
        Self {
            outbox,
            encoder: BatchEncoder::default(),
        }
    }

    /// What a hello says of the outbox.
    #[must_use]
    pub fn view(&self) -> OutboxView {
        let outbox = self.outbox.lock();
        let Bounds { oldest, newest } = outbox.bounds();
        OutboxView {
            epoch: outbox.epoch(),
            oldest,
            newest,
        }
    }

    /// A connection begins: its other end knows no names yet.
    pub fn begin(&mut self) {
        self.encoder = BatchEncoder::default();
    }

    /// The frame that begins with `from`, within what the controller takes of a batch; `None` when nothing is there, or cannot
    /// be read for now.
    pub fn next_frame(&mut self, from: Seq, records_max: u32, bytes_max: u32) -> Option<Outgoing> {
        let limits = BatchLimits {
            records_max,
            bytes_max,
        };
        let read_limits = ReadLimits {
            records_max: usize::try_from(records_max).unwrap_or(usize::MAX),
            bytes_max: READ_BYTES_MAX,
        };
        let reading = self.outbox.lock().read(from, read_limits);
        let records = match reading {
            Ok(Reading::Records(records)) => records,
            Ok(Reading::Gap(gap)) => return Some(Outgoing::gap(gap)),
            Ok(Reading::End) => return None,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "spool cannot be read");
                return None;
            }
        };
        match self.encoder.encode(from, &records, limits) {
            Ok(encoded) => {
                let taken = u64::try_from(encoded.taken).unwrap_or(u64::MAX);
                let last = Seq::new(from.get().saturating_add(taken).saturating_sub(1));
                Some(Outgoing {
                    frame: frames::records(encoded.batch),
                    sent: Sent::Records { first: from, last },
                    gave_up: None,
                })
            }
            Err(error) => self.unsendable(from, &error),
        }
    }

    /// A record that can never be sent becomes a gap; without memory for zstd the next append tries again.
    fn unsendable(&mut self, seq: Seq, error: &EncodeError) -> Option<Outgoing> {
        tracing::warn!(seq = seq.get(), error = %chain(error), "record cannot be sent");
        let reason = match error {
            EncodeError::TooLarge { .. } => GapReason::WriteFailed,
            EncodeError::Damaged(_) => GapReason::Damaged,
            EncodeError::Empty | EncodeError::Compression(_) => return None,
        };
        let gap = RecordGap {
            first: seq,
            last: seq,
            reason,
        };
        self.give_up(gap);
        Some(Outgoing {
            gave_up: Some(gap),
            ..Outgoing::gap(gap)
        })
    }

    /// Everything up to `through` is durable at the controller.
    pub fn trim(&mut self, through: Seq) {
        let acked = self.outbox.lock().ack(through);
        if let Err(error) = acked {
            tracing::warn!(error = %chain(&error), "spool cannot be trimmed; what is acked stays until it can");
        }
    }

    /// These records will never be delivered.
    pub fn give_up(&mut self, gap: RecordGap) {
        tracing::warn!(
            first = gap.first.get(),
            last = gap.last.get(),
            reason = gap.reason.as_str(),
            "records given up"
        );
        let noted = self.outbox.lock().give_up(gap);
        if let Err(error) = noted {
            tracing::warn!(error = %chain(&error), "spool cannot note what was given up");
        }
    }

    /// The controller knows records that this outbox does not: begins `epoch`, and says what it holds.
    pub fn restart_epoch(&mut self, epoch: Epoch) -> OutboxView {
        tracing::warn!(
            epoch = epoch.get(),
            "the controller knows records that this spool does not: a new epoch begins"
        );
        let restarted = self.outbox.lock().restart_epoch(epoch);
        if let Err(error) = restarted {
            tracing::error!(error = %chain(&error), "spool cannot begin a new epoch; trying again");
        }
        self.view()
    }
}

impl Outgoing {
    fn gap(gap: RecordGap) -> Self {
        Self {
            frame: frames::gap(gap),
            sent: Sent::Gap {
                first: gap.first,
                last: gap.last,
            },
            gave_up: None,
        }
    }
}
