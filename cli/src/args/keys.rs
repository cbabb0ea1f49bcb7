//! The grammar of operators' keys.

use std::path::PathBuf;

use clap::Subcommand;

/// What to do with signing keys of this machine.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key; its secret never leaves this machine
    New {
        /// Name, as in ann
        name: String,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// List the keys of this machine
    List,
    /// Show a key's public half, as a host's policy lists it
    Show {
        /// Name, as listed
        name: String,
    },
}

/// Where the passphrase comes from.
#[derive(Clone, Debug, clap::Args)]
pub struct PassphraseArgs {
    /// Read the passphrase from this file instead of asking
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}
