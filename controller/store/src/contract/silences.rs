//! Silences: kept as they were made, ended once, forgotten after their end.

use tidemark_model::HostScope;
use tidemark_model::silence::Silence;

use super::*;
use crate::StoreError;

contract!(
    silences_come_back_as_they_were,
    a_silence_is_ended_once,
    retention_takes_silences_that_ended,
);

fn silence(ends: i64) -> Silence {
    Silence {
        id: 0,
        matchers: vec!["host=web-*".parse().unwrap(), "culprit!=x".parse().unwrap()],
        scope: match ends {
            200 => HostScope::All,
            _ => HostScope::from_text(Some("env=prod,team=pay")).unwrap(),
        },
        starts_at: at(100),
        ends_at: at(ends),
        author: "ann".to_owned(),
        reason: "a known leak".to_owned(),
        created_at: at(90),
    }
}

async fn silences_come_back_as_they_were(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut made = Vec::new();
    for ends in [200, 300, 400] {
        let id = tx.silence_insert(&silence(ends)).await.unwrap();
        made.push(Silence {
            id,
            ..silence(ends)
        });
    }
    assert_eq!(
        tx.silence_find(made[0].id).await.unwrap().as_ref(),
        Some(&made[0])
    );
    assert_eq!(tx.silence_find(made[2].id + 1).await.unwrap(), None);
    assert_eq!(tx.silences_unexpired(at(200), 9).await.unwrap(), made[1..]);
    let newest = tx.silences_page(None, 2).await.unwrap();
    assert_eq!(newest, [made[2].clone(), made[1].clone()]);
    let rest = tx.silences_page(Some(made[1].id), 2).await.unwrap();
    assert_eq!(rest, made[..1]);
}

async fn a_silence_is_ended_once(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let id = tx.silence_insert(&silence(300)).await.unwrap();
    for now in [150, 160] {
        tx.silence_end(id, at(now)).await.unwrap();
        let ended = tx.silence_find(id).await.unwrap().unwrap();
        assert_eq!(ended.ends_at, at(150), "the first end counts");
    }
    assert!(matches!(
        tx.silence_end(id + 1, at(150)).await,
        Err(StoreError::NotFound { .. })
    ));
}

async fn retention_takes_silences_that_ended(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for ends in [200, 300, 400] {
        tx.silence_insert(&silence(ends)).await.unwrap();
    }
    assert_eq!(tx.silences_delete_before(at(400), 1).await.unwrap(), 1);
    assert_eq!(tx.silences_delete_before(at(400), 5).await.unwrap(), 1);
    let left = tx.silences_page(None, 9).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].ends_at, at(400));
}
