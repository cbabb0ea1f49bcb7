//! Limits and numbers at their ends: what is held when a spool is closed is held when it is opened again.

use tidemark_disk::SystemDisk;

use super::*;
use crate::frame::{self, Worth};
use crate::meta::Meta;
use crate::segment::{self, SEQ_MAX};

fn standing(spool: &Spool) -> (u64, u64, u64, u64) {
    let counts = spool.status().counts;
    (counts.produced, counts.acked, counts.dropped, counts.held)
}

/// Puts a segment of one record into the folder.
fn put_segment(dir: &Path, seq: u64, age_ms: u64) {
    let record = Record {
        worth: Worth::Ordinary,
        payload: b"forged",
    };
    let mut bytes = segment::header(EPOCH.get(), seq);
    bytes.extend(frame::encode(EPOCH.get(), seq, age_ms, record));
    let name = format!("{:016x}-{seq:016x}.seg", EPOCH.get());
    fs::write(dir.join(name), bytes).unwrap();
}

fn put_state(dir: &Path, generation: u64, acked_through: u64, newest: u64) {
    let state = Meta {
        generation,
        epoch: EPOCH.get(),
        acked_through,
        newest,
        age_ms: 0,
        settled: DropCounts::default(),
        gaps: GapLedger::default(),
    };
    state.store(&SystemDisk, dir).unwrap();
}

/// Opens what may need a new epoch.
fn reopened(dir: &Path) -> (Spool, Recovery) {
    Spool::open(dir, small(), at(0), FRESH_EPOCH).unwrap()
}

#[test]
fn what_is_too_old_goes_with_the_append_that_closes_its_segment() {
    let dir = folder();
    let limits = SpoolLimits {
        age_max: Duration::from_secs(60),
        ..small()
    };
    let (mut spool, _) = Spool::open(dir.path(), limits, at(0), EPOCH).unwrap();
    assert!(spool.append(at(0), &[b'x'; 5_000]).stored.is_ok());
    let appended = spool.append(at(100), b"next");
    assert_eq!(appended.dropped, Some(gap(1, 1, GapReason::SpoolFull)));
    spool.flush().unwrap();
    let before = standing(&spool);
    assert_eq!(before, (2, 0, 1, 1));
    drop(spool);
    let (spool, _) = Spool::open(dir.path(), limits, at(100), FRESH_EPOCH).unwrap();
    assert_eq!(standing(&spool), before);
}

#[test]
fn limits_that_became_tighter_hold_when_the_end_is_damaged_as_well() {
    let dir = folder();
    let roomy = SpoolLimits {
        bytes_max: 256 * 1024,
        ..small()
    };
    let (mut spool, _) = Spool::open(dir.path(), roomy, at(0), EPOCH).unwrap();
    for n in 0..50 {
        assert!(spool.append(at(n), &[b'x'; 3_000]).stored.is_ok());
    }
    let (newest, ..) = spool.log.unsynced().unwrap();
    drop(spool);
    let mut bytes = fs::read(&newest).unwrap();
    bytes.extend([b'?'; 64]);
    fs::write(&newest, bytes).unwrap();

    let (mut spool, recovery) = reopened(dir.path());
    assert!(recovery.epoch_restarted);
    assert_conserved(&mut spool);
    let before = standing(&spool);
    drop(spool);
    let (spool, recovery) = reopened(dir.path());
    assert!(!recovery.epoch_restarted);
    assert_eq!(standing(&spool), before);
}

#[test]
fn an_age_that_no_clock_reaches_stops_the_clock_and_nothing_else() {
    let dir = folder();
    put_segment(dir.path(), 1, u64::MAX);
    for n in 1..3 {
        let (mut spool, _) = open(dir.path());
        let appended = spool.append(at(60), b"next");
        assert!(appended.stored.is_ok(), "{appended:?}");
        assert_eq!(standing(&spool), (n + 1, 0, 0, n + 1));
    }
}

#[test]
fn the_last_generation_of_a_state_file_is_written_over() {
    let dir = folder();
    put_state(dir.path(), u64::MAX, 5, 5);
    for n in 6..9 {
        let (mut spool, _) = open(dir.path());
        assert_eq!(spool.append(at(0), b"next").seq, Seq::new(n));
        spool.trim(Seq::new(n)).unwrap();
        spool.flush().unwrap();
        assert_eq!(standing(&spool), (n, n, 0, 0));
    }
}

#[test]
fn damage_behind_the_last_seq_uses_up_no_other() {
    let dir = folder();
    put_state(dir.path(), 1, 0, SEQ_MAX);
    put_segment(dir.path(), SEQ_MAX, 0);
    let name = format!("{:016x}-{SEQ_MAX:016x}.seg", EPOCH.get());
    let path = dir.path().join(name);
    let bytes = [fs::read(&path).unwrap(), vec![b'?'; 64]].concat();
    fs::write(&path, bytes).unwrap();
    let (spool, recovery) = reopened(dir.path());
    assert!(recovery.epoch_restarted);
    let before = standing(&spool);
    assert_eq!(before, (SEQ_MAX, 0, SEQ_MAX - 1, 1));
    drop(spool);
    assert_eq!(standing(&reopened(dir.path()).0), before);
}

#[test]
fn seqs_that_are_used_up_are_not_given_out_and_the_spool_is_found_again() {
    let dir = folder();
    put_state(dir.path(), 1, SEQ_MAX - 1, SEQ_MAX - 1);
    let (mut spool, _) = open(dir.path());
    assert!(spool.append(at(0), b"the last one").stored.is_ok());
    for _ in 0..2 {
        let appended = spool.append(at(5), b"one too many");
        assert!(appended.stored.is_err(), "{appended:?}");
        spool.flush().unwrap();
        assert_eq!(standing(&spool), (SEQ_MAX, SEQ_MAX - 1, 0, 1));
        drop(spool);
        spool = open(dir.path()).0;
    }
}
