//! One host's compaction: list, plan, work, replace.

use std::collections::HashMap;

use tidemark_history::compact::{
    CompactError, Job, Leftover, NewSegment, compact_window, merge, plan, roll_up,
};
use tidemark_history::hourly::{HourlyRow, hourly_rows};
use tidemark_history::stored::{RecentMeta, SegmentMeta};
use tidemark_history::{EntityNumber, Window};
use tidemark_model::notice::NoticeKind;
use tidemark_model::{Entity, HostId, Timestamp};
use tidemark_store::{NewRecent, RecentId, Replacement, SegmentId, Span, StoreError, Tx};

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

impl Compactor {
    /// Does what is due for one host; says how many jobs that were.
    pub(super) async fn compact_host(
        &mut self,
        host: HostId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (recent, segments) = self.list(host).await?;
        let cutoffs = self.policy.retention.cutoffs(now, &[]);
        let jobs = plan(&recent, &segments, &self.policy, cutoffs, now);
        let mut done = 0;
        for job in jobs {
            match self.run_job(host, &job).await {
                Ok(true) => done += 1,
                Ok(false) => {}
                // Another compactor was there: the next activation plans with what it left.
                Err(StoreError::Stale { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    async fn list(&self, host: HostId) -> Result<(Vec<RecentMeta>, Vec<SegmentMeta>), StoreError> {
        let mut tx = self.app.store.read().await?;
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

    async fn run_job(&mut self, host: HostId, job: &Job) -> Result<bool, StoreError> {
        let (sources, entities) = self.load(host, job).await?;
        let work = job.clone();
        let worked = self
            .app
            .life
            .spawn_blocking(move || run(&work, &sources, &entities))
            .await;
        let outcome = match worked {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                self.set_aside(host, job, &error);
                return Ok(false);
            }
            Err(error) => {
                tracing::error!(%host, %error, "a compaction job ended abnormally");
                return Ok(false);
            }
        };
        self.replace(host, job, outcome).await?;
        Ok(true)
    }

    async fn load(
        &self,
        host: HostId,
        job: &Job,
    ) -> Result<(Sources, HashMap<EntityNumber, Entity>), StoreError> {
        let mut tx = self.app.store.read().await?;
        let mut sources = Sources::default();
        let mut entities = HashMap::new();
        match job {
            Job::Compact {
                window,
                recent,
                segments,
            } => {
                sources.recent = tx.recent_bodies(host, &recent_ids(recent)).await?;
                sources.segments = tx.segment_bodies(host, &segment_ids(segments)).await?;
                if window.length_ms() >= HOUR_MS {
                    entities = entities_of(&mut tx, host).await?;
                }
            }
            Job::Merge { segments, .. } => {
                sources.segments = tx.segment_bodies(host, &segment_ids(segments)).await?
            }
            Job::RollUp { raw, into, .. } => {
                sources.segments = tx.segment_bodies(host, &segment_ids(raw)).await?;
                sources.into = tx.segment_bodies(host, &segment_ids(into)).await?;
            }
            Job::Delete { .. } | Job::Discard { .. } => {}
        }
        Ok((sources, entities))
    }

    async fn replace(&self, host: HostId, job: &Job, outcome: Outcome) -> Result<(), StoreError> {
        let (recent, segments) = gone(job);
        let put: Vec<_> = outcome
            .segment
            .into_iter()
            .map(|segment| stored(host, segment))
            .collect();
        let mut tx = self.app.store.begin().await?;
        tx.segments_replace(&Replacement {
            host,
            recent: &recent,
            segments: &segments,
            put: &put,
        })
        .await?;
        if let Some(leftover) = outcome.leftover {
            let row = NewRecent {
                host,
                first_at: leftover.first,
                last_at: leftover.last,
                points: 0,
                body: leftover.bytes,
            };
            tx.recent_append(&[row]).await?;
        }
        let hourly: Vec<_> = outcome
            .hourly
            .into_iter()
            .map(|row| hourly_row(host, row))
            .collect();
        tx.host_hourly_upsert(&hourly).await?;
        tx.commit().await?;
        if let Job::Discard { recent } = job {
            let text = format!(
                "{} batch(es) of samples came later than raw history is kept, and were not kept",
                recent.len()
            );
            self.app.note(Some(host), NoticeKind::SamplesDropped, text);
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
            if window.length_ms() >= HOUR_MS {
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
