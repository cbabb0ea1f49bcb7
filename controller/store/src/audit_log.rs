//! The audit log's entries: appended in the transaction of what they tell, one after the other, and never changed.

use sqlx::FromRow;
use tidemark_model::audit_log::{Deed, Digest, Doer, DoerKind, Entry, NewEntry, Outcome, Subject};
use tidemark_model::{HostId, Role, Timestamp};

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// Which entries, the newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only those before this one; `None` begins with the newest.
    pub before: Option<u64>,
    /// Only deeds of whoever is called so.
    pub who: Option<String>,
    /// Only these deeds.
    pub what: Option<Deed>,
    /// Only what came of it so.
    pub outcome: Option<Outcome>,
    /// Only about this host.
    pub host: Option<HostId>,
    /// Only from this time on.
    pub since: Option<Timestamp>,
    /// At most this many.
    pub limit: u32,
}

/// An entry, or what of it cannot be read because it was altered.
pub type Kept = (u64, Result<Entry, StoreError>);

const TABLE: Table = Table("audit_log");

macro_rules! select_entries {
    ($which:literal) => {
        concat!(
            "SELECT seq, at, who_kind, who_name, role, credential, address, what, on_kind, on_id, on_host, outcome, detail, \
             prev, hash FROM audit_log WHERE ",
            $which
        )
    };
}

statements! {
    // SQLite's transaction that writes is the only one anyway.
    LOCK = "SELECT CAST(1 AS BIGINT)", postgres "SELECT CAST(1 AS BIGINT) FROM (SELECT pg_advisory_xact_lock(7463657)) AS held";
    HEAD = "SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1";
    APPEND = "INSERT INTO audit_log (seq, at, who_kind, who_name, role, credential, address, what, on_kind, on_id, on_host, \
        outcome, detail, prev, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    FORTH = select_entries!("seq > $1 ORDER BY seq LIMIT $2");
    PAGE = select_entries!("seq < $1 AND at >= $2 AND (CAST($3 AS TEXT) IS NULL OR who_name = $3) \
        AND (CAST($4 AS TEXT) IS NULL OR what = $4) AND (CAST($5 AS TEXT) IS NULL OR outcome = $5) \
        AND (CAST($6 AS TEXT) IS NULL OR on_host = $6) ORDER BY seq DESC LIMIT $7");
    HASHES = "SELECT seq, hash FROM audit_log WHERE seq > $1 ORDER BY seq LIMIT $2";
}

/// An entry as it is stored, of whatever table.
#[derive(FromRow)]
pub(crate) struct EntryRow {
    seq: i64,
    at: i64,
    who_kind: String,
    who_name: String,
    role: Option<String>,
    credential: Option<String>,
    address: Option<String>,
    what: String,
    on_kind: String,
    on_id: String,
    on_host: Option<String>,
    outcome: String,
    detail: String,
    prev: Vec<u8>,
    hash: Vec<u8>,
}

impl TryFrom<EntryRow> for Entry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self, StoreError> {
        let EntryRow {
            seq,
            at,
            who_kind,
            who_name,
            role,
            credential,
            address,
            what,
            on_kind,
            on_id,
            on_host,
            outcome,
            detail,
            prev,
            hash,
        } = row;
        let read: std::collections::BTreeMap<String, String> = TABLE.json("detail", &detail)?;
        if columns::json("detail", &read)? != detail {
            return Err(TABLE.unreadable("detail", detail));
        }
        let role =
            role.map(|name| Role::from_name(&name).ok_or_else(|| TABLE.unreadable("role", name)));
        Ok(Self {
            seq: TABLE.unsigned("seq", seq)?,
            at_ms: Timestamp::from_unix_ms(at),
            who: Doer {
                kind: DoerKind::from_name(&who_kind)
                    .ok_or_else(|| TABLE.unreadable("who_kind", who_kind))?,
                name: who_name,
                role: role.transpose()?,
                credential,
                address,
            },
            what: Deed::from_name(&what).ok_or_else(|| TABLE.unreadable("what", what))?,
            on: Subject {
                kind: on_kind,
                id: on_id,
                host: on_host.map(|id| TABLE.host("on_host", &id)).transpose()?,
            },
            outcome: Outcome::from_name(&outcome)
                .ok_or_else(|| TABLE.unreadable("outcome", outcome))?,
            detail: read,
            prev: Digest::from_bytes(TABLE.hash("prev", prev)?),
            hash: Digest::from_bytes(TABLE.hash("hash", hash)?),
        })
    }
}

