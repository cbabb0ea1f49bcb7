//! What passes between the session and the desk of upgrades: bounded both ways, and never waited for by the session.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use tidemark_model::release::SignedManifest;
use tidemark_model::upgrade::UpgradeReport;
use tidemark_proto::convert::upgrade::{Piece, PieceWanted};

use crate::desk_outbox::DeskOutbox;

/// A message to the desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpgradeMessage {
    /// A session with a controller that sends releases began.
    Opened,
    /// A release is to be installed.
    Offered(SignedManifest),
    /// A piece of its file.
    Piece(Piece),
    /// The supervisor made the version that runs the current one.
    Committed,
    /// The agent ends.
    End,
}

/// What is to be told to the controller; the newest of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// How the host stands.
    pub(crate) report: Option<UpgradeReport>,
    /// The next piece to ask for.
    pub(crate) wanted: Option<PieceWanted>,
}

/// The desk's outbox.
pub(super) type Outbox = DeskOutbox<Outgoing>;

/// The session's end of the desk.
#[derive(Clone, Debug)]
pub struct UpgradeFeed(Option<Ends>);

#[derive(Clone, Debug)]
struct Ends {
    to_desk: SyncSender<UpgradeMessage>,
    outbox: Arc<Outbox>,
}

impl UpgradeFeed {
    /// The feed of a host that says nothing of its program.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    pub(super) const fn new(to_desk: SyncSender<UpgradeMessage>, outbox: Arc<Outbox>) -> Self {
        Self(Some(Ends { to_desk, outbox }))
    }

    /// Whether there is a desk.
    pub(crate) const fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Hands a message over. One for which the desk has no room is lost: the controller offers again, and what was asked for is
    /// asked for again with the next session.
    pub(crate) fn hand(&self, message: UpgradeMessage) {
        let Some(ends) = &self.0 else {
            return;
        };
        if ends.to_desk.try_send(message).is_err() {
            tracing::warn!("the desk of upgrades has no room for a message");
        }
    }

    /// Takes what is to be told.
    pub(crate) fn take(&self) -> Outgoing {
        let ends = self.0.as_ref();
        ends.map(|ends| ends.outbox.take()).unwrap_or_default()
    }

    /// Completes when there is something to tell. Cancelling it loses nothing.
    pub(crate) async fn changed(&self) {
        match &self.0 {
            Some(ends) => ends.outbox.changed().await,
            None => std::future::pending().await,
        }
    }
}
