//! The grammar of budgets.

use clap::Subcommand;

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
