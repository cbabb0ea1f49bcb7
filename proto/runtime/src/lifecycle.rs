//! Who owns the tasks of a process, and how it ends: stop accepting, cancel, drain, abort what is left.
//!
//! Nobody else spawns: every task has a name, a stop token and somebody who joins it.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Owner of a process's tasks; clones share them.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    stop: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
    crashed: Arc<AtomicBool>,
    drain_timeout: Duration,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked to, and every task ended in time.
    Clean,
    /// A critical task failed or panicked, or a task had to be aborted.
    Crashed,
}

impl Lifecycle {
    /// Tasks get `drain_timeout` to end after they are told to stop.
    #[must_use]
    pub fn new(drain_timeout: Duration) -> Self {
        Self {
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            tasks: TaskTracker::new(),
            crashed: Arc::default(),
            drain_timeout,
        }
    }

    /// Cancelled when the process is to stop.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells every task to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Runs a task that may end whenever it likes. It is aborted when it outlives the drain.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the owner that the ban points to"
    )]
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let abort = self.abort.clone();
        let crashed = Arc::clone(&self.crashed);
        // Without the box it would be there twice for as long as it runs: as it came, and as what is selected from.
        let mut task = Box::pin(task);
        let task = self.tasks.track_future(
            async move {
                tokio::select! {
                    () = &mut task => {}
                    () = abort.cancelled() => {
                        crashed.store(true, Ordering::Release);
                        tracing::error!(task = name, "task did not end within the drain timeout and was aborted");
                    }
                }
            }
            .instrument(tracing::info_span!("task", name)),
        );
        tokio::spawn(task)
    }

    /// Runs a task without which the process makes no sense: when it fails, panics, or ends before the stop, the
    /// process stops as crashed.
    pub fn spawn_critical<F, E>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send,
    {
        let guard = CrashGuard {
            name,
            stop: self.stop.clone(),
            crashed: Arc::clone(&self.crashed),
            armed: true,
        };
        self.spawn(name, async move {
            let mut guard = guard;
            match task.await {
                Ok(()) if guard.stop.is_cancelled() => guard.armed = false,
                Ok(()) => tracing::error!(task = name, "critical task ended by itself"),
                Err(error) => tracing::error!(task = name, %error, "critical task failed"),
            }
        })
    }

    /// Runs blocking code on a thread of its own pool; it must watch the stop token itself.
    pub fn spawn_blocking<F, R>(&self, work: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let token = self.tasks.token();
        tokio::task::spawn_blocking(move || {
            let _counted = token;
            work()
        })
    }

    /// Waits for `signal` or a crash, tells every task to stop, and drains. A second signal ends the drain at once.
    pub async fn run_until<S, N>(&self, signal: S, again: N) -> Outcome
    where
        S: Future<Output = ()>,
        N: Future<Output = ()>,
    {
        tokio::select! {
            () = signal => tracing::info!("asked to stop"),
            () = self.stop.cancelled() => {}
        }
        self.stop.cancel();
        self.drain(again).await;
        if self.crashed.load(Ordering::Acquire) {
            Outcome::Crashed
        } else {
            Outcome::Clean
        }
    }

    async fn drain(&self, again: impl Future<Output = ()>) {
        self.tasks.close();
        let drained = tokio::select! {
            () = self.tasks.wait() => true,
            () = tokio::time::sleep(self.drain_timeout) => false,
            () = again => false,
        };
        if !drained {
            self.abort.cancel();
            // Blocking work cannot be aborted: it gets a last moment, then the process ends without it.
            if tokio::time::timeout(ABORT_GRACE, self.tasks.wait())
                .await
                .is_err()
            {
                self.crashed.store(true, Ordering::Release);
            }
        }
    }
}

/// How long aborted tasks may take to unwind.
const ABORT_GRACE: Duration = Duration::from_secs(2);

/// Stops the process as crashed unless it is disarmed; a panic drops it armed.
#[derive(Debug)]
struct CrashGuard {
    name: &'static str,
    stop: CancellationToken,
    crashed: Arc<AtomicBool>,
    armed: bool,
}

impl Drop for CrashGuard {
    fn drop(&mut self) {
        if self.armed {
            self.crashed.store(true, Ordering::Release);
            tracing::error!(
                task = self.name,
                "stopping, because a critical task is gone"
            );
            self.stop.cancel();
        }
    }
}

/// Completes at the first request to stop: Ctrl-C, or SIGTERM where there is one.
pub async fn shutdown_signal() {
    let interrupt = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "Ctrl-C cannot be watched");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupt => {}
        () = terminate_signal() => {}
    }
}

#[cfg(unix)]
async fn terminate_signal() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be watched");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
async fn terminate_signal() {
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_critical_task_that_fails_stops_the_process_as_crashed() {
        let life = Lifecycle::new(Duration::from_secs(5));
        let stop = life.stop_token();
        life.spawn("waits for the stop", async move { stop.cancelled().await });
        life.spawn_critical("fails", async { Err::<(), _>("broken") });
        assert_eq!(life.run_until(pending(), pending()).await, Outcome::Crashed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_critical_task_that_panics_stops_the_process_as_crashed() {
        let life = Lifecycle::new(Duration::from_secs(5));
        life.spawn_critical("panics", async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "on purpose");
            Ok::<(), &str>(())
        });
        assert_eq!(life.run_until(pending(), pending()).await, Outcome::Crashed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_drains_cleanly() {
        let life = Lifecycle::new(Duration::from_secs(5));
        let stop = life.stop_token();
        life.spawn_critical("drains", async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok::<(), &str>(())
        });
        assert_eq!(life.run_until(ready(()), pending()).await, Outcome::Clean);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_the_stop_is_aborted_after_the_drain_timeout() {
        let life = Lifecycle::new(Duration::from_secs(5));
        life.spawn("stubborn", pending());
        let began = tokio::time::Instant::now();
        assert_eq!(life.run_until(ready(()), pending()).await, Outcome::Crashed);
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_does_not_wait_for_the_drain() {
        let life = Lifecycle::new(Duration::from_secs(3600));
        life.spawn("stubborn", pending());
        let began = tokio::time::Instant::now();
        let again = tokio::time::sleep(Duration::from_secs(1));
        assert_eq!(life.run_until(ready(()), again).await, Outcome::Crashed);
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }
}
