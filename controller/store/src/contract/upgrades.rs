//! Releases and their roll-outs: kept as they were signed, files whole or not at all, and changed by one at a time.

use tidemark_model::release::{FileDigest, ManifestDigest, PIECE_BYTES_MAX, SignedManifest};
use tidemark_model::signing::{KeyId, Signature};
use tidemark_model::upgrade::{HostStage, Tally, UpgradePlan, UpgradeReport, UpgradeState};

use super::*;
use crate::{
    ProgramTotals, ReleaseRecord, RunningCount, StoreError, TextCount, Upgrade, UpgradeHost,
};

contract!(
    releases_come_back_as_they_were_signed,
    a_file_comes_back_in_its_pieces_and_goes_whole,
    a_roll_out_is_changed_by_one_at_a_time,
    hosts_of_a_roll_out_are_counted_and_moved_by_their_stage,
    what_hosts_say_of_their_programs_is_counted,
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

fn roll_out() -> Upgrade {
    Upgrade {
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
    }
}

async fn a_roll_out_is_changed_by_one_at_a_time(store: Store) {
    let mut upgrade = roll_out();
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

async fn hosts_of_a_roll_out_are_counted_and_moved_by_their_stage(store: Store) {
    use HostStage::{Healthy, Left, Waiting};
    let host = |number: u32, ring, stage, since| UpgradeHost {
        host: host_id(number),
        ring,
        stage,
        since: at(since),
        text: String::new(),
    };
    let hosts = [
        host(1, 0, Healthy, 9),
        host(2, 3, Waiting, 4),
        host(3, 3, Waiting, 3),
        host(4, 4, Waiting, 2),
    ];
    let mut tx = store.begin().await.unwrap();
    for number in [1, 2] {
        let given = tx.upgrade_insert(&roll_out(), &hosts).await.unwrap();
        assert_eq!(given, number);
    }
    let tally = |ring, stage, hosts, since| Tally {
        ring,
        stage,
        hosts,
        since: at(since),
    };
    let counted = [
        tally(0, Healthy, 1, 9),
        tally(3, Waiting, 2, 4),
        tally(4, Waiting, 1, 2),
    ];
    assert_eq!(tx.upgrade_tallies(1).await.unwrap(), counted);
    let longest_first = [hosts[2].clone(), hosts[1].clone()];
    let found = tx.upgrade_hosts_at(1, Waiting, 3..=3, 9).await.unwrap();
    assert_eq!(found, longest_first);
    let found = tx
        .upgrade_hosts_at(1, Waiting, 0..=u8::MAX, 1)
        .await
        .unwrap();
    assert_eq!(found, longest_first[..1]);
    let found = tx.upgrade_host_find(1, host_id(4)).await.unwrap();
    assert_eq!(found.as_ref(), Some(&hosts[3]));
    assert_eq!(tx.upgrade_host_find(1, host_id(5)).await.unwrap(), None);
    let moved = tx.upgrade_hosts_move(1, (Waiting, Left), (at(12), "stopped"));
    assert_eq!(moved.await.unwrap(), 3);
    let counted = [
        tally(0, Healthy, 1, 9),
        tally(3, Left, 2, 12),
        tally(4, Left, 1, 12),
    ];
    assert_eq!(tx.upgrade_tallies(1).await.unwrap(), counted);
    assert_eq!(
        tx.upgrade_tallies(2).await.unwrap()[1].stage,
        Waiting,
        "of another one"
    );
}

async fn what_hosts_say_of_their_programs_is_counted(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for number in 1..=4 {
        tx.host_insert(&new_host(number)).await.unwrap();
    }
    let says = |running, floor, unable: Option<&str>| UpgradeReport {
        running,
        seen: 7,
        floor,
        unable: unable.map(str::to_owned),
        news: None,
    };
    let first = says(None, 0, Some("no supervisor"));
    for (number, report) in [
        (1, &first),
        (2, &says(Some(7), 3, None)),
        (3, &says(Some(7), 5, None)),
        // Of a host that is gone.
        (9, &says(Some(8), 0, Some("gone"))),
    ] {
        let put = tx.upgrade_report_put(host_id(number), at(1), report);
        put.await.unwrap();
    }
    let told = tx.upgrade_report(host_id(1)).await.unwrap();
    assert_eq!(told, Some(first));
    assert_eq!(tx.upgrade_report(host_id(4)).await.unwrap(), None);
    let totals = ProgramTotals {
        hosts: 4,
        told: 3,
        unable: 1,
    };
    assert_eq!(tx.program_totals().await.unwrap(), totals);
    let running = |running, hosts, floors| RunningCount {
        running,
        hosts,
        floors,
        seen: 7,
    };
    let counted = [running(7, 2, (3, 5)), running(0, 1, (0, 0))];
    assert_eq!(tx.hosts_by_running(9).await.unwrap(), counted);
    let text = |text: &str, hosts| TextCount {
        text: text.to_owned(),
        hosts,
    };
    assert_eq!(tx.hosts_by_version(9).await.unwrap(), [text("0.1.0", 4)]);
    let reasons = tx.hosts_by_reason(9).await.unwrap();
    assert_eq!(reasons, [text("no supervisor", 1)]);
    let named = tx.hosts_unable("no supervisor", 9).await.unwrap();
    assert_eq!(named, [(host_id(1), "host-1".to_owned())]);
    // The last word counts.
    let able = says(Some(7), 7, None);
    let put = tx.upgrade_report_put(host_id(1), at(2), &able);
    put.await.unwrap();
    assert_eq!(tx.hosts_by_reason(9).await.unwrap(), []);
    let counted = [running(7, 3, (3, 7))];
    assert_eq!(tx.hosts_by_running(9).await.unwrap(), counted);
}
