//! A sampler with sources that behave, fail, hang and panic.

use std::sync::mpsc;

use tidemark_model::sample::{AgentCost, CounterRates, EventHit};
use tidemark_model::{Epoch, Seq};
use tidemark_proto::convert::record::decode_stored;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::outbox::{MemoryLimits, MemoryOutbox, ReadLimits, Reading};

#[derive(Debug, thiserror::Error)]
#[error("the tables are gone")]
struct Gone;

/// Does for each sample what the test sends; without a word it samples.
struct Scripted(mpsc::Receiver<Turn>);

enum Turn {
    Sample,
    Fail,
    Panic,
    /// Hangs until the other end is dropped.
    Hang(mpsc::Receiver<()>),
}

impl SampleSource for Scripted {
    type Error = Gone;

    fn sample(&mut self, now: Timestamp) -> Result<Sample, Gone> {
        match self.0.recv().unwrap_or(Turn::Sample) {
            Turn::Sample => Ok(empty_sample(now)),
            Turn::Fail => Err(Gone),
            Turn::Panic => panic!("on purpose"),
            Turn::Hang(until) => {
                until.recv().ok();
                Ok(empty_sample(now))
            }
        }
    }

    fn light_count(&mut self, _now: Timestamp) -> Result<(), Gone> {
        Ok(())
    }

    fn light_interval(&self) -> Duration {
        Duration::from_secs(1)
    }
}

fn empty_sample(at: Timestamp) -> Sample {
    Sample {
        at,
        booted_at: at,
        interval_ms: 0,
        port_spaces: Vec::new(),
        rates: CounterRates::default(),
        host_handles: None,
        probes: Vec::new(),
        cost: AgentCost::default(),
    }
}

struct Rig {
    sampler: Sampler,
    outbox: OutboxHandle,
    clock: Clock,
    turns: mpsc::SyncSender<Turn>,
}

/// A sampler of one sample a second, whose clock the test moves.
fn rig() -> Rig {
    let limits = MemoryLimits {
        records_max: 1_000,
        bytes_max: 1_000_000,
    };
    let outbox = OutboxHandle::new(MemoryOutbox::new(Epoch::new(1), limits));
    let clock = Clock::manual(Timestamp::from_unix_ms(1_000_000));
    let (turns, script) = mpsc::sync_channel(8);
    let settings = SamplerSettings {
        interval: SamplingInterval::MIN,
        light_interval: None,
        outbox_bytes_max: 1_000_000,
    };
    let source = Scripted(script);
    let sampler = Sampler::start(source, settings, outbox.clone(), clock.clone()).unwrap();
    Rig {
        sampler,
        outbox,
        clock,
        turns,
    }
}

impl Rig {
    fn turn(&self, turn: Turn) {
        self.turns.send(turn).unwrap();
    }

    /// Moves the clock until the records are what the test waits for.
    async fn until(&self, is_so: impl Fn(&[Record]) -> bool) -> Vec<Record> {
        let give_up_at = Instant::now() + Duration::from_secs(20);
        loop {
            let records = self.records();
            if is_so(&records) {
                return records;
            }
            assert!(Instant::now() < give_up_at, "{records:?}");
            self.clock.advance(Duration::from_millis(100));
            self.sampler.control().order(|_| {});
            tokio::task::yield_now().await;
        }
    }

    fn records(&self) -> Vec<Record> {
        let limits = ReadLimits {
            records_max: 1_000,
            bytes_max: 1_000_000,
        };
        match self.outbox.lock().read(Seq::new(1), limits).unwrap() {
            Reading::Records(records) => records
                .iter()
                .map(|stored| decode_stored(stored).unwrap())
                .collect(),
            Reading::Gap(_) | Reading::End => Vec::new(),
        }
    }

    async fn stop(self) -> Result<(), SamplerError> {
        let Self { sampler, turns, .. } = self;
        drop(turns);
        sampler.stop().await
    }
}

