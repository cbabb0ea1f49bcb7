//! Users, their browsers, and sign-ins that are under way elsewhere.

use tidemark_model::{HostScope, Role, Secret};

use super::*;
use crate::{BrowserSession, NewApiToken, NewUser, OidcSubject, SessionOwner, StoreError};

contract!(
    a_user_is_read_as_it_was_written,
    a_name_and_a_subject_are_taken_once,
    failures_are_counted_until_a_lock_or_a_sign_in,
    only_admins_who_can_sign_in_count,
    a_session_is_read_as_it_was_written,
    a_deleted_user_takes_sessions_and_tokens_along,
    sessions_that_are_over_or_idle_are_deleted,
    the_newest_sessions_of_a_user_stay,
    tokens_of_a_sign_in_are_revoked_together,
    a_sign_in_under_way_ends_once,
);

fn user(name: &str, role: Role) -> NewUser {
    NewUser {
        name: name.to_owned(),
        role,
        scope: HostScope::All,
        password_hash: Some(Secret::new("$argon2id$x".to_owned())),
        subject: None,
        created_at: at(5),
    }
}

fn pay() -> HostScope {
    HostScope::from_text(Some("team=pay")).unwrap()
}

fn session(number: u8, owner: SessionOwner, begun: i64) -> BrowserSession {
    BrowserSession {
        id: token_id(number),
        secret_hash: [number; 32],
        owner,
        created_at: at(begun),
        used_at: at(begun),
        expires_at: at(begun + 1_000),
        address: "192.0.2.7".to_owned(),
        user_agent: "Mozilla/5.0".to_owned(),
    }
}

fn token_of(number: u8, owner: Option<&str>) -> NewApiToken {
    NewApiToken {
        id: token_id(number),
        secret_hash: [number; 32],
        name: "ann".to_owned(),
        role: Role::Viewer,
        scope: HostScope::All,
        created_at: at(5),
        expires_at: Some(at(500)),
        owner: owner.map(str::to_owned),
    }
}

fn of_ann() -> SessionOwner {
    SessionOwner::User("ann".to_owned())
}

async fn a_user_is_read_as_it_was_written(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for name in ["bob", "ann", "eve"] {
        tx.user_insert(&user(name, Role::Operator)).await.unwrap();
    }
    assert_eq!(tx.users_count().await.unwrap(), 3);
    let page = tx.users_page(Some("ann"), 10).await.unwrap();
    let names: Vec<&str> = page.iter().map(|user| &*user.name).collect();
    assert_eq!(names, ["bob", "eve"]);
    tx.user_set_role("ann", Role::Approver).await.unwrap();
    let ann = tx.user_find("ann").await.unwrap().unwrap();
    assert_eq!(ann.scope, HostScope::All);
    tx.user_set_scope("ann", &pay()).await.unwrap();
    tx.user_disable("ann", at(7)).await.unwrap();
    tx.user_disable("ann", at(8)).await.unwrap();
    let hash = Secret::new("$argon2id$y".to_owned());
    tx.user_set_password("ann", &hash).await.unwrap();
    let ann = tx.user_find("ann").await.unwrap().unwrap();
    assert_eq!((ann.role, ann.disabled_at), (Role::Approver, Some(at(7))));
    assert_eq!(ann.scope, pay());
    tx.user_set_scope("ann", &HostScope::All).await.unwrap();
    assert_eq!((ann.password_hash, ann.created_at), (Some(hash), at(5)));
    tx.user_enable("ann").await.unwrap();
    tx.user_delete("bob").await.unwrap();
    let ann = tx.user_find("ann").await.unwrap().unwrap();
    assert_eq!((ann.disabled_at, &ann.scope), (None, &HostScope::All));
    assert_eq!(tx.user_find("bob").await.unwrap(), None);
    assert_eq!(tx.user_hold("bob").await.unwrap(), None);
    assert_eq!(tx.user_hold("ann").await.unwrap(), Some(ann));
    for refused in [
        tx.user_set_role("bob", Role::Admin).await,
        tx.user_set_scope("bob", &pay()).await,
        tx.user_disable("bob", at(9)).await,
        tx.user_enable("bob").await,
        tx.user_unlock("bob").await,
        tx.user_lock("bob", at(9)).await,
        tx.user_signed_in("bob", at(9)).await,
        tx.user_delete("bob").await,
        tx.user_fail("bob").await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    }
}

