//! Budgets at the command line: applied from files, listed, described, deleted.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use insta::assert_snapshot;
use serde::Serialize;
use serde_json::Value;
use tidemark_model::view::{
    Allowed, BudgetChange, BudgetCounts, BudgetDetail, BudgetSpec, BudgetStanding, BudgetUse,
    BudgetVersionView, BudgetView, BudgetsApplied, Page, Problem,
};

use crate::controller::Controller;
use crate::fixtures::{HOSTILE, HOUR, MINUTE, NOW};

/// What the canned controller serves of budgets.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/api/v1/budgets",
            get(async || page(vec![budget()])).put(put),
        )
        .route("/api/v1/budgets/{name}", get(describe).delete(remove))
        .route("/api/v1/hosts/{host}/budgets", get(of_host))
}

fn page<T: Serialize>(items: Vec<T>) -> Json<Page<T>> {
    Json(Page {
        items,
        next_cursor: None,
    })
}

fn problem(status: StatusCode, title: &str) -> Response {
    let body = Problem {
        kind: "invalid_argument".to_owned(),
        status: status.as_u16(),
        title: title.to_owned(),
        correlation_id: None,
    };
    (status, Json(body)).into_response()
}

/// Echoes what came, as created.
async fn put(RawQuery(query): RawQuery, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let budgets = body["budget"].as_array().unwrap();
    if budgets.iter().any(|budget| budget["allow"].is_null()) {
        return problem(
            StatusCode::BAD_REQUEST,
            "budget \"bad\": allow must say what may be held",
        );
    }
    let change = |budget: &Value| BudgetChange {
        name: budget["name"].as_str().unwrap().to_owned(),
        outcome: "changed".to_owned(),
        version: 3,
        differences: vec![
            "- for = \"5m\"".to_owned(),
            format!("+ for = {}", budget["for"]),
        ],
        counts: BudgetCounts {
            within: 11,
            over: 1,
            exceeded: 0,
            unknown: 2,
        },
        over: vec![standing(HOSTILE, "over")],
    };
    let applied = BudgetsApplied {
        dry_run: query.as_deref() == Some("dry_run=true"),
        budgets: budgets.iter().map(change).collect(),
    };
    Json(applied).into_response()
}

async fn remove(Path(name): Path<String>) -> Response {
    if name == "billing" {
        StatusCode::NO_CONTENT.into_response()
    } else {
        problem(StatusCode::NOT_FOUND, "there is no such budget")
    }
}

/// `web-1` exceeds a budget; of `unsure-1` nobody can tell.
async fn of_host(Path(id): Path<String>) -> Json<Page<BudgetStanding>> {
    page(match id.as_str() {
        id if id.starts_with("web") => vec![standing("web-1", "exceeded")],
        id if id.starts_with("unsure") => vec![standing("unsure-1", "unknown")],
        _ => vec![standing("db-1", "within")],
    })
}

pub fn standing(host: &str, state: &str) -> BudgetStanding {
    let (used, most, of_limit) = match state {
        "within" => (120, Some(120), "within"),
        "unknown" => (1_900, Some(2_400), "unknown"),
        state => (2_100, Some(2_100), state),
    };
    let is_over = matches!(state, "over" | "exceeded");
    BudgetStanding {
        budget: "billing".to_owned(),
        subject: "process billing*".to_owned(),
        severity: "warning".to_owned(),
        host: "a".repeat(32),
        host_name: host.to_owned(),
        protocol: "tcp".to_owned(),
        namespace: "default".to_owned(),
        state: state.to_owned(),
        over_since_ms: is_over.then_some(NOW - 25 * MINUTE),
        culprit: Some(format!("billing-{HOSTILE}")),
        limits: vec![BudgetUse {
            what: "ports".to_owned(),
            used: Some(used),
            used_max: most,
            allowed: Some(2_000),
            state: of_limit.to_owned(),
        }],
        why_unknown: (state == "unknown").then(|| "some processes are only summed".to_owned()),
        advice: Some("recycle the pool".to_owned()),
    }
}

