//! Records on their way from the spool to the controller, and what becomes of those that cannot be sent.

use tidemark_agent_core::Sent;
use tidemark_model::{Epoch, GapReason, RecordGap, Seq};
use tidemark_proto::convert::record::{BatchLimits, EncodeError};
use tidemark_proto::v1;

use super::{Shell, view_of};
use crate::outbox::{ReadLimits, Reading};
use crate::session::SessionEvent;
use crate::session::failures::chain;
use crate::session::frames;

/// Most bytes of records that are read for one batch, so that a generous controller does not cost this host memory.
const READ_BYTES_MAX: usize = 256 * 1024;

impl Shell {
    /// The core hears of the frame once it is on its way; of nothing to send, at once.
    pub(super) fn send_records(&mut self, from: Seq, limits: BatchLimits) {
        match self.next_frame(from, limits) {
            Some((frame, sent)) => self.wire.send(frame, Some(sent)),
            None => {
                let now = self.now();
                self.core.handle_sent(now, Sent::Nothing);
            }
        }
    }

    fn next_frame(&mut self, from: Seq, limits: BatchLimits) -> Option<(v1::AgentFrame, Sent)> {
        let read_limits = ReadLimits {
            records_max: usize::try_from(limits.records_max).unwrap_or(usize::MAX),
            bytes_max: READ_BYTES_MAX,
        };
        let reading = self.parts.outbox.lock().read(from, read_limits);
        let records = match reading {
            Ok(Reading::Records(records)) => records,
            Ok(Reading::Gap(gap)) => return Some(gap_frame(gap)),
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
                let sent = Sent::Records { first: from, last };
                Some((frames::records(encoded.batch), sent))
            }
            Err(error) => self.unsendable(from, &error),
        }
    }

    /// A record that can never be sent becomes a gap; without memory for zstd the next append tries again.
    fn unsendable(&mut self, seq: Seq, error: &EncodeError) -> Option<(v1::AgentFrame, Sent)> {
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
        Some(gap_frame(gap))
    }

    pub(super) fn trim(&mut self, through: Seq) {
        let acked = self.parts.outbox.lock().ack(through);
        if let Err(error) = acked {
            tracing::warn!(error = %chain(&error), "spool cannot be trimmed; what is acked stays until it can");
        }
        self.tell(SessionEvent::Acked { through });
    }

    pub(super) fn give_up(&mut self, gap: RecordGap) {
        tracing::warn!(
            first = gap.first.get(),
            last = gap.last.get(),
            reason = gap.reason.as_str(),
            "records given up"
        );
        let noted = self.parts.outbox.lock().give_up(gap);
        if let Err(error) = noted {
            tracing::warn!(error = %chain(&error), "spool cannot note what was given up");
        }
        self.tell(SessionEvent::GaveUp(gap));
    }

    pub(super) fn restart_epoch(&mut self) {
        let epoch = Epoch::from_random(self.parts.entropy.u64());
        tracing::warn!(
            epoch = epoch.get(),
            "the controller knows records that this spool does not: a new epoch begins"
        );
        let restarted = self.parts.outbox.lock().restart_epoch(epoch);
        if let Err(error) = restarted {
            tracing::error!(error = %chain(&error), "spool cannot begin a new epoch; trying again");
        }
        let (now, view) = (self.now(), view_of(&self.parts.outbox));
        self.core.handle_epoch_restarted(now, view);
    }
}

fn gap_frame(gap: RecordGap) -> (v1::AgentFrame, Sent) {
    let sent = Sent::Gap {
        first: gap.first,
        last: gap.last,
    };
    (frames::gap(gap), sent)
}
