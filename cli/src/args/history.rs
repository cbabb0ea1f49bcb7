//! The grammar of what is asked over time: history, comparison and forecast.

use std::time::Duration;

use clap::ValueEnum;
use tidemark_model::duration::parse_duration;
use tidemark_model::entity::EntityKind;
use tidemark_model::{Metric, Protocol};

use super::{Label, parse_label};
use crate::since::Moment;

/// What to read from the history.
#[derive(Clone, Debug, clap::Args)]
pub struct SeriesArgs {
    /// What was measured: in_use, strong, bound, time_wait, ports, close_wait, tcp_active_opens, ... (a wrong name lists all)
    #[arg(short, long, default_value = "in_use", value_parser = parse_metric(),
        hide_possible_values = true, value_name = "METRIC")]
    pub metric: Metric,
    /// Since: 14d, 1h or 2026-11-20T10:00
    #[arg(long, default_value = "1h", value_name = "WHEN")]
    pub since: Moment,
    /// Until: 1h (ago) or 2026-11-20T10:00
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Moment>,
    /// Width of a step; without it, one that gives about a hundred
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub step: Option<Duration>,
    /// How a step's points become one: min, avg, max, last, sum, count, p50, p95, p99, rate, slope or time_to_exhaustion
    #[arg(long, default_value = "max")]
    pub agg: String,
    /// One series for each of these, or none for one in all; one host is shown by entity, more by host
    #[arg(long, value_name = "none|host|entity|series|label:KEY")]
    pub group_by: Option<String>,
    /// Only the largest so many series
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub top: Option<u32>,
    /// Only entities whose name contains this: a process, service, address or watch group; =NAME for exactly that
    #[arg(long, value_name = "TEXT")]
    pub entity: Option<String>,
    /// Only entities of this kind: process, service, destination, ...
    #[arg(long, value_parser = parse_kind(), value_name = "KIND")]
    pub kind: Option<EntityKind>,
    /// Protocol of the port space
    #[arg(long, value_enum, default_value_t = ProtocolChoice::Tcp)]
    pub protocol: ProtocolChoice,
    /// Only this network namespace
    #[arg(long)]
    pub namespace: Option<String>,
    /// Only hosts with this label; repeat it for more
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub labels: Vec<Label>,
}

/// Which protocol's port spaces are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProtocolChoice {
    Tcp,
    Udp,
    /// Both
    All,
}

impl ProtocolChoice {
    /// The one that is meant; `None` for both.
    pub const fn one(self) -> Option<Protocol> {
        match self {
            Self::Tcp => Some(Protocol::Tcp),
            Self::Udp => Some(Protocol::Udp),
            Self::All => None,
        }
    }
}

fn parse_metric() -> impl clap::builder::TypedValueParser<Value = Metric> {
    use clap::builder::TypedValueParser as _;
    clap::builder::PossibleValuesParser::new(Metric::ALL.iter().map(|metric| metric.as_str()))
        .try_map(|name| name.parse::<Metric>())
}

fn parse_kind() -> impl clap::builder::TypedValueParser<Value = EntityKind> {
    use clap::builder::TypedValueParser as _;
    clap::builder::PossibleValuesParser::new(EntityKind::ALL.map(EntityKind::as_str))
        .try_map(|name| EntityKind::from_name(&name).ok_or("there is no such kind"))
}

#[derive(Clone, Debug, clap::Args)]
pub struct HistoryArgs {
    /// Names or ids; none means all hosts
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,
    #[command(flatten)]
    pub series: SeriesArgs,
}

#[derive(Clone, Debug, clap::Args)]
pub struct CompareArgs {
    #[command(flatten)]
    pub history: HistoryArgs,
    /// How long before: 7d compares with the same time a week ago
    #[arg(long, default_value = "7d", value_parser = parse_duration, value_name = "DURATION")]
    pub with: Duration,
}

#[derive(Clone, Debug, clap::Args)]
pub struct ForecastArgs {
    /// Names or ids; none means all hosts
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,
    /// How much history a single host's chart shows; without it, as much as it looks ahead
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Moment>,
}
