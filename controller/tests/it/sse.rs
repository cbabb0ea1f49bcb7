//! Live views over server-sent events.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{Response, StatusCode};
use tidemark_controller::access::Holder;
use tidemark_model::Role;
use tidemark_model::view::HostView;

use crate::api::client;
use crate::made_up::{CAPACITY, MadeUp, sample};

/// How long a change may take to be seen; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(15);

async fn open(fleet: &MadeUp, path: &str, token: &str) -> Response {
    let request = client()
        .get(fleet.url(path))
        .bearer_auth(token)
        .timeout(PATIENCE * 2);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer
}

/// Reads until an event of that name has come; its data.
async fn event(answer: Response, name: &str) -> String {
    let mut text = String::new();
    let mut chunks = answer.bytes_stream();
    let wanted = format!("event: {name}\n");
    let read = async {
        loop {
            let chunk = chunks.next().await.expect("the stream goes on").unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
            let found = text
                .split("\n\n")
                .filter(|_| text.ends_with("\n\n"))
                .find(|event| event.contains(&wanted));
            if let Some(event) = found {
                let data = event.lines().filter_map(|line| line.strip_prefix("data: "));
                return data.collect::<Vec<_>>().join("\n");
            }
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("the event comes")
}

#[tokio::test]
async fn a_new_sample_is_seen_at_once() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    let id = fleet.host("web-1").await;
    let live = open(&fleet, "/api/v1/live", &token).await;
    assert_eq!(live.headers()["content-type"], "text/event-stream");
    let now = fleet.started.app.clock.now();
    fleet.deliver(id, vec![sample(now, 321, 0)]).await;
    let host: HostView = serde_json::from_str(&event(live, "host").await).unwrap();
    assert_eq!((&*host.name, host.port_spaces[0].strong), ("web-1", 321));
}

#[tokio::test]
async fn a_page_gets_the_line_rendered_and_hostile_names_cannot_forge_events() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    let id = fleet.host("a\r\nevent: gone\ndata: x<b>").await;
    let live = open(&fleet, "/live", &token).await;
    let now = fleet.started.app.clock.now();
    fleet.deliver(id, vec![sample(now, 321, 0)]).await;
    let html = event(live, "row").await;
    assert!(
        html.contains(&format!("id=\"h-{id}\"")) && html.contains("&#60;b&#62;"),
        "{html}"
    );
}

#[tokio::test]
async fn the_list_of_incidents_is_told_to_change_and_nothing_else_to_its_page() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    let id = fleet.host("web-1").await;
    fleet.connect(id);
    let program = open(&fleet, "/api/v1/live", &token).await;
    let page = open(&fleet, "/live?of=incidents", &token).await;
    let now = fleet.started.app.clock.now();
    fleet.deliver(id, vec![sample(now, CAPACITY, 0)]).await;
    assert_eq!(event(program, "incidents").await, "{}");
    let first = page.bytes_stream().next().await.unwrap().unwrap();
    assert_eq!(first, "event: incidents\ndata: -\n\n");
    let wrong = client()
        .get(fleet.url("/live?of=hosts"))
        .bearer_auth(&token);
    let refused = wrong.send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_notice_is_seen_by_those_who_watch_its_host() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    let id = fleet.host("web-1").await;
    let live = open(&fleet, "/api/v1/live?host=web-1", &token).await;
    fleet.started.app.revoke(id).await.unwrap();
    let notice = event(live, "notice").await;
    assert!(notice.contains("host_revoked"), "{notice}");
}

#[tokio::test]
async fn a_live_view_ends_when_its_token_is_revoked() {
    let fleet = MadeUp::start().await;
    let app = &fleet.started.app;
    let key = app
        .make_api_key(Holder::of_all_hosts("x", Role::Viewer), None)
        .await
        .unwrap();
    let live = open(&fleet, "/api/v1/live", &key.expose_text()).await;
    let mut tx = app.store.begin().await.unwrap();
    tx.api_token_revoke(key.id, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), live.bytes()).await;
    assert!(ended.is_ok(), "revoked is out within 5 s");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_live_views() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    let live = open(&fleet, "/api/v1/live", &token).await;
    fleet.life.stop();
    let ended = tokio::time::timeout(PATIENCE, live.bytes()).await;
    assert!(ended.is_ok(), "the stream ends with the controller");
}
