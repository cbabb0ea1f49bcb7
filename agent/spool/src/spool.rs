//! The spool: what becomes of each record from its append to its ack.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemark_disk::{Disk, Lock};
use tidemark_model::{Epoch, GapReason, RecordGap, Seq, SpoolCounts, Timestamp};

use crate::error::SpoolError;
use crate::frame::{Record, Worth};
use crate::gaps::{DropCounts, Gap, GapLedger};
use crate::limits::{ByteLimits, RECORD_BYTES_MAX, SpoolLimits};
use crate::log::{Lookup, SegmentLog, SyncFailure};
use crate::meta::Meta;
use crate::segment::{SEQ_MAX, Segment};

mod epoch;
#[cfg(test)]
mod tests;

/// Longest time by which the age clock follows the host's clock in one step: a clock that jumps ahead must not make every
/// record old. Three times the longest sampling interval.
const AGE_STEP_MAX: Duration = Duration::from_secs(15 * 60);
/// Appends are synced at most this often.
const SYNC_INTERVAL_MS: u64 = 1_000;

/// A store-and-forward spool in a folder, open for one process alone.
#[derive(Debug)]
pub struct Spool {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) limits: SpoolLimits,
    pub(crate) bytes: ByteLimits,
    /// Held for as long as the spool is open.
    pub(crate) _lock: Box<dyn Lock>,
    /// Of the newest state file.
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    pub(crate) age: AgeClock,
    pub(crate) log: SegmentLog,
    /// Next seq to be given out.
    pub(crate) next: u64,
    pub(crate) acked_through: u64,
    /// Newest seq that may be read.
    pub(crate) durable: u64,
    /// Newest seq when the spool was opened.
    pub(crate) opened_newest: u64,
    pub(crate) gaps: GapLedger,
    /// Lost records up to `acked_through`.
    pub(crate) settled: DropCounts,
    /// The state file lacks something.
    pub(crate) meta_dirty: bool,
    pub(crate) synced_at: Option<Timestamp>,
}

/// What became of an append.
#[derive(Debug)]
pub struct Appended {
    /// The record's seq; it is used up even when the record could not be stored. The last one there is when none is left.
    pub seq: Seq,
    /// Whether the record is held. If not, it is counted as dropped, its gap will be told, and the spool goes on.
    pub stored: Result<(), SpoolError>,
    /// Older records that had to go for the limits, if any; gaps among them included.
    pub dropped: Option<RecordGap>,
}

/// What stands at a seq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A record as it was appended.
    Record {
        /// Its seq.
        seq: Seq,
        /// What was appended.
        payload: Vec<u8>,
    },
    /// Records that cannot be delivered.
    Gap(RecordGap),
}

/// Where a spool stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolStatus {
    /// The spool's life.
    pub epoch: Epoch,
    /// What became of its records; balances at all times.
    pub counts: SpoolCounts,
    /// First seq that is not acked; `newest + 1` when nothing waits.
    pub oldest: Seq,
    /// Newest seq that may be read and sent.
    pub newest: Seq,
    /// Bytes on disk beyond which the oldest records go.
    pub bytes_max: u64,
    dropped: DropCounts,
}

impl SpoolStatus {
    /// Records lost for this reason, since the epoch began.
    #[must_use]
    pub fn dropped_for(&self, reason: GapReason) -> u64 {
        self.dropped.get(reason)
    }
}

/// A clock for ages: follows the host's clock, but neither backwards nor in leaps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgeClock {
    pub(crate) age_ms: u64,
    pub(crate) read_at: Timestamp,
}

impl AgeClock {
    fn advance(&mut self, now: Timestamp) {
        let step_ms = u64::try_from(now.ms_since(self.read_at)).unwrap_or(0);
        let step_ms = step_ms.min(AGE_STEP_MAX.as_millis() as u64);
        self.age_ms = self.age_ms.saturating_add(step_ms);
        self.read_at = now;
    }
}

impl Spool {
    /// Adds an ordinary record; `now` is the host's clock. Never fails as a whole: see [`Appended`].
    pub fn append(&mut self, now: Timestamp, payload: &[u8]) -> Appended {
        let worth = Worth::Ordinary;
        self.append_record(now, Record { worth, payload })
    }

