//! History queries over the store: reads the bytes that the engine's plan names, host by host, and lets it decode them
//! on a thread of its own. Knows the store and the engine; neither HTTP nor pages.

use std::ops::ControlFlow;
use std::sync::Arc;

use tidemark_history::query::{
    Executor, HostHistory, HostInfo, HostReading, Plan, Query, QueryError, QueryResult, Step, plan,
};
use tidemark_history::{EntityNumber, SegmentMeta, Window};
use tidemark_model::entity::EntityKind;
use tidemark_model::error_code::ApiError;
use tidemark_model::time::duration_ms;
use tidemark_model::{Entity, ErrorCode, HostId, Timestamp};
use tidemark_store::{SegmentHead, Span, StoreError, Tier, Tx};
use tokio::sync::mpsc;

use crate::app::App;

/// Queries that run at once; more wait for their place. Each may keep a core busy for seconds.
pub const PLACES: usize = 4;

/// Hosts whose bytes wait to be decoded. A host's bytes are megabytes at most, so a query holds tens of them.
const HOSTS_AHEAD: usize = 2;

/// Beyond the range that is asked for, a plan may widen steps to a whole hour.
const WIDENING_MS: i64 = 3_600_000;

/// Why a query is not answered.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The engine refuses it.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The controller is stopping, or the thread that decodes is gone.
    #[error("the controller is shutting down; ask again later")]
    Stopping,
}

impl ApiError for HistoryError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Query(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Stopping => ErrorCode::Unavailable,
        }
    }
}

/// The bytes of one host, in the order that the engine wants them in.
struct HostBytes {
    place: usize,
    info: HostInfo,
    entities: Vec<(EntityNumber, Entity)>,
    segments: Vec<(i64, Vec<u8>)>,
    recent: Vec<Vec<u8>>,
}

impl App {
    /// Answers `query` about `hosts`. Reads one host at a time, so memory does not grow with the fleet.
    ///
    /// # Errors
    /// [`HistoryError`] when the query exceeds a limit or the store cannot be read.
    pub async fn query(&self, query: Query, hosts: &[HostId]) -> Result<QueryResult, HistoryError> {
        let _place = self
            .query_places
            .acquire()
            .await
            .map_err(|_| HistoryError::Stopping)?;
        let mut tx = self.store.read().await?;
        let span = widest_span(&query);
        let mut histories = Vec::with_capacity(hosts.len());
        for host in hosts {
            histories.push(history_of(&mut tx, *host, span).await?);
        }
        let plan = plan(&query, &histories, self.clock.now())?;
        drop(histories);
        let asked = Arc::new((query, plan));
        let (bytes_tx, bytes_rx) = mpsc::channel(HOSTS_AHEAD);
        let decoding = self.life.spawn_blocking({
            let asked = Arc::clone(&asked);
            move || decode(&asked.0, &asked.1, bytes_rx)
        });
        let read = self.read_hosts(&mut tx, &asked.0, &asked.1, bytes_tx).await;
        let result = decoding.await.map_err(|_| HistoryError::Stopping)??;
        read?;
        Ok(result)
    }

