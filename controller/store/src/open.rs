//! Opening a database: refuse what is damaged, foreign or newer; create what is not there; migrate what is older.

use std::path::{Path, PathBuf};

use sqlx::migrate::MigrateError;

use crate::database_url::Place;
use crate::store::Pools;
use crate::{DatabaseUrl, StoreError};

pub(crate) mod header;
mod postgres;
mod schema;
mod sqlite;

pub use header::REPAIR_NOTE;
pub(crate) use postgres::CONTROLLERS_NAME;
pub use schema::Schema;
#[cfg(any(test, feature = "test-support"))]
pub(crate) use sqlite::MIGRATIONS as SQLITE_MIGRATIONS;
pub use sqlite::discard as discard_sqlite;
pub(crate) use sqlite::{Draft, connect_to_idle, connect_to_read, reserve};

/// Why a database was not opened. It is left as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The SQLite file is damaged.
    #[error(
        "{} is damaged ({found}) and was left as it is; to restore it: stop every controller, move it aside together \
         with {}-wal and {}-shm, put the newest backup in its place, and start again; without a backup, `tidemark-controller repair` makes a \
         new one of what can still be read",
        .path.display(), .path.display(), .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// A repair of the SQLite file did not come to its end.
    #[error("the repair of {} did not come to its end: run `tidemark-controller repair` again", .path.display())]
    Repairing {
        /// The file.
        path: PathBuf,
    },
    /// The database belongs to another program.
    #[error(
        "{place} is not Tidemark's ({found}) and was left as it is; name another one, or an empty one; if it was Tidemark's before, its \
         beginning was overwritten: put the newest backup in its place"
    )]
    Foreign {
        /// Where.
        place: String,
        /// How that shows.
        found: String,
    },
    /// A newer release has changed the tables.
    #[error(
        "{place} was changed by a newer release (migration {version}): run that one, or restore an older backup"
    )]
    Newer {
        /// Where.
        place: String,
        /// The migration that this release does not know.
        version: i64,
    },
    /// A migration failed; it is undone.
    #[error("the tables of {place} could not be brought up to date")]
    Migration {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: Box<MigrateError>,
    },
    /// The file cannot be read or written.
    #[error("{} cannot be opened", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database does not answer as it should.
    #[error("{place} cannot be opened")]
    Database {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: StoreError,
    },
}

pub(crate) async fn open(url: &DatabaseUrl) -> Result<Pools, OpenError> {
    match &url.0 {
        Place::Sqlite(path) => sqlite::open(path).await,
        Place::Postgres(options) => postgres::open(url, options).await,
    }
}

/// The same for a database that must be there.
pub(crate) async fn open_existing(url: &DatabaseUrl) -> Result<Pools, OpenError> {
    if let Place::Sqlite(path) = &url.0 {
        std::fs::metadata(path).map_err(|source| OpenError::File {
            path: path.clone(),
            source,
        })?;
    }
    open(url).await
}

/// The same, and nothing of it can be changed.
pub(crate) async fn open_to_read(url: &DatabaseUrl) -> Result<Pools, OpenError> {
    match &url.0 {
        Place::Sqlite(path) => sqlite::open_to_read(path).await,
        Place::Postgres(options) => postgres::open_to_read(url, options).await,
    }
}

/// The file that SQLite keeps beside the database, as `-wal`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Says what a failed migration means for whoever starts the controller.
fn migration_failed(place: String, source: MigrateError) -> OpenError {
    if let MigrateError::VersionMissing(version) = source {
        return OpenError::Newer { place, version };
    }
    if let MigrateError::VersionMismatch(version) = source {
        let found = format!("its migration {version} is not the one of this release");
        return OpenError::Foreign { place, found };
    }
    OpenError::Migration {
        place,
        source: Box::new(source),
    }
}

/// Tells [`sqlx`]'s error about a database from others, with the place it happened at.
fn database_failed(place: String) -> impl FnOnce(sqlx::Error) -> OpenError {
    move |error| OpenError::Database {
        place,
        source: error.into(),
    }
}
