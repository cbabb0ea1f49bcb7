//! Labels that the controller holds of a host: changed there alone, by those who see all hosts, and never by an agent.

use std::collections::BTreeMap;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tidemark_controller::app::identities::profile_of;
use tidemark_controller::pki::peer::AgentHeld;
use tidemark_model::audit_log::Deed;
use tidemark_model::view::{AuditEntryView, HostDetail, Page};
use tidemark_model::{HostFacts, HostId, Role};

use crate::api::client;
use crate::made_up::MadeUp;

async fn patch(
    fleet: &MadeUp,
    (token, host): (&str, &str),
    labels: Value,
    expected: Option<&str>,
) -> Response {
    let request = client()
        .request(Method::PATCH, fleet.url(&format!("/api/v1/hosts/{host}")))
        .bearer_auth(token)
        .json(&json!({ "labels": labels }));
    let request = match expected {
        Some(tag) => request.header("if-match", tag),
        None => request,
    };
    request.send().await.unwrap()
}

async fn title(answer: Response, status: StatusCode) -> String {
    assert_eq!(answer.status(), status);
    let problem: Value = answer.json().await.unwrap();
    problem["title"].as_str().unwrap().to_owned()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// A host that says of itself that it is of the team `web`, in rack `b7`.
async fn claiming(fleet: &MadeUp) -> HostId {
    let claims = labels(&[("team", "web"), ("rack", "b7")]);
    fleet.host_with("web-1", "Linux", claims).await
}

/// What its agent says of it.
async fn facts_of(fleet: &MadeUp, host: HostId) -> HostFacts {
    let mut tx = fleet.started.app.store.read().await.unwrap();
    tx.host_find(host).await.unwrap().unwrap().facts
}

#[tokio::test]
async fn an_admin_changes_labels_and_what_an_agent_says_changes_none() {
    let fleet = MadeUp::start().await;
    let app = &fleet.started.app;
    let host = claiming(&fleet).await;
    let admin = fleet.token_of("ann", Role::Admin).await;
    let before = app.store.read().await.unwrap().host_find(host).await;
    let changed = patch(
        &fleet,
        (&admin, "web-1"),
        json!({"team": "pay", "env": "prod"}),
        None,
    )
    .await;
    assert_eq!(changed.status(), StatusCode::OK);
    assert_eq!(changed.headers()["etag"], "\"1\"");
    let detail: HostDetail = changed.json().await.unwrap();
    let held = labels(&[("env", "prod"), ("team", "pay")]);
    assert_eq!(detail.controller_labels, held);
    let shown = labels(&[("env", "prod"), ("rack", "b7"), ("team", "pay")]);
    assert_eq!(detail.host.labels, shown);

    // What was read before the change comes in after it, and an agent says it again.
    app.live.put(profile_of(&before.unwrap().unwrap()));
    let mut facts = facts_of(&fleet, host).await;
    facts.labels = labels(&[("team", "web"), ("env", "test"), ("rack", "c1")]);
    let agent = AgentHeld {
        host,
        key_hash: [1; 32],
        not_after: app.clock.now(),
    };
    app.greet(&agent, 1, &facts).await.unwrap();
    let (held_now, shown_now) = app
        .live
        .read(host, |live| {
            (
                live.profile.controller_labels.clone(),
                live.profile.labels.clone(),
            )
        })
        .unwrap();
    assert_eq!(held_now, held);
    let shown = labels(&[("env", "prod"), ("rack", "c1"), ("team", "pay")]);
    assert_eq!(shown_now, shown);

    let taken = patch(&fleet, (&admin, "web-1"), json!({"team": null}), None).await;
    let detail: HostDetail = taken.json().await.unwrap();
    assert_eq!(detail.controller_labels, labels(&[("env", "prod")]));
    assert_eq!(detail.host.labels["team"], "web", "its own is seen again");

    let what = Deed::HostLabel.as_str();
    let request = client().get(fleet.url(&format!("/api/v1/audit-log?what={what}")));
    let answer = request.bearer_auth(&admin).send().await.unwrap();
    let log: Page<AuditEntryView> = answer.json().await.unwrap();
    let told: Vec<_> = log
        .items
        .iter()
        .map(|entry| {
            (
                entry.who.as_deref(),
                entry.detail.get("label team").cloned(),
            )
        })
        .collect();
    let words = |text: &str| Some(text.to_owned());
    assert_eq!(
        told,
        [
            (Some("ann"), words("taken away, formerly pay")),
            (Some("ann"), words("pay"))
        ]
    );
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_is_not_overwritten() {
    let fleet = MadeUp::start().await;
    claiming(&fleet).await;
    let admin = fleet.token(Role::Admin).await;
    let ask = (&*admin, "web-1");
    let first = patch(&fleet, ask, json!({"team": "pay"}), Some("\"0\"")).await;
    assert_eq!(first.status(), StatusCode::OK);
    let late = patch(&fleet, ask, json!({"team": "ops"}), Some("\"0\"")).await;
    let refused = title(late, StatusCode::PRECONDITION_FAILED).await;
    assert!(
        refused.contains("is at version 1, and you changed version 0"),
        "{refused}"
    );
    let request = client().get(fleet.url("/api/v1/hosts/web-1"));
    let answer = request.bearer_auth(&admin).send().await.unwrap();
    assert_eq!(answer.headers()["etag"], "\"1\"");
    let detail: HostDetail = answer.json().await.unwrap();
    assert_eq!(detail.controller_labels, labels(&[("team", "pay")]));
    // What changes nothing is no change, and does not count.
    let same = patch(&fleet, ask, json!({"team": "pay", "old": null}), None).await;
    assert_eq!(same.headers()["etag"], "\"1\"");
}

#[tokio::test]
async fn labels_that_cannot_be_are_refused_with_nothing_stored() {
    let fleet = MadeUp::start().await;
    let host = claiming(&fleet).await;
    let admin = fleet.token(Role::Admin).await;
    let many: BTreeMap<String, String> = (0..17)
        .map(|number| (format!("l{number}"), "x".to_owned()))
        .collect();
    for (asked, says) in [
        (json!({}), "labels is empty"),
        (
            json!({"good": "x", "b d": "x"}),
            "a key must be 1 to 64 letters",
        ),
        (
            json!({"good": "x", "team": "x".repeat(257)}),
            "labels.team must be 256 characters",
        ),
        (json!({"team": "a\nb"}), "without control characters"),
        (json!(many), "labels has 17 entries; it must be 16 or fewer"),
        (json!({"team": 7}), "the body is no change of labels"),
    ] {
        let answer = patch(&fleet, (&admin, "web-1"), asked, None).await;
        let refused = title(answer, StatusCode::BAD_REQUEST).await;
        assert!(refused.contains(says), "{refused}");
    }
    let mut tx = fleet.started.app.store.read().await.unwrap();
    let stored = tx.host_find(host).await.unwrap().unwrap();
    assert_eq!(stored.controller_labels, BTreeMap::new());
    assert_eq!(stored.labels_generation, 0);
}

#[tokio::test]
async fn whoever_sees_a_part_of_the_fleet_does_not_decide_who_sees_what() {
    let fleet = MadeUp::start().await;
    let host = claiming(&fleet).await;
    fleet.label(host, "team", "pay").await;
    let team = fleet.scoped_token(Role::Admin, "team=pay").await;
    for name in ["web-1", "nobody"] {
        let answer = patch(&fleet, (&team, name), json!({"env": "prod"}), None).await;
        let refused = title(answer, StatusCode::FORBIDDEN).await;
        assert!(refused.contains("your scope is team=pay"), "{refused}");
    }
}

#[tokio::test]
async fn a_hosts_page_tells_whose_labels_are_whose_and_changes_the_controllers() {
    let fleet = MadeUp::start().await;
    let host = claiming(&fleet).await;
    fleet.label(host, "env", "test").await;
    let admin = fleet.token(Role::Admin).await;
    let page = async |token: &str| {
        let request = client().get(fleet.url("/hosts/web-1")).bearer_auth(token);
        request.send().await.unwrap().text().await.unwrap()
    };
    let send = async |text: &str| {
        let request = client()
            .post(fleet.url(&format!("/hosts/{host}/labels")))
            .bearer_auth(&admin)
            .header("origin", fleet.url(""))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!(
                "version=1&labels={}",
                text.replace('=', "%3D").replace(' ', "+")
            ));
        request.send().await.unwrap().status()
    };
    assert_eq!(send("team").await, StatusCode::BAD_REQUEST);
    assert_eq!(send("team=pay env-").await, StatusCode::SEE_OTHER);
    // Another page that was made before that.
    assert_eq!(send("team=ops").await, StatusCode::PRECONDITION_FAILED);
    let shown = page(&admin).await;
    for part in [
        "scopes choose by it\"><bdi>team=pay</bdi>",
        "class=\"tag own\" title=\"Its agent says it\"><bdi>rack=b7</bdi>",
        "action=\"/hosts/",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("env=test"), "{shown}");
    let team = fleet.scoped_token(Role::Admin, "team=pay").await;
    let shown = page(&team).await;
    assert!(
        shown.contains("team=pay") && !shown.contains("action=\"/hosts/"),
        "{shown}"
    );
}
