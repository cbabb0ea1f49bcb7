//! Opening a SQLite file: one writer, some readers, WAL, every commit on disk before it is answered.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::header::{self, HEADER_BYTES, Verdict};
use super::{OpenError, beside, database_failed, migration_failed, schema};
use crate::StoreError;
use crate::store::Pools;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// How long a connection waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transaction waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Readers beside the writer.
const READERS: u32 = 4;
/// Above this size only the small tables are checked at start: a check reads everything, about a second a GiB.
const CHECK_ALL_BYTES_MAX: u64 = 256 << 20;

const CHECK_ALL: &str = "PRAGMA quick_check(1)";
const CHECKS: [&str; 7] = [
    "PRAGMA quick_check(hosts)",
    "PRAGMA quick_check(join_tokens)",
    "PRAGMA quick_check(join_token_uses)",
    "PRAGMA quick_check(users)",
    "PRAGMA quick_check(api_tokens)",
    "PRAGMA quick_check(cursors)",
    "PRAGMA quick_check(settings)",
];

pub(super) async fn open(path: &Path) -> Result<Pools, OpenError> {
    let bytes = match inspect(path)? {
        Some(bytes) => bytes,
        None => {
            create(path).await?;
            0
        }
    };
    let mut connection = connect(path).await?;
    check(path, &mut connection, bytes).await?;
    let schema = schema::of_sqlite(&mut connection, &MIGRATIONS)
        .await
        .map_err(database_failed(shown(path)))?;
    schema::migrator_for(&MIGRATIONS, schema, &shown(path))
        .run(&mut connection)
        .await
        .map_err(|error| migration_failed(shown(path), error))?;
    connection
        .close()
        .await
        .map_err(database_failed(shown(path)))?;
    let writer = pool()
        .max_connections(1)
        .connect_with(options(path).pragma("cache_size", "-32768"))
        .await
        .map_err(database_failed(shown(path)))?;
    let readers = pool()
        .max_connections(READERS)
        .connect_with(options(path).pragma("query_only", "ON"))
        .await
        .map_err(database_failed(shown(path)))?;
    Ok(Pools::Sqlite {
        writer,
        readers,
        path: path.to_path_buf(),
    })
}

/// Connections to a file do not go stale, so they are neither tested nor replaced, except one that lost track of its
/// transaction: SQLite rolls back by itself when the disk is full or fails (<https://www.sqlite.org/lang_transaction.html>,
/// section 3), the driver's own rollback then fails, and it would refuse every later transaction.
fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_release(|connection, _| {
            Box::pin(async move {
                // Behind the rollback that a dropped transaction has queued.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // A damaged or planted schema must not run anything.
        .pragma("trusted_schema", "OFF")
        // Finds a damaged page when it is read rather than later.
        .pragma("cell_size_check", "ON")
        // 16 MiB of log before it is merged: a page that many commits change is then written once, not each time.
        .pragma("wal_autocheckpoint", "4000")
        // The log keeps its largest size otherwise.
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging()
}

/// Size of the file if it is there and looks like ours; `None` when it can be created.
fn inspect(path: &Path) -> Result<Option<u64>, OpenError> {
    let failed = |source| OpenError::File {
        path: path.to_path_buf(),
        source,
    };
    let damaged = |found: &str| OpenError::Damaged {
        path: path.to_path_buf(),
        found: found.to_owned(),
    };
    let log_bytes = match std::fs::metadata(beside(path, "-wal")) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(failed(error)),
    };
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return if log_bytes == 0 {
                Ok(None)
            } else {
                Err(damaged(
                    "it is gone, and its write-ahead log is still there",
                ))
            };
        }
        Err(error) => return Err(failed(error)),
    };
    let bytes = file.metadata().map_err(failed)?.len();
    let mut start = Vec::with_capacity(HEADER_BYTES);
    file.by_ref()
        .take(HEADER_BYTES as u64)
        .read_to_end(&mut start)
        .map_err(failed)?;
    match header::judge(&start) {
        Verdict::Foreign(found) => Err(OpenError::Foreign {
            place: shown(path),
            found: found.to_owned(),
        }),
        Verdict::Damaged(found) => Err(damaged(found)),
        Verdict::Repairing => Err(OpenError::Repairing {
            path: path.to_path_buf(),
        }),
        // With a log the end of the file may still be in it.
        Verdict::Ours { bytes_min } if bytes < bytes_min && log_bytes == 0 => Err(damaged(
            &format!("it has {bytes} bytes where its header says {bytes_min}: it is cut off"),
        )),
        Verdict::Ours { .. } => Ok(Some(bytes)),
    }
}

/// Makes the file beside its place and moves it there when it is whole: what is found at `path` was once complete, and
/// an empty file is never ours.
async fn create(path: &Path) -> Result<(), OpenError> {
    let draft = beside(path, ".creating");
    let failed = |path: &Path, source| OpenError::File {
        path: path.to_path_buf(),
        source,
    };
    discard(&draft).map_err(|error| failed(&draft, error))?;
    reserve(&draft).map_err(|source| failed(&draft, source))?;
    let mut connection = options(&draft)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .connect()
        .await
        .map_err(database_failed(shown(&draft)))?;
    MIGRATIONS
        .run(&mut connection)
        .await
        .map_err(|error| migration_failed(shown(&draft), error))?;
    connection
        .close()
        .await
        .map_err(database_failed(shown(&draft)))?;
    put_in_place(&draft, path).map_err(|source| failed(path, source))?;
    tracing::info!(path = %path.display(), "database created");
    Ok(())
}

