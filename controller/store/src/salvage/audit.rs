//! The audit log of a damaged file: it goes on from the last entry that follows all those before it. A lost entry cannot be made
//! up, and a log with a hole would be one that proves nothing; what can be read behind the hole is handed out, to be kept elsewhere.

use sqlx::SqliteConnection;
use tidemark_model::audit_log::Chain;

use super::{Salvage, SalvageError, Salvaged};
use crate::Kept;
use crate::audit_log::kept_of;

/// The table of the log.
pub(super) const LOG: &str = "audit_log";
/// Where its entries wait, in a table that goes with the connection.
pub(super) const REST: &str = "salvaged_audit_log";

/// Entries that are read at once.
const PAGE: u32 = 1_000;
/// Signed checkpoints that are handed out.
const CHECKPOINTS_MAX: i64 = 1_000;

const HAS_LOG: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'audit_log')";
const MAKE: &str = "CREATE TEMP TABLE salvaged_audit_log (seq INTEGER NOT NULL PRIMARY KEY, at INTEGER NOT NULL, \
    who_kind TEXT NOT NULL, who_name TEXT NOT NULL, role TEXT, credential TEXT, address TEXT, what TEXT NOT NULL, \
    on_kind TEXT NOT NULL, on_id TEXT NOT NULL, on_host TEXT, outcome TEXT NOT NULL, detail TEXT NOT NULL, \
    prev BLOB NOT NULL, hash BLOB NOT NULL) STRICT";
const FORTH: &str = "SELECT seq, at, who_kind, who_name, role, credential, address, what, on_kind, on_id, on_host, outcome, \
    detail, prev, hash FROM salvaged_audit_log WHERE seq > $1 ORDER BY seq LIMIT $2";
const TAKE: &str = "INSERT INTO audit_log (seq, at, who_kind, who_name, role, credential, address, what, on_kind, on_id, on_host, \
    outcome, detail, prev, hash) SELECT seq, at, who_kind, who_name, role, credential, address, what, on_kind, on_id, on_host, \
    outcome, detail, prev, hash FROM salvaged_audit_log WHERE seq <= $1 ORDER BY seq";
const REST_COUNT: &str =
    "SELECT count(*), coalesce(max(seq), 0) FROM salvaged_audit_log WHERE seq > $1";
const SIGNED: &str =
    "SELECT size, note FROM audit_checkpoints WHERE size > $1 ORDER BY size LIMIT $2";
const HELD: &str = "SELECT max((SELECT coalesce(max(size), 0) FROM audit_checkpoints), \
    (SELECT coalesce(max(size), 0) FROM audit_witnesses))";
// They count entries that this log has no more, and it will have others in their place.
const UNSIGN: &str = "DELETE FROM audit_checkpoints WHERE size > $1";
const EXPORTED: &str = "UPDATE settings SET value = CAST($1 AS TEXT), generation = generation + 1 \
    WHERE key LIKE 'audit_export %' AND CAST(value AS INTEGER) > $1";

/// Makes the place where entries wait.
pub(super) async fn make_rest(draft: &mut SqliteConnection) -> Result<(), SalvageError> {
    sqlx::query(MAKE).execute(draft).await?;
    Ok(())
}

/// Lets the log take the entries that follow one another from the first.
pub(super) async fn settle(
    draft: &mut SqliteConnection,
    found: &mut Salvaged,
) -> Result<(), SalvageError> {
    let has_log: bool = sqlx::query_scalar(HAS_LOG).fetch_one(&mut *draft).await?;
    if !has_log {
        return Ok(());
    }
    let (mut chain, mut why) = (Chain::default(), None);
    'log: loop {
        let page = page(draft, chain.size(), PAGE).await?;
        if page.is_empty() {
            break;
        }
        for (_, entry) in page {
            let followed = entry
                .map_err(|error| error.to_string())
                .and_then(|entry| chain.take(&entry).map_err(|fault| fault.to_string()));
            if let Err(fault) = followed {
                why = Some(fault);
                break 'log;
            }
        }
    }
    let kept = chain.size();
    let place = i64::try_from(kept).unwrap_or(i64::MAX);
    sqlx::query(TAKE).bind(place).execute(&mut *draft).await?;
    let (cut, last): (i64, i64) = sqlx::query_as(REST_COUNT)
        .bind(place)
        .fetch_one(&mut *draft)
        .await?;
    let held: i64 = sqlx::query_scalar(HELD).fetch_one(&mut *draft).await?;
    let signed: Vec<(i64, String)> = sqlx::query_as(SIGNED)
        .bind(place)
        .bind(CHECKPOINTS_MAX)
        .fetch_all(&mut *draft)
        .await?;
    let log = found.tables.iter_mut().find(|table| table.name == LOG);
    let in_ranges = log.as_ref().is_some_and(|log| log.lost > 0);
    let known = [place, last, held].into_iter().max().unwrap_or_default();
    let newest = u64::try_from(known).unwrap_or_default();
    sqlx::query(UNSIGN).bind(place).execute(&mut *draft).await?;
    sqlx::query(EXPORTED)
        .bind(place)
        .execute(&mut *draft)
        .await?;
    if let Some(log) = log {
        let lost = log.lost.max(newest - kept);
        let newest = newest.max(kept + lost);
        if why.is_none() && (newest > kept || in_ranges) {
            why = Some(format!("entries after {kept} are lost"));
        }
        (log.kept, log.lost) = (kept, newest - kept);
        found.log.newest = newest;
    }
    found.log.kept = kept;
    found.log.cut = u64::try_from(cut).unwrap_or_default();
    found.log.why = why;
    found.log.checkpoints = signed.into_iter().map(|(_, note)| note).collect();
    Ok(())
}

async fn page(
    draft: &mut SqliteConnection,
    after: u64,
    limit: u32,
) -> Result<Vec<Kept>, SalvageError> {
    let rows = sqlx::query_as(FORTH)
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(draft)
        .await?;
    let kept: Result<Vec<Kept>, _> = rows.into_iter().map(kept_of).collect();
    Ok(kept?)
}

impl Salvage {
    /// Entries of the audit log that could be read and that the new log does not have, after that place.
    ///
    /// # Errors
    /// When the new file fails.
    pub async fn audit_rest(&mut self, after: u64, limit: u32) -> Result<Vec<Kept>, SalvageError> {
        page(&mut self.draft, after.max(self.found.log.kept), limit).await
    }
}
