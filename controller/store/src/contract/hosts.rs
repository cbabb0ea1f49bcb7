//! Hosts and settings: what is written is read, and nothing stale is.

use std::collections::BTreeSet;

use tidemark_model::HostState;
use tidemark_model::host::{Capability, CapabilityReport, CapabilityState};

use super::*;
use crate::StoreError;

contract!(
    a_host_is_read_as_it_was_written,
    an_id_enrols_once,
    hosts_are_paged_by_id_without_holes,
    hosts_of_one_name_are_all_found,
    the_state_changes_only_from_the_generation_that_was_read,
    labels_of_the_controller_change_only_from_the_generation_that_was_read,
    the_certificate_is_replaced_only_in_the_generation_that_was_read,
    last_seen_never_goes_back,
    facts_of_an_unknown_host_are_refused,
    text_that_one_database_cannot_hold_is_refused_on_both,
    a_setting_changes_only_from_the_generation_that_was_read,
);

async fn a_host_is_read_as_it_was_written(store: Store) {
    let mut host = new_host(1);
    let partly = CapabilityReport {
        how: Some("wmi".into()),
        why: Some("no \"export\", here".into()),
        ..CapabilityReport::new(Capability::BoundSockets, CapabilityState::Partly)
    };
    let events = CapabilityReport::new(Capability::Events, CapabilityState::Yes);
    host.facts.capabilities = vec![partly, events];
    host.facts.labels = BTreeMap::from([("tier \"1\"".to_owned(), "wéb\n".to_owned())]);
    host.token_labels = BTreeMap::from([("site".to_owned(), "vie".to_owned())]);
    let mut tx = store.begin().await.unwrap();
    tx.host_insert(&host).await.unwrap();
    tx.commit().await.unwrap();

    let found = store
        .read()
        .await
        .unwrap()
        .host_find(host.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.facts, host.facts);
    assert_eq!(found.controller_labels, host.token_labels);
    assert_eq!(found.identity_spki, host.identity_spki);
    assert_eq!(found.certificate, host.certificate);
    assert_eq!(
        (found.state, found.state_generation),
        (HostState::Enrolled, 0)
    );
    assert_eq!(
        (found.enrolled_at, found.last_seen_at),
        (host.enrolled_at, None)
    );

    let renamed = facts("renamed");
    let mut tx = store.begin().await.unwrap();
    tx.host_update_facts(host.id, &renamed).await.unwrap();
    let found = tx.host_find(host.id).await.unwrap().unwrap();
    assert_eq!(found.facts, renamed);
    assert_eq!(found.controller_labels, host.token_labels);
}

async fn an_id_enrols_once(store: Store) {
    enrol(&store, 1).await;
    let mut tx = store.begin().await.unwrap();
    let refused = tx.host_insert(&new_host(0)).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::AlreadyExists { what: "host" }),
        "{refused:?}"
    );
}

async fn hosts_are_paged_by_id_without_holes(store: Store) {
    enrol(&store, 25).await;
    let mut tx = store.read().await.unwrap();
    let mut paged = Vec::new();
    loop {
        let page = tx.hosts_page(paged.last().copied(), 10).await.unwrap();
        assert!(page.len() <= 10);
        if page.is_empty() {
            break;
        }
        paged.extend(page.into_iter().map(|host| host.id));
    }
    let mut expected: Vec<HostId> = (0..25).map(host_id).collect();
    expected.sort_by_key(ToString::to_string);
    assert_eq!(paged, expected);
    let mut visited = Vec::new();
    tx.hosts_each(|host| visited.push(host.id)).await.unwrap();
    assert_eq!(visited, paged);
    assert_eq!(tx.hosts_count().await.unwrap(), 25);
}

async fn hosts_of_one_name_are_all_found(store: Store) {
    let mut twin = new_host(2);
    twin.facts.name = "host-1".into();
    let mut tx = store.begin().await.unwrap();
    tx.host_insert(&new_host(1)).await.unwrap();
    tx.host_insert(&twin).await.unwrap();
    let found: BTreeSet<HostId> = tx
        .hosts_named("host-1", 10)
        .await
        .unwrap()
        .iter()
        .map(|host| host.id)
        .collect();
    assert_eq!(found, BTreeSet::from([host_id(1), host_id(2)]));
    assert_eq!(tx.hosts_named("host-1", 1).await.unwrap().len(), 1);
    assert!(tx.hosts_named("host", 10).await.unwrap().is_empty());
}

async fn the_state_changes_only_from_the_generation_that_was_read(store: Store) {
    enrol(&store, 1).await;
    let mut tx = store.begin().await.unwrap();
    let host = tx.host_find(host_id(0)).await.unwrap().unwrap();
    let next = host.state.quarantine().unwrap();
    tx.host_set_state(host.id, host.state_generation, next)
        .await
        .unwrap();
    let stale = tx
        .host_set_state(host.id, host.state_generation, HostState::Revoked)
        .await;
    assert!(matches!(stale, Err(StoreError::Stale { what: "host" })));
    let unknown = tx.host_set_state(host_id(9), 0, HostState::Revoked).await;
    assert!(matches!(unknown, Err(StoreError::Stale { .. })));
    let host = tx.host_find(host.id).await.unwrap().unwrap();
    assert_eq!(
        (host.state, host.state_generation),
        (HostState::Quarantined, 1)
    );
}

