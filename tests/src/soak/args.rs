//! The command line of `soak`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tidemark_model::duration::parse_duration;

use crate::fleetsim::args::Output;
use crate::herd::field::Layout;

/// Has real agents do one action after the other while they and their controllers are killed, and reconciles at the end
///
/// As root, on Linux: it makes network namespaces. Ctrl-C ends the kills early; what was asked for by then is reconciled. The
/// exit code is 0 when what was asked for, what was done, the journals of the hosts, the records and the audit log agree, and 1
/// when not.
#[derive(Clone, Debug, Parser)]
#[command(name = "soak", version)]
pub struct Arguments {
    /// How many hosts, each with a real agent
    #[arg(long, default_value = "4", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub agents: u32,
    /// Controllers: 1 on SQLite, or 2 to 3 on one Postgres, whose addresses the agents get under one name
    #[arg(long, default_value = "1", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub controllers: u8,
    /// How long there are kills
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_duration)]
    pub lasts: Duration,
    /// How long an agent lives until it is killed, on average
    #[arg(long, default_value = "15s", value_name = "DURATION", value_parser = parse_duration)]
    pub agent_every: Duration,
    /// How long a controller lives until it is killed, on average
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = parse_duration)]
    pub controller_every: Duration,
    /// Longest time that whoever was killed stays away
    #[arg(long, default_value = "3s", value_name = "DURATION", value_parser = parse_duration)]
    pub down: Duration,
    /// How long an action may take to its end once there are no more kills; what a host never tells times out after 10 min
    #[arg(long, default_value = "12m", value_name = "DURATION", value_parser = parse_duration)]
    pub patience: Duration,
    /// Another number gives other moments
    #[arg(long, default_value = "1", value_name = "N")]
    pub seed: u64,
    /// Keeps what each life of a controller said in this folder
    #[arg(long, value_name = "FOLDER")]
    pub logs: Option<PathBuf>,
    /// How the report is written
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub output: Output,
}

impl Arguments {
    pub(super) fn layout(&self, settings: String) -> Layout {
        Layout {
            controllers: self.controllers,
            logs: self.logs.clone(),
            args: vec!["--config".to_owned(), settings],
        }
    }
}
