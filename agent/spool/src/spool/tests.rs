//! What users of a spool rely on: order, limits, counts that balance, and no loss in silence, through crashes and damage.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::Recovery;

mod conservation;
mod damage;
mod every_step;
mod extremes;
mod full_disk;
mod lasting;

const EPOCH: Epoch = Epoch::new(7);
const FRESH_EPOCH: Epoch = Epoch::new(8);

/// A folder in memory where there is one: these tests sync thousands of times, and lose power by cutting files.
fn folder() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000 + seconds * 1_000)
}

fn small() -> SpoolLimits {
    SpoolLimits {
        bytes_max: 64 * 1024,
        segment_bytes: 4 * 1024,
        ..SpoolLimits::default()
    }
}

fn open(dir: &Path) -> (Spool, Recovery) {
    Spool::open(dir, small(), at(0), EPOCH).unwrap()
}

fn payload(n: u64) -> Vec<u8> {
    format!("record {n} {}", "x".repeat(n as usize % 50)).into_bytes()
}

/// A spool with records 1 to `records`, each of them durable, and its payloads' numbers equal to their seqs.
fn filled(dir: &Path, records: u64) -> Spool {
    let (mut spool, _) = open(dir);
    for n in 1..=records {
        let appended = spool.append(at(n as i64), &payload(n));
        assert!(
            appended.stored.is_ok() && appended.seq.get() == n,
            "{appended:?}"
        );
    }
    spool
}

fn everything(spool: &mut Spool) -> Vec<Item> {
    let from = spool.status().oldest;
    spool.read(from, usize::MAX, usize::MAX).unwrap()
}

fn record(seq: u64, n: u64) -> Item {
    Item::Record {
        seq: Seq::new(seq),
        payload: payload(n),
    }
}

fn gap(first: u64, last: u64, reason: GapReason) -> RecordGap {
    RecordGap {
        first: Seq::new(first),
        last: Seq::new(last),
        reason,
    }
}

/// Ends as the death of its process ends a spool: the lock goes, and nothing is synced or written any more.
fn die(mut spool: Spool) {
    let placeholder = Box::new(fs::File::open(&spool.dir).unwrap());
    drop(std::mem::replace(&mut spool._lock, placeholder));
    std::mem::forget(spool);
}

/// Counts balance, and the records that can be read are as many as are said to be held.
fn assert_conserved(spool: &mut Spool) {
    let status = spool.status();
    assert!(status.counts.balances(), "{status:?}");
    assert!(status.counts.held_bytes <= status.bytes_max, "{status:?}");
    spool.flush().unwrap();
    let items = everything(spool);
    let status = spool.status();
    let records = items
        .iter()
        .filter(|item| matches!(item, Item::Record { .. }))
        .count();
    assert_eq!(records as u64, status.counts.held, "{status:?}\n{items:?}");
    let by_reason: u64 = GapReason::ALL
        .iter()
        .map(|reason| status.dropped_for(*reason))
        .sum();
    assert_eq!(by_reason, status.counts.dropped);
    let mut expected = status.oldest.get();
    for item in items {
        let (first, last) = match item {
            Item::Record { seq, .. } => (seq.get(), seq.get()),
            Item::Gap(gap) => (gap.first.get(), gap.last.get()),
        };
        assert_eq!(first, expected, "no seq is left out");
        expected = last + 1;
    }
    assert_eq!(expected, status.newest.get() + 1);
    assert!(status.counts.balances(), "{status:?}");
}

#[test]
fn no_append_takes_a_spool_beyond_its_limit() {
    for bytes in 100..140 {
        let dir = folder();
        let (mut spool, _) = open(dir.path());
        for n in 0..2_000 {
            if n % 7 == 0 {
                spool.append_lasting(at(n), &vec![b'e'; bytes]);
            } else {
                spool.append(at(n), &vec![b's'; bytes]);
            }
            let status = spool.status();
            assert!(status.counts.held_bytes <= status.bytes_max, "{status:?}");
        }
    }
}

#[test]
fn records_come_back_in_order_within_the_limits_of_a_read() {
    let dir = folder();
    let mut spool = filled(dir.path(), 200);
    let all: Vec<Item> = (1..=200).map(|n| record(n, n)).collect();
    assert_eq!(everything(&mut spool), all);
    assert_eq!(
        spool.read(Seq::new(50), 3, usize::MAX).unwrap(),
        all[49..52]
    );
    assert_eq!(spool.read(Seq::new(50), 9, 0).unwrap(), all[49..50]);
    let two = payload(50).len() + payload(51).len();
    assert_eq!(spool.read(Seq::new(50), 9, two).unwrap(), all[49..51]);
    assert_eq!(spool.read(Seq::new(201), 9, 9).unwrap(), []);
    assert_conserved(&mut spool);
}

