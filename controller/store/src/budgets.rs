//! Port budgets by version: the newest of a name holds, the others say who applied what before. What a budget says is
//! not known here.

use sqlx::FromRow;
use tidemark_model::Timestamp;

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const TABLE: Table = Table("budget_versions");

/// One version of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetVersion {
    /// Name of the budget.
    pub name: String,
    /// Counts its changes, from 1.
    pub version: u64,
    /// When it was applied.
    pub at: Timestamp,
    /// By whom.
    pub author: String,
    /// The budget as JSON; `None` where it was deleted.
    pub body: Option<String>,
}

macro_rules! select_versions {
    ($rest:literal) => {
        concat!(
            "SELECT name, version, at, author, body FROM budget_versions AS one ",
            $rest
        )
    };
}

statements! {
    APPEND = "INSERT INTO budget_versions (name, version, at, author, body) VALUES ($1, $2, $3, $4, $5)";
    STANDING = select_versions!("WHERE body IS NOT NULL AND NOT EXISTS (SELECT 1 FROM budget_versions AS newer \
        WHERE newer.name = one.name AND newer.version > one.version) ORDER BY name LIMIT $1");
    NEWEST = select_versions!("WHERE name = $1 ORDER BY version DESC LIMIT 1");
    PAGE = select_versions!("WHERE name = $1 ORDER BY version DESC LIMIT $2");
    // A deletion goes last of its name, so that no former version comes back.
    DELETE_BEFORE = "DELETE FROM budget_versions WHERE (name, version) IN \
        (SELECT name, version FROM budget_versions AS one WHERE at < $1 AND \
        (EXISTS (SELECT 1 FROM budget_versions AS newer WHERE newer.name = one.name AND newer.version > one.version) \
        OR (body IS NULL AND NOT EXISTS (SELECT 1 FROM budget_versions AS older \
        WHERE older.name = one.name AND older.version < one.version))) ORDER BY at LIMIT $2)";
    DELETE_BEYOND = "DELETE FROM budget_versions WHERE name = $1 AND version <= $2";
}

/// Versions of one budget that are kept.
pub const BUDGET_VERSIONS_MAX: u64 = 100;

#[derive(FromRow)]
struct VersionRow {
    name: String,
    version: i64,
    at: i64,
    author: String,
    body: Option<String>,
}

impl TryFrom<VersionRow> for BudgetVersion {
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
    /// Adds a version. The oldest ones beyond [`BUDGET_VERSIONS_MAX`] go.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else added that version meanwhile.
    pub async fn budget_append(&mut self, version: &BudgetVersion) -> Result<(), StoreError> {
        let name = columns::text("name of a budget", &version.name)?;
        let author = columns::text("author of a budget", &version.author)?;
        let body = version.body.as_deref();
        let body = body.map(|body| columns::text("budget", body)).transpose()?;
        let number = columns::signed("version of a budget", version.version)?;
        let inserted = on_conn!(self, conn => sqlx::query(APPEND)
            .bind(name).bind(number).bind(version.at.unix_ms()).bind(author).bind(body)
            .execute(conn).await.map_err(StoreError::unless_exists("budget"))
            .map_err(stale)?
            .rows_affected());
        one_row(inserted, StoreError::Stale { what: "budget" })?;
        let beyond = version.version.saturating_sub(BUDGET_VERSIONS_MAX);
        let beyond = columns::signed("version of a budget", beyond)?;
        on_conn!(self, conn => sqlx::query(DELETE_BEYOND)
            .bind(name).bind(beyond).execute(conn).await?.rows_affected());
        Ok(())
    }

    /// The budgets that hold, by name, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budgets_standing(&mut self, limit: u32) -> Result<Vec<BudgetVersion>, StoreError> {
        let rows: Vec<VersionRow> = on_conn!(self, conn => sqlx::query_as(STANDING)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(BudgetVersion::try_from).collect()
    }

    /// The newest version of a name, also when it is a deletion.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budget_newest(&mut self, name: &str) -> Result<Option<BudgetVersion>, StoreError> {
        let row: Option<VersionRow> = on_conn!(self, conn => sqlx::query_as(NEWEST)
            .bind(columns::text("name of a budget", name)?).fetch_optional(conn).await?);
        row.map(BudgetVersion::try_from).transpose()
    }

    /// The versions of a name, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budget_versions(
        &mut self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<BudgetVersion>, StoreError> {
        let rows: Vec<VersionRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(columns::text("name of a budget", name)?).bind(i64::from(limit))
            .fetch_all(conn).await?);
        rows.into_iter().map(BudgetVersion::try_from).collect()
    }

    /// Deletes versions from before `cutoff` that do not hold any more, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budget_versions_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }
}

fn stale(error: StoreError) -> StoreError {
    if matches!(error, StoreError::AlreadyExists { .. }) {
        StoreError::Stale { what: "budget" }
    } else {
        error
    }
}
