//! Signed checkpoints of the audit log, and the one that each host holds.

use sqlx::FromRow;
use tidemark_model::{HostId, Timestamp};

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// A checkpoint that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// How many entries it counts.
    pub size: u64,
    /// When it was signed.
    pub at: Timestamp,
    /// The signed note.
    pub note: String,
}

/// What a host holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Which host.
    pub host: HostId,
    /// When it said so, on the controller's clock.
    pub at: Timestamp,
    /// How many entries its checkpoint counts.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// Why it contradicts the log, when it does.
    pub fault: Option<String>,
}

const CHECKPOINTS: Table = Table("audit_checkpoints");
const WITNESSES: Table = Table("audit_witnesses");

statements! {
    INSERT = "INSERT INTO audit_checkpoints (size, at, note) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    NEWEST = "SELECT size, at, note FROM audit_checkpoints ORDER BY size DESC LIMIT $1";
    FORGET = "DELETE FROM audit_checkpoints WHERE size < \
        (SELECT min(size) FROM (SELECT size FROM audit_checkpoints ORDER BY size DESC LIMIT $1) AS kept)";
    PUT = "INSERT INTO audit_witnesses (host, at, size, note, fault) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (host) DO UPDATE SET at = excluded.at, size = excluded.size, note = excluded.note, fault = excluded.fault";
    PAGE = "SELECT host, at, size, note, fault FROM audit_witnesses WHERE host > $1 ORDER BY host LIMIT $2";
    CONTRADICTING = "SELECT host, at, size, note, fault FROM audit_witnesses WHERE fault IS NOT NULL ORDER BY host LIMIT $1";
    COUNT = "SELECT count(*), count(fault), coalesce(max(size), 0) FROM audit_witnesses";
}

#[derive(FromRow)]
struct CheckpointRow {
    size: i64,
    at: i64,
    note: String,
}

#[derive(FromRow)]
struct WitnessRow {
    host: String,
    at: i64,
    size: i64,
    note: String,
    fault: Option<String>,
}

impl TryFrom<WitnessRow> for Witness {
    type Error = StoreError;

    fn try_from(row: WitnessRow) -> Result<Self, StoreError> {
        let WitnessRow {
            host,
            at,
            size,
            note,
            fault,
        } = row;
        Ok(Self {
            host: WITNESSES.host("host", &host)?,
            at: Timestamp::from_unix_ms(at),
            size: WITNESSES.unsigned("size", size)?,
            note,
            fault,
        })
    }
}

/// How many hosts witness the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WitnessCount {
    /// Hosts that hold a checkpoint.
    pub hosts: u64,
    /// Those whose checkpoint contradicts the log.
    pub contradicting: u64,
    /// The largest size that any of them holds.
    pub size_max: u64,
}

impl Tx {
    /// Keeps a signed checkpoint, and of all of them the newest `keep`. The first one of its size stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_checkpoint_put(
        &mut self,
        checkpoint: &StoredCheckpoint,
        keep: u32,
    ) -> Result<(), StoreError> {
        let size = columns::signed("size of a checkpoint", checkpoint.size)?;
        on_conn!(self, conn => sqlx::query(INSERT)
            .bind(size).bind(checkpoint.at.unix_ms()).bind(&checkpoint.note)
            .execute(conn).await?.rows_affected());
        on_conn!(self, conn => sqlx::query(FORGET).bind(i64::from(keep)).execute(conn).await?.rows_affected());
        Ok(())
    }

    /// The newest checkpoints, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_checkpoints(
        &mut self,
        limit: u32,
    ) -> Result<Vec<StoredCheckpoint>, StoreError> {
        let rows: Vec<CheckpointRow> = on_conn!(self, conn => sqlx::query_as(NEWEST)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        let read = |CheckpointRow { size, at, note }: CheckpointRow| {
            Ok(StoredCheckpoint {
                size: CHECKPOINTS.unsigned("size", size)?,
                at: Timestamp::from_unix_ms(at),
                note,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Keeps what a host holds, in place of what it held before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_witness_put(&mut self, witness: &Witness) -> Result<(), StoreError> {
        let note = columns::text("note of a checkpoint", &witness.note)?;
        on_conn!(self, conn => sqlx::query(PUT)
            .bind(witness.host.to_string())
            .bind(witness.at.unix_ms())
            .bind(columns::signed("size of a checkpoint", witness.size)?)
            .bind(note)
            .bind(&witness.fault)
            .execute(conn).await?.rows_affected());
        Ok(())
    }

    /// A page of what hosts hold, by host.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_witnesses(
        &mut self,
        after: Option<HostId>,
        limit: u32,
    ) -> Result<Vec<Witness>, StoreError> {
        let after = after.map_or_else(String::new, |host| host.to_string());
        let rows: Vec<WitnessRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(after).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(Witness::try_from).collect()
    }

    /// Hosts whose checkpoint contradicts the log.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_contradictions(&mut self, limit: u32) -> Result<Vec<Witness>, StoreError> {
        let rows: Vec<WitnessRow> = on_conn!(self, conn => sqlx::query_as(CONTRADICTING)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(Witness::try_from).collect()
    }

    /// How many hosts hold what.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_witness_count(&mut self) -> Result<WitnessCount, StoreError> {
        let (hosts, contradicting, size): (i64, i64, i64) =
            on_conn!(self, conn => sqlx::query_as(COUNT).fetch_one(conn).await?);
        Ok(WitnessCount {
            hosts: WITNESSES.unsigned("host", hosts)?,
            contradicting: WITNESSES.unsigned("fault", contradicting)?,
            size_max: WITNESSES.unsigned("size", size)?,
        })
    }
}
