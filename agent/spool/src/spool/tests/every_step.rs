//! One life of a spool, with each fault at each of its steps in turn: power that goes, room that ends, a medium that fails,
//! files that cannot be opened. What was durable is there afterwards, or counted.

use std::collections::BTreeMap;

use tidemark_disk::{Fault, MemoryDisk};

use super::*;

const DIR: &str = "/spool";
/// Ways in which the same power cut may end.
const POWER_SEEDS: u64 = 6;

/// A spool on a disk that fails, and what the world has seen of it.
struct Life {
    disk: MemoryDisk,
    spool: Option<Spool>,
    fresh_epochs: u64,
    /// What each seq of an epoch was when it was first readable.
    seen: BTreeMap<(u64, u64), Vec<u8>>,
    /// The highest seq of each epoch that was acked.
    acked: BTreeMap<u64, u64>,
    appended: u64,
    recovery: Recovery,
    /// Why it could not be opened at last.
    refused: Option<SpoolError>,
}

impl Life {
    fn begin(disk: MemoryDisk) -> Self {
        let mut life = Self {
            disk,
            spool: None,
            fresh_epochs: 100,
            seen: BTreeMap::new(),
            acked: BTreeMap::new(),
            appended: 0,
            recovery: Recovery::default(),
            refused: None,
        };
        life.open();
        life
    }

    /// Opens it, as an agent does that is started again until it can.
    fn open(&mut self) {
        self.fresh_epochs += 1;
        let now = at(self.appended as i64);
        let opened = Spool::open_on(
            Arc::new(self.disk.for_process()),
            Path::new(DIR),
            small(),
            now,
            Epoch::new(self.fresh_epochs),
        );
        match opened {
            Ok((spool, recovery)) => {
                self.spool = Some(spool);
                self.recovery = recovery;
                self.refused = None;
            }
            Err(error) => self.refused = Some(error),
        }
    }

    /// The spool, opened again when it could not be before; `None` without power.
    fn spool(&mut self) -> Option<&mut Spool> {
        if self.spool.is_none() {
            self.open();
        }
        self.spool.as_mut().filter(|_| self.disk.is_on())
    }

    fn append(&mut self, records: u64) {
        for _ in 0..records {
            self.appended += 1;
            let n = self.appended;
            let Some(spool) = self.spool() else { return };
            let mut bytes = payload(n);
            bytes.resize(1_500, b'.');
            let appended = if n.is_multiple_of(7) {
                spool.append_lasting(at(n as i64), &bytes)
            } else {
                spool.append(at(n as i64), &bytes)
            };
            assert!(spool.status().counts.balances(), "{appended:?}");
        }
    }

    fn flush(&mut self) {
        if let Some(spool) = self.spool() {
            let _may_fail = spool.flush();
        }
    }

    /// Reads everything, and holds it against what was read before.
    fn read(&mut self) {
        let Some(spool) = self.spool() else { return };
        let epoch = spool.status().epoch.get();
        let from = spool.status().oldest;
        let items = spool.read(from, 1_000, usize::MAX).unwrap_or_default();
        assert!(spool.status().counts.balances());
        for item in items {
            if let Item::Record { seq, payload } = item {
                let first = self
                    .seen
                    .entry((epoch, seq.get()))
                    .or_insert_with(|| payload.clone());
                assert_eq!(*first, payload, "record {seq} of epoch {epoch} was another");
            }
        }
    }

    /// Acks the older half of what may be read.
    fn ack_half(&mut self) {
        let Some(spool) = self.spool() else { return };
        let status = spool.status();
        let through = (status.oldest.get() + status.newest.get()) / 2;
        if through >= status.oldest.get() {
            spool.trim(Seq::new(through)).unwrap();
            let acked = self.acked.entry(status.epoch.get()).or_default();
            *acked = through.max(*acked);
        }
    }

    fn give_up_oldest(&mut self) {
        let Some(spool) = self.spool() else { return };
        let seq = spool.status().oldest;
        if seq <= spool.newest() {
            let refused = gap(seq.get(), seq.get(), GapReason::Refused);
            spool.give_up(refused).unwrap();
        }
    }

    fn restart_epoch(&mut self) {
        self.fresh_epochs += 1;
        let epoch = Epoch::new(self.fresh_epochs);
        if let Some(spool) = self.spool() {
            let _may_fail = spool.restart_epoch(epoch);
        }
    }

    fn reopen(&mut self) {
        self.spool = None;
        self.open();
    }

    /// Everything that a spool does.
    fn live(&mut self) {
        self.append(8);
        self.flush();
        self.read();
        self.give_up_oldest();
        self.append(6);
        self.flush();
        self.read();
        self.ack_half();
        self.append(3);
        self.reopen();
        // More than the limit of 64 KiB.
        self.append(50);
        self.flush();
        self.read();
        self.ack_half();
        self.restart_epoch();
        self.append(6);
        self.flush();
        self.read();
        self.ack_half();
        self.append(3);
    }

    /// The newest seq that was ever readable in an epoch.
    fn newest_seen(&self, epoch: u64) -> u64 {
        let of_epoch = self.seen.range((epoch, 0)..=(epoch, u64::MAX));
        of_epoch.last().map_or(0, |((_, seq), _)| *seq)
    }

