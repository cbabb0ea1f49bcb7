//! Silences: made, ended, listed; forgotten some time after their end.

use sqlx::FromRow;
use tidemark_model::silence::{Matcher, Silence};
use tidemark_model::{HostScope, Timestamp};

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const TABLE: Table = Table("silences");

macro_rules! select_silences {
    ($rest:literal) => {
        concat!(
            "SELECT id, matchers, scope, starts_at, ends_at, author, reason, created_at FROM silences ",
            $rest
        )
    };
}

statements! {
    INSERT = "INSERT INTO silences (matchers, starts_at, ends_at, author, reason, created_at, scope) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id";
    // One that has ended stays as it was.
    END = "UPDATE silences SET ends_at = CASE WHEN ends_at > $2 THEN $2 ELSE ends_at END WHERE id = $1";
    FIND = select_silences!("WHERE id = $1");
    UNEXPIRED = select_silences!("WHERE ends_at > $1 ORDER BY id LIMIT $2");
    PAGE = select_silences!("WHERE id < $1 ORDER BY id DESC LIMIT $2");
    DELETE_BEFORE = "DELETE FROM silences WHERE id IN (SELECT id FROM silences WHERE ends_at < $1 ORDER BY ends_at LIMIT $2)";
}

#[derive(FromRow)]
struct SilenceRow {
    id: i64,
    matchers: String,
    scope: Option<String>,
    starts_at: i64,
    ends_at: i64,
    author: String,
    reason: String,
    created_at: i64,
}

impl TryFrom<SilenceRow> for Silence {
    type Error = StoreError;

    fn try_from(row: SilenceRow) -> Result<Self, StoreError> {
        let SilenceRow {
            id,
            matchers,
            scope,
            starts_at,
            ends_at,
            author,
            reason,
            created_at,
        } = row;
        let unreadable = || TABLE.unreadable("matchers", &matchers);
        let texts: Vec<String> = serde_json::from_str(&matchers).map_err(|_| unreadable())?;
        let read: Result<Vec<Matcher>, _> = texts.iter().map(|text| text.parse()).collect();
        let scope = HostScope::from_text(scope.as_deref())
            .map_err(|_| TABLE.unreadable("scope", scope.unwrap_or_default()))?;
        Ok(Self {
            id,
            matchers: read.map_err(|_| unreadable())?,
            scope,
            starts_at: Timestamp::from_unix_ms(starts_at),
            ends_at: Timestamp::from_unix_ms(ends_at),
            author,
            reason,
            created_at: Timestamp::from_unix_ms(created_at),
        })
    }
}

impl Tx {
    /// Adds a silence and answers its number.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn silence_insert(&mut self, silence: &Silence) -> Result<i64, StoreError> {
        let matchers = silence.matchers.iter().map(ToString::to_string);
        let matchers = serde_json::Value::from_iter(matchers).to_string();
        let author = columns::text("author of a silence", &silence.author)?;
        let reason = columns::text("reason of a silence", &silence.reason)?;
        Ok(on_conn!(self, conn => sqlx::query_scalar(INSERT)
            .bind(matchers)
            .bind(silence.starts_at.unix_ms())
            .bind(silence.ends_at.unix_ms())
            .bind(author)
            .bind(reason)
            .bind(silence.created_at.unix_ms())
            .bind(silence.scope.to_text())
            .fetch_one(conn).await?))
    }

    /// Ends a silence at `at`, unless it has ended before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn silence_end(&mut self, id: i64, at: Timestamp) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(END)
            .bind(id).bind(at.unix_ms()).execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::NotFound { what: "silence" })
    }

    /// The silence of that number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn silence_find(&mut self, id: i64) -> Result<Option<Silence>, StoreError> {
        let row: Option<SilenceRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(id).fetch_optional(conn).await?);
        row.map(Silence::try_from).transpose()
    }

    /// Silences that have not ended at `now`, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn silences_unexpired(
        &mut self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Silence>, StoreError> {
        let rows: Vec<SilenceRow> = on_conn!(self, conn => sqlx::query_as(UNEXPIRED)
            .bind(now.unix_ms()).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(Silence::try_from).collect()
    }

    /// A page of silences, newest first, those before the number `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn silences_page(
        &mut self,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Silence>, StoreError> {
        let rows: Vec<SilenceRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(before.unwrap_or(i64::MAX)).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(Silence::try_from).collect()
    }

    /// Deletes silences that ended before `cutoff`, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn silences_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }
}
