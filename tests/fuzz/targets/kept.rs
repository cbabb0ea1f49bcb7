//! What an agent keeps in its folder and reads again, snapshots that people save, and recordings for `backtest`.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};
use tidemark_agent::doctor::read_samples;
use tidemark_agent::events::BookmarkFile;
use tidemark_agent::events::bookmark::Kept;
use tidemark_agent::events::selection::SYSTEM;
use tidemark_agent::state_file::StateFile;
use tidemark_agent_core::actions::grants::Book;
use tidemark_agent_core::actions::keys::KeyRecord;
use tidemark_agent_core::actions::{JournalRecord, KeyChanges, Ledger};
use tidemark_detect::backtest::{Backtest, InventoryLine, SampleLine};
use tidemark_fuzz::oracle::json;
use tidemark_fuzz::parts::Parts;
use tidemark_fuzz::{Decoder, run};
use tidemark_model::{HostAudit, HostFacts, Sample, Timestamp};

const DECODERS: [Decoder; 9] = [
    Decoder {
        name: "state file",
        read: state_file,
    },
    Decoder {
        name: "event log's bookmark",
        read: bookmark,
    },
    Decoder {
        name: "journal of actions",
        read: journal,
    },
    Decoder {
        name: "book of grants",
        read: grants,
    },
    Decoder {
        name: "changes of keys",
        read: keys,
    },
    Decoder {
        name: "saved snapshot",
        read: snapshot,
    },
    Decoder {
        name: "sample, audit and facts as JSON",
        read: |bytes| {
            json::<Sample>(bytes).is_some()
                | json::<HostAudit>(bytes).is_some()
                | json::<HostFacts>(bytes).is_some()
        },
    },
    Decoder {
        name: "backtest's sample",
        read: sample_line,
    },
    Decoder {
        name: "backtest's recording",
        read: recording,
    },
];

fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus { run(&DECODERS, input) });

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
        root.join(format!("tidemark-fuzz-kept-{}", std::process::id()))
    });
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
    fs::create_dir(folder).expect("a folder can be made");
    folder
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file can be written");
}

/// A slot of a state file with the checksum that it should have.
fn slot(generation: u64, payload: &[u8]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update(generation.to_be_bytes());
    hasher.update(payload);
    let mut bytes = b"tmstate1".to_vec();
    bytes.extend(hasher.finalize());
    bytes.extend(generation.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Two slots, each whole or anything; the next write is what is read, and the other slot is still there.
fn state_file(input: &[u8]) -> bool {
    let folder = empty_folder();
    let mut parts = Parts::of(input);
    for name in ["state.a", "state.b"] {
        match parts.byte() % 4 {
            0 => {}
            1 => put(&folder.join(name), parts.bytes()),
            _ => {
                let generation = u64::from(parts.u16());
                put(&folder.join(name), &slot(generation, parts.bytes()));
            }
        }
    }
    let file = StateFile::new(folder, "state");
    let before = file.read();
    file.write(b"next").expect("the folder takes it");
    let after = file.read();
    let newest = after.newest().expect("it was written");
    assert_eq!(newest.payload.as_slice(), b"next");
    if let Some(kept) = before.newest() {
        assert!(newest.generation > kept.generation);
        assert!(after.whole.contains(kept), "a write took the newest one");
    }
    before.newest().is_some()
}

fn bookmark(payload: &[u8]) -> bool {
    let folder = empty_folder();
    put(
        &folder.join(format!("{}.a", SYSTEM.bookmark)),
        &slot(1, payload),
    );
    let file = BookmarkFile::new(folder, &SYSTEM);
    match file.read() {
        Kept::Bookmark(found) => {
            file.write(&found.place).expect("the folder takes it");
            assert_eq!(file.read(), Kept::Bookmark(found));
            true
        }
        Kept::Lost => false,
        Kept::Nothing => panic!("what is damaged is not nothing"),
    }
}

/// Lines of a journal make a ledger; the lines that it writes anew make the same.
fn journal(bytes: &[u8]) -> bool {
    let mut ledger = Ledger::default();
    let mut has_taken = false;
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(record) = json::<JournalRecord>(line) else {
            break;
        };
        ledger.apply(record);
        has_taken = true;
    }
    let mut again = Ledger::default();
    ledger.records().for_each(|record| again.apply(record));
    let (one, other): (Vec<_>, Vec<_>) = (ledger.records().collect(), again.records().collect());
    assert_eq!(
        other, one,
        "a journal that is written anew says something else"
    );
    for record in &one {
        if let JournalRecord::Began { order, .. } = record {
            let (one, other) = (ledger.get(order.id), again.get(order.id));
            let (one, other) = (one.expect("it began"), other.expect("it began"));
            assert_eq!(one.digest, other.digest);
            assert_eq!(one.has_ended(), other.has_ended());
        }
    }
    again.prune(Timestamp::from_unix_ms(i64::MAX));
    has_taken
}

fn grants(bytes: &[u8]) -> bool {
    let Some(book) = json::<Book>(bytes) else {
        return false;
    };
    let book = book.reread();
    let written = serde_json::to_vec(&book).expect("a book can be written");
    let again: Book = serde_json::from_slice(&written).expect("it can be read");
    assert_eq!(again.reread(), book);
    assert!(book.bar(Timestamp::from_unix_ms(5)).is_barred());
    true
}

fn keys(bytes: &[u8]) -> bool {
    let Some(records) = json::<Vec<KeyRecord>>(bytes) else {
        return false;
    };
    let Some(changes) = KeyChanges::from_records(records) else {
        return false;
    };
    let again = KeyChanges::from_records(changes.records().collect());
    assert_eq!(again, Some(changes));
    true
}

fn snapshot(bytes: &[u8]) -> bool {
    let path = empty_folder().join("snapshot.json");
    put(&path, bytes);
    read_samples(&path).is_ok()
}

fn sample_line(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let sample = serde_json::from_str::<SampleLine<'_>>(text);
    let inventory = serde_json::from_str::<InventoryLine>(text);
    sample.is_ok_and(|line| line.check().is_ok()) | inventory.is_ok_and(|line| line.check().is_ok())
}

/// Lines in any order, legal by themselves: whatever they say, the detectors hold.
fn recording(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let mut backtest = Backtest::default();
    let mut received = 0;
    for line in text.lines().take(64) {
        if let Ok(known) = serde_json::from_str::<InventoryLine>(line)
            && known.check().is_ok()
            && line.contains("attrs")
        {
            backtest.inventory(known);
            continue;
        }
        let Ok(sample) = serde_json::from_str::<SampleLine<'_>>(line) else {
            break;
        };
        if sample.check().is_err() || sample.recv_unix_ms < received {
            break;
        }
        received = sample.recv_unix_ms;
        backtest.sample(&sample);
        for told in backtest.tick(Timestamp::from_unix_ms(received)) {
            assert!(serde_json::to_string(&told).is_ok());
        }
    }
    backtest.hosts() > 0
}
