//! The grammar of budgets and of `apply`.

use std::path::PathBuf;

use clap::Subcommand;

/// What to apply.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "A file holds budgets, as TOML (.toml) or YAML (.yaml, .yml, .json):\n\n\
                  [[budget]]\n\
                  name = \"billing\"\n\
                  hosts = [\"tier=web\"]\n\
                  process = \"billing*\"\n\
                  allow = { ports = 2000, close_wait = 100 }\n\
                  for = \"10m\"\n\
                  severity = \"warning\"\n"
)]
pub struct ApplyArgs {
    /// File with budgets; `-` reads YAML from standard input; repeat it for more: all files are applied together or not at
    /// all
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Change nothing: show what would change, and who is over it at this moment
    #[arg(long)]
    pub dry_run: bool,
}

/// Which budgets to list.
#[derive(Clone, Debug, clap::Args)]
pub struct BudgetsArgs {
    /// Only how this host stands, by name or id
    #[arg(long)]
    pub host: Option<String>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Budget {
    /// Delete budgets; their history stays
    Remove {
        /// Names, as listed
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}
