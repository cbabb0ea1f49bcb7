//! What an agent does for a supervisor that can switch to another version of it, and back.

use std::convert::Infallible;

use tidemark_runtime::{Clock, Outcome};
use tokio_util::sync::CancellationToken;

use super::run_as;
use crate::actions::policy_file::PolicyFile;
use crate::commands::supervisor::{Supervisor, Turn};
use crate::config::AgentConfig;
use crate::session::{self, SessionEnd, SessionEvent, SessionParts};
use crate::upgrades::said::{self, Pulse};
use crate::upgrades::{Desk, DeskParts, UpgradeFeed, UpgradeMessage};

/// A supervisor that can switch to another version, and back.
pub(super) struct Supervised {
    /// As which release the agent runs.
    pub(super) release: u32,
    /// Cancelled when that is the current one.
    pub(super) committed: CancellationToken,
}

/// The agent as a release that its supervisor started, which asks and hears by standard input and output. Logging has begun.
pub(in super::super) fn run_as_release(
    config: AgentConfig,
    release: u32,
    told: impl Fn(Turn<'_>) + Send + Sync + 'static,
) -> anyhow::Result<Outcome> {
    let committed = CancellationToken::new();
    let supervisor = Supervisor::at_stdin_with(committed.clone(), told)?;
    run_as(config, supervisor, Some(Supervised { release, committed }))
}

/// The desk of upgrades. Samples matter more: a host without a thread for it is watched on.
pub(super) fn open_upgrades(
    config: &AgentConfig,
    supervised: Option<&Supervised>,
    clock: &Clock,
) -> Option<Desk> {
    let parts = DeskParts {
        folder: config.data_dir.clone(),
        policy: PolicyFile::of(config),
        supervised: supervised.map(|one| one.release),
        clock: clock.clone(),
    };
    Desk::start(parts)
        .inspect_err(|error| tracing::error!(%error, "this host takes no releases"))
        .ok()
}

/// The session, and meanwhile the word of the supervisor that the version on trial stays.
pub(super) async fn run_session(
    parts: SessionParts,
    stop: CancellationToken,
    (supervised, feed): (Option<Supervised>, UpgradeFeed),
) -> SessionEnd {
    let committed = async {
        if let Some(supervised) = supervised {
            supervised.committed.cancelled().await;
            feed.hand(UpgradeMessage::Committed);
        }
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        end = session::run(parts, stop) => end,
        never = committed => match never {},
    }
}

/// What a supervisor judges a version by that is on trial.
pub(super) fn tell_supervisor(pulse: &Pulse, event: &SessionEvent) {
    match event {
        SessionEvent::Acked { through } if pulse.is_shown_by(*through) => said::say(said::HEALTHY),
        SessionEvent::Disconnected { text, .. } => said::say(&format!("{}{text}", said::TROUBLE)),
        SessionEvent::Acked { .. }
        | SessionEvent::Connected { .. }
        | SessionEvent::SampleInterval(_)
        | SessionEvent::GaveUp(_)
        | SessionEvent::Witnessed(_)
        | SessionEvent::Renewed { .. }
        | SessionEvent::RenewalFailed { .. } => {}
    }
}