    /// What was readable once is readable, acked, or counted as lost for one of these reasons.
    fn assert_kept(&mut self, what: &str, reasons: &[GapReason]) {
        if self.spool().is_none() {
            panic!("{what}: it cannot be opened: {:?}", self.refused);
        }
        let Some(spool) = self.spool() else { return };
        assert_conserved(spool);
        let status = spool.status();
        let epoch = status.epoch.get();
        let items = everything(spool);
        let acked = self.acked.get(&epoch).copied().unwrap_or(0);
        assert!(
            status.oldest.get() <= acked + 1,
            "{what}: nobody acked up to {} but {acked}",
            status.oldest
        );
        assert!(
            status.counts.produced >= self.newest_seen(epoch),
            "{what}: seqs that were sent are given out again: {status:?}"
        );
        for item in items {
            match item {
                Item::Record { seq, payload } => {
                    let before = self.seen.get(&(epoch, seq.get()));
                    let same = before.is_none_or(|before| *before == payload);
                    assert!(same, "{what}: record {seq} was another one before");
                }
                Item::Gap(gap) => assert!(reasons.contains(&gap.reason), "{what}: {gap:?}"),
            }
        }
    }
}

/// How many steps a life without faults takes, up to its last call.
fn steps_of_a_life() -> u64 {
    let disk = MemoryDisk::new(0);
    let mut life = Life::begin(disk.clone());
    life.live();
    let steps = disk.steps();
    life.assert_kept("no fault", &[GapReason::SpoolFull, GapReason::Refused]);
    steps
}

#[test]
fn whenever_power_goes_what_was_durable_is_there_and_nothing_counts_as_damaged() {
    let steps = steps_of_a_life();
    assert!(steps > 300, "{steps} steps");
    for step in 0..steps {
        for seed in 0..POWER_SEEDS {
            let what = format!("power cut at step {step} of {steps}, seed {seed}");
            let disk = MemoryDisk::new(seed);
            disk.fail_at(step, Fault::PowerCut);
            let mut life = Life::begin(disk.clone());
            life.live();
            assert!(!disk.is_on(), "{what}");
            life.spool = None;
            disk.power_up();
            life.open();
            let found = Recovery {
                created: life.recovery.created,
                torn_bytes: life.recovery.torn_bytes,
                ..Recovery::default()
            };
            assert_eq!(life.recovery, found, "{what}");
            life.assert_kept(&what, &[GapReason::SpoolFull, GapReason::Refused]);
            // And it goes on.
            life.append(4);
            life.flush();
            life.assert_kept(&what, &[GapReason::SpoolFull, GapReason::Refused]);
        }
    }
}

#[test]
fn whichever_step_fails_the_spool_goes_on_and_what_is_lost_is_counted() {
    let steps = steps_of_a_life();
    for fault in [Fault::NoSpace, Fault::Medium, Fault::Busy] {
        for step in 0..steps {
            let what = format!("{fault:?} at step {step} of {steps}");
            let disk = MemoryDisk::new(step);
            disk.fail_at(step, fault);
            let mut life = Life::begin(disk.clone());
            life.live();
            disk.mend();
            life.assert_kept(&what, &GapReason::ALL);
            // What it says is durable is so, even if power goes now.
            life.flush();
            life.read();
            let counts = life.spool().unwrap().status().counts;
            disk.cut_power();
            life.spool = None;
            disk.power_up();
            life.open();
            life.assert_kept(&what, &GapReason::ALL);
            let after = life.spool().unwrap().status().counts;
            assert_eq!(after.dropped, counts.dropped, "{what}: dropped");
            assert_eq!(after.produced, counts.produced, "{what}: produced");
        }
    }
}

#[test]
fn a_disk_that_stays_full_or_fails_from_any_step_on_costs_counted_records_until_it_is_mended() {
    let steps = steps_of_a_life();
    for fault in [Fault::NoSpace, Fault::Medium] {
        for step in (0..steps).step_by(3) {
            let what = format!("{fault:?} from step {step} of {steps} on");
            let disk = MemoryDisk::new(step);
            disk.fail_from(step, fault);
            let mut life = Life::begin(disk.clone());
            life.live();
            disk.mend();
            life.append(4);
            life.flush();
            life.assert_kept(&what, &GapReason::ALL);
            life.reopen();
            life.assert_kept(&what, &GapReason::ALL);
        }
    }
}

#[test]
fn a_medium_that_fails_to_read_once_costs_nothing() {
    let disk = MemoryDisk::new(1);
    let mut life = Life::begin(disk.clone());
    life.append(30);
    life.flush();
    life.read();
    let before = life.spool().unwrap().status().counts;
    life.spool = None;
    let opening = disk.steps();
    life.open();
    let steps = disk.steps() - opening;
    for step in 0..steps {
        life.spool = None;
        disk.fail_at(disk.steps() + step, Fault::Medium);
        life.open();
        disk.mend();
        life.assert_kept(&format!("at step {step} of opening"), &[]);
        let counts = life.spool().unwrap().status().counts;
        assert_eq!(counts, before, "at step {step} of opening");
    }
}
