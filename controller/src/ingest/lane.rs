//! One host's place in history: which seqs are accounted for, and the numbers of its entities.

use std::collections::BTreeMap;

use tidemark_history::EntityInterner;
use tidemark_model::delivery::{GapReason, RecordGap};
use tidemark_model::{Epoch, HostId, Seq, Timestamp};
use tidemark_store::Cursor;
use tokio::sync::watch;

/// A host's cursor and dictionary, ahead of the store by at most the open batch.
#[derive(Debug)]
pub(super) struct HostLane {
    pub(super) cursor: Cursor,
    pub(super) interner: EntityInterner,
    /// Where the session that opened the lane last hears of acks.
    pub(super) acked: watch::Sender<Seq>,
    times: Times,
}

/// A host's times on the controller's clock.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// The skew that was measured at the last greeting, in milliseconds.
    skew_ms: i64,
    /// What is added because the host's clock was set back since then, in milliseconds.
    set_back_ms: i64,
    /// The newest sample's.
    newest_at: Timestamp,
}

/// What the cursor says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The next one: take it.
    Next,
    /// It is durable or counted already.
    Duplicate,
    /// Records before it never came.
    Ahead,
}

impl HostLane {
    /// `newest_at` is the time of the newest sample that is stored of the host, whichever controller stored it.
    pub(super) fn new(cursor: Cursor, interner: EntityInterner, newest_at: Timestamp) -> Self {
        let (acked, _) = watch::channel(cursor.through_seq);
        Self {
            cursor,
            interner,
            acked,
            times: Times {
                skew_ms: 0,
                set_back_ms: 0,
                newest_at,
            },
        }
    }

    /// The cursor of an epoch that delivered nothing yet.
    pub(super) const fn fresh_cursor(host: HostId, epoch: Epoch, now: Timestamp) -> Cursor {
        Cursor {
            host,
            epoch,
            through_seq: Seq::ZERO,
            previous_seq: Seq::ZERO,
            stored: 0,
            duplicates: 0,
            dropped: BTreeMap::new(),
            updated_at: now,
        }
    }

    /// Its cursor is in the database as it stands here.
    pub(super) const fn saved(&mut self) {
        self.cursor.previous_seq = self.cursor.through_seq;
    }

    /// Advances over a record if it is the next one, and counts it.
    pub(super) fn admit(&mut self, seq: Seq) -> Place {
        let next = self.cursor.through_seq.next();
        if seq < next {
            self.cursor.duplicates = self.cursor.duplicates.saturating_add(1);
            return Place::Duplicate;
        }
        if seq > next {
            return Place::Ahead;
        }
        self.cursor.through_seq = seq;
        self.cursor.stored = self.cursor.stored.saturating_add(1);
        Place::Next
    }

    /// Advances over a gap; says how many of its records are counted for the first time, `None` when it lies ahead.
    pub(super) fn skip(&mut self, gap: RecordGap) -> Option<u64> {
        let next = self.cursor.through_seq.next();
        if gap.first > next {
            return None;
        }
        if gap.last < next {
            return Some(0);
        }
        let counted = gap.last.records_since(self.cursor.through_seq);
        self.cursor.through_seq = gap.last;
        let sum = self.cursor.dropped.entry(gap.reason).or_default();
        *sum = sum.saturating_add(counted);
        Some(counted)
    }

    /// Counts records that were admitted but cannot be kept.
    pub(super) fn refuse_admitted(&mut self, records: u64) {
        self.cursor.stored = self.cursor.stored.saturating_sub(records);
        let sum = self.cursor.dropped.entry(GapReason::Refused).or_default();
        *sum = sum.saturating_add(records);
    }

    /// The instant on the controller's clock that a sample is kept under.
    ///
    /// A host whose clock is wrong is corrected by its skew; a time that is still in the future becomes `now`. Samples
    /// come in the order in which they were taken, so one that seems older than the one before shows that the clock was
    /// set back, by about as much; and no sample shares its millisecond with the one before, which would replace it.
    pub(super) fn taken_at(
        &mut self,
        by_host: Timestamp,
        skew_ms: i64,
        now: Timestamp,
    ) -> Timestamp {
        if self.times.newest_at.ms_since(now) > LINE_MS_MAX {
            self.times.newest_at = Timestamp::EPOCH;
        }
        let after = self.times.newest_at.unix_ms().saturating_add(1);
        let mut at_ms = self.corrected_ms(by_host, skew_ms);
        if at_ms < after {
            let back_ms = after.saturating_sub(at_ms);
            self.times.set_back_ms = self.times.set_back_ms.saturating_add(back_ms);
            at_ms = after;
        }
        let at_ms = at_ms.min(now.unix_ms()).max(after);
        self.times.newest_at = Timestamp::from_unix_ms(at_ms);
        self.times.newest_at
    }

    /// The instant on the controller's clock at which an event happened, which may be long before it was reported.
    pub(super) fn happened_at(
        &mut self,
        by_host: Timestamp,
        skew_ms: i64,
        now: Timestamp,
    ) -> Timestamp {
        let at_ms = self.corrected_ms(by_host, skew_ms);
        Timestamp::from_unix_ms(at_ms.min(now.unix_ms()))
    }

