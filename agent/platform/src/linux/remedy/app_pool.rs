//! Application pools of IIS, which Linux has not.

use crate::remedy_facts::RemedyError;

/// How a pool stands.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn look(_name: &str) -> Result<String, RemedyError> {
    Err(RemedyError::Unsupported(
        "application pools are IIS's, which Linux has not".to_owned(),
    ))
}

/// Recycles a pool.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn recycle(name: &str) -> Result<(), RemedyError> {
    look(name).map(drop)
}
