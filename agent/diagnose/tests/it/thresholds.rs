//! Every rule: what it fires at, what it is silent below, and what it says when it cannot see all.
//!
//! The figures are those of docs/DIAGNOSIS.md.

mod behaviour;
mod load;
mod ports;
mod windows;

use tidemark_diagnose::Situation;
use tidemark_model::Timestamp;
use tidemark_model::finding::Rule;

use crate::build::*;

/// One rule: a situation at its threshold, one just below, and, where it relies on something that can be missing, the first
/// one without it.
struct Case {
    rule: Rule,
    fires: Situation,
    culprit: Option<&'static str>,
    silent: Situation,
    blind: Option<Situation>,
}

#[test]
fn every_rule_fires_at_its_threshold_and_is_silent_below() {
    let cases = cases();
    for case in &cases {
        let name = case.rule.as_str();
        let found = find(&case.fires, case.rule)
            .unwrap_or_else(|| panic!("{name} does not fire: {:?}", rules(&case.fires)));
        assert_eq!(found.culprit.as_deref(), case.culprit, "{name}");
        assert!(
            found.confidence > 0.3 && found.confidence < 1.0,
            "{found:#?}"
        );
        assert!(
            !found.evidence.is_empty() && !found.playbook.is_empty(),
            "{found:#?}"
        );
        let below = find(&case.silent, case.rule);
        assert!(
            below.is_none(),
            "{name} fires below its threshold: {below:#?}"
        );
    }
    for rule in Rule::ALL {
        assert!(
            cases.iter().any(|case| case.rule == *rule),
            "{rule:?} is not tested"
        );
    }
}

#[test]
fn what_is_missing_lowers_the_confidence_and_is_named_but_silences_nothing() {
    let mut tested = 0;
    for case in cases() {
        let Some(blind) = &case.blind else { continue };
        let name = case.rule.as_str();
        let sure = find(&case.fires, case.rule).unwrap();
        let unsure = find(blind, case.rule)
            .unwrap_or_else(|| panic!("{name} is silenced by what is missing"));
        assert!(
            unsure.confidence < sure.confidence,
            "{name}: {} and {}",
            sure.confidence,
            unsure.confidence
        );
        assert!(
            unsure.missing.len() > sure.missing.len(),
            "{name}: {:?}",
            unsure.missing
        );
        tested += 1;
    }
    assert!(tested >= 18, "{tested}");
}

fn cases() -> Vec<Case> {
    let mut cases = ports::exhaustion();
    cases.extend(ports::leaks());
    cases.extend(load::load());
    cases.extend(load::settings());
    cases.extend(windows::faults_of_windows());
    cases.extend(behaviour::stuck());
    cases.extend(behaviour::histories());
    cases.extend(behaviour::of_linux());
    cases
}

#[test]
fn a_saved_log_alone_says_that_ports_ran_out_and_since_when() {
    let situation = host(SERVER_2019).events(&[
        event("Tcpip", 4_231, 7_200_000),
        event("Tcpip", 4_231, 60_000),
    ]);
    let found = find(&situation, Rule::TcpExhaustion).unwrap();
    assert_eq!(
        found.since_ms,
        Some(Timestamp::from_unix_ms(NOW_MS - 7_200_000))
    );
    assert!(found.evidence[0].contains("logged 2 times"), "{found:#?}");
    assert!(
        found.missing[0].contains("who held the ports"),
        "{found:#?}"
    );
}
