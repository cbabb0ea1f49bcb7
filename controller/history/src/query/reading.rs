//! The bytes of one host become what a query says of its series.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use tidemark_model::{Entity, HostId, Metric};

use super::evaluate::{Evaluated, Stretches};
use super::plan::{HostPlan, Load, Period, Plan, Source};
use super::steps::Steps;
use super::{Agg, Query, QueryError};
use crate::{Bucket, EntityNumber, RecentReader, SegmentReader, SeriesKey, Tier};

/// What grouping and naming needs to know of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInfo {
    /// Which host.
    pub id: HostId,
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// One host while its bytes are read.
#[derive(Debug)]
pub struct HostReading<'a> {
    query: &'a Query,
    steps: Steps,
    loads: &'a [Load],
    host: HostInfo,
    entities: Vec<Entity>,
    /// Which slot each wanted series belongs to, by ascending key.
    wanted: Vec<(SeriesKey, Slot)>,
    stretches: HashMap<(Slot, bool), Stretches>,
    points_read: u64,
}

/// What a series is for: which entity, and whether it is its capacity rather than what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Slot {
    entity: usize,
    is_capacity: bool,
}

/// What a query says of the series of one host.
#[derive(Clone, Debug)]
pub struct HostSeries {
    pub(super) host: HostInfo,
    pub(super) series: Vec<EntitySeries>,
    pub(super) points_read: u64,
}

#[derive(Clone, Debug)]
pub(super) struct EntitySeries {
    pub(super) entity: Entity,
    pub(super) current: Evaluated,
    pub(super) before: Option<Evaluated>,
}

impl<'a> HostReading<'a> {
    /// Begins with one host of `plan`. `entities` is its dictionary, or the part of it of the kinds in question; an
    /// entity may come with several numbers.
    #[must_use]
    pub fn new<'e>(
        query: &'a Query,
        plan: &Plan,
        host_plan: &'a HostPlan,
        host: HostInfo,
        entities: impl IntoIterator<Item = (EntityNumber, &'e Entity)>,
    ) -> Self {
        let mut reading = Self {
            query,
            steps: plan.steps,
            loads: &host_plan.loads,
            host,
            entities: Vec::new(),
            wanted: Vec::new(),
            stretches: HashMap::new(),
            points_read: 0,
        };
        let mut places: HashMap<&Entity, usize> = HashMap::new();
        for (number, entity) in entities {
            if !query.entities.matches(query.metric, entity) {
                continue;
            }
            let place = *places.entry(entity).or_insert_with(|| {
                reading.entities.push(entity.clone());
                reading.entities.len() - 1
            });
            reading.want(number, query.metric, place, false);
            if query.agg == Agg::TimeToExhaustion {
                reading.want(number, Metric::Capacity, place, true);
            }
        }
        reading.wanted.sort_unstable_by_key(|(key, _)| *key);
        reading
    }

    /// Whether no entity of this host is asked for: nothing needs to be loaded.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Takes a row of `recent`. Rows must come in the order of arrival, after the segments; the same row may come twice.
    ///
    /// # Errors
    /// When the bytes are damaged, or more is read than the query allows.
    pub fn recent(&mut self, bytes: &[u8]) -> Result<(), QueryError> {
        let reader = RecentReader::open(bytes)?;
        let Self {
            wanted,
            stretches,
            loads,
            points_read,
            ..
        } = self;
        let slot_of = |key: SeriesKey| {
            let place = wanted
                .binary_search_by_key(&key, |(wanted, _)| *wanted)
                .ok()?;
            wanted.get(place).map(|(_, slot)| *slot)
        };
        for load in loads.iter().filter(|load| load.source == Source::Recent) {
            let (from, to) = (load.read.from.unix_ms(), load.read.to.unix_ms());
            reader.each_point(
                |key| slot_of(key).is_some(),
                |at, key, value| {
                    if let Some(slot) = slot_of(key)
                        && from <= at
                        && at < to
                    {
                        let period = load.period == Period::Before;
                        stretches
                            .entry((slot, period))
                            .or_default()
                            .point(at, value);
                        *points_read += 1;
                    }
                },
            )?;
        }
        self.check_points_read()
    }

