//! Maintenance windows at the command line.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{delete, get};
use insta::assert_snapshot;
use tidemark_model::view::{
    OccurrenceView, Page, WindowChange, WindowDetail, WindowTimes, WindowVersionView, WindowView,
    WindowsApplied, WindowsRequest, ZoneTimes,
};
use tidemark_model::window::WindowSpec;

use crate::controller::Controller;
use crate::fixtures::{DAY, HOSTILE, HOUR, NOW};

/// What the canned controller serves of windows.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let one = get(async || Json(detail())).merge(delete(async || StatusCode::NO_CONTENT));
    Router::new()
        .route("/api/v1/windows", get(async || Json(list())).put(apply))
        .route("/api/v1/windows/{name}", one)
        .route("/api/v1/windows/{name}/next", get(next))
}

fn list() -> Page<WindowView> {
    Page {
        items: vec![window("night", 3 * DAY), window("open", -HOUR)],
        next_cursor: None,
    }
}

fn spec(name: &str) -> WindowSpec {
    WindowSpec {
        name: name.to_owned(),
        description: HOSTILE.to_owned(),
        recurrence: "FREQ=WEEKLY;BYDAY=SA".to_owned(),
        start: "2026-12-05T02:00".to_owned(),
        duration: "4h".to_owned(),
        time_zone: "Europe/Vienna".to_owned(),
        exclude: vec!["2026-12-26".to_owned()],
        hosts: vec!["tier=web".to_owned()],
        silences_incidents: true,
    }
}

fn occurrence(starts_in: i64) -> OccurrenceView {
    OccurrenceView {
        starts_ms: NOW + starts_in,
        ends_ms: NOW + starts_in + 4 * HOUR,
        starts_local: "Sat 2026-12-05 02:00 +01:00".to_owned(),
        time_zone: "Europe/Vienna".to_owned(),
    }
}

fn window(name: &str, starts_in: i64) -> WindowView {
    WindowView {
        spec: spec(name),
        version: 2,
        applied_by: "ann".to_owned(),
        applied_ms: NOW - DAY,
        hosts: 12,
        hosts_without_zone: 1,
        hosts_in_danger: u64::from(starts_in > 0) * 3,
        next: Some(occurrence(starts_in)),
    }
}

fn detail() -> WindowDetail {
    let version = |version, spec| WindowVersionView {
        version,
        applied_ms: NOW - DAY,
        applied_by: HOSTILE.to_owned(),
        spec,
    };
    WindowDetail {
        window: Some(window("night", 3 * DAY)),
        versions: vec![version(3, Some(spec("night"))), version(2, None)],
    }
}

fn times(name: &str, zone: &str, count: usize) -> WindowTimes {
    let weeks = (0..count).map(|week| i64::try_from(week).unwrap() * 7 * DAY + DAY);
    WindowTimes {
        window: name.to_owned(),
        zones: vec![ZoneTimes {
            time_zone: zone.to_owned(),
            hosts: 11,
            occurrences: weeks.map(occurrence).collect(),
        }],
        zones_left_out: 0,
        hosts_without_zone: 1,
    }
}

async fn next(
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<WindowTimes> {
    let zone = match query.get("host") {
        Some(_) => "America/New_York",
        None => "Europe/Vienna",
    };
    Json(times(&name, zone, query["count"].parse().unwrap()))
}

async fn apply(Query(query): Query<BTreeMap<String, String>>, body: Bytes) -> Json<WindowsApplied> {
    let wanted: WindowsRequest = serde_json::from_slice(&body).unwrap();
    let change = |spec: WindowSpec| WindowChange {
        outcome: "created".to_owned(),
        version: 1,
        hosts: 12,
        times: times(&spec.name, &spec.time_zone, 2),
        name: spec.name,
    };
    Json(WindowsApplied {
        dry_run: query.contains_key("dry_run"),
        windows: wanted.window.into_iter().map(change).collect(),
    })
}

#[test]
fn windows_are_listed_with_when_they_come_and_who_is_in_danger() {
    assert_snapshot!(Controller::start().stdout(&["get", "windows"]));
}

#[test]
fn a_window_is_described_with_its_versions() {
    let text = Controller::start().stdout(&["describe", "window", "night"]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_snapshot!(text);
}

#[test]
fn the_next_times_are_told_for_all_zones_or_one_host() {
    let controller = Controller::start();
    let all = controller.stdout(&["window", "next", "night", "--count", "3"]);
    assert_snapshot!(all);
    let one = controller.stdout(&["window", "next", "night", "--host", "web-1", "-o", "csv"]);
    assert_eq!(one.lines().count(), 11, "ten times and the header: {one}");
    assert!(one.contains("America/New_York"), "{one}");
}

#[test]
fn files_of_both_forms_are_applied_together_or_tried() {
    let controller = Controller::start();
    let folder = tempfile::tempdir().unwrap();
    let (toml, yaml) = (folder.path().join("a.toml"), folder.path().join("b.yaml"));
    let window = |spec: &WindowSpec| serde_json::json!({ "window": [spec] });
    std::fs::write(&yaml, window(&spec("night")).to_string()).unwrap();
    let text = "[[window]]\nname = \"day\"\nrecurrence = \"FREQ=DAILY\"\nstart = \"2026-12-05T12:00\"\n\
                duration = \"1h\"\ntime_zone = \"UTC\"\nhosts = [\"host=*\"]\n";
    std::fs::write(&toml, text).unwrap();
    let (toml, yaml) = (toml.to_str().unwrap(), yaml.to_str().unwrap());
    let applied = controller.stdout(&["apply", "-f", toml, "-f", yaml]);
    assert_snapshot!(applied);
    let tried = controller.stdout(&["apply", "-f", toml, "--dry-run"]);
    assert!(tried.starts_with("Nothing is stored"), "{tried}");
    assert!(tried.contains("BEGINS THERE"), "{tried}");
    let removed = controller.stdout(&["window", "remove", "night", "day"]);
    assert_eq!(removed, "deleted window night\ndeleted window day\n");
}