async fn a_name_and_a_subject_are_taken_once(store: Store) {
    let who = OidcSubject {
        issuer: "https://id.example".to_owned(),
        subject: "4711".to_owned(),
    };
    let mut tx = store.begin().await.unwrap();
    let mut ann = user("ann", Role::Viewer);
    ann.password_hash = None;
    ann.subject = Some(who.clone());
    tx.user_insert(&ann).await.unwrap();
    let found = tx.user_of_subject(&who).await.unwrap().unwrap();
    assert_eq!((&*found.name, found.password_hash), ("ann", None));
    tx.commit().await.unwrap();
    let mut other = ann.clone();
    other.name = "ann2".to_owned();
    for taken in [user("ann", Role::Viewer), other] {
        let mut tx = store.begin().await.unwrap();
        assert!(matches!(
            tx.user_insert(&taken).await,
            Err(StoreError::AlreadyExists { .. })
        ));
    }
    let mut tx = store.begin().await.unwrap();
    let elsewhere = OidcSubject {
        issuer: "https://other.example".to_owned(),
        ..who
    };
    assert_eq!(tx.user_of_subject(&elsewhere).await.unwrap(), None);
}

async fn failures_are_counted_until_a_lock_or_a_sign_in(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.user_insert(&user("ann", Role::Viewer)).await.unwrap();
    assert_eq!(tx.user_fail("ann").await.unwrap(), 1);
    assert_eq!(tx.user_fail("ann").await.unwrap(), 2);
    tx.user_lock("ann", at(900)).await.unwrap();
    let ann = tx.user_find("ann").await.unwrap().unwrap();
    assert_eq!((ann.failed_attempts, ann.locked_until), (0, Some(at(900))));
    tx.user_unlock("ann").await.unwrap();
    assert_eq!(tx.user_fail("ann").await.unwrap(), 1);
    tx.user_signed_in("ann", at(8)).await.unwrap();
    let ann = tx.user_find("ann").await.unwrap().unwrap();
    assert_eq!((ann.failed_attempts, ann.locked_until), (0, None));
    assert_eq!(ann.signed_in_at, Some(at(8)));
}

async fn only_admins_who_can_sign_in_count(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut without = user("nobody", Role::Admin);
    without.password_hash = None;
    let mut of_a_team = user("kim", Role::Admin);
    of_a_team.scope = pay();
    for one in [
        user("ann", Role::Admin),
        user("bob", Role::Admin),
        user("eve", Role::Approver),
        without,
        of_a_team,
    ] {
        tx.user_insert(&one).await.unwrap();
    }
    tx.user_disable("bob", at(6)).await.unwrap();
    assert_eq!(tx.admins_lock().await.unwrap(), ["ann"]);
}

async fn a_session_is_read_as_it_was_written(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.user_insert(&user("ann", Role::Viewer)).await.unwrap();
    tx.api_token_insert(&token_of(9, None)).await.unwrap();
    for given in [
        session(1, of_ann(), 5),
        session(2, SessionOwner::Token(token_id(9)), 5),
        session(3, SessionOwner::Machine, 5),
    ] {
        tx.browser_session_insert(&given).await.unwrap();
        let found = tx.browser_session_find(given.id).await.unwrap();
        assert_eq!(found, Some(given));
    }
    assert_eq!(tx.browser_sessions_count().await.unwrap(), 3);
    let page = tx.browser_sessions_page(None, Some(token_id(1)), 10).await;
    assert_eq!(page.unwrap().len(), 2);
    let page = tx.browser_sessions_page(Some("ann"), None, 10).await;
    assert_eq!(page.unwrap(), [session(1, of_ann(), 5)]);
    for (touched, used) in [(9, 9), (7, 9)] {
        let touched = tx.browser_session_touch(token_id(1), at(touched)).await;
        touched.unwrap();
        let found = tx.browser_session_find(token_id(1)).await.unwrap();
        assert_eq!(found.unwrap().used_at, at(used));
    }
    tx.browser_session_delete(token_id(1)).await.unwrap();
    assert!(matches!(
        tx.browser_session_delete(token_id(1)).await,
        Err(StoreError::NotFound { .. })
    ));
}

