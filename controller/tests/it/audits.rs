//! Hosts' configuration: told by the API and the page, changes listed and noted, times corrected, old changes gone.

use std::time::Duration;

use tidemark_controller::tasks::expire::{DRIFTS_KEPT, Expirer};
use tidemark_model::audit::view::{DriftView, HostAuditView};
use tidemark_model::audit::{
    AuditFact, FactKey, FactName, FactState, FactValue, HostAudit, Topic, TopicState,
};
use tidemark_model::view::{EventView, Page};
use tidemark_model::{Role, Timestamp};

use crate::api::client;
use crate::made_up::MadeUp;

const HOSTILE: &str = "</td><script>alert(1)</script>\" onclick=\"x";
const SKEW_MS: i64 = 3_600_000;

fn audit(at: Timestamp, max_user_port: u64, driver: &str) -> HostAudit {
    let mut audit = HostAudit::empty(at);
    audit.topics.insert(Topic::Tcp, TopicState::Read);
    audit.topics.insert(Topic::Nics, TopicState::Read);
    audit
        .topics
        .insert(Topic::DotNet, TopicState::unread(HOSTILE));
    audit.facts = vec![
        AuditFact {
            key: FactKey::of(FactName::MaxUserPort),
            state: FactState::Known(FactValue::Number(max_user_port)),
        },
        AuditFact {
            key: FactKey::of_item(FactName::NicDriver, HOSTILE),
            state: FactState::Known(FactValue::text(driver)),
        },
    ];
    audit
}

async fn get(fleet: &MadeUp, path: &str) -> reqwest::Response {
    let token = fleet.token(Role::Viewer).await;
    let request = client().get(fleet.url(path)).bearer_auth(token);
    request.send().await.unwrap()
}

async fn drift(fleet: &MadeUp, path: &str) -> Page<DriftView> {
    get(fleet, path).await.json().await.unwrap()
}

/// The text of the notice of a change, which comes with the next commit.
async fn first_notice(fleet: &MadeUp) -> String {
    let path = "/api/v1/events?kind=configuration_changed";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let page: Page<EventView> = get(fleet, path).await.json().await.unwrap();
        if let Some(notice) = page.items.first() {
            return notice.text.clone();
        }
        assert!(tokio::time::Instant::now() < deadline, "no notice came");
    }
}

#[tokio::test]
async fn a_change_is_listed_noted_and_dated_by_the_controllers_clock() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let app = &fleet.started.app;
    let before: HostAuditView = get(&fleet, "/api/v1/hosts/web-1/audit")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!((before.taken_ms, before.facts.len()), (None, 0));

    // The host's clock is an hour ahead.
    let ago = |seconds| app.clock.now().saturating_sub(Duration::from_secs(seconds));
    let by_host = |at: Timestamp| at.saturating_add(Duration::from_millis(3_600_000));
    let (first_at, second_at) = (ago(120), ago(60));
    let first = audit(by_host(first_at), 5_000, "e1000e");
    app.take_audit(id, first.clone(), SKEW_MS).await.unwrap();
    app.take_audit(id, first, SKEW_MS).await.unwrap();
    assert_eq!(drift(&fleet, "/api/v1/drift").await.items, []);
    let second = audit(by_host(second_at), 65_534, HOSTILE);
    app.take_audit(id, second, SKEW_MS).await.unwrap();

    let listed = drift(&fleet, "/api/v1/hosts/web-1/drift?limit=1").await;
    let rest = listed.next_cursor.clone().unwrap();
    let rest = drift(&fleet, &format!("/api/v1/drift?cursor={rest}")).await;
    let told: Vec<_> = [listed.items, rest.items]
        .concat()
        .into_iter()
        .map(|drift| (drift.at_ms, drift.fact, drift.from, drift.to))
        .collect();
    let at = second_at.unix_ms();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        told,
        [
            (at, text("nic_driver"), text("e1000e"), text(HOSTILE)),
            (at, text("max_user_port"), text("5000"), text("65534")),
        ]
    );
    let later = at + 1;
    let none = drift(&fleet, &format!("/api/v1/drift?since_ms={later}")).await;
    assert_eq!(none.items, []);

    let after: HostAuditView = get(&fleet, "/api/v1/hosts/web-1/audit")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        after.unread.get("dotnet").map(String::as_str),
        Some(HOSTILE)
    );
    let port = &after.facts[0];
    assert_eq!(
        (port.name.as_str(), port.since_ms),
        ("max_user_port", Some(at))
    );
    assert!(port.concern.is_some());

    let page = get(&fleet, "/hosts/web-1").await.text().await.unwrap();
    assert!(page.contains("Deserves a look") && page.contains("65534"));
    assert!(!page.contains("<script>alert"), "{page}");
    let text = first_notice(&fleet).await;
    assert!(
        text.starts_with("max_user_port: 5000 -> 65534; nic_driver["),
        "{text}"
    );
}

#[tokio::test]
async fn old_changes_go_and_the_configuration_stays() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let app = &fleet.started.app;
    let old = app
        .clock
        .now()
        .saturating_sub(DRIFTS_KEPT + Duration::from_secs(60));
    for (seconds, port) in [(0, 5_000), (10, 6_000), (120, 7_000)] {
        let at = old.saturating_add(Duration::from_secs(seconds));
        app.take_audit(id, audit(at, port, "x"), 0).await.unwrap();
    }
    assert_eq!(drift(&fleet, "/api/v1/drift").await.items.len(), 2);
    let expirer = Expirer::new(std::sync::Arc::clone(app), Duration::from_secs(86_400));
    assert_eq!(expirer.activate().await.unwrap().drifts, 1);
    let left = drift(&fleet, "/api/v1/drift").await.items;
    assert_eq!((left.len(), left[0].to.as_str()), (1, "7000"));
    let standing: HostAuditView = get(&fleet, "/api/v1/hosts/web-1/audit")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(standing.facts[0].value.as_deref(), Some("7000"));
}
