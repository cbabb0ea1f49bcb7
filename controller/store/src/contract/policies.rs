//! Cases of policies: one open a host and policy, changed by generation, counted by firing.

use tidemark_model::action::ActionId;
use tidemark_model::policy::{Case, CaseState, Fixes, Ladder, Pending, RungOutcome, Tried};
use tidemark_model::view::ActionRequest;

use super::*;
use crate::{PolicyFirings, StoreError};

contract!(
    a_case_comes_back_as_it_was_stored,
    a_host_has_one_open_case_of_a_policy,
    a_stale_generation_changes_and_deletes_no_case,
    what_fired_is_counted_by_policy_and_found_by_host,
    retention_takes_cases_that_ended,
);

fn case(policy: &str, host: u32, since: i64) -> Case {
    Case::begin((policy, 3), host_id(host), at(since), "full".to_owned())
}

async fn insert(store: &Store, case: &Case) -> Option<i64> {
    let mut tx = store.begin().await.unwrap();
    let id = tx.policy_case_insert(case).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// A case that was begun at `fired` and ended like that a second later.
async fn fired(store: &Store, (policy, host): (&str, u32), fired: i64, end: CaseState) -> Case {
    let mut one = case(policy, host, fired - 5);
    one.fire(Ladder::new(vec![0], at(fired)), at(fired));
    one.close(end, at(fired + 1_000));
    one.id = insert(store, &one).await.unwrap();
    one
}

async fn a_case_comes_back_as_it_was_stored(store: Store) {
    let mut one = case("leak", 1, 10);
    one.id = insert(&store, &one).await.unwrap();
    let mut ladder = Ladder::new(vec![1, 0], at(20));
    ladder.offer(at(20), Fixes { done: 0, most: 2 });
    ladder.ended(RungOutcome::InVain, at(30), std::time::Duration::ZERO);
    one.fire(ladder, at(20));
    one.body.incident = Some(7);
    one.body.pending = Some(Pending {
        rung: 0,
        request: ActionRequest {
            host: "web-1".to_owned(),
            spec: serde_json::json!({"action": "run_hook", "name": "h"}),
            dry_run: false,
            reason: "full".to_owned(),
            incident: Some(7),
            not_before_ms: Some(1),
            undo_if_worse: None,
            expires_ms: None,
        },
        action: Some(ActionId::from_bytes([4; 16])),
    });
    one.body.tried.push(Tried {
        rung: 1,
        summary: "restart".to_owned(),
        action: None,
        state: None,
        at_ms: at(30),
        text: "nobody can name the service".to_owned(),
    });
    let mut tx = store.begin().await.unwrap();
    tx.policy_case_update(&mut one).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.policy_cases_open(0, 9).await.unwrap(), [one.clone()]);
    assert_eq!(tx.policy_cases_open(one.id, 9).await.unwrap(), []);
    assert_eq!(tx.policy_cases_acting("leak").await.unwrap(), 1);
    assert_eq!(tx.policy_cases_acting("other").await.unwrap(), 0);
}

async fn a_host_has_one_open_case_of_a_policy(store: Store) {
    let mut first = case("leak", 1, 10);
    first.id = insert(&store, &first).await.unwrap();
    assert_eq!(insert(&store, &case("leak", 1, 11)).await, None);
    assert!(insert(&store, &case("leak", 2, 11)).await.is_some());
    assert!(insert(&store, &case("other", 1, 11)).await.is_some());
    first.close(CaseState::Withdrawn, at(12));
    let mut tx = store.begin().await.unwrap();
    tx.policy_case_update(&mut first).await.unwrap();
    tx.commit().await.unwrap();
    let next = insert(&store, &case("leak", 1, 13)).await.unwrap();
    let mut tx = store.read().await.unwrap();
    let page = tx.policy_cases_page("leak", i64::MAX, 9).await.unwrap();
    let of_first: Vec<i64> = page
        .iter()
        .filter(|one| one.host == host_id(1))
        .map(|one| one.id)
        .collect();
    assert_eq!(of_first, [next, first.id]);
    let newest = tx.policy_cases_newest(2).await.unwrap();
    let newest: Vec<(i64, &str)> = newest.iter().map(|one| (one.id, &*one.policy)).collect();
    assert_eq!(newest, [(next, "leak"), (next - 1, "other")]);
}

async fn a_stale_generation_changes_and_deletes_no_case(store: Store) {
    let mut one = case("leak", 1, 10);
    one.id = insert(&store, &one).await.unwrap();
    let mut other = one.clone();
    let mut tx = store.begin().await.unwrap();
    tx.policy_case_update(&mut one).await.unwrap();
    let stale = tx.policy_case_update(&mut other).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })), "{stale:?}");
    let stale = tx.policy_case_delete(&other).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })), "{stale:?}");
    tx.policy_case_delete(&one).await.unwrap();
    assert_eq!(tx.policy_cases_open(0, 9).await.unwrap(), []);
}

async fn what_fired_is_counted_by_policy_and_found_by_host(store: Store) {
    let long_ago = fired(&store, ("leak", 1), 10_000, CaseState::Verified).await;
    let lately = fired(&store, ("leak", 1), 50_000, CaseState::Verified).await;
    fired(&store, ("leak", 2), 60_000, CaseState::Cleared).await;
    fired(&store, ("other", 1), 55_000, CaseState::Cleared).await;
    // What only holds has not fired.
    insert(&store, &case("leak", 1, 70_000)).await.unwrap();
    let mut tx = store.read().await.unwrap();
    let firings = |policy: &str, fired, verified, last| PolicyFirings {
        policy: policy.to_owned(),
        fired,
        verified,
        last: at(last),
    };
    assert_eq!(
        tx.policy_firings(at(20_000)).await.unwrap(),
        [
            firings("leak", 2, 1, 60_000),
            firings("other", 1, 0, 55_000)
        ]
    );
    let of_host = ("leak", host_id(1));
    let since = tx.policy_cases_fired(of_host, at(20_000), 9).await;
    assert_eq!(since.unwrap(), std::slice::from_ref(&lately));
    let all = tx.policy_cases_fired(of_host, at(0), 9).await.unwrap();
    assert_eq!(all, [lately, long_ago]);
}

async fn retention_takes_cases_that_ended(store: Store) {
    fired(&store, ("leak", 1), 10_000, CaseState::Verified).await;
    fired(&store, ("leak", 1), 50_000, CaseState::Verified).await;
    insert(&store, &case("leak", 1, 1)).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let deleted = tx.policy_cases_delete_before(at(30_000), 9).await;
    assert_eq!(deleted.unwrap(), 1);
    let kept = tx.policy_cases_page("leak", i64::MAX, 9).await.unwrap();
    assert_eq!(kept.len(), 2);
}
