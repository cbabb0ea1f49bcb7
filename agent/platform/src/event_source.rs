//! What the event log is asked for and what it says: the same words on every system.

use std::io;

/// Events taken at a time, unless that is too much for them.
pub const BATCH: u32 = 64;

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin<'a> {
    /// With the oldest record that is still there.
    Oldest,
    /// Behind the record of this bookmark (XML). Refused as [`EventLogError::Stale`] when the record is gone.
    AfterBookmark(&'a str),
}

/// What the log service says of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFacts {
    /// Number of the oldest record; `None` when unknown or the log is empty.
    pub oldest_record: Option<u64>,
    /// How many records there are; `None` when unknown.
    pub records: Option<u64>,
    /// When it was created, in unix milliseconds; `None` when unknown.
    pub created_ms: Option<i64>,
}

/// Why the event log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum EventLogError {
    /// There is none that can be read.
    #[error("this system has no event log that can be read: {0}")]
    Unsupported(&'static str),
    /// So many events are too large to be handed over at once: subscribe again and ask for fewer.
    #[error("the events are too large to be read so many at a time")]
    TooLarge,
    /// The bookmarked record is gone: overwritten, or the log was cleared.
    #[error("the bookmarked record of the event log is gone")]
    Stale,
    /// The log service refused.
    #[error("{call} failed")]
    System {
        /// What was called.
        call: &'static str,
        /// Its answer.
        source: io::Error,
    },
}
