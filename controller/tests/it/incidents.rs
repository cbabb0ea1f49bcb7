//! Incidents as the API and the pages show them, and what operators do with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tidemark_controller::incidents::reconcile::Reconciler;
use tidemark_controller::notify::NotifySettings;
use tidemark_controller::notify::Route;
use tidemark_controller::notify::dispatch::Dispatcher;
use tidemark_controller::notify::receiver::{Authorization, Receiver, ReceiverKind};
use tidemark_model::audit::{
    AuditFact, FactKey, FactName, FactState, FactValue, HostAudit, Topic, TopicState,
};
use tidemark_model::notice::NoticeKind;
use tidemark_model::view::{
    IncidentDetail, IncidentView, NotificationView, Page, ReceiverView, SilenceView,
};
use tidemark_model::{HostId, Role, Timestamp};
use tidemark_store::NewNotice;

use crate::api::client;
use crate::made_up::{CAPACITY, MadeUp, sample};

/// A host whose ports are all in use, and what the controller makes of it.
async fn exhausted(fleet: &MadeUp, name: &str) -> HostId {
    let labels = BTreeMap::from([("tier".to_owned(), "db".to_owned())]);
    let id = fleet.host_with(name, "Linux 6.18", labels).await;
    fleet.connect(id);
    let now = fleet.started.app.clock.now();
    fleet.deliver(id, vec![sample(now, CAPACITY, 0)]).await;
    look(fleet).await;
    id
}

pub async fn look(fleet: &MadeUp) {
    let app = Arc::clone(&fleet.started.app);
    Reconciler::new(app).activate().await.unwrap();
}

pub async fn get<T: serde::de::DeserializeOwned>(fleet: &MadeUp, path: &str) -> T {
    let token = fleet.token(Role::Viewer).await;
    let answer = client()
        .get(fleet.url(path))
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.json().await.unwrap()
}

async fn post(fleet: &MadeUp, path: &str, body: Value) -> Response {
    let token = fleet.token(Role::Operator).await;
    let request = client()
        .post(fleet.url(path))
        .bearer_auth(token)
        .json(&body);
    request.send().await.unwrap()
}

pub async fn incidents(fleet: &MadeUp, query: &str) -> Vec<IncidentView> {
    let page: Page<IncidentView> = get(fleet, &format!("/api/v1/incidents{query}")).await;
    page.items
}

/// A way to a receiver that nobody listens at.
pub fn nobody() -> NotifySettings {
    NotifySettings {
        public_url: Some("https://t.example".to_owned()),
        receivers: vec![Receiver {
            name: "hook".to_owned(),
            kind: ReceiverKind::Webhook {
                url: "http://127.0.0.1:1/".to_owned(),
                secret_file: None,
                authorization: Authorization::None,
            },
            timeout: Duration::from_secs(2),
            ca_file: None,
        }],
        routes: vec![Route {
            receiver: "hook".to_owned(),
            matchers: vec!["tier=db".parse().unwrap()],
            group_by: vec![],
            group_wait: Duration::ZERO,
            repeat_interval: Duration::from_secs(3_600),
            send_resolved: true,
        }],
    }
}

#[tokio::test]
async fn an_exhausted_host_is_an_incident_with_all_that_there_is_to_say() {
    let fleet = MadeUp::start().await;
    let id = exhausted(&fleet, "db-1").await;
    let all = incidents(&fleet, "?state=active&severity=critical&host=db-1").await;
    let [incident] = all.as_slice() else {
        panic!("one incident: {all:#?}");
    };
    assert_eq!((&*incident.state, &*incident.kind), ("open", "saturated"));
    assert_eq!(incident.title, "db-1: TCP ports are exhausted (w3wp.exe)");
    assert_eq!(incident.hosts[0].id, id.to_string());
    for (label, value) in [
        ("tier", "db"),
        ("host", "db-1"),
        ("severity", "critical"),
        ("culprit", "w3wp.exe"),
        ("protocol", "tcp"),
    ] {
        assert_eq!(incident.labels.get(label).map(String::as_str), Some(value));
    }
    for part in [
        "db-1: no TCP ports are left for new connections; w3wp.exe has the most.",
        "Since ",
        "There are none left at this moment.",
        "This is measured, not inferred.",
        "Do: Free ports now: restart w3wp.exe",
    ] {
        assert!(
            incident.sentence.contains(part),
            "{part}: {}",
            incident.sentence
        );
    }
    assert!(incident.evidence[0].contains("16,384 of 16,384 ports"));
    assert!(incidents(&fleet, "?state=resolved").await.is_empty());
    assert!(incidents(&fleet, "?severity=info").await.is_empty());
}

