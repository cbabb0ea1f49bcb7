//! Maintenance windows through the API: applied, shown, deleted; whom they silence; and what they do to severity.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tidemark_controller::app::identities::profile_of;
use tidemark_controller::incidents::reconcile::Reconciler;
use tidemark_controller::maintain;
use tidemark_controller::notify::dispatch::Dispatcher;
use tidemark_model::forecast::{Eta, Road};
use tidemark_model::view::{
    HostView, IncidentView, NotificationView, Page, WindowDetail, WindowTimes, WindowView,
    WindowsApplied,
};
use tidemark_model::{HostId, PortSpaceKey, Protocol, Role, Timestamp};

use crate::api::client;
use crate::incidents::nobody;
use crate::made_up::{CAPACITY, MadeUp, sample};

const HOUR: Duration = Duration::from_secs(3_600);

async fn ask(fleet: &MadeUp, method: Method, path: &str, body: Option<Value>) -> Response {
    let token = fleet.token(Role::Operator).await;
    let request = client().request(method, fleet.url(path)).bearer_auth(token);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    request.send().await.unwrap()
}

async fn get<T: serde::de::DeserializeOwned>(fleet: &MadeUp, path: &str) -> T {
    let answer = ask(fleet, Method::GET, path, None).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.json().await.unwrap()
}

async fn put(fleet: &MadeUp, query: &str, windows: Value) -> Response {
    let path = format!("/api/v1/windows{query}");
    let body = json!({ "window": windows });
    ask(fleet, Method::PUT, &path, Some(body)).await
}

