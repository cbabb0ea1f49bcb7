//! The list of controllers, and what they tell each other of hosts' sessions.

use std::time::Duration;

use super::*;
use crate::testing::execute;
use crate::{Backend, ControllerSeen, HostSession, IncidentNews, News};

contract!(
    a_controller_is_on_the_list_until_it_leaves,
    a_controller_learns_that_the_list_was_emptied,
    controllers_that_are_long_gone_are_taken_off_the_list,
    what_is_told_of_a_host_is_read_in_order_from_where_a_reader_stands,
    a_host_is_told_of_by_the_controller_where_its_last_session_began,
    one_row_that_cannot_be_read_does_not_hide_the_others,
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
        began_at: at(1_000),
        told: format!(r#"{{"of": {generation}}}"#),
        sample: session.map(|_| vec![1, 2, 3]),
    }
}

async fn put(store: &Store, controller: &str, rows: &[HostSession]) {
    let mut tx = store.begin().await.unwrap();
    tx.host_sessions_put(controller, rows).await.unwrap();
    tx.commit().await.unwrap();
}

async fn after(store: &Store, controller: &str, generation: u64) -> Vec<HostSession> {
    let mut tx = store.read().await.unwrap();
    let told = tx.host_sessions_after(controller, generation, 2).await;
    let told = told.unwrap().into_iter();
    told.map(|(generation, row)| {
        let row = row.unwrap();
        assert_eq!(row.generation, generation);
        row
    })
    .collect()
}

async fn what_is_told_of_a_host_is_read_in_order_from_where_a_reader_stands(store: Store) {
    let rows = [
        session(1, 1, Some("s1")),
        session(2, 2, Some("s2")),
        session(3, 3, None),
    ];
    put(&store, "a", &rows).await;
    put(&store, "b", &[session(4, 1, Some("s4"))]).await;
    assert_eq!(after(&store, "a", 0).await, rows[..2]);
    assert_eq!(after(&store, "a", 2).await, rows[2..]);
    let again = session(1, 4, Some("s1"));
    put(&store, "a", std::slice::from_ref(&again)).await;
    assert_eq!(after(&store, "a", 2).await, [rows[2].clone(), again]);
    assert_eq!(after(&store, "c", 0).await, []);
    put(&store, "a", &[]).await;
}

async fn a_host_is_told_of_by_the_controller_where_its_last_session_began(store: Store) {
    let began = |ms: i64, row: HostSession| HostSession {
        began_at: at(ms),
        ..row
    };
    put(&store, "a", &[session(1, 1, Some("at a"))]).await;
    let moved = began(2_000, session(1, 1, Some("at b")));
    put(&store, "b", std::slice::from_ref(&moved)).await;
    // What has not noticed yet that its session is over, or comes late to say that it began.
    put(&store, "a", &[session(1, 2, Some("at a"))]).await;
    put(&store, "a", &[session(1, 3, None)]).await;
    assert_eq!(after(&store, "a", 0).await, []);
    assert_eq!(after(&store, "b", 0).await, [moved]);
    let ended = began(2_000, session(1, 2, None));
    put(&store, "b", std::slice::from_ref(&ended)).await;
    assert_eq!(after(&store, "b", 0).await, [ended]);
    let back = began(3_000, session(1, 4, Some("at a again")));
    put(&store, "a", std::slice::from_ref(&back)).await;
    assert_eq!(after(&store, "a", 0).await, [back]);
}

async fn one_row_that_cannot_be_read_does_not_hide_the_others(store: Store) {
    put(&store, "a", &[session(1, 1, None), session(2, 2, None)]).await;
    execute(
        &store,
        "UPDATE host_sessions SET host = 'a name of a later release' WHERE generation = 1",
    )
    .await;
    let mut tx = store.read().await.unwrap();
    let told = tx.host_sessions_after("a", 0, 2).await.unwrap();
    let read = told
        .iter()
        .map(|(generation, row)| (*generation, row.is_ok()));
    assert_eq!(read.collect::<Vec<_>>(), [(1, false), (2, true)]);
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
    let news = IncidentNews {
        from: "a".to_owned(),
        hosts: Some(vec![host_id(1); IncidentNews::HOSTS_MAX]),
    };
    let mut tx = store.begin().await.unwrap();
    tx.incidents_announce(news.clone()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(listener.next().await.unwrap(), Some(News::Incidents(news)));
}
