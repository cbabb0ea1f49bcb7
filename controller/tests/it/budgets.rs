//! Budgets as operators apply them, and how hosts' samples stand to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tidemark_controller::incidents::reconcile::Reconciler;
use tidemark_controller::tasks::budgets::BudgetWatch;
use tidemark_model::view::{
    BudgetDetail, BudgetStanding, BudgetView, BudgetsApplied, IncidentView, Page,
};
use tidemark_model::{HostId, Role};

use crate::api::client;
use crate::made_up::{MadeUp, sample};

async fn ask(fleet: &MadeUp, method: Method, path: &str, body: Option<Value>) -> Response {
    let token = fleet.token(Role::Operator).await;
    let mut request = client().request(method, fleet.url(path)).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.unwrap()
}

async fn get<T: serde::de::DeserializeOwned>(fleet: &MadeUp, path: &str) -> T {
    let answer = ask(fleet, Method::GET, path, None).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.json().await.unwrap()
}

async fn apply(fleet: &MadeUp, query: &str, budgets: Value) -> BudgetsApplied {
    let path = format!("/api/v1/budgets{query}");
    let answer = ask(
        fleet,
        Method::PUT,
        &path,
        Some(json!({ "budget": budgets })),
    )
    .await;
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn web(ports: u32, hold: &str) -> Value {
    json!([{
        "name": "iis", "hosts": ["tier=web"], "service": "W3SVC", "allow": {"ports": ports}, "for": hold,
        "severity": "critical", "advice": "recycle the pool",
    }])
}

/// An online host with that label, and `strong` ports in use, four fifths of them IIS's.
async fn host(fleet: &MadeUp, name: &str, tier: &str, strong: u32) -> HostId {
    let labels = BTreeMap::from([("tier".to_owned(), tier.to_owned())]);
    let id = fleet.host_with(name, "Windows Server 2019", labels).await;
    fleet.connect(id);
    deliver(fleet, id, strong).await;
    id
}

/// The host's next sample, and what the controller makes of it.
async fn deliver(fleet: &MadeUp, id: HostId, strong: u32) {
    let now = fleet.started.app.clock.now();
    fleet.deliver(id, vec![sample(now, strong, 0)]).await;
    let app = Arc::clone(&fleet.started.app);
    BudgetWatch::new(Arc::clone(&app)).activate().await.unwrap();
    Reconciler::new(app).activate().await.unwrap();
}

async fn incidents(fleet: &MadeUp) -> Vec<IncidentView> {
    let page: Page<IncidentView> = get(fleet, "/api/v1/incidents").await;
    page.items
}

async fn standings(fleet: &MadeUp, host: &str) -> Vec<BudgetStanding> {
    let page: Page<BudgetStanding> = get(fleet, &format!("/api/v1/hosts/{host}/budgets")).await;
    page.items
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_who_is_over_and_stores_nothing() {
    let fleet = MadeUp::start().await;
    host(&fleet, "web-1", "web", 1_000).await;
    host(&fleet, "web-2", "web", 100).await;
    host(&fleet, "db-1", "db", 1_000).await;
    let would = apply(&fleet, "?dry_run=true", web(500, "10m")).await;
    assert!(would.dry_run);
    let [change] = would.budgets.as_slice() else {
        panic!("one budget: {would:#?}");
    };
    assert_eq!((&*change.outcome, change.version), ("created", 1));
    assert!(change.differences.contains(&"+ for = \"10m\"".to_owned()));
    let counts = change.counts;
    // 80 of 100 ports are IIS's for sure, 20 more belong to processes that are not named.
    assert_eq!((counts.over, counts.within, counts.unknown), (1, 1, 0));
    let [over] = change.over.as_slice() else {
        panic!("one host is over: {change:#?}");
    };
    assert_eq!(over.host_name, "web-1");
    assert_eq!(over.culprit.as_deref(), Some("w3wp.exe"));
    let limit = &over.limits[0];
    assert_eq!((limit.used, limit.used_max), (Some(800), Some(900)));
    assert_eq!((&*limit.state, limit.allowed), ("over", Some(500)));
    let none: Page<BudgetView> = get(&fleet, "/api/v1/budgets").await;
    assert!(none.items.is_empty());
}

#[tokio::test]
async fn every_version_is_kept_with_who_applied_it_and_nothing_changes_without_a_change() {
    let fleet = MadeUp::start().await;
    for (ports, outcome, version) in [
        (500, "created", 1),
        (500, "unchanged", 1),
        (600, "changed", 2),
    ] {
        let applied = apply(&fleet, "", web(ports, "10m")).await;
        let change = &applied.budgets[0];
        assert_eq!((&*change.outcome, change.version), (outcome, version));
        if outcome == "changed" {
            let lines = ["- allow = {\"ports\":500}", "+ allow = {\"ports\":600}"];
            assert_eq!(change.differences, lines);
        }
    }
    let detail: BudgetDetail = get(&fleet, "/api/v1/budgets/iis").await;
    assert_eq!(
        (detail.budget.version, &*detail.budget.applied_by),
        (2, "test")
    );
    let deleted = ask(&fleet, Method::DELETE, "/api/v1/budgets/iis", None).await;
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let gone = ask(&fleet, Method::GET, "/api/v1/budgets/iis", None).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    let again = ask(&fleet, Method::DELETE, "/api/v1/budgets/iis", None).await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    apply(&fleet, "", web(700, "10m")).await;
    let detail: BudgetDetail = get(&fleet, "/api/v1/budgets/iis").await;
    let versions: Vec<_> = detail
        .versions
        .iter()
        .map(|version| (version.version, &*version.by, version.spec.is_some()))
        .collect();
    assert_eq!(
        versions,
        [
            (4, "test", true),
            (3, "test", false),
            (2, "test", true),
            (1, "test", true)
        ]
    );
}

#[tokio::test]
async fn budgets_are_applied_together_or_not_at_all_and_survive_a_restart() {
    let fleet = MadeUp::start().await;
    let good = web(500, "10m")[0].clone();
    let bad = json!({"name": "b", "process": "x", "allow": {"port": 1}, "for": "soon"});
    let body = json!({"budget": [good, bad]});
    let refused = ask(&fleet, Method::PUT, "/api/v1/budgets", Some(body)).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let text = refused.text().await.unwrap();
    assert!(
        text.contains("allow.") && text.contains("for must be a duration"),
        "{text}"
    );
    let none: Page<BudgetView> = get(&fleet, "/api/v1/budgets").await;
    assert!(none.items.is_empty());
    apply(&fleet, "", json!([good])).await;
    let fleet = fleet.restart().await;
    let kept: Page<BudgetView> = get(&fleet, "/api/v1/budgets").await;
    assert_eq!(kept.items.len(), 1);
    assert_eq!(
        serde_json::to_value(&kept.items[0].spec).unwrap()["allow"],
        good["allow"]
    );
}

#[tokio::test]
async fn an_exceeded_budget_is_an_incident_until_less_is_held() {
    let fleet = MadeUp::start().await;
    let id = host(&fleet, "web-1", "web", 1_000).await;
    apply(&fleet, "", web(500, "0s")).await;
    deliver(&fleet, id, 1_000).await;
    let all = incidents(&fleet).await;
    let [incident] = all.as_slice() else {
        panic!("one incident: {all:#?}");
    };
    assert_eq!(
        (&*incident.kind, &*incident.severity),
        ("budget", "critical")
    );
    assert_eq!(
        incident.title,
        "web-1: service W3SVC holds more than the budget iis allows"
    );
    assert_eq!(
        incident.evidence,
        ["at least 800 ports are held, 500 are allowed, in tcp/default"]
    );
    assert_eq!(incident.advice[0], "recycle the pool");
    for (label, value) in [("budget", "iis"), ("tier", "web"), ("protocol", "tcp")] {
        assert_eq!(incident.labels.get(label).map(String::as_str), Some(value));
    }
    let [standing] = &standings(&fleet, "web-1").await[..] else {
        panic!("one standing");
    };
    assert_eq!(standing.state, "exceeded");
    assert!(standing.over_since_ms.is_some());
    deliver(&fleet, id, 300).await;
    let [incident] = &incidents(&fleet).await[..] else {
        panic!("one incident");
    };
    assert!(
        incident.clear_since_ms.is_some(),
        "it is seen to end: {incident:#?}"
    );
    assert_eq!(standings(&fleet, "web-1").await[0].state, "within");
}

#[tokio::test]
async fn an_excess_that_may_last_is_no_incident_yet() {
    let fleet = MadeUp::start().await;
    apply(&fleet, "", web(500, "1h")).await;
    let id = host(&fleet, "web-1", "web", 1_000).await;
    deliver(&fleet, id, 1_000).await;
    assert_eq!(standings(&fleet, "web-1").await[0].state, "over");
    assert!(incidents(&fleet).await.is_empty());
    let list: Page<BudgetView> = get(&fleet, "/api/v1/budgets").await;
    let counts = list.items[0].counts;
    assert_eq!((counts.over, counts.exceeded), (1, 0));
}

#[tokio::test]
async fn what_nobody_can_tell_is_unknown_and_never_within() {
    let fleet = MadeUp::start().await;
    // 400 of the 500 ports of processes that are only summed might be IIS's.
    apply(&fleet, "", web(4_300, "0s")).await;
    let id = host(&fleet, "web-1", "web", 5_000).await;
    let standing = &standings(&fleet, "web-1").await[0];
    assert_eq!(standing.state, "unknown");
    assert!(standing.why_unknown.as_deref().unwrap().contains("summed"));
    assert!(incidents(&fleet).await.is_empty());
    deliver(&fleet, id, 100).await;
    assert_eq!(standings(&fleet, "web-1").await[0].state, "within");
    // A host that is silent says nothing any more.
    fleet.started.app.live.cut_session(id);
    let standing = &standings(&fleet, "web-1").await[0];
    assert_eq!(standing.state, "unknown");
    assert_eq!(standing.why_unknown.as_deref(), Some("the host is offline"));
    let silent = fleet
        .host_with(
            "web-2",
            "Linux",
            BTreeMap::from([("tier".to_owned(), "web".to_owned())]),
        )
        .await;
    fleet.connect(silent);
    let standing = &standings(&fleet, "web-2").await[0];
    assert_eq!((&*standing.state, standing.limits.len()), ("unknown", 0));
}

#[tokio::test]
async fn the_hosts_page_shows_what_is_used_and_allowed_without_trusting_names() {
    let fleet = MadeUp::start().await;
    let hostile = json!([{
        "name": "evil", "process": "<script>alert(1)</script>*", "allow": {"ports": "25%"}, "namespace": "*",
    }]);
    apply(&fleet, "", hostile).await;
    apply(&fleet, "", web(500, "1h")).await;
    let id = host(&fleet, "web-1", "web", 1_000).await;
    let page = ask(&fleet, Method::GET, &format!("/hosts/{id}"), None).await;
    let page = page.text().await.unwrap();
    for part in [
        "<h2>Budgets</h2>",
        "800 to 900",
        ">500<",
        ">4,096<",
        "service W3SVC",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<script>alert"));
}

#[tokio::test]
async fn what_budgets_do_is_noted_and_counted() {
    let fleet = MadeUp::start().await;
    host(&fleet, "web-1", "web", 1_000).await;
    apply(&fleet, "", web(500, "1h")).await;
    let app = Arc::clone(&fleet.started.app);
    BudgetWatch::new(Arc::clone(&app)).activate().await.unwrap();
    let metrics = app.metrics.exposition();
    for line in ["tidemark_budgets 1", "tidemark_budget_spaces_over 1"] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let events: Value = get(&fleet, "/api/v1/events?kind=budget_applied").await;
        if events["items"][0]["text"] == "test created the budget iis (version 1)" {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{events}");
        tokio::task::yield_now().await;
    }
}
