//! Incidents, silences and receivers at the command line.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{delete, get, post};
use insta::assert_snapshot;
use serde::Serialize;
use tidemark_model::view::{
    IncidentDetail, IncidentHost, IncidentView, NoteRequest, NotificationView, Page, ReceiverTest,
    ReceiverView, SilenceRequest, SilenceView, TimelineView,
};

use crate::controller::Controller;
use crate::fixtures::{HOSTILE, HOUR, MINUTE, NOW};

/// What the canned controller serves of incidents.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/api/v1/incidents", get(async || page(incidents())))
        .route("/api/v1/incidents/{id}", get(async || Json(detail())))
        .route("/api/v1/incidents/{id}/{deed}", post(act))
        .route(
            "/api/v1/silences",
            get(async || page(silences())).post(silence),
        )
        .route(
            "/api/v1/silences/{id}",
            delete(async || StatusCode::NO_CONTENT),
        )
        .route("/api/v1/receivers", get(async || page(receivers())))
        .route("/api/v1/receivers/{name}/test", post(test))
        .route("/api/v1/notifications", get(async || page(notifications())))
}

fn page<T: Serialize>(items: Vec<T>) -> Json<Page<T>> {
    Json(Page {
        items,
        next_cursor: None,
    })
}

async fn act(Path((id, deed)): Path<(i64, String)>, body: Bytes) -> Json<IncidentView> {
    let note: NoteRequest = serde_json::from_slice(&body).unwrap();
    let mut incident = incidents().remove(0);
    incident.id = id;
    incident.state = deed;
    incident.title = note.text;
    Json(incident)
}

async fn silence(body: Bytes) -> (StatusCode, Json<SilenceView>) {
    let wanted: SilenceRequest = serde_json::from_slice(&body).unwrap();
    let made = SilenceView {
        id: 9,
        matchers: wanted.matchers,
        scope: None,
        state: "active".to_owned(),
        starts_ms: NOW,
        ends_ms: NOW + i64::try_from(wanted.duration_s).unwrap() * 1_000,
        author: "ann".to_owned(),
        reason: wanted.reason,
        created_ms: NOW,
    };
    (StatusCode::CREATED, Json(made))
}

async fn test(Path(receiver): Path<String>) -> Json<ReceiverTest> {
    let delivered = receiver == "good";
    Json(ReceiverTest {
        receiver,
        delivered,
        error: (!delivered).then(|| "it answers 400: no".to_owned()),
    })
}

fn incident(id: i64, severity: &str) -> IncidentView {
    IncidentView {
        id,
        fingerprint: "0f".repeat(16),
        state: "open".to_owned(),
        severity: severity.to_owned(),
        kind: "leak".to_owned(),
        title: "web-1: TCP ports run out Mon 23 Nov 2026 05:10 UTC (w3wp.exe)".to_owned(),
        sentence: "web-1: w3wp.exe takes TCP ports and does not give them back.".to_owned(),
        hosts: vec![IncidentHost {
            id: "a".repeat(32),
            name: Some("web-1".to_owned()),
        }],
        host_count: 1,
        hosts_hidden: 0,
        labels: BTreeMap::from([("tier".to_owned(), "we".to_owned())]),
        culprit: Some("w3wp.exe".to_owned()),
        evidence: vec!["14,310 of 16,384 ports are in use".to_owned()],
        advice: vec!["Restart w3wp.exe before the ports run out".to_owned()],
        runbook: "/docs/runbooks/leak.html".to_owned(),
        since_ms: NOW - 25 * MINUTE,
        opened_ms: NOW - 20 * MINUTE,
        seen_ms: NOW,
        eta_ms: Some(NOW + 2 * HOUR + 10 * MINUTE),
        eta_lo_ms: Some(NOW + 2 * HOUR),
        eta_hi_ms: None,
        confidence: None,
        acknowledged_by: None,
        acknowledged_ms: None,
        clear_since_ms: None,
        resolved_ms: None,
        resolution: None,
        reopened: 0,
        silenced_by: None,
        silenced_by_window: None,
        window: None,
    }
}

fn incidents() -> Vec<IncidentView> {
    let mut hostile = incident(7, "warning");
    hostile.title = format!("{HOSTILE}: TCP ports run out");
    hostile.state = "acknowledged".to_owned();
    hostile.acknowledged_by = Some("ann".to_owned());
    hostile.silenced_by = Some(3);
    let mut over = incident(5, "critical");
    over.state = "resolved".to_owned();
    over.resolved_ms = Some(NOW - HOUR);
    vec![incident(8, "critical"), hostile, over]
}

fn detail() -> IncidentDetail {
    let line = |minutes: i64, kind: &str, host: Option<&str>, text: &str| TimelineView {
        at_ms: NOW - minutes * MINUTE,
        kind: kind.to_owned(),
        by: None,
        host: host.map(str::to_owned),
        text: text.to_owned(),
    };
    IncidentDetail {
        incident: incident(8, "critical"),
        timeline: vec![
            line(31, "host_rebooted", Some("web-1"), "boot id changed"),
            line(20, "opened", None, "opened as warning"),
            line(5, "notified", None, "pager was told: open"),
        ],
        proposals: vec![],
    }
}

