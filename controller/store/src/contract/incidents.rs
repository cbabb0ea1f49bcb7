//! Incidents: one that is not over for each problem, changed by generation, listed, forgotten with their time lines.

use tidemark_model::incident::{Entry, EntryKind, Incident, IncidentState, Resolution};
use tidemark_model::problem::{Problem, ProblemKey, Severity, Sureness};
use tidemark_model::{PortSpaceKey, Protocol};

use super::*;
use crate::{IncidentQuery, Standing, StoreError};

contract!(
    incidents_come_back_as_they_were,
    a_problem_has_one_incident_that_is_not_over,
    a_stale_generation_changes_no_incident,
    incidents_are_listed_newest_first_and_filtered,
    the_watched_are_those_that_are_not_over_or_outlive_an_operators_word,
    a_time_line_keeps_its_order,
    retention_takes_the_incidents_that_ended_first_with_their_time_lines,
);

fn incident(host: u32, opened: i64) -> Incident {
    let host = host_id(host);
    let problem = Problem {
        key: ProblemKey::Ports {
            host,
            space: PortSpaceKey::own(Protocol::Tcp),
        },
        kind: "leak".to_owned(),
        hosts: vec![host],
        culprit: Some("evil\0.exe".to_owned()),
        cause: "it leaks".to_owned(),
        evidence: vec!["41 ports an hour".to_owned()],
        advice: vec!["restart it".to_owned()],
        since: at(opened - 5),
        is_exhausted: false,
        eta: None,
        at_least: Severity::Info,
        sure: Sureness::Percent(80),
        reason: None,
    };
    Incident::open(problem, Severity::Warning, at(opened))
}

async fn insert(tx: &mut crate::Tx, incident: Incident) -> Incident {
    let id = tx.incident_insert(&incident).await.unwrap().unwrap();
    Incident {
        id,
        generation: 1,
        ..incident
    }
}

/// Ends an incident and stores that.
async fn end(tx: &mut crate::Tx, incident: Incident, how: Resolution, ended: i64) -> Incident {
    let state = incident.state.clone().end(how, at(ended)).unwrap();
    let over = Incident { state, ..incident };
    tx.incident_update(&over).await.unwrap();
    Incident {
        generation: over.generation + 1,
        ..over
    }
}

const ALL: IncidentQuery<'_> = IncidentQuery {
    before: None,
    state: None,
    standing: Standing::Any,
    severity: None,
    host: None,
    since: None,
    limit: 100,
};

async fn incidents_come_back_as_they_were(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let stored = insert(&mut tx, incident(0, 100)).await;
    assert_eq!(
        tx.incident_find(stored.id).await.unwrap(),
        Some(stored.clone())
    );
    let newest = tx.incident_newest_of(stored.fingerprint).await.unwrap();
    assert_eq!(newest, Some(stored.clone()));
    assert_eq!(tx.incident_find(stored.id + 1).await.unwrap(), None);
    let other = incident(1, 100).fingerprint;
    assert_eq!(tx.incident_newest_of(other).await.unwrap(), None);
}

async fn a_problem_has_one_incident_that_is_not_over(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let first = insert(&mut tx, incident(0, 100)).await;
    assert_eq!(tx.incident_insert(&incident(0, 200)).await.unwrap(), None);
    let first = end(&mut tx, first, Resolution::Cleared, 300).await;
    let second = insert(&mut tx, incident(0, 400)).await;
    assert!(second.id > first.id);
    let newest = tx.incident_newest_of(first.fingerprint).await.unwrap();
    assert_eq!(newest.map(|one| one.id), Some(second.id));
    // Another controller opened the second meanwhile: the first cannot be reopened beside it.
    let reopened = Incident {
        state: first.state.clone().reopen().unwrap(),
        ..first
    };
    assert!(matches!(
        tx.incident_update(&reopened).await,
        Err(StoreError::AlreadyExists { .. })
    ));
}

async fn a_stale_generation_changes_no_incident(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let first = insert(&mut tx, incident(0, 100)).await;
    let state = first.state.clone().acknowledge("ann", at(150)).unwrap();
    let taken = Incident {
        state,
        ..first.clone()
    };
    tx.incident_update(&taken).await.unwrap();
    assert!(matches!(
        tx.incident_update(&first).await,
        Err(StoreError::Stale { .. })
    ));
    let found = tx.incident_find(first.id).await.unwrap().unwrap();
    assert_eq!(found.state.as_str(), "acknowledged");
    assert_eq!(found.generation, 2);
}