    /// Adds a lasting record: when room must be made, it goes only after every ordinary one.
    pub fn append_lasting(&mut self, now: Timestamp, payload: &[u8]) -> Appended {
        let worth = Worth::Lasting;
        self.append_record(now, Record { worth, payload })
    }

    fn append_record(&mut self, now: Timestamp, record: Record<'_>) -> Appended {
        if self.next > SEQ_MAX {
            return self.refused_for_want_of_seqs();
        }
        self.age.advance(now);
        let seq = self.next;
        self.next += 1;
        let mut dropped = None;
        let stored = self.check_size(record.payload).and_then(|()| {
            // First, so that what is full may go as well.
            self.close_full()?;
            dropped = self.make_room(self.log.bytes_to_append(record));
            self.log.append(seq, self.age.age_ms, record)
        });
        if stored.is_err() {
            self.lose(seq, seq, GapReason::WriteFailed);
        }
        self.sync_if_due(now);
        Appended {
            seq: Seq::new(seq),
            stored,
            dropped,
        }
    }

    /// No host gets there, but a state file may say anything, and a seq beyond would be taken for damage later.
    fn refused_for_want_of_seqs(&self) -> Appended {
        let limit = Seq::new(SEQ_MAX);
        let path = self.dir.clone();
        Appended {
            seq: limit,
            stored: Err(SpoolError::SeqsUsedUp { limit, path }),
            dropped: None,
        }
    }

    fn check_size(&self, payload: &[u8]) -> Result<(), SpoolError> {
        let limit_bytes =
            RECORD_BYTES_MAX.min(usize::try_from(self.bytes.total / 4).unwrap_or(RECORD_BYTES_MAX));
        if payload.len() > limit_bytes {
            return Err(SpoolError::RecordTooLarge {
                size_bytes: payload.len(),
                limit_bytes,
            });
        }
        Ok(())
    }

    fn close_full(&mut self) -> Result<(), SpoolError> {
        self.log
            .close_full()
            .map_err(|failure| self.give_up_unsynced(failure))
    }

    /// Drops the oldest records until `needed` more bytes fit and nothing is too old. Answers the first and the last of
    /// them; lasting ones between may have stayed.
    pub(crate) fn make_room(&mut self, needed: u64) -> Option<RecordGap> {
        let limit = self.bytes.total;
        let oldest_ms = self
            .age
            .age_ms
            .saturating_sub(self.limits.age_max.as_millis() as u64);
        let too_old = self.drop_oldest_while(|oldest, _| oldest.newest_age_ms < oldest_ms);
        let thinned = self.thin_while_over(limit.saturating_sub(needed));
        let too_much = self.drop_oldest_while(|_, total| total + needed > limit);
        let lost = [too_old, thinned, too_much].into_iter().flatten();
        let (first, last) = lost.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some(RecordGap {
            first: Seq::new(first),
            last: Seq::new(last),
            reason: GapReason::SpoolFull,
        })
    }

    /// Drops whole segments from the oldest on; answers the first and last seq that were lost by it.
    fn drop_oldest_while(
        &mut self,
        unwanted: impl Fn(&Segment, u64) -> bool,
    ) -> Option<(u64, u64)> {
        let mut dropped = Vec::new();
        while let Some(segment) = self.log.take_oldest_if(&unwanted) {
            dropped.push(segment);
        }
        let first = dropped.first()?.first.max(self.acked_through + 1);
        let last = dropped.last()?.last;
        let lost = first <= last;
        if lost {
            self.lose(first, last, GapReason::SpoolFull);
        }
        self.remove(&dropped);
        lost.then_some((first, last))
    }

    /// Takes the ordinary records out of the oldest segments until at most `bytes_max` are left; answers the first and
    /// last seq that were lost by it.
    fn thin_while_over(&mut self, bytes_max: u64) -> Option<(u64, u64)> {
        let mut span: Option<(u64, u64)> = None;
        while self.log.bytes() > bytes_max {
            let Some((first, last, thinned)) = self.log.thin_oldest(self.acked_through) else {
                break;
            };
            for (lost_first, lost_last) in thinned.runs_lost(first, last) {
                if lost_last > self.acked_through {
                    self.lose(lost_first, lost_last, GapReason::SpoolFull);
                    let lost_first = lost_first.max(self.acked_through + 1);
                    span = Some((span.map_or(lost_first, |span| span.0), lost_last));
                }
            }
            self.note_before_removing();
            if let Err(segment) = self.log.replace_thinned(first, thinned) {
                self.lose(segment.first, segment.last, GapReason::SpoolFull);
                self.remove(&[segment]);
            }
        }
        span
    }