fn silences() -> Vec<SilenceView> {
    vec![SilenceView {
        id: 3,
        matchers: vec!["host=web-*".to_owned(), "culprit!=java".to_owned()],
        scope: None,
        state: "active".to_owned(),
        starts_ms: NOW - HOUR,
        ends_ms: NOW + HOUR,
        author: "ann".to_owned(),
        reason: "patch night".to_owned(),
        created_ms: NOW - HOUR,
    }]
}

fn receivers() -> Vec<ReceiverView> {
    vec![ReceiverView {
        name: "pager".to_owned(),
        kind: "pagerduty".to_owned(),
        routes: 1,
        pending: 2,
        delivered: 40,
        failed: 0,
        last_delivered_ms: Some(NOW - 3 * MINUTE),
        last_error: Some("it answers 503 Service Unavailable: ".to_owned()),
    }]
}

fn notifications() -> Vec<NotificationView> {
    vec![NotificationView {
        id: 12,
        receiver: "pager".to_owned(),
        subject: Some("[critical] web-1: TCP ports run out".to_owned()),
        incidents: vec![8],
        key: "k".to_owned(),
        state: "pending".to_owned(),
        attempts: 3,
        last_error: Some("it answers 503".to_owned()),
        created_ms: NOW - 2 * MINUTE,
        next_try_ms: Some(NOW + MINUTE),
        ended_ms: None,
    }]
}

#[test]
fn incidents_are_a_table_and_by_default_those_that_are_not_over() {
    let controller = Controller::start();
    assert_snapshot!(controller.stdout(&["get", "incidents"]));
    let asked = controller.parameters("incidents");
    assert!(
        asked.contains(&("state".to_owned(), "active".to_owned())),
        "{asked:?}"
    );
    controller.stdout(&[
        "get",
        "incidents",
        "--state",
        "all",
        "--severity",
        "critical",
        "--host",
        "web-1",
    ]);
    let asked = controller.parameters("incidents");
    assert!(!asked.iter().any(|(name, _)| name == "state"), "{asked:?}");
    assert!(
        asked.contains(&("severity".to_owned(), "critical".to_owned())),
        "{asked:?}"
    );
}

#[test]
fn incidents_as_json_have_the_names_of_the_api() {
    let text = Controller::start().stdout(&["get", "incidents", "-o", "json"]);
    let read: Vec<IncidentView> = serde_json::from_str(&text).unwrap();
    assert_eq!(read, incidents());
    let csv = Controller::start().stdout(&["get", "incidents", "-o", "csv"]);
    assert!(csv.contains(&format!("'{HOSTILE}")), "{csv}");
}

#[test]
fn an_incident_is_described_with_its_time_line() {
    let controller = Controller::start();
    let text = controller.stdout(&["describe", "incident", "8"]);
    assert_snapshot!(text.replace(&controller.url(), "http://ADDRESS"));
}

#[test]
fn what_an_operator_does_to_an_incident_goes_with_its_words() {
    let controller = Controller::start();
    for (verb, path) in [
        ("ack", "POST /api/v1/incidents/8/acknowledge"),
        ("resolve", "POST /api/v1/incidents/8/resolve"),
        ("note", "POST /api/v1/incidents/8/note"),
    ] {
        let said = controller.stdout(&["incident", verb, "8", "restarted", "IIS"]);
        assert!(said.contains("restarted IIS"), "{said}");
        assert_eq!(controller.requests().last().unwrap(), path);
    }
    assert_eq!(controller.run(&["incident", "note", "8"]).code, Some(2));
}

#[test]
fn silences_are_made_listed_and_ended() {
    let controller = Controller::start();
    assert_snapshot!(controller.stdout(&["silence", "list"]));
    let made = controller.stdout(&[
        "silence",
        "add",
        "--for",
        "2h",
        "--reason",
        "a drill",
        "host=web-*",
    ]);
    assert!(
        made.contains("in 2 h") && made.contains("host=web-*"),
        "{made}"
    );
    assert_eq!(
        controller.stdout(&["silence", "remove", "3"]),
        "ended silence 3\n"
    );
    let without = controller.run(&["silence", "add", "--for", "2h", "host=x"]);
    assert_eq!(without.code, Some(2), "a silence needs a reason");
}

#[test]
fn receivers_and_messages_show_what_does_not_arrive() {
    let controller = Controller::start();
    assert_snapshot!(controller.stdout(&["get", "receivers"]));
    assert_snapshot!(controller.stdout(&["get", "notifications", "--state", "pending"]));
    assert_eq!(
        controller.stdout(&["notify", "test", "good"]),
        "good took the test message\n"
    );
    let refused = controller.run(&["notify", "test", "bad"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("it answers 400: no"),
        "{}",
        refused.stderr
    );
}
