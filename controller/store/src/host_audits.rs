//! Audits of hosts: the newest one of each, and the history of what changed.

use sqlx::FromRow;
use tidemark_model::audit::{Drift, StandingFacts};
use tidemark_model::{HostId, Timestamp};

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// A fact that changed, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDrift {
    /// Its number; ascending in the order of arrival.
    pub id: i64,
    /// Whose.
    pub host: HostId,
    /// When the audit that found it was taken, on the controller's clock.
    pub at: Timestamp,
    /// Name of the fact; one of a newer release is told as it stands.
    pub fact: String,
    /// Of which of several things.
    pub item: Option<String>,
    /// How it was set, as people read it.
    pub was: String,
    /// How it is set.
    pub became: String,
}

/// Which changes.
#[derive(Clone, Copy, Debug)]
pub struct DriftQuery {
    /// Whose; `None` for the whole fleet.
    pub host: Option<HostId>,
    /// Only those before this one in the list: its time and its id.
    pub before: Option<(Timestamp, i64)>,
    /// Only from this time on.
    pub since: Option<Timestamp>,
    /// At most this many.
    pub limit: u32,
}

const AUDITS: Table = Table("host_audits");
const DRIFT: Table = Table("host_drift");

statements! {
    FIND = "SELECT content FROM host_audits WHERE host = $1";
    PUT = "INSERT INTO host_audits (host, taken_at, content) VALUES ($1, $2, $3) \
        ON CONFLICT (host) DO UPDATE SET taken_at = excluded.taken_at, content = excluded.content";
    APPEND = "INSERT INTO host_drift (host, at, fact, item, was, became) VALUES ($1, $2, $3, $4, $5, $6)";
    PAGE = "SELECT id, host, at, fact, item, was, became FROM host_drift WHERE (at, id) < ($1, $2) AND at >= $3 \
        ORDER BY at DESC, id DESC LIMIT $4";
    PAGE_OF_HOST = "SELECT id, host, at, fact, item, was, became FROM host_drift WHERE host = $5 \
        AND (at, id) < ($1, $2) AND at >= $3 ORDER BY at DESC, id DESC LIMIT $4";
    DELETE_BEFORE = "DELETE FROM host_drift WHERE (host, at, id) IN \
        (SELECT host, at, id FROM host_drift WHERE at < $1 ORDER BY at LIMIT $2)";
    DELETE_BEYOND = "DELETE FROM host_drift WHERE host = $1 AND (at, id) <= \
        (SELECT at, id FROM host_drift WHERE host = $1 ORDER BY at DESC, id DESC LIMIT 1 OFFSET $2)";
}

#[derive(FromRow)]
struct DriftRow {
    id: i64,
    host: String,
    at: i64,
    fact: String,
    item: Option<String>,
    was: String,
    became: String,
}

impl TryFrom<DriftRow> for StoredDrift {
    type Error = StoreError;

    fn try_from(row: DriftRow) -> Result<Self, StoreError> {
        let DriftRow {
            id,
            host,
            at,
            fact,
            item,
            was,
            became,
        } = row;
        Ok(Self {
            id,
            host: DRIFT.host("host", &host)?,
            at: Timestamp::from_unix_ms(at),
            fact,
            item,
            was,
            became,
        })
    }
}

impl Tx {
    /// What is known of a host's configuration; `None` before its first audit.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when another release wrote it, or the database fails.
    pub async fn host_audit(&mut self, host: HostId) -> Result<Option<StandingFacts>, StoreError> {
        let content: Option<(String,)> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(host.to_string()).fetch_optional(conn).await?);
        let standing = content.map(|(content,)| AUDITS.json("content", &content));
        standing.transpose()
    }

    /// Keeps what is known of a host's configuration, and what the newest audit changed. Its times are the controller's.
    /// Of a host's changes the newest `drift_max` are kept.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn host_audit_put(
        &mut self,
        host: HostId,
        standing: &StandingFacts,
        drifts: &[Drift],
        drift_max: u32,
    ) -> Result<(), StoreError> {
        let content = columns::json("audit of a host", standing)?;
        let host = host.to_string();
        let at = standing.taken_at.unix_ms();
        on_conn!(self, conn => sqlx::query(PUT)
            .bind(&host).bind(at).bind(&content).execute(conn).await?.rows_affected());
        for drift in drifts {
            let (was, became) = (drift.from.to_string(), drift.to.to_string());
            let item = drift.key.item.as_deref();
            on_conn!(self, conn => sqlx::query(APPEND)
                .bind(&host)
                .bind(at)
                .bind(drift.key.name.as_str())
                .bind(item.map(|item| columns::text("item of a fact", item)).transpose()?)
                .bind(columns::text("setting of a fact", &was)?)
                .bind(columns::text("setting of a fact", &became)?)
                .execute(conn).await?.rows_affected());
        }
        if !drifts.is_empty() {
            on_conn!(self, conn => sqlx::query(DELETE_BEYOND)
                .bind(&host).bind(i64::from(drift_max)).execute(conn).await?.rows_affected());
        }
        Ok(())
    }

    /// A page of changes, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drift_page(&mut self, query: &DriftQuery) -> Result<Vec<StoredDrift>, StoreError> {
        let (before_at, before_id) = query
            .before
            .map_or((i64::MAX, i64::MAX), |(at, id)| (at.unix_ms(), id));
        let since = query.since.map_or(i64::MIN, Timestamp::unix_ms);
        let limit = i64::from(query.limit);
        let rows: Vec<DriftRow> = match query.host {
            Some(host) => on_conn!(self, conn => sqlx::query_as(PAGE_OF_HOST)
                .bind(before_at).bind(before_id).bind(since).bind(limit).bind(host.to_string())
                .fetch_all(conn).await?),
            None => on_conn!(self, conn => sqlx::query_as(PAGE)
                .bind(before_at).bind(before_id).bind(since).bind(limit)
                .fetch_all(conn).await?),
        };
        rows.into_iter().map(StoredDrift::try_from).collect()
    }

    /// Deletes the oldest changes from before `cutoff`, at most `limit`. Answers how many; call again while it is `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drift_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }
}
