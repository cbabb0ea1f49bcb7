//! Where the agent's configuration and state are when nobody says otherwise (`hier(7)`).

use std::path::PathBuf;

/// The configuration file.
#[must_use]
pub fn config_file() -> PathBuf {
    PathBuf::from("/etc/tidemark/agent.toml")
}

/// The folder of identity, spool and status.
#[must_use]
pub fn data() -> PathBuf {
    PathBuf::from("/var/lib/tidemark")
}

/// A folder above both that is the agent's own. There is none.
#[must_use]
pub const fn product() -> Option<PathBuf> {
    None
}
