//! Grants: kept as they were signed, withdrawn once, forgotten after their time.

use tidemark_model::grant::{GrantId, SignedGrantEnd};
use tidemark_model::signing::{KeyId, Signature};

use super::*;
use crate::{GrantRecord, StoreError};

contract!(
    grants_come_back_as_they_were_signed,
    a_withdrawn_grant_says_by_whom_and_changes_the_stamp,
    an_end_takes_the_place_of_the_one_that_was_found_and_of_no_other,
    retention_takes_grants_that_are_over,
);

fn signature(byte: u8) -> Signature {
    Signature {
        key: KeyId::from_bytes([byte; 8]),
        bytes: [byte; 64],
    }
}

fn grant(number: u128, expires: i64) -> GrantRecord {
    GrantRecord {
        id: GrantId::from_random(number),
        policy: "full".to_owned(),
        document: format!("{{\"id\":{number}}}"),
        signatures: vec![signature(1), signature(2)],
        created_at: at(10),
        created_by: "ann".to_owned(),
        expires_at: at(expires),
        withdrawn: None,
        end: None,
    }
}

async fn grants_come_back_as_they_were_signed(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for number in [1, 2] {
        assert!(tx.grant_insert(&grant(number, 100)).await.unwrap());
    }
    assert!(!tx.grant_insert(&grant(1, 900)).await.unwrap());
    let found = tx.grant_find(GrantId::from_random(1)).await.unwrap();
    assert_eq!(found, Some(grant(1, 100)));
    assert_eq!(tx.grants_page(10).await.unwrap().len(), 2);
    assert_eq!(tx.grants_unexpired(at(99), 10).await.unwrap().len(), 2);
    assert_eq!(tx.grants_unexpired(at(100), 10).await.unwrap(), []);
}

async fn a_withdrawn_grant_says_by_whom_and_changes_the_stamp(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut stamps = vec![tx.grants_stamp().await.unwrap()];
    let mut one = grant(1, 100);
    tx.grant_insert(&one).await.unwrap();
    stamps.push(tx.grants_stamp().await.unwrap());
    assert!(tx.grant_withdraw(one.id, (at(20), "bob")).await.unwrap());
    stamps.push(tx.grants_stamp().await.unwrap());
    assert!(tx.grant_withdraw(one.id, (at(30), "cyd")).await.unwrap());
    stamps.push(tx.grants_stamp().await.unwrap());
    for (place, stamp) in stamps.iter().enumerate() {
        assert!(!stamps[..place].contains(stamp), "{place}");
    }
    one.withdrawn = Some((at(20), "bob".to_owned()));
    assert_eq!(tx.grant_find(one.id).await.unwrap(), Some(one));
    let unknown = grant(9, 100);
    let at = (at(20), "bob");
    assert!(!tx.grant_withdraw(unknown.id, at).await.unwrap());
}

async fn an_end_takes_the_place_of_the_one_that_was_found_and_of_no_other(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let found = grant(1, 100);
    tx.grant_insert(&found).await.unwrap();
    let end = |byte: u8| SignedGrantEnd {
        bytes: b"{}".to_vec(),
        signature: signature(byte),
    };
    tx.grant_end(&found, &end(3)).await.unwrap();
    let late = tx.grant_end(&found, &end(4)).await;
    assert!(matches!(late, Err(StoreError::Stale { .. })), "{late:?}");
    // Withdrawn by somebody who read it before: the end stays.
    tx.grant_withdraw(found.id, (at(20), "bob")).await.unwrap();
    let ended = tx.grant_find(found.id).await.unwrap().unwrap();
    assert_eq!(ended.end, Some(end(3)));
    tx.grant_end(&ended, &end(4)).await.unwrap();
    let ended = tx.grant_find(found.id).await.unwrap().unwrap();
    assert_eq!(ended.end, Some(end(4)));
    let unknown = tx.grant_end(&grant(9, 100), &end(3)).await;
    assert!(matches!(unknown, Err(StoreError::Stale { .. })));
}

async fn retention_takes_grants_that_are_over(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for (number, expires) in [(1, 100), (2, 200), (3, 300)] {
        tx.grant_insert(&grant(number, expires)).await.unwrap();
    }
    assert_eq!(tx.grants_delete_before(at(300), 1).await.unwrap(), 1);
    assert_eq!(tx.grants_delete_before(at(300), 9).await.unwrap(), 1);
    assert_eq!(tx.grants_page(10).await.unwrap(), [grant(3, 300)]);
}
