//! Documents that people apply, by version: the newest of a name holds, the others say who applied what before. What a
//! document says is not known here.

use sqlx::FromRow;
use tidemark_model::Timestamp;

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{News, StoreError, Tx};

const TABLE: Table = Table("document_versions");

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// What may be held of hosts' ports.
    Budget,
    /// What is asked for by itself when.
    Policy,
    /// When hosts may be maintained.
    Window,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Budget, Self::Policy, Self::Window];

    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Policy => "policy",
            Self::Window => "window",
        }
    }

    /// The name of several.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Budget => "budgets",
            Self::Policy => "policies",
            Self::Window => "windows",
        }
    }

    /// How often one may be applied with all versions kept: the oldest go first.
    pub const VERSIONS_MAX: u32 = 100;

    const fn stale(self) -> StoreError {
        StoreError::Stale {
            what: self.as_str(),
        }
    }
}

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

macro_rules! select_versions {
    ($rest:literal) => {
        concat!(
            "SELECT name, version, at, author, body FROM document_versions AS one WHERE kind = $1 ",
            $rest
        )
    };
}

statements! {
    APPEND = "INSERT INTO document_versions (kind, name, version, at, author, body) VALUES ($1, $2, $3, $4, $5, $6)";
    STANDING = select_versions!("AND body IS NOT NULL AND NOT EXISTS (SELECT 1 FROM document_versions AS newer \
        WHERE newer.kind = one.kind AND newer.name = one.name AND newer.version > one.version) ORDER BY name LIMIT $2");
    NEWEST = select_versions!("AND name = $2 ORDER BY version DESC LIMIT 1");
    PAGE = select_versions!("AND name = $2 ORDER BY version DESC LIMIT $3");
    // A deletion goes last of its name, so that no former version comes back.
    DELETE_BEFORE = "DELETE FROM document_versions WHERE (kind, name, version) IN \
        (SELECT kind, name, version FROM document_versions AS one WHERE at < $1 AND \
        (EXISTS (SELECT 1 FROM document_versions AS newer \
        WHERE newer.kind = one.kind AND newer.name = one.name AND newer.version > one.version) \
        OR (body IS NULL AND NOT EXISTS (SELECT 1 FROM document_versions AS older \
        WHERE older.kind = one.kind AND older.name = one.name AND older.version < one.version))) ORDER BY at LIMIT $2)";
    DELETE_BEYOND = "DELETE FROM document_versions WHERE kind = $1 AND name = $2 AND version <= $3";
}

#[derive(FromRow)]
struct VersionRow {
    name: String,
    version: i64,
    at: i64,
    author: String,
    body: Option<String>,
}

impl TryFrom<VersionRow> for DocumentVersion {
    type Error = StoreError;

    fn try_from(row: VersionRow) -> Result<Self, StoreError> {
        let VersionRow {
            name,
            version,
            at,
            author,
            body,
        } = row;
        Ok(Self {
            name,
            version: TABLE.unsigned("version", version)?,
            at: Timestamp::from_unix_ms(at),
            author,
            body,
        })
    }
}

impl Tx {
    /// Adds a version. The oldest ones beyond [`DocumentKind::VERSIONS_MAX`] go.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else added that version meanwhile.
    pub async fn document_append(
        &mut self,
        kind: DocumentKind,
        version: &DocumentVersion,
    ) -> Result<(), StoreError> {
        let name = columns::text("name of a document", &version.name)?;
        let author = columns::text("author of a document", &version.author)?;
        let body = version.body.as_deref();
        let body = body.map(|body| columns::text("document", body));
        let number = columns::signed("version of a document", version.version)?;
        let inserted = on_conn!(self, conn => sqlx::query(APPEND)
            .bind(kind.as_str()).bind(name).bind(number).bind(version.at.unix_ms()).bind(author)
            .bind(body.transpose()?)
            .execute(conn).await.map_err(StoreError::unless_exists(kind.as_str()))
            .map_err(|error| unless_stale(kind, error))?
            .rows_affected());
        one_row(inserted, kind.stale())?;
        let beyond = number.saturating_sub(i64::from(DocumentKind::VERSIONS_MAX));
        on_conn!(self, conn => sqlx::query(DELETE_BEYOND)
            .bind(kind.as_str()).bind(name).bind(beyond).execute(conn).await?.rows_affected());
        self.tell(News::Documents).await
    }

    /// The documents that hold, by name, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn documents_standing(
        &mut self,
        kind: DocumentKind,
        limit: u32,
    ) -> Result<Vec<DocumentVersion>, StoreError> {
        let rows: Vec<VersionRow> = on_conn!(self, conn => sqlx::query_as(STANDING)
            .bind(kind.as_str()).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(DocumentVersion::try_from).collect()
    }

    /// The newest version of a name, also when it is a deletion.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn document_newest(
        &mut self,
        kind: DocumentKind,
        name: &str,
    ) -> Result<Option<DocumentVersion>, StoreError> {
        let name = columns::text("name of a document", name)?;
        let row: Option<VersionRow> = on_conn!(self, conn => sqlx::query_as(NEWEST)
            .bind(kind.as_str()).bind(name).fetch_optional(conn).await?);
        row.map(DocumentVersion::try_from).transpose()
    }

    /// The versions of a name, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn document_versions(
        &mut self,
        kind: DocumentKind,
        name: &str,
    ) -> Result<Vec<DocumentVersion>, StoreError> {
        let name = columns::text("name of a document", name)?;
        let rows: Vec<VersionRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(kind.as_str()).bind(name).bind(i64::from(DocumentKind::VERSIONS_MAX))
            .fetch_all(conn).await?);
        rows.into_iter().map(DocumentVersion::try_from).collect()
    }

    /// Deletes versions of every kind from before `cutoff` that do not hold any more, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn document_versions_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }
}

fn unless_stale(kind: DocumentKind, error: StoreError) -> StoreError {
    if matches!(error, StoreError::AlreadyExists { .. }) {
        kind.stale()
    } else {
        error
    }
}
