//! The state file survives what power losses and other versions do to it.

use std::fs;

use tidemark_disk::SystemDisk;

use proptest::prelude::*;

use super::*;

fn meta(generation: u64) -> Meta {
    let mut gaps = GapLedger::default();
    for (first, last, reason, told) in [
        (41, 45, GapReason::SpoolFull, true),
        (46, 46, GapReason::WriteFailed, false),
    ] {
        gaps.insert(Gap {
            first,
            last,
            reason,
            told,
        });
    }
    let mut settled = DropCounts::default();
    settled.add(GapReason::Refused, 3);
    Meta {
        generation,
        epoch: 7,
        acked_through: 40,
        newest: 50,
        age_ms: 123_456,
        settled,
        gaps,
    }
}

#[test]
fn the_newer_of_two_generations_counts() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(load(&SystemDisk, dir.path()).unwrap(), Loaded::Absent);
    for generation in 1..=3 {
        meta(generation).store(&SystemDisk, dir.path()).unwrap();
        let found = Loaded::Found {
            meta: meta(generation),
            damaged: false,
        };
        assert_eq!(load(&SystemDisk, dir.path()).unwrap(), found);
    }
}

#[test]
fn a_generation_that_is_empty_zeroed_or_damaged_at_any_byte_falls_back_to_the_other() {
    let dir = tempfile::tempdir().unwrap();
    meta(1).store(&SystemDisk, dir.path()).unwrap();
    meta(2).store(&SystemDisk, dir.path()).unwrap();
    let [newest, _] = SLOTS.map(|slot| dir.path().join(slot));
    let intact = fs::read(&newest).unwrap();
    let zeroed = vec![0; intact.len()];
    let flipped = (0..intact.len()).map(|at| {
        let mut bytes = intact.clone();
        bytes[at] ^= 0x10;
        bytes
    });
    let cut = (0..intact.len()).map(|length| intact[..length].to_vec());
    for damaged in flipped.chain(cut).chain([zeroed]) {
        fs::write(&newest, damaged).unwrap();
        let found = Loaded::Found {
            meta: meta(1),
            damaged: true,
        };
        assert_eq!(load(&SystemDisk, dir.path()).unwrap(), found);
    }
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = meta(1).encode();
    bytes.truncate(bytes.len() - 4);
    bytes[MAGIC.len()] = VERSION + 1;
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    fs::write(dir.path().join(SLOTS[0]), bytes).unwrap();
    assert_eq!(load(&SystemDisk, dir.path()).unwrap(), Loaded::Foreign);
}

proptest! {
    #[test]
    fn hostile_files_do_no_harm(fields in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        bytes.extend_from_slice(&fields);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        if let Parsed::Meta(meta) = parse(&bytes) {
            prop_assert!(meta.gaps.counts().total() + meta.acked_through <= meta.newest);
            prop_assert!(meta.settled.total() <= meta.acked_through);
        }
    }
}
