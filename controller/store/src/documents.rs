//! Documents that are applied as code, by version: the newest of a name holds, the others say who applied what before. What
//! a document says is not known here.

use sqlx::FromRow;
use tidemark_model::Timestamp;

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::on_conn;
use crate::{StoreError, Tx};

/// Versions of one document that are kept.
pub const DOCUMENT_VERSIONS_MAX: u64 = 100;

/// One version of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentVersion {
    /// Name of the document.
    pub name: String,
    /// Counts its changes, from 1.
    pub version: u64,
    /// When it was applied.
    pub at: Timestamp,
    /// By whom.
    pub author: String,
    /// The document as JSON; `None` where it was deleted.
    pub body: Option<String>,
}

/// The statements of one kind of document.
pub(crate) struct Documents {
    /// Its table.
    pub(crate) table: Table,
    /// Its kind, for errors.
    pub(crate) what: &'static str,
    pub(crate) append: &'static str,
    pub(crate) standing: &'static str,
    pub(crate) newest: &'static str,
    pub(crate) page: &'static str,
    pub(crate) delete_before: &'static str,
    pub(crate) delete_beyond: &'static str,
}

/// Declares the statements of a kind of document, and `DOCUMENTS` with them.
macro_rules! documents {
    ($table:literal, $what:literal) => {
        $crate::tx::statements! {
            APPEND = concat!("INSERT INTO ", $table, " (name, version, at, author, body) VALUES ($1, $2, $3, $4, $5)");
            STANDING = concat!("SELECT name, version, at, author, body FROM ", $table, " AS one WHERE body IS NOT NULL AND \
                NOT EXISTS (SELECT 1 FROM ", $table, " AS newer WHERE newer.name = one.name AND newer.version > one.version) \
                ORDER BY name LIMIT $1");
            NEWEST = concat!("SELECT name, version, at, author, body FROM ", $table, " WHERE name = $1 ORDER BY version DESC LIMIT 1");
            PAGE = concat!("SELECT name, version, at, author, body FROM ", $table, " WHERE name = $1 ORDER BY version DESC LIMIT $2");
            // A deletion goes last of its name, so that no former version comes back.
            DELETE_BEFORE = concat!("DELETE FROM ", $table, " WHERE (name, version) IN (SELECT name, version FROM ", $table, " AS one \
                WHERE at < $1 AND (EXISTS (SELECT 1 FROM ", $table, " AS newer WHERE newer.name = one.name AND newer.version > one.version) \
                OR (body IS NULL AND NOT EXISTS (SELECT 1 FROM ", $table, " AS older \
                WHERE older.name = one.name AND older.version < one.version))) ORDER BY at LIMIT $2)");
            DELETE_BEYOND = concat!("DELETE FROM ", $table, " WHERE name = $1 AND version <= $2");
        }

        const DOCUMENTS: $crate::documents::Documents = $crate::documents::Documents {
            table: $crate::columns::Table($table),
            what: $what,
            append: APPEND,
            standing: STANDING,
            newest: NEWEST,
            page: PAGE,
            delete_before: DELETE_BEFORE,
            delete_beyond: DELETE_BEYOND,
        };
    };
}
pub(crate) use documents;

#[derive(FromRow)]
struct VersionRow {
    name: String,
    version: i64,
    at: i64,
    author: String,
    body: Option<String>,
}

impl Documents {
    fn read(&self, row: VersionRow) -> Result<DocumentVersion, StoreError> {
        let VersionRow {
            name,
            version,
            at,
            author,
            body,
        } = row;
        Ok(DocumentVersion {
            name,
            version: self.table.unsigned("version", version)?,
            at: Timestamp::from_unix_ms(at),
            author,
            body,
        })
    }

    /// Adds a version. The oldest ones beyond [`DOCUMENT_VERSIONS_MAX`] go.
    pub(crate) async fn append(
        &self,
        tx: &mut Tx,
        version: &DocumentVersion,
    ) -> Result<(), StoreError> {
        let what = self.what;
        let name = columns::text("name of a document", &version.name)?;
        let author = columns::text("author of a document", &version.author)?;
        let body = version.body.as_deref();
        let body = body
            .map(|body| columns::text("document", body))
            .transpose()?;
        let number = columns::signed("version of a document", version.version)?;
        let stale = |error: StoreError| {
            if matches!(error, StoreError::AlreadyExists { .. }) {
                StoreError::Stale { what }
            } else {
                error
            }
        };
        let inserted = on_conn!(tx, conn => sqlx::query(self.append)
            .bind(name).bind(number).bind(version.at.unix_ms()).bind(author).bind(body)
            .execute(conn).await.map_err(StoreError::unless_exists(what))
            .map_err(stale)?
            .rows_affected());
        one_row(inserted, StoreError::Stale { what })?;
        let beyond = version.version.saturating_sub(DOCUMENT_VERSIONS_MAX);
        let beyond = columns::signed("version of a document", beyond)?;
        on_conn!(tx, conn => sqlx::query(self.delete_beyond)
            .bind(name).bind(beyond).execute(conn).await?.rows_affected());
        Ok(())
    }

    /// Those that hold, by name, at most `limit`.
    pub(crate) async fn standing(
        &self,
        tx: &mut Tx,
        limit: u32,
    ) -> Result<Vec<DocumentVersion>, StoreError> {
        let rows: Vec<VersionRow> = on_conn!(tx, conn => sqlx::query_as(self.standing)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(|row| self.read(row)).collect()
    }

    /// The newest version of a name, also when it is a deletion.
    pub(crate) async fn newest(
        &self,
        tx: &mut Tx,
        name: &str,
    ) -> Result<Option<DocumentVersion>, StoreError> {
        let name = columns::text("name of a document", name)?;
        let row: Option<VersionRow> = on_conn!(tx, conn => sqlx::query_as(self.newest)
            .bind(name).fetch_optional(conn).await?);
        row.map(|row| self.read(row)).transpose()
    }

    /// The versions of a name, newest first, at most `limit`.
    pub(crate) async fn versions(
        &self,
        tx: &mut Tx,
        name: &str,
        limit: u32,
    ) -> Result<Vec<DocumentVersion>, StoreError> {
        let name = columns::text("name of a document", name)?;
        let rows: Vec<VersionRow> = on_conn!(tx, conn => sqlx::query_as(self.page)
            .bind(name).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(|row| self.read(row)).collect()
    }

    /// Deletes versions from before `cutoff` that do not hold any more, at most `limit`. Answers how many.
    pub(crate) async fn delete_before(
        &self,
        tx: &mut Tx,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(tx, conn => sqlx::query(self.delete_before)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }
}
