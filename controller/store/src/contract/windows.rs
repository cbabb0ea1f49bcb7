//! Windows: applied, replaced by their version, deleted, and every version kept with who applied it.

use tidemark_model::window::WindowSpec;

use super::*;
use crate::{Applying, StoreError, WINDOW_VERSIONS_MAX, WindowVersion};

contract!(
    a_window_comes_back_as_it_was_applied,
    a_stale_version_replaces_and_deletes_nothing,
    every_version_is_kept_with_who_applied_it_through_a_deletion,
    only_the_newest_versions_are_kept,
);

fn spec(name: &str, duration: &str) -> WindowSpec {
    WindowSpec {
        name: name.to_owned(),
        description: "patches".to_owned(),
        recurrence: "FREQ=WEEKLY;BYDAY=SA".to_owned(),
        start: "2026-12-05T02:00".to_owned(),
        duration: duration.to_owned(),
        time_zone: "host-local".to_owned(),
        exclude: vec!["2026-12-26".to_owned()],
        hosts: vec!["tier=web".to_owned()],
        silences_incidents: true,
    }
}

fn by(who: &'static str, ms: i64) -> Applying<'static> {
    Applying {
        by: who,
        at: at(ms),
    }
}

async fn a_window_comes_back_as_it_was_applied(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for name in ["b", "a", "c"] {
        let version = tx.window_put(&spec(name, "4h"), None, by("ann", 5)).await;
        assert_eq!(version.unwrap(), 1);
    }
    let all = tx.windows_all(2).await.unwrap();
    let names: Vec<&str> = all.iter().map(|one| one.spec.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(tx.windows_count().await.unwrap(), 3);
    let found = tx.window_find("b").await.unwrap().unwrap();
    assert_eq!(found.spec, spec("b", "4h"));
    assert_eq!(
        (found.applied_by.as_str(), found.applied_at),
        ("ann", at(5))
    );
    assert_eq!(tx.window_find("d").await.unwrap(), None);
}

async fn a_stale_version_replaces_and_deletes_nothing(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.window_put(&spec("a", "4h"), None, by("ann", 5))
        .await
        .unwrap();
    let second = tx.window_put(&spec("a", "5h"), Some(1), by("bob", 6)).await;
    assert_eq!(second.unwrap(), 2);
    let stale = tx.window_put(&spec("a", "6h"), Some(1), by("cyd", 7)).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })));
    let stale = tx.window_delete("a", 1, by("cyd", 8)).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })));
    let found = tx.window_find("a").await.unwrap().unwrap();
    assert_eq!((found.spec.duration.as_str(), found.version), ("5h", 2));
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let taken = tx.window_put(&spec("a", "6h"), None, by("cyd", 7)).await;
    assert!(matches!(taken, Err(StoreError::AlreadyExists { .. })));
}

async fn every_version_is_kept_with_who_applied_it_through_a_deletion(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.window_put(&spec("a", "4h"), None, by("ann", 5))
        .await
        .unwrap();
    tx.window_delete("a", 1, by("bob", 6)).await.unwrap();
    assert_eq!(tx.window_find("a").await.unwrap(), None);
    let third = tx.window_put(&spec("a", "1h"), None, by("cyd", 7)).await;
    assert_eq!(third.unwrap(), 3);
    let version = |spec, version, who: &str, ms| WindowVersion {
        spec,
        version,
        applied_at: at(ms),
        applied_by: who.to_owned(),
    };
    assert_eq!(
        tx.window_versions("a", 9).await.unwrap(),
        [
            version(Some(spec("a", "1h")), 3, "cyd", 7),
            version(None, 2, "bob", 6),
            version(Some(spec("a", "4h")), 1, "ann", 5),
        ]
    );
}

async fn only_the_newest_versions_are_kept(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut version = tx
        .window_put(&spec("a", "4h"), None, by("ann", 5))
        .await
        .unwrap();
    for _ in 0..WINDOW_VERSIONS_MAX {
        let next = tx
            .window_put(&spec("a", "4h"), Some(version), by("ann", 6))
            .await;
        version = next.unwrap();
    }
    let kept = tx.window_versions("a", 1_000).await.unwrap();
    assert_eq!(i64::try_from(kept.len()).unwrap(), WINDOW_VERSIONS_MAX);
    assert_eq!(kept.last().unwrap().version, 2);
}
