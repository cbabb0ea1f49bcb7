//! Small files of `/proc` and `/sys`, read whole.

use std::fs;
use std::path::Path;

use crate::ReadError;

/// The text of a small file.
pub(super) fn text(path: &str) -> Result<String, ReadError> {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|source| ReadError::Io {
            path: path.into(),
            source,
        })
}

/// An error that names what `path` should have held.
pub(super) fn unexpected(path: impl AsRef<Path>, expected: &'static str) -> ReadError {
    ReadError::Content {
        path: path.as_ref().into(),
        expected,
    }
}
