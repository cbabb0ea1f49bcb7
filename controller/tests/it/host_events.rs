//! Events of hosts' logs: stored once, listed with their parts, shown as text, counted, gone when they are old.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidemark_controller::tasks::expire::{EVENTS_KEPT, Expirer};
use tidemark_model::event::{EventDatum, LogRecord};
use tidemark_model::sample::EventHit;
use tidemark_model::view::{EventView, HostDetail, HostEventView, Page};
use tidemark_model::{Role, Timestamp};
use tidemark_proto::convert::record::Record;

use crate::api::client;
use crate::made_up::{MadeUp, sample};

const HOSTILE: &str = "</td><script>alert(1)</script>\" onclick=\"x";

fn hit(at: Timestamp, code: u32, record_id: u64) -> EventHit {
    EventHit {
        at,
        source: "Tcpip".into(),
        code,
        count: 1,
        text: "no port".into(),
        log: Some(Box::new(LogRecord {
            channel: Some("System".into()),
            record_id: Some(record_id),
            level: Some(3),
            data: vec![EventDatum {
                name: None,
                value: "value".into(),
            }],
            binary: Some([0xab].into()),
            xml: Some("<Event/>".into()),
            ..LogRecord::default()
        })),
    }
}

async fn get(fleet: &MadeUp, path: &str) -> reqwest::Response {
    let token = fleet.token(Role::Viewer).await;
    let request = client().get(fleet.url(path)).bearer_auth(token);
    request.send().await.unwrap()
}

async fn events(fleet: &MadeUp, path: &str) -> Page<HostEventView> {
    get(fleet, path).await.json().await.unwrap()
}

fn codes(page: &Page<HostEventView>) -> Vec<u32> {
    page.items.iter().map(|event| event.code).collect()
}

#[tokio::test]
async fn events_of_a_hosts_log_are_listed_once_with_their_parts() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let now = fleet.started.app.clock.now();
    let ago = |seconds| now.saturating_sub(Duration::from_secs(seconds));
    let first = hit(ago(30), 4227, 1);
    let second = hit(ago(20), 4231, 2);
    let told = [&first, &second].map(|hit| Record::Event(hit.clone()));
    fleet.deliver_records(id, told.to_vec()).await;
    // The agent starts again and tells the last one again.
    let third = hit(ago(10), 4266, 3);
    let told = [second, third].map(Record::Event);
    fleet.deliver_records(id, told.to_vec()).await;

    let page = events(&fleet, "/api/v1/hosts/web-1/events").await;
    assert_eq!(codes(&page), [4266, 4231, 4227]);
    let event = &page.items[2];
    assert_eq!(event.host_at_ms, ago(30).unix_ms());
    assert_eq!(
        (event.channel.as_deref(), event.record_id, event.level),
        (Some("System"), Some(1), Some(3))
    );
    assert_eq!(event.data[0].value, "value");
    assert_eq!(event.binary.as_deref(), Some("ab"));
    assert_eq!(event.xml, None, "it was not asked for");

    let with_xml = events(&fleet, "/api/v1/hosts/web-1/events?with=xml&code=4231").await;
    assert_eq!(with_xml.items[0].xml.as_deref(), Some("<Event/>"));
    let first = events(&fleet, "/api/v1/hosts/web-1/events?limit=2&source=Tcpip").await;
    assert_eq!(codes(&first), [4266, 4231]);
    let cursor = first.next_cursor.unwrap();
    let rest = format!("/api/v1/hosts/web-1/events?limit=2&cursor={cursor}");
    assert_eq!(codes(&events(&fleet, &rest).await), [4227]);
    let refused = get(&fleet, "/api/v1/hosts/web-1/events?cursor=x").await;
    assert_eq!(refused.status().as_u16(), 400);

    let metrics = get(&fleet, "/metrics").await.text().await.unwrap();
    assert!(
        metrics.contains("\ntidemark_events_stored_total 3\n"),
        "{metrics}"
    );
    assert!(metrics.contains("\ntidemark_events_duplicate_total 1\n"));
    let detail: HostDetail = get(&fleet, "/api/v1/hosts/web-1")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (detail.delivery.stored, detail.delivery.dropped.len()),
        (2, 0)
    );
}

