//! What each group of messages was told last, so that a restart repeats nothing.

use sqlx::FromRow;

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// A group as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationGroup {
    /// Names receiver, route and labels.
    pub key: String,
    /// Counts its changes, from 1.
    pub generation: u64,
    /// What was told, as JSON.
    pub body: String,
}

const TABLE: Table = Table("notification_groups");

statements! {
    ALL = "SELECT key, generation, body FROM notification_groups ORDER BY key LIMIT $1";
    INSERT = "INSERT INTO notification_groups (key, generation, body) VALUES ($1, 1, $2)";
    REPLACE = "UPDATE notification_groups SET body = $3, generation = generation + 1 WHERE key = $1 AND generation = $2";
    DELETE = "DELETE FROM notification_groups WHERE key = $1 AND generation = $2";
}

#[derive(FromRow)]
struct GroupRow {
    key: String,
    generation: i64,
    body: String,
}

impl Tx {
    /// All groups, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notification_groups_all(
        &mut self,
        limit: u32,
    ) -> Result<Vec<NotificationGroup>, StoreError> {
        let rows: Vec<GroupRow> = on_conn!(self, conn => sqlx::query_as(ALL)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter()
            .map(|row| {
                Ok(NotificationGroup {
                    key: row.key,
                    generation: TABLE.unsigned("generation", row.generation)?,
                    body: row.body,
                })
            })
            .collect()
    }

    /// Adds a group (`expected` 0), or replaces the one of that generation.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored generation is another one, [`StoreError::AlreadyExists`] when there is one.
    pub async fn notification_group_put(
        &mut self,
        key: &str,
        expected: u64,
        body: &str,
    ) -> Result<(), StoreError> {
        let key = columns::text("key of a group", key)?;
        let body = columns::text("body of a group", body)?;
        if expected == 0 {
            on_conn!(self, conn => sqlx::query(INSERT).bind(key).bind(body)
                .execute(conn).await.map_err(StoreError::unless_exists("group of messages"))?
                .rows_affected());
            return Ok(());
        }
        let expected = columns::signed("generation of a group", expected)?;
        let updated = on_conn!(self, conn => sqlx::query(REPLACE)
            .bind(key).bind(expected).bind(body).execute(conn).await?
            .rows_affected());
        one_row(
            updated,
            StoreError::Stale {
                what: "group of messages",
            },
        )
    }

    /// Forgets the group of that generation.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored generation is another one.
    pub async fn notification_group_delete(
        &mut self,
        key: &str,
        expected: u64,
    ) -> Result<(), StoreError> {
        let expected = columns::signed("generation of a group", expected)?;
        let deleted = on_conn!(self, conn => sqlx::query(DELETE)
            .bind(key).bind(expected).execute(conn).await?
            .rows_affected());
        one_row(
            deleted,
            StoreError::Stale {
                what: "group of messages",
            },
        )
    }
}