#[test]
fn a_reopened_spool_goes_on_where_it_was() {
    let dir = folder();
    let mut spool = filled(dir.path(), 150);
    spool.trim(Seq::new(120)).unwrap();
    let before = spool.status();
    drop(spool);
    let (mut spool, recovery) = Spool::open(dir.path(), small(), at(0), FRESH_EPOCH).unwrap();
    assert_eq!(recovery, Recovery::default());
    assert_eq!(spool.status(), before);
    assert_eq!(spool.append(at(1), &payload(151)).seq, Seq::new(151));
    let rest: Vec<Item> = (121..=151).map(|n| record(n, n)).collect();
    assert_eq!(everything(&mut spool), rest);
    assert_conserved(&mut spool);
}

#[test]
fn an_empty_spool_keeps_its_epoch_and_its_seqs() {
    let dir = folder();
    let mut spool = filled(dir.path(), 100);
    spool.trim(Seq::new(100)).unwrap();
    drop(spool);
    for segment in fs::read_dir(dir.path()).unwrap() {
        let path = segment.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            fs::remove_file(path).unwrap();
        }
    }
    let (mut spool, _) = Spool::open(dir.path(), small(), at(0), FRESH_EPOCH).unwrap();
    assert_eq!(spool.status().epoch, EPOCH);
    assert_eq!(spool.append(at(1), b"next").seq, Seq::new(101));
}

#[test]
fn what_is_not_durable_is_not_read() {
    let dir = folder();
    let (mut spool, _) = open(dir.path());
    for n in 1..=3 {
        spool.append(at(0), &payload(n));
    }
    assert_eq!(
        spool.newest(),
        Seq::new(1),
        "the first append of a second is synced"
    );
    assert_eq!(everything(&mut spool), [record(1, 1)]);
    assert!(spool.trim(Seq::new(2)).is_err() && !spool.is_flushed());
    spool.flush().unwrap();
    assert_eq!(spool.newest(), Seq::new(3));
    assert!(spool.is_flushed());
}

#[test]
fn two_agents_cannot_share_a_spool() {
    let dir = folder();
    let (spool, _) = open(dir.path());
    let second = Spool::open(dir.path(), small(), at(0), FRESH_EPOCH);
    assert!(matches!(second, Err(SpoolError::InUse { .. })));
    drop(spool);
    assert!(Spool::open(dir.path(), small(), at(0), FRESH_EPOCH).is_ok());
}

#[test]
fn the_oldest_records_go_when_the_spool_is_full_and_are_counted() {
    let dir = folder();
    let (mut spool, _) = open(dir.path());
    let mut dropped = 0;
    for n in 1..=2_000 {
        let appended = spool.append(at(n), &[b'x'; 200]);
        assert!(spool.status().counts.held_bytes <= 64 * 1024);
        if let Some(gap) = appended.dropped {
            assert_eq!(
                (gap.first.get(), gap.reason),
                (dropped + 1, GapReason::SpoolFull)
            );
            dropped = gap.last.get();
        }
    }
    let status = spool.status();
    assert_eq!(status.counts.dropped, dropped);
    assert_eq!(status.dropped_for(GapReason::SpoolFull), dropped);
    assert!(
        status.counts.held > 200,
        "most of the room is used: {status:?}"
    );
    let items = spool.read(Seq::new(1), 1, 0).unwrap();
    assert_eq!(
        items.first(),
        Some(&Item::Gap(gap(1, dropped, GapReason::SpoolFull)))
    );
    assert_conserved(&mut spool);
    drop(spool);
    let (mut spool, recovery) = open(dir.path());
    assert_eq!(recovery.records_damaged, 0);
    assert_eq!(spool.status().counts, status.counts);
    assert_conserved(&mut spool);
}

#[test]
fn records_dropped_right_before_a_crash_do_not_look_damaged() {
    let dir = folder();
    let (mut spool, _) = open(dir.path());
    let dropped = loop {
        if let Some(gap) = spool.append(at(0), &[b'x'; 700]).dropped {
            break gap;
        }
    };
    die(spool);
    let (mut spool, recovery) = open(dir.path());
    assert_eq!(recovery.records_damaged, 0);
    assert_eq!(
        spool.status().dropped_for(GapReason::SpoolFull),
        dropped.records()
    );
    assert_conserved(&mut spool);
}

