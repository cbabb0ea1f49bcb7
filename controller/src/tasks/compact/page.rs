//! A page of hosts at a time: list what they have, plan, do the work on bytes, and replace. Each step is a trip to the
//! database for all of them: trips cost more than rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidemark_history::compact::{
    CompactError, Job, Leftover, NewSegment, compact_window, merge, plan, roll_up,
};
use tidemark_history::hourly::{HourlyRow, hourly_rows};
use tidemark_history::stored::{RecentMeta, SegmentMeta};
use tidemark_history::{EntityNumber, Window};
use tidemark_model::entity::EntityKind;
use tidemark_model::notice::NoticeKind;
use tidemark_model::{Entity, HostId, Timestamp};
use tidemark_store::{
    HistoryHeads, NewRecent, RecentId, Replacement, SegmentId, Span, StoreError, Term, Tx,
};

use super::{Compactor, Damaged, history_tier, stored_tier};
use crate::gateway::outcome::chain;

/// Batches of a page's hosts that are looked at at a time; the rest waits for another page.
const RECENT_MAX: u32 = 40_000;

/// Jobs done in one transaction: one fsync for many hosts, and a short wait for ingest, which shares the writer.
const JOBS_MAX: usize = 128;

/// Sources held in memory for them, in bytes.
const JOBS_BYTES_MAX: u64 = 16 << 20;

/// An hour, the length of what `host_hourly` sums up.
const HOUR_MS: i64 = 3_600_000;

const ALWAYS: Span = Span {
    from: Timestamp::from_unix_ms(i64::MIN),
    to: Timestamp::from_unix_ms(i64::MAX),
};

/// Sources of a job, as bytes.
#[derive(Debug, Default)]
struct Sources {
    recent: Vec<Vec<u8>>,
    segments: Vec<Vec<u8>>,
    into: Vec<Vec<u8>>,
}

/// What a job came to.
#[derive(Debug, Default)]
struct Outcome {
    segment: Option<NewSegment>,
    leftover: Option<Leftover>,
    hourly: Vec<HourlyRow>,
}

/// A job that is due.
pub(super) struct Planned {
    host: HostId,
    job: Job,
    /// Of its sources.
    bytes: u64,
}

/// A job with everything it needs.
struct Task {
    host: HostId,
    job: Job,
    sources: Sources,
    spaces: Arc<HashMap<EntityNumber, Entity>>,
}

/// A job and what came of it.
type Done = (HostId, Job, Outcome);

/// Cuts jobs into parts that are done in one transaction each.
pub(super) fn parts(jobs: Vec<Planned>) -> Vec<Vec<Planned>> {
    let mut parts: Vec<Vec<Planned>> = Vec::new();
    let mut bytes = 0_u64;
    for planned in jobs {
        bytes = bytes.saturating_add(planned.bytes);
        match parts.last_mut() {
            Some(part) if part.len() < JOBS_MAX && bytes <= JOBS_BYTES_MAX => part.push(planned),
            _ => {
                bytes = planned.bytes;
                parts.push(vec![planned]);
            }
        }
    }
    parts
}

impl Compactor {
    /// What is due for hosts of `page`, and which of them were looked at: one at least.
    pub(super) async fn due_jobs(
        &self,
        page: &[HostId],
        now: Timestamp,
    ) -> Result<(Vec<HostId>, Vec<Planned>), StoreError> {
        let mut tx = self.app.store.read().await?;
        let heads = tx.history_heads(page, ALWAYS, RECENT_MAX).await?;
        drop(tx);
        let cutoffs = self.policy.retention.cutoffs(now, &self.days);
        let mut looked_at: Vec<HostId> = heads.keys().copied().collect();
        looked_at.sort_unstable();
        let mut due = Vec::new();
        for host in &looked_at {
            let Some(heads) = heads.get(host) else {
                continue;
            };
            let (recent, segments) = self.intact(*host, heads);
            let jobs = plan(&recent, &segments, &self.policy, cutoffs, now);
            if jobs.is_empty() {
                continue;
            }
            let sizes = Sizes::of(heads);
            due.extend(jobs.into_iter().map(|job| Planned {
                host: *host,
                bytes: sizes.sum(&job),
                job,
            }));
        }
        Ok((looked_at, due))
    }

