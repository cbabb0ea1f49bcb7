//! Renewal of the certificate beside the session: looks at the clock now and then, renews when the plan says so.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tidemark_agent_core::CertificateStep;
use tidemark_runtime::{Clock, Entropy};
use tokio::time::Instant;

use crate::identity::{Credentials, Vault};
use crate::link::Dialer;
use crate::renew::{RenewError, renew};

/// How often the wall clock is looked at. Timers alone would miss a suspend or a clock that was set.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Shortest and longest time before a failed renewal is tried again.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(600);

type Renewing = Pin<Box<dyn Future<Output = Result<Arc<Credentials>, RenewError>> + Send>>;

/// The renewal of one host's certificate.
pub(super) struct Renewal {
    dialer: Arc<Dialer>,
    vault: Arc<Vault>,
    clock: Clock,
    entropy: Entropy,
    /// The jitter of the current certificate's plan.
    draw: u64,
    look_at: Instant,
    running: Option<Renewing>,
}

impl Renewal {
    pub(super) fn new(
        dialer: Arc<Dialer>,
        vault: Arc<Vault>,
        clock: Clock,
        entropy: Entropy,
    ) -> Self {
        Self {
            draw: entropy.u64(),
            look_at: Instant::now(),
            running: None,
            dialer,
            vault,
            clock,
            entropy,
        }
    }

    /// Completes when a renewal has ended. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Result<Arc<Credentials>, RenewError> {
        loop {
            if let Some(running) = &mut self.running {
                let renewed = running.await;
                self.running = None;
                self.draw = self.entropy.u64();
                self.look_at = Instant::now() + self.pause_after(renewed.is_ok());
                return renewed;
            }
            tokio::time::sleep_until(self.look_at).await;
            self.look();
        }
    }

    /// Starts a renewal if it is time. An ended certificate is not renewed here: the next connect does that first.
    fn look(&mut self) {
        let now = self.clock.now();
        let step = self
            .vault
            .current()
            .map(|credentials| credentials.plan(self.draw).step(now));
        let wait = match step {
            Some(CertificateStep::Renew) => {
                let (dialer, vault) = (Arc::clone(&self.dialer), Arc::clone(&self.vault));
                self.running = Some(Box::pin(async move { renew(&dialer, &vault).await }));
                return;
            }
            Some(CertificateStep::Keep { until }) => {
                Duration::from_millis(u64::try_from(until.ms_since(now)).unwrap_or(0))
            }
            Some(CertificateStep::ProveIdentity) | None => LOOK_INTERVAL,
        };
        let wait = wait.clamp(Duration::from_millis(10), LOOK_INTERVAL);
        self.look_at = Instant::now() + wait;
    }

    /// A twentieth of the life between attempts: half a life holds ten of them.
    fn pause_after(&self, succeeded: bool) -> Duration {
        if succeeded {
            return Duration::ZERO;
        }
        let life_ms = self.vault.current().map_or(0, |credentials| {
            credentials.not_after().ms_since(credentials.not_before())
        });
        let twentieth = Duration::from_millis(u64::try_from(life_ms / 20).unwrap_or(0));
        let pause = twentieth.clamp(RETRY_MIN, RETRY_MAX);
        let jitter_ms = u64::try_from(pause.as_millis()).unwrap_or(0) / 2;
        pause + Duration::from_millis(self.entropy.below(jitter_ms))
    }
}
