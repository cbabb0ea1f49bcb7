//! Settings that an installer or a policy left with the system: Linux has none beside the configuration file.

use std::io;

pub use crate::stored_setting::{SettingsPlace, StoredSetting, StoredValue};

/// How the installation can say where the controller is, to end a sentence of advice; empty where it cannot.
pub const CONTROLLER_HINT: &str = "";

/// What is stored, the weakest place first.
#[must_use]
pub const fn settings() -> Vec<SettingsPlace> {
    Vec::new()
}

/// Removes a setting from the place that the installer writes. Returns whether it was there.
///
/// # Errors
/// What the system says.
pub fn forget(_name: &str) -> io::Result<bool> {
    Ok(false)
}
