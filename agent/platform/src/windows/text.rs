//! Text for Windows and back: UTF-16, ended by a zero.

use std::ffi::OsStr;
use std::os::windows::ffi::OsStrExt as _;

/// `text` as Windows takes it.
pub(super) fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

/// The text up to the first zero, or all of it.
pub(super) fn from_wide(units: &[u16]) -> String {
    let end = units.iter().position(|unit| *unit == 0);
    String::from_utf16_lossy(units.get(..end.unwrap_or(units.len())).unwrap_or_default())
}