fn spec() -> BudgetSpec {
    BudgetSpec {
        name: "billing".to_owned(),
        hosts: vec!["tier=web".to_owned()],
        process: Some("billing*".to_owned()),
        service: None,
        watch_group: None,
        protocol: "tcp".to_owned(),
        namespace: "default".to_owned(),
        allow: BTreeMap::from([
            ("ports".to_owned(), Allowed::Count(2_000)),
            ("bound".to_owned(), Allowed::Share("5%".to_owned())),
        ]),
        hold: "10m".to_owned(),
        severity: "warning".to_owned(),
        advice: Some("recycle the pool".to_owned()),
    }
}

fn budget() -> BudgetView {
    let silent = BudgetStanding {
        limits: Vec::new(),
        why_unknown: Some("the host is offline".to_owned()),
        ..standing("old-1", "unknown")
    };
    BudgetView {
        spec: spec(),
        version: 2,
        applied_by: "ann".to_owned(),
        applied_ms: NOW - 2 * HOUR,
        counts: BudgetCounts {
            within: 1,
            over: 0,
            exceeded: 1,
            unknown: 2,
        },
        standings: vec![
            standing(HOSTILE, "exceeded"),
            silent,
            standing("unsure-1", "unknown"),
            standing("db-1", "within"),
        ],
        standings_left_out: 7,
    }
}

async fn describe() -> Json<BudgetDetail> {
    let version = |version: u64, spec: Option<BudgetSpec>| BudgetVersionView {
        version,
        at_ms: NOW - 2 * HOUR,
        by: "ann".to_owned(),
        spec,
    };
    Json(BudgetDetail {
        budget: budget(),
        versions: vec![version(2, Some(spec())), version(1, None)],
    })
}

fn file(controller: &Controller, name: &str, text: &str) -> String {
    let path = controller.home.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const TOML: &str = "[[budget]]\nname = \"billing\"\nprocess = \"billing*\"\nallow = { ports = 2000 }\nfor = \"10m\"\n";

#[test]
fn a_dry_run_shows_the_difference_and_who_is_over() {
    let controller = Controller::start();
    let path = file(&controller, "b.toml", TOML);
    assert_snapshot!(controller.stdout(&["apply", "-f", &path, "--dry-run"]));
    assert_eq!(
        controller.requests().last().unwrap(),
        "PUT /api/v1/budgets?dry_run=true"
    );
}

#[test]
fn files_are_applied_together_and_their_problems_come_from_the_controller() {
    let controller = Controller::start();
    let toml = file(&controller, "b.toml", TOML);
    let yaml = file(
        &controller,
        "c.yaml",
        "budget:\n- {name: sql, watch_group: sql, allow: {connections: 20%}, for: 1m}\n",
    );
    let said = controller.stdout(&["apply", "-f", &toml, "-f", &yaml]);
    assert!(
        said.contains("budget billing changed (version 3)"),
        "{said}"
    );
    assert!(said.contains("budget sql changed"), "{said}");
    assert!(!said.contains("dry-run"), "{said}");
    let bad = file(&controller, "d.yaml", "budget: [{name: bad}]");
    let refused = controller.run(&["apply", "-f", &toml, "-f", &bad]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("allow must say"),
        "{}",
        refused.stderr
    );
    let missing = controller.run(&["apply", "-f", "/nowhere.yaml"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stderr.contains("/nowhere.yaml"),
        "{}",
        missing.stderr
    );
}

#[test]
fn budgets_are_listed_with_what_each_host_uses_of_them() {
    let controller = Controller::start();
    assert_snapshot!(controller.stdout(&["get", "budgets"]));
    assert_snapshot!(controller.stdout(&["get", "budgets", "--host", "web-1"]));
    let json = controller.stdout(&["get", "budgets", "-o", "json"]);
    let read: Vec<BudgetView> = serde_json::from_str(&json).unwrap();
    assert_eq!(read, [budget()]);
    let csv = controller.stdout(&["get", "budgets", "-o", "csv"]);
    assert!(csv.contains(&format!("'{HOSTILE}")), "{csv}");
}

#[test]
fn a_budget_is_described_with_its_history() {
    assert_snapshot!(Controller::start().stdout(&["describe", "budget", "billing"]));
}

#[test]
fn budgets_are_deleted_by_name() {
    let controller = Controller::start();
    assert_eq!(
        controller.stdout(&["budget", "remove", "billing"]),
        "deleted budget billing\n"
    );
    let partly = controller.run(&["budget", "remove", "billing", "other"]);
    assert_eq!(partly.code, Some(3));
}
