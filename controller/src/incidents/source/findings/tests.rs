//! Which findings become problems, and which stay advice.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_model::sample::{AgentCost, CountQuality, CounterRates};
use tidemark_model::{HostState, PortSpaceKey, Protocol, Sample};

use super::*;
use crate::live::{HostProfile, Level, SpaceLive};

const AT: Timestamp = Timestamp::from_unix_ms(1_795_395_959_000);

/// A host that has `in_use` of 1,000 TCP ports in use.
fn host(in_use: u32) -> HostLive {
    let mut host = HostLive::new(HostProfile {
        id: HostId::of_identity_spki(b"web-1"),
        name: "web-1".into(),
        os: "Linux".into(),
        boot_id: "b-1".into(),
        agent_version: "0.1.0".into(),
        capabilities: vec![],
        labels: BTreeMap::new(),
        own_labels: BTreeMap::new(),
        controller_labels: BTreeMap::new(),
        labels_generation: 0,
        time_zone: None,
        standing: HostState::Enrolled,
        enrolled_at: AT,
        certificate_expires_at: None,
    });
    let level = Level {
        at: AT,
        capacity: 1_000,
        strong: in_use,
        time_wait: 0,
        bound: None,
        quality: CountQuality::Counted,
    };
    let detector = tidemark_detect::SpaceDetector::new(host.detector_settings());
    host.spaces.insert(
        PortSpaceKey::own(Protocol::Tcp),
        SpaceLive::new(level, detector),
    );
    host
}

fn finding(rule: &str, confidence: f64, other: Value) -> Finding {
    let mut json = json!({
        "rule": rule, "title": format!("it is {rule}"), "severity": "warning", "confidence": confidence,
        "confidence_reasons": [], "culprit": "w3wp.exe", "process": null, "port_space": "tcp/default",
        "evidence": ["W3SVC holds 900 ports."], "since_ms": null, "missing": [], "caused_by": null, "effects": [],
        "playbook": [{"text": "Restart it", "tier": 1, "action": null, "disturbs": "its users", "verify": "its ports are back"}],
    });
    let (Some(whole), Some(other)) = (json.as_object_mut(), other.as_object()) else {
        panic!("objects");
    };
    whole.extend(other.clone());
    serde_json::from_value(json).unwrap()
}

fn look(findings: Vec<Finding>) -> Arc<Look> {
    Arc::new(Look::after(None, findings, AT))
}

/// Kinds and severities of the problems, while `open` has an incident.
fn told(host: &HostLive, look: &Look, open: Option<&Problem>) -> Vec<(String, Severity)> {
    of_look(look, host, &opened(open), AT)
        .into_iter()
        .map(|told| (told.problem.kind, told.problem.at_least))
        .collect()
}

fn opened(problem: Option<&Problem>) -> Open<'_> {
    let place = |problem: &Problem| (problem.hosts[0], "tcp/default");
    problem.iter().map(|one| (place(one), *one)).collect()
}

fn kind(rule: &str, severity: Severity) -> (String, Severity) {
    (rule.to_owned(), severity)
}

#[test]
fn only_what_is_sure_is_a_problem_and_only_what_cannot_wait_is_critical() {
    let host = host(300);
    let alone = |finding| told(&host, &look(vec![finding]), None);
    let warning = alone(finding("bound_leak", 0.6, json!({})));
    assert_eq!(warning, [kind("bound_leak", Severity::Warning)]);
    let critical = alone(finding(
        "hidden_owner",
        0.8,
        json!({"severity": "critical"}),
    ));
    assert_eq!(critical, [kind("hidden_owner", Severity::Critical)]);
    let brief = look(vec![finding(
        "hidden_owner",
        0.8,
        json!({"severity": "critical"}),
    )]);
    let earlier = Timestamp::from_unix_ms(AT.unix_ms() - 1);
    let brief = of_look(&brief, &host, &Open::new(), earlier).remove(0);
    assert_eq!(brief.problem.at_least, Severity::Warning, "for a moment");
    let unsure = finding("hidden_owner", 0.59, json!({"severity": "critical"}));
    assert_eq!(alone(unsure), []);
    let effect = finding(
        "destination_saturated",
        0.9,
        json!({"caused_by": "time_wait_churn"}),
    );
    assert_eq!(alone(effect), []);
    for rule in ["ports_run_out", "fleet_regression", "downstream_symptoms"] {
        assert_eq!(alone(finding(rule, 0.95, json!({}))), [], "{rule}");
    }
}

