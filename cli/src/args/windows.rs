//! The grammar of maintenance windows and of `apply`.

use std::path::PathBuf;

use clap::Subcommand;

/// What to apply.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "A file holds windows, as TOML (.toml) or YAML (.yaml, .yml, .json):\n\n\
                  [[window]]\n\
                  name = \"saturday-night\"\n\
                  recurrence = \"FREQ=WEEKLY;BYDAY=SA\"\n\
                  start = \"2026-12-05T02:00\"\n\
                  duration = \"4h\"\n\
                  time_zone = \"host-local\"\n\
                  exclude = [\"2026-12-24/2027-01-06\"]\n\
                  hosts = [\"tier=web\"]\n\
                  silences_incidents = true\n"
)]
pub struct ApplyArgs {
    /// File to apply; `-` reads YAML from standard input; repeat it for more: all files are applied together or not at all
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Change nothing: show what would change, for how many hosts, and when the windows would come
    #[arg(long)]
    pub dry_run: bool,
}

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
