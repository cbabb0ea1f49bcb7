//! Documents: the newest version of a name holds, two authors cannot add the same one, kinds do not mix, and retention
//! brings nothing back.

use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::{ConnectOptions, Connection, Executor};

use super::*;
use crate::DatabaseUrl;
use crate::DocumentKind::{Budget, Window};
use crate::database_url::Place;
use crate::testing::{postgres_url, sqlite_url};
use crate::{DocumentKind, DocumentVersion, StoreError};

contract!(
    the_newest_version_of_a_document_holds,
    a_deleted_document_leaves_its_history,
    the_same_version_is_added_once,
    a_document_keeps_its_newest_versions,
    retention_takes_versions_that_do_not_hold,
    documents_of_two_kinds_may_have_one_name,
);

fn version(name: &str, version: u64, body: Option<&str>) -> DocumentVersion {
    DocumentVersion {
        name: name.to_owned(),
        version,
        at: at(i64::try_from(version).unwrap() * 100),
        author: "ann".to_owned(),
        body: body.map(str::to_owned),
    }
}

async fn append(store: &Store, all: &[DocumentVersion]) {
    let mut tx = store.begin().await.unwrap();
    for one in all {
        tx.document_append(Budget, one).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn the_newest_version_of_a_document_holds(store: Store) {
    let all = [
        version("web", 1, Some("{}")),
        version("db", 1, Some("[1]")),
        version("web", 2, Some("[2]")),
    ];
    append(&store, &all).await;
    let mut tx = store.read().await.unwrap();
    let standing = tx.documents_standing(Budget, 9).await.unwrap();
    assert_eq!(standing, [all[1].clone(), all[2].clone()]);
    assert_eq!(tx.documents_standing(Budget, 1).await.unwrap(), all[1..2]);
    assert_eq!(
        tx.document_newest(Budget, "web").await.unwrap().as_ref(),
        Some(&all[2])
    );
    assert_eq!(tx.document_newest(Budget, "nobody").await.unwrap(), None);
    let history = tx.document_versions(Budget, "web").await.unwrap();
    assert_eq!(history, [all[2].clone(), all[0].clone()]);
}

async fn a_deleted_document_leaves_its_history(store: Store) {
    let all = [version("web", 1, Some("{}")), version("web", 2, None)];
    append(&store, &all).await;
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.documents_standing(Budget, 9).await.unwrap(), []);
    assert_eq!(
        tx.document_newest(Budget, "web").await.unwrap().as_ref(),
        Some(&all[1])
    );
    assert_eq!(tx.document_versions(Budget, "web").await.unwrap().len(), 2);
}

async fn the_same_version_is_added_once(store: Store) {
    append(&store, &[version("web", 1, Some("{}"))]).await;
    let mut tx = store.begin().await.unwrap();
    let again = tx
        .document_append(Budget, &version("web", 1, Some("[2]")))
        .await;
    assert!(matches!(again, Err(StoreError::Stale { .. })), "{again:?}");
}

async fn a_document_keeps_its_newest_versions(store: Store) {
    let all: Vec<_> = (1..=u64::from(DocumentKind::VERSIONS_MAX) + 3)
        .map(|number| version("web", number, Some("{}")))
        .collect();
    append(&store, &all).await;
    let mut tx = store.read().await.unwrap();
    let kept = tx.document_versions(Budget, "web").await.unwrap();
    assert_eq!(kept.len() as u64, u64::from(DocumentKind::VERSIONS_MAX));
    assert_eq!(kept.last().unwrap().version, 4);
}

async fn retention_takes_versions_that_do_not_hold(store: Store) {
    let gone = version("gone", 2, None);
    // The clock was set back before it was deleted.
    let gone = DocumentVersion { at: at(1), ..gone };
    let all = [
        version("gone", 1, Some("{}")),
        gone,
        version("web", 1, Some("{}")),
        version("web", 2, Some("{}")),
    ];
    append(&store, &all).await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(
        tx.document_versions_delete_before(at(50), 9).await.unwrap(),
        0
    );
    assert_eq!(
        tx.document_versions_delete_before(at(900), 9)
            .await
            .unwrap(),
        2
    );
    assert_eq!(tx.documents_standing(Budget, 9).await.unwrap(), all[3..]);
    assert_eq!(
        tx.document_versions_delete_before(at(900), 9)
            .await
            .unwrap(),
        1
    );
    assert_eq!(tx.document_newest(Budget, "gone").await.unwrap(), None);
    assert_eq!(
        tx.document_versions_delete_before(at(900), 9)
            .await
            .unwrap(),
        0
    );
}

async fn documents_of_two_kinds_may_have_one_name(store: Store) {
    let (first, second) = (version("web", 1, Some("{}")), version("web", 2, None));
    append(&store, &[first.clone(), second.clone()]).await;
    let mut tx = store.begin().await.unwrap();
    tx.document_append(Window, &first).await.unwrap();
    assert_eq!(tx.documents_standing(Budget, 9).await.unwrap(), []);
    let standing = tx.documents_standing(Window, 9).await.unwrap();
    assert_eq!(standing, std::slice::from_ref(&first));
    let versions = tx.document_versions(Window, "web").await.unwrap();
    assert_eq!(versions, std::slice::from_ref(&first));
    let newest = tx.document_newest(Window, "web").await.unwrap();
    assert_eq!(newest, Some(first));
    // The budget's first version goes, the window that holds does not.
    let deleted = tx
        .document_versions_delete_before(at(900), 9)
        .await
        .unwrap();
    assert_eq!(deleted, 1);
    let newest = tx.document_newest(Budget, "web").await.unwrap();
    assert_eq!(newest, Some(second));
    assert_eq!(tx.documents_standing(Window, 9).await.unwrap().len(), 1);
}

/// The last migration before documents were kept together.
const BEFORE: i64 = 7;
const APPLIED_BEFORE: &str = "\
    INSERT INTO budget_versions (name, version, at, author, body) VALUES ('web', 1, 10, 'ann', '{}'), ('web', 2, 20, 'bob', NULL);\
    INSERT INTO windows (name, version, applied_at, applied_by, spec) VALUES ('night', 4, 30, 'cyd', '[4]');\
    INSERT INTO window_versions (name, version, applied_at, applied_by, spec) VALUES \
    ('night', 3, 25, 'ann', NULL), ('night', 4, 30, 'cyd', '[4]')";

async fn migrations(folder: &str) -> Migrator {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    Migrator::new(all.join(folder)).await.unwrap()
}

async fn assert_came_along(url: &DatabaseUrl) {
    let store = Store::open(url).await.unwrap();
    let mut tx = store.read().await.unwrap();
    let budgets = tx.document_versions(Budget, "web").await.unwrap();
    let told: Vec<_> = budgets
        .iter()
        .map(|one| (one.version, one.body.as_deref(), one.at))
        .collect();
    assert_eq!(told, [(2, None, at(20)), (1, Some("{}"), at(10))]);
    assert_eq!(tx.documents_standing(Budget, 9).await.unwrap(), []);
    let standing = tx.documents_standing(Window, 9).await.unwrap();
    let [night] = standing.as_slice() else {
        panic!("one window stands: {standing:?}");
    };
    assert_eq!(
        (night.version, night.author.as_str(), night.body.as_deref()),
        (4, "cyd", Some("[4]"))
    );
    assert_eq!(
        tx.document_versions(Window, "night").await.unwrap().len(),
        2
    );
    drop(tx);
    store.close().await;
}

#[tokio::test]
async fn what_was_applied_before_comes_along_on_sqlite() {
    let (url, _folder) = sqlite_url();
    let Place::Sqlite(path) = &url.0 else {
        panic!("not SQLite");
    };
    let options = sqlx::sqlite::SqliteConnectOptions::new();
    let options = options.filename(path).create_if_missing(true);
    let mut old = options.connect().await.unwrap();
    migrations("sqlite")
        .await
        .run_to(BEFORE, &mut old)
        .await
        .unwrap();
    old.execute(APPLIED_BEFORE).await.unwrap();
    old.close().await.unwrap();
    assert_came_along(&url).await;
}

#[tokio::test]
async fn what_was_applied_before_comes_along_on_postgres() {
    let url = postgres_url().await;
    let Place::Postgres(options) = &url.0 else {
        panic!("not Postgres");
    };
    let mut old = options.connect().await.unwrap();
    migrations("postgres")
        .await
        .run_to(BEFORE, &mut old)
        .await
        .unwrap();
    old.execute(APPLIED_BEFORE).await.unwrap();
    old.close().await.unwrap();
    assert_came_along(&url).await;
}
