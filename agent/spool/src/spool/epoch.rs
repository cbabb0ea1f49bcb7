//! New epochs: what is held moves into a new sequence, in one step as a crash sees it.

use std::collections::VecDeque;
use std::sync::Arc;

use tidemark_model::{Epoch, GapReason};

use super::Spool;
use crate::error::SpoolError;
use crate::frame::Record;
use crate::gaps::{DropCounts, Gap, GapLedger};
use crate::log::{Lookup, SegmentLog};

impl Spool {
    /// Begins a new epoch, because the controller knows seqs of this one that this disk does not: it lost what it had made
    /// durable, or is an older image of itself. What was appended since the spool was opened moves into the new epoch with
    /// new seqs, gaps included; everything before is taken for acked, as the controller says.
    ///
    /// # Errors
    /// When the new epoch cannot be written; the old one goes on.
    pub fn restart_epoch(&mut self, epoch: Epoch) -> Result<(), SpoolError> {
        self.move_to_epoch(epoch.get(), self.opened_newest)
    }

    /// Moves everything behind `keep_after` that is not acked into the epoch. Until the state file names the new epoch, its
    /// segments are leftovers that the next start removes; from then on the old ones are. For a moment both are on disk.
    pub(crate) fn move_to_epoch(&mut self, epoch: u64, keep_after: u64) -> Result<(), SpoolError> {
        if let Err(error) = self.flush() {
            tracing::warn!(
                error = error.with_sources(),
                "the spool cannot be made durable before its new epoch"
            );
        }
        let mut moved = Moved {
            log: self.empty_log(epoch),
            gaps: GapLedger::default(),
            next: 1,
        };
        if let Err(error) = self.copy_to(&mut moved, self.acked_through.max(keep_after) + 1) {
            let copied = moved.log.into_segments();
            self.log.remove_files(&copied);
            return Err(error);
        }
        self.epoch = epoch;
        let old = std::mem::replace(&mut self.log, moved.log).into_segments();
        self.gaps = moved.gaps;
        self.next = moved.next;
        self.durable = moved.next - 1;
        self.acked_through = 0;
        self.opened_newest = 0;
        self.settled = DropCounts::default();
        // Both generations: an older one must not bring the old epoch back.
        let persisted = self.persist().and_then(|()| self.persist());
        self.log.remove_files(&old);
        persisted
    }

    fn empty_log(&self, epoch: u64) -> SegmentLog {
        let disk = Arc::clone(&self.disk);
        SegmentLog::new(disk, &self.dir, epoch, self.bytes, VecDeque::new(), 0)
    }

    fn copy_to(&mut self, moved: &mut Moved, from: u64) -> Result<(), SpoolError> {
        let mut seq = from;
        while seq < self.next {
            if let Some(gap) = self.gaps.at(seq) {
                let last = gap.last.min(self.next - 1);
                moved.lose(last - seq + 1, gap.reason);
                seq = last + 1;
                continue;
            }
            match self.log.lookup(seq)? {
                Lookup::Found {
                    worth,
                    age_ms,
                    payload,
                } => {
                    moved.log.close_full().map_err(|failure| failure.error)?;
                    let record = Record {
                        worth,
                        payload: &payload,
                    };
                    moved.log.append(moved.next, age_ms, record)?;
                    moved.next += 1;
                    seq += 1;
                }
                Lookup::Missing { through } => {
                    let last = through.min(self.next - 1);
                    moved.lose(last - seq + 1, GapReason::Damaged);
                    seq = last + 1;
                }
            }
        }
        moved.log.sync().map_err(|failure| failure.error)
    }
}

/// What the new epoch holds.
struct Moved {
    log: SegmentLog,
    gaps: GapLedger,
    next: u64,
}

impl Moved {
    fn lose(&mut self, records: u64, reason: GapReason) {
        self.gaps.insert(Gap {
            first: self.next,
            last: self.next + records - 1,
            reason,
            told: false,
        });
        self.next += records;
    }
}
