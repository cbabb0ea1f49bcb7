//! A reader on logs that grow, fail, lose records and are cleared.

use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_model::sample::EventHit;
use tidemark_model::{Epoch, Seq};
use tidemark_proto::convert::record::{Record, decode_stored};
use tokio::time::Instant;

use super::*;
use crate::events::bookmark::{Kept, LogPlace};
use crate::events::selection;
use crate::events::xml::tests::TCPIP_4231;
use crate::outbox::{MemoryLimits, MemoryOutbox, ReadLimits, Reading};

/// A log in memory, that the test writes and the reader reads.
#[derive(Clone, Default)]
struct FakeLog(Arc<Mutex<FakeState>>);

#[derive(Default)]
struct FakeState {
    epoch: i64,
    /// Number, time in milliseconds, XML.
    records: Vec<(u64, i64, String)>,
    /// Index of the next record to hand out.
    next: usize,
    fails: u32,
    opens: Vec<Option<u64>>,
}

impl FakeLog {
    fn state(&self) -> MutexGuard<'_, FakeState> {
        self.0.lock().unwrap()
    }

    fn write(&self, record_id: u64, at_ms: i64) {
        let at = jiff::Timestamp::from_millisecond(at_ms).unwrap();
        let xml = TCPIP_4231
            .replace(
                "<EventRecordID>123456<",
                &format!("<EventRecordID>{record_id}<"),
            )
            .replace("2026-01-05T08:00:00.0000000Z", &at.to_string());
        self.state().records.push((record_id, at_ms, xml));
    }

    /// A service that changed its state, which hosts write often.
    fn write_service(&self, record_id: u64, at_ms: i64) {
        let at = jiff::Timestamp::from_millisecond(at_ms).unwrap();
        let xml = format!(
            "<Event><System><Provider Name='Service Control Manager'/><EventID>7036</EventID>\
             <TimeCreated SystemTime='{at}'/><EventRecordID>{record_id}</EventRecordID></System></Event>"
        );
        self.state().records.push((record_id, at_ms, xml));
    }

    fn clear(&self) {
        let mut state = self.state();
        state.records.clear();
        state.next = 0;
        state.epoch += 1;
    }
}

impl EventSource for FakeLog {
    fn facts(&mut self) -> Result<LogFacts, SourceError> {
        let state = self.state();
        Ok(LogFacts {
            oldest_record: state.records.first().map(|record| record.0),
            records: Some(state.records.len() as u64),
            epoch: state.epoch,
        })
    }

    fn count_within(&mut self, _age: Duration) -> Result<u64, SourceError> {
        Ok(self.state().records.len() as u64)
    }

    fn open(&mut self, after: Option<&Bookmark>) -> Result<(), SourceError> {
        let mut state = self.state();
        let after = after.map(|bookmark| bookmark.place.record_id);
        state.opens.push(after);
        state.next = match after {
            None => 0,
            Some(record_id) => {
                let found = state
                    .records
                    .iter()
                    .position(|record| record.0 == record_id);
                found.ok_or(SourceError::Stale)? + 1
            }
        };
        Ok(())
    }

    fn next(&mut self, _wait: Duration, events: &mut Vec<String>) -> Result<(), SourceError> {
        let mut state = self.state();
        if state.fails > 0 {
            state.fails -= 1;
            return Err(SourceError::Failed("the service is away".into()));
        }
        let fresh: Vec<String> = state
            .records
            .iter()
            .skip(state.next)
            .map(|record| record.2.clone())
            .collect();
        state.next = state.records.len();
        drop(state);
        if fresh.is_empty() {
            std::thread::yield_now();
        }
        events.extend(fresh);
        Ok(())
    }
}

const NOW_MS: i64 = 1_800_000_000_000;

struct Rig {
    log: FakeLog,
    outbox: OutboxHandle,
    folder: tempfile::TempDir,
    samples_asked: Arc<AtomicU64>,
}

impl Rig {
    fn new() -> Self {
        let limits = MemoryLimits {
            records_max: 5_000,
            bytes_max: 50_000_000,
        };
        Self {
            log: FakeLog::default(),
            outbox: OutboxHandle::new(MemoryOutbox::new(Epoch::new(1), limits)),
            folder: tempfile::tempdir().unwrap(),
            samples_asked: Arc::default(),
        }
    }

    fn start(&self) -> EventReader {
        let asked = Arc::clone(&self.samples_asked);
        EventReader::start(EventReaderParts {
            source: self.log.clone(),
            log: &selection::SYSTEM,
            outbox: self.outbox.clone(),
            bookmark: self.file(),
            clock: Clock::manual(Timestamp::from_unix_ms(NOW_MS)),
            ask_for_sample: Box::new(move || {
                asked.fetch_add(1, Ordering::Relaxed);
            }),
            witness: Witness::default(),
        })
        .unwrap()
    }

