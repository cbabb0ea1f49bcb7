//! Opening: data survives it, and what is damaged, foreign or newer is refused and left alone.

use std::fs;
use std::path::PathBuf;

use sqlx::{ConnectOptions, Connection, Executor};

use super::*;
use crate::database_url::Place;
use crate::testing::{execute, postgres_url, sqlite_url};
use crate::{DatabaseUrl, OpenError};

fn path_of(url: &DatabaseUrl) -> PathBuf {
    match &url.0 {
        Place::Sqlite(path) => path.clone(),
        Place::Postgres(_) => panic!("not SQLite"),
    }
}

async fn refusal(url: &DatabaseUrl) -> OpenError {
    Store::open(url)
        .await
        .err()
        .expect("the database is refused")
}

/// A database with one host in it, closed.
async fn with_a_host(url: &DatabaseUrl) {
    let store = Store::open(url).await.unwrap();
    enrol(&store, 1).await;
    store.close().await;
}

/// Is refused as damaged, says how to restore, and is left as it was.
async fn assert_refused_as_damaged(url: &DatabaseUrl) {
    let path = path_of(url);
    let before = fs::read(&path).ok();
    let refused = refusal(url).await;
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
    let message = refused.to_string();
    assert!(message.contains(&*path.to_string_lossy()), "{message}");
    assert!(message.contains("restore"), "{message}");
    assert_eq!(fs::read(&path).ok(), before);
}

#[tokio::test]
async fn data_survives_a_restart_on_sqlite() {
    let (url, folder) = sqlite_url();
    with_a_host(&url).await;
    let store = Store::open(&url).await.unwrap();
    assert_eq!(store.read().await.unwrap().hosts_count().await.unwrap(), 1);
    store.close().await;
    let files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, ["test.db"]);
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let (url, folder) = sqlite_url();
    let store = Store::open(&url).await.unwrap();
    enrol(&store, 1).await;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{entry:?}");
    }
}

#[tokio::test]
async fn data_survives_a_restart_on_postgres() {
    let url = postgres_url().await;
    with_a_host(&url).await;
    let store = Store::open(&url).await.unwrap();
    assert_eq!(store.read().await.unwrap().hosts_count().await.unwrap(), 1);
}

#[tokio::test]
async fn controllers_that_start_together_migrate_once() {
    let url = postgres_url().await;
    let opened = futures::future::join_all((0..4).map(|_| Store::open(&url))).await;
    for store in opened {
        store.unwrap().ping().await.unwrap();
    }
}

#[tokio::test]
async fn an_empty_or_zeroed_file_is_refused() {
    let (url, _folder) = sqlite_url();
    for content in [vec![], vec![0; 8_192]] {
        fs::write(path_of(&url), content).unwrap();
        assert_refused_as_damaged(&url).await;
    }
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let (url, _folder) = sqlite_url();
    with_a_host(&url).await;
    let whole = fs::read(path_of(&url)).unwrap();
    fs::write(path_of(&url), &whole[..whole.len() - 4_096]).unwrap();
    assert_refused_as_damaged(&url).await;
    fs::write(path_of(&url), &whole[..60]).unwrap();
    assert_refused_as_damaged(&url).await;
}

#[tokio::test]
async fn a_damaged_page_is_found_wherever_it_is() {
    let (url, _folder) = sqlite_url();
    with_a_host(&url).await;
    let whole = fs::read(path_of(&url)).unwrap();
    let store = Store::open(&url).await.unwrap();
    let mut connection = match store.read().await.unwrap() {
        crate::Tx::Sqlite(tx) => tx,
        crate::Tx::Postgres(_) => panic!("not SQLite"),
    };
    let roots: Vec<i64> =
        sqlx::query_scalar("SELECT DISTINCT rootpage FROM sqlite_schema WHERE rootpage > 1")
            .fetch_all(&mut *connection)
            .await
            .unwrap();
    drop(connection);
    store.close().await;
    assert!(roots.len() > 15, "{roots:?}");
    for root in roots {
        let mut damaged = whole.clone();
        let begin = (usize::try_from(root).unwrap() - 1) * 4_096;
        damaged[begin..begin + 64].fill(0xa5);
        fs::write(path_of(&url), damaged).unwrap();
        assert_refused_as_damaged(&url).await;
    }
}

