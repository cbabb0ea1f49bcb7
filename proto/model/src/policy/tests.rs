//! What a policy must be, and what is said of one that is not.

use serde_json::{Value, json};

use super::*;
use crate::action::ActionSpec;

fn read(value: Value) -> Result<Policy, Vec<String>> {
    Policy::read(serde_json::from_value(value).map_err(|error| vec![error.to_string()])?)
}

fn with(field: &str, value: Value) -> Value {
    let mut policy = json!({
        "name": "leak", "hosts": ["tier=web"], "condition": {"level": 90},
        "ladder": [{"action": "restart_service", "with": ["service=appsvc"]}],
    });
    policy[field] = value;
    policy
}

#[test]
fn a_short_policy_is_read_with_its_defaults_and_written_as_it_is_read() {
    let policy = read(with("description", json!(""))).unwrap();
    assert_eq!(policy.hold, Duration::from_secs(300));
    assert_eq!(policy.cooldown, Duration::from_secs(3_600));
    let spec = &policy.spec;
    assert!(spec.enabled);
    assert_eq!(spec.approval, PolicyApproval::Required);
    assert_eq!(
        (spec.order, spec.when),
        (RungOrder::AsWritten, ActWhen::Now)
    );
    assert_eq!((spec.limits.per_day, spec.limits.concurrent), (2, 1));
    let Some(RungDeed::Ready(ActionSpec::RestartService { service, .. })) =
        policy.ladder.first().map(|rung| &rung.deed)
    else {
        panic!("a restart: {policy:?}");
    };
    assert_eq!(service, "appsvc");
    let again = serde_json::to_value(spec).unwrap();
    assert_eq!(read(again), Ok(policy.clone()));
    assert_eq!(policy.requester(3), "policy:leak@3");
}

#[test]
fn every_condition_is_read_and_says_what_it_is() {
    for (condition, words) in [
        (
            json!({"level": 90, "protocol": "udp"}),
            "90 % of udp ports are in use",
        ),
        (json!({"eta": "4h"}), "tcp ports run out within 4h"),
        (
            json!({"eta": "window"}),
            "tcp ports run out before the next window",
        ),
        (
            json!({"finding": "bound_leak"}),
            "bound_leak is found, 60 % sure",
        ),
        (
            json!({"event": "Tcpip/4231"}),
            "event Tcpip/4231 was told within 10m",
        ),
        (
            json!({"incident": "leak"}),
            "an incident of kind leak is open",
        ),
        (json!({"budget": "billing"}), "budget billing is exceeded"),
    ] {
        let policy = read(with("condition", condition.clone()));
        assert_eq!(policy.unwrap().condition.to_string(), words, "{condition}");
    }
}

#[test]
fn a_rung_may_name_the_culprit_where_there_is_a_typed_way() {
    let ladder = json!([
        {"action": "restart_service", "subject": "culprit", "with": ["stop_timeout_s=30"], "wait": "10m"},
        {"action": "end_process", "subject": "culprit"},
    ]);
    let policy = read(with("ladder", ladder)).unwrap();
    let deeds: Vec<RungDeed> = policy.ladder.into_iter().map(|rung| rung.deed).collect();
    assert_eq!(
        deeds,
        [
            RungDeed::RestartCulprit {
                stop_timeout_s: 30,
                on_hang: crate::action::spec::OnHang::Fail
            },
            RungDeed::EndCulprit
        ]
    );
}