#[tokio::test]
async fn what_just_happened_is_a_notice_and_a_backlog_is_one_line() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let now = fleet.started.app.clock.now();
    let day = Duration::from_secs(86_400);
    let mut records: Vec<Record> = (1..=5_u32)
        .map(|days| Record::Event(hit(now.saturating_sub(day * days), 4227, days.into())))
        .collect();
    let at = now.saturating_sub(Duration::from_secs(5));
    records.push(Record::Event(hit(at, 4231, 9)));
    fleet.deliver_records(id, records).await;
    let give_up_at = tokio::time::Instant::now() + Duration::from_secs(20);
    let notices = loop {
        let page: Page<EventView> = get(&fleet, "/api/v1/events?kind=host_event")
            .await
            .json()
            .await
            .unwrap();
        if page.items.len() >= 2 {
            break page.items;
        }
        assert!(tokio::time::Instant::now() < give_up_at, "{:?}", page.items);
        tokio::task::yield_now().await;
    };
    let texts: Vec<&str> = notices.iter().map(|notice| notice.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "5 older event(s) of its log were taken in: see its page",
            "Tcpip 4231: no port"
        ]
    );
    assert_eq!(
        notices[1].at_ms,
        at.unix_ms(),
        "when it happened, not when it was told"
    );
}

#[tokio::test]
async fn an_exhausted_pool_saturates_its_own_protocol_with_the_next_sample() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let now = fleet.started.app.clock.now();
    let road = async || {
        let detail: HostDetail = get(&fleet, "/api/v1/hosts/web-1")
            .await
            .json()
            .await
            .unwrap();
        detail.host.port_spaces[0].road.clone()
    };
    let ago = |seconds| now.saturating_sub(Duration::from_secs(seconds));
    // Neither a collision nor UDP says anything about TCP's ports, nor does what is long over.
    for (record_id, other) in [
        (1, hit(ago(60), 4227, 1)),
        (2, hit(ago(60), 4266, 2)),
        (3, hit(ago(7_200), 4231, 3)),
    ] {
        let records = vec![
            Record::Event(other),
            Record::Sample(sample(ago(60 - record_id), 500, 20)),
        ];
        fleet.deliver_records(id, records).await;
        assert_ne!(road().await.as_deref(), Some("saturated"), "{record_id}");
    }
    fleet
        .deliver_records(id, vec![Record::Event(hit(ago(20), 4231, 4))])
        .await;
    fleet
        .deliver(id, vec![sample(ago(10), 500, 20), sample(ago(1), 500, 20)])
        .await;
    assert_eq!(road().await.as_deref(), Some("saturated"));
}

#[tokio::test]
async fn hostile_events_are_text_on_the_hosts_page_in_the_order_of_time() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let now = fleet.started.app.clock.now();
    let mut hostile = hit(now.saturating_sub(Duration::from_secs(9)), 4231, 1);
    hostile.source = HOSTILE.into();
    hostile.text = HOSTILE.into();
    let older = hit(now.saturating_sub(Duration::from_secs(5 * 86_400)), 4227, 2);
    let records = vec![
        Record::Event(hostile),
        Record::Event(older),
        Record::Sample(sample(now, 500, 20)),
    ];
    fleet.deliver_records(id, records).await;
    let html = get(&fleet, &format!("/hosts/{id}"))
        .await
        .text()
        .await
        .unwrap();
    assert!(!html.contains("<script>alert") && !html.contains("\" onclick=\"x"));
    let hostile_at = html.find("&#60;script&#62;alert(1)").unwrap();
    let older_at = html.find("Tcpip 4227: no port").unwrap();
    assert!(hostile_at < older_at, "the newest is first");
    let answer = get(&fleet, "/api/v1/hosts/web-1/events").await;
    assert_eq!(answer.headers()["content-type"], "application/json");
    let document: Value = answer.json().await.unwrap();
    assert_eq!(document["items"][0]["text"], HOSTILE);
}

#[tokio::test]
async fn events_go_when_they_are_old() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let app = &fleet.started.app;
    let now = app.clock.now();
    let records: Vec<Record> = (1..=1_100_u64)
        .map(|number| {
            let age = EVENTS_KEPT + Duration::from_secs(number);
            Record::Event(hit(now.saturating_sub(age), 4227, number))
        })
        .chain(
            [(4227, EVENTS_KEPT / 2), (4231, Duration::ZERO)].map(|(code, age)| {
                Record::Event(hit(now.saturating_sub(age), code, 2_000 + u64::from(code)))
            }),
        )
        .collect();
    fleet.deliver_records(id, records).await;
    let expirer = Expirer::new(Arc::clone(app), Duration::from_secs(86_400));
    expirer.activate().await.unwrap();
    assert_eq!(expirer.activate().await.unwrap().events, 0);
    assert_eq!(
        codes(&events(&fleet, "/api/v1/hosts/web-1/events").await),
        [4231, 4227]
    );
}