#[tokio::test]
async fn a_lost_file_with_its_log_still_there_is_refused() {
    let (url, _folder) = sqlite_url();
    let path = path_of(&url);
    fs::write(path.with_extension("db-wal"), [1; 100]).unwrap();
    assert_refused_as_damaged(&url).await;
    fs::metadata(path).unwrap_err();
}

#[tokio::test]
async fn another_programs_file_is_refused_and_left_alone() {
    let (url, _folder) = sqlite_url();
    let path = path_of(&url);
    let mut foreign = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    foreign.execute("CREATE TABLE songs (name)").await.unwrap();
    foreign.close().await.unwrap();
    for content in [
        fs::read(&path).unwrap(),
        b"root:x:0:0:root:/root\n".to_vec(),
    ] {
        fs::write(&path, &content).unwrap();
        let refused = refusal(&url).await;
        assert!(matches!(refused, OpenError::Foreign { .. }), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn another_programs_postgres_database_is_refused_and_left_alone() {
    let url = postgres_url().await;
    let Place::Postgres(options) = &url.0 else {
        panic!("not Postgres");
    };
    let mut foreign = options.connect().await.unwrap();
    foreign
        .execute("CREATE TABLE songs (name text)")
        .await
        .unwrap();
    let refused = refusal(&url).await;
    assert!(refused.to_string().contains("songs"), "{refused}");
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            .fetch_one(&mut foreign)
            .await
            .unwrap();
    assert_eq!(tables, 1);
}

contract!(
    a_database_of_a_newer_release_is_refused,
    a_database_that_a_newer_release_left_readable_is_opened,
    what_a_database_needs_is_told_without_changing_it,
);

/// Notes a migration that no release knows yet, and which migration its readers must know.
async fn bring_to_the_future(store: &Store, readers: i64) -> DatabaseUrl {
    let note = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES (9999, 'from the future', TRUE, $1, 0)";
    let readable = "UPDATE schema_readers SET migration_min = $1";
    match &store.pools {
        crate::store::Pools::Sqlite { writer, path, .. } => {
            let query = sqlx::query(note).bind(&[1_u8][..]);
            query.execute(writer).await.unwrap();
            let query = sqlx::query(readable).bind(readers);
            query.execute(writer).await.unwrap();
            DatabaseUrl::sqlite(path)
        }
        crate::store::Pools::Postgres(pool) => {
            let query = sqlx::query(note).bind(&[1_u8][..]);
            query.execute(pool).await.unwrap();
            let query = sqlx::query(readable).bind(readers);
            query.execute(pool).await.unwrap();
            DatabaseUrl(Place::Postgres(Box::new((*pool.connect_options()).clone())))
        }
    }
}

async fn a_database_of_a_newer_release_is_refused(store: Store) {
    let url = bring_to_the_future(&store, 9_999).await;
    let refused = refusal(&url).await;
    assert!(
        matches!(refused, OpenError::Newer { version: 9_999, .. }),
        "{refused:?}"
    );
}

async fn a_database_that_a_newer_release_left_readable_is_opened(store: Store) {
    enrol(&store, 1).await;
    let url = bring_to_the_future(&store, 1).await;
    assert!(url.schema().await.unwrap().is_newer_and_readable());
    let older = Store::open(&url).await.unwrap();
    assert_eq!(older.read().await.unwrap().hosts_count().await.unwrap(), 1);
    older.close().await;
}

async fn what_a_database_needs_is_told_without_changing_it(store: Store) {
    let url = bring_to_the_future(&store, 9_999).await;
    let schema = url.schema().await.unwrap();
    assert_eq!((schema.applied, schema.readers), (Some(9_999), Some(9_999)));
    assert!(!schema.is_newer_and_readable() && !schema.is_behind());
    execute(&store, "DELETE FROM _sqlx_migrations WHERE version > 1").await;
    let older = url.schema().await.unwrap();
    assert_eq!(older.applied, Some(1));
    assert!(older.is_behind());
    assert_eq!(url.schema().await.unwrap(), older);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let url: DatabaseUrl = "postgres://tide:hunter2@127.0.0.1:1/mark".parse().unwrap();
    let refused = refusal(&url).await;
    let message = refused.to_string();
    assert!(message.contains("127.0.0.1:1/mark"), "{message}");
    assert!(!format!("{refused:?}").contains("hunter2"));
}