    /// Sends the bytes of each host of the plan; ends early when nobody takes them any more.
    async fn read_hosts(
        &self,
        tx: &mut Tx,
        query: &Query,
        plan: &Plan,
        to: mpsc::Sender<HostBytes>,
    ) -> Result<(), StoreError> {
        let kind = query.entities.kind.unwrap_or(query.metric.entity_kind());
        for (place, host_plan) in plan.hosts.iter().enumerate() {
            let id = host_plan.host;
            let info = self.live.read(id, |host| HostInfo {
                id,
                name: Arc::clone(&host.profile.name),
                labels: host.profile.labels.clone(),
            });
            let Some(info) = info.filter(|_| !host_plan.loads.is_empty()) else {
                continue;
            };
            let entities = entities_of(tx, id, kind).await?;
            if !entities
                .iter()
                .any(|(_, entity)| query.entities.matches(query.metric, entity))
            {
                continue;
            }
            let bytes = HostBytes {
                place,
                info,
                entities,
                segments: segments_of(tx, id, host_plan).await?,
                recent: recent_of(tx, id, host_plan).await?,
            };
            if to.send(bytes).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn decode(
    query: &Query,
    plan: &Plan,
    mut hosts: mpsc::Receiver<HostBytes>,
) -> Result<QueryResult, QueryError> {
    let mut executor = Executor::new(query, plan);
    while let Some(host) = hosts.blocking_recv() {
        let Some(host_plan) = plan.hosts.get(host.place) else {
            continue;
        };
        let entities = host
            .entities
            .iter()
            .map(|(number, entity)| (*number, entity));
        let mut reading = HostReading::new(query, plan, host_plan, host.info, entities);
        for (id, body) in &host.segments {
            reading.segment(*id, body)?;
        }
        for body in &host.recent {
            reading.recent(body)?;
        }
        executor.add(reading.finish())?;
    }
    Ok(executor.finish())
}

/// Everything that any step of the query, or of what it is compared with, can need.
fn widest_span(query: &Query) -> Span {
    let step_ms = match query.step {
        Step::Of(step) => duration_ms(step),
        // The engine's own choice of steps stays below a hundredth of the range.
        Step::Auto | Step::Whole => query.range.length_ms() / 100,
    };
    let margin_ms = step_ms.saturating_add(WIDENING_MS);
    let offset_ms = query.compare_offset.map_or(0, duration_ms);
    let earlier = |at: Timestamp, ms: i64| Timestamp::from_unix_ms(at.unix_ms().saturating_sub(ms));
    Span {
        from: earlier(query.range.from, margin_ms.saturating_add(offset_ms)),
        to: earlier(query.range.to, margin_ms.saturating_neg()),
    }
}

async fn history_of(tx: &mut Tx, host: HostId, span: Span) -> Result<HostHistory, StoreError> {
    let heads = tx.segment_heads(host, span).await?;
    Ok(HostHistory {
        host,
        recent: tx.recent_bounds(host, span).await?,
        segments: heads.iter().map(meta_of).collect(),
    })
}

const fn meta_of(head: &SegmentHead) -> SegmentMeta {
    SegmentMeta {
        id: head.id.get(),
        tier: match head.tier {
            Tier::Raw => tidemark_history::Tier::Raw,
            Tier::FiveMinutes => tidemark_history::Tier::FiveMinutes,
            Tier::Hour => tidemark_history::Tier::Hour,
        },
        window: Window {
            from: head.span.from,
            to: head.span.to,
        },
        bytes: head.size_bytes,
    }
}

async fn entities_of(
    tx: &mut Tx,
    host: HostId,
    kind: EntityKind,
) -> Result<Vec<(EntityNumber, Entity)>, StoreError> {
    let rows = tx.entities_of(host).await?;
    Ok(rows
        .into_iter()
        .filter(|row| row.kind == kind)
        .filter_map(|row| Some((EntityNumber::new(row.number), Entity::from_text(&row.text)?)))
        .collect())
}

async fn segments_of(
    tx: &mut Tx,
    host: HostId,
    host_plan: &tidemark_history::query::HostPlan,
) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let wanted: Vec<i64> = host_plan.segments().collect();
    let mut found: Vec<(i64, Vec<u8>)> = Vec::with_capacity(wanted.len());
    for tier in Tier::ALL {
        let loads = host_plan.loads.iter().filter(|load| {
            load.source != tidemark_history::query::Source::Recent
                && i64::from(load.tier.code()) == tier.number()
        });
        let Some(span) = loads
            .map(|load| Span {
                from: load.read.from,
                to: load.read.to,
            })
            .reduce(around)
        else {
            continue;
        };
        tx.segments_each(host, tier, span, |segment| {
            let id = segment.id.get();
            if wanted.binary_search(&id).is_ok() {
                found.push((id, segment.body));
            }
            ControlFlow::Continue(())
        })
        .await?;
    }
    found.sort_unstable_by_key(|(id, _)| *id);
    Ok(found)
}

async fn recent_of(
    tx: &mut Tx,
    host: HostId,
    host_plan: &tidemark_history::query::HostPlan,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut found = Vec::new();
    for window in host_plan.recent() {
        let span = Span {
            from: window.from,
            to: window.to,
        };
        tx.recent_each(host, span, |batch| {
            found.push((batch.id, batch.body));
            ControlFlow::Continue(())
        })
        .await?;
    }
    found.sort_unstable_by_key(|(id, _)| *id);
    found.dedup_by_key(|(id, _)| *id);
    Ok(found.into_iter().map(|(_, body)| body).collect())
}

fn around(one: Span, other: Span) -> Span {
    Span {
        from: one.from.min(other.from),
        to: one.to.max(other.to),
    }
}
