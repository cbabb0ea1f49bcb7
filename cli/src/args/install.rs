//! The grammar of `install`.

use clap::ValueEnum;
use tidemark_model::install::System;

use super::TokenCreateArgs;

/// For which hosts lines are wanted.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example: tidemark install --os linux --label site=vie\n\
                        Example: tidemark install --os windows --uses 40 --ttl 7d\n\
                        Each run makes a new join token, which is in the lines: keep them as you keep a password.")]
pub struct InstallArgs {
    /// Which system the hosts run; without it, all
    #[arg(long, value_enum, value_name = "SYSTEM")]
    pub os: Option<Os>,
    #[command(flatten)]
    pub token: TokenCreateArgs,
}

/// A system that hosts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Os {
    /// Linux with systemd
    Linux,
    /// Windows Server
    Windows,
}

impl From<Os> for System {
    fn from(os: Os) -> Self {
        match os {
            Os::Linux => Self::Linux,
            Os::Windows => Self::Windows,
        }
    }
}
