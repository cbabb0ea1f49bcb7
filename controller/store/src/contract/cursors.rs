//! Cursors and dictionaries.

use tidemark_model::delivery::GapReason;
use tidemark_model::entity::EntityKind;
use tidemark_model::{Epoch, Seq};

use super::*;
use crate::{Cursor, EntityRow, StoreError};

contract!(
    cursors_are_read_as_they_were_written,
    a_cursor_is_saved_only_where_it_stands,
    a_cursor_needs_its_host,
    a_cursor_given_twice_is_refused,
    every_cursor_is_visited_once,
    a_dictionary_is_read_as_it_was_written,
    a_number_or_text_is_taken_once_a_host,
);

fn cursor(host: u32, epoch: u64, through: u64) -> Cursor {
    Cursor {
        host: host_id(host),
        epoch: Epoch::new(epoch),
        through_seq: Seq::new(through),
        previous_seq: Seq::ZERO,
        stored: through,
        duplicates: 0,
        dropped: BTreeMap::new(),
        updated_at: at(1_000),
    }
}

async fn cursors_are_read_as_they_were_written(store: Store) {
    enrol(&store, 1).await;
    let mut tx = store.begin().await.unwrap();
    let mut first = cursor(0, u64::MAX >> 1, 10);
    first.dropped = BTreeMap::from([(GapReason::SpoolFull, 3), (GapReason::Damaged, 1)]);
    tx.cursors_save(&[first.clone()]).await.unwrap();
    first.previous_seq = first.through_seq;
    first.through_seq = Seq::new(20);
    first.duplicates = 4;
    first.dropped.insert(GapReason::SpoolFull, 5);
    let mut second = cursor(0, 1, 7);
    second.updated_at = at(2_000);
    tx.cursors_save(&[first.clone(), second.clone()])
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let mut tx = store.read().await.unwrap();
    for saved in [&mut first, &mut second] {
        saved.previous_seq = saved.through_seq;
    }
    let latest = tx.cursors_latest(host_id(0), 10).await.unwrap();
    assert_eq!(latest, [second.clone(), first.clone()]);
    assert_eq!(
        tx.cursors_latest(host_id(0), 1).await.unwrap(),
        [second.clone()]
    );
    let found = tx.cursor_find(host_id(0), first.epoch).await.unwrap();
    assert_eq!(found, Some(first));
    assert_eq!(
        tx.cursor_find(host_id(0), Epoch::new(9)).await.unwrap(),
        None
    );
}

async fn a_cursor_is_saved_only_where_it_stands(store: Store) {
    enrol(&store, 3).await;
    let mut tx = store.begin().await.unwrap();
    tx.cursors_save(&[cursor(0, 1, 50), cursor(1, 1, 50)])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    // Another controller was there: it goes on from 40, and the cursor stands at 50.
    let on_from = |host, from, through| Cursor {
        previous_seq: Seq::new(from),
        ..cursor(host, 1, through)
    };
    let batch = [on_from(0, 50, 60), on_from(1, 40, 60), cursor(2, 1, 1)];
    let refused = tx.cursors_save(&batch).await.unwrap_err();
    assert!(matches!(refused, StoreError::StaleCursors), "{refused:?}");
    tx.rollback().await.unwrap();
    // The same again, because nobody said that it was done.
    let mut tx = store.begin().await.unwrap();
    let again = tx.cursors_save(&[cursor(0, 1, 50)]).await.unwrap_err();
    assert!(matches!(again, StoreError::StaleCursors), "{again:?}");
    tx.rollback().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.cursors_save(&[on_from(0, 50, 60)]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    let kept = tx.cursor_find(host_id(1), Epoch::new(1)).await.unwrap();
    assert_eq!(kept, Some(on_from(1, 50, 50)));
    assert_eq!(
        tx.cursor_find(host_id(2), Epoch::new(1)).await.unwrap(),
        None
    );
}

async fn a_cursor_needs_its_host(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let refused = tx.cursors_save(&[cursor(0, 1, 1)]).await;
    assert!(
        matches!(refused, Err(StoreError::MissingOwner(_))),
        "{refused:?}"
    );
}

async fn a_cursor_given_twice_is_refused(store: Store) {
    enrol(&store, 1).await;
    let mut tx = store.begin().await.unwrap();
    let refused = tx.cursors_save(&[cursor(0, 1, 1), cursor(0, 1, 2)]).await;
    assert!(matches!(refused, Err(StoreError::InvalidValue { .. })));
}

async fn every_cursor_is_visited_once(store: Store) {
    enrol(&store, 150).await;
    let mut given: Vec<Cursor> = (0..150)
        .flat_map(|host| [cursor(host, 1, 5), cursor(host, 2, 6)])
        .collect();
    for cursor in given.iter_mut().step_by(3) {
        cursor.dropped.insert(GapReason::Refused, 2);
    }
    let mut tx = store.begin().await.unwrap();
    tx.cursors_save(&given).await.unwrap();
    tx.commit().await.unwrap();
    let mut visited = Vec::new();
    let mut tx = store.read().await.unwrap();
    tx.cursors_each(|cursor| visited.push(cursor))
        .await
        .unwrap();
    given
        .iter_mut()
        .for_each(|cursor| cursor.previous_seq = cursor.through_seq);
    given.sort_by_key(|cursor| (cursor.host.to_string(), cursor.epoch));
    assert_eq!(visited, given);
}

fn entity(host: u32, number: u32, text: &str) -> EntityRow {
    EntityRow {
        host: host_id(host),
        number,
        kind: EntityKind::Process,
        text: text.to_owned(),
    }
}

async fn a_dictionary_is_read_as_it_was_written(store: Store) {
    enrol(&store, 2).await;
    let given = [
        entity(0, 0, "process|tcp|default|nginx"),
        entity(0, 1, "process|tcp|default|odd|name: [x] ñ"),
        entity(1, 0, "process|tcp|default|nginx"),
    ];
    let mut tx = store.begin().await.unwrap();
    tx.entities_add(&given).await.unwrap();
    tx.entities_add(&[]).await.unwrap();
    assert_eq!(tx.entities_of(host_id(0)).await.unwrap(), &given[..2]);
    assert_eq!(tx.entities_of(host_id(1)).await.unwrap(), &given[2..]);
    assert!(tx.entities_of(host_id(2)).await.unwrap().is_empty());
}

async fn a_number_or_text_is_taken_once_a_host(store: Store) {
    enrol(&store, 1).await;
    let mut tx = store.begin().await.unwrap();
    tx.entities_add(&[entity(0, 0, "a")]).await.unwrap();
    tx.commit().await.unwrap();
    for taken in [entity(0, 0, "b"), entity(0, 1, "a")] {
        let mut tx = store.begin().await.unwrap();
        let refused = tx.entities_add(&[taken]).await;
        assert!(matches!(refused, Err(StoreError::AlreadyExists { .. })));
    }
    let mut tx = store.begin().await.unwrap();
    let refused = tx.entities_add(&[entity(7, 0, "a")]).await;
    assert!(matches!(refused, Err(StoreError::MissingOwner(_))));
}
