//! Which controllers run on this database. On Postgres time is the database's own, since controllers' clocks differ.

use std::time::Duration;

use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::time::duration_ms;

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{News, StoreError, Tx};

/// A controller, as it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerSeen {
    /// The process: the same name as holds the lease.
    pub holder: String,
    /// Its release.
    pub version: String,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// How long ago it last said that it is there.
    pub age: Duration,
    /// What time it is by the same clock.
    pub clock: Timestamp,
}

const TABLE: Table = Table("controllers");
/// Controllers that are read at most; a start deletes those that are long gone.
const ROWS_MAX: u32 = 100;

statements! {
    BEAT = "UPDATE controllers SET seen_at = $2 WHERE holder = $1",
        postgres "UPDATE controllers SET seen_at = CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) WHERE holder = $1";
    INSERT = "INSERT INTO controllers (holder, version, started_at, seen_at) VALUES ($1, $2, $3, $4)",
        postgres "INSERT INTO controllers (holder, version, started_at, seen_at) \
            VALUES ($1, $2, $3, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT))";
    ALL = "SELECT holder, version, started_at, max($2 - seen_at, 0) AS age, CAST($2 AS BIGINT) AS now FROM controllers \
        ORDER BY seen_at DESC, holder LIMIT $1",
        postgres "SELECT holder, version, started_at, \
            greatest(clock.now - seen_at, 0) AS age, clock.now AS now FROM controllers, \
            (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now) AS clock \
        ORDER BY seen_at DESC, holder LIMIT $1";
    DELETE = "DELETE FROM controllers WHERE holder = $1";
    DELETE_OLDER = "DELETE FROM controllers WHERE seen_at < $2 - $1",
        postgres "DELETE FROM controllers \
            WHERE seen_at < CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) - $1";
}

#[derive(FromRow)]
struct ControllerRow {
    holder: String,
    version: String,
    started_at: i64,
    age: i64,
    now: i64,
}

impl TryFrom<ControllerRow> for ControllerSeen {
    type Error = StoreError;

    fn try_from(row: ControllerRow) -> Result<Self, StoreError> {
        let ControllerRow {
            holder,
            version,
            started_at,
            age,
            now,
        } = row;
        Ok(Self {
            holder,
            version,
            started_at: Timestamp::from_unix_ms(started_at),
            age: Duration::from_millis(TABLE.unsigned("seen_at", age)?),
            clock: Timestamp::from_unix_ms(now),
        })
    }
}

impl Tx {
    /// Says that a controller is there; whether the database did not know of it: it has just started, or the table was emptied. `now`
    /// counts on SQLite alone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn controller_beat(
        &mut self,
        (holder, version): (&str, &str),
        started_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let holder = columns::text("name of a controller", holder)?;
        let version = columns::text("version of a controller", version)?;
        let known = match self {
            Self::Sqlite(tx) => {
                let beat = sqlx::query(BEAT.sqlite).bind(holder).bind(now.unix_ms());
                beat.execute(&mut **tx).await?.rows_affected()
            }
            Self::Postgres(tx) => {
                let beat = sqlx::query(BEAT.postgres).bind(holder);
                beat.execute(&mut **tx).await?.rows_affected()
            }
        };
        if known > 0 {
            return Ok(false);
        }
        match self {
            Self::Sqlite(tx) => {
                let insert = sqlx::query(INSERT.sqlite).bind(holder).bind(version);
                let insert = insert.bind(started_at.unix_ms()).bind(now.unix_ms());
                insert.execute(&mut **tx).await?;
            }
            Self::Postgres(tx) => {
                let insert = sqlx::query(INSERT.postgres).bind(holder).bind(version);
                let insert = insert.bind(started_at.unix_ms());
                insert.execute(&mut **tx).await?;
            }
        }
        Ok(true)
    }

    /// The controllers that the database knows of, at most 100, those first that were there last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn controllers_all(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<ControllerSeen>, StoreError> {
        let rows: Vec<ControllerRow> = match self {
            Self::Sqlite(tx) => {
                let all = sqlx::query_as(ALL.sqlite).bind(i64::from(ROWS_MAX));
                all.bind(now.unix_ms()).fetch_all(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let all = sqlx::query_as(ALL.postgres).bind(i64::from(ROWS_MAX));
                all.fetch_all(&mut **tx).await?
            }
        };
        rows.into_iter().map(ControllerSeen::try_from).collect()
    }

    /// Takes a controller off the list, which the others hear of: it ends.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn controller_leave(&mut self, holder: &str) -> Result<(), StoreError> {
        let holder = columns::text("name of a controller", holder)?;
        on_conn!(self, conn => sqlx::query(DELETE).bind(holder).execute(conn).await?.rows_affected());
        self.tell(News::Sessions).await
    }

    /// Takes those off the list that have not been there for longer than `age`; how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn controllers_delete_older(
        &mut self,
        age: Duration,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let age_ms = duration_ms(age);
        Ok(match self {
            Self::Sqlite(tx) => {
                let delete = sqlx::query(DELETE_OLDER.sqlite).bind(age_ms);
                let delete = delete.bind(now.unix_ms());
                delete.execute(&mut **tx).await?.rows_affected()
            }
            Self::Postgres(tx) => {
                let delete = sqlx::query(DELETE_OLDER.postgres).bind(age_ms);
                delete.execute(&mut **tx).await?.rows_affected()
            }
        })
    }
}