#[test]
fn records_that_are_too_old_go_but_a_clock_that_jumps_ages_nothing() {
    let dir = folder();
    let limits = SpoolLimits {
        age_max: Duration::from_secs(3_600),
        ..small()
    };
    let (mut spool, _) = Spool::open(dir.path(), limits, at(0), EPOCH).unwrap();
    for minute in 0..50 {
        spool.append(at(minute * 60), &[b'x'; 400]);
    }
    spool.append(at(365 * 24 * 3_600), b"a year ahead");
    spool.append(at(0), b"and back");
    assert_eq!(spool.status().counts.dropped, 0);
    for minute in 0..50 {
        spool.append(at(minute * 60), &[b'x'; 400]);
    }
    let status = spool.status();
    assert!((20..60).contains(&status.counts.dropped), "{status:?}");
    assert_conserved(&mut spool);
}

#[test]
fn a_record_that_is_too_large_is_a_counted_gap() {
    let dir = folder();
    let mut spool = filled(dir.path(), 2);
    let appended = spool.append(at(3), &vec![0; 20 * 1024]);
    assert!(matches!(
        appended.stored,
        Err(SpoolError::RecordTooLarge {
            limit_bytes: 16_384,
            ..
        })
    ));
    spool.append(at(4), &payload(4));
    let expected = [
        record(1, 1),
        record(2, 2),
        Item::Gap(gap(3, 3, GapReason::WriteFailed)),
        record(4, 4),
    ];
    assert_eq!(everything(&mut spool), expected);
    assert_conserved(&mut spool);
}

#[test]
fn a_refused_record_is_a_counted_gap_from_then_on() {
    let dir = folder();
    let mut spool = filled(dir.path(), 4);
    let refused = gap(2, 3, GapReason::Refused);
    spool.give_up(refused).unwrap();
    assert!(spool.give_up(gap(4, 5, GapReason::Refused)).is_err());
    assert_eq!(
        everything(&mut spool),
        [record(1, 1), Item::Gap(refused), record(4, 4)]
    );
    spool.trim(Seq::new(4)).unwrap();
    let status = spool.status();
    assert_eq!(
        (status.counts.acked, status.dropped_for(GapReason::Refused)),
        (2, 2)
    );
    assert_conserved(&mut spool);
}

#[test]
fn records_that_were_sent_before_they_were_dropped_count_as_acked() {
    let dir = folder();
    let (mut spool, _) = open(dir.path());
    let mut dropped = None;
    for n in 1.. {
        let appended = spool.append(at(n), &[b'x'; 400]);
        dropped = dropped.or(appended.dropped);
        if dropped.is_some() {
            break;
        }
        spool.read(appended.seq, 1, 0).unwrap();
    }
    let dropped = dropped.unwrap();
    assert_eq!(spool.status().counts.dropped, dropped.records());
    spool.trim(dropped.last).unwrap();
    let counts = spool.status().counts;
    assert_eq!((counts.acked, counts.dropped), (dropped.records(), 0));
}

#[test]
fn a_controller_that_lost_acked_records_gets_a_gap_for_what_is_gone() {
    let dir = folder();
    let mut spool = filled(dir.path(), 200);
    spool.trim(Seq::new(199)).unwrap();
    let items = spool.read(Seq::new(5), usize::MAX, usize::MAX).unwrap();
    let Some(Item::Gap(lost)) = items.first() else {
        panic!("{items:?}");
    };
    assert_eq!(
        (lost.first, lost.reason),
        (Seq::new(5), GapReason::LostAfterAck)
    );
    assert_eq!(items.last(), Some(&record(200, 200)));
    let status = spool.status();
    assert_eq!((status.counts.acked, status.counts.dropped), (199, 0));
}

#[test]
fn a_restarted_epoch_holds_what_was_appended_since_the_opening() {
    let dir = folder();
    drop(filled(dir.path(), 100));
    let (mut spool, _) = open(dir.path());
    for n in 101..=150 {
        spool.append(at(n as i64), &payload(n));
    }
    spool.give_up(gap(110, 112, GapReason::Refused)).unwrap();
    spool.restart_epoch(FRESH_EPOCH).unwrap();
    let check = |spool: &mut Spool| {
        let status = spool.status();
        assert_eq!(
            (status.epoch, status.counts.produced, status.counts.dropped),
            (FRESH_EPOCH, 50, 3)
        );
        let items = everything(spool);
        assert_eq!(items.first(), Some(&record(1, 101)));
        assert_eq!(
            items.get(9),
            Some(&Item::Gap(gap(10, 12, GapReason::Refused)))
        );
        assert_eq!(items.last(), Some(&record(50, 150)));
        assert_conserved(spool);
    };
    check(&mut spool);
    drop(spool);
    let (mut spool, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery::default());
    check(&mut spool);
}