async fn incidents_are_listed_newest_first_and_filtered(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut ids = Vec::new();
    for number in 0..5 {
        let mut made = incident(number, 100 + i64::from(number));
        if number == 2 {
            made.severity = Severity::Critical;
            made.problem.hosts.push(host_id(9));
        }
        let made = insert(&mut tx, made).await;
        ids.push(made.id);
        if number == 4 {
            end(&mut tx, made, Resolution::Cleared, 200).await;
        }
    }
    let mut listed = async |query: IncidentQuery<'_>| -> Vec<usize> {
        let page = tx.incidents_page(&query).await.unwrap();
        let place = |one: &Incident| ids.iter().position(|id| *id == one.id).unwrap();
        page.iter().map(place).collect()
    };
    assert_eq!(listed(ALL).await, [4, 3, 2, 1, 0]);
    assert_eq!(listed(IncidentQuery { limit: 2, ..ALL }).await, [4, 3]);
    let before = IncidentQuery {
        before: Some(ids[3]),
        ..ALL
    };
    assert_eq!(listed(before).await, [2, 1, 0]);
    let resolved = IncidentQuery {
        state: Some("resolved"),
        ..ALL
    };
    assert_eq!(listed(resolved).await, [4]);
    let not_over = IncidentQuery {
        standing: Standing::NotOver,
        ..ALL
    };
    assert_eq!(listed(not_over).await, [3, 2, 1, 0]);
    let critical = IncidentQuery {
        severity: Some(Severity::Critical),
        ..ALL
    };
    assert_eq!(listed(critical).await, [2]);
    for (host, of_host) in [(host_id(9), vec![2]), (host_id(1), vec![1])] {
        let query = IncidentQuery {
            host: Some(host),
            ..ALL
        };
        assert_eq!(listed(query).await, of_host);
    }
    let since = IncidentQuery {
        since: Some(at(103)),
        ..ALL
    };
    assert_eq!(listed(since).await, [4, 3]);
}

async fn the_watched_are_those_that_are_not_over_or_outlive_an_operators_word(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let says = |is_gone| Resolution::Operator {
        by: "ann".to_owned(),
        is_gone,
    };
    let open = insert(&mut tx, incident(0, 100)).await;
    let cleared = insert(&mut tx, incident(1, 100)).await;
    end(&mut tx, cleared, Resolution::Cleared, 200).await;
    let word = insert(&mut tx, incident(2, 100)).await;
    end(&mut tx, word.clone(), says(false), 200).await;
    let gone = insert(&mut tx, incident(3, 100)).await;
    end(&mut tx, gone, says(true), 210).await;
    let watched = tx.incidents_watched(0, 100).await.unwrap();
    let ids: Vec<i64> = watched.iter().map(|one| one.id).collect();
    assert_eq!(ids, [open.id, word.id]);
    let rest = tx.incidents_watched(open.id, 100).await.unwrap();
    assert_eq!(rest.len(), 1);
    let ended = tx.incidents_ended_since(at(205), 100).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert!(matches!(ended[0].state, IncidentState::Resolved { .. }));
}

async fn a_time_line_keeps_its_order(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let first = insert(&mut tx, incident(0, 100)).await;
    let note = Entry {
        by: Some("ann".to_owned()),
        ..Entry::own(at(90), EntryKind::Note, "asked the vendor")
    };
    let entries = [
        Entry::own(at(100), EntryKind::Opened, "opened"),
        Entry::own(at(120), EntryKind::Escalated, "critical"),
        note,
    ];
    tx.incident_entries_append(first.id, &entries)
        .await
        .unwrap();
    let all = tx.incident_entries_newest(first.id, 100).await.unwrap();
    assert_eq!(all, entries);
    let newest = tx.incident_entries_newest(first.id, 2).await.unwrap();
    assert_eq!(newest, entries[1..]);
    assert!(
        tx.incident_entries_newest(first.id + 1, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn retention_takes_the_incidents_that_ended_first_with_their_time_lines(store: Store) {
    let mut tx = store.begin().await.unwrap();
    insert(&mut tx, incident(0, 1)).await;
    let mut over = Vec::new();
    for (number, ended) in [(1, 30), (2, 10), (3, 20), (4, 90)] {
        let made = insert(&mut tx, incident(number, 1)).await;
        let opened = [Entry::own(at(1), EntryKind::Opened, "opened")];
        tx.incident_entries_append(made.id, &opened).await.unwrap();
        over.push(end(&mut tx, made, Resolution::Cleared, ended).await);
    }
    assert_eq!(tx.incidents_delete_before(at(50), 2).await.unwrap(), 2);
    assert!(tx.incident_find(over[0].id).await.unwrap().is_some());
    assert_eq!(tx.incidents_delete_before(at(50), 2).await.unwrap(), 1);
    assert_eq!(tx.incidents_delete_before(at(50), 2).await.unwrap(), 0);
    assert_eq!(tx.incidents_page(&ALL).await.unwrap().len(), 2);
    let gone = tx.incident_entries_newest(over[0].id, 9).await.unwrap();
    assert!(gone.is_empty());
    let of_host = IncidentQuery {
        host: Some(host_id(1)),
        ..ALL
    };
    assert!(tx.incidents_page(&of_host).await.unwrap().is_empty());
}
