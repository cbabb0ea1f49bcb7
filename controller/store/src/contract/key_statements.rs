//! Statements about keys: kept once, each key's signature counts once, revocations are never forgotten.

use tidemark_model::action::{BroughtSignature, HostPolicyView, Profile, Tier};
use tidemark_model::key_statement::{KeyRevocation, KeyRotation, KeyStatement};
use tidemark_model::signing::PrivateKey;

use super::*;
use crate::StoreError;

contract!(
    a_statement_is_kept_once_with_each_keys_signature_once,
    rotations_are_forgotten_and_revocations_stay,
    a_statement_in_the_place_of_a_forgotten_one_is_news,
    policies_are_read_by_host,
);

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed([seed; 32])
}

fn revocation() -> KeyStatement {
    KeyStatement::Revocation(KeyRevocation {
        key: key(1).public(),
        since_ms: None,
        issued_at_ms: at(5),
        reason: "lost".to_owned(),
    })
}

fn rotation() -> KeyStatement {
    KeyStatement::Rotation(KeyRotation {
        old: key(1).public(),
        new: key(2).public(),
        tier_max: Tier::Reboot,
        issued_at_ms: at(5),
        reason: "once a year".to_owned(),
    })
}

fn signature(statement: &KeyStatement, seed: u8) -> BroughtSignature {
    BroughtSignature {
        signature: key(seed).sign(statement.purpose(), &statement.to_bytes()),
        at: at(6),
        author: "ann".to_owned(),
    }
}

async fn a_statement_is_kept_once_with_each_keys_signature_once(store: Store) {
    let statement = rotation();
    let mut tx = store.begin().await.unwrap();
    let id = tx
        .key_statement_insert(&statement, (at(6), "ann"))
        .await
        .unwrap();
    for seed in [1, 2] {
        tx.key_statement_sign(id, &signature(&statement, seed))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let again = tx.key_statement_insert(&statement, (at(7), "bob")).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists { .. })));
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    let twice = tx.key_statement_sign(id, &signature(&statement, 1)).await;
    assert!(matches!(twice, Err(StoreError::AlreadyExists { .. })));
    drop(tx);
    let mut tx = store.read().await.unwrap();
    let found = tx.key_statement(id).await.unwrap().unwrap();
    assert_eq!(found.statement, statement);
    assert_eq!(found.signed.bytes, statement.to_bytes());
    assert_eq!(found.signed.id(), id);
    assert_eq!((found.brought.len(), found.signed.signatures.len()), (2, 2));
    assert_eq!(tx.key_statements(10).await.unwrap(), [found]);
    assert_eq!(tx.key_statement_counts().await.unwrap(), (1, 2));
}

async fn rotations_are_forgotten_and_revocations_stay(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for statement in [revocation(), rotation()] {
        let id = tx
            .key_statement_insert(&statement, (at(6), "ann"))
            .await
            .unwrap();
        tx.key_statement_sign(id, &signature(&statement, 1))
            .await
            .unwrap();
    }
    assert_eq!(tx.key_statements_forget(at(6), 10).await.unwrap(), 0);
    assert_eq!(tx.key_statements_forget(at(7), 10).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    let left = tx.key_statements(10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].statement, revocation());
    assert_eq!(tx.key_statement_counts().await.unwrap(), (1, 1));
}

async fn a_statement_in_the_place_of_a_forgotten_one_is_news(store: Store) {
    let later = KeyStatement::Rotation(KeyRotation {
        old: key(2).public(),
        new: key(3).public(),
        tier_max: Tier::Reboot,
        issued_at_ms: at(8),
        reason: "once a year".to_owned(),
    });
    let mut stamps = Vec::new();
    for (statement, when) in [(rotation(), 6), (later, 9)] {
        let mut tx = store.begin().await.unwrap();
        tx.key_statements_forget(at(when), 10).await.unwrap();
        let id = tx
            .key_statement_insert(&statement, (at(when), "ann"))
            .await
            .unwrap();
        tx.key_statement_sign(id, &signature(&statement, 1))
            .await
            .unwrap();
        assert_eq!(tx.key_statement_counts().await.unwrap(), (1, 1));
        stamps.push(tx.key_statements_stamp().await.unwrap());
        tx.commit().await.unwrap();
    }
    assert_ne!(stamps[0], stamps[1]);
}

async fn policies_are_read_by_host(store: Store) {
    let policy = HostPolicyView {
        profile: Some(Profile::Safe),
        ..HostPolicyView::default()
    };
    enrol(&store, 3).await;
    let mut tx = store.begin().await.unwrap();
    for number in 0..3 {
        tx.host_policy_put(host_id(number), at(number.into()), &policy)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    let first = tx.host_policies(None, 2).await.unwrap();
    let rest = tx.host_policies(Some(first[1].host), 2).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 1));
    let mut hosts: Vec<_> = first.iter().chain(&rest).map(|told| told.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    assert_eq!(hosts.len(), 3);
    assert_eq!(tx.key_uses(10).await.unwrap(), []);
}
