//! A thread of the agent's own beside the tasks: what it does may block, so that it is asked to end and waited for, but
//! not for ever. Knows nothing of what it does, nor how it is asked.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// A running thread.
#[derive(Debug)]
pub(crate) struct OwnedThread {
    thread: JoinHandle<()>,
    /// Cancelled when the thread ends, by a panic too.
    ended: CancellationToken,
}

/// How the wait for a thread came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It has ended.
    Ended,
    /// It had panicked.
    Panicked,
    /// It hangs, and is left behind: the process is about to end anyway.
    LeftBehind,
}

impl OwnedThread {
    /// Starts `work` on a thread of that name.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let ended = CancellationToken::new();
        let ending = ended.clone().drop_guard();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _ending = ending;
                work();
            })?;
        Ok(Self { thread, ended })
    }

    /// Completes when the thread has ended.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Waits for a thread that was asked to end, for as long as `patience` at most.
    pub(crate) async fn join_within(self, patience: Duration) -> Joined {
        if tokio::time::timeout(patience, self.ended()).await.is_err() {
            return Joined::LeftBehind;
        }
        match self.thread.join() {
            Ok(()) => Joined::Ended,
            Err(_) => Joined::Panicked,
        }
    }
}
