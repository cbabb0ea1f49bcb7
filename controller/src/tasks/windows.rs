//! Takes in windows that other controllers applied, and plans hosts anew as windows end and hosts change.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::gateway::outcome::chain;
use crate::maintain;

/// Between two looks at hosts.
const PERIOD: Duration = Duration::from_secs(1);
/// Looks at hosts to one at the store.
const LOOKS: u32 = 5;

/// Runs until the stop.
pub async fn run(app: Arc<App>) {
    let stop = app.life.stop_token();
    let mut look = 0_u32;
    loop {
        look = look.wrapping_add(1);
        if look.is_multiple_of(LOOKS) {
            if let Err(error) = maintain::refresh(&app).await {
                tracing::warn!(
                    error = chain(&error),
                    "windows cannot be read; those that are known go on"
                );
            }
        } else {
            maintain::plan(&app, app.clock.now());
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}
