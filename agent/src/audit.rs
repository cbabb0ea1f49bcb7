//! Reads how this host is configured: at the start, then every so often, on a thread of its own, because WMI, `netsh` and
//! drivers may take long or hang.
//!
//! Each topic has its own thread and time and is given up alone. Knows nothing of the session: that reads an [`AuditFeed`].

mod holders;
mod programs;
mod reading;

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tidemark_model::HostAudit;
use tidemark_runtime::{Clock, Entropy};
use tokio::sync::watch;

use crate::owned_thread::{Joined, OwnedThread};
pub use holders::{Holders, Watched};
pub use programs::DIGEST_TIME;
pub use reading::{Reader, Topics};

/// How long a topic may take: `netsh` is asked several times for some, and given 10 s each time.
pub const TOPIC_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks for programs that were started again.
pub const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long a stop waits for the topic that is being read.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);
/// An audit comes up to this share of the interval early or late, so that a fleet's machines do not work in step.
const JITTER_PERCENT: u64 = 10;

/// The newest audit of this host.
#[derive(Clone, Debug)]
pub struct AuditFeed(watch::Receiver<Option<Arc<HostAudit>>>);

impl AuditFeed {
    /// The feed of a host that is not audited.
    #[must_use]
    pub fn none() -> Self {
        Self(watch::channel(None).1)
    }

    /// A feed, and where its audits are put.
    #[cfg(test)]
    pub(crate) fn channel() -> (watch::Sender<Option<Arc<HostAudit>>>, Self) {
        let (newest, feed) = watch::channel(None);
        (newest, Self(feed))
    }

    /// The newest audit; `None` before the first.
    pub fn newest(&mut self) -> Option<Arc<HostAudit>> {
        self.0.borrow_and_update().clone()
    }

    /// Completes when an audit says something else than the one before it. Cancelling it loses nothing.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// The running auditor.
#[derive(Debug)]
pub struct Auditor {
    thread: OwnedThread,
    orders: Arc<Orders>,
    feed: AuditFeed,
}

/// Its thread panicked: what the host's configuration is stays as it was last told.
#[derive(Debug, thiserror::Error)]
#[error("the auditor's thread panicked: this is a bug")]
pub struct AuditorPanicked;

/// Whether the thread is to end.
#[derive(Debug, Default)]
struct Orders {
    stop: Mutex<bool>,
    changed: Condvar,
}

impl Orders {
    /// Waits for `time`, or for the stop; says whether that came.
    fn stopped_within(&self, time: Duration) -> bool {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stop, time, |stop| !*stop);
        let (stop, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *stop
    }

    fn stop(&self) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

impl Auditor {
    /// Starts the thread; it reads at once, and then every `interval`. Programs that were started again meanwhile are read
    /// soon.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        mut reader: Reader,
        interval: Duration,
        clock: Clock,
        entropy: Entropy,
    ) -> io::Result<Self> {
        let (newest, feed) = watch::channel(None);
        let orders = Arc::new(Orders::default());
        let awaited = Arc::clone(&orders);
        let thread = OwnedThread::start("audit", move || {
            loop {
                tell(&newest, reader.audit(clock.now()));
                let mut left = jittered(interval, entropy.u64());
                while !left.is_zero() {
                    let step = left.min(reader.look_every());
                    if awaited.stopped_within(step) {
                        return;
                    }
                    left -= step;
                    let before = newest.borrow().clone();
                    let looked = before.and_then(|before| reader.look(&before, clock.now()));
                    if let Some(audit) = looked {
                        tell(&newest, audit);
                    }
                }
            }
        })?;
        Ok(Self {
            thread,
            orders,
            feed: AuditFeed(feed),
        })
    }

    /// What it reads.
    #[must_use]
    pub fn feed(&self) -> AuditFeed {
        self.feed.clone()
    }

    /// Completes when its thread has ended.
    pub async fn ended(&self) {
        self.thread.ended().await;
    }

    /// Ends it. A topic that hangs is left behind with its thread.
    ///
    /// # Errors
    /// When the thread had panicked.
    pub async fn stop(self) -> Result<(), AuditorPanicked> {
        self.orders.stop();
        match self.thread.join_within(STOP_TIMEOUT).await {
            Joined::Ended | Joined::LeftBehind => Ok(()),
            Joined::Panicked => Err(AuditorPanicked),
        }
    }
}

/// Only an audit that says something new wakes the session; the next greeting sends the newest figures all the same.
fn tell(newest: &watch::Sender<Option<Arc<HostAudit>>>, audit: HostAudit) {
    newest.send_if_modified(|last| {
        let is_news = last.as_ref().is_none_or(|last| !last.same_settings(&audit));
        *last = Some(Arc::new(audit));
        is_news
    });
}

fn jittered(interval: Duration, random: u64) -> Duration {
    let spread = 2 * JITTER_PERCENT + 1;
    let percent = 100 - JITTER_PERCENT + random % spread;
    interval * u32::try_from(percent).unwrap_or(100) / 100
}

#[cfg(test)]
mod tests;
