//! An outbox in memory, bounded by records and bytes, with the same counts as the spool on disk. For simulated hosts.

use std::collections::VecDeque;

use tidemark_model::{Epoch, GapReason, RecordGap, Seq, SpoolCounts, Timestamp};

use super::{Bounds, Outbox, OutboxError, ReadLimits, Reading};

/// How much a [`MemoryOutbox`] holds; beyond it the oldest records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Most records, at least 1.
    pub records_max: usize,
    /// Most bytes of records.
    pub bytes_max: usize,
}

/// What stands in the queue, in ascending order of seq and without holes between `oldest` and `newest`.
#[derive(Debug)]
enum Item {
    Record { bytes: Vec<u8>, is_lasting: bool },
    Gap { records: u64, reason: GapReason },
}

impl Item {
    const fn records(&self) -> u64 {
        match self {
            Self::Record { .. } => 1,
            Self::Gap { records, .. } => *records,
        }
    }
}

/// Records in memory.
#[derive(Debug)]
pub struct MemoryOutbox {
    epoch: Epoch,
    limits: MemoryLimits,
    items: VecDeque<Item>,
    /// Seq before the first item.
    done: Seq,
    counts: SpoolCounts,
}

impl MemoryOutbox {
    /// An empty outbox that begins `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch, limits: MemoryLimits) -> Self {
        Self {
            epoch,
            limits,
            items: VecDeque::new(),
            done: Seq::ZERO,
            counts: SpoolCounts {
                produced: 0,
                acked: 0,
                dropped: 0,
                held: 0,
                held_bytes: 0,
            },
        }
    }

    fn is_over_limit(&self) -> bool {
        let bytes = usize::try_from(self.counts.held_bytes).unwrap_or(usize::MAX);
        let records = usize::try_from(self.counts.held).unwrap_or(usize::MAX);
        records > self.limits.records_max.max(1) || bytes > self.limits.bytes_max
    }

    /// Turns the oldest record into a gap, a lasting one only when there are no others.
    fn drop_oldest(&mut self) {
        let oldest = |lasting: bool| {
            let is_one = |item: &Item| matches!(item, Item::Record { is_lasting, .. } if *is_lasting == lasting);
            self.items.iter().position(is_one)
        };
        let Some(position) = oldest(false).or_else(|| oldest(true)) else {
            return;
        };
        self.turn_into_gap(position, GapReason::SpoolFull);
        self.join_gaps_at(position.saturating_add(1));
        self.join_gaps_at(position);
    }

    fn append_record(&mut self, record: &[u8], is_lasting: bool) -> Result<Seq, OutboxError> {
        self.counts.produced = self.counts.produced.saturating_add(1);
        self.counts.held = self.counts.held.saturating_add(1);
        self.counts.held_bytes = self
            .counts
            .held_bytes
            .saturating_add(size_of_record(record));
        self.items.push_back(Item::Record {
            bytes: record.to_vec(),
            is_lasting,
        });
        if record.len() > self.limits.bytes_max {
            let position = self.items.len().saturating_sub(1);
            self.turn_into_gap(position, GapReason::WriteFailed);
            self.join_gaps_at(position);
            return Err(OutboxError::TooLarge {
                size_bytes: record.len(),
                limit_bytes: self.limits.bytes_max,
            });
        }
        while self.is_over_limit() {
            self.drop_oldest();
        }
        Ok(self.bounds().newest)
    }

    fn turn_into_gap(&mut self, position: usize, reason: GapReason) {
        let Some(item) = self.items.get_mut(position) else {
            return;
        };
        if let Item::Record { bytes, .. } = item {
            let bytes = size_of_record(bytes);
            *item = Item::Gap { records: 1, reason };
            self.counts.held = self.counts.held.saturating_sub(1);
            self.counts.held_bytes = self.counts.held_bytes.saturating_sub(bytes);
            self.counts.dropped = self.counts.dropped.saturating_add(1);
        }
    }

    /// Joins the gap at `position` with the one before it, so that gaps do not grow in number.
    fn join_gaps_at(&mut self, position: usize) {
        let Some(before) = position.checked_sub(1) else {
            return;
        };
        let (
            Some(Item::Gap { records, reason }),
            Some(Item::Gap {
                records: more,
                reason: same,
            }),
        ) = (self.items.get(before), self.items.get(position))
        else {
            return;
        };
        if reason == same {
            let joined = Item::Gap {
                records: records.saturating_add(*more),
                reason: *reason,
            };
            self.items.remove(position);
            if let Some(item) = self.items.get_mut(before) {
                *item = joined;
            }
        }
    }

    /// The item that holds `seq`, with the seq that it begins at.
    fn find(&self, seq: Seq) -> Option<(usize, Seq)> {
        let mut first = self.done.next();
        for (position, item) in self.items.iter().enumerate() {
            let end = Seq::new(first.get().saturating_add(item.records()));
            if seq < end {
                return (seq >= first).then_some((position, first));
            }
            first = end;
        }
        None
    }

    fn records_at(&self, position: usize, limits: ReadLimits) -> Vec<Vec<u8>> {
        let mut bytes = 0_usize;
        let mut records = Vec::new();
        for item in self.items.iter().skip(position) {
            let Item::Record { bytes: record, .. } = item else {
                break;
            };
            bytes = bytes.saturating_add(record.len());
            let is_full = records.len() >= limits.records_max || bytes > limits.bytes_max;
            if is_full && !records.is_empty() {
                break;
            }
            records.push(record.clone());
        }
        records
    }
}

