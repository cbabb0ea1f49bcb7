//! The API's answers: hosts, tokens, history, problems.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tidemark_model::Role;
use tidemark_model::view::{
    EventView, HistoryView, HostDetail, HostView, JoinTokenCreated, JoinTokenView, Page, Problem,
    StatusView,
};

use crate::made_up::{MadeUp, sample};

pub fn client() -> Client {
    tidemark_runtime::tls::install_crypto_provider();
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

async fn get(fleet: &MadeUp, token: &str, path: &str) -> Response {
    let request = client().get(fleet.url(path)).bearer_auth(token);
    request.send().await.unwrap()
}

async fn problem(response: Response) -> Problem {
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let status = response.status();
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status.as_u16());
    problem
}

#[tokio::test]
async fn hosts_are_listed_by_name_filtered_and_paged() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    for (name, tier) in [("web-2", "we"), ("Web-1", "we"), ("db-1", "db")] {
        let labels = BTreeMap::from([("tier".to_owned(), tier.to_owned())]);
        let id = fleet.host_with(name, "Linux", labels).await;
        if name == "db-1" {
            fleet.connect(id);
        }
    }
    let names = async |path: &str| -> (Vec<String>, Option<String>) {
        let page: Page<HostView> = get(&fleet, &token, path).await.json().await.unwrap();
        let names = page.items.into_iter().map(|host| host.name).collect();
        (names, page.next_cursor)
    };
    assert_eq!(names("/api/v1/hosts").await.0, ["db-1", "Web-1", "web-2"]);
    assert_eq!(names("/api/v1/hosts?text=WEB").await.0, ["Web-1", "web-2"]);
    assert_eq!(names("/api/v1/hosts?state=online").await.0, ["db-1"]);
    assert_eq!(
        names("/api/v1/hosts?label=tier%3Dwe").await.0,
        ["Web-1", "web-2"]
    );
    let (first, cursor) = names("/api/v1/hosts?limit=2").await;
    assert_eq!(first, ["db-1", "Web-1"]);
    let next = format!("/api/v1/hosts?limit=2&cursor={}", cursor.unwrap());
    assert_eq!(names(&next).await, (vec!["web-2".to_owned()], None));
}

#[tokio::test]
async fn a_host_is_found_by_id_or_name_and_an_ambiguous_name_is_answered_with_the_ids() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    let twins = [fleet.host("twin").await, fleet.host("twin").await];
    let single = fleet.host("a/b c").await;
    let detail: HostDetail = get(&fleet, &token, "/api/v1/hosts/a%2Fb%20c")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(detail.host.id, single.to_string());
    let by_id = get(&fleet, &token, &format!("/api/v1/hosts/{}", twins[0])).await;
    assert_eq!(by_id.status(), StatusCode::OK);
    let ambiguous = get(&fleet, &token, "/api/v1/hosts/twin").await;
    assert_eq!(ambiguous.status(), StatusCode::CONFLICT);
    let title = problem(ambiguous).await.title;
    assert!(
        twins.iter().all(|id| title.contains(&id.to_string())),
        "{title}"
    );
    let unknown = get(&fleet, &token, "/api/v1/hosts/nobody").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(problem(unknown).await.kind, "not_found");
}

#[tokio::test]
async fn a_revoked_host_loses_its_session_at_once() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let session = fleet.connect(id);
    let path = fleet.url("/api/v1/hosts/web-1/revoke");
    let admin = fleet.token(Role::Admin).await;
    let answer = client()
        .post(path)
        .bearer_auth(&admin)
        .send()
        .await
        .unwrap();
    let host: HostView = answer.json().await.unwrap();
    assert_eq!(host.state, "revoked");
    assert!(session.is_cancelled());
}

#[tokio::test]
async fn tokens_are_made_within_limits_listed_without_secret_and_ended() {
    let fleet = MadeUp::start().await;
    let admin = fleet.token(Role::Admin).await;
    let post = async |body: Value| {
        let request = client()
            .post(fleet.url("/api/v1/tokens"))
            .bearer_auth(&admin)
            .json(&body);
        request.send().await.unwrap()
    };
    let refused = post(json!({"ttl_s": 59, "uses": 0, "labels": {"a b": "x"}})).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let title = problem(refused).await.title;
    for part in [
        "ttl_s is 59; it must be 60 to 2592000",
        "uses is 0; it must be 1 to 100000",
        "\"a b\"",
    ] {
        assert!(title.contains(part), "{title}");
    }
    let unknown = post(json!({"ttl_s": 60, "uses": 1, "colour": "red"})).await;
    assert!(problem(unknown).await.title.contains("colour"));
    let made = post(json!({"ttl_s": 60, "uses": 2, "labels": {"site": "b"}})).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let made: JoinTokenCreated = made.json().await.unwrap();
    assert!(made.token.starts_with("tm1."));
    assert_eq!(made.controller, fleet.started.grpc.to_string());
    let listed = get(&fleet, &admin, "/api/v1/tokens")
        .await
        .text()
        .await
        .unwrap();
    let secret = made.token.split('.').nth(2).unwrap();
    assert!(listed.contains(&made.id) && !listed.contains(secret));
    let path = fleet.url(&format!("/api/v1/tokens/{}", made.id));
    let ended = client()
        .delete(path)
        .bearer_auth(&admin)
        .send()
        .await
        .unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    let page: Page<JoinTokenView> = get(&fleet, &admin, "/api/v1/tokens")
        .await
        .json()
        .await
        .unwrap();
    assert!(page.items[0].revoked);
}

