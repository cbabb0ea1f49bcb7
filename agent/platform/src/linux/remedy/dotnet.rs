//! Limits of the .NET Framework, which Linux has not.

use crate::remedy_facts::{DotnetLimit, RemedyError};

/// The limits of this host.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn limits() -> Result<Vec<DotnetLimit>, RemedyError> {
    Err(RemedyError::Unsupported(
        "machine.config is a file of the .NET Framework, which Linux has not; .NET there has no such limit".to_owned(),
    ))
}

/// Sets a limit.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn set_limit(_limit: &DotnetLimit, _connections: u32) -> Result<(), RemedyError> {
    limits().map(drop)
}

/// Puts back a limit.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn restore_limit(_file: &str, _connections: Option<u32>) -> Result<(), RemedyError> {
    limits().map(drop)
}