fn size_of_record(record: &[u8]) -> u64 {
    u64::try_from(record.len()).unwrap_or(u64::MAX)
}

impl Outbox for MemoryOutbox {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn append(&mut self, record: &[u8], _now: Timestamp) -> Result<Seq, OutboxError> {
        self.append_record(record, false)
    }

    fn append_lasting(&mut self, record: &[u8], _now: Timestamp) -> Result<Seq, OutboxError> {
        self.append_record(record, true)
    }

    fn read(&mut self, from: Seq, limits: ReadLimits) -> Result<Reading, OutboxError> {
        if from <= self.done {
            return Ok(Reading::Gap(RecordGap {
                first: from,
                last: self.done,
                reason: GapReason::LostAfterAck,
            }));
        }
        let Some((position, first)) = self.find(from) else {
            return Ok(Reading::End);
        };
        Ok(match self.items.get(position) {
            Some(Item::Gap { records, reason }) => Reading::Gap(RecordGap {
                first: from,
                last: Seq::new(first.get().saturating_add(*records).saturating_sub(1)),
                reason: *reason,
            }),
            Some(Item::Record { .. }) => Reading::Records(self.records_at(position, limits)),
            None => Reading::End,
        })
    }

    fn ack(&mut self, through: Seq) -> Result<(), OutboxError> {
        let through = through.min(self.bounds().newest);
        while self.done < through {
            let Some(item) = self.items.front_mut() else {
                break;
            };
            match item {
                Item::Record { bytes, .. } => {
                    let bytes = size_of_record(bytes);
                    self.counts.acked = self.counts.acked.saturating_add(1);
                    self.counts.held = self.counts.held.saturating_sub(1);
                    self.counts.held_bytes = self.counts.held_bytes.saturating_sub(bytes);
                    self.done = self.done.next();
                    self.items.pop_front();
                }
                Item::Gap { records, .. } => {
                    let known = through.records_since(self.done).min(*records);
                    self.done = Seq::new(self.done.get().saturating_add(known));
                    *records = records.saturating_sub(known);
                    if *records == 0 {
                        self.items.pop_front();
                    }
                }
            }
        }
        Ok(())
    }

    fn give_up(&mut self, gap: RecordGap) -> Result<(), OutboxError> {
        let mut seq = gap.first.max(self.done.next());
        let last = gap.last.min(self.bounds().newest);
        while seq <= last {
            let Some((position, item_first)) = self.find(seq) else {
                break;
            };
            let records = self.items.get(position).map_or(1, Item::records);
            seq = Seq::new(item_first.get().saturating_add(records));
            self.turn_into_gap(position, gap.reason);
            self.join_gaps_at(position);
        }
        Ok(())
    }