    fn corrected_ms(&mut self, by_host: Timestamp, skew_ms: i64) -> i64 {
        if skew_ms != self.times.skew_ms {
            // Measured anew since: what was concluded before is in it.
            self.times.skew_ms = skew_ms;
            self.times.set_back_ms = 0;
        }
        let skew_ms = if skew_ms.abs() > SKEW_TOLERATED_MS {
            skew_ms
        } else {
            0
        };
        let corrected = by_host.unix_ms().saturating_sub(skew_ms);
        corrected.saturating_add(self.times.set_back_ms)
    }
}

/// Skew up to this is the network's delay or the wobble of a disciplined clock; correcting it would add noise.
const SKEW_TOLERATED_MS: i64 = 1_000;

/// Most milliseconds by which samples from the future may stand in line ahead of `now`; a host's whole credit fits. Further
/// ahead the controller's own clock was set back.
const LINE_MS_MAX: i64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> HostLane {
        let cursor = HostLane::fresh_cursor(
            HostId::of_identity_spki(b"x"),
            Epoch::new(1),
            Timestamp::EPOCH,
        );
        HostLane::new(cursor, EntityInterner::new(), Timestamp::EPOCH)
    }

    fn gap(first: u64, last: u64) -> RecordGap {
        RecordGap {
            first: Seq::new(first),
            last: Seq::new(last),
            reason: GapReason::SpoolFull,
        }
    }

    #[test]
    fn every_record_is_stored_or_dropped_once() {
        let mut lane = lane();
        assert_eq!(lane.admit(Seq::new(1)), Place::Next);
        assert_eq!(lane.admit(Seq::new(1)), Place::Duplicate);
        assert_eq!(lane.admit(Seq::new(3)), Place::Ahead);
        assert_eq!(lane.skip(gap(1, 4)), Some(3));
        assert_eq!(lane.skip(gap(2, 3)), Some(0));
        assert_eq!(lane.skip(gap(9, 9)), None);
        assert_eq!(lane.admit(Seq::new(5)), Place::Next);
        let cursor = &lane.cursor;
        assert_eq!(
            (cursor.through_seq.get(), cursor.stored, cursor.duplicates),
            (5, 2, 1)
        );
        assert_eq!(cursor.dropped.values().sum::<u64>(), 3);
    }

    #[test]
    fn a_restart_does_not_put_a_sample_where_one_is_stored() {
        let at = |ms| Timestamp::from_unix_ms(ms);
        let stored = at(999_000);
        let mut lane = lane();
        lane.times.newest_at = stored;
        // The greeting before the restart measured another skew, so that the stored sample lies later than it was taken.
        let next = lane.taken_at(at(999_000), 0, at(1_000_000));
        assert_eq!(next, at(999_001));
        assert_eq!(lane.taken_at(at(999_500), 0, at(1_000_000)), at(999_501));
    }

    #[test]
    fn a_clock_that_is_wrong_or_jumps_is_put_right() {
        let now = Timestamp::from_unix_ms(1_000_000);
        let mut lane = lane();
        let at = |ms| Timestamp::from_unix_ms(ms);
        assert_eq!(lane.taken_at(at(998_900), 300, now), at(998_900));
        assert_eq!(lane.taken_at(at(4_599_000), 3_600_000, now), at(999_000));
        assert_eq!(lane.taken_at(at(999_999_999), 0, now), now);
        assert_eq!(lane.taken_at(at(999_999_999), 0, now), at(1_000_001));
    }

    #[test]
    fn a_clock_that_is_set_back_goes_on_from_the_sample_before() {
        let now = Timestamp::from_unix_ms(2_000_000);
        let mut lane = lane();
        let at = |ms| Timestamp::from_unix_ms(ms);
        assert_eq!(lane.taken_at(at(1_000_000), 0, now), at(1_000_000));
        assert_eq!(lane.taken_at(at(400_000), 0, now), at(1_000_001));
        assert_eq!(lane.taken_at(at(401_000), 0, now), at(1_001_001));
        assert_eq!(lane.happened_at(at(400_500), 0, now), at(1_000_501));
        // The next greeting measures it.
        let skew_ms = -600_000;
        assert_eq!(lane.taken_at(at(402_000), skew_ms, now), at(1_002_000));
    }

    #[test]
    fn a_controllers_clock_that_is_set_back_is_followed() {
        let mut lane = lane();
        let at = |ms| Timestamp::from_unix_ms(ms);
        assert_eq!(
            lane.taken_at(at(1_000_000), 0, at(1_000_000)),
            at(1_000_000)
        );
        assert_eq!(lane.taken_at(at(1_001_000), 0, at(501_000)), at(501_000));
        assert_eq!(lane.taken_at(at(502_000), 0, at(502_000)), at(502_000));
    }

    #[test]
    fn a_late_event_does_not_move_the_samples_behind_it() {
        let now = Timestamp::from_unix_ms(2_000_000);
        let mut lane = lane();
        let at = |ms| Timestamp::from_unix_ms(ms);
        assert_eq!(lane.taken_at(at(1_000_000), 0, now), at(1_000_000));
        assert_eq!(lane.happened_at(at(5_000), 0, now), at(5_000));
        assert_eq!(lane.taken_at(at(1_001_000), 0, now), at(1_001_000));
    }
}
