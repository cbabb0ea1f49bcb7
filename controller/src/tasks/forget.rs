//! Events of hosts go when they are old.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_store::StoreError;

use crate::app::App;
use crate::gateway::outcome::chain;

/// Events are kept this long.
pub const EVENTS_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// Between two looks.
const PERIOD: Duration = Duration::from_secs(3_600);
/// Deleted in one transaction, so that ingest does not wait long.
const DELETED_MAX: u32 = 1_000;

/// Runs until the stop.
pub async fn run(app: Arc<App>) {
    let stop = app.life.stop_token();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
        let forgotten = tokio::select! {
            () = stop.cancelled() => return,
            forgotten = forget(&app, app.clock.now()) => forgotten,
        };
        match forgotten {
            Ok(events) => tracing::debug!(events, "old events deleted"),
            Err(error) => tracing::error!(
                error = chain(&error),
                "old events cannot be deleted; it is tried again in an hour"
            ),
        }
    }
}

/// Deletes what is too old at `now`; answers how many.
///
/// # Errors
/// What the database says; what was deleted stays so.
pub async fn forget(app: &App, now: Timestamp) -> Result<u64, StoreError> {
    let cutoff = now.saturating_sub(EVENTS_KEPT);
    let mut events = 0;
    loop {
        let mut tx = app.store.begin().await?;
        let deleted = tx.events_delete_before(cutoff, DELETED_MAX).await?;
        tx.commit().await?;
        events += deleted;
        if deleted < u64::from(DELETED_MAX) {
            return Ok(events);
        }
    }
}
