//! A session's part in having the audit log witnessed: takes what the host holds, and offers what is newer with its proof.

use std::sync::Arc;

use tidemark_model::audit_log::{Offered, Reported};
use tidemark_model::error_code::ApiError as _;
use tidemark_proto::convert::checkpoint::offered_to_wire;
use tidemark_proto::v1::controller_frame;
use tokio::sync::watch;
use tonic::Status;

use super::Session;
use super::actions::is_away;
use crate::audit_log::{Held, Signed};
use crate::gateway::outcome::status_of;

/// What a session knows of what its host holds.
pub(super) struct Checkpoints {
    newest: watch::Receiver<Option<Arc<Signed>>>,
    /// `None` before the host said so: nothing is offered to one that does not.
    held: Option<Held>,
    /// A checkpoint that the host refused is not offered to it again.
    refused: Option<u64>,
}

impl Checkpoints {
    pub(super) fn open(session: &Session) -> Self {
        Self {
            newest: session.app.audit_log.checkpoints(),
            held: None,
            refused: None,
        }
    }

    /// Completes when there is a newer checkpoint for a host that takes them.
    pub(super) async fn changed(&mut self) {
        let is_closed = self.newest.changed().await.is_err();
        if is_closed || self.held.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Takes what the host holds.
    pub(super) async fn take(&mut self, session: &Session, told: Reported) -> Result<(), Status> {
        let is_refusal = told.refused.is_some();
        let held = match session.app.take_witness(session.host, told).await {
            Ok(held) => held,
            // It is told again with the next session, or the next checkpoint.
            Err(error) if is_away(error.code()) => return Ok(()),
            Err(error) => return Err(status_of(&error)),
        };
        self.held = Some(held);
        let newest = self.newest.borrow_and_update().clone();
        if is_refusal && self.refused.is_some() {
            return Ok(());
        }
        self.offer(session, newest).await
    }

    /// Offers the newest checkpoint.
    pub(super) async fn offer_newest(&mut self, session: &Session) -> Result<(), Status> {
        let newest = self.newest.borrow_and_update().clone();
        self.offer(session, newest).await
    }

    /// A host whose checkpoint this log contradicts is offered the log's own, so that it sees it, too.
    async fn offer(
        &mut self,
        session: &Session,
        newest: Option<Arc<Signed>>,
    ) -> Result<(), Status> {
        let (Some(held), Some(newest)) = (self.held, newest) else {
            return Ok(());
        };
        let size = newest.checkpoint.size;
        let from = held.size();
        if held == Held::Size(size) || self.refused == Some(size) {
            return Ok(());
        }
        let contradicts = matches!(held, Held::Contradicted(_) | Held::Foreign);
        if contradicts {
            self.refused = Some(size);
        } else if from > size {
            // Another controller signed what this one has not followed yet.
            return Ok(());
        }
        let proof = match session.app.audit_proof(from, size).await {
            Ok(proof) => proof,
            Err(error) if is_away(error.code()) => return Ok(()),
            Err(error) => return Err(status_of(&error)),
        };
        let Some(key) = session.app.audit_log.key() else {
            return Ok(());
        };
        let offered = Offered {
            note: newest.note.clone(),
            key: key.to_string(),
            proof: proof.map_or_else(Vec::new, |proof| proof.to_vec()),
        };
        let frame = controller_frame::Kind::Checkpoint(offered_to_wire(&offered));
        session.send(frame).await
    }
}
