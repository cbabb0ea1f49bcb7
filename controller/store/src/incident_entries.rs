//! Time lines of incidents: what happened to each, in order.

use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::incident::{Entry, EntryKind};

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const TABLE: Table = Table("incident_entries");

statements! {
    APPEND = "INSERT INTO incident_entries (incident, at, kind, author, text) VALUES ($1, $2, $3, $4, $5)";
    NEWEST = "SELECT at, kind, author, text FROM incident_entries WHERE incident = $1 ORDER BY id DESC LIMIT $2";
}

#[derive(FromRow)]
struct EntryRow {
    at: i64,
    kind: String,
    author: Option<String>,
    text: String,
}

impl TryFrom<EntryRow> for Entry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self, StoreError> {
        let EntryRow {
            at,
            kind,
            author,
            text,
        } = row;
        Ok(Self {
            at: Timestamp::from_unix_ms(at),
            kind: EntryKind::from_name(&kind).ok_or_else(|| TABLE.unreadable("kind", kind))?,
            by: author,
            text,
        })
    }
}

impl Tx {
    /// Appends lines to an incident's time line, in the order given.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn incident_entries_append(
        &mut self,
        incident: i64,
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        for entry in entries {
            let text = columns::text("text of an entry", &entry.text)?;
            let author = entry.by.as_deref().unwrap_or_default();
            columns::text("author of an entry", author)?;
            on_conn!(self, conn => sqlx::query(APPEND)
                .bind(incident)
                .bind(entry.at.unix_ms())
                .bind(entry.kind.as_str())
                .bind(entry.by.as_deref())
                .bind(text)
                .execute(conn).await?.rows_affected());
        }
        Ok(())
    }

    /// The newest `limit` lines of an incident's time line, in the order in which they came.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incident_entries_newest(
        &mut self,
        incident: i64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<EntryRow> = on_conn!(self, conn => sqlx::query_as(NEWEST)
            .bind(incident).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().rev().map(Entry::try_from).collect()
    }
}
