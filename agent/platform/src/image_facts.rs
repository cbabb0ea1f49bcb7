//! What the file that a process runs states of itself, and why that file may not be had.

use std::io;

use tidemark_model::audit::FactState;

/// What an executable states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its version.
    pub version: FactState,
    /// Its build id, in hexadecimal; `None` on systems whose executables have none.
    pub build_id: Option<FactState>,
}

/// Why the executable of a process is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The process has ended, or runs something else by now.
    #[error("the process is gone")]
    Gone,
    /// Another file may have taken the place of the one that the process runs.
    #[error("its file was written after the process began, so it may be another")]
    Replaced,
    /// It cannot be read.
    #[error("its file cannot be read")]
    Unreadable(#[source] io::Error),
}

impl From<io::Error> for ImageError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}
