//! The dictionary of what a host's series are about: numbers for texts.

use std::collections::HashMap;

use sqlx::FromRow;
use tidemark_model::HostId;
use tidemark_model::entity::EntityKind;

use crate::batch::{BySize, all_rows, eight_rows, sixty_four_rows};
use crate::columns::{self, Table};
use crate::host_rows::host_texts;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// One entry of a host's dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityRow {
    /// The host.
    pub host: HostId,
    /// Its number, unique within the host.
    pub number: u32,
    /// Its kind.
    pub kind: EntityKind,
    /// Its text, unique within the host.
    pub text: String,
}

const TABLE: Table = Table("entities");

macro_rules! add_entities {
    ($rows:expr) => {
        concat!(
            "INSERT INTO entities (host, number, kind, text) VALUES ",
            $rows
        )
    };
}

statements! {
    ENTITIES_OF = "SELECT host, number, kind, text FROM entities WHERE host = $1 AND number > $2 \
        ORDER BY number LIMIT $3";
    OF_KIND = "SELECT host, number, kind, text FROM entities WHERE kind = $2 \
        AND host IN (SELECT value FROM json_each($1))",
        postgres "SELECT host, number, kind, text FROM entities WHERE kind = $2 AND host = ANY($1::text[])";
    ADD_64 = add_entities!(sixty_four_rows!("(?, ?, ?, ?)")), postgres ADD_ARRAYS;
    ADD_8 = add_entities!(eight_rows!("(?, ?, ?, ?)")), postgres ADD_ARRAYS;
    ADD_1 = add_entities!("(?, ?, ?, ?)"), postgres ADD_ARRAYS;
}

const ADD_ARRAYS: &str = "INSERT INTO entities (host, number, kind, text) \
    SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::text[])";

const ADD: BySize = BySize {
    sixty_four: ADD_64.sqlite,
    eight: ADD_8.sqlite,
    one: ADD_1.sqlite,
};

#[derive(FromRow)]
struct Row {
    host: String,
    number: i64,
    kind: String,
    text: String,
}

impl TryFrom<Row> for EntityRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let Row {
            host,
            number,
            kind,
            text,
        } = row;
        Ok(Self {
            host: TABLE.host("host", &host)?,
            number: TABLE.unsigned_32("number", number)?,
            kind: EntityKind::from_name(&kind).ok_or_else(|| TABLE.unreadable("kind", kind))?,
            text,
        })
    }
}

/// Entries of a dictionary read at a time.
const PAGE_ROWS: i64 = 10_000;

impl Tx {
    /// The whole dictionary of a host, by number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entities_of(&mut self, host: HostId) -> Result<Vec<EntityRow>, StoreError> {
        let mut entries: Vec<EntityRow> = Vec::new();
        loop {
            let after = entries.last().map_or(-1, |entry| i64::from(entry.number));
            let page: Vec<Row> = on_conn!(self, conn => sqlx::query_as(ENTITIES_OF)
                .bind(host.to_string()).bind(after).bind(PAGE_ROWS).fetch_all(conn).await?);
            if page.is_empty() {
                return Ok(entries);
            }
            for row in page {
                entries.push(row.try_into()?);
            }
        }
    }

    /// The entries of one kind of hosts' dictionaries, in any order; hosts without any are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entities_of_kind(
        &mut self,
        hosts: &[HostId],
        kind: EntityKind,
    ) -> Result<HashMap<HostId, Vec<EntityRow>>, StoreError> {
        let texts = host_texts(hosts);
        let rows: Vec<Row> = match self {
            Self::Sqlite(tx) => {
                sqlx::query_as(OF_KIND.sqlite)
                    .bind(serde_json::json!(texts).to_string())
                    .bind(kind.as_str())
                    .fetch_all(&mut **tx)
                    .await?
            }
            Self::Postgres(tx) => {
                sqlx::query_as(OF_KIND.postgres)
                    .bind(texts)
                    .bind(kind.as_str())
                    .fetch_all(&mut **tx)
                    .await?
            }
        };
        let mut of_hosts: HashMap<HostId, Vec<EntityRow>> = HashMap::new();
        for row in rows {
            let row = EntityRow::try_from(row)?;
            of_hosts.entry(row.host).or_default().push(row);
        }
        Ok(of_hosts)
    }

    /// Adds entries to hosts' dictionaries.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when a number or text of a host is taken: read its dictionary again.
    /// [`StoreError::MissingOwner`] when there is no such host.
    pub async fn entities_add(&mut self, entries: &[EntityRow]) -> Result<(), StoreError> {
        const WHAT: &str = "entity of the host";
        for entry in entries {
            columns::text("text of an entity", &entry.text)?;
        }
        let added = match self {
            Self::Sqlite(tx) => {
                let mut added = 0;
                for (statement, piece) in ADD.pieces(entries) {
                    let mut query = sqlx::query(statement);
                    for entry in piece {
                        query = query
                            .bind(entry.host.to_string())
                            .bind(i64::from(entry.number))
                            .bind(entry.kind.as_str())
                            .bind(entry.text.as_str());
                    }
                    let done = query.execute(&mut **tx).await;
                    let done = done.map_err(StoreError::unless_exists(WHAT))?;
                    added += done.rows_affected();
                }
                added
            }
            Self::Postgres(tx) => {
                let hosts: Vec<_> = entries.iter().map(|entry| entry.host.to_string()).collect();
                let numbers: Vec<_> = entries
                    .iter()
                    .map(|entry| i64::from(entry.number))
                    .collect();
                let kinds: Vec<_> = entries.iter().map(|entry| entry.kind.as_str()).collect();
                let texts: Vec<_> = entries.iter().map(|entry| entry.text.as_str()).collect();
                sqlx::query(ADD_1.postgres)
                    .bind(hosts)
                    .bind(numbers)
                    .bind(kinds)
                    .bind(texts)
                    .execute(&mut **tx)
                    .await
                    .map_err(StoreError::unless_exists(WHAT))?
                    .rows_affected()
            }
        };
        all_rows(
            added,
            entries.len(),
            StoreError::AlreadyExists { what: WHAT },
        )
    }
}
