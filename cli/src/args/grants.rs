//! The grammar of remediation grants.

use std::time::Duration;

use clap::{Args, Subcommand};
use tidemark_model::duration::parse_duration;

use super::PassphraseArgs;

/// What to do about grants.
#[derive(Debug, Subcommand)]
pub enum Grant {
    /// Make a grant for a rung of a standing policy, sign it with a key of this machine, and bring it
    New(Box<NewGrantArgs>),
    /// Withdraw grants: their hosts drop them
    #[command(
        after_help = "With --key the end is signed: hosts take the grant no more, whoever brings it again."
    )]
    Withdraw {
        /// Ids, as listed
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Sign the end with this key, as `tidemark key list` names it
        #[arg(long)]
        key: Option<String>,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
}

/// What a new grant says.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples: tidemark grant new full --host web-1 --reason \"appsvc leaks\" --key ann\n\
                  \x20         tidemark grant new full --rung 2 --name 'web-*' --subject 'leaky*' --culprit 50 --reason leaks --key ann\n\
                  A host takes an order without a signature while a grant covers it and the host itself sees the trigger."
)]
pub struct NewGrantArgs {
    /// The standing policy
    #[arg(value_name = "POLICY")]
    pub policy: String,
    /// Which rung of it, the first being 1
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub rung: u8,
    /// A host by name or id; it is named by its id
    #[arg(long = "host", value_name = "HOST", required_unless_present = "names")]
    pub hosts: Vec<String>,
    /// Hosts by what their system calls them, `*` for any text
    #[arg(long = "name", value_name = "PATTERN")]
    pub names: Vec<String>,
    /// Executions on each host within an hour, 1 to 6
    #[arg(long, default_value_t = 1)]
    pub per_hour: u32,
    /// Executions on each host within 24 h, 1 to 24
    #[arg(long, default_value_t = 3)]
    pub per_day: u32,
    /// How long it is valid, 30d at most
    #[arg(long, default_value = "30d", value_parser = parse_duration, value_name = "DURATION")]
    pub valid: Duration,
    /// Where the rung is about a culprit: services or images that it may be, `*` for any text
    #[arg(long, value_name = "PATTERN")]
    pub subject: Option<String>,
    /// What share of the ports in use whoever it is done to must hold, in percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub culprit: Option<u8>,
    /// In place of the policy's condition: what share of TCP ports must be in use, in percent, for as long as the policy says
    #[arg(long, value_name = "PERCENT", conflicts_with = "event", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub level: Option<u8>,
    /// In place of the policy's condition: an event that the host's log must tell, as in Tcpip/4231
    #[arg(long, value_name = "SOURCE/ID")]
    pub event: Option<String>,
    /// With --event: how long it counts
    #[arg(long, default_value = "10m", value_parser = parse_duration, value_name = "DURATION")]
    pub within: Duration,
    /// Why; it is signed and kept
    #[arg(long)]
    pub reason: String,
    /// Which key, as `tidemark key list` names it
    #[arg(long)]
    pub key: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}
