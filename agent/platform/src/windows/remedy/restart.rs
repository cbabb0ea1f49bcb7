//! Restarts the host in an orderly way.

use std::time::Duration;

use crate::remedy_facts::RemedyError;

/// What restarts this host.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build restarts no Windows hosts.
pub fn look() -> Result<&'static str, RemedyError> {
    Err(RemedyError::Unsupported(
        "this build restarts no Windows hosts".to_owned(),
    ))
}

/// Asks the system to restart after `grace`, and tells those who are logged on why.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build restarts no Windows hosts.
pub fn begin(_grace: Duration, _reason: &str, _force: bool) -> Result<(), RemedyError> {
    look().map(drop)
}
