//! Where the agent's configuration and state are when nobody says otherwise: under `%ProgramData%`.

use std::env;
use std::path::PathBuf;

/// The configuration file.
#[must_use]
pub fn config_file() -> PathBuf {
    product().join("config").join("agent.toml")
}

/// The folder of identity, spool and status.
#[must_use]
pub fn data() -> PathBuf {
    product().join("state")
}

fn product() -> PathBuf {
    let shared = env::var_os("ProgramData");
    shared
        .map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from)
        .join("Tidemark")
}
