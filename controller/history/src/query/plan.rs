//! Which bytes of each host answer a query, so that the coarsest tier that is exact enough is read and nothing twice.

use std::collections::BTreeSet;
use std::time::Duration;

use tidemark_model::{HostId, Metric, Timestamp};

use super::steps::{Steps, ceil_to};
use super::{Agg, Query, QueryError};
use crate::stored::SegmentMeta;
use crate::{Tier, Window};

/// Aggregates that coarser tiers only approximate are answered from raw points up to this length of range, as far as
/// raw points are kept: 20,000 points a series at 30 s.
const RAW_RANGE_MAX: Duration = Duration::from_secs(7 * 86_400);

/// What the store holds of one host, as far as a query's ranges go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostHistory {
    /// Which host.
    pub host: HostId,
    /// Times of the first and the last sample in `recent`; `None` when there is no row of this host.
    pub recent: Option<(Timestamp, Timestamp)>,
    /// Its segments of all tiers that overlap the range or the one compared with, in any order.
    pub segments: Vec<SegmentMeta>,
}

/// What to load for a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The steps of the answer; coarser than asked for when only coarser history is left of a part of the range.
    pub steps: Steps,
    /// The coarsest tier that is read.
    pub tier: Tier,
    /// Whether the aggregate is an approximation, because it is taken from a coarser tier.
    pub is_approximate: bool,
    /// What to load, in the order in which the hosts were given.
    pub hosts: Vec<HostPlan>,
}

/// What to load of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// Which host.
    pub host: HostId,
    /// What to load of it.
    pub loads: Vec<Load>,
}

impl HostPlan {
    /// The segments to load, each once, ascending.
    pub fn segments(&self) -> impl Iterator<Item = i64> {
        let ids: BTreeSet<i64> = self.loads.iter().filter_map(Load::segment).collect();
        ids.into_iter()
    }

    /// The spans of `recent` to load; rows that overlap two of them may be given twice.
    pub fn recent(&self) -> impl Iterator<Item = Window> {
        let recent = self
            .loads
            .iter()
            .filter(|load| load.source == Source::Recent);
        recent.map(|load| load.read)
    }
}

/// A part of the bytes of one host that a query reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Where it is.
    pub source: Source,
    /// How fine it is.
    pub tier: Tier,
    /// Only points in this span count.
    pub read: Window,
    /// Which range it is for.
    pub period: Period,
}

impl Load {
    const fn segment(&self) -> Option<i64> {
        match self.source {
            Source::Segment(id) => Some(id),
            Source::Recent => None,
        }
    }
}

/// Where the bytes of a [`Load`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// All rows of `recent` that overlap the load's span.
    Recent,
    /// The segment with this id.
    Segment(i64),
}

/// Which range of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// The range that was asked for.
    Current,
    /// The range that it is compared with.
    Before,
}

/// What to load to answer `query` for `hosts` at `now`. Steps that begin after `now` are not answered.
///
/// # Errors
/// When the query contradicts itself or its steps exceed its limits.
pub fn plan(query: &Query, hosts: &[HostHistory], now: Timestamp) -> Result<Plan, QueryError> {
    check(query)?;
    let mut range = query.range;
    if range.from < now {
        range.to = range
            .to
            .min(Timestamp::from_unix_ms(now.unix_ms().saturating_add(1)));
    }
    let mut steps = Steps::new(range, query.step, query.limits.points_max)?;
    // Coarsening once for each tier is enough: the hour is a multiple of five minutes.
    for _ in 0..Tier::ALL.len() {
        let planned = plan_steps(query, hosts, steps)?;
        match planned.coarsen_to {
            Some(tier) => steps = steps.coarsened(tier, query.limits.points_max)?,
            None => return Ok(planned.plan),
        }
    }
    Ok(plan_steps(query, hosts, steps)?.plan)
}

fn check(query: &Query) -> Result<(), QueryError> {
    if query
        .compare_offset
        .is_some_and(|offset| offset.as_millis() == 0)
    {
        return Err(QueryError::ZeroOffset);
    }
    let of_ports = [
        Metric::InUse,
        Metric::Strong,
        Metric::Bound,
        Metric::TimeWait,
    ];
    if query.agg == Agg::TimeToExhaustion && !of_ports.contains(&query.metric) {
        return Err(QueryError::NotOfThisMetric {
            agg: query.agg.as_str(),
            metric: query.metric.as_str(),
        });
    }
    Ok(())
}

struct Planned {
    plan: Plan,
    /// The steps must be multiples of this tier's buckets, or they would have gaps that are none.
    coarsen_to: Option<Tier>,
}

fn plan_steps(query: &Query, hosts: &[HostHistory], steps: Steps) -> Result<Planned, QueryError> {
    let mut periods = vec![(Period::Current, steps)];
    periods.extend(
        query
            .compare_offset
            .map(|offset| (Period::Before, steps.earlier(offset))),
    );
    let is_short = steps.range.length_ms() <= tidemark_model::time::duration_ms(RAW_RANGE_MAX);
    let prefers_raw = !query.agg.is_exact_on_coarser_tiers() && is_short;
    let mut planned = Planned {
        plan: Plan {
            steps,
            tier: Tier::Raw,
            is_approximate: false,
            hosts: Vec::with_capacity(hosts.len()),
        },
        coarsen_to: None,
    };
    for history in hosts {
        let mut loads = Vec::new();
        for (period, steps) in &periods {
            let mut assignment = Assignment {
                history,
                steps: *steps,
                period: *period,
                remaining: vec![steps.range],
                loads: &mut loads,
            };
            if !prefers_raw {
                assignment.take_coarse();
            }
            assignment.take_raw();
            let forced = assignment.take_what_is_left();
            planned.coarsen_to = planned.coarsen_to.max(forced);
        }
        let coarsest = loads.iter().map(|load| load.tier).max();
        planned.plan.tier = planned.plan.tier.max(coarsest.unwrap_or(Tier::Raw));
        planned.plan.hosts.push(HostPlan {
            host: history.host,
            loads,
        });
    }
    planned.plan.is_approximate =
        planned.plan.tier != Tier::Raw && !query.agg.is_exact_on_coarser_tiers();
    Ok(planned)
}