#[tokio::test]
async fn history_is_answered_as_json_and_as_csv_and_compared() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    let id = fleet.host("=web").await;
    let now = fleet.started.app.clock.now();
    let start = now
        .saturating_sub(Duration::from_secs(600))
        .floor_to(60_000);
    let samples = (0..10).map(|minute: u32| {
        sample(
            start.saturating_add(Duration::from_secs(u64::from(minute) * 60)),
            100 + minute,
            5,
        )
    });
    fleet.deliver(id, samples.collect()).await;
    let (from, to) = (start.unix_ms(), start.unix_ms() + 300_000);
    let path = format!(
        "/api/v1/history?host={id}&metric=strong&from_ms={from}&to_ms={to}&step_ms=60000&agg=max"
    );
    let view: HistoryView = get(&fleet, &token, &path).await.json().await.unwrap();
    let values: Vec<_> = view.series[0]
        .points
        .iter()
        .map(|(_, value)| *value)
        .collect();
    assert_eq!(values, [100.0, 101.0, 102.0, 103.0, 104.0].map(Some));
    assert_eq!(view.series[0].host, Some(id.to_string()));

    let request = client()
        .get(fleet.url(&path))
        .bearer_auth(&token)
        .header("accept", "text/csv");
    let csv = request.send().await.unwrap().text().await.unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("time_ms,time,series,value"));
    let first = lines.next().unwrap();
    assert!(first.ends_with(",\"'=web\",100"), "{first}");

    let path = path.replace("history", "compare") + "&offset_ms=60000";
    let view: HistoryView = get(&fleet, &token, &path).await.json().await.unwrap();
    let before: Vec<_> = view.series[0]
        .points_before
        .as_ref()
        .unwrap()
        .iter()
        .map(|(_, value)| *value)
        .collect();
    assert_eq!(
        before,
        [None, Some(100.0), Some(101.0), Some(102.0), Some(103.0)]
    );
}

#[tokio::test]
async fn a_bad_question_is_answered_with_the_field_and_the_limit() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    let cases = [
        (
            "/api/v1/hosts?limit=1001",
            "limit is \"1001\"; it must be a whole number from 1 to 1000",
        ),
        (
            "/api/v1/hosts?state=fine",
            "one of online, stale, offline, quarantined, revoked",
        ),
        (
            "/api/v1/hosts?hots=1",
            "there is no parameter \"hots\" here",
        ),
        ("/api/v1/hosts?cursor=x", "cursor is \"x\""),
        ("/api/v1/history", "metric is missing"),
        ("/api/v1/history?metric=inuse", "in_use"),
        (
            "/api/v1/history?metric=in_use&agg=mean",
            "there is no aggregate `mean`",
        ),
        (
            "/api/v1/history?metric=in_use&from_ms=2&to_ms=1",
            "`from` must be before `to`",
        ),
        ("/api/v1/compare?metric=in_use", "offset_ms is missing"),
        ("/api/v1/events?kind=party", "host_enrolled"),
        (
            "/api/v1/history?metric=in_use&offset_ms=1",
            "there is no parameter \"offset_ms\"",
        ),
    ];
    for (path, part) in cases {
        let answer = get(&fleet, &token, path).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
        let title = problem(answer).await.title;
        assert!(title.contains(part), "{path}: {title}");
    }
}

#[tokio::test]
async fn events_go_back_page_by_page() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Admin).await;
    let id = fleet.host("web-1").await;
    fleet.started.app.revoke(id).await.unwrap();
    // The notice is durable with the commit of what comes after it.
    let other = fleet.host("web-2").await;
    let now = fleet.started.app.clock.now();
    fleet.deliver(other, vec![sample(now, 1, 1)]).await;
    let page: Page<EventView> = get(&fleet, &token, "/api/v1/events?host=web-1")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(page.items[0].kind, "host_revoked");
    assert_eq!(page.items[0].host_name.as_deref(), Some("web-1"));
    let first: Page<EventView> = get(&fleet, &token, "/api/v1/events?limit=1")
        .await
        .json()
        .await
        .unwrap();
    let path = format!(
        "/api/v1/events?limit=1&cursor={}",
        first.next_cursor.unwrap()
    );
    let second: Page<EventView> = get(&fleet, &token, &path).await.json().await.unwrap();
    assert!(second.items[0].id < first.items[0].id);
}

#[tokio::test]
async fn the_controller_says_how_it_is() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    fleet.host("web-1").await;
    let status: StatusView = get(&fleet, &token, "/api/v1/status")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(status.hosts.get("offline"), Some(&1));
    assert_eq!((&*status.database, status.database_ready), ("sqlite", true));
    for (path, part) in [
        ("/healthz", "ok"),
        ("/readyz", "ready"),
        ("/metrics", "tidemark_sessions 0"),
    ] {
        let answer = client().get(fleet.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert!(answer.text().await.unwrap().contains(part), "{path}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let fleet = MadeUp::start().await;
    let admin = fleet.token(Role::Admin).await;
    let request = client()
        .post(fleet.url("/api/v1/tokens"))
        .bearer_auth(&admin)
        .header("content-type", "application/json")
        .body(vec![b' '; 65 * 1_024]);
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
}