/// A field, a value that it must not have, and how the problem begins.
const WRONG: &[(&str, &str, &str)] = &[
    ("name", r#""Leak!""#, "name must be 1 to 64"),
    ("hosts", "[]", "hosts has 0 matchers; it must have 1 to 20"),
    ("hosts", r#"["tier"]"#, r#"hosts: "tier" is no matcher"#),
    (
        "for",
        r#""8d""#,
        r#"for is "8d"; it must be a duration of 0s to 7d"#,
    ),
    ("approve_within", r#""14d""#, r#"approve_within is "14d""#),
    ("condition", "{}", "condition has 0 of level, eta"),
    (
        "condition",
        r#"{"level": 90, "eta": "4h"}"#,
        "condition has 2 of level, eta",
    ),
    (
        "condition",
        r#"{"level": 0}"#,
        "condition.level is 0; it must be 1 to 100",
    ),
    (
        "condition",
        r#"{"level": 90, "confidence": 80}"#,
        "condition.confidence goes with",
    ),
    (
        "condition",
        r#"{"level": 90, "protocol": "sctp"}"#,
        "condition.protocol must be",
    ),
    (
        "condition",
        r#"{"finding": "gremlins"}"#,
        r#"condition.finding is "gremlins", which is no rule"#,
    ),
    (
        "condition",
        r#"{"event": "4231"}"#,
        r#"condition.event is "4231"; write SOURCE/ID"#,
    ),
    (
        "condition",
        r#"{"incident": "gremlins"}"#,
        r#"condition.incident is "gremlins""#,
    ),
    (
        "condition",
        r#"{"budget": "billing", "within": "5m"}"#,
        "condition.within goes with",
    ),
    (
        "condition",
        r#"{"event": "a/1", "within": "5m"}"#,
        "for is 5m, as long as an event counts",
    ),
    ("ladder", "[]", "ladder has 0 rungs; it must have 1 to 10"),
    (
        "ladder",
        r#"[{"action": "dance"}]"#,
        r#"ladder[0].action: "dance" is no action"#,
    ),
    (
        "ladder",
        r#"[{"action": "restart_service"}]"#,
        "ladder[0].action: restart_service: missing field",
    ),
    (
        "ladder",
        r#"[{"action": "end_process", "with": ["pid=0", "started_at_ms=1", "image=a"]}]"#,
        "ladder[0].with: pid",
    ),
    (
        "ladder",
        r#"[{"action": "reboot", "subject": "culprit"}]"#,
        r#"ladder[0].subject "culprit" is for restart_service"#,
    ),
    (
        "ladder",
        r#"[{"action": "restart_service", "subject": "culprit", "with": ["service=x"]}]"#,
        r#"ladder[0].subject "culprit""#,
    ),
    (
        "ladder",
        r#"[{"action": "restart_service", "subject": "{service}"}]"#,
        r#"ladder[0].subject is "{service}""#,
    ),
    (
        "ladder",
        r#"[{"action": "run_hook", "with": ["name=a"]}, {"action": "run_hook", "with": ["name=a"]}]"#,
        "ladder[1] does the same as ladder[0]",
    ),
    (
        "ladder",
        r#"[{"action": "collect_evidence", "with": ["seconds=5"], "wait": "2d"}]"#,
        r#"ladder[0].wait is "2d""#,
    ),
    (
        "limits",
        r#"{"per_day": 25}"#,
        "limits.per_day is 25; it must be 1 to 24",
    ),
    ("limits", r#"{"concurrent": 0}"#, "limits.concurrent is 0"),
    (
        "limits",
        r#"{"cooldown": "soon"}"#,
        r#"limits.cooldown is "soon""#,
    ),
];

#[test]
fn what_is_wrong_is_told_with_its_field_and_what_to_write() {
    for (field, value, part) in WRONG {
        let problems = read(with(field, serde_json::from_str(value).unwrap())).unwrap_err();
        let told = problems.iter().any(|problem| problem.starts_with(part));
        assert!(told, "{field} = {value}: {problems:?}");
    }
}

#[test]
fn a_policy_approves_only_what_is_reversible() {
    let mut policy = with("approval", json!("by_policy"));
    assert!(read(policy.clone()).is_ok());
    policy["ladder"] = json!([
        {"action": "collect_evidence", "with": ["seconds=5"]},
        {"action": "end_process", "subject": "culprit"},
    ]);
    let problems = read(policy.clone()).unwrap_err();
    assert!(
        problems[0].starts_with("ladder[1].action end_process is of tier 2"),
        "{problems:?}"
    );
    policy["approval"] = json!("required");
    assert!(read(policy).is_ok());
}

#[test]
fn only_standing_policies_ask_in_the_name_of_a_policy() {
    assert_eq!(asking_policy(&requester_of("full", 3)), Some("full"));
    for person in ["ann", "policy:full", "run:full@3"] {
        assert_eq!(asking_policy(person), None);
    }
}
