//! Crash points and damage: every cut and every flipped byte at the end of a spool, and lost or foreign files.

use std::path::PathBuf;

use super::*;
use crate::frame::HEADER_BYTES;
use crate::frame::{self, Record, Worth};
use crate::segment;

/// A spool of these records in one segment, and the path of that segment.
fn one_segment(dir: &Path, records: u64) -> PathBuf {
    drop(filled(dir, records));
    let mut segments = segments(dir);
    assert_eq!(segments.len(), 1);
    segments.remove(0)
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    paths
}

fn copy_of(from: &Path) -> TempDir {
    let to = folder();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
    to
}

/// Opens a damaged copy, checks that it works, and returns what it holds.
fn reopened(dir: &Path) -> (Spool, Recovery, Vec<Item>) {
    let (mut spool, recovery) = Spool::open(dir, small(), at(0), FRESH_EPOCH).unwrap();
    assert_conserved(&mut spool);
    let items = everything(&mut spool);
    let next = spool.append(at(1), b"after the damage");
    assert!(next.stored.is_ok());
    assert_conserved(&mut spool);
    assert_eq!(everything(&mut spool).len(), items.len() + 1);
    (spool, recovery, items)
}

#[test]
fn a_crash_at_any_byte_of_the_last_two_records_loses_those_alone() {
    let dir = folder();
    let segment = one_segment(dir.path(), 6);
    let bytes = fs::read(&segment).unwrap();
    let ends: Vec<usize> = (0..=2)
        .scan(bytes.len(), |end, n| {
            let this = *end;
            *end -= HEADER_BYTES + payload(6 - n).len();
            Some(this)
        })
        .collect();
    for length in ends[2]..bytes.len() {
        let copy = copy_of(dir.path());
        fs::write(
            copy.path().join(segment.file_name().unwrap()),
            &bytes[..length],
        )
        .unwrap();
        let (_, recovery, items) = reopened(copy.path());
        let whole = 4 + u64::from(length >= ends[1]);
        assert_eq!(
            items,
            (1..=whole).map(|n| record(n, n)).collect::<Vec<_>>(),
            "cut at {length}"
        );
        let torn = if length >= ends[1] {
            length - ends[1]
        } else {
            length - ends[2]
        };
        assert_eq!(recovery.torn_bytes, torn as u64);
        assert_eq!(
            (recovery.epoch_restarted, recovery.records_damaged),
            (false, 0)
        );
    }
}

#[test]
fn a_flipped_byte_in_the_last_two_records_costs_one_record_and_is_counted() {
    let dir = folder();
    let segment = one_segment(dir.path(), 6);
    let bytes = fs::read(&segment).unwrap();
    let sixth = bytes.len() - HEADER_BYTES - payload(6).len();
    let fifth = sixth - HEADER_BYTES - payload(5).len();
    for position in fifth..bytes.len() {
        for mask in [0x01, 0xff] {
            let mut damaged = bytes.clone();
            damaged[position] ^= mask;
            let copy = copy_of(dir.path());
            fs::write(copy.path().join(segment.file_name().unwrap()), damaged).unwrap();
            let (spool, recovery, items) = reopened(copy.path());
            let lost = if position < sixth { 5 } else { 6 };
            let expected: Vec<Item> = (1..=6)
                .map(|n| {
                    if n == lost {
                        Item::Gap(gap(n, n, GapReason::Damaged))
                    } else {
                        record(n, n)
                    }
                })
                .collect();
            assert_eq!(items, expected, "flipped at {position}");
            assert_eq!(recovery.records_damaged, 1);
            // Behind a damaged last header there may have been any number of records, so their seqs are not reused.
            let last_header = (sixth..sixth + HEADER_BYTES).contains(&position);
            assert_eq!(
                recovery.epoch_restarted, last_header,
                "flipped at {position}"
            );
            assert_eq!(spool.status().epoch == FRESH_EPOCH, last_header);
        }
    }
}

#[test]
fn a_flipped_byte_anywhere_in_a_segment_costs_at_most_one_record() {
    let dir = folder();
    let segment = one_segment(dir.path(), 5);
    let bytes = fs::read(&segment).unwrap();
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x40;
        let copy = copy_of(dir.path());
        fs::write(copy.path().join(segment.file_name().unwrap()), damaged).unwrap();
        let (_, _, items) = reopened(copy.path());
        let records = items
            .iter()
            .filter(|item| matches!(item, Item::Record { .. }))
            .count();
        assert!(
            records >= 4 && items.len() == 5,
            "flipped at {position}: {items:?}"
        );
    }
}

