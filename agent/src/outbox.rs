//! Records between the sampler and the session: appended by one, sent and acked by the other, counted at every step.
//!
//! Two kinds: the disk spool of an agent, and a bounded memory for simulated hosts. Knows nothing of what a record says.

mod disk;
pub mod memory;

pub use memory::{MemoryLimits, MemoryOutbox};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemark_model::{Epoch, RecordGap, Seq, SpoolCounts, Timestamp};
use tokio::sync::Notify;

/// Records in ascending order that wait for their ack. At all times `produced = acked + dropped + held`.
pub trait Outbox: Send {
    /// The life of this outbox; its seqs mean nothing in another one.
    fn epoch(&self) -> Epoch;

    /// Adds a record; its seq is the next one, whether it could be kept or not. What cannot be kept becomes a gap.
    ///
    /// # Errors
    /// [`OutboxError`] when the record was dropped at once; it is counted already.
    fn append(&mut self, record: &[u8], now: Timestamp) -> Result<Seq, OutboxError>;

    /// Like [`Outbox::append`], for a record that goes only after all others when room must be made.
    ///
    /// # Errors
    /// As [`Outbox::append`].
    fn append_lasting(&mut self, record: &[u8], now: Timestamp) -> Result<Seq, OutboxError>;

    /// What stands at `from`: records without holes, or a gap that begins there, or nothing yet. What was acked before is
    /// a gap as well: the controller asks for it again only when it lost it.
    ///
    /// # Errors
    /// [`OutboxError`] when the storage cannot be read; trying later is safe.
    fn read(&mut self, from: Seq, limits: ReadLimits) -> Result<Reading, OutboxError>;

    /// Everything up to `through` is durable at the controller and may go; gaps up to there are known to it.
    ///
    /// # Errors
    /// [`OutboxError`] when the storage cannot be trimmed; the ack counts all the same.
    fn ack(&mut self, through: Seq) -> Result<(), OutboxError>;

    /// The records of `gap` can never be delivered: they become that gap and count as dropped.
    ///
    /// # Errors
    /// [`OutboxError`] when the storage cannot note it.
    fn give_up(&mut self, gap: RecordGap) -> Result<(), OutboxError>;

    /// Begins a new epoch with what is held, renumbered from 1; the counts begin anew with it.
    ///
    /// # Errors
    /// [`OutboxError`] when the storage cannot do it; the old epoch goes on.
    fn restart_epoch(&mut self, epoch: Epoch) -> Result<(), OutboxError>;

    /// The first seq that is not acked, and the last one that may be sent.
    fn bounds(&self) -> Bounds;

    /// What became of all records so far.
    fn counts(&self) -> SpoolCounts;

    /// Makes what was appended survive a power loss.
    ///
    /// # Errors
    /// [`OutboxError`] when the storage refuses.
    fn sync(&mut self) -> Result<(), OutboxError>;
}

/// How much one read may return; at least one record is returned when there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most records.
    pub records_max: usize,
    /// Most bytes of records.
    pub bytes_max: usize,
}

/// What stands at a seq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Records from that seq on, without holes, at least one.
    Records(Vec<Vec<u8>>),
    /// Records that can never be delivered, beginning at that seq.
    Gap(RecordGap),
    /// Nothing was appended there yet.
    End,
}

/// Where an outbox begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// First seq that is not acked.
    pub oldest: Seq,
    /// Last seq that may be sent, being as durable as this outbox makes it; 0 before the first. One below `oldest` when
    /// nothing waits.
    pub newest: Seq,
}

/// Why an outbox could not do as told.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// A record alone is larger than the whole outbox may be.
    #[error(
        "a record of {size_bytes} bytes is larger than the limit of {limit_bytes} bytes; it is dropped and counted"
    )]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The storage behind it failed.
    #[error("the spool's storage failed")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The one outbox of a host, shared by the sampler's thread and the session.
#[derive(Clone)]
pub struct OutboxHandle {
    shared: Arc<Shared>,
}

struct Shared {
    outbox: Mutex<Box<dyn Outbox>>,
    appended: Notify,
}

impl OutboxHandle {
    /// Shares `outbox`.
    #[must_use]
    pub fn new(outbox: impl Outbox + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                outbox: Mutex::new(Box::new(outbox)),
                appended: Notify::new(),
            }),
        }
    }

    /// Adds a record, makes it durable, and wakes the session.
    ///
    /// # Errors
    /// As [`Outbox::append`].
    pub fn append(&self, record: &[u8], now: Timestamp) -> Result<Seq, OutboxError> {
        self.append_by(|outbox| outbox.append(record, now))
    }

    /// Like [`OutboxHandle::append`], for an event: samples go before it when room must be made.
    ///
    /// # Errors
    /// As [`Outbox::append`].
    pub fn append_lasting(&self, record: &[u8], now: Timestamp) -> Result<Seq, OutboxError> {
        self.append_by(|outbox| outbox.append_lasting(record, now))
    }

    fn append_by(
        &self,
        append: impl FnOnce(&mut dyn Outbox) -> Result<Seq, OutboxError>,
    ) -> Result<Seq, OutboxError> {
        let appended = {
            let mut outbox = self.lock();
            let appended = append(&mut **outbox);
            outbox.sync().and(appended)
        };
        // A dropped record is a gap that wants to be told as well.
        self.shared.appended.notify_one();
        appended
    }

    /// What became of all records so far.
    #[must_use]
    pub fn counts(&self) -> SpoolCounts {
        self.lock().counts()
    }

    /// Exclusive access, for as short as possible: the sampler may be waiting.
    pub fn lock(&self) -> MutexGuard<'_, Box<dyn Outbox>> {
        self.shared
            .outbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes when something was appended since the last call. For one waiter only.
    pub async fn appended(&self) {
        self.shared.appended.notified().await;
    }
}

impl std::fmt::Debug for OutboxHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutboxHandle").finish_non_exhaustive()
    }
}
