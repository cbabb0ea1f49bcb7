//! The grammar of what is applied from files.

use std::path::PathBuf;

/// What to apply.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "A file holds budgets, policies or maintenance windows, as TOML (.toml) or YAML (.yaml, .yml, .json):\n\n\
                  [[budget]]\n\
                  name = \"billing\"\n\
                  hosts = [\"tier=web\"]\n\
                  process = \"billing*\"\n\
                  allow = { ports = 2000, close_wait = 100 }\n\
                  for = \"10m\"\n\
                  severity = \"warning\"\n\n\
                  [[policy]]\n\
                  name = \"full\"\n\
                  hosts = [\"tier=web\"]\n\
                  condition = { level = 90 }\n\
                  for = \"5m\"\n\
                  order = \"by_recovery\"\n\
                  [[policy.ladder]]\n\
                  action = \"restart_service\"\n\
                  with = [\"service=appsvc\"]\n\n\
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
    /// Change nothing: show what would change, and what it would mean at this moment
    #[arg(long)]
    pub dry_run: bool,
}