impl Tx {
    /// Appends an entry. On Postgres others who append wait until this transaction ends: do it last, after every other
    /// lock.
    ///
    /// # Errors
    /// When the database fails; commit nothing then.
    pub async fn audit_append(&mut self, entry: NewEntry) -> Result<Entry, StoreError> {
        let _one: i64 = match self {
            Self::Sqlite(tx) => sqlx::query_scalar(LOCK.sqlite).fetch_one(&mut **tx).await?,
            Self::Postgres(tx) => {
                sqlx::query_scalar(LOCK.postgres)
                    .fetch_one(&mut **tx)
                    .await?
            }
        };
        let (seq, prev) = self.audit_head().await?;
        let entry = entry.sealed(seq.saturating_add(1), prev);
        let detail = columns::json("detail", &entry.detail)?;
        on_conn!(self, conn => sqlx::query(APPEND)
            .bind(columns::signed("seq", entry.seq)?)
            .bind(entry.at_ms.unix_ms())
            .bind(entry.who.kind.as_str())
            .bind(&entry.who.name)
            .bind(entry.who.role.map(Role::as_str))
            .bind(&entry.who.credential)
            .bind(&entry.who.address)
            .bind(entry.what.as_str())
            .bind(&entry.on.kind)
            .bind(&entry.on.id)
            .bind(entry.on.host.map(|host| host.to_string()))
            .bind(entry.outcome.as_str())
            .bind(detail)
            .bind(&entry.prev.as_bytes()[..])
            .bind(&entry.hash.as_bytes()[..])
            .execute(conn).await?.rows_affected());
        Ok(entry)
    }

    /// Place and hash of the newest entry; 0 and zeros without any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_head(&mut self) -> Result<(u64, Digest), StoreError> {
        let head: Option<(i64, Vec<u8>)> = on_conn!(self, conn => sqlx::query_as(HEAD)
            .fetch_optional(conn).await?);
        match head {
            Some(row) => read_hash(row),
            None => Ok((0, Digest::ZERO)),
        }
    }

    /// Entries after that place, in their order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_after(&mut self, seq: u64, limit: u32) -> Result<Vec<Kept>, StoreError> {
        let rows: Vec<EntryRow> = on_conn!(self, conn => sqlx::query_as(FORTH)
            .bind(columns::signed("seq", seq)?).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(kept_of).collect()
    }

    /// A page of entries, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_page(&mut self, query: &AuditQuery) -> Result<Vec<Kept>, StoreError> {
        let before = query.before.and_then(|seq| i64::try_from(seq).ok());
        let rows: Vec<EntryRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(before.unwrap_or(i64::MAX))
            .bind(query.since.map_or(i64::MIN, Timestamp::unix_ms))
            .bind(&query.who)
            .bind(query.what.map(Deed::as_str))
            .bind(query.outcome.map(Outcome::as_str))
            .bind(query.host.map(|host| host.to_string()))
            .bind(i64::from(query.limit))
            .fetch_all(conn).await?);
        rows.into_iter().map(kept_of).collect()
    }

    /// Hashes of entries after that place, as they are stored, with their places.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_hashes(
        &mut self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Digest)>, StoreError> {
        let rows: Vec<(i64, Vec<u8>)> = on_conn!(self, conn => sqlx::query_as(HASHES)
            .bind(columns::signed("seq", after)?).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(read_hash).collect()
    }
}

/// An entry with its place, or what of it cannot be read.
pub(crate) fn kept_of(row: EntryRow) -> Result<Kept, StoreError> {
    Ok((TABLE.unsigned("seq", row.seq)?, Entry::try_from(row)))
}

fn read_hash((seq, hash): (i64, Vec<u8>)) -> Result<(u64, Digest), StoreError> {
    let hash = TABLE.hash("hash", hash)?;
    Ok((TABLE.unsigned("seq", seq)?, Digest::from_bytes(hash)))
}
