//! Join tokens and API tokens.

use tidemark_model::{HostScope, Role};

use super::*;
use crate::{BurnOutcome, JoinTokenUse, NewApiToken, StoreError};

contract!(
    a_join_token_is_read_as_it_was_written,
    a_join_token_counts_each_identity_once,
    a_join_token_names_why_it_refuses,
    one_use_is_not_given_to_two_who_ask_at_once,
    expired_join_tokens_are_forgotten_with_their_uses,
    an_api_token_is_read_as_it_was_written,
    an_api_token_without_a_scope_is_for_all_hosts,
);

fn wish(token: u8, identity: u8, now: i64) -> JoinTokenUse {
    JoinTokenUse {
        token: token_id(token),
        identity_hash: [identity; 32],
        host: host_id(u32::from(identity)),
        at: at(now),
    }
}

/// Nobody else may use the token meanwhile: what comes of it is what was foreseen.
async fn burn(store: &Store, wish: JoinTokenUse) -> BurnOutcome {
    let mut tx = store.read().await.unwrap();
    let foreseen = match tx.join_token_find(wish.token).await.unwrap() {
        Some(token) => tx.join_token_foresee(&token, &wish).await.unwrap(),
        None => BurnOutcome::Unknown,
    };
    drop(tx);
    let outcome = burn_unforeseen(store, wish).await;
    assert_eq!(outcome, foreseen);
    outcome
}

