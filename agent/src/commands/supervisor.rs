//! What stands above a running agent: who asks it to stop, and who is told how far it is. A terminal, a parent process, or
//! the system that hosts it as a service.

use std::convert::Infallible;
use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tidemark_runtime::lifecycle::shutdown_signal;
use tokio_util::sync::CancellationToken;

use crate::upgrades::said;

/// How often it is said that the agent still ends; a system that hosts it takes it for hung after 10 s of silence.
const STOPPING_INTERVAL: Duration = Duration::from_secs(1);

/// Where the agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn<'a> {
    /// It begins. Said again, it has done something since.
    Starting,
    /// It works.
    Running,
    /// It works, and this is why the host is not enrolled.
    NotEnrolled(&'a str),
    /// It ends. Said again, it still does.
    Stopping,
}

/// Who asks the agent to stop, and is told.
#[derive(Clone)]
pub(super) struct Supervisor {
    stop: CancellationToken,
    told: Arc<dyn Fn(Turn<'_>) + Send + Sync>,
}

impl Supervisor {
    /// One that asks by `stop` and is told by `told`.
    pub(super) fn new(
        stop: CancellationToken,
        told: impl Fn(Turn<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            stop,
            told: Arc::new(told),
        }
    }

    /// One that asks by `stop` and wants to know nothing; signals ask as well.
    pub(super) fn quiet(stop: CancellationToken) -> Self {
        Self::new(stop, |_| {})
    }

    /// A parent process that asks by closing the agent's standard input, or by going away.
    pub(super) fn at_stdin() -> anyhow::Result<Self> {
        Self::at_stdin_with(CancellationToken::new(), |_| {})
    }

    /// The same, which says by `committed` that the version of the agent that runs is the current one; `told` hears where the
    /// agent is.
    pub(super) fn at_stdin_with(
        committed: CancellationToken,
        told: impl Fn(Turn<'_>) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        watch_stdin(stop.clone(), committed)?;
        Ok(Self::new(stop, told))
    }

    /// Completes when the agent is to stop, by a signal or otherwise.
    pub(super) async fn asks_to_stop(&self) {
        tokio::select! {
            () = shutdown_signal() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Tells where the agent is.
    pub(super) fn tell(&self, turn: Turn<'_>) {
        (self.told)(turn);
    }

    /// Tells again and again that the agent ends, from `stopping` on: for as long as somebody polls it, which shows that
    /// the agent is not stuck.
    pub(super) async fn tell_of_stop(&self, stopping: CancellationToken) -> Infallible {
        stopping.cancelled().await;
        loop {
            self.tell(Turn::Stopping);
            tokio::time::sleep(STOPPING_INTERVAL).await;
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

/// Tells when standard input ends, and what is said there before. The thread blocks in a read that nothing can interrupt, so it ends with the process.
fn watch_stdin(ended: CancellationToken, committed: CancellationToken) -> anyhow::Result<()> {
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut input = std::io::stdin().lock();
            let mut bytes = [0; 64];
            while let Ok(count @ 1..) = input.read(&mut bytes) {
                let said = bytes.get(..count).unwrap_or_default();
                if said.contains(&said::COMMITTED) {
                    committed.cancel();
                }
            }
            ended.cancel();
        })
        .context("the system gives no thread to watch standard input")?;
    Ok(())
}
