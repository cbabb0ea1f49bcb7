//! One host's compaction: list, plan, work, replace.

use std::collections::HashMap;
use std::sync::Arc;

use tidemark_history::compact::{
    CompactError, Job, Leftover, NewSegment, compact_window, merge, plan, roll_up,
};
use tidemark_history::hourly::{HourlyRow, hourly_rows};
use tidemark_history::stored::{RecentMeta, SegmentMeta};
use tidemark_history::{EntityNumber, Window};
use tidemark_model::notice::NoticeKind;
use tidemark_model::{Entity, HostId, Timestamp};
use tidemark_store::{NewRecent, RecentId, Replacement, SegmentId, Span, StoreError, Term, Tx};

use super::{Compactor, Damaged, history_tier, stored_tier};
use crate::gateway::outcome::chain;

/// Batches of one host that are looked at in one activation; the rest waits for the next.
const RECENT_MAX: u32 = 20_000;

/// An hour, the length of what `host_hourly` sums up.
const HOUR_MS: i64 = 3_600_000;

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

/// A job with everything it needs.
pub(super) struct Task {
    host: HostId,
    job: Job,
    sources: Sources,
    entities: Arc<HashMap<EntityNumber, Entity>>,
}

/// A job and what came of it.
type Done = (HostId, Job, Outcome);

impl Task {
    /// Bytes that it holds in memory.
    pub(super) fn bytes(&self) -> usize {
        let Sources {
            recent,
            segments,
            into,
        } = &self.sources;
        let bodies = recent.iter().chain(segments).chain(into);
        bodies.map(Vec::len).sum()
    }
}

impl Compactor {
    /// What is due for one host, with its sources.
    pub(super) async fn due_tasks(
        &self,
        host: HostId,
        now: Timestamp,
    ) -> Result<Vec<Task>, StoreError> {
        let mut tx = self.app.store.read().await?;
        let (recent, segments) = self.list(&mut tx, host).await?;
        let cutoffs = self.policy.retention.cutoffs(now, &self.days);
        let jobs = plan(&recent, &segments, &self.policy, cutoffs, now);
        let mut entities = Arc::default();
        if jobs.iter().any(sums_up_hours) {
            entities = Arc::new(entities_of(&mut tx, host).await?);
        }
        let mut tasks = Vec::with_capacity(jobs.len());
        for job in jobs {
            let sources = load(&mut tx, host, &job).await?;
            tasks.push(Task {
                host,
                job,
                sources,
                entities: Arc::clone(&entities),
            });
        }
        Ok(tasks)
    }

    async fn list(
        &self,
        tx: &mut Tx,
        host: HostId,
    ) -> Result<(Vec<RecentMeta>, Vec<SegmentMeta>), StoreError> {
        let recent = tx.recent_heads(host, RECENT_MAX).await?;
        let always = Span {
            from: Timestamp::from_unix_ms(i64::MIN),
            to: Timestamp::from_unix_ms(i64::MAX),
        };
        let segments = tx.segment_heads(host, always).await?;
        let recent = recent.into_iter().map(|head| RecentMeta {
            id: head.id.get(),
            first: head.first_at,
            last: head.last_at,
        });
        let segments = segments.into_iter().map(|head| SegmentMeta {
            id: head.id.get(),
            tier: history_tier(head.tier),
            window: Window {
                from: head.span.from,
                to: head.span.to,
            },
            bytes: head.size_bytes,
        });
        Ok((
            recent
                .filter(|row| !self.damaged.contains(&Damaged::Recent(host, row.id)))
                .collect(),
            segments
                .filter(|segment| !self.damaged.contains(&Damaged::Segment(host, segment.id)))
                .collect(),
        ))
    }

    /// Does the work of `tasks` and puts the outcomes in the place of the sources, all in one transaction; says how
    /// many were done. Where another compactor was there first, the next activation plans with what it left.
    pub(super) async fn run_tasks(
        &mut self,
        tasks: Vec<Task>,
        term: &Term,
    ) -> Result<u64, StoreError> {
        let work = move || {
            let worked = tasks.into_iter().map(|task| {
                let outcome = run(&task.job, &task.sources, &task.entities);
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
        for (host, job, outcome) in done {
            replace_in(&mut tx, *host, job, outcome).await?;
        }
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

async fn load(tx: &mut Tx, host: HostId, job: &Job) -> Result<Sources, StoreError> {
    let mut sources = Sources::default();
    match job {
        Job::Compact {
            recent, segments, ..
        } => {
            sources.recent = tx.recent_bodies(host, &recent_ids(recent)).await?;
            sources.segments = tx.segment_bodies(host, &segment_ids(segments)).await?;
        }
        Job::Merge { segments, .. } => {
            sources.segments = tx.segment_bodies(host, &segment_ids(segments)).await?;
        }
        Job::RollUp { raw, into, .. } => {
            sources.segments = tx.segment_bodies(host, &segment_ids(raw)).await?;
            sources.into = tx.segment_bodies(host, &segment_ids(into)).await?;
        }
        Job::Delete { .. } | Job::Discard { .. } => {}
    }
    Ok(sources)
}

async fn replace_in(
    tx: &mut Tx,
    host: HostId,
    job: &Job,
    outcome: &Outcome,
) -> Result<(), StoreError> {
    let (recent, segments) = gone(job);
    let put: Vec<_> = outcome
        .segment
        .iter()
        .map(|segment| stored(host, segment.clone()))
        .collect();
    tx.segments_replace(&Replacement {
        host,
        recent: &recent,
        segments: &segments,
        put: &put,
    })
    .await?;
    if let Some(leftover) = &outcome.leftover {
        let row = NewRecent {
            host,
            first_at: leftover.first,
            last_at: leftover.last,
            points: 0,
            body: leftover.bytes.clone(),
        };
        tx.recent_append(&[row]).await?;
    }
    let hourly: Vec<_> = outcome
        .hourly
        .iter()
        .map(|row| hourly_row(host, row.clone()))
        .collect();
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

async fn entities_of(
    tx: &mut Tx,
    host: HostId,
) -> Result<HashMap<EntityNumber, Entity>, StoreError> {
    let rows = tx.entities_of(host).await?;
    let known = rows
        .into_iter()
        .filter_map(|row| Some((EntityNumber::new(row.number), Entity::from_text(&row.text)?)));
    Ok(known.collect())
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
