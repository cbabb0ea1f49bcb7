//! Questions to parts of the system that may never answer: each on a thread of its own that is given up after a while.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long one kind of question is waited for, and how many of them may be left behind unanswered. Each kind has its
/// own, so that one that hangs is cut off alone.
#[derive(Debug)]
pub(super) struct Patience {
    /// Whom is asked; names the thread.
    whom: &'static str,
    timeout: Duration,
    unanswered_max: usize,
    asked: AtomicUsize,
}

impl Patience {
    pub(super) const fn new(whom: &'static str, timeout: Duration, unanswered_max: usize) -> Self {
        Self {
            whom,
            timeout,
            unanswered_max,
            asked: AtomicUsize::new(0),
        }
    }

    /// Has `question` answered on a thread of its own.
    ///
    /// # Errors
    /// What it answers; that it does not in time; or that so many earlier ones are unanswered that nothing more is asked.
    pub(super) fn ask<T: Send + 'static>(
        &'static self,
        question: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let whom = self.whom;
        let unanswered = |text: String| io::Error::new(io::ErrorKind::TimedOut, text);
        if self.asked.load(Ordering::Acquire) >= self.unanswered_max {
            return Err(unanswered(format!(
                "{whom} has not answered earlier questions"
            )));
        }
        let (answer, answered) = mpsc::sync_channel(1);
        self.asked.fetch_add(1, Ordering::AcqRel);
        let started = thread::Builder::new().name(whom.to_owned()).spawn(move || {
            let found = question();
            self.asked.fetch_sub(1, Ordering::AcqRel);
            // Nobody may be waiting any more.
            answer.send(found).ok();
        });
        if let Err(error) = started {
            self.asked.fetch_sub(1, Ordering::AcqRel);
            return Err(error);
        }
        answered.recv_timeout(self.timeout).unwrap_or_else(|_| {
            Err(unanswered(format!(
                "{whom} did not answer within {} s",
                self.timeout.as_secs()
            )))
        })
    }
}
