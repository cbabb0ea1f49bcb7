//! Questions to WMI: each on a thread of its own that is given up after a while, because WMI hangs when the host is sick.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use wmi::WMIConnection;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Threads that WMI never answered may be left behind; with so many of them nothing more is asked.
const UNANSWERED_MAX: usize = 2;

static ASKED: AtomicUsize = AtomicUsize::new(0);

/// The answer to a WQL `query` in `namespace`, as in `ROOT\StandardCimv2`.
///
/// # Errors
/// When WMI refuses, does not answer in time, or has left earlier questions unanswered.
pub(super) fn query<T>(namespace: &'static str, query: &'static str) -> io::Result<Vec<T>>
where
    T: DeserializeOwned + Send + 'static,
{
    if ASKED.load(Ordering::Acquire) >= UNANSWERED_MAX {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "WMI has not answered earlier questions",
        ));
    }
    let (answer, answered) = mpsc::sync_channel(1);
    ASKED.fetch_add(1, Ordering::AcqRel);
    let started = thread::Builder::new()
        .name("wmi".to_owned())
        .spawn(move || {
            let found = ask(namespace, query);
            ASKED.fetch_sub(1, Ordering::AcqRel);
            // Nobody may be waiting any more.
            answer.send(found).ok();
        });
    if let Err(error) = started {
        ASKED.fetch_sub(1, Ordering::AcqRel);
        return Err(error);
    }
    match answered.recv_timeout(ANSWER_TIMEOUT) {
        Ok(found) => found,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
    }
}

fn ask<T: DeserializeOwned>(namespace: &str, query: &str) -> io::Result<Vec<T>> {
    WMIConnection::with_namespace_path(namespace)
        .and_then(|connection| connection.raw_query(query))
        .map_err(io::Error::other)
}