    /// What of a host's history is not known to be damaged.
    fn intact(&self, host: HostId, heads: &HistoryHeads) -> (Vec<RecentMeta>, Vec<SegmentMeta>) {
        let recent = heads.recent.iter().map(|head| RecentMeta {
            id: head.id.get(),
            first: head.first_at,
            last: head.last_at,
        });
        let segments = heads.segments.iter().map(|head| SegmentMeta {
            id: head.id.get(),
            tier: history_tier(head.tier),
            window: Window {
                from: head.span.from,
                to: head.span.to,
            },
            bytes: head.size_bytes,
        });
        (
            recent
                .filter(|row| !self.damaged.contains(&Damaged::Recent(host, row.id)))
                .collect(),
            segments
                .filter(|segment| !self.damaged.contains(&Damaged::Segment(host, segment.id)))
                .collect(),
        )
    }

    /// Does `jobs` and puts the outcomes in the place of the sources, all in one transaction; says how many were done.
    /// Where another compactor was there first, the next activation plans with what it left.
    pub(super) async fn run_jobs(
        &mut self,
        jobs: Vec<Planned>,
        term: &Term,
    ) -> Result<u64, StoreError> {
        let mut tx = self.app.store.read().await?;
        let tasks = load(&mut tx, jobs).await?;
        drop(tx);
        let work = move || {
            let worked = tasks.into_iter().map(|task| {
                let outcome = run(&task.job, &task.sources, &task.spaces);
                (task.host, task.job, outcome)
            });
            worked.collect::<Vec<_>>()
        };
        let Ok(worked) = self.app.life.spawn_blocking(work).await else {
            tracing::error!("compaction jobs ended abnormally");
            return Ok(0);
        };
        let mut done = Vec::with_capacity(worked.len());
        for (host, job, outcome) in worked {
            match outcome {
                Ok(outcome) => done.push((host, job, outcome)),
                Err(error) => self.set_aside(host, &job, &error),
            }
        }
        match self.replace(&done, term).await {
            Ok(()) => Ok(done.len() as u64),
            Err(StoreError::Stale { .. }) => self.replace_one_by_one(&done, term).await,
            Err(error) => Err(error),
        }
    }

