//! The pages as rendered: hostile names, gaps, order, nothing inline.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::StatusCode;
use tidemark_model::Role;
use tidemark_model::host::{Capability, CapabilityReport, CapabilityState};
use tidemark_model::view::HostDetail;

use crate::api::client;
use crate::made_up::{MadeUp, sample};

const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'\r\nevent: gone";

async fn page(fleet: &MadeUp, path: &str) -> String {
    let token = fleet.token(Role::Viewer).await;
    let answer = client()
        .get(fleet.url(path))
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn an_empty_fleet_says_how_to_add_a_host() {
    let fleet = MadeUp::start().await;
    let html = page(&fleet, "/").await;
    for part in [
        "No hosts yet",
        "tidemark token create",
        "tidemark-agent run",
        &fleet.started.grpc.to_string(),
    ] {
        assert!(html.contains(part), "{part}");
    }
}

#[tokio::test]
async fn a_host_shows_what_its_agent_sees_and_what_nobody_told_as_unknown() {
    let fleet = MadeUp::start().await;
    let os = "Windows Server 2012 R2 (9600)";
    let id = fleet.host_with("old-1", os, BTreeMap::new()).await;
    let bound = CapabilityReport {
        how: Some("afd".into()),
        why: Some("no <b>export</b>".into()),
        ..CapabilityReport::new(Capability::BoundSockets, CapabilityState::Partly)
    };
    fleet.report(id, vec![bound]).await;
    let now = fleet.started.app.clock.now();
    fleet.deliver(id, vec![sample(now, 500, 20)]).await;
    let html = page(&fleet, &format!("/hosts/{id}")).await;
    let html = html.replace("&#60;", "&lt;").replace("&#62;", "&gt;");
    for part in [
        "What the agent sees",
        "<dt>bound sockets</dt><dd><bdi>partly, by afd: no &lt;b&gt;export&lt;/b&gt;</bdi></dd>",
        "<dt>netsh</dt><dd><span class=\"unknown\">unknown</span></dd>",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let token = fleet.token(Role::Viewer).await;
    let url = fleet.url(&format!("/api/v1/hosts/{id}"));
    let answer = client().get(url).bearer_auth(token).send().await.unwrap();
    let detail: HostDetail = answer.json().await.unwrap();
    let told: Vec<_> = detail
        .capability_reports
        .iter()
        .map(|report| (report.name.as_str(), report.state.as_str()))
        .collect();
    let expected = [
        ("bound_sockets", "partly"),
        ("all_owners", "unknown"),
        ("all_namespaces", "unknown"),
        ("events", "unknown"),
        ("netsh", "unknown"),
        ("wmi", "unknown"),
    ];
    assert_eq!(told, expected);
    // With a reservation it is not among what the agent has.
    assert!(detail.capabilities.is_empty(), "{detail:?}");
}

#[tokio::test]
async fn hostile_names_are_text_on_every_page() {
    let fleet = MadeUp::start().await;
    let id = fleet.host(HOSTILE).await;
    let now = fleet.started.app.clock.now();
    let mut hostile = sample(now, 500, 20);
    for owner in &mut hostile.port_spaces[0].owners {
        owner.process.name = "</td><script>alert(2)</script>".into();
        owner.process.service = Some("javascript:alert(3)\" onclick=\"x".into());
    }
    fleet.deliver(id, vec![hostile]).await;
    for path in [
        "/",
        "/fleet/rows",
        &format!("/hosts/{id}"),
        &format!("/hosts/{id}/now"),
        &format!("/hosts/{id}?at={}", now.unix_ms()),
        "/history?range=1h&metric=in_use&metric=ports&group_by=series",
        "/events",
    ] {
        let html = page(&fleet, path).await;
        assert!(
            !html.contains("<img src=x") && !html.contains("<script>alert"),
            "{path}"
        );
        assert!(!html.contains("\" onclick=\"x"), "{path}");
    }
}

#[tokio::test]
async fn nothing_is_inline_so_that_the_policy_holds() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let now = fleet.started.app.clock.now();
    fleet.deliver(id, vec![sample(now, 500, 20)]).await;
    let past = format!("/hosts/{id}?at={}", now.unix_ms());
    let host = format!("/hosts/{id}");
    let history = "/history?range=1h&offset_ms=604800000";
    for path in ["/", "/events", history, &host, &past, "/login"] {
        let html = page(&fleet, path).await;
        assert!(
            !html.contains(" style=") && !html.contains("<style"),
            "{path}"
        );
        assert!(
            !html.contains(" onclick=") && !html.contains("<script>"),
            "{path}"
        );
        assert!(
            !html.contains("http://") && !html.contains("https://"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_fleet_shows_what_needs_attention_first_and_unknown_as_unknown() {
    let fleet = MadeUp::start().await;
    let now = fleet.started.app.clock.now();
    for (name, strong) in [("a-calm", 400), ("z-full", 16_000)] {
        let id = fleet.host(name).await;
        fleet.connect(id);
        fleet
            .deliver(
                id,
                vec![sample(
                    now.saturating_sub(Duration::from_secs(5)),
                    strong,
                    10,
                )],
            )
            .await;
    }
    fleet.connect(fleet.host("m-silent").await);
    let html = page(&fleet, "/fleet/rows").await;
    let at = |name: &str| html.find(&format!("data-name=\"{name}\"")).unwrap();
    assert!(at("z-full") < at("m-silent") && at("m-silent") < at("a-calm"));
    assert!(html.contains("no sample yet") && html.contains("unknown"));
}

#[tokio::test]
async fn a_page_that_is_not_there_is_answered_in_words() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    let answer = client()
        .get(fleet.url("/hosts/nobody"))
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    let html = answer.text().await.unwrap();
    assert!(html.contains("there is no host &#34;nobody&#34;"), "{html}");
}
