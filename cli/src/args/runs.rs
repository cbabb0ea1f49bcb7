//! The grammar of maintenance runs.

use std::path::PathBuf;

use clap::Subcommand;

use super::PassphraseArgs;

/// What to do about runs.
#[derive(Debug, Subcommand)]
pub enum Run {
    /// Plan a run from a file; nothing is done before others approved that plan
    #[command(
        after_help = "A file holds one run, as TOML (.toml) or YAML (.yaml, .yml, .json):\n\n\
                      name = \"weekly-reboot\"\n\
                      reason = \"patches of December\"\n\
                      hosts = [\"tier=web\"]\n\
                      actions = [{ action = \"reboot\", grace_s = 60, reason = \"patches\", force = true }]\n\
                      window = \"saturday-night\"\n\
                      waves = [\"1\", \"10%\", \"rest\"]\n\
                      concurrency = 5\n\
                      spread = \"cluster\"\n\
                      needs_effect = false\n\
                      max_failed = 3\n"
    )]
    Plan(PlanArgs),
    /// Approve the plan of a run; it is shown first
    Approve {
        #[command(flatten)]
        word: RunWordArgs,
        /// Approve the plan of this hash without being asked
        #[arg(long, value_name = "HASH")]
        plan: Option<String>,
    },
    /// Sign the orders that were made with the plan of a run, for hosts that want signatures; they are shown first
    ///
    /// What is shown is read from the bytes that are signed. Hosts whose turn comes later need nobody at night then. A plan
    /// that is made again drops signatures.
    Sign {
        /// Number, as listed
        #[arg(value_name = "RUN")]
        number: i64,
        /// Name of the key, as `tidemark key list` shows it
        #[arg(long, value_name = "NAME")]
        key: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Say no to a planned run, and why
    Reject(RunWordArgs),
    /// Begin nothing new; what runs finishes
    Stop(RunWordArgs),
}

/// What to plan.
#[derive(Clone, Debug, clap::Args)]
pub struct PlanArgs {
    /// File with the run; `-` reads YAML from standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Store nothing: show how it would go
    #[arg(long)]
    pub dry_run: bool,
}

/// About which run, in which words.
#[derive(Clone, Debug, clap::Args)]
pub struct RunWordArgs {
    /// Number, as listed
    #[arg(value_name = "RUN")]
    pub number: i64,
    /// In a sentence
    #[arg(long, default_value = "")]
    pub text: String,
}

/// Which runs to list.
#[derive(Clone, Debug, clap::Args)]
pub struct RunsArgs {
    /// Only in this state; `active` is what has not ended
    #[arg(long)]
    pub state: Option<String>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}
