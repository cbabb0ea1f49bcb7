//! The IO around the core's session: one connection at a time to the controller, records out of the outbox, acks into it,
//! certificates renewed in time.
//!
//! Knows sockets, certificates and frames; when to connect, what to send and when to give up is the core's.

mod failures;
mod flow;
mod frames;
mod renewal;
mod shell;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tidemark_agent_core::SessionConfig;
use tidemark_model::{HostFacts, RecordGap, Seq, SessionId, SpoolCounts, Timestamp};
use tidemark_proto::PROTOCOL_VERSION;
use tidemark_runtime::{Clock, Entropy};
use tokio_util::sync::CancellationToken;

use crate::actions::ActionFeed;
use crate::audit::AuditFeed;
use crate::checkpoints::{CheckpointBook, HeldStatus};
use crate::identity::Vault;
use crate::incarnation::IncarnationBook;
use crate::link::Dialer;
use crate::outbox::OutboxHandle;
use crate::upgrades::UpgradeFeed;
pub(crate) use failures::chain;
pub use flow::{Outgoing, RecordFlow};
#[cfg(feature = "fuzzing")]
pub(crate) use frames::heard;
use shell::Shell;

/// What a session works with. One process may run thousands, each with parts of its own.
pub struct SessionParts {
    /// How it behaves.
    pub settings: SessionSettings,
    /// How the controller is reached.
    pub dialer: Arc<Dialer>,
    /// Identity and certificates; the host must be enrolled.
    pub vault: Arc<Vault>,
    /// Where the records come from.
    pub outbox: OutboxHandle,
    /// How the host is configured; [`AuditFeed::none`] when that is not read.
    pub audits: AuditFeed,
    /// Orders go there and reports come from there; [`ActionFeed::none`] on a host that takes none.
    pub actions: ActionFeed,
    /// What the host holds of the controller's audit log; [`CheckpointBook::none`] where nothing is kept.
    pub checkpoints: CheckpointBook,
    /// Which incarnation of the fleet the host has seen; [`IncarnationBook::none`] where nothing is kept.
    pub incarnation: IncarnationBook,
    /// Releases go there; [`UpgradeFeed::none`] on a host that says nothing of its program.
    pub upgrades: UpgradeFeed,
    /// Wall-clock time, for certificates and the skew against the controller.
    pub clock: Clock,
    /// Randomness, for jitter and epochs.
    pub entropy: Entropy,
    /// Told what happens; called on the session's task, so it must not block.
    pub events: Box<dyn FnMut(SessionEvent) + Send>,
}

/// How a session behaves.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// What the host says about itself in each hello.
    pub facts: HostFacts,
    /// Times and protocol versions of the core.
    pub core: SessionConfig,
    /// How long a stop may take to deliver what waits.
    pub drain_timeout: Duration,
}

impl SessionSettings {
    /// The settings that ship.
    #[must_use]
    pub fn shipped(facts: HostFacts) -> Self {
        Self {
            facts,
            core: SessionConfig::for_protocol(PROTOCOL_VERSION),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// What happens in a session.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// The controller welcomed this host.
    Connected {
        /// The controller's name for the session.
        session: SessionId,
        /// The host's clock less the controller's, in milliseconds, the way of the message included.
        clock_skew_ms: i64,
    },
    /// Everything up to here is durable at the controller.
    Acked {
        /// The last such record.
        through: Seq,
    },
    /// The controller wishes another time between samples; `None` leaves it to the agent.
    SampleInterval(Option<Duration>),
    /// Records were given up.
    GaveUp(RecordGap),
    /// What the host holds of the controller's audit log, at the start and when that changed.
    Witnessed(HeldStatus),
    /// The host has a new certificate.
    Renewed {
        /// Its generation.
        generation: u64,
        /// Its end.
        not_after: Timestamp,
    },
    /// No new certificate could be had.
    RenewalFailed {
        /// A short stable name of the failure.
        kind: &'static str,
        /// What went wrong and what to do about it.
        text: Arc<str>,
    },
    /// The connection ended or could not be made; the session goes on by itself.
    Disconnected {
        /// A short stable name of the reason.
        kind: &'static str,
        /// What went wrong and what to do about it.
        text: Arc<str>,
    },
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// What became of all records.
    pub counts: SpoolCounts,
    /// Connections that were welcomed.
    pub sessions: u64,
}

/// Delivers the outbox until `stop`, then for at most the drain timeout what still waits. Never gives up before: every
/// failure is told, classified and tried again.
pub async fn run(parts: SessionParts, stop: CancellationToken) -> SessionEnd {
    Shell::new(parts).run(stop).await
}

#[cfg(test)]
mod tests;
