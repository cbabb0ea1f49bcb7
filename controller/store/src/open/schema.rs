//! How far a database's tables are, and whether this release works on them.

use sqlx::migrate::Migrator;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};

use super::{OpenError, database_failed, postgres, sqlite};
use crate::DatabaseUrl;
use crate::database_url::Place;

const APPLIED: &str = "SELECT max(version) FROM _sqlx_migrations WHERE success";
const READERS: &str = "SELECT migration_min FROM schema_readers";

/// How far a database's tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The newest migration that was applied; `None` in an empty database.
    pub applied: Option<i64>,
    /// The newest migration that this release knows.
    pub known: i64,
    /// The migration that a release must know to work on the tables; `None` when they do not say.
    pub readers: Option<i64>,
}

impl Schema {
    /// Whether a newer release has changed the tables, and left them so that this one still works on them.
    #[must_use]
    pub fn is_newer_and_readable(&self) -> bool {
        self.applied.is_some_and(|applied| applied > self.known)
            && self.readers.is_some_and(|readers| readers <= self.known)
    }

    /// Whether opening the database would change its tables.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.applied.is_none_or(|applied| applied < self.known)
    }
}

/// The newest migration of a release.
fn newest_of(migrator: &Migrator) -> i64 {
    let versions = migrator.iter().map(|migration| migration.version);
    versions.max().unwrap_or_default()
}

macro_rules! schema_of {
    ($name:ident, $connection:ty) => {
        /// A table that is not there is no error: a database may be empty, or older than the table.
        pub(super) async fn $name(
            connection: &mut $connection,
            migrator: &Migrator,
        ) -> Result<Schema, sqlx::Error> {
            let missing = |error| match error {
                sqlx::Error::Database(_) => Ok(None),
                other => Err(other),
            };
            let applied = sqlx::query_scalar(APPLIED)
                .fetch_one(&mut *connection)
                .await;
            let readers = sqlx::query_scalar(READERS)
                .fetch_optional(&mut *connection)
                .await;
            Ok(Schema {
                applied: applied.or_else(missing)?,
                known: newest_of(migrator),
                readers: readers.or_else(missing)?,
            })
        }
    };
}

schema_of!(of_sqlite, SqliteConnection);
schema_of!(of_postgres, PgConnection);

/// A release's migrations for tables like these: those that a newer one has added are passed over where this one may still work.
pub(super) fn migrator_for(migrator: &Migrator, schema: Schema, place: &str) -> Migrator {
    let mut migrator = Migrator {
        migrations: migrator.migrations.clone(),
        ..Migrator::DEFAULT
    };
    if schema.is_newer_and_readable() {
        tracing::warn!(
            place,
            applied = schema.applied,
            known = schema.known,
            "a newer release has changed the tables; this one still works on them: finish the upgrade"
        );
        migrator.set_ignore_missing(true);
    }
    migrator
}

impl DatabaseUrl {
    /// How far the tables are of a database that is there. Changes nothing.
    ///
    /// # Errors
    /// When it cannot be reached or read.
    pub async fn schema(&self) -> Result<Schema, OpenError> {
        match &self.0 {
            Place::Sqlite(path) => {
                let failed = || database_failed(path.display().to_string());
                let mut connection = sqlite::connect_to_read(path).await.map_err(failed())?;
                let found = of_sqlite(&mut connection, &sqlite::MIGRATIONS).await;
                connection.close().await.map_err(failed())?;
                found.map_err(failed())
            }
            Place::Postgres(options) => {
                let failed = || database_failed(self.to_string());
                let mut connection = options.connect().await.map_err(failed())?;
                let found = of_postgres(&mut connection, &postgres::MIGRATIONS).await;
                connection.close().await.map_err(failed())?;
                found.map_err(failed())
            }
        }
    }
}
