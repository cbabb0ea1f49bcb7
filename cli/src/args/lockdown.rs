//! The grammar of the switch that stops every action.

use clap::Subcommand;

use super::PassphraseArgs;

/// What to do about the switch that stops every action.
#[derive(Debug, Subcommand)]
pub enum Lockdown {
    /// Stop every action on every host, at once and through restarts
    #[command(
        after_help = "What an agent is doing at that moment it ends at the next safe point, and tells.\n\
                            One host alone is stopped on it, with `tidemark-agent lockdown on`."
    )]
    On {
        /// Why; it is kept and shown
        #[arg(long)]
        reason: String,
    },
    /// Let actions go on; hosts whose policy lists keys wait for `lockdown end` all the same
    Off {
        /// Why; it is kept and shown
        #[arg(long)]
        reason: String,
    },
    /// Show whether actions are stopped, by whom and why
    Status,
    /// Sign the end of hosts' lockdown with a key of this machine
    #[command(after_help = "Example: tidemark lockdown end web-1 web-2 --key ann\n\
                            A lockdown that was imposed on the host itself ends only there.")]
    End {
        /// Names or ids
        #[arg(required = true, value_name = "HOST")]
        hosts: Vec<String>,
        /// Which key, as `tidemark key list` names it
        #[arg(long)]
        key: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
}
