//! What a backup and whoever verifies one need of a database beyond its rows: a copy of it while it is in use, who uses it, and
//! what is wrong with its pages.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tidemark_model::Secret;

use crate::database_url::Place;
use crate::open::CONTROLLERS_NAME;
use crate::store::Pools;
use crate::{DatabaseUrl, Store, StoreError, Tx, open};

/// Problems of a database that are listed.
const PROBLEMS_MAX: usize = 20;

/// Writes a file of its own, so that it is whole whatever others write meanwhile (<https://www.sqlite.org/lang_vacuum.html>).
const COPY: &str = "VACUUM INTO $1";
const CHECK: &str = "PRAGMA integrity_check(20)";
const FOREIGN_KEYS: &str =
    "SELECT \"table\", coalesce(rowid, 0), parent FROM pragma_foreign_key_check LIMIT 20";
const SNAPSHOT: &str = "SELECT pg_export_snapshot()";
const CONTROLLERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1";
const TABLES: &str = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";

/// Why a database was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The database refuses.
    #[error("the database cannot be copied")]
    Database(#[from] StoreError),
    /// The copy cannot be made durable.
    #[error("cannot write {}", .path.display())]
    File {
        /// The copy.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another program copies a Postgres database: `pg_dump`.
    #[error("this database is a server's, and copied by pg_dump")]
    Server,
}

/// Where a Postgres database is, for programs that libpq connects.
#[derive(Debug)]
pub struct LibpqPlace {
    /// The URL without its password, which other users may see in a list of processes.
    pub url: String,
    /// The password.
    pub password: Option<Secret<String>>,
}

impl DatabaseUrl {
    /// The file of a SQLite database.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite(path) => Some(path),
            Place::Postgres(_) => None,
        }
    }

    /// Where a Postgres database is; `None` on SQLite.
    #[must_use]
    pub fn libpq(&self) -> Option<LibpqPlace> {
        let Place::Postgres(options) = &self.0 else {
            return None;
        };
        let mut url = options.to_url_lossy();
        let password = url.password().map(|password| {
            let password = percent_decode_str(password).decode_utf8_lossy();
            Secret::new(password.into_owned())
        });
        // Never fails: an URL of Postgres has a host.
        url.set_password(None).ok();
        // The driver's own settings mean nothing to libpq.
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| name.starts_with("ssl"))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(kept);
        Some(LibpqPlace {
            url: url.into(),
            password,
        })
    }

    /// Whether a database can be made there: nothing is at that place yet.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn is_vacant(&self) -> Result<bool, StoreError> {
        match &self.0 {
            Place::Sqlite(path) => {
                for file in [path.clone(), open::beside(path, "-wal")] {
                    let is_there = std::fs::exists(file);
                    if is_there.map_err(|error| StoreError::Unavailable(error.into()))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Place::Postgres(options) => Ok(count(options, TABLES, None).await? == 0),
        }
    }

    /// Connections of controllers to the database. 0 on SQLite, whose controller holds its data folder.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn controllers(&self) -> Result<u64, StoreError> {
        match &self.0 {
            Place::Sqlite(_) => Ok(0),
            Place::Postgres(options) => count(options, CONTROLLERS, Some(CONTROLLERS_NAME)).await,
        }
    }
}

/// Counts by a connection that is none of a controller's.
async fn count(
    options: &PgConnectOptions,
    statement: &'static str,
    of: Option<&str>,
) -> Result<u64, StoreError> {
    let options = options.clone().application_name("tidemark-restore");
    let mut connection = options.connect().await?;
    let query = sqlx::query_scalar(statement);
    let counted: i64 = match of {
        Some(of) => query.bind(of).fetch_one(&mut connection).await?,
        None => query.fetch_one(&mut connection).await?,
    };
    connection.close().await?;
    Ok(u64::try_from(counted).unwrap_or_default())
}

impl DatabaseUrl {
    /// What is wrong with a SQLite file that nobody has open, as [`Store::damage`] says it; nothing is left beside it.
    ///
    /// # Errors
    /// When it cannot be opened, or fails in another way.
    pub async fn damage(&self) -> Result<Vec<String>, StoreError> {
        let Place::Sqlite(path) = &self.0 else {
            return Ok(Vec::new());
        };
        let mut connection = open::connect_to_idle(path).await?;
        let found = damage_of(&mut connection).await;
        connection.close().await?;
        found
    }
}

async fn damage_of(connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let mut found: Vec<String> = sqlx::query_scalar(CHECK)
        .fetch_all(&mut *connection)
        .await?;
    found.retain(|line| line != "ok");
    let broken: Vec<(String, i64, String)> =
        sqlx::query_as(FOREIGN_KEYS).fetch_all(connection).await?;
    let broken = broken
        .into_iter()
        .map(|(table, row, parent)| format!("row {row} of {table} refers to nothing in {parent}"));
    found.extend(broken);
    found.truncate(PROBLEMS_MAX);
    Ok(found)
}

impl Store {
    /// Writes a copy of a SQLite database, as it is at this moment, to a file that is not there yet. Others go on reading and
    /// writing; what they write meanwhile waits in the write-ahead log.
    ///
    /// # Errors
    /// [`CopyError`]; what there is of the copy then is of no use.
    pub async fn copy_into(&self, path: &Path) -> Result<(), CopyError> {
        let Pools::Sqlite { path: own, .. } = &self.pools else {
            return Err(CopyError::Server);
        };
        let failed = |source| CopyError::File {
            path: path.to_owned(),
            source,
        };
        open::reserve(path).map_err(failed)?;
        let mut connection = open::connect_to_read(own).await.map_err(StoreError::from)?;
        sqlx::query(COPY)
            .bind(path.to_string_lossy())
            .execute(&mut connection)
            .await
            .map_err(StoreError::from)?;
        connection.close().await.map_err(StoreError::from)?;
        // SQLite leaves that to whoever wants the copy to last.
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        file.sync_all().await.map_err(failed)
    }

    /// What is wrong with the pages, indexes and references of a SQLite file, at most 20 problems; of Postgres nothing is known,
    /// which checks its pages when it reads them.
    ///
    /// # Errors
    /// When the database fails in another way.
    pub async fn damage(&self) -> Result<Vec<String>, StoreError> {
        let Pools::Sqlite { readers, .. } = &self.pools else {
            return Ok(Vec::new());
        };
        damage_of(&mut *readers.acquire().await?).await
    }
}

impl Tx {
    /// Names what this transaction sees, so that `pg_dump` sees the same as long as it is open; `None` on SQLite.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn snapshot_name(&mut self) -> Result<Option<String>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(tx) => Ok(Some(
                sqlx::query_scalar(SNAPSHOT).fetch_one(&mut **tx).await?,
            )),
        }
    }
}
