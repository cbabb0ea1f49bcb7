//! Restarts the host in an orderly way, through whoever started it.

use std::path::Path;
use std::time::Duration;

use super::program;
use crate::remedy_facts::RemedyError;

const PROGRAMS: [&str; 3] = ["/usr/sbin/shutdown", "/sbin/shutdown", "/usr/bin/shutdown"];
const PATIENCE: Duration = Duration::from_secs(30);

/// The program that restarts this host.
///
/// # Errors
/// [`RemedyError::Unsupported`] when it has none, as in a container.
pub fn look() -> Result<&'static str, RemedyError> {
    PROGRAMS
        .into_iter()
        .find(|path| Path::new(path).is_file())
        .ok_or_else(|| {
            RemedyError::Unsupported("the host has no `shutdown`; is it a container?".to_owned())
        })
}

/// Asks the system to restart after `grace`, and tells those who are logged on why. Linux restarts whoever is logged on.
///
/// # Errors
/// When it refuses.
pub fn begin(grace: Duration, reason: &str, _force: bool) -> Result<(), RemedyError> {
    // `shutdown` counts in minutes; a longer warning is better than none.
    let minutes = grace.as_secs().div_ceil(60);
    let when = format!("+{minutes}");
    program::run(Path::new(look()?), &["-r", &when, "--", reason], PATIENCE).map(drop)
}
