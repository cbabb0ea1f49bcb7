//! The agent's configuration: one TOML file, the installation's settings, `TIDEMARK_*` and flags, merged, checked, every
//! problem reported at once.
//!
//! Limits and defaults stand here and in `deploy/linux/agent.toml`; what a setting does is its user's business.

pub mod flags;
mod installed;
mod raw;

pub use flags::ConfigFlags;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidemark_model::JoinToken;
use tidemark_model::action::Profile;
use tidemark_platform::folders;
use tidemark_platform::installation::{self, CONTROLLER_HINT, SettingsPlace};
use tidemark_runtime::config::{self, ConfigError, Sources};
use tidemark_runtime::telemetry::TelemetrySettings;

use crate::collect::CollectSettings;
use crate::link::ControllerAddress;
use installed::StrongerToken;
use raw::Raw;

/// Every key of the file, dotted; `.*` stands for free names.
pub const KEYS: &[&str] = &[
    "controller",
    "token",
    "token_file",
    "data_dir",
    "profile",
    "policy_file",
    "interval",
    "light_interval",
    "namespaces",
    "dynamic_range",
    "labels",
    "labels.*",
    "watch_groups",
    "top_owners",
    "top_destinations",
    "probes",
    "probe_interval",
    "drain_timeout",
    "audit.interval",
    "upgrades.grace",
    "spool.bytes_max",
    "spool.age_max",
    "spool.disk_percent_max",
    "log",
    "log_format",
];

/// The agent's settings, every one within its limits.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Where the controller is; `None` when no command that needs it can run.
    pub controller: Option<ControllerAddress>,
    /// Where the join token comes from.
    pub token: Option<TokenSource>,
    /// Folder of identity, spool and status.
    pub data_dir: PathBuf,
    /// What the controller may have done to this host, where its policy file does not say.
    pub profile: Profile,
    /// The host's policy; it need not be there. Hooks are in the folder `hooks` beside it.
    pub policy_file: PathBuf,
    /// What is collected and how often.
    pub collect: CollectSettings,
    /// Time between light counts, 1 to 5 s; `None` leaves it to the collector.
    pub light_interval: Option<Duration>,
    /// Time between two readings of the host's configuration, 1 s to 24 h; `None` when it is not read.
    pub audit_interval: Option<Duration>,
    /// How long a new version of the agent may take to be healthy, 1 s to 1 h.
    pub upgrade_grace: Duration,
    /// Labels of this host.
    pub labels: BTreeMap<String, String>,
    /// Limits of the disk spool.
    pub spool: SpoolSettings,
    /// How long a stop may take, 1 to 60 s.
    pub drain_timeout: Duration,
    /// How to log.
    pub telemetry: TelemetrySettings,
}

/// Where the join token comes from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// Written in the configuration.
    Given(Box<JoinToken>),
    /// In a file of its own, which is read when it is needed.
    File(PathBuf),
}

/// How much the disk spool may hold; the oldest samples go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Most bytes on disk, 1 MiB to 64 GiB.
    pub bytes_max: u64,
    /// Oldest sample that is kept, 1 h to 90 d.
    pub age_max: Duration,
    /// Most percent of the file system, 1 to 50.
    pub disk_percent_max: u8,
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self {
            bytes_max: 256 * 1024 * 1024,
            age_max: Duration::from_secs(7 * 86_400),
            disk_percent_max: 5,
        }
    }
}

/// Why the join token cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("the join token file {} cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text is no token.
    #[error(transparent)]
    Invalid(#[from] tidemark_model::token::InvalidJoinToken),
}

impl TokenSource {
    /// The token.
    ///
    /// # Errors
    /// [`TokenError`] when the file cannot be read or holds no token.
    pub fn read(&self) -> Result<JoinToken, TokenError> {
        match self {
            Self::Given(token) => Ok((**token).clone()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| TokenError::Read {
                    path: path.clone(),
                    source,
                })?;
                Ok(text.parse()?)
            }
        }
    }
}

impl AgentConfig {
    /// Loads and checks the configuration. Without `file` the one at [`folders::config_file`] is read if it is there.
    ///
    /// # Errors
    /// [`ConfigError`], with every problem that the failing stage found.
    pub fn load(file: Option<&Path>, flags: &ConfigFlags) -> Result<Self, ConfigError> {
        let default_file = folders::config_file();
        let file = file.or_else(|| default_file.is_file().then_some(default_file.as_path()));
        let environment = config::process_environment();
        Self::merge(file, &installation::settings(), environment, flags)
    }

    /// Removes the join token that the installation left with the system, once the host is enrolled.
    pub fn forget_installed_token() {
        installed::forget_token();
    }

    fn merge(
        file: Option<&Path>,
        places: &[SettingsPlace],
        environment: Vec<(String, String)>,
        flags: &ConfigFlags,
    ) -> Result<Self, ConfigError> {
        let flags = flags.to_table();
        let stronger_token = StrongerToken::of(&environment, &flags);
        let mut variables = installed::as_environment(places, KEYS, stronger_token)?;
        variables.extend(environment);
        let sources = Sources {
            file,
            environment: variables,
            flags,
        };
        let raw: Raw = config::load(&sources, KEYS)?;
        raw.check()
    }

    /// The controller's address, for the commands that cannot do without.
    ///
    /// # Errors
    /// [`ConfigError::Rules`], saying how to set it.
    pub fn require_controller(&self) -> Result<&ControllerAddress, ConfigError> {
        self.controller.as_ref().ok_or_else(|| {
            ConfigError::Rules(vec![format!(
                "controller is missing: set `controller = \"host:7443\"` in the file, TIDEMARK_CONTROLLER or \
                 --controller{CONTROLLER_HINT}"
            )])
        })
    }

    /// Folder of the identity.
    #[must_use]
    pub fn identity_dir(&self) -> PathBuf {
        self.data_dir.join("identity")
    }

    /// Folder of the scripts that `run_hook` may run.
    #[must_use]
    pub fn hooks_dir(&self) -> PathBuf {
        self.policy_file.with_file_name("hooks")
    }

    /// Folder of the spool.
    #[must_use]
    pub fn spool_dir(&self) -> PathBuf {
        self.data_dir.join("spool")
    }
}

#[cfg(test)]
mod tests;
