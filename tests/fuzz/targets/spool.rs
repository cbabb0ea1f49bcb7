//! A spool's folder after anything that disks do to it: what is held, lost and acked adds up, and stays so.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tidemark_fuzz::parts::Parts;
use tidemark_fuzz::{Decoder, run};
use tidemark_model::{Epoch, GapReason, RecordGap, Seq, Timestamp};
use tidemark_spool::{Appended, Item, Spool, SpoolError, SpoolLimits, SpoolStatus};

const DECODERS: [Decoder; 3] = [
    Decoder {
        name: "spool's state file",
        read: state_file,
    },
    Decoder {
        name: "spool's segments",
        read: segments,
    },
    Decoder {
        name: "spool's folder",
        read: folder,
    },
];

fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus { run(&DECODERS, input) });

const LIMITS: SpoolLimits = SpoolLimits {
    bytes_max: 64 * 1024,
    age_max: Duration::from_secs(7 * 24 * 3600),
    disk_share_max: None,
    segment_bytes: 4 * 1024,
};
const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);
const EPOCH: u64 = 7;
const FRESH: Epoch = Epoch::new(8);
const FILES_MAX: usize = 6;
const STEPS_MAX: usize = 32;

/// A folder in memory where there is one, empty.
fn empty_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let root = PathBuf::from("/dev/shm");
        let root = if root.is_dir() {
            root
        } else {
            std::env::temp_dir()
        };
        root.join(format!("tidemark-fuzz-spool-{}", std::process::id()))
    });
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
    fs::create_dir(folder).expect("a folder can be made");
    folder
}

fn put(name: &str, bytes: &[u8]) {
    fs::write(name, bytes).expect("a file can be written");
}

/// A state file with the magic and the checksum that it should have; a second one that is damaged.
fn state_file(input: &[u8]) -> bool {
    let folder = empty_folder();
    let mut parts = Parts::of(input);
    let steps = parts.bytes();
    put_state(&folder.join("meta.a"), parts.rest());
    live(folder, steps)
}

fn put_state(path: &Path, fields: &[u8]) {
    let mut bytes = b"TMSPOOL\x01".to_vec();
    bytes.extend(fields);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    put(&path.to_string_lossy(), &bytes);
}

fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{EPOCH:016x}-{first:016x}.seg"))
}

/// Segments of records with the checksums that they should have, and of other bytes between them.
fn segments(input: &[u8]) -> bool {
    let folder = empty_folder();
    let mut parts = Parts::of(input);
    let steps = parts.bytes();
    let fields = parts.bytes();
    if !fields.is_empty() {
        put_state(&folder.join("meta.b"), fields);
    }
    for _ in 0..FILES_MAX {
        if parts.is_empty() {
            break;
        }
        let first = number(&mut parts);
        let path = segment_path(folder, first);
        put(&path.to_string_lossy(), &segment(first, parts.bytes()));
    }
    live(folder, steps)
}

/// A small number mostly, so that seqs meet; any one now and then.
fn number(parts: &mut Parts<'_>) -> u64 {
    match parts.byte() {
        255 => parts.u64(),
        small => u64::from(small),
    }
}

