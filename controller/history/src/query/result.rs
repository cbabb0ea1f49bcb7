//! What a query answers, and how the API shows it.

use tidemark_model::view::{HistoryView, SeriesView};
use tidemark_model::{Entity, HostId, Metric};

use super::{Agg, Steps};
use crate::Tier;

/// What a query answers.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryResult {
    /// What was measured.
    pub metric: Metric,
    /// What is said of each step.
    pub agg: Agg,
    /// The steps.
    pub steps: Steps,
    /// The coarsest tier that was read.
    pub tier: Tier,
    /// Whether the aggregate is an approximation, because it is taken from a coarser tier.
    pub is_approximate: bool,
    /// Points and buckets that were read.
    pub points_read: u64,
    /// Series beyond `top` or the limit on series.
    pub left_out: u64,
    /// The series: with `top` the first ones first, otherwise by name.
    pub series: Vec<SeriesResult>,
}

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesResult {
    /// What it stands for: a host's name, an entity's, a label's value, or `all`.
    pub name: String,
    /// The host, when it is of one host.
    pub host: Option<HostId>,
    /// The entity, when it is of one entity.
    pub entity: Option<Entity>,
    /// A step's start in Unix milliseconds and its value; `None` is a gap.
    pub points: Vec<(i64, Option<f64>)>,
    /// The aggregate over the whole range.
    pub overall: Option<f64>,
    /// The same of the range compared with; only in a comparison.
    pub before: Option<Before>,
}

/// The range that a series is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Before {
    /// Its points, moved onto the times of the current ones.
    pub points: Vec<(i64, Option<f64>)>,
    /// The aggregate over all of it.
    pub overall: Option<f64>,
}

impl QueryResult {
    /// The unit of the values.
    #[must_use]
    pub fn unit(&self) -> String {
        let unit = self.metric.unit().as_str();
        match self.agg {
            Agg::Min
            | Agg::Avg
            | Agg::Max
            | Agg::Last
            | Agg::Sum
            | Agg::P50
            | Agg::P95
            | Agg::P99 => unit.to_owned(),
            Agg::Count => "points".to_owned(),
            Agg::Rate => format!("{unit}/s"),
            Agg::Slope => format!("{unit}/h"),
            Agg::TimeToExhaustion => "s".to_owned(),
        }
    }

    /// As the API answers it.
    #[must_use]
    pub fn into_view(self) -> HistoryView {
        HistoryView {
            metric: self.metric.as_str().to_owned(),
            unit: self.unit(),
            agg: self.agg.as_str().to_owned(),
            from_ms: self.steps.range.from.unix_ms(),
            to_ms: self.steps.range.to.unix_ms(),
            step_ms: self.steps.step_ms,
            tier: self.tier.as_str().to_owned(),
            approximate: self.is_approximate,
            points_read: self.points_read,
            series_left_out: self.left_out,
            series: self
                .series
                .into_iter()
                .map(SeriesResult::into_view)
                .collect(),
        }
    }
}

impl SeriesResult {
    fn into_view(self) -> SeriesView {
        let (points_before, overall_before) = match self.before {
            Some(before) => (Some(before.points), before.overall),
            None => (None, None),
        };
        SeriesView {
            name: self.name,
            host: self.host.map(|host| host.to_string()),
            points: self.points,
            overall: self.overall,
            overall_before,
            points_before,
        }
    }
}