    /// Notes what is lost before the files go, so that a crash in between does not make it look damaged.
    fn remove(&mut self, segments: &[Segment]) {
        self.note_before_removing();
        self.log.remove_files(segments);
    }

    fn note_before_removing(&mut self) {
        if let Err(error) = self.persist() {
            tracing::warn!(
                error = error.with_sources(),
                "the spool's state cannot be written"
            );
        }
    }

    /// These records are lost; those that were before stay so for their own reason.
    pub(crate) fn lose(&mut self, first: u64, last: u64, reason: GapReason) {
        let gap = Gap {
            first: first.max(self.acked_through + 1),
            last,
            reason,
            told: false,
        };
        if gap.first <= gap.last && self.gaps.insert(gap) > 0 {
            self.meta_dirty = true;
        }
    }

    fn give_up_unsynced(&mut self, failure: SyncFailure) -> SpoolError {
        if failure.first <= failure.last {
            self.lose(failure.first, failure.last, GapReason::WriteFailed);
        }
        failure.error
    }

    fn sync_if_due(&mut self, now: Timestamp) {
        let due = self
            .synced_at
            .is_none_or(|at| now.ms_since(at).unsigned_abs() >= SYNC_INTERVAL_MS);
        if due {
            self.synced_at = Some(now);
            if let Err(error) = self.flush() {
                tracing::warn!(
                    error = error.with_sources(),
                    "the spool cannot be made durable"
                );
            }
        }
    }

