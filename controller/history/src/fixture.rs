//! A store in memory for tests: takes rows, runs the jobs that are planned, answers queries.

use std::collections::BTreeMap;

use tidemark_model::{Entity, HostId, Metric, PortSpaceKey, Protocol, Timestamp};

use crate::compact::{
    CompactPolicy, Cutoffs, Job, NewSegment, compact_window, merge, plan, roll_up,
};
use crate::query::{
    self, Executor, HostHistory, HostInfo, HostReading, Query, QueryError, QueryResult,
};
use crate::{
    EntityNumber, Point, RecentMeta, RecentReader, Row, SegmentMeta, SeriesKey, encode_recent,
};

/// One host's history.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub recent: BTreeMap<i64, (RecentMeta, Vec<u8>)>,
    pub segments: BTreeMap<i64, (SegmentMeta, Vec<u8>)>,
    pub discarded: u64,
    next_id: i64,
}

impl Stored {
    pub fn of(rows: &[Row]) -> Self {
        let mut stored = Self::default();
        for row in rows {
            stored.append(std::slice::from_ref(row));
        }
        stored
    }

    pub fn append(&mut self, rows: &[Row]) {
        let (Some(first), Some(last)) = (
            rows.iter().map(|row| row.at).min(),
            rows.iter().map(|row| row.at).max(),
        ) else {
            return;
        };
        self.put_recent(first, last, encode_recent(rows).unwrap());
    }

    fn put_recent(&mut self, first: Timestamp, last: Timestamp, bytes: Vec<u8>) {
        self.next_id += 1;
        let meta = RecentMeta {
            id: self.next_id,
            first,
            last,
        };
        self.recent.insert(meta.id, (meta, bytes));
    }

    fn put_segment(&mut self, segment: NewSegment) {
        self.next_id += 1;
        let meta = SegmentMeta {
            id: self.next_id,
            tier: segment.tier,
            window: segment.window,
            bytes: segment.bytes.len() as u64,
        };
        self.segments.insert(meta.id, (meta, segment.bytes));
    }

    pub fn metas(&self) -> Vec<SegmentMeta> {
        self.segments.values().map(|(meta, _)| *meta).collect()
    }

    /// Passes until nothing is due.
    pub fn compact(&mut self, policy: &CompactPolicy, now: Timestamp) {
        let cutoffs = policy.retention.cutoffs(now, &[]);
        for _ in 0..1_000 {
            if !self.pass(policy, cutoffs, now) {
                return;
            }
        }
        panic!("compaction never ends");
    }

    /// One pass; whether there was anything to do.
    pub fn pass(&mut self, policy: &CompactPolicy, cutoffs: Cutoffs, now: Timestamp) -> bool {
        let recent: Vec<RecentMeta> = self.recent.values().map(|(meta, _)| *meta).collect();
        let jobs = plan(&recent, &self.metas(), policy, cutoffs, now);
        let any = !jobs.is_empty();
        for job in jobs {
            self.run(job);
        }
        any
    }

    fn bytes_of(&self, ids: &[i64]) -> Vec<&[u8]> {
        ids.iter()
            .map(|id| self.segments[id].1.as_slice())
            .collect()
    }

