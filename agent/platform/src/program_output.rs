//! The beginning of what a program says, as one line of text: read to the end, so that it never blocks, and kept up to a
//! limit.

use std::io::Read;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

/// What is kept of a program's words; the rest is read and dropped.
pub(crate) const OUTPUT_BYTES_MAX: usize = 4 * 1024;
/// How long its last words may take once it has ended: a child of its own may hold the pipe for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What comes out of one pipe.
pub(crate) struct Words(Option<Receiver<String>>);

impl Words {
    /// Reads a pipe on a thread of its own.
    pub(crate) fn listen(pipe: Option<impl Read + Send + 'static>) -> Self {
        Self(pipe.and_then(listen))
    }

    /// What was said by pipes of a program that has ended, joined; empty when it said nothing in time.
    pub(crate) fn joined(words: impl IntoIterator<Item = Self>) -> String {
        let said: Vec<String> = words
            .into_iter()
            .filter_map(|words| words.0?.recv_timeout(LAST_WORDS).ok())
            .filter(|words| !words.is_empty())
            .collect();
        said.join(" ")
    }
}

fn listen(mut pipe: impl Read + Send + 'static) -> Option<Receiver<String>> {
    let (said, words) = sync_channel(1);
    let listener = thread::Builder::new().name("program-output".to_owned());
    let started = listener.spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = pipe.read(&mut buffer) {
            let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
            kept.extend(buffer.iter().take(bytes.min(room)));
        }
        let text = String::from_utf8_lossy(&kept);
        let line: Vec<&str> = text.split_whitespace().collect();
        // Nobody may be waiting any more.
        said.send(line.join(" ")).ok();
    });
    started.ok().map(|_| words)
}
