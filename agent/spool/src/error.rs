//! What can go wrong with a spool's folder.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use tidemark_model::Seq;

/// Why a spool cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder or a file in it cannot be used.
    #[error("{action} {} failed", path.display())]
    Io {
        /// What was tried, as in `writing`.
        action: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process has the spool open.
    #[error("the spool in {} is in use by another agent; stop it or give this one another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A record is larger than a spool takes.
    #[error("the record has {size_bytes} bytes; the limit is {limit_bytes}")]
    RecordTooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The epoch's last seq was given out.
    #[error("all {limit} seqs of the spool's epoch are given out; stop the agent and move {} away", path.display())]
    SeqsUsedUp {
        /// The last seq that can be.
        limit: Seq,
        /// The folder.
        path: PathBuf,
    },
    /// An ack or a range of records lies beyond what may have been sent.
    #[error("record {given} was never sendable; the newest that was is {newest}")]
    BeyondNewest {
        /// What was given.
        given: Seq,
        /// The newest record that may have been sent.
        newest: Seq,
    },
}

impl SpoolError {
    /// As logs take it to tell the causes as well.
    pub(crate) fn with_sources(&self) -> &(dyn Error + 'static) {
        self
    }

    /// Wraps an error of the system.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
