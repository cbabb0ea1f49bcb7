//! Confirmations: what reverts by itself may stay once the controller has heard from the host after the change.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_model::ActionId;
use tokio::time::Instant;

/// Most confirmations that are kept: one action runs at a time, so that more are noise.
const KEPT_MAX: usize = 64;

/// How a wait for a confirmation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// It came.
    Confirmed,
    /// Its time was over.
    Late,
    /// The agent stops.
    Stopped,
}

/// Confirmations that came, for whoever waits for one.
#[derive(Debug, Default)]
pub(super) struct Confirmations {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    came: BTreeSet<ActionId>,
    stopped: bool,
}

impl Confirmations {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn confirm(&self, id: ActionId) {
        let mut state = self.lock();
        if state.came.len() < KEPT_MAX {
            state.came.insert(id);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Ends every wait.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Waits for the confirmation of one action; earlier ones do not count once they are waited for.
    pub(super) fn wait(&self, id: ActionId, patience: Duration) -> Waited {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if state.came.remove(&id) {
                state.came.clear();
                return Waited::Confirmed;
            }
            if state.stopped {
                return Waited::Stopped;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Waited::Late;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}