    fn run(&mut self, job: Job) {
        match job {
            Job::Compact {
                window,
                recent,
                segments,
            } => {
                let rows: Vec<&[u8]> = recent
                    .iter()
                    .map(|id| self.recent[id].1.as_slice())
                    .collect();
                let compacted = compact_window(window, &rows, &self.bytes_of(&segments)).unwrap();
                recent.iter().for_each(|id| drop(self.recent.remove(id)));
                segments
                    .iter()
                    .for_each(|id| drop(self.segments.remove(id)));
                if let Some(leftover) = compacted.leftover {
                    self.put_recent(leftover.first, leftover.last, leftover.bytes);
                }
                compacted
                    .segment
                    .into_iter()
                    .for_each(|segment| self.put_segment(segment));
            }
            Job::Merge {
                tier,
                window,
                segments,
            } => {
                let merged = merge(tier, window, &self.bytes_of(&segments)).unwrap();
                segments
                    .iter()
                    .for_each(|id| drop(self.segments.remove(id)));
                self.put_segment(merged);
            }
            Job::RollUp {
                tier,
                window,
                raw,
                into,
            } => {
                let rolled =
                    roll_up(tier, window, &self.bytes_of(&raw), &self.bytes_of(&into)).unwrap();
                into.iter().for_each(|id| drop(self.segments.remove(id)));
                self.put_segment(rolled);
            }
            Job::Delete { segments } => segments
                .iter()
                .for_each(|id| drop(self.segments.remove(id))),
            Job::Discard { recent } => {
                for id in recent {
                    let (_, bytes) = self.recent.remove(&id).unwrap();
                    self.discarded += RecentReader::open(&bytes).unwrap().times().len() as u64;
                }
            }
        }
    }
}

/// A host with its dictionary and history.
#[derive(Clone, Debug)]
pub struct Host {
    pub info: HostInfo,
    pub entities: Vec<(EntityNumber, Entity)>,
    pub stored: Stored,
}

pub fn host_id(number: u32) -> HostId {
    HostId::of_identity_spki(&number.to_le_bytes())
}

pub fn tcp() -> Entity {
    Entity::PortSpace(PortSpaceKey::own(Protocol::Tcp))
}

pub fn process(name: &str) -> Entity {
    Entity::Process {
        space: PortSpaceKey::own(Protocol::Tcp),
        name: name.into(),
    }
}

impl Host {
    /// A host `host-NUMBER` with the label `dc`, whose entities are numbered from 1.
    pub fn new(number: u32, dc: &str, entities: &[Entity], stored: Stored) -> Self {
        Self {
            info: HostInfo {
                id: host_id(number),
                name: format!("host-{number}").into(),
                labels: BTreeMap::from([("dc".to_owned(), dc.to_owned())]),
            },
            entities: (1..)
                .map(EntityNumber::new)
                .zip(entities.iter().cloned())
                .collect(),
            stored,
        }
    }

    fn history(&self) -> HostHistory {
        let recent = self.stored.recent.values().map(|(meta, _)| *meta);
        HostHistory {
            host: self.info.id,
            recent: recent
                .map(|meta| (meta.first, meta.last))
                .reduce(|left, right| (left.0.min(right.0), left.1.max(right.1))),
            segments: self.stored.metas(),
        }
    }
}

pub fn answer(query: &Query, hosts: &[Host], now: Timestamp) -> Result<QueryResult, QueryError> {
    let histories: Vec<HostHistory> = hosts.iter().map(Host::history).collect();
    let plan = query::plan(query, &histories, now)?;
    let mut executor = Executor::new(query, &plan);
    for (host, host_plan) in hosts.iter().zip(&plan.hosts) {
        let entities = host
            .entities
            .iter()
            .map(|(number, entity)| (*number, entity));
        let mut reading = HostReading::new(query, &plan, host_plan, host.info.clone(), entities);
        for id in host_plan.segments() {
            reading.segment(id, &host.stored.segments[&id].1)?;
        }
        for window in host_plan.recent() {
            for (meta, bytes) in host.stored.recent.values() {
                if meta.first < window.to && window.from <= meta.last {
                    reading.recent(bytes)?;
                }
            }
        }
        executor.add(reading.finish())?;
    }
    Ok(executor.finish())
}

/// A sample with one value of each of `entities`, numbered from 1, of `metric`.
pub fn row(at_ms: i64, metric: Metric, values: &[i64]) -> Row {
    let points = (1..).zip(values).map(|(number, value)| Point {
        key: SeriesKey::new(EntityNumber::new(number), metric),
        value: *value,
    });
    Row {
        at: Timestamp::from_unix_ms(at_ms),
        points: points.collect(),
    }
}
