//! Heads of recent batches, and bodies by id: what the compactor lists and takes.

use std::collections::HashMap;

use sqlx::FromRow;
use tidemark_model::{HostId, Timestamp};

use crate::tx::{on_conn, statements};
use crate::{RecentId, SegmentId, StoreError, Tx};

/// A batch of `recent` without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentHead {
    /// Its id.
    pub id: RecentId,
    /// Time of its first point.
    pub first_at: Timestamp,
    /// Time of its last point.
    pub last_at: Timestamp,
}

statements! {
    RECENT_HEADS = "SELECT id, first_at, last_at FROM recent WHERE host = $1 ORDER BY id LIMIT $2";
    RECENT_BODIES = "SELECT id, body FROM recent WHERE host = $1 AND id IN (SELECT value FROM json_each($2))",
        postgres "SELECT id, body FROM recent WHERE host = $1 AND id = ANY($2::bigint[])";
    SEGMENT_BODIES = "SELECT id, body FROM segments WHERE host = $1 AND id IN (SELECT value FROM json_each($2))",
        postgres "SELECT id, body FROM segments WHERE host = $1 AND id = ANY($2::bigint[])";
}

#[derive(FromRow)]
struct HeadRow {
    id: i64,
    first_at: i64,
    last_at: i64,
}

impl RecentId {
    /// The id of that number, as a plan names it.
    #[must_use]
    pub const fn of_number(number: i64) -> Self {
        Self(number)
    }
}

impl SegmentId {
    /// The id of that number, as a plan names it.
    #[must_use]
    pub const fn of_number(number: i64) -> Self {
        Self(number)
    }
}

impl Tx {
    /// The batches of one host in the order of arrival, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recent_heads(
        &mut self,
        host: HostId,
        limit: u32,
    ) -> Result<Vec<RecentHead>, StoreError> {
        let rows: Vec<HeadRow> = on_conn!(self, conn => sqlx::query_as(RECENT_HEADS)
            .bind(host.to_string())
            .bind(i64::from(limit))
            .fetch_all(conn).await?);
        Ok(rows
            .into_iter()
            .map(
                |HeadRow {
                     id,
                     first_at,
                     last_at,
                 }| RecentHead {
                    id: RecentId(id),
                    first_at: Timestamp::from_unix_ms(first_at),
                    last_at: Timestamp::from_unix_ms(last_at),
                },
            )
            .collect())
    }

    /// The bodies of these batches of one host, in the order of `ids`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when one of them is gone: another compactor was there.
    pub async fn recent_bodies(
        &mut self,
        host: HostId,
        ids: &[RecentId],
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let ids: Vec<i64> = ids.iter().map(|RecentId(id)| *id).collect();
        let rows: Vec<(i64, Vec<u8>)> = match self {
            Self::Sqlite(tx) => {
                sqlx::query_as(RECENT_BODIES.sqlite)
                    .bind(host.to_string())
                    .bind(json(&ids))
                    .fetch_all(&mut **tx)
                    .await?
            }
            Self::Postgres(tx) => {
                sqlx::query_as(RECENT_BODIES.postgres)
                    .bind(host.to_string())
                    .bind(&ids)
                    .fetch_all(&mut **tx)
                    .await?
            }
        };
        in_order(rows, &ids, "host's recent batch")
    }

    /// The bodies of these segments of one host, in the order of `ids`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when one of them is gone: another compactor was there.
    pub async fn segment_bodies(
        &mut self,
        host: HostId,
        ids: &[SegmentId],
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let ids: Vec<i64> = ids.iter().map(|SegmentId(id)| *id).collect();
        let rows: Vec<(i64, Vec<u8>)> = match self {
            Self::Sqlite(tx) => {
                sqlx::query_as(SEGMENT_BODIES.sqlite)
                    .bind(host.to_string())
                    .bind(json(&ids))
                    .fetch_all(&mut **tx)
                    .await?
            }
            Self::Postgres(tx) => {
                sqlx::query_as(SEGMENT_BODIES.postgres)
                    .bind(host.to_string())
                    .bind(&ids)
                    .fetch_all(&mut **tx)
                    .await?
            }
        };
        in_order(rows, &ids, "host's segment")
    }
}

fn json(ids: &[i64]) -> String {
    serde_json::Value::from_iter(ids.iter().copied()).to_string()
}

fn in_order(
    rows: Vec<(i64, Vec<u8>)>,
    ids: &[i64],
    what: &'static str,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut bodies: HashMap<i64, Vec<u8>> = rows.into_iter().collect();
    ids.iter()
        .map(|id| bodies.remove(id).ok_or(StoreError::Stale { what }))
        .collect()
}
