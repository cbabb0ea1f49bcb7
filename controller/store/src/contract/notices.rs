//! Notices: in order, filtered, paged both ways.

use tidemark_model::notice::{Notice, NoticeKind};

use super::*;
use crate::{NewNotice, NoticeQuery, NoticeStart};

contract!(
    notices_get_ascending_ids_in_the_order_given,
    notices_are_paged_both_ways_and_filtered,
    retention_takes_the_oldest_notices,
);

fn notice(number: i64) -> NewNotice {
    NewNotice {
        at: at(number * 10),
        host: (number % 2 == 0).then(|| host_id(0)),
        kind: if number % 3 == 0 {
            NoticeKind::HostConnected
        } else {
            NoticeKind::HostEvent
        },
        text: format!("notice {number}").into(),
    }
}

fn query(start: NoticeStart) -> NoticeQuery {
    NoticeQuery {
        start,
        host: None,
        kind: None,
        since: None,
        limit: 4,
    }
}

fn numbers(page: &[Notice]) -> Vec<i64> {
    page.iter().map(|one| one.at.unix_ms() / 10).collect()
}

async fn notices_get_ascending_ids_in_the_order_given(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let given: Vec<NewNotice> = (0..9).map(notice).collect();
    let ids = tx.notices_append(&given).await.unwrap();
    assert!(ids.is_sorted(), "{ids:?}");
    let more = tx.notices_append(&[notice(9)]).await.unwrap();
    assert!(more[0] > ids[8]);
    assert!(tx.notices_append(&[]).await.unwrap().is_empty());
    let mut wide = query(NoticeStart::After(0));
    wide.limit = 100;
    let stored = tx.notices_page(&wide).await.unwrap();
    assert_eq!(stored.len(), 10);
    for (stored, (id, given)) in stored.iter().zip(ids.iter().zip(&given)) {
        assert_eq!(stored.id, *id);
        assert_eq!((stored.at, stored.host), (given.at, given.host));
        assert_eq!((stored.kind, &stored.text), (given.kind, &given.text));
    }
}

async fn notices_are_paged_both_ways_and_filtered(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let given: Vec<NewNotice> = (0..10).map(notice).collect();
    tx.notices_append(&given).await.unwrap();
    let newest = tx.notices_page(&query(NoticeStart::Newest)).await.unwrap();
    assert_eq!(numbers(&newest), [9, 8, 7, 6]);
    let before = query(NoticeStart::Before(newest[3].id));
    let older = tx.notices_page(&before).await.unwrap();
    assert_eq!(numbers(&older), [5, 4, 3, 2]);
    let after = query(NoticeStart::After(older[0].id));
    let newer = tx.notices_page(&after).await.unwrap();
    assert_eq!(numbers(&newer), [6, 7, 8, 9]);

    let mut filtered = query(NoticeStart::Newest);
    filtered.host = Some(host_id(0));
    assert_eq!(
        numbers(&tx.notices_page(&filtered).await.unwrap()),
        [8, 6, 4, 2]
    );
    filtered.kind = Some(NoticeKind::HostConnected);
    assert_eq!(numbers(&tx.notices_page(&filtered).await.unwrap()), [6, 0]);
    filtered.since = Some(at(1));
    assert_eq!(numbers(&tx.notices_page(&filtered).await.unwrap()), [6]);
    filtered.host = None;
    filtered.start = NoticeStart::After(0);
    assert_eq!(
        numbers(&tx.notices_page(&filtered).await.unwrap()),
        [3, 6, 9]
    );
}

async fn retention_takes_the_oldest_notices(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let given: Vec<NewNotice> = (0..10).map(notice).collect();
    tx.notices_append(&given).await.unwrap();
    assert_eq!(tx.notices_delete_before(at(70), 4).await.unwrap(), 4);
    assert_eq!(tx.notices_delete_before(at(70), 4).await.unwrap(), 3);
    assert_eq!(tx.notices_delete_before(at(70), 4).await.unwrap(), 0);
    let left = tx
        .notices_page(&query(NoticeStart::After(0)))
        .await
        .unwrap();
    assert_eq!(numbers(&left), [7, 8, 9]);
}
