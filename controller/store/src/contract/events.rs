//! Events of hosts: each record once, paged by time, gone after a while.

use std::sync::Arc;

use tidemark_model::event::{EventDatum, LogRecord};
use tidemark_model::sample::EventHit;

use super::*;
use crate::{EventQuery, NewEvent, RecordXml, StoredEvent, Tx};

contract!(
    events_come_back_as_they_were,
    a_record_that_is_told_again_is_stored_once,
    events_of_one_host_are_paged_by_time_and_filtered,
    events_of_one_kind_are_found_on_all_hosts,
    retention_takes_the_oldest_events,
);

fn report(at_ms: i64) -> EventHit {
    EventHit {
        at: at(at_ms),
        source: "tidemark-agent".into(),
        code: 3,
        count: 2,
        text: "<script>'\"--; DROP TABLE events".into(),
        log: None,
    }
}

fn record(at_ms: i64, record_id: u64) -> EventHit {
    EventHit {
        at: at(at_ms),
        source: "Tcpip".into(),
        code: 4231,
        count: 1,
        text: "no port".into(),
        log: Some(Box::new(LogRecord {
            channel: Some("System".into()),
            log_epoch: 7,
            record_id: Some(record_id),
            data: vec![EventDatum {
                name: None,
                value: "ü\u{1b}".into(),
            }],
            binary: Some(Arc::from([0, 255])),
            error_code: Some(0x8000_1087),
            xml: Some("<Event/>".into()),
            ..LogRecord::default()
        })),
    }
}

/// Appends hits of a host, each stored a second after it happened.
async fn append(tx: &mut Tx, host: HostId, hits: &[EventHit]) -> Vec<bool> {
    let events: Vec<NewEvent<'_>> = hits
        .iter()
        .map(|hit| NewEvent {
            host,
            at: at(hit.at.unix_ms() + 1_000),
            hit,
        })
        .collect();
    tx.events_append(&events).await.unwrap()
}

fn query(host: HostId) -> EventQuery<'static> {
    EventQuery {
        host,
        before: None,
        since: None,
        source: None,
        code: None,
        xml: RecordXml::With,
        limit: 100,
    }
}

fn host_times(page: &[StoredEvent]) -> Vec<i64> {
    page.iter().map(|event| event.hit.at.unix_ms()).collect()
}

async fn events_come_back_as_they_were(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let hits = [record(20, 5), report(10)];
    assert_eq!(append(&mut tx, host_id(0), &hits).await, [true, true]);
    assert_eq!(append(&mut tx, host_id(0), &[]).await, [] as [bool; 0]);
    let page = tx.events_page(&query(host_id(0))).await.unwrap();
    assert_eq!(
        page.iter()
            .map(|event| event.hit.clone())
            .collect::<Vec<_>>(),
        hits
    );
    assert_eq!(page[0].at, at(1_020));
    let without = EventQuery {
        xml: RecordXml::Without,
        ..query(host_id(0))
    };
    let page = tx.events_page(&without).await.unwrap();
    let log = page[0].hit.log.as_deref().unwrap();
    assert_eq!((log.xml.as_deref(), log.record_id), (None, Some(5)));
}

async fn a_record_that_is_told_again_is_stored_once(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let hits = [record(10, 1), record(10, 1), report(10), report(10)];
    let expected = [true, false, true, true];
    assert_eq!(append(&mut tx, host_id(0), &hits).await, expected);
    // Again after a restart of the agent; once more in another life of the log; at another time; of another host.
    let mut cleared = record(10, 1);
    if let Some(log) = &mut cleared.log {
        log.log_epoch = 8;
    }
    let again = [record(10, 1), cleared, record(11, 1), record(10, 2)];
    let expected = [false, true, true, true];
    assert_eq!(append(&mut tx, host_id(0), &again).await, expected);
    assert_eq!(append(&mut tx, host_id(1), &[record(10, 1)]).await, [true]);
    let page = tx.events_page(&query(host_id(0))).await.unwrap();
    assert_eq!(page.len(), 6);
}

async fn events_of_one_host_are_paged_by_time_and_filtered(store: Store) {
    let mut tx = store.begin().await.unwrap();
    // Told late: not in the order of time.
    let hits = [
        record(30, 3),
        report(10),
        record(20, 2),
        record(30, 4),
        report(40),
    ];
    append(&mut tx, host_id(0), &hits).await;
    append(&mut tx, host_id(1), &[report(35)]).await;
    let mut asked = query(host_id(0));
    asked.limit = 3;
    let first = tx.events_page(&asked).await.unwrap();
    assert_eq!(host_times(&first), [40, 30, 30]);
    asked.before = first.last().map(|event| (event.at, event.id));
    let rest = tx.events_page(&asked).await.unwrap();
    assert_eq!(host_times(&rest), [20, 10]);
    let filters = [
        (
            EventQuery {
                since: Some(at(1_030)),
                ..query(host_id(0))
            },
            vec![40, 30, 30],
        ),
        (
            EventQuery {
                source: Some("Tcpip"),
                ..query(host_id(0))
            },
            vec![30, 30, 20],
        ),
        (
            EventQuery {
                code: Some(3),
                ..query(host_id(0))
            },
            vec![40, 10],
        ),
        (
            EventQuery {
                source: Some("x"),
                ..query(host_id(0))
            },
            vec![],
        ),
    ];
    for (asked, times) in filters {
        assert_eq!(host_times(&tx.events_page(&asked).await.unwrap()), times);
    }
}

async fn events_of_one_kind_are_found_on_all_hosts(store: Store) {
    let mut tx = store.begin().await.unwrap();
    append(
        &mut tx,
        host_id(0),
        &[record(10, 1), record(30, 2), report(40)],
    )
    .await;
    append(&mut tx, host_id(1), &[record(20, 1)]).await;
    let mut found = tx
        .events_of_kind(("Tcpip", 4231), at(1_020), 9)
        .await
        .unwrap();
    let newest = (host_id(0), at(1_030), "no port".to_owned());
    assert_eq!(found.first(), Some(&newest));
    assert_eq!(
        found.pop(),
        Some((host_id(1), at(1_020), "no port".to_owned()))
    );
    assert_eq!(found.len(), 1);
    let one = tx.events_of_kind(("Tcpip", 4231), at(0), 1).await.unwrap();
    assert_eq!(one, [newest]);
    assert_eq!(tx.events_of_kind(("Tcpip", 3), at(0), 9).await.unwrap(), []);
}

async fn retention_takes_the_oldest_events(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let hits: Vec<EventHit> = (0..10).map(|number| report(number * 10)).collect();
    append(&mut tx, host_id(0), &hits).await;
    append(&mut tx, host_id(1), &[report(5)]).await;
    let cutoff = at(1_070);
    assert_eq!(tx.events_delete_before(cutoff, 5).await.unwrap(), 5);
    assert_eq!(tx.events_delete_before(cutoff, 5).await.unwrap(), 3);
    assert_eq!(tx.events_delete_before(cutoff, 5).await.unwrap(), 0);
    let left = tx.events_page(&query(host_id(0))).await.unwrap();
    assert_eq!(host_times(&left), [90, 80, 70]);
}