async fn labels_of_the_controller_change_only_from_the_generation_that_was_read(store: Store) {
    enrol(&store, 3).await;
    let ids = [0, 1, 2].map(host_id);
    let labels = |value: &str| BTreeMap::from([("team".to_owned(), value.to_owned())]);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.hosts_relabelled(None, 10).await.unwrap(), []);
    tx.host_set_labels(ids[1], 0, &labels("pay")).await.unwrap();
    let stale = tx.host_set_labels(ids[1], 0, &labels("web")).await;
    assert!(matches!(
        stale,
        Err(StoreError::Stale {
            what: "host's labels"
        })
    ));
    // What its agent says is another matter.
    tx.host_update_facts(ids[1], &facts("renamed"))
        .await
        .unwrap();
    let found = tx.host_find(ids[1]).await.unwrap().unwrap();
    assert_eq!(
        (found.controller_labels, found.labels_generation),
        (labels("pay"), 1)
    );
    tx.host_set_labels(ids[1], 1, &labels("web")).await.unwrap();
    tx.host_set_labels(ids[2], 0, &BTreeMap::new())
        .await
        .unwrap();
    let changed = tx.hosts_relabelled(None, 1).await.unwrap();
    let mut both = changed.clone();
    let after = changed.first().map(|(id, _)| *id);
    both.extend(tx.hosts_relabelled(after, 10).await.unwrap());
    both.sort_unstable();
    let mut expected = vec![(ids[1], 2), (ids[2], 1)];
    expected.sort_unstable();
    assert_eq!(both, expected);
}

async fn the_certificate_is_replaced_only_in_the_generation_that_was_read(store: Store) {
    enrol(&store, 1).await;
    let held = |generation, number| HostCertificate {
        generation,
        not_after: at(20_000),
        spki_hash: [number; 32],
    };
    let mut tx = store.begin().await.unwrap();
    tx.host_set_certificate(host_id(0), 1, &held(2, 8))
        .await
        .unwrap();
    let clone = tx.host_set_certificate(host_id(0), 1, &held(2, 9)).await;
    assert!(matches!(clone, Err(StoreError::Stale { .. })));
    let host = tx.host_find(host_id(0)).await.unwrap().unwrap();
    assert_eq!(host.certificate, held(2, 8));
}

async fn last_seen_never_goes_back(store: Store) {
    enrol(&store, 2).await;
    let mut tx = store.begin().await.unwrap();
    let seen = [
        (host_id(0), at(50)),
        (host_id(1), at(60)),
        (host_id(0), at(40)),
        (host_id(9), at(1)),
    ];
    tx.hosts_touch(&seen).await.unwrap();
    assert_eq!(tx.hosts_touch(&[(host_id(1), at(59))]).await.unwrap(), 0);
    assert_eq!(tx.hosts_touch(&[]).await.unwrap(), 0);
    for (number, last) in [(0, 50), (1, 60)] {
        let host = tx.host_find(host_id(number)).await.unwrap().unwrap();
        assert_eq!(host.last_seen_at, Some(at(last)));
    }
}

async fn facts_of_an_unknown_host_are_refused(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let refused = tx.host_update_facts(host_id(0), &facts("ghost")).await;
    assert!(matches!(
        refused,
        Err(StoreError::NotFound { what: "host" })
    ));
}

async fn text_that_one_database_cannot_hold_is_refused_on_both(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut host = new_host(1);
    host.facts = facts("evil\0name");
    let refused = tx.host_insert(&host).await.unwrap_err();
    assert!(refused.to_string().contains("host name"), "{refused}");
    host.facts = facts("fine");
    host.token_labels
        .insert("label".to_owned(), "\0".to_owned());
    assert!(matches!(
        tx.host_insert(&host).await,
        Err(StoreError::InvalidValue { .. })
    ));
    host.token_labels.clear();
    tx.host_insert(&host).await.unwrap();
}

async fn a_setting_changes_only_from_the_generation_that_was_read(store: Store) {
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.setting_find("ca").await.unwrap(), None);
    tx.setting_insert("ca", "one").await.unwrap();
    let first = tx.setting_find("ca").await.unwrap().unwrap();
    assert_eq!((first.value.as_str(), first.generation), ("one", 1));
    tx.setting_replace("ca", 1, "two").await.unwrap();
    assert!(matches!(
        tx.setting_replace("ca", 1, "three").await,
        Err(StoreError::Stale { what: "setting" })
    ));
    let second = tx.setting_find("ca").await.unwrap().unwrap();
    assert_eq!((second.value.as_str(), second.generation), ("two", 2));
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    assert!(matches!(
        tx.setting_insert("ca", "again").await,
        Err(StoreError::AlreadyExists { what: "setting" })
    ));
}
