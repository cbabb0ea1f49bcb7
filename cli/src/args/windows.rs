//! The grammar of maintenance windows.

use clap::Subcommand;

#[derive(Clone, Debug, Subcommand)]
pub enum Window {
    /// Show when a window comes, in each of its time zones
    Next {
        /// Its name, as listed
        #[arg(value_name = "NAME")]
        name: String,
        /// Only in this host's time zone, by name or id
        #[arg(long)]
        host: Option<String>,
        /// How many times
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
        count: u32,
    },
    /// Delete windows; their history stays
    Remove {
        /// Names, as listed
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}
