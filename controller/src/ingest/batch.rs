//! The open batch: what the next group commit writes, host by host.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_history::{Row, encode_recent};
use tidemark_model::delivery::GapReason;
use tidemark_model::notice::Notice;
use tidemark_model::sample::EventHit;
use tidemark_model::{HostId, Sample, Timestamp};
use tidemark_store::{Cursor, EntityRow, NewEvent, NewNotice, NewRecent};
use tokio::sync::oneshot;

use super::{IngestError, Opened};

/// Everything that waits for the same durable commit.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) hosts: BTreeMap<HostId, HostBatch>,
    /// Answers to sessions that wait for what came before them.
    pub(super) opens: Vec<(oneshot::Sender<Result<Opened, IngestError>>, Opened)>,
    pub(super) notices: Vec<Notice>,
    /// Rough size of the rows, in bytes.
    pub(super) bytes: usize,
}

/// One host's part.
#[derive(Debug, Default)]
pub(super) struct HostBatch {
    /// Until they are encoded.
    pub(super) rows: Vec<Row>,
    pub(super) recent: Vec<NewRecent>,
    pub(super) stored_rows: u64,
    pub(super) points: u64,
    pub(super) entities: Vec<EntityRow>,
    pub(super) samples: Vec<(Timestamp, Arc<Sample>)>,
    pub(super) events: Vec<StagedEvent>,
    /// Records lost for good, counted for the first time.
    pub(super) gaps: Vec<(GapReason, u64)>,
}

/// An event on its way into the store.
#[derive(Debug)]
pub(super) struct StagedEvent {
    /// On the controller's clock.
    pub(super) at: Timestamp,
    pub(super) hit: EventHit,
    /// Whether the commit stored it; a record of the host's log that was told before is stored already.
    pub(super) is_new: bool,
}

/// A host's part as the store takes it.
pub(super) struct HostWrite<'a> {
    pub(super) recent: &'a [NewRecent],
    pub(super) entities: &'a [EntityRow],
    pub(super) events: Vec<NewEvent<'a>>,
    pub(super) cursor: Cursor,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.opens.is_empty() && self.notices.is_empty()
    }

    pub(super) fn new_notices(&self) -> Vec<NewNotice> {
        self.notices
            .iter()
            .map(|notice| NewNotice {
                at: notice.at,
                host: notice.host,
                kind: notice.kind,
                text: notice.text.clone(),
            })
            .collect()
    }
}

impl HostBatch {
    /// Encodes the rows; says how many cannot be, whatever their company.
    pub(super) fn encode(&mut self, host: HostId) -> u64 {
        let mut unencodable = 0;
        let rows = std::mem::take(&mut self.rows);
        self.stored_rows = rows.len() as u64;
        self.points = rows.iter().map(|row| row.points.len() as u64).sum();
        let mut pending = vec![rows.as_slice()];
        while let Some(rows) = pending.pop() {
            let Some(at) = rows
                .iter()
                .map(|row| row.at)
                .min()
                .zip(rows.iter().map(|row| row.at).max())
            else {
                continue;
            };
            match encode_recent(rows) {
                Ok(body) => self.recent.push(NewRecent {
                    host,
                    first_at: at.0,
                    last_at: at.1,
                    points: rows
                        .iter()
                        .map(|row| u32::try_from(row.points.len()).unwrap_or(u32::MAX))
                        .fold(0, u32::saturating_add),
                    body,
                }),
                Err(error) if rows.len() == 1 => {
                    tracing::warn!(%host, %error, "a sample does not fit the history's format");
                    unencodable += 1;
                }
                // Together they are beyond the format's limits: each half may fit.
                Err(_) => {
                    let (former, latter) = rows.split_at(rows.len() / 2);
                    pending.extend([latter, former]);
                }
            }
        }
        self.stored_rows = self.stored_rows.saturating_sub(unencodable);
        unencodable
    }

    /// What the store is to take for this host.
    pub(super) fn write(&self, cursor: Cursor) -> HostWrite<'_> {
        HostWrite {
            recent: &self.recent,
            entities: &self.entities,
            events: self
                .events
                .iter()
                .map(|event| NewEvent {
                    host: cursor.host,
                    at: event.at,
                    hit: &event.hit,
                })
                .collect(),
            cursor,
        }
    }
}
