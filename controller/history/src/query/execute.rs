//! Groups the series of all hosts, keeps the ones that are wanted, and names them.

use std::cmp::Ordering;
use std::collections::HashMap;

use tidemark_model::{Entity, HostId};

use super::evaluate::Evaluated;
use super::plan::Plan;
use super::reading::{EntitySeries, HostInfo, HostSeries};
use super::result::{Before, QueryResult, SeriesResult};
use super::{Across, Agg, GroupBy, Query, QueryError};

/// Name of the group of hosts that lack the label that is grouped by.
const WITHOUT_LABEL: &str = "(none)";

/// Takes the hosts of a plan in any order and gives the answer.
#[derive(Debug)]
pub struct Executor<'a> {
    query: &'a Query,
    plan: &'a Plan,
    groups: HashMap<Key, Group>,
    points_read: u64,
    left_out: u64,
}

/// What makes series one group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Series(HostId, Entity),
    Host(HostId),
    Entity(Entity),
    Label(String),
    All,
}

#[derive(Debug)]
struct Group {
    name: String,
    current: Joined,
    before: Option<Joined>,
}

impl<'a> Executor<'a> {
    /// Begins to answer.
    #[must_use]
    pub fn new(query: &'a Query, plan: &'a Plan) -> Self {
        Self {
            query,
            plan,
            groups: HashMap::new(),
            points_read: 0,
            left_out: 0,
        }
    }

    /// Adds one host.
    ///
    /// # Errors
    /// When more is read or held than the query allows.
    pub fn add(&mut self, host: HostSeries) -> Result<(), QueryError> {
        let HostSeries {
            host,
            series,
            points_read,
        } = host;
        self.points_read = self.points_read.saturating_add(points_read);
        if self.points_read > self.query.limits.points_read_max {
            return Err(QueryError::TooMuchToRead {
                limit: self.query.limits.points_read_max,
            });
        }
        for series in series {
            self.add_series(&host, series)?;
            // A complete group that cannot be answered need not be held.
            if self.query.group_by == GroupBy::Series {
                self.keep_some();
            }
        }
        if self.query.group_by == GroupBy::Host {
            self.keep_some();
        }
        Ok(())
    }

    /// The answer.
    #[must_use]
    pub fn finish(mut self) -> QueryResult {
        self.keep_answered();
        let mut groups: Vec<(Key, Group)> = self.groups.drain().collect();
        if self.query.top.is_some() {
            groups.sort_by(|left, right| self.rank(left, right));
        } else {
            groups.sort_by(|(left_key, left), (right_key, right)| {
                (&left.name, left_key).cmp(&(&right.name, right_key))
            });
        }
        tell_apart(&mut groups);
        let across = self.query.across.unwrap_or(self.query.agg.across());
        let steps = self.plan.steps;
        let points = |joined: &Joined| {
            let values = joined.steps.iter().map(|cell| cell.value(across));
            values
                .enumerate()
                .map(|(index, value)| (steps.start_of(index), value))
                .collect::<Vec<_>>()
        };
        let series = groups
            .into_iter()
            .map(|(key, group)| SeriesResult {
                points: points(&group.current),
                overall: group.current.overall.value(across),
                before: group.before.as_ref().map(|before| Before {
                    points: points(before),
                    overall: before.overall.value(across),
                }),
                name: group.name,
                host: key.host(),
                entity: key.into_entity(),
            })
            .collect();
        QueryResult {
            metric: self.query.metric,
            agg: self.query.agg,
            steps,
            tier: self.plan.tier,
            is_approximate: self.plan.is_approximate,
            points_read: self.points_read,
            left_out: self.left_out,
            series,
        }
    }