    /// Takes the segment with that id; one that the plan does not name is left alone. Segments must come in the order
    /// of their ids.
    ///
    /// # Errors
    /// When the bytes are damaged, or more is read than the query allows.
    pub fn segment(&mut self, id: i64, bytes: &[u8]) -> Result<(), QueryError> {
        let loads = self.loads;
        let mut loads = loads
            .iter()
            .filter(|load| load.source == Source::Segment(id))
            .peekable();
        if loads.peek().is_none() || self.is_empty() {
            return Ok(());
        }
        let reader = SegmentReader::open(bytes)?;
        let times = reader.times()?;
        let loads: Vec<&Load> = loads.collect();
        for (key, slot) in &self.wanted {
            for load in &loads {
                let period = load.period == Period::Before;
                let stretches = self.stretches.entry((*slot, period)).or_default();
                self.points_read += if slot.is_capacity {
                    read_changes(&reader, &times, *key, load, stretches)?
                } else {
                    read_series(&reader, &times, *key, load, stretches)?
                };
            }
        }
        self.check_points_read()
    }

    /// What the query says of this host.
    #[must_use]
    pub fn finish(mut self) -> HostSeries {
        let mut series = Vec::with_capacity(self.entities.len());
        for (place, entity) in std::mem::take(&mut self.entities).into_iter().enumerate() {
            // An entity without points in the range is not of it; one with points may still have no slope.
            if !self.was_read(place) {
                continue;
            }
            let steps = self.steps;
            let current = self.evaluate(place, Period::Current, &steps);
            let before = self
                .query
                .compare_offset
                .map(|offset| self.evaluate(place, Period::Before, &steps.earlier(offset)));
            series.push(EntitySeries {
                entity,
                current,
                before,
            });
        }
        HostSeries {
            host: self.host,
            series,
            points_read: self.points_read,
        }
    }

    fn want(&mut self, number: EntityNumber, metric: Metric, entity: usize, is_capacity: bool) {
        let slot = Slot {
            entity,
            is_capacity,
        };
        self.wanted.push((SeriesKey::new(number, metric), slot));
    }

    fn was_read(&self, entity: usize) -> bool {
        let slot = Slot {
            entity,
            is_capacity: false,
        };
        [false, true].into_iter().any(|before| {
            self.stretches
                .get(&(slot, before))
                .is_some_and(|stretches| !stretches.is_empty())
        })
    }

    fn evaluate(&mut self, entity: usize, period: Period, steps: &Steps) -> Evaluated {
        let before = period == Period::Before;
        let mut stretches_of = |is_capacity| {
            let slot = Slot {
                entity,
                is_capacity,
            };
            self.stretches.remove(&(slot, before)).unwrap_or_default()
        };
        let capacity = if self.query.agg == Agg::TimeToExhaustion {
            stretches_of(true).last_known(steps)
        } else {
            Vec::new()
        };
        stretches_of(false).evaluate(self.query.agg, steps, &capacity)
    }

    const fn check_points_read(&self) -> Result<(), QueryError> {
        let limit = self.query.limits.points_read_max;
        if self.points_read > limit {
            return Err(QueryError::TooMuchToRead { limit });
        }
        Ok(())
    }
}

/// Of a capacity only the last known value counts, and it hardly ever changes: its first point, its changes and its
/// last point say all.
fn read_changes(
    reader: &SegmentReader<'_>,
    times: &[i64],
    key: SeriesKey,
    load: &Load,
    stretches: &mut Stretches,
) -> Result<u64, QueryError> {
    if load.tier != Tier::Raw {
        return read_series(reader, times, key, load, stretches);
    }
    let (from, to) = (load.read.from.unix_ms(), load.read.to.unix_ms());
    let mut read = 0u64;
    let mut held: Option<(i64, i64)> = None;
    let mut kept = None;
    reader.each_cell::<i64>(key, times, |at, value| {
        if from <= at && at < to {
            read += 1;
            held = Some((at, value));
            if kept != Some(value) {
                stretches.point(at, value);
                kept = Some(value);
            }
        }
    })?;
    if let Some((at, value)) = held {
        stretches.point(at, value);
    }
    Ok(read)
}

fn read_series(
    reader: &SegmentReader<'_>,
    times: &[i64],
    key: SeriesKey,
    load: &Load,
    stretches: &mut Stretches,
) -> Result<u64, QueryError> {
    let (from, to) = (load.read.from.unix_ms(), load.read.to.unix_ms());
    let mut read = 0u64;
    if load.tier == Tier::Raw {
        stretches.reserve(times.len());
        reader.each_cell::<i64>(key, times, |at, value| {
            if from <= at && at < to {
                stretches.point(at, value);
                read += 1;
            }
        })?;
    } else {
        let width = load.tier.resolution_ms();
        reader.each_cell::<Bucket>(key, times, |at, bucket| {
            if from <= at && at < to {
                stretches.bucket(at, width, bucket);
                read += 1;
            }
        })?;
    }
    Ok(read)
}