fn segment(first: u64, script: &[u8]) -> Vec<u8> {
    let mut parts = Parts::of(script);
    let mut bytes = b"TMSEG\0\0\x01".to_vec();
    bytes.extend(EPOCH.to_le_bytes());
    bytes.extend(first.to_le_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes.resize(32, 0);
    while !parts.is_empty() {
        let kind = parts.byte();
        match kind % 4 {
            0 | 1 => {
                let (seq, age) = (number(&mut parts), number(&mut parts));
                let payload = parts.bytes();
                let lasting = u32::from(kind % 4 == 1) << 31;
                let mut header = b"TMR1".to_vec();
                header.extend((lasting | payload.len() as u32).to_le_bytes());
                header.extend(seq.to_le_bytes());
                header.extend(age.to_le_bytes());
                header.extend((crc32c::crc32c(payload) ^ u32::from(kind >> 7)).to_le_bytes());
                let crc = crc32c::crc32c_append(crc32c::crc32c(&EPOCH.to_le_bytes()), &header);
                header.extend(crc.to_le_bytes());
                bytes.extend(header);
                bytes.extend(payload);
            }
            2 => bytes.extend(parts.bytes()),
            _ => bytes.extend(vec![0; usize::from(parts.byte())]),
        }
    }
    bytes
}

/// Files of any name that a spool uses, and any bytes in them.
fn folder(input: &[u8]) -> bool {
    let folder = empty_folder();
    let mut parts = Parts::of(input);
    let steps = parts.bytes();
    for _ in 0..FILES_MAX {
        if parts.is_empty() {
            break;
        }
        let path = match parts.byte() % 5 {
            0 => folder.join("meta.a"),
            1 => folder.join("meta.b"),
            2 => folder.join("meta.tmp"),
            3 => folder.join("lock"),
            _ => segment_path(folder, number(&mut parts)),
        };
        put(&path.to_string_lossy(), parts.bytes());
    }
    live(folder, steps)
}

/// Opens the folder, works with it, and opens it again. Says whether it told of any record.
fn live(folder: &Path, script: &[u8]) -> bool {
    let (mut spool, _) = Spool::open(folder, LIMITS, NOW, FRESH).expect("damage is no error");
    check(&spool);
    let produced = spool.status().counts.produced;
    let mut steps = Parts::of(script);
    let mut now = NOW;
    for _ in 0..STEPS_MAX {
        if steps.is_empty() {
            break;
        }
        step(&mut spool, &mut steps, &mut now);
        check(&spool);
    }
    drain(&mut spool);
    let before = spool.status();
    drop(spool);
    let (spool, recovery) = Spool::open(folder, LIMITS, now, Epoch::new(9)).expect("it was closed");
    assert_eq!(recovery.records_damaged, 0, "{recovery:?}");
    assert!(
        !recovery.epoch_restarted && recovery.torn_bytes == 0,
        "{recovery:?}"
    );
    let after = spool.status();
    // Segments of which everything is lost go when it is opened.
    assert!(
        after.counts.held_bytes <= before.counts.held_bytes,
        "{after:?}"
    );
    let stands = |status: &SpoolStatus| {
        let counts = status.counts;
        let records = (counts.produced, counts.acked, counts.dropped, counts.held);
        (status.epoch, records, status.oldest, status.newest)
    };
    assert_eq!(
        stands(&after),
        stands(&before),
        "closed as one thing and opened as another"
    );
    produced > 0
}

fn check(spool: &Spool) {
    let status = spool.status();
    let counts = status.counts;
    let sum = u128::from(counts.acked) + u128::from(counts.dropped) + u128::from(counts.held);
    assert_eq!(u128::from(counts.produced), sum, "{status:?}");
    assert!(status.oldest <= status.newest.next(), "{status:?}");
}

fn step(spool: &mut Spool, steps: &mut Parts<'_>, now: &mut Timestamp) {
    let newest = spool.newest();
    let some_seq = |steps: &mut Parts<'_>| {
        let back = u64::from(steps.byte());
        Seq::new(newest.get().saturating_sub(back))
    };
    match steps.byte() % 7 {
        0 => {
            let appended = spool.append(*now, steps.bytes());
            check_stored(&appended);
        }
        1 => {
            let appended = spool.append_lasting(*now, steps.bytes());
            check_stored(&appended);
        }
        2 => spool.flush().expect("the folder takes it"),
        3 => {
            let through = some_seq(steps);
            spool.trim(through).expect("it is no newer than the newest");
        }
        4 => {
            let (last, length) = (some_seq(steps), u64::from(steps.byte()));
            let first = Seq::new(last.get().saturating_sub(length).max(1));
            if first <= last {
                let reason = GapReason::Refused;
                spool
                    .give_up(RecordGap {
                        first,
                        last,
                        reason,
                    })
                    .expect("it is no newer than the newest");
            }
        }
        5 => {
            let from = some_seq(steps);
            read(spool, from);
        }
        _ => {
            let step = i64::from(steps.u16()) * 1_000;
            *now = Timestamp::from_unix_ms(now.unix_ms() + step);
        }
    }
}

/// Everything is stored, as long as there are seqs.
fn check_stored(appended: &Appended) {
    assert!(
        matches!(appended.stored, Ok(()) | Err(SpoolError::SeqsUsedUp { .. })),
        "{appended:?}"
    );
}

/// Reads once; what is read has no holes.
fn read(spool: &mut Spool, from: Seq) -> Option<Seq> {
    let items = spool
        .read(from, 64, 64 * 1024)
        .expect("the folder can be read");
    let mut next = from.get().max(1);
    for item in items {
        let (first, last) = match item {
            Item::Record { seq, .. } => (seq.get(), seq.get()),
            Item::Gap(gap) => (gap.first.get(), gap.last.get()),
        };
        assert_eq!(first, next, "a hole that nobody told");
        assert!(first <= last);
        next = last + 1;
    }
    (next > from.get().max(1)).then(|| Seq::new(next))
}

/// Reads everything that waits, as a session does.
fn drain(spool: &mut Spool) {
    spool.flush().expect("the folder takes it");
    let mut from = spool.status().oldest;
    for _ in 0..64 {
        match read(spool, from) {
            Some(next) => from = next,
            None => break,
        }
    }
    spool.flush().expect("the folder takes it");
}
