//! Ends one process: the one that was meant, or none.

use tidemark_model::Timestamp;

use crate::remedy_facts::{RemedyError, Teller};

/// A process that is the one that was meant, for as long as this is held.
#[derive(Debug)]
pub struct Target;

/// The process of that number, start and image.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build ends no Windows processes.
pub fn find(
    _pid: u32,
    _started_at: Timestamp,
    _image: &str,
    _booted_at: Timestamp,
) -> Result<Target, RemedyError> {
    Err(RemedyError::Unsupported(
        "this build ends no Windows processes".to_owned(),
    ))
}

impl Target {
    /// Ends it.
    ///
    /// # Errors
    /// [`RemedyError::Unsupported`]: this build ends no Windows processes.
    pub fn end(self, _tell: Teller<'_>) -> Result<(), RemedyError> {
        Err(RemedyError::Unsupported(
            "this build ends no Windows processes".to_owned(),
        ))
    }
}
