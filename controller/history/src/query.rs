//! The one query engine: over `recent`, segments and all tiers, for one host or a fleet.
//!
//! [`plan`] says what to load of each host; a [`HostReading`] takes the bytes of one host; the [`Executor`] groups the
//! hosts' series and gives the [`QueryResult`]. Readings are independent, so hosts may be read in parallel.

mod evaluate;
mod execute;
mod filter;
mod plan;
mod reading;
mod result;
mod stat;
mod steps;
mod text;

pub use execute::Executor;
pub use filter::{EntityFilter, TextMatch};
pub use plan::{HostHistory, HostPlan, Load, Period, Plan, Source, plan};
pub use reading::{HostInfo, HostReading, HostSeries};
pub use result::{QueryResult, SeriesResult};
pub use steps::{Step, Steps};
pub use text::{BadText, parse_duration};

use std::time::Duration;

use tidemark_model::error_code::ApiError;
use tidemark_model::{ErrorCode, Metric};

use crate::{CodecError, Window};

/// What is asked of history. Which hosts it is about is said to [`plan`].
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What was measured.
    pub metric: Metric,
    /// Whose series count.
    pub entities: EntityFilter,
    /// From when to when. Widened to whole steps.
    pub range: Window,
    /// How long a step is.
    pub step: Step,
    /// What is said of each step of a series.
    pub agg: Agg,
    /// How several series of one group become one; `None` for what suits [`Query::agg`].
    pub across: Option<Across>,
    /// Which series become one.
    pub group_by: GroupBy,
    /// Only so many series: the largest by their aggregate over the whole range, or for
    /// [`Agg::TimeToExhaustion`] the smallest.
    pub top: Option<usize>,
    /// Compare with the same range so much earlier.
    pub compare_offset: Option<Duration>,
    /// How much it may cost.
    pub limits: Limits,
}

/// How much a query may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most points (or buckets) read.
    pub points_read_max: u64,
    /// Most steps times groups held and answered.
    pub points_max: u64,
    /// Most series answered; what is left out is counted.
    pub series_max: usize,
}

impl Default for Limits {
    /// 200 million points read (about two seconds), a million answered, a thousand series.
    fn default() -> Self {
        Self {
            points_read_max: 200_000_000,
            points_max: 1_000_000,
            series_max: 1_000,
        }
    }
}

/// What is said of the points of a step of one series. All but the last six are exact on every tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Agg {
    /// Lowest value.
    Min,
    /// Mean of all values.
    Avg,
    /// Highest value.
    Max,
    /// Latest value.
    Last,
    /// Sum of all values: for counts of events.
    Sum,
    /// How many values there are.
    Count,
    /// The median (nearest rank). Of coarser tiers: that of the buckets' means.
    P50,
    /// The value that 95 of 100 do not exceed (nearest rank). Of coarser tiers: that of the buckets' highest values.
    P95,
    /// The same of 99 of 100.
    P99,
    /// Change a second, from the last value before the step (or the first in it) to the last in it.
    Rate,
    /// Slope an hour, by least squares. Of coarser tiers: of the buckets' means.
    Slope,
    /// Seconds until the value reaches capacity at its slope; `None` when it does not rise. For ports of port spaces.
    TimeToExhaustion,
}

impl Agg {
    /// Every aggregate, in display order.
    pub const ALL: [Self; 12] = [
        Self::Min,
        Self::Avg,
        Self::Max,
        Self::Last,
        Self::Sum,
        Self::Count,
        Self::P50,
        Self::P95,
        Self::P99,
        Self::Rate,
        Self::Slope,
        Self::TimeToExhaustion,
    ];

