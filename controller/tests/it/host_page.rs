//! A host's page as rendered: its past minute by minute, with what is not known of it.

use std::time::Duration;

use reqwest::StatusCode;
use tidemark_model::{HostId, Role};

use crate::api::client;
use crate::made_up::{MadeUp, sample};

async fn page(fleet: &MadeUp, path: &str) -> (StatusCode, String) {
    let token = fleet.token(Role::Viewer).await;
    let url = fleet.url(path);
    let answer = client().get(url).bearer_auth(token).send().await.unwrap();
    let status = answer.status();
    (status, answer.text().await.unwrap().replace("&#34;", "\""))
}

/// A host whose ports rise by a hundred each of the last 30 minutes, and the controller's clock.
async fn rising(fleet: &MadeUp) -> (HostId, i64) {
    let id = fleet.host("web-1").await;
    let now = fleet.started.app.clock.now();
    let samples = (0..30_u32).rev().map(|back| {
        let at = now.saturating_sub(Duration::from_secs(u64::from(back) * 60));
        sample(at, 5_000 - back * 100, 7)
    });
    fleet.deliver(id, samples.collect()).await;
    (id, now.unix_ms())
}

#[tokio::test]
async fn a_host_is_seen_as_it_was_at_any_minute() {
    let fleet = MadeUp::start().await;
    let (id, now_ms) = rising(&fleet).await;
    let at = now_ms - 10 * 60_000;
    let (status, html) = page(&fleet, &format!("/hosts/{id}?at={at}")).await;
    assert_eq!(status, StatusCode::OK);
    // Ten minutes ago a thousand fewer were in use; four fifths of them by one process.
    for part in [
        "<dt>strong</dt><dd>4,000</dd>",
        "<dt>in use</dt><dd>4,007</dd>",
        "<bdi>w3wp.exe</bdi></td><td class=\"n\"><bdi>3,200</bdi>",
        "<bdi>10.0.4.12:1433</bdi></td><td class=\"n\"><bdi>1,007</bdi>",
        "<td>CLOSE_WAIT</td><td class=\"n\">200</td>",
        "<bdi>all others</bdi>",
        "10 min ago",
        "which process id it was",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let before = format!("&at={}\" data-key=\"[\"", at - 60_000);
    assert!(html.replace("&#38;", "&").contains(&before), "{html}");
    // What is of the present does not stand beside the past, and nothing replaces it.
    assert!(
        !html.contains("id=\"verdict\"") && !html.contains("/live?host="),
        "{html}"
    );
}

#[tokio::test]
async fn a_time_of_which_nothing_is_known_is_not_shown_as_zero() {
    let fleet = MadeUp::start().await;
    let (id, now_ms) = rising(&fleet).await;
    let long_ago = now_ms - 30 * 86_400_000;
    let (_, html) = page(&fleet, &format!("/hosts/{id}?at={long_ago}")).await;
    assert!(html.contains("Nothing is known of that time"), "{html}");
    assert!(!html.contains("<dt>in use</dt>"), "{html}");
    let tomorrow = now_ms + 86_400_000;
    let (status, html) = page(&fleet, &format!("/hosts/{id}?at={tomorrow}")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        html.contains("at is \"") && html.contains("it must be a whole number from 0 to"),
        "{html}"
    );
}