    /// Makes everything appended so far durable, and so readable. Does nothing when it is.
    ///
    /// # Errors
    /// When the disk refuses. Records that could not be made durable are dropped and counted.
    pub fn flush(&mut self) -> Result<(), SpoolError> {
        let synced = match self.log.sync() {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.give_up_unsynced(failure)),
        };
        let persisted = if self.meta_dirty {
            self.persist()
        } else {
            Ok(())
        };
        // Lost records behind the last stored one are known to the state file alone.
        let durable = if self.meta_dirty {
            self.log.last()
        } else {
            self.next - 1
        };
        self.durable = self.durable.max(durable);
        synced.and(persisted)
    }

    /// Writes the state file.
    pub(crate) fn persist(&mut self) -> Result<(), SpoolError> {
        // Of two files of the same generation the one counts that the last generation is written over.
        self.generation = self.generation.saturating_add(1);
        let last_lost = self.gaps.iter().last().map_or(0, |gap| gap.last);
        let meta = Meta {
            generation: self.generation,
            epoch: self.epoch,
            acked_through: self.acked_through,
            newest: self.durable.max(last_lost),
            age_ms: self.age.age_ms,
            settled: self.settled,
            gaps: self.gaps.clone(),
        };
        meta.store(&*self.disk, &self.dir)?;
        self.meta_dirty = false;
        Ok(())
    }

    /// What stands from `from` on, up to the newest durable record: at most `records_max` records with at most `bytes_max`
    /// bytes of payload, but at least one, and the gaps between them. Records that turn out to be damaged become gaps.
    ///
    /// # Errors
    /// When the system refuses to read for now; trying later is safe.
    pub fn read(
        &mut self,
        from: Seq,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Item>, SpoolError> {
        let mut items = Vec::new();
        let (mut records, mut bytes) = (0, 0);
        let mut seq = from.get().max(1);
        while seq <= self.durable && records < records_max {
            if let Some(gap) = self.gaps.at(seq) {
                let last = gap.last.min(self.durable);
                if !gap.told {
                    self.gaps.mark_told(seq, last);
                    self.note_told();
                }
                items.push(gap_item(seq, last, gap.reason));
                seq = last + 1;
                continue;
            }
            match self.log.lookup(seq) {
                Ok(Lookup::Found { payload, .. }) => {
                    bytes += payload.len();
                    if records > 0 && bytes > bytes_max {
                        break;
                    }
                    records += 1;
                    items.push(Item::Record {
                        seq: Seq::new(seq),
                        payload,
                    });
                    seq += 1;
                }
                Ok(Lookup::Missing { through }) if seq <= self.acked_through => {
                    let last = through.min(self.acked_through);
                    items.push(gap_item(seq, last, GapReason::LostAfterAck));
                    seq = last + 1;
                }
                Ok(Lookup::Missing { through }) => {
                    self.lose(seq, through.min(self.durable), GapReason::Damaged);
                }
                Err(_) if !items.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(items)
    }

    /// What is told has to stay told across a crash, or it would count as acked.
    fn note_told(&mut self) {
        self.meta_dirty = true;
        if let Err(error) = self.persist() {
            tracing::warn!(
                error = error.with_sources(),
                "the spool's state cannot be written"
            );
        }
    }

    /// Everything up to `through` is durable at the controller: whole segments go. Gaps up to there count as dropped if
    /// they were read as gaps, and as acked if they were not, because then their records were sent before they were lost.
    ///
    /// # Errors
    /// When `through` was never readable; nothing changes.
    pub fn trim(&mut self, through: Seq) -> Result<(), SpoolError> {
        self.check_sendable(through)?;
        let through = through.get();
        if through <= self.acked_through {
            return Ok(());
        }
        let told = self.gaps.settle(through);
        for reason in GapReason::ALL {
            self.settled.add(reason, told.get(reason));
        }
        self.acked_through = through;
        self.meta_dirty = true;
        self.remove_settled();
        Ok(())
    }

    /// Removes the oldest segments as long as everything in them is acked or lost.
    pub(crate) fn remove_settled(&mut self) {
        let behind_acked = self.acked_through + 1;
        let lost_through = self
            .gaps
            .at(behind_acked)
            .map_or(self.acked_through, |gap| gap.last);
        let mut settled = Vec::new();
        while let Some(segment) = self
            .log
            .take_oldest_if(|oldest, _| oldest.last <= lost_through)
        {
            settled.push(segment);
        }
        if !settled.is_empty() {
            self.remove(&settled);
        }
    }

    /// These records will never be delivered although they are here: the controller refused them, or they cannot be
    /// encoded. They count as dropped, and as told: the caller reports the gap, or reads it again.
    ///
    /// # Errors
    /// When they were never readable; nothing changes.
    pub fn give_up(&mut self, gap: RecordGap) -> Result<(), SpoolError> {
        self.check_sendable(gap.last)?;
        self.lose(gap.first.get(), gap.last.get(), gap.reason);
        self.gaps.mark_told(gap.first.get(), gap.last.get());
        self.note_told();
        Ok(())
    }

    fn check_sendable(&self, given: Seq) -> Result<(), SpoolError> {
        if given.get() > self.durable {
            return Err(SpoolError::BeyondNewest {
                given,
                newest: Seq::new(self.durable),
            });
        }
        Ok(())
    }

    /// Newest seq that may be read and sent: durable on this disk. 0 before the first.
    #[must_use]
    pub const fn newest(&self) -> Seq {
        Seq::new(self.durable)
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> SpoolStatus {
        let lost = self.gaps.counts();
        let mut dropped = self.settled;
        for reason in GapReason::ALL {
            dropped.add(reason, lost.get(reason));
        }
        let produced = self.next - 1;
        SpoolStatus {
            epoch: Epoch::new(self.epoch),
            counts: SpoolCounts {
                produced,
                acked: self.acked_through - self.settled.total(),
                dropped: dropped.total(),
                held: produced - self.acked_through - lost.total(),
                held_bytes: self.log.bytes(),
            },
            oldest: Seq::new(self.acked_through + 1),
            newest: Seq::new(self.durable),
            bytes_max: self.bytes.total,
            dropped,
        }
    }

    /// Whether anything appended could still be lost in a crash.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.log.is_synced() && !self.meta_dirty && self.durable == self.next - 1
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::warn!(
                error = error.with_sources(),
                "the spool could not be made durable when it was closed"
            );
        }
    }
}

const fn gap_item(first: u64, last: u64, reason: GapReason) -> Item {
    Item::Gap(RecordGap {
        first: Seq::new(first),
        last: Seq::new(last),
        reason,
    })
}