fn events(records: &[Record], code: u32) -> Vec<&EventHit> {
    records
        .iter()
        .filter_map(|record| match record {
            Record::Event(event) => Some(event),
            Record::Sample(_) => None,
        })
        .filter(|event| event.code == code)
        .collect()
}

#[tokio::test]
async fn samples_reach_the_outbox_and_the_thread_is_joined() {
    let rig = rig();
    rig.turn(Turn::Sample);
    rig.turn(Turn::Sample);
    rig.until(|records| {
        let is_sample = |record: &&Record| matches!(record, Record::Sample(_));
        records.iter().any(|record| is_sample(&record))
    })
    .await;
    assert!(rig.sampler.control().status().taken >= 1);
    rig.stop().await.unwrap();
}

#[tokio::test]
async fn failures_are_counted_and_reported_once_and_so_is_their_end() {
    let rig = rig();
    for turn in [Turn::Fail, Turn::Fail, Turn::Fail, Turn::Sample] {
        rig.turn(turn);
    }
    let records = rig.until(|records| !events(records, 2).is_empty()).await;
    let failing = events(&records, 1);
    assert_eq!(failing.len(), 1);
    assert!(failing[0].text.contains("the tables are gone"));
    assert_eq!(events(&records, 2)[0].count, 3);
    let status = rig.sampler.control().status();
    assert_eq!(status.failed, 3);
    rig.stop().await.unwrap();
}

#[tokio::test]
async fn a_sample_that_is_asked_for_comes_at_once_and_once() {
    let rig = rig();
    rig.turn(Turn::Sample);
    let taken = || rig.sampler.control().status().taken;
    while taken() < 1 {
        tokio::task::yield_now().await;
    }
    // The clock stands still: no scheduled sample comes.
    let asked = Instant::now();
    for _ in 0..3 {
        rig.sampler.control().sample_now();
    }
    rig.turn(Turn::Sample);
    while taken() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(asked.elapsed() + Duration::from_millis(200) > EXTRA_PAUSE);
    assert!(!rig.sampler.control().shared.orders().extra);
    rig.stop().await.unwrap();
}

#[tokio::test]
async fn a_panic_ends_the_sampler_and_is_told() {
    let rig = rig();
    rig.turn(Turn::Panic);
    tokio::time::timeout(Duration::from_secs(10), rig.sampler.ended())
        .await
        .unwrap();
    assert!(matches!(rig.stop().await, Err(SamplerError::Panicked)));
}

#[tokio::test]
async fn a_collection_that_hangs_is_reported_from_outside_and_does_not_block_the_stop() {
    let rig = rig();
    let (release, until) = mpsc::sync_channel::<()>(0);
    rig.turn(Turn::Hang(until));
    let control = rig.sampler.control();
    while control.status().collecting_since.is_none() {
        tokio::task::yield_now().await;
    }
    // A minute passes for the watchdog.
    let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
    control.note(|status| status.collecting_since = Some(long_ago));
    tokio::time::pause();
    let stop = CancellationToken::new();
    let watching = watchdog::watch(
        control.clone(),
        rig.outbox.clone(),
        rig.clock.clone(),
        stop.clone(),
    );
    tokio::select! {
        () = watching => {}
        () = rig.outbox.appended() => {}
    }
    tokio::time::resume();
    let report = &rig.records()[0];
    assert!(matches!(report, Record::Event(event) if event.code == 3));
    rig.stop().await.unwrap();
    drop(release);
}

#[tokio::test]
async fn an_illegal_wish_of_the_controller_leaves_the_own_interval() {
    let rig = rig();
    let control = rig.sampler.control();
    for (wish, interval) in [
        (Some(Duration::from_millis(5)), 1),
        (Some(Duration::from_secs(9)), 9),
        (None, 1),
    ] {
        control.wish_interval(wish);
        rig.turn(Turn::Sample);
        while control.status().interval != Duration::from_secs(interval)
            || control.status().taken == 0
        {
            rig.clock.advance(Duration::from_millis(500));
            control.order(|_| {});
            tokio::task::yield_now().await;
        }
    }
    rig.stop().await.unwrap();
}
