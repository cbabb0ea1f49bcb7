//! The command line of `herd`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tidemark_model::duration::parse_duration;

use super::blow::Blow;
use super::field::Layout;
use crate::fleetsim::args::Output;
use crate::fleetsim::scenario::Scenario;

/// Holds a large fleet at one controller on SQLite, or several on one Postgres, and ends its sessions again and again
///
/// As root, on Linux: it makes network namespaces. Agents, controllers and database share this machine: look at CPU
/// seconds and ratios. The exit code is 0 when every record is accounted for and every session came back, 1 when not.
#[derive(Clone, Debug, Parser)]
#[command(name = "herd", version)]
pub struct Arguments {
    /// How many hosts
    #[arg(long, default_value = "200", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub agents: u32,
    /// Time between two samples of a host
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = parse_duration)]
    pub interval: Duration,
    /// How long the fleet is measured before the first restart
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_duration)]
    pub steady: Duration,
    /// How often its sessions end
    #[arg(long, default_value = "3", value_name = "N")]
    pub restarts: u32,
    /// How they end, in rotation
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "kill,drain,cut",
        value_name = "KINDS"
    )]
    pub kinds: Vec<Blow>,
    /// Controllers: 1 on SQLite, or 2 to 3 on one Postgres, whose addresses the agents get under one name
    #[arg(long, default_value = "1", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub controllers: u8,
    /// How long a killed controller stays away
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = parse_duration)]
    pub down: Duration,
    /// How long the network is cut; agents notice after 30 s
    #[arg(long, default_value = "45s", value_name = "DURATION", value_parser = parse_duration)]
    pub cut: Duration,
    /// How long the fleet is watched once it is back; a session counts as healthy after 60 s
    #[arg(long, default_value = "75s", value_name = "DURATION", value_parser = parse_duration)]
    pub watch: Duration,
    /// How long the fleet may take to come back before it counts as lost
    #[arg(long, default_value = "300s", value_name = "DURATION", value_parser = parse_duration)]
    pub patience: Duration,
    /// Longest wait of an agent between two attempts to connect
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_duration)]
    pub reconnect_max: Duration,
    /// Enrolments a second; a controller takes 150 of one address
    #[arg(long, default_value = "100", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub enrol_rate: u32,
    /// Questions a second to the API: the fleet's list, a host's history, who runs out first, status, metrics
    #[arg(long, default_value = "5", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub questions: u32,
    /// What the hosts are like: idle, leak, churn, mixed, or a TOML file
    #[arg(long, default_value = "mixed", value_name = "SCENARIO", value_parser = scenario)]
    pub scenario: Scenario,
    /// The same seed gives the same servers
    #[arg(long, default_value = "1", value_name = "S")]
    pub seed: u64,
    /// Keep what the controllers complained of in this folder, a file for each life
    #[arg(long, value_name = "DIR")]
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
    /// What stands on its field.
    #[must_use]
    pub fn layout(&self) -> Layout {
        Layout {
            controllers: self.controllers,
            logs: self.logs.clone(),
            args: Vec::new(),
        }
    }

    /// How many hosts, as a count.
    #[must_use]
    pub fn hosts(&self) -> usize {
        usize::try_from(self.agents).unwrap_or(usize::MAX)
    }

    /// How the sessions end the `nth` time, counted from 0.
    #[must_use]
    pub fn kind_of(&self, nth: u32) -> Blow {
        let place = usize::try_from(nth).unwrap_or(0) % self.kinds.len().max(1);
        self.kinds.get(place).copied().unwrap_or(Blow::Kill)
    }

    /// Which controller is hit the `nth` time: each by every kind before the next.
    #[must_use]
    pub fn victim_of(&self, nth: u32) -> usize {
        let round = usize::try_from(nth).unwrap_or(0) / self.kinds.len().max(1);
        round % usize::from(self.controllers)
    }
}

fn scenario(name_or_path: &str) -> Result<Scenario, anyhow::Error> {
    Scenario::open(name_or_path).map_err(|error| anyhow::anyhow!("{:#}", anyhow::Error::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_controller_is_hit_in_every_way() {
        let arguments = ["herd", "--controllers", "3", "--kinds", "kill,drain"];
        let arguments = Arguments::try_parse_from(arguments).unwrap();
        let hit: Vec<_> = (0..7)
            .map(|nth| (arguments.kind_of(nth), arguments.victim_of(nth)))
            .collect();
        let expected = [
            (Blow::Kill, 0),
            (Blow::Drain, 0),
            (Blow::Kill, 1),
            (Blow::Drain, 1),
            (Blow::Kill, 2),
            (Blow::Drain, 2),
            (Blow::Kill, 0),
        ];
        assert_eq!(hit, expected);
    }
}
