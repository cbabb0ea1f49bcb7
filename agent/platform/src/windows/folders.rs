//! Where the agent's configuration and state are when nobody says otherwise: under `%ProgramData%`.

use std::path::PathBuf;

use super::registry;

/// Where Windows itself looks up its folders.
const PROFILES: &str = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList";

/// The configuration file.
#[must_use]
pub fn config_file() -> PathBuf {
    shared().join("config").join("agent.toml")
}

/// The folder of identity, spool and status.
#[must_use]
pub fn data() -> PathBuf {
    shared().join("state")
}

/// The folder above both, which is the agent's own as well: whoever owns it could put others in their place.
#[must_use]
pub fn product() -> Option<PathBuf> {
    Some(shared())
}

fn shared() -> PathBuf {
    // The environment may say otherwise to a service than to who installs it.
    registry::text(PROFILES, "ProgramData")
        .map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from)
        .join("Tidemark")
}