async fn a_deleted_user_takes_sessions_and_tokens_along(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.user_insert(&user("ann", Role::Viewer)).await.unwrap();
    let token = token_of(8, Some("ann"));
    tx.api_token_insert(&token).await.unwrap();
    tx.api_token_insert(&token_of(9, None)).await.unwrap();
    for given in [
        session(1, of_ann(), 5),
        session(2, SessionOwner::Token(token_id(8)), 5),
        session(3, SessionOwner::Token(token_id(9)), 5),
    ] {
        tx.browser_session_insert(&given).await.unwrap();
    }
    let found = tx.api_token_find(token_id(8)).await.unwrap().unwrap();
    assert_eq!(found.owner.as_deref(), Some("ann"));
    tx.user_delete("ann").await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.api_token_find(token_id(8)).await.unwrap(), None);
    let page = tx.browser_sessions_page(None, None, 10).await.unwrap();
    let left: Vec<TokenId> = page.iter().map(|session| session.id).collect();
    assert_eq!(left, [token_id(3)]);
    assert!(matches!(
        tx.browser_session_insert(&session(4, of_ann(), 5)).await,
        Err(StoreError::MissingOwner(_))
    ));
}

async fn sessions_that_are_over_or_idle_are_deleted(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for (number, begun) in [(1, 0), (2, 500), (3, 800)] {
        let session = session(number, SessionOwner::Machine, begun);
        tx.browser_session_insert(&session).await.unwrap();
    }
    tx.browser_session_touch(token_id(1), at(990))
        .await
        .unwrap();
    let over = tx.browser_sessions_delete_over(at(999), at(0), 10).await;
    assert_eq!(over.unwrap(), 0);
    let over = tx.browser_sessions_delete_over(at(1_000), at(501), 10);
    assert_eq!(over.await.unwrap(), 2);
    let left = tx.browser_sessions_page(None, None, 10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, token_id(3));
}

async fn the_newest_sessions_of_a_user_stay(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.user_insert(&user("ann", Role::Viewer)).await.unwrap();
    for number in 1..=4 {
        let session = session(number, of_ann(), 10 - i64::from(number));
        tx.browser_session_insert(&session).await.unwrap();
    }
    let other = session(9, SessionOwner::Machine, 0);
    tx.browser_session_insert(&other).await.unwrap();
    tx.browser_sessions_keep_newest("ann", 3).await.unwrap();
    assert_eq!(tx.browser_session_find(token_id(4)).await.unwrap(), None);
    assert_eq!(tx.browser_sessions_count().await.unwrap(), 4);
    let ended = tx.browser_sessions_delete_of("ann", Some(token_id(2)));
    assert_eq!(ended.await.unwrap(), 2);
    let ended = tx.browser_sessions_delete_of("ann", None).await.unwrap();
    assert_eq!(ended, 1);
    assert_eq!(tx.browser_sessions_count().await.unwrap(), 1);
}

async fn tokens_of_a_sign_in_are_revoked_together(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.user_insert(&user("ann", Role::Viewer)).await.unwrap();
    for number in 1..=3 {
        let token = token_of(number, Some("ann"));
        tx.api_token_insert(&token).await.unwrap();
    }
    tx.api_token_insert(&token_of(4, None)).await.unwrap();
    let revoked = tx.api_tokens_revoke_of("ann", Some(token_id(2)), at(9));
    assert_eq!(revoked.await.unwrap(), 2);
    for (number, revoked_at) in [(1, Some(at(9))), (2, None), (3, Some(at(9))), (4, None)] {
        let found = tx.api_token_find(token_id(number)).await.unwrap();
        assert_eq!(found.unwrap().revoked_at, revoked_at, "{number}");
    }
    assert_eq!(tx.api_tokens_delete_expired(at(500), 9).await.unwrap(), 0);
    assert_eq!(tx.api_tokens_delete_expired(at(501), 9).await.unwrap(), 3);
    assert!(tx.api_token_find(token_id(4)).await.unwrap().is_some());
}

async fn a_sign_in_under_way_ends_once(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.oidc_sign_in_begin([1; 32], at(100)).await.unwrap();
    tx.oidc_sign_in_begin([2; 32], at(100)).await.unwrap();
    assert_eq!(tx.oidc_sign_ins_count().await.unwrap(), 2);
    let ended = tx.oidc_sign_in_end([1; 32]).await.unwrap();
    assert_eq!(ended, Some(at(100)));
    assert_eq!(tx.oidc_sign_in_end([1; 32]).await.unwrap(), None);
    assert_eq!(tx.oidc_sign_ins_delete_over(at(99), 9).await.unwrap(), 0);
    assert_eq!(tx.oidc_sign_ins_delete_over(at(100), 9).await.unwrap(), 1);
}
