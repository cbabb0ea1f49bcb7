//! Standing policies at the command line.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{delete, get, post};
use insta::assert_snapshot;
use serde_json::{Value, json};
use tidemark_model::action::ActionState;
use tidemark_model::policy::{CaseState, PolicySpec};
use tidemark_model::view::{
    CaseView, Page, PoliciesApplied, PoliciesRequest, PolicyChange, PolicyDetail, PolicyReplay,
    PolicyVersionView, PolicyView, ReplayFiring, TriedView,
};

use crate::controller::Controller;
use crate::fixtures::{DAY, HOSTILE, HOUR, NOW};

/// What the canned controller serves of policies.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let one = get(async || Json(detail())).merge(delete(async || StatusCode::NO_CONTENT));
    Router::new()
        .route("/api/v1/policies", get(async || Json(list())).put(apply))
        .route("/api/v1/policies/{name}", one)
        .route("/api/v1/policies/{name}/dry-run", post(dry_run))
}

fn written(name: &str) -> Value {
    json!({
        "name": name, "description": HOSTILE, "hosts": ["tier=web"], "condition": {"level": 90},
        "ladder": [
            {"action": "restart_service", "with": ["service=appsvc"], "wait": "10m"},
            {"action": "end_process", "subject": "culprit"},
        ],
        "order": "by_recovery",
    })
}

fn spec(name: &str) -> PolicySpec {
    serde_json::from_value(written(name)).unwrap()
}

fn policy(name: &str, state: &str) -> PolicyView {
    PolicyView {
        spec: spec(name),
        version: 2,
        applied_by: "ann".to_owned(),
        applied_ms: NOW - DAY,
        condition: "90 % of tcp ports are in use".to_owned(),
        hosts: 12,
        state: state.to_owned(),
        holding: 0,
        acting: 0,
        escalated: u64::from(state == "escalated"),
        fired: 3,
        verified: 2,
        fired_ms: Some(NOW - HOUR),
    }
}

fn list() -> Page<PolicyView> {
    Page {
        items: vec![policy("full", "escalated"), policy("quiet", "idle")],
        next_cursor: None,
    }
}

fn detail() -> PolicyDetail {
    let version = |version, spec| PolicyVersionView {
        version,
        applied_ms: NOW - DAY,
        applied_by: HOSTILE.to_owned(),
        spec,
    };
    PolicyDetail {
        policy: Some(policy("full", "escalated")),
        cases: vec![CaseView {
            id: 4,
            version: 2,
            host: "h1".to_owned(),
            host_name: Some("web-1".to_owned()),
            state: CaseState::Escalated,
            since_ms: NOW - HOUR,
            fired_ms: Some(NOW - HOUR),
            ended_ms: None,
            seen: "tcp/default: 15,564 of 16,384 ports are in use".to_owned(),
            waits_for: None,
            incident: Some(7),
            action: None,
            tried: vec![TriedView {
                rung: 0,
                summary: "restart service appsvc".to_owned(),
                action: None,
                state: Some(ActionState::NotEffective),
                at_ms: NOW,
                text: String::new(),
            }],
            why: Some("nothing of its ladder helped".to_owned()),
        }],
        versions: vec![version(2, Some(spec("full"))), version(1, None)],
    }
}

fn replay(name: &str, days: i64) -> PolicyReplay {
    let firing = |host: &str, ago, escalated| ReplayFiring {
        host: host.to_owned(),
        host_name: host.to_owned(),
        since_ms: NOW - ago - HOUR,
        fired_ms: NOW - ago,
        escalated,
    };
    let is_unknown = name == "unknown";
    PolicyReplay {
        name: name.to_owned(),
        from_ms: NOW - days * DAY,
        to_ms: NOW,
        unknown: is_unknown.then(|| "history does not keep it".to_owned()),
        note: "levels are looked at in steps of 5 minutes".to_owned(),
        hosts: 12,
        hosts_left_out: 0,
        fired: 3,
        escalated: 1,
        firings: vec![
            firing("web-1", 5 * DAY, false),
            firing("web-1", 2 * DAY, false),
            firing("web-1", DAY, true),
            firing("web-2", HOUR, false),
        ],
    }
}

async fn dry_run(
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<PolicyReplay> {
    Json(replay(&name, query["days"].parse().unwrap()))
}

async fn apply(
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Json<PoliciesApplied> {
    let wanted: PoliciesRequest = serde_json::from_slice(&body).unwrap();
    let dry_run = query.contains_key("dry_run");
    let change = |spec: PolicySpec| PolicyChange {
        outcome: "created".to_owned(),
        version: 1,
        differences: vec!["+ for = \"5m\"".to_owned()],
        hosts: 12,
        hosts_without_window: 2,
        replay: dry_run.then(|| replay(&spec.name, 30)),
        name: spec.name,
    };
    Json(PoliciesApplied {
        dry_run,
        policies: wanted.policy.into_iter().map(change).collect(),
    })
}

#[test]
fn policies_are_listed_with_what_they_do() {
    assert_snapshot!(Controller::start().stdout(&["get", "policies"]));
}

#[test]
fn a_policy_is_described_with_what_it_did_and_its_versions() {
    let text = Controller::start().stdout(&["describe", "policy", "full"]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_snapshot!(text);
}

#[test]
fn what_a_policy_would_have_done_is_told_in_a_sentence_and_time_by_time() {
    let controller = Controller::start();
    assert_snapshot!(controller.stdout(&["policy", "dry-run", "full", "--days", "14"]));
    let unknown = controller.stdout(&["policy", "dry-run", "unknown"]);
    assert!(unknown.contains("nobody can tell what it would have done: history does not keep it"));
}

#[test]
fn a_file_is_applied_or_tried_and_policies_are_removed() {
    let controller = Controller::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policies.toml");
    let text = "[[policy]]\nname = \"full\"\nhosts = [\"tier=web\"]\ncondition = { level = 90 }\n\
                [[policy.ladder]]\naction = \"restart_service\"\nwith = [\"service=appsvc\"]\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    assert_snapshot!(controller.stdout(&["apply", "-f", file, "--dry-run"]));
    let applied = controller.stdout(&["apply", "-f", file]);
    assert!(
        applied.starts_with("policy full created, version 1, 12 hosts\n"),
        "{applied}"
    );
    let removed = controller.stdout(&["policy", "remove", "full", "quiet"]);
    assert_eq!(removed, "deleted policy full\ndeleted policy quiet\n");
}
