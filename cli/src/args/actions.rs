//! The grammar of actions.

use clap::Subcommand;
use tidemark_model::ActionKind;

use super::PassphraseArgs;

/// What to do about actions.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Ask for an action on a host; others approve it, and the host's own policy decides
    #[command(after_help = propose_help())]
    Propose(ProposeArgs),
    /// Approve what somebody else asked for
    Approve(WordArgs),
    /// Say no, and why
    Reject(WordArgs),
    /// Take back what its host has not begun
    Cancel(WordArgs),
    /// Sign an order with a key of this machine; what is signed is shown first
    Sign {
        /// Id, as listed
        id: String,
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

fn propose_help() -> String {
    let examples = ActionKind::ALL.iter().map(|kind| kind.example());
    let examples: Vec<_> = examples.collect();
    format!(
        "Example: tidemark action propose web-1 restart_service service=appsvc --reason 'leaks ports' --dry-run\n\n\
         Actions, with what they need:\n  {}\n\n\
         On the host, `tidemark-agent policy check` says whether it would be taken.",
        examples.join("\n  ")
    )
}

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct ProposeArgs {
    /// Name or id of the host
    pub host: String,
    /// Kind of action, as in restart_service
    pub action: String,
    /// Its parameters, as in service=appsvc
    #[arg(value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Why; it is signed and kept
    #[arg(long)]
    pub reason: String,
    /// Number of the incident that it is for
    #[arg(long)]
    pub incident: Option<i64>,
    /// The host only says what it would do
    #[arg(long)]
    pub dry_run: bool,
    /// The host keeps what it changed even when headroom got worse
    #[arg(long)]
    pub keep_if_worse: bool,
}

/// About which action, in which words.
#[derive(Clone, Debug, clap::Args)]
pub struct WordArgs {
    /// Id, as listed
    pub id: String,
    /// In a sentence
    #[arg(long, default_value = "")]
    pub text: String,
}

/// Which actions to list.
#[derive(Clone, Debug, clap::Args)]
pub struct ActionsArgs {
    /// Only of this host, by name or id
    #[arg(long)]
    pub host: Option<String>,
    /// Only in this state; `active` is what has not ended
    #[arg(long)]
    pub state: Option<String>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}