/// Hands parts of one range of one host to the tiers, until nothing remains.
struct Assignment<'a> {
    history: &'a HostHistory,
    steps: Steps,
    period: Period,
    /// Disjoint parts of the range that no load answers.
    remaining: Vec<Window>,
    loads: &'a mut Vec<Load>,
}

impl Assignment<'_> {
    /// Coarser tiers, coarsest first, where their buckets lie within steps and hold all that is known.
    fn take_coarse(&mut self) {
        for tier in [Tier::Hour, Tier::FiveMinutes] {
            if !self.steps.fit(tier) {
                continue;
            }
            let resolution = tier.resolution_ms();
            let inside = Window {
                from: ceil_to(self.steps.range.from, resolution),
                to: self.steps.range.to.floor_to(resolution),
            };
            let unsettled = self.unsettled(tier);
            for segment in self.segments(tier) {
                let Some(usable) = segment.window.intersection(inside) else {
                    continue;
                };
                for part in without_all(vec![usable], &unsettled) {
                    self.take(Source::Segment(segment.id), tier, part);
                }
            }
        }
    }

    /// Raw points, from when on there are any.
    fn take_raw(&mut self) {
        let Some(from) = self.raw_from() else {
            return;
        };
        let parts: Vec<Window> = self
            .remaining
            .iter()
            .filter_map(|part| part.intersection(Window { from, to: part.to }))
            .collect();
        for part in parts {
            for segment in self.segments(Tier::Raw) {
                if let Some(read) = segment.window.intersection(part) {
                    self.load(Source::Segment(segment.id), Tier::Raw, read);
                }
            }
            let recent = self.recent().and_then(|recent| recent.intersection(part));
            if let Some(read) = recent {
                self.load(Source::Recent, Tier::Raw, read);
            }
            self.remaining = without_all(std::mem::take(&mut self.remaining), &[part]);
        }
    }

    /// Older than any raw point: the finest tier that there is. Says which tier's buckets do not fit the steps.
    fn take_what_is_left(&mut self) -> Option<Tier> {
        let mut forced = None;
        for tier in [Tier::FiveMinutes, Tier::Hour] {
            for segment in self.segments(tier) {
                if self.take(Source::Segment(segment.id), tier, segment.window)
                    && !self.steps.fit(tier)
                {
                    forced = forced.max(Some(tier));
                }
            }
        }
        forced
    }

    /// Loads what remains of `part`, and says whether anything does.
    fn take(&mut self, source: Source, tier: Tier, part: Window) -> bool {
        let reads: Vec<Window> = self
            .remaining
            .iter()
            .filter_map(|remaining| remaining.intersection(part))
            .collect();
        for read in &reads {
            self.load(source, tier, *read);
        }
        self.remaining = without_all(std::mem::take(&mut self.remaining), &reads);
        !reads.is_empty()
    }

    fn load(&mut self, source: Source, tier: Tier, read: Window) {
        self.loads.push(Load {
            source,
            tier,
            read,
            period: self.period,
        });
    }

    /// Segments of `tier` in the order in which they were written.
    fn segments(&self, tier: Tier) -> Vec<SegmentMeta> {
        let segments = self.history.segments.iter();
        let mut segments: Vec<SegmentMeta> = segments
            .filter(|segment| segment.tier == tier)
            .copied()
            .collect();
        segments.sort_by_key(|segment| segment.id);
        segments
    }

    /// The span of `recent`.
    fn recent(&self) -> Option<Window> {
        self.history.recent.map(|(first, last)| Window {
            from: first,
            to: Timestamp::from_unix_ms(last.unix_ms().saturating_add(1)),
        })
    }

    fn raw_from(&self) -> Option<Timestamp> {
        let raw = self
            .history
            .segments
            .iter()
            .filter(|segment| segment.tier == Tier::Raw);
        let starts = raw.map(|segment| segment.window.from);
        starts.chain(self.recent().map(|recent| recent.from)).min()
    }

    /// Where raw points say more than `tier`: they came late, or are too new to be rolled up.
    fn unsettled(&self, tier: Tier) -> Vec<Window> {
        let segments = &self.history.segments;
        let stale = segments
            .iter()
            .filter(|segment| segment.tier == Tier::Raw && !segment.is_rolled_up(tier, segments));
        let windows = stale.map(|segment| segment.window).chain(self.recent());
        let resolution = tier.resolution_ms();
        let widened = windows.map(|window| Window {
            from: window.from.floor_to(resolution),
            to: ceil_to(window.to, resolution),
        });
        widened.collect()
    }
}

/// What is left of `parts` without `holes`.
fn without_all(parts: Vec<Window>, holes: &[Window]) -> Vec<Window> {
    holes.iter().fold(parts, |parts, hole| {
        let mut left = Vec::with_capacity(parts.len() + 1);
        for part in parts {
            let Some(cut) = part.intersection(*hole) else {
                left.push(part);
                continue;
            };
            let (before, after) = (
                Window {
                    from: part.from,
                    to: cut.from,
                },
                Window {
                    from: cut.to,
                    to: part.to,
                },
            );
            left.extend(
                [before, after]
                    .into_iter()
                    .filter(|window| window.from < window.to),
            );
        }
        left
    })
}

#[cfg(test)]
mod tests;
