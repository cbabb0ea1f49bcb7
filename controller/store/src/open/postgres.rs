//! Opening a Postgres database: refuse one that holds other tables, migrate under an advisory lock.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use super::{OpenError, database_failed, migration_failed, schema};
use crate::DatabaseUrl;
use crate::store::Pools;

// Takes an advisory lock by itself, so that two controllers never migrate at once.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres");

/// How the server's list of connections names controllers'.
pub(crate) const CONTROLLERS_NAME: &str = "tidemark-controller";
/// How long a transaction waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections a controller may hold; Postgres allows 100 by default, and there are n controllers.
const CONNECTIONS: u32 = 16;
/// Connections of a program that only reads.
const CONNECTIONS_TO_READ: u32 = 2;

const FOREIGN_TABLE: &str = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() \
    AND to_regclass('_sqlx_migrations') IS NULL ORDER BY tablename LIMIT 1";

pub(super) async fn open(
    url: &DatabaseUrl,
    options: &PgConnectOptions,
) -> Result<Pools, OpenError> {
    let options = options
        .clone()
        .application_name(CONTROLLERS_NAME)
        .disable_statement_logging();
    let mut connection = options
        .connect()
        .await
        .map_err(database_failed(url.to_string()))?;
    let foreign: Option<String> = sqlx::query_scalar(FOREIGN_TABLE)
        .fetch_optional(&mut connection)
        .await
        .map_err(database_failed(url.to_string()))?;
    if let Some(table) = foreign {
        return Err(OpenError::Foreign {
            place: url.to_string(),
            found: format!("it holds the table {table}"),
        });
    }
    let schema = schema::of_postgres(&mut connection, &MIGRATIONS)
        .await
        .map_err(database_failed(url.to_string()))?;
    schema::migrator_for(&MIGRATIONS, schema, &url.to_string())
        .run(&mut connection)
        .await
        .map_err(|error| migration_failed(url.to_string(), error))?;
    connection
        .close()
        .await
        .map_err(database_failed(url.to_string()))?;
    pool(url, options, CONNECTIONS).await
}

/// The database as it is; what asks to write is refused by the server.
pub(super) async fn open_to_read(
    url: &DatabaseUrl,
    options: &PgConnectOptions,
) -> Result<Pools, OpenError> {
    let options = options
        .clone()
        .application_name("tidemark-verify")
        .options([("default_transaction_read_only", "on")])
        .disable_statement_logging();
    pool(url, options, CONNECTIONS_TO_READ).await
}

async fn pool(
    url: &DatabaseUrl,
    options: PgConnectOptions,
    connections: u32,
) -> Result<Pools, OpenError> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await
        .map_err(database_failed(url.to_string()))?;
    Ok(Pools::Postgres(pool))
}
