//! The switch that stops every action: each time it was turned, by whom and why. The newest row is how it stands.

use sqlx::FromRow;
use tidemark_model::Timestamp;

use crate::columns;
use crate::tx::{on_conn, statements};
use crate::{News, StoreError, Tx};

/// One turn of the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockdownTurn {
    /// When.
    pub at: Timestamp,
    /// Whether every action is stopped from then on.
    pub is_stop: bool,
    /// By whom.
    pub author: String,
    /// Why.
    pub reason: String,
}

statements! {
    APPEND = "INSERT INTO lockdowns (at, stop, author, reason) VALUES ($1, $2, $3, $4)";
    // SQLite's transaction that writes is the only one anyway.
    LOCK = "SELECT CAST(1 AS BIGINT)", postgres "SELECT CAST(1 AS BIGINT) FROM (SELECT pg_advisory_xact_lock(7463656)) AS held";
    NEWEST = "SELECT at, stop, author, reason FROM lockdowns ORDER BY id DESC LIMIT $1";
}

#[derive(FromRow)]
struct TurnRow {
    at: i64,
    stop: i64,
    author: String,
    reason: String,
}

impl From<TurnRow> for LockdownTurn {
    fn from(row: TurnRow) -> Self {
        let TurnRow {
            at,
            stop,
            author,
            reason,
        } = row;
        Self {
            at: Timestamp::from_unix_ms(at),
            is_stop: stop != 0,
            author,
            reason,
        }
    }
}

impl Tx {
    /// Waits until no other transaction sends actions or turns the switch, and keeps others from it until this one ends.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn actions_lock(&mut self) -> Result<(), StoreError> {
        let _one: i64 = match self {
            Self::Sqlite(tx) => sqlx::query_scalar(LOCK.sqlite).fetch_one(&mut **tx).await?,
            Self::Postgres(tx) => {
                sqlx::query_scalar(LOCK.postgres)
                    .fetch_one(&mut **tx)
                    .await?
            }
        };
        Ok(())
    }

    /// Whether every action is stopped.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_locked(&mut self) -> Result<bool, StoreError> {
        let last = self.lockdown_turns(1).await?;
        Ok(last.iter().any(|turn| turn.is_stop))
    }

    /// Turns the switch.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn lockdown_turn(&mut self, turn: &LockdownTurn) -> Result<(), StoreError> {
        let author = columns::text("author of a lockdown", &turn.author)?;
        let reason = columns::text("reason of a lockdown", &turn.reason)?;
        on_conn!(self, conn => sqlx::query(APPEND)
            .bind(turn.at.unix_ms()).bind(i64::from(turn.is_stop)).bind(author).bind(reason)
            .execute(conn).await?.rows_affected());
        self.tell(News::Actions).await
    }

    /// The last turns of the switch, the newest first; none when it was never turned.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lockdown_turns(&mut self, limit: u32) -> Result<Vec<LockdownTurn>, StoreError> {
        let rows: Vec<TurnRow> = on_conn!(self, conn => sqlx::query_as(NEWEST)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        Ok(rows.into_iter().map(LockdownTurn::from).collect())
    }
}
