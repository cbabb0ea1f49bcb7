//! Settings that the MSI or a group policy left in the registry.

use std::io;

use super::registry;
pub use crate::stored_setting::{SettingsPlace, StoredSetting, StoredValue};

/// How the installation can say where the controller is, to end a sentence of advice; empty where it cannot.
pub const CONTROLLER_HINT: &str =
    r", or the value Controller of HKLM\SOFTWARE\Tidemark\Agent (CONTROLLER of the MSI)";

/// What the MSI writes (`deploy/windows/tidemark-agent.wxs`), under `HKEY_LOCAL_MACHINE`.
const INSTALLED: &str = r"SOFTWARE\Tidemark\Agent";
/// What group policy writes, under `HKEY_LOCAL_MACHINE`.
const POLICY: &str = r"SOFTWARE\Policies\Tidemark\Agent";

/// What is stored, the weakest place first.
#[must_use]
pub fn settings() -> Vec<SettingsPlace> {
    vec![
        SettingsPlace {
            name: r"HKLM\SOFTWARE\Tidemark\Agent",
            settings: registry::settings(INSTALLED),
        },
        SettingsPlace {
            name: r"HKLM\SOFTWARE\Policies\Tidemark\Agent",
            settings: registry::settings(POLICY),
        },
    ]
}

/// Removes a setting from the place that the installer writes. Returns whether it was there.
///
/// # Errors
/// What the system says.
pub fn forget(name: &str) -> io::Result<bool> {
    registry::remove_value(INSTALLED, name)
}