    fn file(&self) -> BookmarkFile {
        BookmarkFile::new(self.folder.path(), &selection::SYSTEM)
    }

    fn kept(&self) -> Option<u64> {
        match self.file().read() {
            Kept::Bookmark(bookmark) => Some(bookmark.place.record_id),
            Kept::Nothing | Kept::Lost => None,
        }
    }

    fn hits(&self) -> Vec<EventHit> {
        let limits = ReadLimits {
            records_max: usize::MAX,
            bytes_max: usize::MAX,
        };
        let bounds = self.outbox.lock().bounds();
        match self.outbox.lock().read(bounds.oldest, limits).unwrap() {
            Reading::Records(records) => records
                .iter()
                .map(|stored| match decode_stored(stored).unwrap() {
                    Record::Event(hit) => hit,
                    Record::Sample(_) => panic!("nobody samples here"),
                })
                .collect(),
            Reading::Gap(_) | Reading::End => Vec::new(),
        }
    }

    /// Record numbers of the log's hits, and codes of the reports on the log, in their order.
    fn told(&self) -> (Vec<u64>, Vec<u32>) {
        let hits = self.hits();
        let records = hits
            .iter()
            .filter_map(|hit| LogPlace::of(hit).map(|place| place.record_id));
        let reports = hits
            .iter()
            .filter(|hit| hit.log.is_none())
            .map(|hit| hit.code);
        (records.collect(), reports.collect())
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let give_up_at = Instant::now() + Duration::from_secs(20);
        while !is_so(self) {
            assert!(Instant::now() < give_up_at, "{:?}", self.told());
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_hosts_write_often_is_told_in_bounded_number_and_never_of_the_past() {
    let rig = Rig::new();
    for record_id in 1..=50 {
        rig.log.write_service(record_id, NOW_MS - 60_000);
    }
    rig.log.write(51, NOW_MS - 50_000);
    for record_id in 52..=99 {
        rig.log.write_service(record_id, NOW_MS + 1_000);
    }
    rig.log.write(100, NOW_MS + 2_000);
    let reader = rig.start();
    rig.until(|rig| rig.told().0.contains(&100)).await;
    // Records 52 to 71 are the first twenty of their hour.
    let expected: Vec<u64> = [51].into_iter().chain(52..72).chain([100]).collect();
    assert_eq!(rig.told().0, expected);
    // An hour later the next one stands for those that were left out.
    rig.log.write_service(101, NOW_MS + 3_700_000);
    rig.until(|rig| rig.told().0.contains(&101)).await;
    let last = rig.hits().pop().unwrap();
    assert_eq!(last.count, 29);
    assert!(
        last.text.contains("28 like it were left out"),
        "{}",
        last.text
    );
    reader.stop().await.unwrap();
}

#[tokio::test]
async fn hits_are_spooled_and_their_place_is_kept_once_they_are_acked() {
    let rig = Rig::new();
    for record_id in [10, 12, 17] {
        rig.log.write(record_id, NOW_MS - 1_000);
    }
    let reader = rig.start();
    rig.until(|rig| rig.told().0.len() == 3).await;
    assert_eq!(rig.kept(), None, "nothing is acked");
    rig.outbox.lock().ack(Seq::new(2)).unwrap();
    reader.acks().acked(Seq::new(2));
    rig.until(|rig| rig.kept() == Some(12)).await;
    assert_eq!(reader.status().hits, 3);
    reader.stop().await.unwrap();
    // After a restart the hit that was not acked is told again: the controller knows it by its record.
    let reader = rig.start();
    rig.until(|rig| rig.told().0 == [17, 17]).await;
    assert_eq!(rig.log.state().opens, [None, Some(12)]);
    reader.stop().await.unwrap();
}

#[tokio::test]
async fn ports_that_are_refused_just_now_ask_for_a_sample() {
    let rig = Rig::new();
    rig.log.write(1, NOW_MS - 3_600_000);
    let reader = rig.start();
    rig.until(|rig| rig.told().0 == [1]).await;
    assert_eq!(
        rig.samples_asked.load(Ordering::Relaxed),
        0,
        "it is history"
    );
    rig.log.write(2, NOW_MS - 100);
    rig.until(|rig| rig.samples_asked.load(Ordering::Relaxed) == 1)
        .await;
    reader.stop().await.unwrap();
}

#[tokio::test]
async fn the_first_start_takes_a_month_and_the_newest_thousand() {
    let rig = Rig::new();
    let day_ms = 86_400_000;
    rig.log.write(1, NOW_MS - 31 * day_ms);
    let reader = rig.start();
    rig.log.write(2, NOW_MS - 29 * day_ms);
    rig.until(|rig| rig.told().0 == [2]).await;
    reader.stop().await.unwrap();

    let rig = Rig::new();
    for record_id in 1..=1_007 {
        rig.log.write(record_id, NOW_MS - 1_000);
    }
    let reader = rig.start();
    rig.until(|rig| rig.told().0.last() == Some(&1_007)).await;
    let (records, reports) = rig.told();
    assert_eq!((records.len(), records[0], reports), (1_000, 8, vec![23]));
    assert_eq!(rig.hits()[0].count, 7);
    reader.stop().await.unwrap();
}

#[tokio::test]
async fn records_that_were_overwritten_are_counted_and_what_is_left_is_told() {
    let rig = Rig::new();
    rig.log.write(1, NOW_MS - 9_000);
    let reader = rig.start();
    rig.until(|rig| rig.told().0 == [1]).await;
    rig.outbox.lock().ack(Seq::new(1)).unwrap();
    reader.acks().acked(Seq::new(1));
    rig.until(|rig| rig.kept() == Some(1)).await;
    reader.stop().await.unwrap();
    rig.log.state().records.clear();
    rig.log.write(30, NOW_MS - 1_000);
    let reader = rig.start();
    rig.until(|rig| rig.told() == (vec![30], vec![20])).await;
    assert_eq!(rig.hits()[0].count, 28);
    reader.stop().await.unwrap();
}

#[tokio::test]
async fn a_bookmark_that_the_log_service_does_not_know_is_given_up_for_its_time() {
    let rig = Rig::new();
    let place = LogPlace {
        record_id: 5,
        at: Timestamp::from_unix_ms(NOW_MS - 5_000),
        log_epoch: 0,
    };
    rig.file().write(&place).unwrap();
    rig.log.write(4, NOW_MS - 6_000);
    rig.log.write(6, NOW_MS - 4_000);
    let reader = rig.start();
    rig.until(|rig| rig.told() == (vec![6], vec![20])).await;
    assert_eq!(rig.log.state().opens, [Some(5), None]);
    reader.stop().await.unwrap();
}

#[tokio::test]
async fn a_log_that_is_cleared_is_reported_and_its_new_life_told_apart() {
    let rig = Rig::new();
    rig.log.write(7, NOW_MS - 1_000);
    let reader = rig.start();
    rig.until(|rig| rig.told().0 == [7]).await;
    rig.log.clear();
    rig.log.write(1, NOW_MS - 500);
    rig.until(|rig| rig.told() == (vec![7, 1], vec![21])).await;
    let epochs: Vec<i64> = rig
        .hits()
        .iter()
        .filter_map(|hit| Some(hit.log.as_ref()?.log_epoch))
        .collect();
    assert_eq!(epochs, [0, 1]);
    reader.stop().await.unwrap();
}

#[tokio::test]
async fn a_log_that_fails_is_reported_once_and_read_again_where_it_was() {
    let rig = Rig::new();
    rig.log.write(1, NOW_MS - 1_000);
    let reader = rig.start();
    rig.until(|rig| rig.told().0 == [1]).await;
    rig.log.state().fails = 1;
    rig.until(|_| reader.status().last_error.is_some()).await;
    rig.log.write(2, NOW_MS - 500);
    rig.until(|rig| rig.told() == (vec![1, 2], vec![25, 26]))
        .await;
    assert_eq!(rig.log.state().opens, [None, Some(1)]);
    assert_eq!(reader.status().last_error, None);
    reader.stop().await.unwrap();
}

#[tokio::test]
async fn events_that_are_no_events_are_counted_and_told() {
    let rig = Rig::new();
    rig.log.state().records.push((1, 0, "<Event".to_owned()));
    rig.log.write(2, NOW_MS - 500);
    let reader = rig.start();
    rig.until(|rig| rig.told() == (vec![2], vec![24])).await;
    assert_eq!(reader.status().unreadable, 1);
    reader.stop().await.unwrap();
}

#[tokio::test]
async fn a_lost_place_is_told_and_everything_read_again() {
    let rig = Rig::new();
    std::fs::write(rig.folder.path().join("events.a"), b"damage").unwrap();
    rig.log.write(3, NOW_MS - 500);
    let reader = rig.start();
    rig.until(|rig| rig.told() == (vec![3], vec![22])).await;
    reader.stop().await.unwrap();
}