async fn apply(fleet: &MadeUp, window: Value) -> WindowsApplied {
    let answer = put(fleet, "", json!([window])).await;
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// A window in UTC that begins so long from now, or began.
fn window(name: &str, begins: Timestamp, duration: &str) -> Value {
    let at = jiff::Timestamp::from_millisecond(begins.unix_ms()).unwrap();
    let start = TimeZone::UTC.to_datetime(at);
    json!({
        "name": name,
        "recurrence": "FREQ=WEEKLY",
        "start": start.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        "duration": duration,
        "time_zone": "UTC",
        "hosts": ["tier=db"],
    })
}

async fn host(fleet: &MadeUp, name: &str, zone: Option<&str>) -> HostId {
    let labels = BTreeMap::from([("tier".to_owned(), "db".to_owned())]);
    let id = fleet.host_with(name, "Linux 6.18", labels).await;
    let app = &fleet.started.app;
    let mut tx = app.store.begin().await.unwrap();
    let mut stored = tx.host_find(id).await.unwrap().unwrap();
    stored.facts.time_zone = zone.map(Into::into);
    tx.host_update_facts(id, &stored.facts).await.unwrap();
    let stored = tx.host_find(id).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    app.live.put(profile_of(&stored));
    maintain::plan(app, app.clock.now());
    fleet.connect(id);
    id
}

/// Ports of the host run out then, by a forecast that is put in the detector's place.
async fn leaks(fleet: &MadeUp, id: HostId, eta: Timestamp) {
    let app = &fleet.started.app;
    fleet
        .deliver(id, vec![sample(app.clock.now(), CAPACITY / 2, 0)])
        .await;
    app.live.update(id, |host| {
        let key = PortSpaceKey::own(Protocol::Tcp);
        let space = host.spaces.get_mut(&key).unwrap();
        space.forecast.floor_ports_per_hour = Some(1_000.0);
        space.forecast.road = Some(Road::Leak);
        space.forecast.eta = Some(Eta {
            at: eta,
            earliest: eta.saturating_sub(Duration::from_secs(600)),
            latest: None,
        });
    });
}

async fn look(fleet: &MadeUp) -> u64 {
    let reconciler = Reconciler::new(Arc::clone(&fleet.started.app));
    reconciler.activate().await.unwrap().suppressed
}

async fn incident_of(fleet: &MadeUp, host: &str) -> IncidentView {
    let page: Page<IncidentView> = get(fleet, &format!("/api/v1/incidents?host={host}")).await;
    assert_eq!(page.items.len(), 1, "{:#?}", page.items);
    page.items.into_iter().next().unwrap()
}

#[tokio::test]
async fn a_window_is_applied_changed_and_deleted_with_who_did_it() {
    let fleet = MadeUp::start().await;
    host(&fleet, "db-1", None).await;
    let later = fleet.started.app.clock.now().saturating_add(HOUR);
    let wish = window("night", later, "4h");
    let dry = put(&fleet, "?dry_run=true", json!([wish.clone()])).await;
    let dry: WindowsApplied = dry.json().await.unwrap();
    assert!(dry.dry_run);
    assert_eq!(
        (&*dry.windows[0].outcome, dry.windows[0].hosts),
        ("created", 1)
    );
    assert_eq!(dry.windows[0].times.zones[0].occurrences.len(), 10);
    let none: Page<WindowView> = get(&fleet, "/api/v1/windows").await;
    assert!(none.items.is_empty(), "a dry run stores nothing");

    let outcomes = [
        ("4h", "created", 1),
        ("4h", "unchanged", 1),
        ("5h", "changed", 2),
    ];
    for (duration, outcome, version) in outcomes {
        let done = apply(&fleet, window("night", later, duration)).await;
        let done = &done.windows[0];
        assert_eq!((&*done.outcome, done.version), (outcome, version));
    }
    let list: Page<WindowView> = get(&fleet, "/api/v1/windows").await;
    let [view] = list.items.as_slice() else {
        panic!("one window: {list:#?}");
    };
    assert_eq!(
        (&*view.applied_by, view.hosts, &*view.spec.duration),
        ("test", 1, "5h")
    );
    let next = view.next.as_ref().unwrap();
    assert_eq!(next.starts_ms, later.unix_ms() / 1_000 * 1_000);
    let hosts: Page<HostView> = get(&fleet, "/api/v1/hosts").await;
    let standing = hosts.items[0].window.as_ref().unwrap();
    assert_eq!((&*standing.name, standing.is_open), ("night", false));

    let gone = ask(&fleet, Method::DELETE, "/api/v1/windows/night", None).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let again = ask(&fleet, Method::DELETE, "/api/v1/windows/night", None).await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    let detail: WindowDetail = get(&fleet, "/api/v1/windows/night").await;
    assert_eq!(detail.window, None);
    let versions: Vec<_> = detail
        .versions
        .iter()
        .map(|one| (one.version, one.spec.is_some(), one.applied_by.as_str()))
        .collect();
    assert_eq!(
        versions,
        [(3, false, "test"), (2, true, "test"), (1, true, "test")]
    );
    let hosts: Page<HostView> = get(&fleet, "/api/v1/hosts").await;
    assert_eq!(hosts.items[0].window, None);

    let dry = put(&fleet, "?dry_run=true", json!([&wish])).await;
    let dry: WindowsApplied = dry.json().await.unwrap();
    let told = &dry.windows[0];
    let done = apply(&fleet, wish).await;
    let done = &done.windows[0];
    assert_eq!((&*done.outcome, done.version), ("created", 4));
    assert_eq!((&*told.outcome, told.version), ("created", 4));
}

#[tokio::test]
async fn windows_that_cannot_be_are_refused_whole_and_all_is_said() {
    let fleet = MadeUp::start().await;
    let later = fleet.started.app.clock.now().saturating_add(HOUR);
    let good = window("good", later, "4h");
    let mut hostile = window("a\nb", later, "9d");
    hostile["recurrence"] = json!("FREQ=SECONDLY;COUNT=99999999");
    let mut never = window("never", later, "4h");
    never["recurrence"] = json!("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30");
    let refused = put(&fleet, "", json!([good, hostile, never, good])).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let title = refused.text().await.unwrap();
    for part in [
        "it must be 1 to 63",
        "duration is 9d; it must be 5m to 7d",
        "FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY",
        "never comes again",
        "there twice",
    ] {
        assert!(title.contains(part), "{part}: {title}");
    }
    let list: Page<WindowView> = get(&fleet, "/api/v1/windows").await;
    assert!(list.items.is_empty(), "all or none");
    let mut unknown = window("x", later, "4h");
    unknown["silence"] = json!(true);
    let refused = put(&fleet, "", json!([unknown]))
        .await
        .text()
        .await
        .unwrap();
    assert!(refused.contains("unknown field `silence`"), "{refused}");
    for path in ["/api/v1/windows/none/next", "/api/v1/windows/none"] {
        let missing = ask(&fleet, Method::GET, path, None).await;
        assert_eq!(missing.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_window_in_each_hosts_own_time_is_told_by_zone_and_unknown_zones_are_said() {
    let fleet = MadeUp::start().await;
    host(&fleet, "vie", Some("Europe/Vienna")).await;
    host(&fleet, "nyc", Some("America/New_York")).await;
    host(&fleet, "lost", Some("Mars/Olympus")).await;
    let mut wish = window("night", Timestamp::EPOCH, "4h");
    wish["start"] = json!("2026-01-03T02:30");
    wish["recurrence"] = json!("FREQ=DAILY");
    wish["time_zone"] = json!("host-local");
    apply(&fleet, wish).await;
    let times: WindowTimes = get(&fleet, "/api/v1/windows/night/next?count=3").await;
    assert_eq!((times.zones.len(), times.hosts_without_zone), (2, 1));
    for zone in &times.zones {
        assert_eq!((zone.hosts, zone.occurrences.len()), (1, 3));
        let wall = &zone.occurrences[0].starts_local;
        assert!(
            wall.contains(" 02:30 ") || wall.contains(" 03:30 "),
            "{wall}"
        );
    }
    let one: WindowTimes = get(&fleet, "/api/v1/windows/night/next?host=nyc").await;
    assert_eq!(one.zones[0].time_zone, "America/New_York");
    let hosts: Page<HostView> = get(&fleet, "/api/v1/hosts?text=lost").await;
    assert_eq!(hosts.items[0].window, None);
    assert_eq!(hosts.items[0].windows_without_zone, ["night"]);
    let other = fleet.host("web").await;
    let path = format!("/api/v1/windows/night/next?host={other}");
    let refused = ask(&fleet, Method::GET, &path, None).await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    assert!(refused.text().await.unwrap().contains("tier=db"));

    let feed = ask(&fleet, Method::GET, "/windows.ics", None).await;
    let kind = feed.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(kind, "text/calendar; charset=utf-8");
    let calendar: icalendar::Calendar = feed.text().await.unwrap().parse().unwrap();
    // 180 days in two zones; one of them may be in a window at this moment.
    assert!(
        (360..=364).contains(&calendar.components.len()),
        "{}",
        calendar.components.len()
    );
}

#[tokio::test]
async fn a_leak_is_urgent_only_where_the_ports_do_not_last_until_the_window() {
    let fleet = MadeUp::start().await;
    let now = fleet.started.app.clock.now();
    let (lasts, fails) = (
        host(&fleet, "lasts", None).await,
        host(&fleet, "fails", None).await,
    );
    let begins = now.saturating_add(3 * HOUR);
    apply(&fleet, window("soon", begins, "1h")).await;
    leaks(&fleet, lasts, now.saturating_add(4 * HOUR)).await;
    leaks(&fleet, fails, now.saturating_add(2 * HOUR)).await;
    look(&fleet).await;
    let incident = incident_of(&fleet, "fails").await;
    assert_eq!(incident.severity, "critical");
    assert_eq!(
        incident.window.unwrap().survives.as_deref(),
        Some("will_not")
    );
    let incident = incident_of(&fleet, "lasts").await;
    assert_eq!(incident.severity, "info", "it waits for its window");
    let standing = incident.window.unwrap();
    assert_eq!(
        (&*standing.name, standing.survives.as_deref()),
        ("soon", Some("will"))
    );
    let list: Page<WindowView> = get(&fleet, "/api/v1/windows").await;
    assert_eq!(list.items[0].hosts_in_danger, 1);

    let html = ask(&fleet, Method::GET, "/maintenance", None).await;
    let html = html.text().await.unwrap();
    for part in [
        "soon",
        "will not last until it begins",
        "before its window",
        ">fails<",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains(">lasts<"), "{html}");
    assert!(!html.contains(" style=") && !html.contains(" onclick="));
    let html = ask(&fleet, Method::GET, &format!("/hosts/{fails}"), None).await;
    assert!(
        html.text()
            .await
            .unwrap()
            .contains("will not last until it begins")
    );

    // Without its window nothing is left to wait for.
    ask(&fleet, Method::DELETE, "/api/v1/windows/soon", None).await;
    look(&fleet).await;
    assert_eq!(incident_of(&fleet, "lasts").await.severity, "critical");
}

#[tokio::test]
async fn an_incident_in_a_window_is_suppressed_counted_and_told_when_the_window_ends() {
    let fleet = MadeUp::start_with(nobody()).await;
    let app = Arc::clone(&fleet.started.app);
    let id = host(&fleet, "db-1", None).await;
    // Five minutes is the shortest window; of this one a few seconds are left.
    let end = app.clock.now().saturating_add(Duration::from_secs(15));
    let begins = end.saturating_sub(Duration::from_secs(300));
    let mut wish = window("patching", begins, "5m");
    wish["silences_incidents"] = json!(true);
    apply(&fleet, wish).await;
    fleet
        .deliver(id, vec![sample(app.clock.now(), CAPACITY, 0)])
        .await;
    assert_eq!(look(&fleet).await, 1, "it is counted");
    let incident = incident_of(&fleet, "db-1").await;
    let silence = incident.silenced_by_window.unwrap();
    assert_eq!(silence.name, "patching");
    assert_eq!(silence.until_ms, end.unix_ms() / 1_000 * 1_000);
    let dispatcher = Dispatcher::new(Arc::clone(&app));
    dispatcher.activate().await.unwrap();
    let quiet: Page<NotificationView> = get(&fleet, "/api/v1/notifications").await;
    assert!(quiet.items.is_empty(), "{quiet:#?}");
    let page = ask(&fleet, Method::GET, "/incidents", None).await;
    let page = page.text().await.unwrap();
    assert!(
        page.contains("silenced by the window patching until"),
        "{page}"
    );

    let told = async {
        loop {
            let told: Page<NotificationView> = get(&fleet, "/api/v1/notifications").await;
            if let Some(message) = told.items.into_iter().next() {
                return message;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(60), told)
        .await
        .unwrap();
    assert_eq!(told.incidents, [incident.id]);
    assert!(
        told.created_ms >= silence.until_ms,
        "not before it was over"
    );
    assert_eq!(look(&fleet).await, 0);
    assert_eq!(incident_of(&fleet, "db-1").await.silenced_by_window, None);
}
