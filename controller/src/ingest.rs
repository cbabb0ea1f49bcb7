//! From sessions into history: dedupe by (host, epoch, seq), one durable commit for many hosts, acks only after it.
//!
//! One task owns the cursors and the dictionaries, so nothing about a host's records is ever decided twice. While the
//! database does not answer, the batch waits, the queue fills, and sessions stop reading; agents keep their spools.

mod apply;
mod batch;
mod lane;
#[cfg(test)]
mod simulation;
mod staging;
mod writer;

use tidemark_model::delivery::RecordGap;
use tidemark_model::error_code::ApiError;
use tidemark_model::{Epoch, ErrorCode, HostId, Seq};
use tidemark_proto::convert::record::DecodedBatch;
use tidemark_store::StoreError;
use tokio::sync::{mpsc, oneshot, watch};

pub use writer::{Writer, WriterParts};

/// Batches of records that wait for the writer. With the largest batch this is 256 MiB at the very worst; agents are
/// held back by their credit long before.
const QUEUE_MAX: usize = 256;

/// The way into the queue.
#[derive(Clone, Debug)]
pub struct IngestHandle {
    queue: mpsc::Sender<Item>,
}

/// What waits in the queue.
#[derive(Debug)]
enum Item {
    Open(OpenLane, oneshot::Sender<Result<Opened, IngestError>>),
    Records(LaneKey, Delivered),
}

/// The queue itself, for the writer.
#[derive(Debug)]
pub struct IngestQueue {
    rx: mpsc::Receiver<Item>,
    tx: mpsc::WeakSender<Item>,
}

/// A session's wish to deliver records of one epoch.
#[derive(Clone, Copy, Debug)]
pub struct OpenLane {
    /// Whose.
    pub host: HostId,
    /// Which of its spool's epochs.
    pub epoch: Epoch,
    /// The host's clock less the controller's, in milliseconds.
    pub skew_ms: i64,
}

/// A session's way into ingest.
#[derive(Debug)]
pub struct Opened {
    /// Where records go in and acks come out.
    pub lane: Lane,
    /// Everything up to here is durable.
    pub acked: Seq,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LaneKey {
    host: HostId,
    epoch: Epoch,
    skew_ms: i64,
}

/// One session's records in, and its acks out.
#[derive(Debug)]
pub struct Lane {
    key: LaneKey,
    queue: mpsc::Sender<Item>,
    acked: watch::Receiver<Seq>,
}

/// What a session hands over, in ascending seq without holes.
#[derive(Debug)]
pub enum Delivered {
    /// Records, and those among them that cannot be taken.
    Records(DecodedBatch),
    /// Records that the agent no longer has.
    Gap(RecordGap),
}

/// Why records cannot be handed over.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The controller is stopping.
    #[error("the controller is shutting down; the agent comes back by itself")]
    Stopping,
    /// The host's cursor could not be read.
    #[error("the host's place in history could not be read")]
    Store(#[from] StoreError),
}

impl ApiError for IngestError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Stopping => ErrorCode::Unavailable,
            Self::Store(error) => error.code(),
        }
    }
}

/// A queue and the way into it.
#[must_use]
pub fn queue() -> (IngestHandle, IngestQueue) {
    let (tx, rx) = mpsc::channel(QUEUE_MAX);
    let queue = IngestQueue {
        rx,
        tx: tx.downgrade(),
    };
    (IngestHandle { queue: tx }, queue)
}

impl IngestHandle {
    /// Opens a lane. The answer comes after everything that the host delivered before is durable.
    ///
    /// # Errors
    /// [`IngestError`] when the controller stops or the host's cursor cannot be read.
    pub async fn open(&self, wish: OpenLane) -> Result<Opened, IngestError> {
        let (answer_tx, answer_rx) = oneshot::channel();
        self.queue
            .send(Item::Open(wish, answer_tx))
            .await
            .map_err(|_| IngestError::Stopping)?;
        answer_rx.await.map_err(|_| IngestError::Stopping)?
    }
}

impl Lane {
    /// Completes when more is durable than was said before, with how far.
    pub async fn acked(&mut self) -> Seq {
        if self.acked.changed().await.is_err() {
            // The writer took the lane away, as when it stops: no ack will come.
            std::future::pending::<()>().await;
        }
        *self.acked.borrow_and_update()
    }

    /// Waits for room in the queue.
    ///
    /// # Errors
    /// [`IngestError::Stopping`] when the writer is gone.
    pub async fn reserve(&self) -> Result<Place<'_>, IngestError> {
        let permit = self
            .queue
            .reserve()
            .await
            .map_err(|_| IngestError::Stopping)?;
        Ok(Place {
            key: self.key,
            permit,
        })
    }
}

/// Room in the queue for one delivery.
#[derive(Debug)]
pub struct Place<'a> {
    key: LaneKey,
    permit: mpsc::Permit<'a, Item>,
}

impl Place<'_> {
    /// Takes it.
    pub fn send(self, delivered: Delivered) {
        self.permit.send(Item::Records(self.key, delivered));
    }
}
