//! Releases and their roll-outs: kept as they were signed, files whole or not at all, and changed by one at a time.

use tidemark_model::release::{FileDigest, ManifestDigest, PIECE_BYTES_MAX, SignedManifest};
use tidemark_model::signing::{KeyId, Signature};
use tidemark_model::upgrade::{HostStage, UpgradePlan, UpgradeState};

use super::*;
use crate::{ReleaseRecord, StoreError, Upgrade, UpgradeHost};

contract!(
    releases_come_back_as_they_were_signed,
    a_file_comes_back_in_its_pieces_and_goes_whole,
    a_roll_out_is_changed_by_one_at_a_time,
);

fn release(number: u32) -> ReleaseRecord {
    ReleaseRecord {
        number,
        signed: SignedManifest {
            bytes: format!("{{\"release\":{number}}}").into_bytes(),
            signatures: vec![Signature {
                key: KeyId::from_bytes([1; 8]),
                bytes: [2; 64],
            }],
        },
        created_at: at(5),
        created_by: "ann".to_owned(),
    }
}

async fn releases_come_back_as_they_were_signed(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for number in [1, 2] {
        assert!(tx.release_insert(&release(number)).await.unwrap());
    }
    assert!(!tx.release_insert(&release(1)).await.unwrap());
    assert_eq!(tx.releases_page(9).await.unwrap(), [release(2), release(1)]);
    assert_eq!(tx.release_find(1).await.unwrap(), Some(release(1)));
    assert!(tx.release_delete(1).await.unwrap());
    assert!(!tx.release_delete(1).await.unwrap());
}

async fn a_file_comes_back_in_its_pieces_and_goes_whole(store: Store) {
    let piece = usize::try_from(PIECE_BYTES_MAX).unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(2 * piece + 7).collect();
    let name = FileDigest::from_bytes([9; 32]);
    let mut tx = store.begin().await.unwrap();
    assert!(tx.release_file_insert(name, &bytes).await.unwrap());
    assert!(!tx.release_file_insert(name, &bytes).await.unwrap());
    let mut found = Vec::new();
    for place in 0..3 {
        found.extend(tx.release_piece(name, place).await.unwrap().unwrap());
    }
    assert_eq!(found, bytes);
    assert_eq!(tx.release_piece(name, 3).await.unwrap(), None);
    assert_eq!(tx.release_files().await.unwrap(), [name]);
    assert!(tx.release_file_delete(name).await.unwrap());
    assert_eq!(tx.release_files().await.unwrap(), []);
    assert_eq!(tx.release_piece(name, 0).await.unwrap(), None);
}

async fn a_roll_out_is_changed_by_one_at_a_time(store: Store) {
    let mut upgrade = Upgrade {
        number: 1,
        release: 7,
        manifest: ManifestDigest::of_bytes(b"m"),
        hosts: "all hosts".to_owned(),
        plan: UpgradePlan {
            soak_ms: 1,
            failures_max: 0,
            wait_ms: 2,
        },
        state: UpgradeState::Running,
        forgiven: 0,
        note: String::new(),
        generation: 1,
        created_at: at(1),
        created_by: "ann".to_owned(),
        changed_at: at(1),
    };
    let mut host = UpgradeHost {
        host: host_id(1),
        ring: 4,
        stage: HostStage::Waiting,
        since: at(1),
        text: String::new(),
    };
    let mut tx = store.begin().await.unwrap();
    for number in [1, 2] {
        let given = tx.upgrade_insert(&upgrade, &[host.clone()]).await.unwrap();
        assert_eq!(given, number);
    }
    assert_eq!(tx.upgrade_find(1).await.unwrap(), Some(upgrade.clone()));
    upgrade.state = UpgradeState::Done;
    upgrade.note = "every host has ended".to_owned();
    tx.upgrade_update(&upgrade).await.unwrap();
    let stale = tx.upgrade_update(&upgrade).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })), "{stale:?}");
    assert_eq!(tx.upgrades_open().await.unwrap().len(), 1);
    assert_eq!(tx.upgrades_page(9).await.unwrap().len(), 2);
    host.stage = HostStage::Offered;
    let update = tx.upgrade_host_update(1, HostStage::Waiting, &host).await;
    assert!(update.unwrap());
    let update = tx.upgrade_host_update(1, HostStage::Waiting, &host).await;
    assert!(!update.unwrap(), "somebody else was quicker");
    assert_eq!(tx.upgrade_hosts(1).await.unwrap(), [host]);
    assert_eq!(tx.upgrades_delete_through(9).await.unwrap(), 1);
    assert_eq!(tx.upgrade_hosts(1).await.unwrap(), []);
}
