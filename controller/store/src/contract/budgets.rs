//! Budgets: the newest version of a name holds, two authors cannot add the same one, and retention brings nothing back.

use super::*;
use crate::{BudgetVersion, StoreError};

contract!(
    the_newest_version_of_a_budget_holds,
    a_deleted_budget_leaves_its_history,
    the_same_version_is_added_once,
    a_budget_keeps_its_newest_versions,
    retention_takes_versions_that_do_not_hold,
);

fn version(name: &str, version: u64, body: Option<&str>) -> BudgetVersion {
    BudgetVersion {
        name: name.to_owned(),
        version,
        at: at(i64::try_from(version).unwrap() * 100),
        author: "ann".to_owned(),
        body: body.map(str::to_owned),
    }
}

async fn append(store: &Store, all: &[BudgetVersion]) {
    let mut tx = store.begin().await.unwrap();
    for one in all {
        tx.budget_append(one).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn the_newest_version_of_a_budget_holds(store: Store) {
    let all = [
        version("web", 1, Some("{}")),
        version("db", 1, Some("[1]")),
        version("web", 2, Some("[2]")),
    ];
    append(&store, &all).await;
    let mut tx = store.read().await.unwrap();
    let standing = tx.budgets_standing(9).await.unwrap();
    assert_eq!(standing, [all[1].clone(), all[2].clone()]);
    assert_eq!(tx.budgets_standing(1).await.unwrap(), all[1..2]);
    assert_eq!(
        tx.budget_newest("web").await.unwrap().as_ref(),
        Some(&all[2])
    );
    assert_eq!(tx.budget_newest("nobody").await.unwrap(), None);
    let history = tx.budget_versions("web", 9).await.unwrap();
    assert_eq!(history, [all[2].clone(), all[0].clone()]);
}

async fn a_deleted_budget_leaves_its_history(store: Store) {
    let all = [version("web", 1, Some("{}")), version("web", 2, None)];
    append(&store, &all).await;
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.budgets_standing(9).await.unwrap(), []);
    assert_eq!(
        tx.budget_newest("web").await.unwrap().as_ref(),
        Some(&all[1])
    );
    assert_eq!(tx.budget_versions("web", 9).await.unwrap().len(), 2);
}

async fn the_same_version_is_added_once(store: Store) {
    append(&store, &[version("web", 1, Some("{}"))]).await;
    let mut tx = store.begin().await.unwrap();
    let again = tx.budget_append(&version("web", 1, Some("[2]"))).await;
    assert!(matches!(again, Err(StoreError::Stale { .. })), "{again:?}");
}

async fn a_budget_keeps_its_newest_versions(store: Store) {
    let all: Vec<_> = (1..=crate::DOCUMENT_VERSIONS_MAX + 3)
        .map(|number| version("web", number, Some("{}")))
        .collect();
    append(&store, &all).await;
    let mut tx = store.read().await.unwrap();
    let kept = tx.budget_versions("web", 1_000).await.unwrap();
    assert_eq!(kept.len() as u64, crate::DOCUMENT_VERSIONS_MAX);
    assert_eq!(kept.last().unwrap().version, 4);
}

async fn retention_takes_versions_that_do_not_hold(store: Store) {
    let gone = version("gone", 2, None);
    // The clock was set back before it was deleted.
    let gone = BudgetVersion { at: at(1), ..gone };
    let all = [
        version("gone", 1, Some("{}")),
        gone,
        version("web", 1, Some("{}")),
        version("web", 2, Some("{}")),
    ];
    append(&store, &all).await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(
        tx.budget_versions_delete_before(at(50), 9).await.unwrap(),
        0
    );
    assert_eq!(
        tx.budget_versions_delete_before(at(900), 9).await.unwrap(),
        2
    );
    assert_eq!(tx.budgets_standing(9).await.unwrap(), all[3..]);
    assert_eq!(
        tx.budget_versions_delete_before(at(900), 9).await.unwrap(),
        1
    );
    assert_eq!(tx.budget_newest("gone").await.unwrap(), None);
    assert_eq!(
        tx.budget_versions_delete_before(at(900), 9).await.unwrap(),
        0
    );
}
