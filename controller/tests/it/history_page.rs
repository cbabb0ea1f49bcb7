//! The history page as rendered: figures without a script, gaps, unknown, refusals in words.

use std::time::Duration;

use reqwest::StatusCode;
use tidemark_model::{Role, Sample, Timestamp};

use crate::api::client;
use crate::made_up::{MadeUp, sample};

async fn page(fleet: &MadeUp, query: &str) -> (StatusCode, String) {
    let token = fleet.token(Role::Viewer).await;
    let url = fleet.url(&format!("/history{query}"));
    let answer = client().get(url).bearer_auth(token).send().await.unwrap();
    let status = answer.status();
    let html = answer.text().await.unwrap();
    (status, html.replace("&#34;", "\"").replace("&#38;", "&"))
}

/// A sample a minute for the last two hours, and none in the middle of them.
fn minutes(now: Timestamp, ports: u32) -> Vec<Sample> {
    let at = |back: u64| now.saturating_sub(Duration::from_secs(back * 60));
    let is_known = |back: &u64| !(40..60).contains(back);
    let known = (1..120).rev().filter(is_known);
    known
        .map(|back| sample(at(back), ports - u32::try_from(back).unwrap(), 0))
        .collect()
}

#[tokio::test]
async fn figures_are_there_without_a_script_and_a_gap_is_a_gap() {
    let fleet = MadeUp::start().await;
    let now = fleet.started.app.clock.now();
    for (name, ports) in [("web-1", 6_000), ("web-2", 900)] {
        let id = fleet.host(name).await;
        fleet.deliver(id, minutes(now, ports)).await;
    }
    fleet.host("silent-1").await;
    let (status, html) = page(
        &fleet,
        "?range=6h&step_ms=60000&metric=in_use&metric=agent_cpu",
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    for part in ["5,999", "899", ">web-1<", ">web-2<"] {
        assert!(html.contains(part), "{part}: {html}");
    }
    // The largest comes first; a host that measured nothing has no line, and so no zero.
    assert!(html.find(">web-1<") < html.find(">web-2<"));
    assert!(!html.contains("<bdi>silent-1</bdi></a>"), "{html}");
    assert!(html.contains(",null,null,null,"), "a gap: {html}");
    let csv = html.split("href=\"/api/v1/history").nth(1).unwrap();
    assert!(csv.starts_with("?metric=in_use&from_ms=") && csv.contains("&format=csv\""));

    let (_, compared) = page(&fleet, "?range=1h&offset_ms=604800000&top=4").await;
    assert!(compared.contains(">Before<"), "{compared}");
    assert!(compared.contains("<span class=\"unknown\">unknown</span>"));
}

#[tokio::test]
async fn what_cannot_be_shown_is_said_where_it_would_stand() {
    let fleet = MadeUp::start().await;
    let (_, empty) = page(&fleet, "").await;
    assert!(empty.contains("No history yet"), "{empty}");
    let now = fleet.started.app.clock.now();
    let id = fleet.host("web-1").await;
    fleet.deliver(id, minutes(now, 900)).await;
    let cases = [
        (
            "?metric=nonsense",
            StatusCode::BAD_REQUEST,
            "metric is \"nonsense\"; it must be one of capacity, in_use",
        ),
        (
            "?host=nobody",
            StatusCode::NOT_FOUND,
            "there is no host \"nobody\"",
        ),
        (
            "?label=site",
            StatusCode::BAD_REQUEST,
            "label is \"site\"; it must be KEY=VALUE",
        ),
        ("?text=nobody", StatusCode::OK, "No host matches"),
        (
            "?metric=udp_in_errors",
            StatusCode::OK,
            "Nothing was measured of this in that time",
        ),
        // One chart cannot be drawn, the other can.
        (
            "?metric=in_use&metric=handles&agg=time_to_exhaustion",
            StatusCode::OK,
            "not of `handles`; use another metric or aggregate",
        ),
    ];
    for (query, status, words) in cases {
        let (answered, html) = page(&fleet, query).await;
        assert_eq!(answered, status, "{query}");
        assert!(html.contains(words), "{query}: {html}");
        assert!(html.contains("<form id=\"ask\""), "{query}");
    }
}

#[tokio::test]
async fn hosts_are_chosen_by_text_and_state_in_the_api_too() {
    let fleet = MadeUp::start().await;
    let now = fleet.started.app.clock.now();
    for name in ["web-1", "db-1"] {
        let id = fleet.host(name).await;
        fleet.deliver(id, minutes(now, 900)).await;
    }
    let token = fleet.token(Role::Viewer).await;
    let ask = async |query: &str| {
        let url = fleet.url(&format!("/api/v1/history?metric=in_use&{query}"));
        let answer = client().get(url).bearer_auth(&token).send().await.unwrap();
        answer.text().await.unwrap()
    };
    let csv = ask("text=DB-&format=csv").await;
    assert!(
        csv.starts_with("time_ms,") && csv.contains(",db-1,"),
        "{csv}"
    );
    assert!(!csv.contains("web-1"), "{csv}");
    let refused = ask("format=xml").await;
    assert!(refused.contains("it must be json or csv"), "{refused}");
    let refused = ask("state=asleep").await;
    assert!(refused.contains("one of online, stale"), "{refused}");
}
