//! The list of controllers, and what they tell each other of hosts' sessions.

use std::time::Duration;

use super::*;
use crate::testing::execute;
use crate::{Backend, Claim, ControllerSeen, HostSession, News};

contract!(
    a_controller_is_on_the_list_until_it_leaves,
    a_controller_learns_that_the_list_was_emptied,
    controllers_that_are_long_gone_are_taken_off_the_list,
    what_is_told_of_a_host_is_read_in_order_from_where_a_reader_stands,
    a_new_session_counts_and_what_an_older_one_says_then_does_not,
    others_hear_of_sessions_and_of_controllers_that_leave,
);

async fn beat(store: &Store, holder: &str) -> bool {
    let mut tx = store.begin().await.unwrap();
    let is_new = tx
        .controller_beat((holder, "0.1.0"), at(1_000), at(50_000))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    is_new
}

async fn all(store: &Store) -> Vec<ControllerSeen> {
    let mut tx = store.read().await.unwrap();
    tx.controllers_all(at(50_000)).await.unwrap()
}

async fn holders(store: &Store) -> Vec<String> {
    let mut holders: Vec<String> = all(store).await.into_iter().map(|one| one.holder).collect();
    holders.sort();
    holders
}

async fn a_controller_is_on_the_list_until_it_leaves(store: Store) {
    assert!(beat(&store, "a").await);
    assert!(beat(&store, "b").await);
    assert!(!beat(&store, "a").await);
    let listed = all(&store).await;
    assert_eq!(listed.len(), 2);
    for one in &listed {
        assert_eq!(
            (one.version.as_str(), one.started_at),
            ("0.1.0", at(1_000)),
            "{one:?}"
        );
        assert!(one.age < Duration::from_secs(60), "{one:?}");
    }
    let mut tx = store.begin().await.unwrap();
    tx.controller_leave("a").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(holders(&store).await, ["b"]);
}

async fn a_controller_learns_that_the_list_was_emptied(store: Store) {
    assert!(beat(&store, "a").await);
    // As a crash of Postgres does: the table is not logged.
    execute(&store, "DELETE FROM controllers").await;
    assert!(beat(&store, "a").await);
    assert!(!beat(&store, "a").await);
}

async fn controllers_that_are_long_gone_are_taken_off_the_list(store: Store) {
    beat(&store, "gone").await;
    execute(
        &store,
        "UPDATE controllers SET seen_at = seen_at - 3600001, version = '0.0.9'",
    )
    .await;
    beat(&store, "there").await;
    let ages: Vec<bool> = all(&store)
        .await
        .iter()
        .map(|one| one.age >= Duration::from_secs(3_600))
        .collect();
    assert_eq!(ages, [false, true]);
    let mut tx = store.begin().await.unwrap();
    let hour = Duration::from_secs(3_600);
    let deleted = tx.controllers_delete_older(hour, at(50_000)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(deleted, 1);
    assert_eq!(holders(&store).await, ["there"]);
}

fn session(number: u32, generation: u64, session: Option<&str>) -> HostSession {
    HostSession {
        host: host_id(number),
        generation,
        session: session.map(str::to_owned),
        told: format!(r#"{{"of": {generation}}}"#),
        sample: session.map(|_| vec![1, 2, 3]),
    }
}

async fn put(store: &Store, controller: &str, claim: Claim, rows: &[HostSession]) {
    let mut tx = store.begin().await.unwrap();
    tx.host_sessions_put(controller, claim, rows).await.unwrap();
    tx.commit().await.unwrap();
}

async fn after(store: &Store, controller: &str, generation: u64) -> Vec<HostSession> {
    let mut tx = store.read().await.unwrap();
    tx.host_sessions_after(controller, generation, 2)
        .await
        .unwrap()
}

async fn what_is_told_of_a_host_is_read_in_order_from_where_a_reader_stands(store: Store) {
    let rows = [
        session(1, 1, Some("s1")),
        session(2, 2, Some("s2")),
        session(3, 3, None),
    ];
    put(&store, "a", Claim::New, &rows).await;
    put(&store, "b", Claim::New, &[session(4, 1, Some("s4"))]).await;
    assert_eq!(after(&store, "a", 0).await, rows[..2]);
    assert_eq!(after(&store, "a", 2).await, rows[2..]);
    let again = session(1, 4, Some("s1"));
    put(&store, "a", Claim::Old, std::slice::from_ref(&again)).await;
    assert_eq!(after(&store, "a", 2).await, [rows[2].clone(), again]);
    assert_eq!(after(&store, "c", 0).await, []);
    put(&store, "a", Claim::Old, &[]).await;
}

async fn a_new_session_counts_and_what_an_older_one_says_then_does_not(store: Store) {
    put(&store, "a", Claim::New, &[session(1, 1, Some("at a"))]).await;
    let moved = session(1, 1, Some("at b"));
    put(&store, "b", Claim::New, std::slice::from_ref(&moved)).await;
    // What has not noticed yet that its session is over.
    put(&store, "a", Claim::Old, &[session(1, 2, Some("at a"))]).await;
    put(&store, "a", Claim::Old, &[session(1, 3, None)]).await;
    assert_eq!(after(&store, "a", 0).await, []);
    assert_eq!(after(&store, "b", 0).await, [moved]);
    // A host that nobody told of yet is anybody's to tell of.
    put(&store, "b", Claim::Old, &[session(2, 2, None)]).await;
    assert_eq!(after(&store, "b", 1).await, [session(2, 2, None)]);
}

async fn others_hear_of_sessions_and_of_controllers_that_leave(store: Store) {
    let Some(mut listener) = store.listen().await.unwrap() else {
        assert_eq!(store.backend(), Backend::Sqlite);
        return;
    };
    let mut tx = store.begin().await.unwrap();
    tx.host_sessions_announce().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(listener.next().await.unwrap(), Some(News::Sessions));
    let mut tx = store.begin().await.unwrap();
    tx.controller_leave("a").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(listener.next().await.unwrap(), Some(News::Sessions));
}
