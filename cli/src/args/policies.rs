//! The grammar of standing policies.

use clap::Subcommand;

#[derive(Clone, Debug, Subcommand)]
pub enum Policy {
    /// Show what a policy would have done over history; nothing is done
    DryRun {
        /// Its name, as listed
        #[arg(value_name = "NAME")]
        name: String,
        /// How many days back
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=90))]
        days: u64,
    },
    /// Delete policies; their history stays, and what they asked for is taken back
    Remove {
        /// Names, as listed
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}
