//! Random lives of a spool: whatever happens to it, `produced = acked + dropped + held`, and no seq names two records.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append {
        bytes: usize,
        seconds: i64,
        lasting: bool,
    },
    Read {
        back: u64,
    },
    /// Acks a share of what was readable, in per cent.
    Trim {
        percent: u64,
    },
    GiveUp {
        percent: u64,
    },
    Flush,
    Reopen,
    /// The process dies and what was not synced is lost.
    PowerLoss,
    RestartEpoch,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..1_500_usize, -5..60_i64, proptest::bool::weighted(0.2))
            .prop_map(|(bytes, seconds, lasting)| Step::Append { bytes, seconds, lasting }),
        4 => (0..50_u64).prop_map(|back| Step::Read { back }),
        4 => (0..=100_u64).prop_map(|percent| Step::Trim { percent }),
        1 => (0..=100_u64).prop_map(|percent| Step::GiveUp { percent }),
        2 => Just(Step::Flush),
        2 => Just(Step::Reopen),
        2 => Just(Step::PowerLoss),
        1 => Just(Step::RestartEpoch),
    ]
}

/// A spool and what the world has seen of it.
struct Life {
    dir: TempDir,
    spool: Option<Spool>,
    clock_s: i64,
    epochs: u64,
    /// What each seq of an epoch was when it was first read.
    seen: HashMap<(u64, u64), Vec<u8>>,
    appended: u64,
}

impl Life {
    fn begin() -> Self {
        let dir = folder();
        let (spool, _) = open(dir.path());
        Self {
            dir,
            spool: Some(spool),
            clock_s: 0,
            epochs: 100,
            seen: HashMap::new(),
            appended: 0,
        }
    }

    fn spool(&mut self) -> &mut Spool {
        self.spool.as_mut().unwrap()
    }

    fn fresh_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch::new(self.epochs)
    }

    fn reopen(&mut self) {
        self.spool = None;
        let (fresh, now) = (self.fresh_epoch(), at(self.clock_s));
        let (spool, recovery) = Spool::open(self.dir.path(), small(), now, fresh).unwrap();
        assert_eq!(
            (recovery.epoch_restarted, recovery.state_files_lost),
            (false, 0)
        );
        self.spool = Some(spool);
    }

    /// A seq that may have been sent, a share of the way from the oldest to the newest.
    fn sendable(&mut self, percent: u64) -> Seq {
        let status = self.spool().status();
        let readable = status.newest.get() + 1 - status.oldest.get();
        Seq::new(status.oldest.get() - 1 + readable * percent / 100)
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Append {
                bytes,
                seconds,
                lasting,
            } => {
                self.clock_s += seconds;
                self.appended += 1;
                let mut payload = self.appended.to_le_bytes().to_vec();
                payload.resize(8 + bytes, b'x');
                let now = at(self.clock_s);
                if lasting {
                    self.spool().append_lasting(now, &payload);
                } else {
                    self.spool().append(now, &payload);
                }
            }
            Step::Read { back } => {
                let newest = self.spool().newest().get();
                let oldest = self.spool().status().oldest.get();
                let from = Seq::new(newest.saturating_sub(back).max(oldest));
                self.read(from);
            }
            Step::Trim { percent } => {
                let through = self.sendable(percent);
                self.spool().trim(through).unwrap();
            }
            Step::GiveUp { percent } => {
                let seq = self.sendable(percent);
                if seq >= self.spool().status().oldest {
                    self.spool()
                        .give_up(gap(seq.get(), seq.get(), GapReason::Refused))
                        .unwrap();
                }
            }
            Step::Flush => self.spool().flush().unwrap(),
            Step::Reopen => self.reopen(),
            Step::PowerLoss => self.lose_power(),
            Step::RestartEpoch => {
                let fresh = self.fresh_epoch();
                self.spool().restart_epoch(fresh).unwrap();
            }
        }
    }

    fn read(&mut self, from: Seq) {
        let epoch = self.spool().status().epoch.get();
        for item in self.spool().read(from, 20, 9_000).unwrap() {
            if let Item::Record { seq, payload } = item {
                let first = self
                    .seen
                    .entry((epoch, seq.get()))
                    .or_insert_with(|| payload.clone());
                assert_eq!(
                    *first, payload,
                    "record {seq} of epoch {epoch} was another one before"
                );
            }
        }
    }

    /// Everything durable stays; the rest of the active segment is cut at a place that the count of appends picks.
    fn lose_power(&mut self) {
        let lost = self.spool().log.unsynced();
        let spool = self.spool.take().unwrap();
        die(spool);
        if let Some((path, synced, written)) = lost {
            let kept = synced + self.appended * 37 % (written - synced + 1);
            fs::OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(kept)
                .unwrap();
        }
        self.reopen();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn counts_balance_and_seqs_name_one_record_whatever_happens(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut life = Life::begin();
        for step in &steps {
            life.take(step);
            let status = life.spool().status();
            prop_assert!(status.counts.balances(), "after {step:?}: {status:?}");
            prop_assert!(status.newest.get() <= status.counts.produced);
        }
        assert_conserved(life.spool());
        life.reopen();
        assert_conserved(life.spool());
    }
}
