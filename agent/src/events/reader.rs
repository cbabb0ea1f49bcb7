//! Reads the event log on a thread of its own: hits into the outbox, the sampler woken when ports were refused, and the place
//! kept once the controller has what was read.
//!
//! Knows the order of these steps; what an event means, where to begin and what may be kept is decided elsewhere.

mod worker;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_model::{Seq, Timestamp};
use tidemark_runtime::Clock;

use super::bookmark::{Bookmark, BookmarkFile};
use super::intake::{LogFacts, Pending};
use super::selection::LogSelection;
use crate::actions::Witness;
use crate::outbox::OutboxHandle;
use crate::owned_thread::{Joined, OwnedThread};
use worker::Worker;

/// How long a stop waits for the log service.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// A log that events are read from.
pub trait EventSource: Send + 'static {
    /// What the log service says of the log.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn facts(&mut self) -> Result<LogFacts, SourceError>;

    /// How many events not older than `age` there are.
    ///
    /// # Errors
    /// When they cannot be counted.
    fn count_within(&mut self, age: Duration) -> Result<u64, SourceError>;

    /// Begins behind a bookmark, or with the oldest record.
    ///
    /// # Errors
    /// [`SourceError::Stale`] when the bookmarked record is gone.
    fn open(&mut self, after: Option<&Bookmark>) -> Result<(), SourceError>;

    /// Appends the XML of the next events, in the order of the log, after at most `wait`; none is no error.
    ///
    /// # Errors
    /// When reading fails; it is opened again then.
    fn next(&mut self, wait: Duration, events: &mut Vec<String>) -> Result<(), SourceError>;
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The place is gone.
    #[error("the place in the event log is gone")]
    Stale,
    /// The log service refused.
    #[error("the log service refused")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a reader works with.
pub struct EventReaderParts<S> {
    /// Where events come from.
    pub source: S,
    /// Which log that is, and what is told of it.
    pub log: &'static LogSelection,
    /// Where hits go.
    pub outbox: OutboxHandle,
    /// Where the place is kept.
    pub bookmark: BookmarkFile,
    /// Wall-clock time.
    pub clock: Clock,
    /// Asks for a sample at once: ports were refused just now. Called on the reader's thread.
    pub ask_for_sample: Box<dyn Fn() + Send>,
    /// What this host saw by itself, for grants.
    pub witness: Witness,
}

/// How a reader does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventReaderStatus {
    /// Hits that went to the outbox.
    pub hits: u64,
    /// Events that could not be understood.
    pub unreadable: u64,
    /// When the newest hit happened.
    pub last_hit_at: Option<Timestamp>,
    /// Why the log cannot be read at present.
    pub last_error: Option<Arc<str>>,
}

/// The running reader.
#[derive(Debug)]
pub struct EventReader {
    thread: OwnedThread,
    shared: Arc<Shared>,
    outbox: OutboxHandle,
}

/// A reader that ended otherwise than by a stop.
#[derive(Debug, thiserror::Error)]
pub enum EventReaderError {
    /// Its thread panicked.
    #[error("the event reader's thread panicked: this is a bug; the agent must be started again")]
    Panicked,
}

/// Tells the reader what the controller has.
#[derive(Clone, Debug)]
pub struct EventAcks {
    shared: Arc<Shared>,
    outbox: OutboxHandle,
}

#[derive(Debug)]
struct Shared {
    stop: Mutex<bool>,
    stopped: Condvar,
    /// Taken before the outbox wherever both are.
    pending: Mutex<Pending>,
    status: Mutex<EventReaderStatus>,
}

impl EventReader {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(parts: EventReaderParts<impl EventSource>) -> io::Result<Self> {
        let epoch = parts.outbox.lock().epoch();
        let shared = Arc::new(Shared {
            stop: Mutex::new(false),
            stopped: Condvar::new(),
            pending: Mutex::new(Pending::new(epoch)),
            status: Mutex::default(),
        });
        let outbox = parts.outbox.clone();
        let worker = Worker::new(parts, Arc::clone(&shared));
        let thread = OwnedThread::start("events", move || worker.run())?;
        Ok(Self {
            thread,
            shared,
            outbox,
        })
    }

    /// Where acks go in.
    #[must_use]
    pub fn acks(&self) -> EventAcks {
        EventAcks {
            shared: Arc::clone(&self.shared),
            outbox: self.outbox.clone(),
        }
    }

    /// How it does.
    #[must_use]
    pub fn status(&self) -> EventReaderStatus {
        lock(&self.shared.status).clone()
    }

    /// Completes when the thread has ended, which it does not by itself.
    pub async fn ended(&self) {
        self.thread.ended().await;
    }

    /// Stops it, and keeps the place that the last acks allow. A call to the log service that hangs is left behind after
    /// three seconds: the process is about to end anyway.
    ///
    /// # Errors
    /// [`EventReaderError::Panicked`] when the thread had panicked.
    pub async fn stop(self) -> Result<(), EventReaderError> {
        *lock(&self.shared.stop) = true;
        self.shared.stopped.notify_all();
        match self.thread.join_within(STOP_TIMEOUT).await {
            Joined::Ended => Ok(()),
            Joined::Panicked => Err(EventReaderError::Panicked),
            Joined::LeftBehind => {
                tracing::warn!("the event log hangs and is left behind");
                Ok(())
            }
        }
    }
}

impl EventAcks {
    /// Everything up to `through` is durable at the controller.
    pub fn acked(&self, through: Seq) {
        let mut pending = lock(&self.shared.pending);
        let (epoch, newest) = {
            let outbox = self.outbox.lock();
            (outbox.epoch(), outbox.bounds().newest)
        };
        pending.acked(epoch, newest, through);
    }
}

impl Shared {
    fn is_stopped(&self) -> bool {
        *lock(&self.stop)
    }

    /// Waits, or until the stop; says whether that came.
    fn wait(&self, time: Duration) -> bool {
        let (stop, _) = self
            .stopped
            .wait_timeout_while(lock(&self.stop), time, |stop| !*stop)
            .unwrap_or_else(PoisonError::into_inner);
        *stop
    }
}

/// Every change leaves what is locked legal at each step, so a panic in one does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