    fn restart_epoch(&mut self, epoch: Epoch) -> Result<(), OutboxError> {
        self.items
            .retain(|item| matches!(item, Item::Record { .. }));
        self.epoch = epoch;
        self.done = Seq::ZERO;
        self.counts = SpoolCounts {
            produced: self.counts.held,
            acked: 0,
            dropped: 0,
            ..self.counts
        };
        Ok(())
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            oldest: self.done.next(),
            newest: Seq::new(self.counts.produced),
        }
    }

    fn counts(&self) -> SpoolCounts {
        self.counts
    }

    fn sync(&mut self) -> Result<(), OutboxError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;
    const ALL: ReadLimits = ReadLimits {
        records_max: usize::MAX,
        bytes_max: usize::MAX,
    };

    fn outbox(records_max: usize, bytes_max: usize) -> MemoryOutbox {
        MemoryOutbox::new(
            Epoch::new(1),
            MemoryLimits {
                records_max,
                bytes_max,
            },
        )
    }

    fn seq(number: u64) -> Seq {
        Seq::new(number)
    }

    #[test]
    fn what_does_not_fit_is_told_as_one_gap() {
        let mut outbox = outbox(2, 1_000);
        for record in 1..=5_u8 {
            outbox.append(&[record], NOW).unwrap();
        }
        let gap = RecordGap {
            first: seq(1),
            last: seq(3),
            reason: GapReason::SpoolFull,
        };
        assert_eq!(outbox.read(seq(1), ALL).unwrap(), Reading::Gap(gap));
        assert_eq!(
            outbox.read(seq(4), ALL).unwrap(),
            Reading::Records(vec![vec![4], vec![5]])
        );
        assert_eq!(outbox.read(seq(6), ALL).unwrap(), Reading::End);
    }

    #[test]
    fn ordinary_records_go_before_lasting_ones() {
        let mut outbox = outbox(3, 1_000);
        outbox.append(&[1], NOW).unwrap();
        outbox.append_lasting(&[2], NOW).unwrap();
        for record in 3..=6_u8 {
            outbox.append(&[record], NOW).unwrap();
        }
        let records = |outbox: &mut MemoryOutbox, at| match outbox.read(seq(at), ALL).unwrap() {
            Reading::Records(records) => records,
            other @ (Reading::Gap(_) | Reading::End) => panic!("{other:?}"),
        };
        assert_eq!(records(&mut outbox, 2), [vec![2]]);
        assert_eq!(records(&mut outbox, 5), [vec![5], vec![6]]);
        for record in 7..=9_u8 {
            outbox.append_lasting(&[record], NOW).unwrap();
        }
        assert_eq!(records(&mut outbox, 7), [vec![7], vec![8], vec![9]]);
        let all_lost = outbox.read(seq(1), ALL).unwrap();
        assert!(
            matches!(all_lost, Reading::Gap(gap) if gap.last == seq(6)),
            "{all_lost:?}"
        );
        assert!(outbox.counts().balances());
    }

    #[test]
    fn an_oversized_record_is_refused_and_counted_without_pushing_others_out() {
        let mut outbox = outbox(10, 4);
        outbox.append(&[1], NOW).unwrap();
        assert!(outbox.append(&[2; 5], NOW).is_err());
        assert_eq!(outbox.counts().dropped, 1);
        assert_eq!(outbox.counts().held, 1);
        assert!(
            matches!(outbox.read(seq(2), ALL).unwrap(), Reading::Gap(gap) if gap.reason == GapReason::WriteFailed)
        );
    }

    #[test]
    fn reads_keep_their_limits_but_return_at_least_one_record() {
        let mut outbox = outbox(10, 1_000);
        for _ in 0..4 {
            outbox.append(&[0; 10], NOW).unwrap();
        }
        let read = |outbox: &mut MemoryOutbox, records_max, bytes_max| {
            let limits = ReadLimits {
                records_max,
                bytes_max,
            };
            match outbox.read(seq(1), limits).unwrap() {
                Reading::Records(records) => records.len(),
                other @ (Reading::Gap(_) | Reading::End) => panic!("{other:?}"),
            }
        };
        assert_eq!(read(&mut outbox, 3, 1_000), 3);
        assert_eq!(read(&mut outbox, 10, 25), 2);
        assert_eq!(read(&mut outbox, 1, 1), 1);
    }

    #[test]
    fn a_refused_record_becomes_a_gap_between_its_neighbours() {
        let mut outbox = outbox(10, 1_000);
        for record in 1..=3_u8 {
            outbox.append(&[record], NOW).unwrap();
        }
        outbox.give_up(refused(2, 2)).unwrap();
        assert_eq!(
            outbox.read(seq(1), ALL).unwrap(),
            Reading::Records(vec![vec![1]])
        );
        assert!(
            matches!(outbox.read(seq(2), ALL).unwrap(), Reading::Gap(gap) if gap.last == seq(2))
        );
        outbox.ack(seq(3)).unwrap();
        let counts = outbox.counts();
        assert_eq!((counts.acked, counts.dropped, counts.held), (2, 1, 0));
    }

    fn refused(first: u64, last: u64) -> RecordGap {
        RecordGap {
            first: seq(first),
            last: seq(last),
            reason: GapReason::Refused,
        }
    }

    #[test]
    fn what_was_acked_is_a_gap_for_a_controller_that_lost_it() {
        let mut outbox = outbox(10, 1_000);
        for record in 1..=3_u8 {
            outbox.append(&[record], NOW).unwrap();
        }
        outbox.ack(seq(2)).unwrap();
        let lost = RecordGap {
            first: seq(1),
            last: seq(2),
            reason: GapReason::LostAfterAck,
        };
        assert_eq!(outbox.read(seq(1), ALL).unwrap(), Reading::Gap(lost));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(usize),
        Ack(u64),
        Refuse(u64, u64),
        RestartEpoch,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..40_usize).prop_map(Step::Append),
            (0..60_u64).prop_map(Step::Ack),
            (0..60_u64, 0..5_u64).prop_map(|(first, more)| Step::Refuse(first, first + more)),
            Just(Step::RestartEpoch),
        ];
        proptest::collection::vec(step, 0..80)
    }

    proptest! {
        #[test]
        fn every_record_is_acked_dropped_or_held_at_all_times(steps in steps()) {
            let mut outbox = outbox(8, 100);
            for step in steps {
                match step {
                    Step::Append(size) => drop(outbox.append(&vec![7; size], NOW)),
                    Step::Ack(through) => outbox.ack(seq(through)).unwrap(),
                    Step::Refuse(first, last) => outbox.give_up(refused(first, last)).unwrap(),
                    Step::RestartEpoch => outbox.restart_epoch(Epoch::new(2)).unwrap(),
                }
                let counts = outbox.counts();
                prop_assert!(counts.balances(), "{counts:?}");
                prop_assert!(counts.held <= 8 && counts.held_bytes <= 100);
                let bounds = outbox.bounds();
                let listed: u64 = outbox.items.iter().map(Item::records).sum();
                prop_assert_eq!(listed, bounds.newest.records_since(outbox.done));
            }
        }
    }
}