#[tokio::test]
async fn two_controllers_that_look_at_once_open_one_incident() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("db-1").await;
    fleet.connect(id);
    let now = fleet.started.app.clock.now();
    fleet.deliver(id, vec![sample(now, CAPACITY, 0)]).await;
    let looks = (0..8).map(|_| look(&fleet));
    futures::future::join_all(looks).await;
    assert_eq!(incidents(&fleet, "").await.len(), 1);
    assert_eq!(fleet.started.app.metrics.incidents_opened.get(), 1);
}

#[tokio::test]
async fn operators_acknowledge_note_and_resolve_and_their_word_stands() {
    let fleet = MadeUp::start().await;
    exhausted(&fleet, "db-1").await;
    let id = incidents(&fleet, "").await[0].id;
    let path = |deed: &str| format!("/api/v1/incidents/{id}/{deed}");
    let taken = post(&fleet, &path("acknowledge"), json!({"text": "on it"})).await;
    let taken: IncidentView = taken.json().await.unwrap();
    assert_eq!(taken.state, "acknowledged");
    assert_eq!(taken.acknowledged_by.as_deref(), Some("test"));
    let again = post(&fleet, &path("acknowledge"), json!({})).await;
    assert_eq!(again.status(), StatusCode::CONFLICT);
    let empty = post(&fleet, &path("note"), json!({"text": "  "})).await;
    assert_eq!(empty.status(), StatusCode::BAD_REQUEST);
    let long = post(&fleet, &path("note"), json!({"text": "x".repeat(4_001)})).await;
    assert_eq!(long.status(), StatusCode::BAD_REQUEST);
    let unknown = post(&fleet, &path("note"), json!({"txt": "a"})).await;
    assert_eq!(unknown.status(), StatusCode::BAD_REQUEST);
    let note = post(&fleet, &path("note"), json!({"text": "asked the vendor"})).await;
    assert_eq!(note.status(), StatusCode::OK);
    let over = post(&fleet, &path("resolve"), json!({})).await;
    assert_eq!(over.status(), StatusCode::OK);
    look(&fleet).await;
    let detail: IncidentDetail = get(&fleet, &format!("/api/v1/incidents/{id}")).await;
    assert_eq!(
        detail.incident.state, "resolved",
        "though the ports are still gone"
    );
    assert!(incidents(&fleet, "?state=active").await.is_empty());
    let kinds: Vec<&str> = detail
        .timeline
        .iter()
        .map(|line| &*line.kind)
        .filter(|kind| *kind != "forecast_changed")
        .collect();
    assert_eq!(kinds, ["opened", "acknowledged", "note", "resolved"]);
    assert!(
        detail
            .timeline
            .iter()
            .any(|line| line.text == "asked the vendor")
    );
    for path in ["/api/v1/incidents/999/resolve", &path("forget")] {
        let nothing = post(&fleet, path, json!({})).await;
        assert_eq!(nothing.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

/// An audit that found the range to end there.
fn range_end(at: Timestamp, end: u64) -> HostAudit {
    let mut audit = HostAudit::empty(at);
    audit.topics.insert(Topic::Tcp, TopicState::Read);
    audit.facts = vec![AuditFact {
        key: FactKey::of(FactName::MaxUserPort),
        state: FactState::Known(FactValue::Number(end)),
    }];
    audit
}

#[tokio::test]
async fn what_was_changed_in_the_days_before_stands_in_the_time_line() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("db-1").await;
    let app = &fleet.started.app;
    let days_ago = |days: u64| {
        let age = Duration::from_secs(days * 86_400);
        app.clock.now().saturating_sub(age)
    };
    for (days, end) in [(10, 65_534), (9, 5_000), (6, 20_000), (2, 15_000)] {
        let audit = range_end(days_ago(days), end);
        app.take_audit(id, audit, 0).await.unwrap();
    }
    fleet.connect(id);
    let at = app.clock.now();
    let notices = ["first", "second", "third"].map(|text| NewNotice {
        at,
        host: Some(id),
        kind: NoticeKind::ActionChanged,
        text: text.into(),
    });
    let mut tx = app.store.begin().await.unwrap();
    tx.notices_append(&notices).await.unwrap();
    tx.commit().await.unwrap();
    let full = sample(app.clock.now(), CAPACITY, 0);
    fleet.deliver(id, vec![full]).await;
    look(&fleet).await;
    let number = incidents(&fleet, "").await[0].id;
    let detail: IncidentDetail = get(&fleet, &format!("/api/v1/incidents/{number}")).await;
    let noted = detail.timeline.iter();
    let noted: Vec<&str> = noted
        .filter(|line| line.kind == "action_changed")
        .map(|line| &*line.text)
        .collect();
    assert_eq!(noted, ["first", "second", "third"]);
    let changes: Vec<(&str, Option<&str>)> = detail
        .timeline
        .iter()
        .filter(|line| line.kind == "configuration_changed")
        .map(|line| (&*line.text, line.host.as_deref()))
        .collect();
    let expected = [
        "max_user_port: 5000 -> 20000",
        "max_user_port: 20000 -> 15000",
    ];
    assert_eq!(changes, expected.map(|text| (text, Some("db-1"))));
    assert!(detail.timeline.is_sorted_by_key(|line| line.at_ms));
    let last = detail.timeline.last().map(|line| &*line.kind);
    assert_ne!(last, Some("configuration_changed"), "it came before");
}

#[tokio::test]
async fn incidents_are_paged_by_number() {
    let fleet = MadeUp::start().await;
    for name in ["a", "b", "c"] {
        exhausted(&fleet, name).await;
    }
    let first: Page<IncidentView> = get(&fleet, "/api/v1/incidents?limit=2").await;
    let cursor = first.next_cursor.unwrap();
    let rest = incidents(&fleet, &format!("?limit=2&cursor={cursor}")).await;
    let mut ids: Vec<i64> = first.items.iter().chain(&rest).map(|one| one.id).collect();
    assert!(ids.iter().rev().is_sorted(), "{ids:?}");
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_silence_keeps_an_incident_from_receivers_and_says_so() {
    let fleet = MadeUp::start_with(nobody()).await;
    let wrong = json!({"matchers": ["nonsense"], "duration_s": 5, "reason": ""});
    let refused = post(&fleet, "/api/v1/silences", wrong).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let title = refused.text().await.unwrap();
    for part in [
        "is no matcher",
        "duration_s is 5",
        "reason must be 1 to 500",
    ] {
        assert!(title.contains(part), "{part}: {title}");
    }
    let wish = json!({"matchers": ["host=db-*"], "duration_s": 3600, "reason": "a drill"});
    let made = post(&fleet, "/api/v1/silences", wish).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let silence: SilenceView = made.json().await.unwrap();
    assert_eq!((&*silence.state, &*silence.author), ("active", "test"));
    exhausted(&fleet, "db-1").await;
    let incident = incidents(&fleet, "").await.remove(0);
    assert_eq!(incident.silenced_by, Some(silence.id));
    let dispatcher = Dispatcher::new(Arc::clone(&fleet.started.app));
    dispatcher.activate().await.unwrap();
    let quiet: Page<NotificationView> = get(&fleet, "/api/v1/notifications").await;
    assert!(quiet.items.is_empty(), "{quiet:#?}");

    let token = fleet.token(Role::Operator).await;
    let path = fleet.url(&format!("/api/v1/silences/{}", silence.id));
    let ended = client()
        .delete(path)
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    for _ in 0..3 {
        // Another controller beside it queues nothing twice.
        dispatcher.activate().await.unwrap();
    }
    let told: Page<NotificationView> = get(&fleet, "/api/v1/notifications?receiver=hook").await;
    let [message] = told.items.as_slice() else {
        panic!("one message: {told:#?}");
    };
    assert_eq!(message.incidents, [incident.id]);
    let subject = message.subject.as_deref().unwrap();
    assert!(
        subject.starts_with("[critical] db-1: TCP ports are exhausted"),
        "{subject}"
    );
    let receivers: Page<ReceiverView> = get(&fleet, "/api/v1/receivers").await;
    let receiver = &receivers.items[0];
    assert_eq!((receiver.pending, receiver.routes), (1, 1), "{receiver:#?}");
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_told_as_what_it_is() {
    let fleet = MadeUp::start_with(nobody()).await;
    let tested = post(&fleet, "/api/v1/receivers/hook/test", json!({})).await;
    let tested: Value = tested.json().await.unwrap();
    assert_eq!(tested["delivered"], false);
    assert!(
        tested["error"].as_str().unwrap().contains("connect"),
        "{tested}"
    );
    let unknown = post(&fleet, "/api/v1/receivers/hok/test", json!({})).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(unknown.text().await.unwrap().contains("there are: hook"));
}

#[tokio::test]
async fn the_pages_show_incidents_and_take_forms_and_hostile_names_stay_text() {
    let fleet = MadeUp::start_with(nobody()).await;
    let hostile = "<script>alert(1)</script>\"'><img src=x>";
    exhausted(&fleet, hostile).await;
    let id = incidents(&fleet, "").await[0].id;
    let operator = fleet.token(Role::Operator).await;
    let send = async |path: &str, form: Option<&str>| {
        let request = match form {
            None => client().get(fleet.url(path)),
            Some(form) => client()
                .post(fleet.url(path))
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form.to_owned()),
        };
        let answer = request.bearer_auth(&operator).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let page = format!("/incidents/{id}");
    for form in ["do=acknowledge&text=", "do=note&text=looked+at+%3Cb%3Eit"] {
        assert_eq!(send(&page, Some(form)).await.0, 303, "{form}");
    }
    let silence = "matchers=host%3Dweb-*&duration=2h&reason=a+drill";
    assert_eq!(send("/silences", Some(silence)).await.0, 303);
    let (_, tested) = send("/notifications/test", Some("receiver=hook")).await;
    assert!(
        tested.contains("hook did not take the test message"),
        "{tested}"
    );
    assert_eq!(send(&page, Some("do=nonsense")).await.0, 400);
    for (path, shown) in [
        ("/incidents", "acknowledged"),
        ("/incidents?state=all", "acknowledged"),
        (&*page, "looked at &#60;b&#62;it"),
        ("/notifications", "host=web-*"),
    ] {
        let (status, html) = send(path, None).await;
        assert_eq!(status, 200, "{path}");
        assert!(html.contains(shown), "{path}: {html}");
        assert!(
            !html.contains("<script>") && !html.contains("<img src=x"),
            "{path}"
        );
        assert!(
            !html.contains(" style=") && !html.contains(" onclick="),
            "{path}"
        );
    }
    // Who may only look gets no buttons.
    let viewer = fleet.token(Role::Viewer).await;
    let looked = client()
        .get(fleet.url(&page))
        .bearer_auth(viewer)
        .send()
        .await;
    assert!(
        !looked
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("method=\"post\" action=\"/incidents")
    );
}
