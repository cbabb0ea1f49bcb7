//! Maintenance windows with their versions: who applied what, and when. What a window means is not known here.

use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::window::WindowSpec;

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// Versions of a window that are kept.
pub const WINDOW_VERSIONS_MAX: i64 = 100;

/// A window as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWindow {
    /// What was applied.
    pub spec: WindowSpec,
    /// Counts what was applied under its name, from 1, deletions included.
    pub version: u64,
    /// When it was applied.
    pub applied_at: Timestamp,
    /// Who applied it.
    pub applied_by: String,
}

/// One version of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowVersion {
    /// What was applied; `None` for the deletion.
    pub spec: Option<WindowSpec>,
    /// Its number.
    pub version: u64,
    /// When it was applied.
    pub applied_at: Timestamp,
    /// Who applied it.
    pub applied_by: String,
}

/// Who applies something, and when.
#[derive(Clone, Copy, Debug)]
pub struct Applying<'a> {
    /// Who.
    pub by: &'a str,
    /// When.
    pub at: Timestamp,
}

const TABLE: Table = Table("windows");

statements! {
    ALL = "SELECT version, applied_at, applied_by, spec FROM windows ORDER BY name LIMIT $1";
    FIND = "SELECT version, applied_at, applied_by, spec FROM windows WHERE name = $1";
    COUNT = "SELECT count(*) FROM windows";
    NEWEST = "SELECT coalesce(max(version), 0) FROM window_versions WHERE name = $1";
    INSERT = "INSERT INTO windows (name, version, applied_at, applied_by, spec) VALUES ($1, $2, $3, $4, $5)";
    REPLACE = "UPDATE windows SET version = $2, applied_at = $3, applied_by = $4, spec = $5 WHERE name = $1 AND version = $6";
    DELETE = "DELETE FROM windows WHERE name = $1 AND version = $2";
    APPEND = "INSERT INTO window_versions (name, version, applied_at, applied_by, spec) VALUES ($1, $2, $3, $4, $5)";
    VERSIONS = "SELECT version, applied_at, applied_by, spec FROM window_versions WHERE name = $1 ORDER BY version DESC LIMIT $2";
    FORGET = "DELETE FROM window_versions WHERE name = $1 AND version <= $2";
}

#[derive(FromRow)]
struct VersionRow {
    version: i64,
    applied_at: i64,
    applied_by: String,
    spec: Option<String>,
}

impl TryFrom<VersionRow> for WindowVersion {
    type Error = StoreError;

    fn try_from(row: VersionRow) -> Result<Self, StoreError> {
        let VersionRow {
            version,
            applied_at,
            applied_by,
            spec,
        } = row;
        let read = |text: String| TABLE.json("spec", &text);
        Ok(Self {
            spec: spec.map(read).transpose()?,
            version: TABLE.unsigned("version", version)?,
            applied_at: Timestamp::from_unix_ms(applied_at),
            applied_by,
        })
    }
}

impl TryFrom<VersionRow> for StoredWindow {
    type Error = StoreError;

    fn try_from(row: VersionRow) -> Result<Self, StoreError> {
        let WindowVersion {
            spec,
            version,
            applied_at,
            applied_by,
        } = row.try_into()?;
        Ok(Self {
            spec: spec.ok_or_else(|| TABLE.unreadable("spec", "nothing"))?,
            version,
            applied_at,
            applied_by,
        })
    }
}

impl Tx {
    /// All windows by name, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn windows_all(&mut self, limit: u32) -> Result<Vec<StoredWindow>, StoreError> {
        let rows: Vec<VersionRow> = on_conn!(self, conn => sqlx::query_as(ALL)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(StoredWindow::try_from).collect()
    }

    /// How many windows there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn windows_count(&mut self) -> Result<u64, StoreError> {
        let count: i64 = on_conn!(self, conn => sqlx::query_scalar(COUNT).fetch_one(conn).await?);
        TABLE.unsigned("count(*)", count)
    }

    /// The window of that name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn window_find(&mut self, name: &str) -> Result<Option<StoredWindow>, StoreError> {
        let name = columns::text("name of a window", name)?;
        let row: Option<VersionRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(name).fetch_optional(conn).await?);
        row.map(StoredWindow::try_from).transpose()
    }

    /// Puts a window in the place of version `expected`, or where there is none; answers its version.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored version is another one, [`StoreError::AlreadyExists`] when there is one after all.
    pub async fn window_put(
        &mut self,
        spec: &WindowSpec,
        expected: Option<u64>,
        applying: Applying<'_>,
    ) -> Result<u64, StoreError> {
        let name = columns::text("name of a window", &spec.name)?;
        let by = columns::text("who applies a window", applying.by)?;
        let text = columns::json("window", spec)?;
        let version = self.window_newest(name).await?.saturating_add(1);
        let at = applying.at.unix_ms();
        let changed = match expected {
            None => on_conn!(self, conn => sqlx::query(INSERT)
                .bind(name).bind(version).bind(at).bind(by).bind(text.as_str())
                .execute(conn).await.map_err(StoreError::unless_exists("window"))?
                .rows_affected()),
            Some(expected) => {
                let expected = columns::signed("version of a window", expected)?;
                on_conn!(self, conn => sqlx::query(REPLACE)
                    .bind(name).bind(version).bind(at).bind(by).bind(text.as_str()).bind(expected)
                    .execute(conn).await?
                    .rows_affected())
            }
        };
        one_row(changed, StoreError::Stale { what: "window" })?;
        self.window_append(name, version, Some(&text), applying)
            .await?;
        TABLE.unsigned("version", version)
    }

    /// Takes the window of version `expected` away; its versions stay, with one that says so.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored version is another one, or there is no such window.
    pub async fn window_delete(
        &mut self,
        name: &str,
        expected: u64,
        applying: Applying<'_>,
    ) -> Result<(), StoreError> {
        let name = columns::text("name of a window", name)?;
        let expected = columns::signed("version of a window", expected)?;
        let deleted = on_conn!(self, conn => sqlx::query(DELETE)
            .bind(name).bind(expected).execute(conn).await?
            .rows_affected());
        one_row(deleted, StoreError::Stale { what: "window" })?;
        let version = self.window_newest(name).await?.saturating_add(1);
        self.window_append(name, version, None, applying).await
    }

    /// Versions of a window, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn window_versions(
        &mut self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<WindowVersion>, StoreError> {
        let name = columns::text("name of a window", name)?;
        let rows: Vec<VersionRow> = on_conn!(self, conn => sqlx::query_as(VERSIONS)
            .bind(name).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(WindowVersion::try_from).collect()
    }

    async fn window_newest(&mut self, name: &str) -> Result<i64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query_scalar(NEWEST)
            .bind(name).fetch_one(conn).await?))
    }

    async fn window_append(
        &mut self,
        name: &str,
        version: i64,
        spec: Option<&str>,
        applying: Applying<'_>,
    ) -> Result<(), StoreError> {
        let by = columns::text("who applies a window", applying.by)?;
        on_conn!(self, conn => sqlx::query(APPEND)
            .bind(name).bind(version).bind(applying.at.unix_ms()).bind(by).bind(spec)
            .execute(conn).await.map_err(StoreError::unless_exists("window"))?
            .rows_affected());
        on_conn!(self, conn => sqlx::query(FORGET)
            .bind(name).bind(version.saturating_sub(WINDOW_VERSIONS_MAX))
            .execute(conn).await?.rows_affected());
        Ok(())
    }
}