/// A new file that is filled with rows of another one; of no use before it is whole, so nothing of it is made durable meanwhile.
pub(crate) struct Draft {
    path: PathBuf,
    connection: SqliteConnection,
}

impl Draft {
    /// Makes an empty file where nothing is yet.
    pub(crate) async fn create(path: &Path) -> Result<Self, OpenError> {
        reserve(path).map_err(|source| OpenError::File {
            path: path.to_path_buf(),
            source,
        })?;
        // With a journal: without one a row that is refused may leave the file damaged.
        let connection = options(path)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Memory)
            .synchronous(SqliteSynchronous::Off)
            .foreign_keys(false)
            .connect()
            .await
            .map_err(database_failed(shown(path)))?;
        Ok(Self {
            path: path.to_path_buf(),
            connection,
        })
    }

    /// The migrations that this release knows, in their order.
    pub(crate) fn versions(&self) -> Vec<i64> {
        MIGRATIONS
            .iter()
            .map(|migration| migration.version)
            .collect()
    }

    /// The newest of them.
    pub(crate) fn newest(&self) -> i64 {
        self.versions().into_iter().max().unwrap_or_default()
    }

    /// Applies migrations up to that one.
    pub(crate) async fn migrate(&mut self, version: i64) -> Result<(), OpenError> {
        let some = MIGRATIONS.iter().filter(|one| one.version <= version);
        let migrator = Migrator {
            migrations: some.cloned().collect::<Vec<_>>().into(),
            ..Migrator::DEFAULT
        };
        migrator
            .run(&mut self.connection)
            .await
            .map_err(|error| migration_failed(shown(&self.path), error))
    }

    /// The connection to it.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// The connection alone.
    pub(crate) fn into_connection(self) -> SqliteConnection {
        self.connection
    }
}

/// Removes a database's file and those that SQLite keeps beside it; one that is not there is no error.
///
/// # Errors
/// What the file system says.
pub fn discard(path: &Path) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        match std::fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Makes an empty file for SQLite to fill, which nobody else may read: it will hold hashes and keys. The files that
/// SQLite puts beside it get the same mode.
pub(crate) fn reserve(draft: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(draft)?;
    Ok(())
}

fn put_in_place(draft: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::File::open(draft)?.sync_all()?;
    // Fails when somebody else was quicker, instead of replacing their database.
    std::fs::hard_link(draft, path)?;
    std::fs::remove_file(draft)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    std::fs::File::open(folder)?.sync_all()
}

/// Connections that change nothing, not even the journal's mode.
fn options_to_read(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging()
}

/// A connection that changes nothing.
pub(crate) async fn connect_to_read(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options_to_read(path).connect().await
}

/// A connection to a file that nobody else has open; it leaves no log and no index of one beside it that was not there.
pub(crate) async fn connect_to_idle(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let has_log = std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    options_to_read(path).immutable(!has_log).connect().await
}

/// The file as it is; what asks to write is refused by SQLite.
pub(super) async fn open_to_read(path: &Path) -> Result<Pools, OpenError> {
    inspect(path)?.ok_or_else(|| OpenError::File {
        path: path.to_path_buf(),
        source: ErrorKind::NotFound.into(),
    })?;
    let readers = pool()
        .max_connections(READERS)
        .connect_with(options_to_read(path))
        .await
        .map_err(database_failed(shown(path)))?;
    Ok(Pools::Sqlite {
        writer: readers.clone(),
        readers,
        path: path.to_path_buf(),
    })
}

async fn connect(path: &Path) -> Result<SqliteConnection, OpenError> {
    options(path)
        .connect()
        .await
        .map_err(|error| damaged_or_failed(path, error))
}

async fn check(
    path: &Path,
    connection: &mut SqliteConnection,
    bytes: u64,
) -> Result<(), OpenError> {
    let checks: &[&'static str] = if bytes <= CHECK_ALL_BYTES_MAX {
        &[CHECK_ALL]
    } else {
        &CHECKS
    };
    for check in checks {
        let found: Vec<String> = sqlx::query_scalar(*check)
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| damaged_or_failed(path, error))?;
        if found != ["ok"] {
            return Err(OpenError::Damaged {
                path: path.to_path_buf(),
                found: found.join("; ").chars().take(200).collect(),
            });
        }
    }
    Ok(())
}

fn damaged_or_failed(path: &Path, error: sqlx::Error) -> OpenError {
    let source = StoreError::from(error);
    if let StoreError::Corrupt(error) = &source {
        return OpenError::Damaged {
            path: path.to_path_buf(),
            found: error.to_string(),
        };
    }
    OpenError::Database {
        place: shown(path),
        source,
    }
}
