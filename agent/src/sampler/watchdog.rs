//! Looks from outside whether a collection hangs. The thread cannot be ended, but the session goes on without it and the
//! controller learns of it.

use std::time::Duration;

use tidemark_runtime::Clock;
use tokio_util::sync::CancellationToken;

use super::SamplerControl;
use super::report::{Report, append};
use crate::outbox::OutboxHandle;

/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// A collection that lasts longer than this, and longer than three intervals, hangs.
const HANG_MIN: Duration = Duration::from_secs(30);

/// Watches a sampler until `stop`.
pub async fn watch(
    control: SamplerControl,
    outbox: OutboxHandle,
    clock: Clock,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
        let status = control.status();
        let Some(began) = status.collecting_since else {
            continue;
        };
        let since = began.elapsed();
        if since > HANG_MIN.max(status.interval * 3) && !status.hangs_reported {
            control.note(|status| status.hangs_reported = true);
            append(&outbox, clock.now(), &Report::Hanging { since });
        }
    }
}