#[test]
fn a_lost_segment_is_a_counted_gap_between_its_neighbours() {
    let dir = folder();
    drop(filled(dir.path(), 300));
    let lost = segments(dir.path())[1].clone();
    fs::remove_file(&lost).unwrap();
    let (_, recovery, items) = reopened(dir.path());
    let gaps: Vec<_> = items
        .iter()
        .filter_map(|item| match item {
            Item::Gap(gap) => Some(gap),
            Item::Record { .. } => None,
        })
        .collect();
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].reason, GapReason::Damaged);
    assert_eq!(recovery.records_damaged, gaps[0].records());
}

#[test]
fn damage_while_the_spool_is_open_is_skipped_and_counted() {
    let dir = folder();
    let mut spool = filled(dir.path(), 5);
    let segment = segments(dir.path()).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let third = 32 + 2 * HEADER_BYTES + payload(1).len() + payload(2).len() + HEADER_BYTES + 3;
    bytes[third] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let expected = [
        record(1, 1),
        record(2, 2),
        Item::Gap(gap(3, 3, GapReason::Damaged)),
        record(4, 4),
        record(5, 5),
    ];
    assert_eq!(everything(&mut spool), expected);
    assert_conserved(&mut spool);
}

#[test]
fn a_newest_segment_that_was_never_written_is_not_damage() {
    let dir = folder();
    drop(filled(dir.path(), 5));
    fs::write(
        dir.path().join("0000000000000007-0000000000000006.seg"),
        [0; 4096],
    )
    .unwrap();
    let (_, recovery, items) = reopened(dir.path());
    assert_eq!(items, (1..=5).map(|n| record(n, n)).collect::<Vec<_>>());
    assert_eq!(recovery.records_damaged, 0);
}

#[test]
fn seqs_are_not_reused_when_the_end_of_a_closed_segment_is_lost() {
    let dir = folder();
    let segment = one_segment(dir.path(), 5);
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 10]).unwrap();
    fs::write(dir.path().join("0000000000000007-0000000000000006.seg"), []).unwrap();
    let (spool, recovery, items) = reopened(dir.path());
    assert_eq!(
        items.last(),
        Some(&Item::Gap(gap(5, 5, GapReason::Damaged)))
    );
    assert_eq!(recovery.records_damaged, 1);
    assert_eq!(spool.status().newest, Seq::new(6));
}

#[test]
fn both_state_files_may_be_lost() {
    let dir = folder();
    let mut spool = filled(dir.path(), 300);
    spool.trim(Seq::new(150)).unwrap();
    drop(spool);
    for name in ["meta.a", "meta.b"] {
        fs::write(dir.path().join(name), [0; 200]).unwrap();
    }
    let (spool, recovery, items) = reopened(dir.path());
    assert_eq!(
        (recovery.state_files_lost, recovery.records_damaged),
        (2, 0)
    );
    let status = spool.status();
    assert_eq!((status.epoch, status.newest), (EPOCH, Seq::new(301)));
    assert!(items.contains(&record(151, 151)) && items.contains(&record(300, 300)));
}

#[test]
fn a_spool_of_a_newer_agent_is_set_aside_whole() {
    let dir = folder();
    drop(filled(dir.path(), 5));
    for name in ["meta.a", "meta.b"] {
        let path = dir.path().join(name);
        let Ok(mut bytes) = fs::read(&path) else {
            continue;
        };
        bytes.truncate(bytes.len() - 4);
        bytes[7] = 2;
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        fs::write(&path, bytes).unwrap();
    }
    let (_, recovery, items) = reopened(dir.path());
    assert!(items.is_empty() && recovery.created);
    assert_eq!(segments(&recovery.set_aside.unwrap()).len(), 1);
}

#[test]
fn an_unfinished_restart_of_the_epoch_leaves_the_old_one() {
    let dir = folder();
    drop(filled(dir.path(), 5));
    let leftover = dir.path().join("0000000000000008-0000000000000001.seg");
    fs::write(&leftover, b"half a segment").unwrap();
    let (spool, recovery, items) = reopened(dir.path());
    assert_eq!(items.len(), 5);
    assert_eq!(
        (spool.status().epoch, recovery),
        (EPOCH, Recovery::default())
    );
    assert!(fs::metadata(&leftover).is_err());
}