async fn burn_unforeseen(store: &Store, wish: JoinTokenUse) -> BurnOutcome {
    let mut tx = store.begin().await.unwrap();
    let outcome = tx.join_token_burn(&wish).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

async fn a_join_token_is_read_as_it_was_written(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for number in [3, 1, 2] {
        tx.join_token_insert(&new_token(number, 5)).await.unwrap();
    }
    let page = tx.join_tokens_page(Some(token_id(1)), 10).await.unwrap();
    assert_eq!(
        page.iter().map(|token| token.id).collect::<Vec<_>>(),
        [token_id(2), token_id(3)]
    );
    let token = tx.join_token_find(token_id(3)).await.unwrap().unwrap();
    let given = new_token(3, 5);
    assert_eq!(
        (token.secret_hash, token.labels),
        (given.secret_hash, given.labels)
    );
    assert_eq!((token.uses_max, token.uses), (5, 0));
    assert_eq!((token.expires_at, token.revoked_at), (at(10_000), None));
    assert!(matches!(
        tx.join_token_insert(&new_token(4, 0)).await,
        Err(StoreError::InvalidValue { .. })
    ));
}

async fn a_join_token_counts_each_identity_once(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.join_token_insert(&new_token(1, 2)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(burn(&store, wish(1, 10, 5)).await, BurnOutcome::Burned);
    for now in [6, 99_999] {
        let again = BurnOutcome::BurnedBefore { host: host_id(10) };
        assert_eq!(burn(&store, wish(1, 10, now)).await, again);
    }
    assert_eq!(burn(&store, wish(1, 11, 5)).await, BurnOutcome::Burned);
    assert_eq!(burn(&store, wish(1, 12, 5)).await, BurnOutcome::UsedUp);
    let mut tx = store.read().await.unwrap();
    let token = tx.join_token_find(token_id(1)).await.unwrap().unwrap();
    assert_eq!(token.uses, 2);
}

async fn a_join_token_names_why_it_refuses(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.join_token_insert(&new_token(1, 5)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(burn(&store, wish(2, 10, 5)).await, BurnOutcome::Unknown);
    assert_eq!(
        burn(&store, wish(1, 10, 10_000)).await,
        BurnOutcome::Expired
    );
    assert_eq!(burn(&store, wish(1, 10, 9_999)).await, BurnOutcome::Burned);
    let mut tx = store.begin().await.unwrap();
    tx.join_token_revoke(token_id(1), at(7)).await.unwrap();
    tx.join_token_revoke(token_id(1), at(8)).await.unwrap();
    assert!(matches!(
        tx.join_token_revoke(token_id(2), at(8)).await,
        Err(StoreError::NotFound { .. })
    ));
    tx.commit().await.unwrap();
    assert_eq!(burn(&store, wish(1, 10, 9)).await, BurnOutcome::Revoked);
    let mut tx = store.read().await.unwrap();
    let token = tx.join_token_find(token_id(1)).await.unwrap().unwrap();
    assert_eq!(token.revoked_at, Some(at(7)));
}

async fn one_use_is_not_given_to_two_who_ask_at_once(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.join_token_insert(&new_token(1, 1)).await.unwrap();
    tx.commit().await.unwrap();
    let wishes = (0..8).map(|identity| burn_unforeseen(&store, wish(1, identity, 5)));
    let outcomes = futures::future::join_all(wishes).await;
    let burned = outcomes
        .iter()
        .filter(|outcome| **outcome == BurnOutcome::Burned);
    assert_eq!(burned.count(), 1, "{outcomes:?}");
    let used_up = outcomes
        .iter()
        .filter(|outcome| **outcome == BurnOutcome::UsedUp);
    assert_eq!(used_up.count(), 7, "{outcomes:?}");
}

async fn expired_join_tokens_are_forgotten_with_their_uses(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for number in 1..=3 {
        tx.join_token_insert(&new_token(number, 1)).await.unwrap();
    }
    assert_eq!(
        tx.join_token_burn(&wish(1, 10, 5)).await.unwrap(),
        BurnOutcome::Burned
    );
    assert_eq!(
        tx.join_tokens_delete_expired(at(10_000), 10).await.unwrap(),
        0
    );
    assert_eq!(
        tx.join_tokens_delete_expired(at(10_001), 2).await.unwrap(),
        2
    );
    assert_eq!(
        tx.join_tokens_delete_expired(at(10_001), 2).await.unwrap(),
        1
    );
    assert!(tx.join_tokens_page(None, 10).await.unwrap().is_empty());
    tx.join_token_insert(&new_token(1, 1)).await.unwrap();
    assert_eq!(
        tx.join_token_burn(&wish(1, 10, 5)).await.unwrap(),
        BurnOutcome::Burned
    );
}

fn new_api_token(scope: Option<&str>) -> NewApiToken {
    NewApiToken {
        id: token_id(1),
        secret_hash: [3; 32],
        name: "alice's laptop".to_owned(),
        role: Role::Approver,
        scope: HostScope::from_text(scope).unwrap(),
        created_at: at(5),
        expires_at: None,
        owner: None,
    }
}

async fn an_api_token_without_a_scope_is_for_all_hosts(store: Store) {
    let given = new_api_token(None);
    let mut tx = store.begin().await.unwrap();
    tx.api_token_insert(&given).await.unwrap();
    let found = tx.api_token_find(given.id).await.unwrap().unwrap();
    assert_eq!(found.scope, HostScope::All);
}

async fn an_api_token_is_read_as_it_was_written(store: Store) {
    let given = new_api_token(Some("team=payments,env=prod"));
    let mut tx = store.begin().await.unwrap();
    tx.api_token_insert(&given).await.unwrap();
    tx.api_token_touch(given.id, at(6)).await.unwrap();
    tx.api_token_revoke(given.id, at(7)).await.unwrap();
    let found = tx.api_token_find(given.id).await.unwrap().unwrap();
    assert_eq!(
        (found.name, found.role, found.scope),
        (given.name, given.role, given.scope)
    );
    assert_eq!(
        (found.created_at, found.expires_at),
        (given.created_at, None)
    );
    assert_eq!(
        (found.last_used_at, found.revoked_at),
        (Some(at(6)), Some(at(7)))
    );
    assert_eq!(tx.api_tokens_page(None, 10).await.unwrap().len(), 1);
    assert!(
        tx.api_tokens_page(Some(given.id), 10)
            .await
            .unwrap()
            .is_empty()
    );
    for refused in [
        tx.api_token_touch(token_id(2), at(6)).await,
        tx.api_token_revoke(token_id(2), at(6)).await,
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    }
}
