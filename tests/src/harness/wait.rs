//! Waiting for what must happen, with a deadline. A test never sleeps for a time that it guessed.

use std::time::Duration;

use tokio::time::Instant;

/// For what happens within a sample or two of one second, on a machine that is busy with something else.
pub const SOON: Duration = Duration::from_secs(20);

/// For programs that start, enrol and deliver a first sample.
pub const STARTING: Duration = Duration::from_secs(60);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks until there is something to return. An error of `look` ends the wait at once.
///
/// # Errors
/// What `look` says, or that `what` did not happen within `patience`.
pub async fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "waited {} s in vain: {what}",
            patience.as_secs()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
