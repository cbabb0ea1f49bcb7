//! Events: the XML that Windows renders, and saved logs.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tidemark_agent::events::selection::{is_selected, says_log_cleared};
use tidemark_agent::events::xml::{self, Reading};
use tidemark_agent::events::{Bookmark, LogPlace, file};
use tidemark_fuzz::{Decoder, run};
use tidemark_model::Timestamp;
use tidemark_model::sample::EventHit;
use tidemark_proto::convert::record::{Record, decode_stored, encode_stored};

const DECODERS: [Decoder; 2] = [
    Decoder {
        name: "event as XML",
        read: event,
    },
    Decoder {
        name: "saved log (.evtx)",
        read: saved_log,
    },
];

fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus { run(&DECODERS, input) });

const READ_AT: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);
const READING: Reading = Reading {
    read_at: READ_AT,
    log_epoch: 5,
};

fn event(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    match xml::parse(text, READING) {
        Ok(hit) => {
            keep(hit);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// A hit can be kept, sent and taken; what is cut is cut once.
fn keep(hit: EventHit) {
    let _ = (is_selected(&hit), says_log_cleared(&hit));
    if let Some(place) = LogPlace::of(&hit) {
        let channel = "System".into();
        assert!(Bookmark { channel, place }.to_xml().contains("System"));
    }
    let kept = decode_stored(&encode_stored(&Record::Event(hit))).expect("a hit can be kept");
    let again = decode_stored(&encode_stored(&kept)).expect("it can be kept again");
    assert_eq!(again, kept);
}

/// Bytes of a file's header that say something; the rest of its page is empty.
const FILE_HEADER_BYTES: usize = 128;
const PAGE_BYTES: usize = 4_096;
const CHUNK_BYTES: usize = 65_536;

/// A log of which the input leaves out what is empty: 128 bytes of the file's header, and the beginning of a chunk.
fn saved_log(input: &[u8]) -> bool {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let root = PathBuf::from("/dev/shm");
        let root = if root.is_dir() {
            root
        } else {
            std::env::temp_dir()
        };
        root.join(format!("tidemark-fuzz-{}.evtx", std::process::id()))
    });
    let (header, chunk) = input
        .split_at_checked(FILE_HEADER_BYTES)
        .unwrap_or((input, &[]));
    let mut log = header.to_vec();
    log.resize(PAGE_BYTES, 0);
    log.extend(&chunk[..chunk.len().min(CHUNK_BYTES)]);
    log.resize(PAGE_BYTES + CHUNK_BYTES, 0);
    fs::write(path, &log).expect("a file can be written");
    match file::read(path, READ_AT, 16, |_| true) {
        Ok(found) => {
            assert!(found.hits().len() <= 16);
            found.hits().iter().cloned().for_each(keep);
            !found.hits().is_empty()
        }
        Err(_) => false,
    }
}
