//! Policies as operators apply them: versions, roles, what they would have done, and what is wrong with one.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tidemark_model::Role;
use tidemark_model::view::{Page, PoliciesApplied, PolicyDetail, PolicyReplay, PolicyView};

use crate::api::client;
use crate::made_up::{CAPACITY, MadeUp, sample};

async fn ask(fleet: &MadeUp, role: Role, what: (Method, &str), body: Option<Value>) -> Response {
    let token = fleet.token(role).await;
    let url = fleet.url(what.1);
    let mut request = client().request(what.0, url).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.unwrap()
}

async fn get<T: serde::de::DeserializeOwned>(fleet: &MadeUp, path: &str) -> T {
    let answer = ask(fleet, Role::Viewer, (Method::GET, path), None).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.json().await.unwrap()
}

async fn apply(fleet: &MadeUp, query: &str, policies: Value) -> PoliciesApplied {
    let path = format!("/api/v1/policies{query}");
    let body = Some(json!({ "policy": policies }));
    let answer = ask(fleet, Role::Operator, (Method::PUT, &path), body).await;
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn refused(fleet: &MadeUp, role: Role, policies: Value) -> (StatusCode, String) {
    let body = Some(json!({ "policy": policies }));
    let answer = ask(fleet, role, (Method::PUT, "/api/v1/policies"), body).await;
    (answer.status(), answer.text().await.unwrap())
}

fn full(hold: &str) -> Value {
    json!([{
        "name": "full", "hosts": ["tier=web"], "condition": {"level": 90}, "for": hold,
        "ladder": [{"action": "restart_service", "with": ["service=W3SVC"]}],
    }])
}

#[tokio::test]
async fn every_version_is_kept_with_who_applied_it_and_nothing_changes_without_a_change() {
    let fleet = MadeUp::start().await;
    for (hold, outcome, version) in [
        ("5m", "created", 1),
        ("5m", "unchanged", 1),
        ("6m", "changed", 2),
    ] {
        let applied = apply(&fleet, "", full(hold)).await;
        let change = &applied.policies[0];
        assert_eq!((&*change.outcome, change.version), (outcome, version));
    }
    let would = apply(&fleet, "?dry_run=true", full("7m")).await;
    assert_eq!(would.policies[0].version, 3);
    assert!(
        would.policies[0]
            .differences
            .contains(&"- for = \"6m\"".to_owned())
    );
    let detail: PolicyDetail = get(&fleet, "/api/v1/policies/full").await;
    let policy = detail.policy.unwrap();
    assert_eq!((policy.version, &*policy.spec.hold), (2, "6m"));
    assert_eq!((&*policy.state, &*policy.applied_by), ("idle", "test"));
    assert_eq!(detail.versions.len(), 2);
    let path = "/api/v1/policies/full";
    let deleted = ask(&fleet, Role::Operator, (Method::DELETE, path), None).await;
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let detail: PolicyDetail = get(&fleet, path).await;
    assert_eq!((detail.policy, detail.versions.len()), (None, 3));
    let none: Page<PolicyView> = get(&fleet, "/api/v1/policies").await;
    assert!(none.items.is_empty());
    let again = ask(&fleet, Role::Operator, (Method::DELETE, path), None).await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_approves_in_advance_is_applied_by_an_approver() {
    let fleet = MadeUp::start().await;
    let mut policy = full("5m");
    policy[0]["approval"] = json!("by_policy");
    let (status, text) = refused(&fleet, Role::Operator, policy.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("takes the role approver"), "{text}");
    let (status, text) = refused(&fleet, Role::Approver, policy.clone()).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    // What an approver applied, an operator may leave as it is.
    let same = apply(&fleet, "", policy).await;
    assert_eq!(same.policies[0].outcome, "unchanged");
}

#[tokio::test]
async fn what_is_wrong_is_told_at_once_and_nothing_is_applied() {
    let fleet = MadeUp::start().await;
    let mut policies = full("9d");
    let mut other = full("5m")[0].clone();
    other["name"] = json!("other");
    other["ladder"][0]["with"] = json!(["service="]);
    policies.as_array_mut().unwrap().push(other);
    let (status, text) = refused(&fleet, Role::Operator, policies).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    for part in [
        "policy \\\"full\\\": for is",
        "policy \\\"other\\\": ladder[0].with: service",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut policy = full("5m");
    policy[0]["condition"] = json!({"budget": "nothing"});
    let (status, text) = refused(&fleet, Role::Operator, policy).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("there is no budget"), "{text}");
    let none: Page<PolicyView> = get(&fleet, "/api/v1/policies").await;
    assert!(none.items.is_empty());
}

#[tokio::test]
async fn a_dry_run_says_when_it_would_have_fired_or_that_nobody_can_tell() {
    let fleet = MadeUp::start().await;
    let labels = BTreeMap::from([("tier".to_owned(), "web".to_owned())]);
    let id = fleet
        .host_with("web-1", "Windows Server 2019", labels)
        .await;
    fleet.connect(id);
    let now = fleet.started.app.clock.now();
    // Full for half an hour twice, three hours ago and one hour ago.
    let samples = (0..480_u64).rev().map(|ago| {
        let at = now.saturating_sub(Duration::from_secs(30 * ago));
        let minutes = ago / 2;
        let is_full = (150..180).contains(&minutes) || (30..60).contains(&minutes);
        sample(at, if is_full { CAPACITY * 95 / 100 } else { 1_000 }, 0)
    });
    fleet.deliver(id, samples.collect()).await;
    let would = apply(&fleet, "?dry_run=true", full("10m")).await;
    let change = &would.policies[0];
    assert_eq!((change.hosts, change.hosts_without_window), (1, 1));
    let replay = change.replay.as_ref().unwrap();
    assert_eq!((replay.fired, replay.hosts, &replay.unknown), (2, 1, &None));
    let firing = &replay.firings[0];
    assert_eq!(firing.host_name, "web-1");
    let ago_ms = now.unix_ms() - firing.fired_ms;
    let minutes = ago_ms / 60_000;
    assert!((160..=172).contains(&minutes), "{minutes} minutes ago");

    let mut policy = full("10m");
    policy[0]["condition"] = json!({"finding": "bound_leak"});
    apply(&fleet, "", policy).await;
    let path = "/api/v1/policies/full/dry-run?days=7";
    let answer = ask(&fleet, Role::Operator, (Method::POST, path), None).await;
    let replay: PolicyReplay = answer.json().await.unwrap();
    assert_eq!(replay.fired, 0);
    assert!(replay.unknown.unwrap().contains("bound_leak is found"));
    for (path, status) in [
        (
            "/api/v1/policies/full/dry-run?days=91",
            StatusCode::BAD_REQUEST,
        ),
        ("/api/v1/policies/nothing/dry-run", StatusCode::NOT_FOUND),
    ] {
        let answer = ask(&fleet, Role::Operator, (Method::POST, path), None).await;
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn an_event_is_replayed_from_what_hosts_told() {
    let fleet = MadeUp::start().await;
    let labels = BTreeMap::from([("tier".to_owned(), "web".to_owned())]);
    let id = fleet
        .host_with("web-1", "Windows Server 2019", labels)
        .await;
    let app = &fleet.started.app;
    let hit = |minutes_ago: u64| tidemark_model::sample::EventHit {
        at: app
            .clock
            .now()
            .saturating_sub(Duration::from_secs(60 * minutes_ago)),
        source: "Tcpip".into(),
        code: 4231,
        count: 1,
        text: "no port".into(),
        log: None,
    };
    let hits = [hit(300), hit(299), hit(20)];
    let events: Vec<_> = hits
        .iter()
        .map(|hit| tidemark_store::NewEvent {
            host: id,
            at: hit.at,
            hit,
        })
        .collect();
    let mut tx = app.store.begin().await.unwrap();
    tx.events_append(&events).await.unwrap();
    tx.commit().await.unwrap();
    let mut policy = full("0s");
    policy[0]["condition"] = json!({"event": "Tcpip/4231"});
    let would = apply(&fleet, "?dry_run=true", policy).await;
    let replay = would.policies[0].replay.as_ref().unwrap();
    assert_eq!(replay.fired, 2, "{replay:#?}");
}

#[tokio::test]
async fn the_page_shows_policies_and_what_they_do() {
    let fleet = MadeUp::start().await;
    let page = async || {
        let answer = ask(&fleet, Role::Viewer, (Method::GET, "/policies"), None).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.text().await.unwrap()
    };
    assert!(page().await.contains("No policy yet"));
    let mut policy = full("5m");
    policy[0]["description"] = json!("<b>restart</b>");
    apply(&fleet, "", policy).await;
    let html = page().await;
    for part in [
        "90 % of tcp ports are in use",
        "restart_service service=W3SVC",
        "at once, as written, people approve",
        "&#60;b&#62;restart",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
}