#[test]
fn a_setting_is_advice_until_the_ports_that_it_leaves_run_short() {
    let look = look(vec![finding("excluded_range_shrink", 0.9, json!({}))]);
    let problem = [kind("excluded_range_shrink", Severity::Warning)];
    assert_eq!(told(&host(499), &look, None), []);
    assert_eq!(told(&host(500), &look, None), problem);
    let open = of_look(&look, &host(500), &Open::new(), AT)
        .remove(0)
        .problem;
    assert_eq!(told(&host(400), &look, Some(&open)), problem, "it stays");
    assert_eq!(told(&host(399), &look, Some(&open)), []);
}

#[test]
fn a_port_space_has_one_problem_and_the_open_one_stays() {
    let host = host(300);
    let loop_ = finding("retry_loop", 0.8, json!({"severity": "critical"}));
    let both = look(vec![loop_, finding("bound_leak", 0.5, json!({}))]);
    let first = kind("retry_loop", Severity::Critical);
    assert_eq!(told(&host, &both, None), [first]);
    let leak = look(vec![finding("bound_leak", 0.9, json!({}))]);
    let open = of_look(&leak, &host, &Open::new(), AT).remove(0).problem;
    let problems = of_look(&both, &host, &opened(Some(&open)), AT);
    let [told] = problems.as_slice() else {
        panic!("one of a port space");
    };
    assert!(told.is_open);
    assert_eq!(told.problem.kind, "bound_leak", "less sure, but told last");
    assert_eq!(told.problem.at_least, Severity::Critical, "the other's");
    let evidence = &told.problem.evidence;
    let also = "Also found: it is retry_loop (retry_loop, 80 % sure).";
    assert!(evidence.iter().any(|line| line == also), "{evidence:?}");
    let other = look(vec![finding("retry_loop", 0.8, json!({}))]);
    let told = of_look(&other, &host, &opened(Some(&open)), AT).remove(0);
    assert_eq!(told.problem.kind, "retry_loop");
    assert_eq!(
        told.problem.key, open.key,
        "another diagnosis, no other incident"
    );
}

#[test]
fn a_problem_says_since_when_by_the_controllers_clock_and_what_to_do() {
    let mut ahead = host(300);
    let sample = Sample {
        at: AT.saturating_add(Duration::from_secs(60)),
        booted_at: AT,
        interval_ms: 30_000,
        port_spaces: vec![],
        rates: CounterRates::default(),
        host_handles: None,
        probes: vec![],
        cost: AgentCost::default(),
    };
    ahead.newest = Some((AT, Arc::new(sample)));
    let began = AT.unix_ms() - 600_000;
    let since = began + 60_000;
    let look = look(vec![finding("bound_leak", 0.9, json!({"since_ms": since}))]);
    let problem = of_look(&look, &ahead, &Open::new(), AT).remove(0).problem;
    assert_eq!(problem.since.unix_ms(), began);
    assert_eq!(problem.sure, Sureness::Percent(90));
    assert_eq!(
        problem.advice,
        ["Restart it; it disturbs its users, and helped when its ports are back"]
    );
}

#[test]
fn every_rule_has_its_place_in_the_documents() {
    let documents = include_str!("../../../../../docs/DIAGNOSIS.md");
    for rule in Rule::ALL {
        let place = format!("<a id=\"{}\"></a>", rule.as_str());
        assert!(documents.contains(&place), "{place}");
    }
}