    /// Its name in texts and queries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Avg => "avg",
            Self::Max => "max",
            Self::Last => "last",
            Self::Sum => "sum",
            Self::Count => "count",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Rate => "rate",
            Self::Slope => "slope",
            Self::TimeToExhaustion => "time_to_exhaustion",
        }
    }

    /// Whether coarser tiers answer it as raw points do.
    #[must_use]
    pub const fn is_exact_on_coarser_tiers(self) -> bool {
        match self {
            Self::Min | Self::Avg | Self::Max | Self::Last | Self::Sum | Self::Count => true,
            Self::P50
            | Self::P95
            | Self::P99
            | Self::Rate
            | Self::Slope
            | Self::TimeToExhaustion => false,
        }
    }

    /// How several series of a group are joined when the query does not say.
    const fn across(self) -> Across {
        match self {
            Self::Min | Self::TimeToExhaustion => Across::Min,
            Self::Max | Self::P95 | Self::P99 => Across::Max,
            Self::Sum | Self::Count | Self::Rate | Self::Slope => Across::Sum,
            Self::Avg | Self::Last | Self::P50 => Across::Avg,
        }
    }
}

/// How the values of several series at one step become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Across {
    /// Their sum.
    Sum,
    /// Their mean.
    Avg,
    /// The lowest.
    Min,
    /// The highest.
    Max,
}

impl Across {
    /// Every way, in display order.
    pub const ALL: [Self; 4] = [Self::Sum, Self::Avg, Self::Min, Self::Max];

    /// Its name in texts and queries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// Which series become one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// None: each entity of each host stays a series.
    #[default]
    Series,
    /// All of them.
    All,
    /// Those of one host.
    Host,
    /// Those of one entity on all hosts, as of one process image.
    Entity,
    /// Those of hosts with one value of this label.
    Label(String),
}

/// Why a query is not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The range has no length.
    #[error("the range is empty: `from` must be before `to`")]
    EmptyRange,
    /// A step has no length.
    #[error("the step must be 1 ms at least")]
    ZeroStep,
    /// More steps than may be answered.
    #[error("the range has {steps} steps, the limit is {limit}; use a step of {} s or more, or a shorter range", .step_ms_min.div_euclid(1_000))]
    TooManySteps {
        /// Steps that were asked for.
        steps: u64,
        /// Steps that are allowed.
        limit: u64,
        /// The shortest step for this range, in milliseconds, a whole number of seconds.
        step_ms_min: i64,
    },
    /// More groups and steps than may be held.
    #[error(
        "the answer would hold more than {limit} points (limit `points_max`) in {groups} groups of {steps} steps; use a larger step, filter entities or hosts, or group by less"
    )]
    TooManyPoints {
        /// Groups found so far.
        groups: u64,
        /// Steps of each.
        steps: u64,
        /// Points that are allowed.
        limit: u64,
    },
    /// More points than may be read.
    #[error(
        "the query would read more than {limit} points (limit `points_read_max`); use a shorter range, fewer hosts, or a step of a whole hour, which is answered from the hour tier"
    )]
    TooMuchToRead {
        /// Points that may be read.
        limit: u64,
    },
    /// An aggregate of another metric.
    #[error(
        "`{agg}` is known of ports of port spaces (in_use, strong, bound, time_wait), not of `{metric}`; use another metric or aggregate"
    )]
    NotOfThisMetric {
        /// The aggregate.
        agg: &'static str,
        /// The metric.
        metric: &'static str,
    },
    /// The time that is compared with is not before.
    #[error("the comparison offset must be 1 ms at least")]
    ZeroOffset,
    /// Stored bytes cannot be read.
    #[error("stored history cannot be read")]
    Stored(#[from] CodecError),
}

impl ApiError for QueryError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::EmptyRange
            | Self::ZeroStep
            | Self::TooManySteps { .. }
            | Self::TooManyPoints { .. }
            | Self::TooMuchToRead { .. }
            | Self::NotOfThisMetric { .. }
            | Self::ZeroOffset => ErrorCode::InvalidArgument,
            Self::Stored(_) => ErrorCode::Internal,
        }
    }
}

#[cfg(test)]
mod tests;
