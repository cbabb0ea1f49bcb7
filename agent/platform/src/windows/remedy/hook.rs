//! Hooks: programs in a folder that only administrators write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::remedy_facts::RemedyError;

/// The hook of that name.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build runs no hooks on Windows.
pub fn find(_folder: &Path, _name: &str) -> Result<PathBuf, RemedyError> {
    Err(RemedyError::Unsupported(
        "this build runs no hooks on Windows".to_owned(),
    ))
}

/// Runs it.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build runs no hooks on Windows.
pub fn run(
    _script: &Path,
    _variables: &[(String, &str)],
    _patience: Duration,
) -> Result<String, RemedyError> {
    Err(RemedyError::Unsupported(
        "this build runs no hooks on Windows".to_owned(),
    ))
}