    async fn replace_one_by_one(&self, done: &[Done], term: &Term) -> Result<u64, StoreError> {
        let mut replaced = 0;
        for one in done.chunks(1) {
            match self.replace(one, term).await {
                Ok(()) => replaced += 1,
                Err(StoreError::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(replaced)
    }

    async fn replace(&self, done: &[Done], term: &Term) -> Result<(), StoreError> {
        if done.is_empty() {
            return Ok(());
        }
        let mut tx = self.app.begin_in(term).await?;
        replace_in(&mut tx, done).await?;
        tx.commit().await?;
        for (host, job, _) in done {
            if let Job::Discard { recent } = job {
                let text = format!(
                    "{} batch(es) of samples came later than raw history is kept, and were not kept",
                    recent.len()
                );
                self.app.note(Some(*host), NoticeKind::SamplesDropped, text);
            }
        }
        Ok(())
    }

    /// Leaves what is damaged out of later plans, and says so once.
    fn set_aside(&mut self, host: HostId, job: &Job, error: &CompactError) {
        let damaged = match (error, job) {
            (CompactError::Recent { position, .. }, Job::Compact { recent, .. }) => {
                recent.get(*position).map(|id| Damaged::Recent(host, *id))
            }
            (
                CompactError::Segment { position, .. },
                Job::Compact { segments, .. } | Job::Merge { segments, .. },
            ) => segments
                .get(*position)
                .map(|id| Damaged::Segment(host, *id)),
            (CompactError::Segment { position, .. }, Job::RollUp { raw, into, .. }) => raw
                .iter()
                .chain(into)
                .nth(*position)
                .map(|id| Damaged::Segment(host, *id)),
            _ => None,
        };
        tracing::error!(%host, ?damaged, error = chain(error), "history cannot be compacted and stays as it is");
        self.app.note(
            Some(host),
            NoticeKind::Controller,
            format!("a part of this host's history is damaged: {}", chain(error)),
        );
        self.damaged.extend(damaged);
    }
}

/// Reads the sources of `jobs`.
async fn load(tx: &mut Tx, jobs: Vec<Planned>) -> Result<Vec<Task>, StoreError> {
    let sources = |planned: &Planned| {
        let (host, sources) = (planned.host, ids(&planned.job));
        let [recent, segments, into] = sources.map(|ids| ids.to_vec());
        (host, recent, [segments, into].concat())
    };
    let (mut of_recent, mut of_segments) = (Vec::new(), Vec::new());
    for (host, recent, segments) in jobs.iter().map(sources) {
        of_recent.extend(recent.into_iter().map(|id| (host, RecentId::of_number(id))));
        of_segments.extend(
            segments
                .into_iter()
                .map(|id| (host, SegmentId::of_number(id))),
        );
    }
    let mut recent = tx.recent_bodies(of_recent).await?;
    let mut segments = tx.segment_bodies(of_segments).await?;
    let mut hosts: Vec<HostId> = jobs
        .iter()
        .filter(|planned| sums_up_hours(&planned.job))
        .map(|planned| planned.host)
        .collect();
    hosts.dedup();
    let spaces = spaces_of(tx, &hosts).await?;
    let tasks = jobs.into_iter().map(|Planned { host, job, .. }| {
        let [of_recent, of_segments, of_into] = ids(&job);
        let mut take = |ids: &[i64]| -> Vec<Vec<u8>> {
            let bodies = ids
                .iter()
                .filter_map(|id| segments.remove(&SegmentId::of_number(*id)));
            bodies.collect()
        };
        let sources = Sources {
            segments: take(of_segments),
            into: take(of_into),
            recent: of_recent
                .iter()
                .filter_map(|id| recent.remove(&RecentId::of_number(*id)))
                .collect(),
        };
        Task {
            spaces: spaces.get(&host).cloned().unwrap_or_default(),
            host,
            job,
            sources,
        }
    });
    Ok(tasks.collect())
}

/// What a job reads: batches, segments, and segments of the tier that it writes. What is only deleted is not read.
fn ids(job: &Job) -> [&[i64]; 3] {
    match job {
        Job::Compact {
            recent, segments, ..
        } => [recent, segments, &[]],
        Job::Merge { segments, .. } => [&[], segments, &[]],
        Job::RollUp { raw, into, .. } => [&[], raw, into],
        Job::Delete { .. } | Job::Discard { .. } => [&[], &[], &[]],
    }
}

/// Bytes of what is stored of a host, by id.
struct Sizes {
    recent: HashMap<i64, u64>,
    segments: HashMap<i64, u64>,
}

impl Sizes {
    fn of(heads: &HistoryHeads) -> Self {
        let recent = heads.recent.iter();
        let segments = heads.segments.iter();
        Self {
            recent: recent
                .map(|head| (head.id.get(), head.size_bytes))
                .collect(),
            segments: segments
                .map(|head| (head.id.get(), head.size_bytes))
                .collect(),
        }
    }

    /// Of a job's sources.
    fn sum(&self, job: &Job) -> u64 {
        let [recent, segments, into] = ids(job);
        let of_recent = recent.iter().filter_map(|id| self.recent.get(id));
        let of_segments = segments
            .iter()
            .chain(into)
            .filter_map(|id| self.segments.get(id));
        of_recent
            .chain(of_segments)
            .fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }
}

async fn replace_in(tx: &mut Tx, done: &[Done]) -> Result<(), StoreError> {
    let changes: Vec<Replacement> = done
        .iter()
        .map(|(host, job, outcome)| {
            let (recent, segments) = gone(job);
            let put = outcome.segment.iter();
            Replacement {
                host: *host,
                recent,
                segments,
                put: put.map(|segment| stored(*host, segment.clone())).collect(),
            }
        })
        .collect();
    tx.history_replace(&changes).await?;
    let leftovers: Vec<NewRecent> = done
        .iter()
        .filter_map(|(host, _, outcome)| {
            let leftover = outcome.leftover.as_ref()?;
            Some(NewRecent {
                host: *host,
                first_at: leftover.first,
                last_at: leftover.last,
                points: u32::try_from(leftover.points).unwrap_or(u32::MAX),
                body: leftover.bytes.clone(),
            })
        })
        .collect();
    tx.recent_append(&leftovers).await?;
    // Of an hour that two jobs touched, the later one counts.
    let mut hourly = BTreeMap::new();
    for (host, _, outcome) in done {
        for row in &outcome.hourly {
            hourly.insert(
                (*host, row.hour, row.space.clone()),
                hourly_row(*host, row.clone()),
            );
        }
    }
    let hourly: Vec<_> = hourly.into_values().collect();
    tx.host_hourly_upsert(&hourly).await
}

/// Whether a job's outcome covers whole hours, which `host_hourly` is made of.
const fn sums_up_hours(job: &Job) -> bool {
    match job {
        Job::Compact { window, .. } => window.length_ms() >= HOUR_MS,
        Job::Merge { .. } | Job::RollUp { .. } | Job::Delete { .. } | Job::Discard { .. } => false,
    }
}

fn run(
    job: &Job,
    sources: &Sources,
    entities: &HashMap<EntityNumber, Entity>,
) -> Result<Outcome, CompactError> {
    let mut outcome = Outcome::default();
    match job {
        Job::Compact { window, .. } => {
            let compacted = compact_window(
                *window,
                &slices(&sources.recent),
                &slices(&sources.segments),
            )?;
            if sums_up_hours(job) {
                outcome.hourly = hourly_rows(&compacted.table, |number| entities.get(&number));
            }
            outcome.segment = compacted.segment;
            outcome.leftover = compacted.leftover;
        }
        Job::Merge { tier, window, .. } => {
            outcome.segment = Some(merge(*tier, *window, &slices(&sources.segments))?)
        }
        Job::RollUp { tier, window, .. } => {
            outcome.segment = Some(roll_up(
                *tier,
                *window,
                &slices(&sources.segments),
                &slices(&sources.into),
            )?);
        }
        Job::Delete { .. } | Job::Discard { .. } => {}
    }
    Ok(outcome)
}

fn slices(bodies: &[Vec<u8>]) -> Vec<&[u8]> {
    bodies.iter().map(Vec::as_slice).collect()
}

/// What a job takes away.
fn gone(job: &Job) -> (Vec<RecentId>, Vec<SegmentId>) {
    match job {
        Job::Compact {
            recent, segments, ..
        } => (recent_ids(recent), segment_ids(segments)),
        Job::Merge { segments, .. } | Job::Delete { segments } => {
            (Vec::new(), segment_ids(segments))
        }
        Job::RollUp { into, .. } => (Vec::new(), segment_ids(into)),
        Job::Discard { recent } => (recent_ids(recent), Vec::new()),
    }
}

fn recent_ids(ids: &[i64]) -> Vec<RecentId> {
    ids.iter().copied().map(RecentId::of_number).collect()
}

fn segment_ids(ids: &[i64]) -> Vec<SegmentId> {
    ids.iter().copied().map(SegmentId::of_number).collect()
}

/// The port spaces in the dictionaries of `hosts`, which hours are summed up by.
async fn spaces_of(
    tx: &mut Tx,
    hosts: &[HostId],
) -> Result<HashMap<HostId, Arc<HashMap<EntityNumber, Entity>>>, StoreError> {
    let rows = tx.entities_of_kind(hosts, EntityKind::PortSpace).await?;
    let spaces = rows.into_iter().map(|(host, rows)| {
        let known = rows
            .into_iter()
            .filter_map(|row| Some((EntityNumber::new(row.number), Entity::from_text(&row.text)?)));
        (host, Arc::new(known.collect()))
    });
    Ok(spaces.collect())
}

fn stored(host: HostId, segment: NewSegment) -> tidemark_store::NewSegment {
    tidemark_store::NewSegment {
        host,
        tier: stored_tier(segment.tier),
        span: Span {
            from: segment.window.from,
            to: segment.window.to,
        },
        points: segment.cells,
        body: segment.bytes,
    }
}

fn hourly_row(host: HostId, row: HourlyRow) -> tidemark_store::HourlyRow {
    tidemark_store::HourlyRow {
        host,
        hour_at: row.hour,
        space: row.space,
        capacity: row.capacity,
        in_use_min: row.in_use_min,
        in_use_avg: row.in_use_avg,
        in_use_max: row.in_use_max,
        in_use_last: row.in_use_last,
        strong_max: row.strong_max,
        time_wait_max: row.time_wait_max,
        bound_max: row.bound_max,
    }
}
