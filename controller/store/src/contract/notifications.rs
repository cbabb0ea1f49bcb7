//! Messages to receivers: queued once, tried in the order of their group, claimed by one, kept until they have ended.

use super::*;
use crate::{NewNotification, NotificationQuery, NotificationState, StoreError};

contract!(
    a_message_is_queued_once,
    a_group_is_told_in_order,
    a_claim_is_one_controllers_and_lapses,
    messages_are_counted_and_listed,
    retention_takes_messages_that_ended,
    a_group_is_changed_by_generation,
);

fn message(receiver: &str, group: &str, number: u32) -> NewNotification {
    NewNotification {
        receiver: receiver.to_owned(),
        group_key: group.to_owned(),
        key: format!("{receiver}-{group}-{number}"),
        created_at: at(100 + i64::from(number)),
        message: format!("{{\"number\":{number}}}"),
    }
}

async fn a_message_is_queued_once(store: Store) {
    let mut tx = store.begin().await.unwrap();
    assert!(tx.notification_insert(&message("a", "g", 1)).await.unwrap());
    assert!(!tx.notification_insert(&message("a", "g", 1)).await.unwrap());
    let due = tx.notifications_due("a", at(101), 9).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].message, "{\"number\":1}");
    assert_eq!((due[0].attempts, due[0].ended_at), (0, None));
    assert!(
        tx.notifications_due("a", at(100), 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        tx.notifications_due("b", at(200), 9)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn a_group_is_told_in_order(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for (group, number) in [("g", 1), ("g", 2), ("h", 3), ("g", 4)] {
        tx.notification_insert(&message("a", group, number))
            .await
            .unwrap();
    }
    let mut told = Vec::new();
    for _ in 0..3 {
        let due = tx.notifications_due("a", at(900), 9).await.unwrap();
        told.push(due.iter().map(|one| one.key.clone()).collect::<Vec<_>>());
        for one in due.iter().filter(|one| one.group_key == "g") {
            assert!(tx.notification_claim(one, at(960)).await.unwrap());
            tx.notification_end((one.id, 1), at(910), None)
                .await
                .unwrap();
        }
    }
    assert_eq!(
        told,
        [
            vec!["a-g-1", "a-h-3"],
            vec!["a-g-2", "a-h-3"],
            vec!["a-h-3", "a-g-4"]
        ]
    );
}

async fn a_claim_is_one_controllers_and_lapses(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.notification_insert(&message("a", "g", 1)).await.unwrap();
    let due = tx.notifications_due("a", at(200), 9).await.unwrap();
    assert!(tx.notification_claim(&due[0], at(260)).await.unwrap());
    assert!(!tx.notification_claim(&due[0], at(260)).await.unwrap());
    assert!(
        tx.notifications_due("a", at(259), 9)
            .await
            .unwrap()
            .is_empty()
    );
    // Its controller died: another one takes over, and the first one's late word counts no more.
    let again = tx.notifications_due("a", at(260), 9).await.unwrap();
    assert_eq!(again[0].attempts, 1);
    assert!(tx.notification_claim(&again[0], at(320)).await.unwrap());
    assert!(matches!(
        tx.notification_end((again[0].id, 1), at(300), None).await,
        Err(StoreError::Stale { .. })
    ));
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    tx.notification_insert(&message("a", "g", 2)).await.unwrap();
    let due = tx.notifications_due("a", at(400), 9).await.unwrap();
    assert!(tx.notification_claim(&due[0], at(460)).await.unwrap());
    let claimed = (due[0].id, due[0].attempts + 1);
    tx.notification_retry(claimed, at(430), "status 500")
        .await
        .unwrap();
    let later = tx.notifications_due("a", at(430), 9).await.unwrap();
    assert_eq!(later[0].last_error.as_deref(), Some("status 500"));
    assert_eq!(later[0].attempts, claimed.1);
}

async fn messages_are_counted_and_listed(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for (receiver, group) in [("a", "g"), ("a", "h"), ("b", "g")] {
        tx.notification_insert(&message(receiver, group, 1))
            .await
            .unwrap();
    }
    let due = tx.notifications_due("a", at(500), 1).await.unwrap();
    assert!(tx.notification_claim(&due[0], at(560)).await.unwrap());
    tx.notification_end((due[0].id, 1), at(510), Some("refused"))
        .await
        .unwrap();
    let counts = tx.notification_counts().await.unwrap();
    let found: Vec<_> = counts
        .iter()
        .map(|one| (&*one.receiver, one.state, one.count, one.last_ended_at))
        .collect();
    assert_eq!(
        found,
        [
            ("a", NotificationState::Failed, 1, Some(at(510))),
            ("a", NotificationState::Pending, 1, None),
            ("b", NotificationState::Pending, 1, None),
        ]
    );
    let all = NotificationQuery {
        before: None,
        receiver: None,
        state: None,
        limit: 2,
    };
    let first = tx.notifications_page(&all).await.unwrap();
    assert_eq!(
        first.iter().map(|one| &*one.receiver).collect::<Vec<_>>(),
        ["b", "a"]
    );
    let rest = NotificationQuery {
        before: Some(first[1].id),
        ..all
    };
    assert_eq!(tx.notifications_page(&rest).await.unwrap().len(), 1);
    let failed = NotificationQuery {
        receiver: Some("a"),
        state: Some(NotificationState::Failed),
        ..all
    };
    let failed = tx.notifications_page(&failed).await.unwrap();
    assert_eq!(failed[0].last_error.as_deref(), Some("refused"));
    let found = tx.notification_find(failed[0].id).await.unwrap();
    assert_eq!(found.as_ref(), failed.first());
}

async fn retention_takes_messages_that_ended(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for number in 1..4 {
        tx.notification_insert(&message("a", "g", number))
            .await
            .unwrap();
        let due = tx.notifications_due("a", at(900), 1).await.unwrap();
        if number < 3 {
            assert!(tx.notification_claim(&due[0], at(960)).await.unwrap());
            let ended = at(900 + i64::from(number));
            tx.notification_end((due[0].id, 1), ended, None)
                .await
                .unwrap();
        }
    }
    assert_eq!(tx.notifications_delete_before(at(902), 9).await.unwrap(), 1);
    assert_eq!(
        tx.notifications_delete_before(at(9_000), 9).await.unwrap(),
        1
    );
    let counts = tx.notification_counts().await.unwrap();
    assert_eq!(counts.len(), 1, "what is pending stays: {counts:?}");
}

async fn a_group_is_changed_by_generation(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.notification_group_put("g", 0, "{}").await.unwrap();
    tx.notification_group_put("g", 1, "{\"told\":1}")
        .await
        .unwrap();
    let all = tx.notification_groups_all(9).await.unwrap();
    assert_eq!((all[0].generation, &*all[0].body), (2, "{\"told\":1}"));
    let stale = tx.notification_group_put("g", 1, "{}").await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })));
    let stale = tx.notification_group_delete("g", 1).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })));
    tx.notification_group_delete("g", 2).await.unwrap();
    assert!(tx.notification_groups_all(9).await.unwrap().is_empty());
    tx.notification_group_put("g", 0, "{}").await.unwrap();
    let taken = tx.notification_group_put("g", 0, "{}").await;
    assert!(matches!(taken, Err(StoreError::AlreadyExists { .. })));
}
