//! The command line of `siege`.

use std::time::Duration;

use clap::{Parser, ValueEnum as _};
use tidemark_model::duration::parse_duration;

use super::attack::Attack;
use crate::fleetsim::args::Output;

/// Attacks a controller in each way in turn, and says what honest agents, newcomers and people have of it meanwhile
///
/// As root, on Linux: it makes network namespaces. Attackers, agents and controller share this machine, so that an attack that takes
/// this machine's cores takes them from the controller, too. The exit code is 0 when every attack leaves honest agents 95 in a
/// hundred of their records, with acks within 2 s, and 1 when not.
#[derive(Clone, Debug, Parser)]
#[command(name = "siege", version)]
pub struct Arguments {
    /// How many honest hosts
    #[arg(long, default_value = "1000", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub agents: u32,
    /// Time between two samples of a host
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = parse_duration)]
    pub interval: Duration,
    /// How long each attack lasts, and how long it is quiet before the first
    #[arg(long, default_value = "20s", value_name = "DURATION", value_parser = parse_duration)]
    pub lasts: Duration,
    /// How many connections an attack of connections holds
    #[arg(long, default_value = "10000", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub connections: u32,
    /// How many requests, frames or connections a second an attack makes at most
    #[arg(long, default_value = "10000", value_name = "N", value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub rate: u32,
    /// The attacks, all unless named
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "ATTACKS",
        default_values_t = Attack::value_variants().to_vec()
    )]
    pub attacks: Vec<Attack>,
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
