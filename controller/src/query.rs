//! History queries over the store: reads the bytes that the engine's plan names, host by host, and lets it decode them
//! on a thread of its own. Knows the store and the engine; neither HTTP nor pages.

use std::ops::ControlFlow;
use std::sync::Arc;

use tidemark_history::query::{
    Executor, HostHistory, HostInfo, HostPlan, HostReading, Plan, Query, QueryError, QueryResult,
    Step, plan,
};
use tidemark_history::{EntityNumber, SegmentMeta, Window};
use tidemark_model::error_code::ApiError;
use tidemark_model::time::duration_ms;
use tidemark_model::{Entity, ErrorCode, HostId, Timestamp};
use tidemark_store::{EntityRow, SegmentHead, SegmentId, Span, StoreError, Tier, Tx};
use tokio::sync::mpsc;

use crate::app::App;

/// Queries that run at once; more wait for their place. Each may keep a core busy for seconds.
pub const PLACES: usize = 4;

/// Hosts that are read at a time, since trips to the database cost more than rows. A host's bytes are megabytes at most,
/// so a query holds tens of them.
const PAGE: usize = 16;

/// Hosts planned for at a time.
const PLAN_PAGE: usize = 256;

/// Pages of hosts whose bytes wait to be decoded.
const PAGES_AHEAD: usize = 1;

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
    /// Answers `query` about `hosts`. Reads a page of hosts at a time, so memory does not grow with the fleet.
    ///
    /// # Errors
    /// [`HistoryError`] when the query exceeds a limit or the store cannot be read.
    pub async fn query(&self, query: Query, hosts: &[HostId]) -> Result<QueryResult, HistoryError> {
        let _place = self
            .places
            .queries
            .acquire()
            .await
            .map_err(|_| HistoryError::Stopping)?;
        let mut tx = self.store.read().await?;
        let span = widest_span(&query);
        let mut histories = Vec::with_capacity(hosts.len());
        for page in hosts.chunks(PLAN_PAGE) {
            histories.extend(histories_of(&mut tx, page, span).await?);
        }
        let plan = plan(&query, &histories, self.clock.now())?;
        drop(histories);
        let asked = Arc::new((query, plan));
        let (bytes_tx, bytes_rx) = mpsc::channel(PAGES_AHEAD);
        let decoding = self.life.spawn_blocking({
            let asked = Arc::clone(&asked);
            move || decode(&asked.0, &asked.1, bytes_rx)
        });
        let read = self.read_hosts(&mut tx, &asked.0, &asked.1, bytes_tx).await;
        let result = decoding.await.map_err(|_| HistoryError::Stopping)??;
        read?;
        Ok(result)
    }

    /// Sends the bytes of the plan's hosts, page by page; ends early when nobody takes them any more.
    async fn read_hosts(
        &self,
        tx: &mut Tx,
        query: &Query,
        plan: &Plan,
        to: mpsc::Sender<Vec<HostBytes>>,
    ) -> Result<(), StoreError> {
        let kind = query.entities.kind.unwrap_or(query.metric.entity_kind());
        let places: Vec<(usize, &HostPlan)> = plan
            .hosts
            .iter()
            .enumerate()
            .filter(|(_, host_plan)| !host_plan.loads.is_empty())
            .collect();
        for page in places.chunks(PAGE) {
            let hosts: Vec<HostId> = page.iter().map(|(_, host_plan)| host_plan.host).collect();
            let mut entities = tx.entities_of_kind(&hosts, kind).await?;
            let mut asked = Vec::with_capacity(page.len());
            for (place, host_plan) in page {
                let entities = known(entities.remove(&host_plan.host).unwrap_or_default());
                let Some(info) = self.info_of(host_plan.host) else {
                    continue;
                };
                let matches = |(_, entity): &(EntityNumber, Entity)| {
                    query.entities.matches(query.metric, entity)
                };
                if entities.iter().any(matches) {
                    asked.push((*place, *host_plan, info, entities));
                }
            }
            let page = bytes_of(tx, asked).await?;
            if to.send(page).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn info_of(&self, id: HostId) -> Option<HostInfo> {
        self.live.read(id, |host| HostInfo {
            id,
            name: Arc::clone(&host.profile.name),
            labels: host.profile.labels.clone(),
        })
    }
}

fn decode(
    query: &Query,
    plan: &Plan,
    mut pages: mpsc::Receiver<Vec<HostBytes>>,
) -> Result<QueryResult, QueryError> {
    let mut executor = Executor::new(query, plan);
    while let Some(page) = pages.blocking_recv() {
        for host in page {
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

async fn histories_of(
    tx: &mut Tx,
    hosts: &[HostId],
    span: Span,
) -> Result<Vec<HostHistory>, StoreError> {
    let heads = tx.segment_heads(hosts, span).await?;
    let recent = tx.recent_bounds(hosts, span).await?;
    let histories = hosts.iter().map(|host| HostHistory {
        host: *host,
        recent: recent.get(host).copied(),
        segments: heads.get(host).into_iter().flatten().map(meta_of).collect(),
    });
    Ok(histories.collect())
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

fn known(rows: Vec<EntityRow>) -> Vec<(EntityNumber, Entity)> {
    let known = rows
        .into_iter()
        .filter_map(|row| Some((EntityNumber::new(row.number), Entity::from_text(&row.text)?)));
    known.collect()
}

/// A host that a query reads: its place in the plan, what to load, and what it is called.
type Asked<'p> = (usize, &'p HostPlan, HostInfo, Vec<(EntityNumber, Entity)>);

async fn bytes_of(tx: &mut Tx, asked: Vec<Asked<'_>>) -> Result<Vec<HostBytes>, StoreError> {
    let wanted = asked.iter().flat_map(|(_, host_plan, ..)| {
        let segments = host_plan.segments();
        segments.map(|id| (host_plan.host, SegmentId::of_number(id)))
    });
    let mut segments = tx.segment_bodies(wanted).await?;
    let mut page = Vec::with_capacity(asked.len());
    for (place, host_plan, info, entities) in asked {
        let ids = host_plan.segments();
        page.push(HostBytes {
            place,
            info,
            entities,
            segments: ids
                .filter_map(|id| Some((id, segments.remove(&SegmentId::of_number(id))?)))
                .collect(),
            recent: recent_of(tx, host_plan).await?,
        });
    }
    Ok(page)
}

async fn recent_of(tx: &mut Tx, host_plan: &HostPlan) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut found = Vec::new();
    for window in host_plan.recent() {
        let span = Span {
            from: window.from,
            to: window.to,
        };
        tx.recent_each(host_plan.host, span, |batch| {
            found.push((batch.id, batch.body));
            ControlFlow::Continue(())
        })
        .await?;
    }
    found.sort_unstable_by_key(|(id, _)| *id);
    found.dedup_by_key(|(id, _)| *id);
    Ok(found.into_iter().map(|(_, body)| body).collect())
}