#[test]
fn the_old_epoch_does_not_come_back_when_the_newest_state_file_is_lost() {
    let dir = folder();
    drop(filled(dir.path(), 5));
    let (mut spool, _) = open(dir.path());
    spool.append(at(1), &payload(6));
    spool.restart_epoch(FRESH_EPOCH).unwrap();
    let generation = spool.generation;
    drop(spool);
    let newest = if generation % 2 == 0 {
        "meta.a"
    } else {
        "meta.b"
    };
    fs::write(dir.path().join(newest), []).unwrap();
    let (spool, recovery, items) = reopened(dir.path());
    assert_eq!(recovery.state_files_lost, 1);
    assert_eq!(spool.status().epoch, FRESH_EPOCH);
    assert_eq!(items, [record(1, 6)]);
}

#[test]
fn segments_that_outlived_their_removal_change_nothing() {
    let dir = folder();
    let mut spool = filled(dir.path(), 400);
    let before = copy_of(dir.path());
    spool.trim(Seq::new(300)).unwrap();
    for n in 401..=2_500 {
        spool.append(at(n as i64), &payload(n));
    }
    let counts = spool.status().counts;
    assert!(counts.dropped > 0);
    drop(spool);
    for path in segments(before.path()) {
        let to = dir.path().join(path.file_name().unwrap());
        if fs::metadata(&to).is_err() {
            fs::copy(&path, to).unwrap();
        }
    }
    let (spool, recovery) = Spool::open(dir.path(), small(), at(0), FRESH_EPOCH).unwrap();
    assert_eq!(recovery, Recovery::default());
    let held_bytes = spool.status().counts.held_bytes;
    assert_eq!(
        spool.status().counts,
        SpoolCounts {
            held_bytes,
            ..counts
        }
    );
    drop(spool);
    reopened(dir.path());
}

#[test]
fn other_files_in_the_folder_do_no_harm() {
    let dir = folder();
    drop(filled(dir.path(), 5));
    for name in [
        "notes.txt",
        "0000000000000007-0000000000000000.seg",
        "0000000000000007-ffffffffffffffff.seg",
        "7-6.seg",
        "+000000000000007-0000000000000006.seg",
    ] {
        fs::write(dir.path().join(name), b"TMR1 hello").unwrap();
    }
    let (_, _, items) = reopened(dir.path());
    assert_eq!(items.len(), 5);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_in_any_file_are_survived(
        segment in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        offset in 0..300_usize,
        meta in proptest::option::of(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)),
    ) {
        let dir = folder();
        let path = one_segment(dir.path(), 6);
        let mut bytes = fs::read(&path).unwrap();
        bytes.splice(offset.min(bytes.len()).., segment);
        fs::write(&path, bytes).unwrap();
        if let Some(meta) = meta {
            fs::write(dir.path().join("meta.a"), &meta).unwrap();
            fs::write(dir.path().join("meta.b"), &meta).unwrap();
        }
        reopened(dir.path());
    }
}

#[test]
fn a_segment_that_was_begun_and_holds_nothing_still_ends_the_one_before() {
    let dir = folder();
    let first = one_segment(dir.path(), 1);
    let mut bytes = fs::read(&first).unwrap();
    // What a disk brought back in the middle of the segment, beyond the seqs that it can hold.
    let stale = Record {
        worth: Worth::Ordinary,
        payload: b"stale",
    };
    bytes.extend(frame::encode(EPOCH.get(), 65, 0, stale));
    for n in 2..=3 {
        let payload = payload(n);
        let worth = Worth::Ordinary;
        let record = Record {
            worth,
            payload: &payload,
        };
        bytes.extend(frame::encode(EPOCH.get(), n, 0, record));
    }
    fs::write(&first, bytes).unwrap();
    let begun = dir
        .path()
        .join(format!("{:016x}-{:016x}.seg", EPOCH.get(), 4));
    fs::write(begun, segment::header(EPOCH.get(), 4)).unwrap();
    for slot in ["meta.a", "meta.b"] {
        fs::remove_file(dir.path().join(slot)).ok();
    }

    let (mut spool, recovery) = Spool::open(dir.path(), small(), at(0), FRESH_EPOCH).unwrap();
    assert_eq!(
        (recovery.records_damaged, recovery.epoch_restarted),
        (0, false)
    );
    assert_eq!(spool.append(at(1), &payload(4)).seq, Seq::new(4));
    drop(spool);
    for _ in 0..2 {
        let (mut spool, recovery) = Spool::open(dir.path(), small(), at(2), FRESH_EPOCH).unwrap();
        assert_eq!(
            (recovery.records_damaged, recovery.epoch_restarted),
            (0, false)
        );
        let items = everything(&mut spool);
        assert_eq!(items, (1..=4).map(|n| record(n, n)).collect::<Vec<_>>());
    }
}
