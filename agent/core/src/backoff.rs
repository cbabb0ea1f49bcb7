//! How long to wait before connecting again: exponential, with full jitter drawn after the cap, so that a fleet that was
//! cut off at once does not come back at once, however long the outage was (fleetdm/fleet #53357).

use std::time::Duration;

/// The times of a [`Backoff`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffConfig {
    /// The first failure's longest wait; each further failure doubles it.
    pub base: Duration,
    /// Longest wait.
    pub cap: Duration,
    /// A session that lasted this long proves the controller healthy: the count of failures starts anew.
    pub healthy_after: Duration,
    /// Longest wait after a healthy session was lost, and shortest longest wait after the failures that follow. The whole
    /// fleet may have lost its sessions in the same instant: 10,000 agents within it are what one controller can greet.
    pub loss_spread: Duration,
}

impl Default for BackoffConfig {
    /// 500 ms doubled up to 60 s, healthy after 60 s, a lost session spread over 30 s (333 handshakes a second for 10,000
    /// agents, a sixth of what a core does).
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(60),
            healthy_after: Duration::from_secs(60),
            loss_spread: Duration::from_secs(30),
        }
    }
}

/// Counts failures and turns them into waits.
#[derive(Clone, Debug)]
pub struct Backoff {
    config: BackoffConfig,
    failures: u32,
}

impl Backoff {
    /// Without failures.
    #[must_use]
    pub const fn new(config: BackoffConfig) -> Self {
        Self {
            config,
            failures: 0,
        }
    }

    /// The wait after one more failure; `draw` is 64 random bits. Never gives up.
    #[must_use]
    pub fn after_failure(&mut self, draw: u64) -> Duration {
        let longest = self.longest_wait_after(self.failures);
        self.failures = self.failures.saturating_add(1);
        uniform(draw, longest)
    }

    /// The wait after a session that lasted `lasted` was lost. Failures after that count from the wait that spreads a
    /// fleet: counted from `base`, the agents that come too early would all be back within a second.
    #[must_use]
    pub fn after_loss(&mut self, lasted: Duration, draw: u64) -> Duration {
        if lasted < self.config.healthy_after {
            return self.after_failure(draw);
        }
        let spread = self.config.loss_spread.min(self.config.cap);
        self.failures = (0..32)
            .find(|failures| self.longest_wait_after(*failures) >= spread)
            .unwrap_or(32);
        uniform(draw, self.config.loss_spread)
    }

    fn longest_wait_after(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.config.base.saturating_mul(factor).min(self.config.cap)
    }
}

/// A time in `[0, max]`, all alike, from 64 random bits.
#[must_use]
pub fn uniform(draw: u64, max: Duration) -> Duration {
    let max_ms = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
    let scaled = (u128::from(draw) * (u128::from(max_ms) + 1)) >> 64;
    Duration::from_millis(u64::try_from(scaled).unwrap_or(max_ms))
}

#[cfg(test)]
mod tests;
