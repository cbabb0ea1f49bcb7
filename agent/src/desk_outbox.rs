//! What a desk has to tell until a session takes it. It holds the newest of each thing, so that nothing piles up while none is
//! open. Knows neither desks nor sessions.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What waits to be told: a `T` that is empty by default.
#[derive(Debug, Default)]
pub(crate) struct DeskOutbox<T> {
    waiting: Mutex<T>,
    changed: Notify,
}

impl<T: Default> DeskOutbox<T> {
    /// Changes what is to be told.
    pub(crate) fn put(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    /// Takes it.
    pub(crate) fn take(&self) -> T {
        std::mem::take(&mut *self.lock())
    }

    /// Completes when something was put since the last time. Cancelling it loses nothing.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
