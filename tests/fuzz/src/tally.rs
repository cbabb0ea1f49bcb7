//! How often each decoder ran, and how often it took what it was given: a decoder that never takes anything is not fuzzed
//! behind its checks.
//!
//! libFuzzer ends the process without a word to it, so the counts are written as they grow, to the file that `FUZZ_TALLY`
//! names.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{DECODERS_MAX, Decoder};

/// Inputs between two writes; so many are missing at the end at most.
const WRITE_EVERY: u64 = 512;

static RUNS: [AtomicU64; DECODERS_MAX] = [const { AtomicU64::new(0) }; DECODERS_MAX];
static TAKEN: [AtomicU64; DECODERS_MAX] = [const { AtomicU64::new(0) }; DECODERS_MAX];
static ALL: AtomicU64 = AtomicU64::new(0);

/// Counts one input.
pub(crate) fn count(decoders: &[Decoder], place: usize, is_legal: bool) {
    let (Some(runs), Some(taken)) = (RUNS.get(place), TAKEN.get(place)) else {
        return;
    };
    runs.fetch_add(1, Ordering::Relaxed);
    taken.fetch_add(u64::from(is_legal), Ordering::Relaxed);
    if ALL
        .fetch_add(1, Ordering::Relaxed)
        .is_multiple_of(WRITE_EVERY)
    {
        write(decoders);
    }
}

fn write(decoders: &[Decoder]) {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(file) = FILE.get_or_init(|| std::env::var_os("FUZZ_TALLY").map(PathBuf::from)) else {
        return;
    };
    let mut text = String::new();
    for ((decoder, runs), taken) in decoders.iter().zip(&RUNS).zip(&TAKEN) {
        let (runs, taken) = (runs.load(Ordering::Relaxed), taken.load(Ordering::Relaxed));
        writeln!(text, "{}\t{runs}\t{taken}", decoder.name).expect("a String takes all text");
    }
    std::fs::write(file, text).expect("FUZZ_TALLY names a file that can be written");
}
