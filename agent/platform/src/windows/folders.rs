//! Where the agent's configuration and state are when nobody says otherwise: under `%ProgramData%`.

use std::env;
use std::path::PathBuf;

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
    let program_data = env::var_os("ProgramData");
    program_data
        .map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from)
        .join("Tidemark")
}
