//! The store: pools to one database, and where transactions begin.

use std::path::PathBuf;

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use crate::{DatabaseUrl, OpenError, StoreError, Tx, open};

/// The controller's database. Clones share their connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) pools: Pools,
}

#[derive(Clone)]
pub(crate) enum Pools {
    Sqlite {
        /// The one connection that writes: SQLite has one writer, and a queue here is fairer than its busy handler.
        writer: SqlitePool,
        /// Connections that refuse to write.
        readers: SqlitePool,
        path: PathBuf,
    },
    Postgres(PgPool),
}

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Embedded in the controller.
    Sqlite,
    /// A server.
    Postgres,
}

impl Backend {
    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

// SQLite's write lock is taken at once: a transaction that reads first and upgrades later fails when another wrote
// in between (https://www.sqlite.org/lang_transaction.html).
const BEGIN_WRITE_SQLITE: &str = "BEGIN IMMEDIATE";
const BEGIN_READ_POSTGRES: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const PING: &str = "SELECT CAST(1 AS BIGINT)";
const DATABASE_SIZE: &str = "SELECT pg_database_size(current_database())";
const FREE_PAGES: &str = "SELECT freelist_count FROM pragma_freelist_count";
const PAGE_BYTES: &str = "SELECT page_size FROM pragma_page_size";
/// Gives back at most 2,048 pages, 8 MiB: a pause that the group commit behind it does not feel.
const VACUUM: &str = "PRAGMA incremental_vacuum(2048)";

impl Store {
    /// Opens a database, creates it if it is not there, and brings its tables up to date.
    ///
    /// A SQLite file appears whole or not at all; one that is damaged, truncated or another program's is refused and
    /// left as it is.
    ///
    /// # Errors
    /// When it cannot be reached, is damaged, foreign, or of a newer release.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, OpenError> {
        let pools = open::open(url).await?;
        Ok(Self { pools })
    }

    /// Opens a database that is there, as [`Store::open`] does; creates none.
    ///
    /// # Errors
    /// As [`Store::open`], and when there is none.
    pub async fn open_existing(url: &DatabaseUrl) -> Result<Self, OpenError> {
        let pools = open::open_existing(url).await?;
        Ok(Self { pools })
    }

    /// Opens a database that is there so that nothing of it is changed, not even a SQLite file's header. Its tables must be of this
    /// release.
    ///
    /// # Errors
    /// As [`Store::open_existing`].
    pub async fn open_to_read(url: &DatabaseUrl) -> Result<Self, OpenError> {
        let pools = open::open_to_read(url).await?;
        Ok(Self { pools })
    }

    /// Begins a transaction that writes. On SQLite there is one at a time; the others wait, 10 s at most.
    ///
    /// # Errors
    /// When the database is away or busy.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match &self.pools {
            Pools::Sqlite { writer, .. } => {
                Tx::Sqlite(writer.begin_with(BEGIN_WRITE_SQLITE).await?)
            }
            Pools::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Begins a transaction that reads: it sees the database as it was at its first query, and cannot write.
    ///
    /// # Errors
    /// When the database is away or busy.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        Ok(match &self.pools {
            Pools::Sqlite { readers, .. } => Tx::Sqlite(readers.begin().await?),
            Pools::Postgres(pool) => Tx::Postgres(pool.begin_with(BEGIN_READ_POSTGRES).await?),
        })
    }

    /// Which database it is.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        match self.pools {
            Pools::Sqlite { .. } => Backend::Sqlite,
            Pools::Postgres(_) => Backend::Postgres,
        }
    }

    /// `sqlite` or `postgres`.
    #[must_use]
    pub const fn backend_name(&self) -> &'static str {
        self.backend().as_str()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let _one: i64 = match &self.pools {
            Pools::Sqlite { readers, .. } => sqlx::query_scalar(PING).fetch_one(readers).await?,
            Pools::Postgres(pool) => sqlx::query_scalar(PING).fetch_one(pool).await?,
        };
        Ok(())
    }

    /// Bytes that the database occupies on disk: the file with its write-ahead log, or what the server says of the
    /// whole database.
    ///
    /// # Errors
    /// When the database is away, or the file cannot be asked.
    pub async fn bytes_on_disk(&self) -> Result<u64, StoreError> {
        match &self.pools {
            Pools::Sqlite { path, .. } => {
                let main = file_bytes(path.clone()).await?;
                Ok(main + file_bytes(open::beside(path, "-wal")).await?)
            }
            Pools::Postgres(pool) => {
                let bytes: i64 = sqlx::query_scalar(DATABASE_SIZE).fetch_one(pool).await?;
                Ok(u64::try_from(bytes).unwrap_or_default())
            }
        }
    }

    /// Gives room that retention freed back to the file system, at most 8 MiB a call. Answers the bytes; 0 when there
    /// is nothing to give, and always on Postgres, which does it by itself.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn shrink(&self) -> Result<u64, StoreError> {
        let Pools::Sqlite { writer, .. } = &self.pools else {
            return Ok(0);
        };
        let mut connection = writer.acquire().await?;
        let page_bytes: i64 = sqlx::query_scalar(PAGE_BYTES)
            .fetch_one(&mut *connection)
            .await?;
        let before: i64 = sqlx::query_scalar(FREE_PAGES)
            .fetch_one(&mut *connection)
            .await?;
        sqlx::query(VACUUM).execute(&mut *connection).await?;
        let after: i64 = sqlx::query_scalar(FREE_PAGES)
            .fetch_one(&mut *connection)
            .await?;
        let pages = before.saturating_sub(after);
        Ok(u64::try_from(pages.saturating_mul(page_bytes)).unwrap_or_default())
    }

    /// Closes every connection, after the transactions that are open; on SQLite the write-ahead log is merged into the
    /// file.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite {
                writer, readers, ..
            } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

async fn file_bytes(path: PathBuf) -> Result<u64, StoreError> {
    match tokio::fs::metadata(path).await {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(StoreError::Unavailable(error.into())),
    }
}
