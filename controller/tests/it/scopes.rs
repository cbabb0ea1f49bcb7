//! Callers who see a part of the fleet: what they are shown, what they can do, what they can give away.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tidemark_controller::access::Holder;
use tidemark_controller::api::reach::answers;
use tidemark_controller::api::routes::{Access, ROUTES};
use tidemark_model::view::{ApiTokenCreated, ApiTokenView, IncidentView, Page, SilenceView};
use tidemark_model::{HostId, HostScope, Role};

use crate::api::client;
use crate::made_up::{CAPACITY, MadeUp, sample};

pub async fn ask(
    fleet: &MadeUp,
    token: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Response {
    let request = client().request(method, fleet.url(path)).bearer_auth(token);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    request.send().await.unwrap()
}

#[tokio::test]
async fn nobody_makes_sees_or_ends_a_token_wider_than_their_own() {
    let fleet = MadeUp::start().await;
    let app = &fleet.started.app;
    let admin = fleet.scoped_token(Role::Admin, "team=pay").await;
    let path = "/api/v1/api-tokens";
    let make = async |scope: Value| {
        let body = json!({"name": "ann", "role": "viewer", "scope": scope});
        ask(&fleet, &admin, Method::POST, path, Some(body)).await
    };
    for wider in ["team=web", "team=p*", "env=prod"] {
        let refused = make(json!(wider)).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{wider}");
        let said = refused.text().await.unwrap();
        assert!(said.contains("every matcher of yours, team=pay"), "{said}");
    }
    for (asked, given) in [
        (json!("team=pay,env=prod"), "env=prod,team=pay"),
        (Value::Null, "team=pay"),
    ] {
        let made = make(asked).await;
        assert_eq!(made.status(), StatusCode::CREATED);
        let made: ApiTokenCreated = made.json().await.unwrap();
        assert_eq!(made.scope.as_deref(), Some(given));
    }
    let everybodys = Holder::of_all_hosts("all", Role::Viewer);
    let wide = app.make_api_key(everybodys, None).await.unwrap();
    fleet.scoped_token(Role::Viewer, "team=web").await;
    let listed = ask(&fleet, &admin, Method::GET, path, None).await;
    let listed: Page<ApiTokenView> = listed.json().await.unwrap();
    let scopes = listed.items.iter().map(|token| token.scope.as_deref());
    let mut scopes: Vec<_> = scopes.collect();
    scopes.sort_unstable();
    let own = Some("team=pay");
    assert_eq!(scopes, [Some("env=prod,team=pay"), own, own]);
    let one = format!("{path}?limit=1");
    let first: Page<ApiTokenView> = ask(&fleet, &admin, Method::GET, &one, None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!((first.items.len(), first.next_cursor.is_some()), (1, true));
    let end = async |id: &str| {
        let path = format!("{path}/{id}");
        let answer = ask(&fleet, &admin, Method::DELETE, &path, None).await;
        (answer.status(), answer.text().await.unwrap())
    };
    let (status, said) = end(&wide.id.to_string()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(end("nothing").await.1, said, "as if there were none");
    assert_eq!(end(&first.items[0].id).await.0, StatusCode::NO_CONTENT);
}

/// The name of the other team's host.
const CANARY: &str = "canary-9q7";

/// How long something may take to be seen; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(15);

/// A host of the team `pay` and one of another team that claims to be of that team; both are full. Their ids, and an incident of
/// each.
async fn two_teams(fleet: &MadeUp) -> ([HostId; 2], [i64; 2]) {
    let claims = BTreeMap::from([("team".to_owned(), "pay".to_owned())]);
    let own = fleet.host("pay-1").await;
    let other = fleet.host_with(CANARY, "Linux", claims).await;
    fleet.label(own, "team", "pay").await;
    fleet.label(other, "team", "web").await;
    for id in [own, other] {
        fleet.connect(id);
        let now = fleet.started.app.clock.now();
        fleet.deliver(id, vec![sample(now, CAPACITY, 0)]).await;
    }
    let admin = fleet.token(Role::Admin).await;
    let found = async {
        loop {
            let answer = ask(fleet, &admin, Method::GET, "/api/v1/incidents", None).await;
            let page: Page<IncidentView> = answer.json().await.unwrap();
            let of = |id: HostId| {
                let has =
                    |one: &&IncidentView| one.hosts.iter().any(|host| host.id == id.to_string());
                page.items.iter().find(has).map(|one| one.id)
            };
            if let (Some(one), Some(other)) = (of(own), of(other)) {
                return [one, other];
            }
            tokio::task::yield_now().await;
        }
    };
    let incidents = tokio::time::timeout(PATIENCE, found).await;
    ([own, other], incidents.expect("both are told"))
}

#[tokio::test]
async fn nothing_of_another_teams_host_is_in_any_answer() {
    let fleet = MadeUp::start().await;
    let ([own, other], incidents) = two_teams(&fleet).await;
    let admin = fleet.scoped_token(Role::Admin, "team=pay").await;
    let mut answered = 0;
    for route in ROUTES.iter().filter(|route| route.method == Method::GET) {
        let is_stream = matches!(route.path, "/live" | "/api/v1/live");
        let is_open = !matches!(route.access, Access::Role(_));
        if is_stream || is_open {
            continue;
        }
        for incident in incidents {
            let path = route
                .path
                .replace("{host}", &own.to_string())
                .replace("{incident}", &incident.to_string());
            let metric = if route.path.ends_with("/compare") {
                "?metric=in_use&offset_ms=60000"
            } else if route.path.ends_with("/history") {
                "?metric=in_use&group_by=host"
            } else {
                ""
            };
            let answer = ask(
                &fleet,
                &admin,
                Method::GET,
                &format!("{path}{metric}"),
                None,
            )
            .await;
            answered += u32::from(answer.status() == StatusCode::OK);
            let headers = format!("{:?}", answer.headers());
            let body = answer.text().await.unwrap();
            for text in [&headers, &body] {
                assert!(!text.contains(CANARY), "{path}: {text}");
                assert!(!text.contains(&other.to_string()), "{path}: {text}");
            }
        }
    }
    assert!(answered > 40, "routes answer within a scope: {answered}");
    let fleet_page = ask(&fleet, &admin, Method::GET, "/", None).await;
    let fleet_page = fleet_page.text().await.unwrap();
    assert!(
        fleet_page.contains("pay-1")
            && fleet_page.contains("1 host of your scope <bdi>team=pay</bdi>")
    );
}

#[tokio::test]
async fn another_teams_host_is_as_unknown_as_one_that_does_not_exist() {
    let fleet = MadeUp::start().await;
    two_teams(&fleet).await;
    let admin = fleet.scoped_token(Role::Admin, "team=pay").await;
    for route in ROUTES.iter().filter(|route| route.path.contains("{host}")) {
        let scope = HostScope::from_text(Some("team=pay")).unwrap();
        let expected = match answers(&scope, (&route.method, route.path)) {
            true => StatusCode::NOT_FOUND,
            false => StatusCode::FORBIDDEN,
        };
        let mut said = Vec::new();
        for name in [CANARY, "nobody-9q7"] {
            let path = route.path.replace("{host}", name);
            let body = (route.method != Method::GET).then(|| json!({}));
            let answer = ask(&fleet, &admin, route.method.clone(), &path, body).await;
            assert_eq!(answer.status(), expected, "{path}");
            said.push(answer.text().await.unwrap().replace(name, ""));
        }
        assert_eq!(said[0], said[1], "{}", route.path);
    }
}

#[tokio::test]
async fn nothing_is_done_to_another_teams_host() {
    let fleet = MadeUp::start().await;
    let ([_, other], [_, incident]) = two_teams(&fleet).await;
    let app = &fleet.started.app;
    let admin = fleet.scoped_token(Role::Admin, "team=pay").await;
    let order =
        json!({"host": CANARY, "spec": {"kind": "collect_evidence", "seconds": 5}, "reason": "x"});
    let by_incident = format!("/api/v1/incidents/{incident}/acknowledge");
    for (path, body) in [
        (format!("/api/v1/hosts/{other}/revoke"), json!({})),
        ("/api/v1/actions".to_owned(), order),
        (by_incident, json!({})),
    ] {
        let refused = ask(&fleet, &admin, Method::POST, &path, Some(body)).await;
        let status = refused.status();
        assert!(status.is_client_error(), "{path}: {status}");
    }
    // The whole fleet's switches are for those who see all of it.
    for path in ["/api/v1/lockdown", "/api/v1/grants", "/api/v1/tokens"] {
        let refused = ask(&fleet, &admin, Method::POST, path, Some(json!({}))).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{path}");
        let said = refused.text().await.unwrap();
        assert!(said.contains("your scope is team=pay"), "{said}");
    }
    let standing = app.live.read(other, |host| host.profile.standing);
    assert_eq!(standing, Some(tidemark_model::HostState::Enrolled));
    let everybody = fleet.token(Role::Admin).await;
    let path = format!("/api/v1/incidents/{incident}");
    let after: Value = ask(&fleet, &everybody, Method::GET, &path, None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(after["state"], "open", "{after}");
    let actions: Value = ask(&fleet, &everybody, Method::GET, "/api/v1/actions", None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(actions["items"], json!([]));
}

#[tokio::test]
async fn an_open_stream_follows_hosts_into_and_out_of_the_scope() {
    let fleet = MadeUp::start().await;
    let ([own, other], _) = two_teams(&fleet).await;
    let viewer = fleet.scoped_token(Role::Viewer, "team=pay").await;
    for path in ["/api/v1/live", "/live"] {
        let stream = ask(&fleet, &viewer, Method::GET, path, None).await;
        let mut chunks = stream.bytes_stream();
        let mut text = String::new();
        let now = fleet.started.app.clock.now();
        fleet.deliver(other, vec![sample(now, 7, 0)]).await;
        relabel(&fleet, own, "web").await;
        let gone = async {
            while !text.contains("event: gone") {
                let chunk = chunks.next().await.unwrap().unwrap();
                text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, gone)
            .await
            .expect("it leaves");
        assert!(!text.contains(CANARY), "{path}: {text}");
        let is_own = text.split("event: gone").nth(1).unwrap();
        assert!(is_own.contains(&own.to_string()), "{path}: {text}");
        // And in again: it is shown, and so are its incidents.
        relabel(&fleet, own, "pay").await;
        let back = async {
            while !(is_own_shown(&text, path) && text.ends_with("\n\n")) {
                let chunk = chunks.next().await.unwrap().unwrap();
                text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        let back = tokio::time::timeout(WITHIN, back).await;
        assert!(back.is_ok(), "{path}: {text}");
    }
}

/// What a changed label shows to whom is so on open streams within this.
const WITHIN: Duration = Duration::from_secs(5);

/// Whether the own host is shown again after it was gone, and incidents are said to be others.
fn is_own_shown(text: &str, path: &str) -> bool {
    let kind = if path == "/live" { "row" } else { "host" };
    let after = text.split("event: gone").nth(1).unwrap_or_default();
    let shown = after.split(&format!("event: {kind}")).nth(1);
    shown.is_some_and(|host| host.contains("pay-1")) && after.contains("event: incidents")
}

/// An admin of all hosts puts a host into another team.
async fn relabel(fleet: &MadeUp, host: HostId, team: &str) {
    let admin = fleet.token(Role::Admin).await;
    let path = format!("/api/v1/hosts/{host}");
    let body = json!({"labels": {"team": team}});
    let changed = ask(fleet, &admin, Method::PATCH, &path, Some(body)).await;
    assert_eq!(changed.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_stream_says_nothing_of_incidents_outside_of_the_scope() {
    let fleet = MadeUp::start().await;
    let ([own, _], [incident, others]) = two_teams(&fleet).await;
    let viewer = fleet.scoped_token(Role::Viewer, "team=pay").await;
    let everybody = fleet.token(Role::Operator).await;
    let operate = async |id: i64| {
        let path = format!("/api/v1/incidents/{id}/acknowledge");
        let done = ask(&fleet, &everybody, Method::POST, &path, Some(json!({}))).await;
        assert_eq!(done.status(), StatusCode::OK);
    };
    let stream = ask(&fleet, &viewer, Method::GET, "/api/v1/live", None).await;
    let mut chunks = stream.bytes_stream();
    let mut text = String::new();
    operate(others).await;
    let silence = json!({"matchers": ["host=*"], "duration_s": 600, "reason": "x"});
    ask(
        &fleet,
        &everybody,
        Method::POST,
        "/api/v1/silences",
        Some(silence),
    )
    .await;
    let now = fleet.started.app.clock.now();
    fleet.deliver(own, vec![sample(now, CAPACITY, 0)]).await;
    for event in ["event: host\n", "event: incidents\n"] {
        let comes = async {
            while !text.contains(event) {
                let chunk = chunks.next().await.unwrap().unwrap();
                text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        let came = tokio::time::timeout(PATIENCE, comes).await;
        assert!(came.is_ok(), "{event}: {text}");
        if event.contains("host") {
            assert!(!text.contains("event: incidents"), "{text}");
            operate(incident).await;
        }
    }
}

#[tokio::test]
async fn a_team_silences_its_own_hosts_and_no_other() {
    let fleet = MadeUp::start().await;
    let ([own, other], [incident, others]) = two_teams(&fleet).await;
    let everybody = fleet.token(Role::Admin).await;
    let team = fleet.scoped_token(Role::Operator, "team=pay").await;
    let wider = fleet
        .scoped_token(Role::Operator, "team=pay,env=prod")
        .await;
    let path = "/api/v1/silences";
    let make = async |token: &str| {
        // The other team's host says of itself that it is of this one.
        let body = json!({"matchers": ["team=pay"], "duration_s": 600, "reason": "patches"});
        let made = ask(&fleet, token, Method::POST, path, Some(body)).await;
        assert_eq!(made.status(), StatusCode::CREATED);
        made.json::<SilenceView>().await.unwrap()
    };
    let silenced = async |id: i64| {
        let path = format!("/api/v1/incidents/{id}");
        let answer = ask(&fleet, &everybody, Method::GET, &path, None).await;
        let incident: IncidentView = answer.json().await.unwrap();
        incident.silenced_by
    };
    let made = make(&team).await;
    assert_eq!(made.scope.as_deref(), Some("team=pay"));
    assert_eq!(silenced(incident).await, Some(made.id));
    assert_eq!(silenced(others).await, None);
    // It follows the hosts, into the team and out of it.
    relabel(&fleet, other, "pay").await;
    relabel(&fleet, own, "web").await;
    assert_eq!(silenced(others).await, Some(made.id));
    assert_eq!(silenced(incident).await, None);

    let of_all = make(&everybody).await;
    let narrow = make(&wider).await;
    let listed = async |token: &str| {
        let answer = ask(&fleet, token, Method::GET, path, None).await;
        let page: Page<SilenceView> = answer.json().await.unwrap();
        page.items.iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(&team).await, [narrow.id, made.id]);
    assert_eq!(listed(&wider).await, [narrow.id]);
    assert_eq!(listed(&everybody).await, [narrow.id, of_all.id, made.id]);
    let end = async |token: &str, id: i64| {
        let path = format!("{path}/{id}");
        let answer = ask(&fleet, token, Method::DELETE, &path, None).await;
        (answer.status(), answer.text().await.unwrap())
    };
    let unknown = end(&team, 4_711).await;
    assert_eq!(unknown.0, StatusCode::NOT_FOUND);
    assert_eq!(
        end(&team, of_all.id).await,
        unknown,
        "as if there were none"
    );
    assert_eq!(end(&wider, made.id).await, unknown);
    for id in [narrow.id, made.id] {
        assert_eq!(end(&team, id).await.0, StatusCode::NO_CONTENT);
    }
    let page = ask(&fleet, &team, Method::GET, "/notifications", None).await;
    let page = page.text().await.unwrap();
    assert!(page.contains("of hosts with <bdi>team=pay</bdi>"), "{page}");
    for part in ["Receivers", "Messages"] {
        assert!(!page.contains(part), "{page}");
    }
}

#[tokio::test]
async fn silences_of_one_team_leave_room_for_those_of_others() {
    let fleet = MadeUp::start().await;
    let team = fleet.scoped_token(Role::Operator, "team=pay").await;
    let other = fleet.scoped_token(Role::Operator, "team=web").await;
    let body = json!({"matchers": ["host=*"], "duration_s": 600, "reason": "patches"});
    let make = async |token: &str| {
        let path = "/api/v1/silences";
        ask(&fleet, token, Method::POST, path, Some(body.clone())).await
    };
    for _ in 0..100 {
        assert_eq!(make(&team).await.status(), StatusCode::CREATED);
    }
    let refused = make(&team).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let said = refused.text().await.unwrap();
    assert!(
        said.contains("100 silences of team=pay have not ended"),
        "{said}"
    );
    assert_eq!(make(&other).await.status(), StatusCode::CREATED);
}
