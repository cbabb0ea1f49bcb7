//! Those who have every right to come in: new hosts, one after the other, each with its first sample.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tidemark_runtime::Clock;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::harness::Controller;
use crate::harness::peer::{Peer, facts, sample};

/// Time between two newcomers, if the one before is through.
const EVERY: Duration = Duration::from_millis(500);
/// Whoever takes longer was kept out.
const PATIENCE: Duration = Duration::from_secs(10);

/// How newcomers fared since they were last taken out.
#[derive(Clone, Debug, Default)]
pub struct Newcomers(Arc<Mutex<Fared>>);

/// How newcomers fared.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Fared {
    /// How many came.
    pub came: u64,
    /// How many were enrolled, had a session, and an ack of their first sample.
    pub came_in: u64,
    /// How long that took the slowest of them, in milliseconds.
    pub slowest_ms: f64,
    /// What kept out the last one that was kept out.
    pub kept_out_by: Option<String>,
}

impl Newcomers {
    /// Brings newcomers for as long as it is polled.
    pub async fn bring(self, controller: &Controller, token: &str) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 1_u64.. {
            ticks.tick().await;
            let began = Instant::now();
            let came = timeout(PATIENCE, come(controller, token, number)).await;
            let mut fared = self.fared();
            fared.came += 1;
            match came {
                Ok(Ok(())) => {
                    fared.came_in += 1;
                    let took_ms = began.elapsed().as_secs_f64() * 1_000.0;
                    fared.slowest_ms = fared.slowest_ms.max(took_ms);
                }
                Ok(Err(error)) => fared.kept_out_by = Some(format!("{error:#}")),
                Err(_) => fared.kept_out_by = Some(format!("not through within {PATIENCE:?}")),
            }
        }
    }

    /// Takes out how they fared.
    #[must_use]
    pub fn take(&self) -> Fared {
        std::mem::take(&mut *self.fared())
    }

    fn fared(&self) -> MutexGuard<'_, Fared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn come(controller: &Controller, token: &str, number: u64) -> anyhow::Result<()> {
    let host = facts(&format!("newcomer-{number}"));
    let peer = Peer::enrolled_with(controller, token, host).await?;
    let first = sample(Clock::System.now(), 100);
    peer.deliver(1, async |mut session| {
        session.samples(1, &[first]).await?;
        session.acked(1).await
    })
    .await
    .map(drop)
}
