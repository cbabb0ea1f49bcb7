//! Linux has no Application log: what a service writes to standard error is kept by its supervisor.

use std::io;
use std::path::Path;

use crate::application_message::ApplicationMessage;

/// Tells the system where the texts of the messages are. There is nobody to tell.
///
/// # Errors
/// None here.
pub const fn register(_program: &Path) -> io::Result<()> {
    Ok(())
}

/// Takes it back.
///
/// # Errors
/// None here.
pub const fn unregister() -> io::Result<()> {
    Ok(())
}

/// Writes a message. There is no log here.
///
/// # Errors
/// None here.
pub const fn report(_message: ApplicationMessage, _text: &str, _facts: &str) -> io::Result<()> {
    Ok(())
}

/// What keeps an operator from reading the messages. Nothing does here.
#[must_use]
pub const fn gaps() -> Vec<String> {
    Vec::new()
}