    fn add_series(&mut self, host: &HostInfo, series: EntitySeries) -> Result<(), QueryError> {
        let EntitySeries {
            entity,
            current,
            before,
        } = series;
        let (key, name) = self.group_of(host, entity);
        let steps = self.plan.steps.count as u64;
        let groups = self.groups.len() as u64 + 1;
        let group = match self.groups.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let periods = 1 + u64::from(self.query.compare_offset.is_some());
                if groups.saturating_mul(steps).saturating_mul(periods)
                    > self.query.limits.points_max
                {
                    return Err(QueryError::TooManyPoints {
                        groups,
                        steps,
                        limit: self.query.limits.points_max,
                    });
                }
                entry.insert(Group {
                    name,
                    current: Joined::default(),
                    before: None,
                })
            }
        };
        let steps = self.plan.steps.count;
        group.current.add(&current, steps);
        if let Some(before) = before {
            group.before.get_or_insert_default().add(&before, steps);
        }
        Ok(())
    }

    fn group_of(&self, host: &HostInfo, entity: Entity) -> (Key, String) {
        match &self.query.group_by {
            GroupBy::Series => {
                let name = if self.plan.hosts.len() == 1 {
                    entity.to_string()
                } else {
                    format!("{} {entity}", host.name)
                };
                (Key::Series(host.id, entity), name)
            }
            GroupBy::Host => (Key::Host(host.id), host.name.to_string()),
            GroupBy::Entity => {
                let name = entity.to_string();
                (Key::Entity(entity), name)
            }
            GroupBy::Label(label) => {
                let value = host.labels.get(label).map_or(WITHOUT_LABEL, String::as_str);
                (Key::Label(value.to_owned()), value.to_owned())
            }
            GroupBy::All => (Key::All, "all".to_owned()),
        }
    }

    fn answered_max(&self) -> usize {
        let series_max = self.query.limits.series_max;
        self.query.top.map_or(series_max, |top| top.min(series_max))
    }

    /// Drops what is not answered once that is most of what is held, so that sorting stays rare.
    fn keep_some(&mut self) {
        if self.groups.len() > self.answered_max().saturating_mul(2).saturating_add(64) {
            self.keep_answered();
        }
    }

    /// Drops all groups but the ones that are answered, and counts them.
    fn keep_answered(&mut self) {
        let answered_max = self.answered_max();
        if self.groups.len() <= answered_max {
            return;
        }
        let mut groups: Vec<(Key, Group)> = self.groups.drain().collect();
        groups.sort_by(|left, right| self.rank(left, right));
        let dropped = groups.len().saturating_sub(answered_max) as u64;
        self.left_out = self.left_out.saturating_add(dropped);
        groups.truncate(answered_max);
        self.groups.extend(groups);
    }

    /// The most urgent first, the unknown last, then by name.
    fn rank(&self, (left_key, left): &(Key, Group), (right_key, right): &(Key, Group)) -> Ordering {
        let across = self.query.across.unwrap_or(self.query.agg.across());
        let overall = |group: &Group| group.current.overall.value(across);
        let by_value = match (overall(left), overall(right)) {
            (Some(left), Some(right)) if self.query.agg == Agg::TimeToExhaustion => {
                left.total_cmp(&right)
            }
            (Some(left), Some(right)) => right.total_cmp(&left),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        by_value
            .then_with(|| left.name.cmp(&right.name))
            .then_with(|| left_key.cmp(right_key))
    }
}

/// Entities of two port spaces may have one name: those get their port space behind it.
fn tell_apart(groups: &mut [(Key, Group)]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (_, group) in groups.iter() {
        *seen.entry(group.name.clone()).or_default() += 1;
    }
    for (key, group) in groups {
        let space = match key {
            Key::Series(_, entity) | Key::Entity(entity) => entity.space(),
            Key::Host(_) | Key::Label(_) | Key::All => None,
        };
        if let Some(space) = space
            && seen.get(&group.name).is_some_and(|times| *times > 1)
        {
            group.name = format!("{} ({space})", group.name);
        }
    }
}

impl Key {
    const fn host(&self) -> Option<HostId> {
        match self {
            Self::Series(host, _) | Self::Host(host) => Some(*host),
            Self::Entity(_) | Self::Label(_) | Self::All => None,
        }
    }

    fn into_entity(self) -> Option<Entity> {
        match self {
            Self::Series(_, entity) | Self::Entity(entity) => Some(entity),
            Self::Host(_) | Self::Label(_) | Self::All => None,
        }
    }
}

/// The values of several series, step by step.
#[derive(Debug, Default)]
struct Joined {
    steps: Vec<Cell>,
    overall: Cell,
}

impl Joined {
    fn add(&mut self, series: &Evaluated, steps: usize) {
        self.steps.resize(steps, Cell::default());
        for (index, value) in &series.steps {
            if let Some(cell) = self.steps.get_mut(*index) {
                cell.add(Some(*value));
            }
        }
        self.overall.add(series.overall);
    }
}

/// The known values of several series at one step.
#[derive(Clone, Copy, Debug)]
struct Cell {
    count: u32,
    sum: f64,
    min: f64,
    max: f64,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Cell {
    fn add(&mut self, value: Option<f64>) {
        let Some(value) = value else { return };
        self.count = self.count.saturating_add(1);
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn value(self, across: Across) -> Option<f64> {
        let value = match across {
            Across::Sum => self.sum,
            Across::Avg => self.sum / f64::from(self.count),
            Across::Min => self.min,
            Across::Max => self.max,
        };
        (self.count > 0).then_some(value)
    }
}
