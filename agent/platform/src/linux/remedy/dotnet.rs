//! Limits of the .NET Framework, which Linux has not.

use crate::remedy_facts::RemedyError;

/// The limit of one framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The file in which it stands.
    pub file: String,
    /// Connections to every address; `None` when it is not set.
    pub before: Option<u32>,
}

/// The limits of this host.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn limits() -> Result<Vec<Limit>, RemedyError> {
    Err(RemedyError::Unsupported(
        "machine.config is a file of the .NET Framework, which Linux has not; .NET there has no such limit".to_owned(),
    ))
}

/// Sets a limit.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn set_limit(_limit: &Limit, _connections: u32) -> Result<(), RemedyError> {
    limits().map(drop)
}
