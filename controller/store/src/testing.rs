//! Databases for tests, here and in other crates (feature `test-support`): SQLite in a temporary folder, and a real
//! Postgres server that one test run shares and that ends with it.
//!
//! Everything panics with what to do about it: a test without its database has failed, not been skipped.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use sqlx::Connection as _;
use tempfile::TempDir;
use tidemark_model::{HostFacts, HostId, Timestamp};

use crate::open::{SQLITE_MIGRATIONS, connect_to_read};
use crate::{DatabaseUrl, HostCertificate, NewHost, Store, Tx};

mod postgres;

pub use postgres::postgres_url;

/// A host of that name as its enrolment stores it, at the beginning of time and with nothing special about it. Its identity key is
/// any bytes that no other host has.
#[must_use]
pub fn new_host(identity_spki: &[u8], name: &str) -> NewHost {
    NewHost {
        id: HostId::of_identity_spki(identity_spki),
        identity_spki: identity_spki.to_vec(),
        facts: HostFacts {
            name: name.into(),
            os: "Linux".into(),
            agent_version: "0.1.0".into(),
            boot_id: "b1".into(),
            time_zone: None,
            capabilities: vec![],
            labels: BTreeMap::new(),
        },
        token_labels: BTreeMap::new(),
        enrolled_at: Timestamp::EPOCH,
        certificate: HostCertificate {
            generation: 1,
            not_after: Timestamp::EPOCH,
            spki_hash: [1; 32],
        },
    }
}

/// Runs one case on both databases, as two tests: `contract!(a, b)` expands `a` to `a::on_sqlite` and `a::on_postgres`.
/// A case is an `async fn(Store)` in the scope of the macro.
#[macro_export]
macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        $(mod $case {
            #[tokio::test]
            async fn on_sqlite() {
                $crate::testing::on_sqlite(super::$case).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                $crate::testing::on_postgres(super::$case).await;
            }
        })*
    };
}

/// The address of a SQLite database that is not there yet, and the folder to keep as long as it is used.
///
/// # Panics
/// When there is no room for temporary files.
#[must_use]
pub fn sqlite_url() -> (DatabaseUrl, TempDir) {
    let folder = done("make a temporary folder", tempfile::tempdir());
    (DatabaseUrl::sqlite(folder.path().join("test.db")), folder)
}

/// Runs `case` on a new SQLite database.
///
/// # Panics
/// When the database cannot be made, or the case fails.
pub async fn on_sqlite(case: impl AsyncFnOnce(Store)) {
    let (url, _folder) = sqlite_url();
    run(&url, case).await;
}

/// Runs `case` on a new database of the test run's Postgres server.
///
/// # Panics
/// When the database cannot be made, or the case fails.
pub async fn on_postgres(case: impl AsyncFnOnce(Store)) {
    run(&postgres_url().await, case).await;
}

/// What somebody does who owns the database and has no controller.
///
/// # Panics
/// When the database refuses.
pub async fn execute(store: &Store, sql: &'static str) {
    let done = match done("begin", store.begin().await) {
        Tx::Sqlite(mut tx) => match sqlx::raw_sql(sql).execute(&mut *tx).await {
            Ok(_) => tx.commit().await,
            Err(error) => Err(error),
        },
        Tx::Postgres(mut tx) => match sqlx::raw_sql(sql).execute(&mut *tx).await {
            Ok(_) => tx.commit().await,
            Err(error) => Err(error),
        },
    };
    self::done(sql, done);
}

/// Makes a SQLite database with the tables of a release that knew migrations up to `version`.
///
/// # Panics
/// When there is no such migration, or no room.
pub async fn sqlite_as_of(file: &Path, version: i64) {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true);
    let connection = sqlx::SqliteConnection::connect_with(&options).await;
    let mut connection = done("make the file", connection);
    let made = SQLITE_MIGRATIONS.run_to(version, &mut connection).await;
    done("make its tables", made);
    done("close the file", connection.close().await);
}

/// What a SQLite file says of its tables and indexes, and which migrations made them.
///
/// # Panics
/// When there is no such file, or a damaged one.
pub async fn schema_of(file: &Path) -> Vec<String> {
    let mut connection = done("open the file", connect_to_read(file).await);
    let schema = sqlx::query_scalar(
        "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema \
         UNION ALL SELECT 'migration ' || version || ' ' || success FROM _sqlx_migrations ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await;
    done("close the file", connection.close().await);
    done("read its tables", schema)
}

/// Which tree each page of a SQLite file belongs to, from page 1 on; empty for pages of none.
///
/// # Panics
/// When there is no such file, or a damaged one.
pub async fn trees(file: &Path) -> Vec<String> {
    let mut connection = done("open the file", connect_to_read(file).await);
    let pages = sqlx::query_as("SELECT name, pageno FROM dbstat")
        .fetch_all(&mut connection)
        .await;
    let pages: Vec<(String, i64)> = done("list the pages", pages);
    done("close the file", connection.close().await);
    let mut trees = Vec::new();
    for (name, page) in pages {
        let page = usize::try_from(page).unwrap_or_default();
        trees.resize(trees.len().max(page), String::new());
        if let Some(tree) = trees.get_mut(page.saturating_sub(1)) {
            *tree = name;
        }
    }
    trees
}

async fn run(url: &DatabaseUrl, case: impl AsyncFnOnce(Store)) {
    let store = done("open the database", Store::open(url).await);
    case(store.clone()).await;
    store.close().await;
}

fn done<T, E: Display>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the test harness could not {what}: {error}"),
    }
}
