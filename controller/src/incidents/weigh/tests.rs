//! What becomes of an incident in each case that a source can see.

use std::time::Duration;

use tidemark_model::forecast::Eta;
use tidemark_model::problem::{ProblemKey, Reason, Sureness};
use tidemark_model::{HostId, PortSpaceKey, Protocol};

use super::*;

const MINUTE_MS: i64 = 60_000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_unix_ms(minutes * MINUTE_MS)
}

fn scales(minutes: i64) -> Scales {
    Scales {
        rules: IncidentRules::default(),
        now: at(minutes),
        window: None,
    }
}

/// A leak that ends at `end`, seen at `seen`, both in minutes.
fn leak(seen: i64, end: i64) -> Problem {
    let host = HostId::of_identity_spki(b"web-1");
    let end = at(end);
    Problem {
        key: ProblemKey::Ports {
            host,
            space: PortSpaceKey::own(Protocol::Tcp),
        },
        kind: "leak".to_owned(),
        hosts: vec![host],
        culprit: Some("eater".to_owned()),
        cause: "eater takes ports".to_owned(),
        evidence: vec![],
        advice: vec![],
        since: at(seen),
        is_exhausted: false,
        eta: Some(Eta {
            at: end,
            earliest: end,
            latest: Some(end),
        }),
        at_least: Severity::Info,
        sure: Sureness::Interval,
        reason: None,
    }
}

fn seen(problem: Problem) -> Sight {
    Sight::Seen(Box::new(problem))
}

fn kinds(change: &Change) -> Vec<EntryKind> {
    change.entries.iter().map(|entry| entry.kind).collect()
}

/// An incident of a leak that ends in two days, opened at minute 0.
fn opened() -> Incident {
    scales(0).weigh_news(leak(0, 2 * 1_440), None).incident
}

#[test]
fn a_problem_is_opened_once_and_escalates_as_its_end_comes_near() {
    let opening = scales(0).weigh_news(leak(0, 2 * 1_440), None);
    assert_eq!(kinds(&opening), [EntryKind::Opened]);
    assert_eq!(opening.incident.severity, Severity::Warning);
    let again = scales(0).weigh(&opening.incident, seen(leak(0, 2 * 1_440)));
    assert_eq!(again, None, "nothing is stored without news");
    let later = 2 * 1_440 - 60;
    let near = scales(later)
        .weigh(&opening.incident, seen(leak(later, 2 * 1_440)))
        .unwrap();
    assert_eq!(kinds(&near), [EntryKind::Escalated]);
    assert_eq!(near.incident.severity, Severity::Critical);
    assert_eq!(near.incident.problem.since, at(0), "its beginning stays");
    let farther = scales(later + 1)
        .weigh(&near.incident, seen(leak(later, 9 * 1_440)))
        .unwrap();
    assert_eq!(
        farther.incident.severity,
        Severity::Critical,
        "it does not flap"
    );
    assert_eq!(kinds(&farther), []);
}

#[test]
fn what_is_unknown_changes_nothing() {
    for minutes in [0, 100_000] {
        assert_eq!(scales(minutes).weigh(&opened(), Sight::Unknown), None);
    }
}

#[test]
fn an_incident_ends_when_its_problem_stayed_away_and_reopens_within_a_day() {
    let waiting = scales(10).weigh(&opened(), Sight::Clear).unwrap();
    assert_eq!(kinds(&waiting), []);
    assert_eq!(scales(19).weigh(&waiting.incident, Sight::Clear), None);
    let over = scales(20).weigh(&waiting.incident, Sight::Clear).unwrap();
    assert_eq!(kinds(&over), [EntryKind::Resolved]);
    assert!(!over.incident.state.is_watched());

    let back = scales(1_400).weigh_news(leak(1_400, 1_500), Some(over.incident.clone()));
    assert_eq!(kinds(&back), [EntryKind::Reopened]);
    assert_eq!(back.incident.id, over.incident.id);
    assert_eq!(
        (back.incident.reopened, back.incident.severity),
        (1, Severity::Critical)
    );
    let late = scales(1_462).weigh_news(leak(1_462, 1_500), Some(over.incident));
    assert_eq!(
        kinds(&late),
        [EntryKind::Opened],
        "a day later it is another one"
    );
}

#[test]
fn a_flap_does_not_end_an_incident() {
    let waiting = scales(10).weigh(&opened(), Sight::Clear).unwrap().incident;
    let back = scales(15)
        .weigh(&waiting, seen(leak(15, 2 * 1_440)))
        .unwrap();
    assert_eq!(kinds(&back), []);
    let again = scales(16).weigh(&back.incident, Sight::Clear).unwrap();
    assert!(again.incident.state.resolved_at().is_none());
    assert_eq!(again.incident.state.clear_since(), Some(at(16)));
}

#[test]
fn an_operators_word_stands_until_it_gets_worse_or_is_gone() {
    let opened = opened();
    let resolved = Incident {
        state: opened.state.clone().resolve("ann", at(5)).unwrap(),
        ..opened
    };
    let same = scales(6).weigh(&resolved, seen(leak(6, 2 * 1_440)));
    assert_eq!(same, None);
    let worse = scales(6).weigh(&resolved, seen(leak(6, 60))).unwrap();
    assert_eq!(kinds(&worse), [EntryKind::Reopened]);
    let gone = scales(7).weigh(&resolved, Sight::Clear).unwrap();
    assert_eq!(kinds(&gone), []);
    assert!(!gone.incident.state.is_watched());
    let back = scales(8).weigh_news(leak(8, 2 * 1_440), Some(gone.incident));
    assert_eq!(kinds(&back), [EntryKind::Reopened]);
}

#[test]
fn a_new_culprit_is_told_and_a_missing_one_is_not_forgotten() {
    let nobody = Problem {
        culprit: None,
        ..leak(0, 2 * 1_440)
    };
    assert_eq!(scales(0).weigh(&opened(), seen(nobody)), None);
    let other = Problem {
        culprit: Some("other".to_owned()),
        ..leak(0, 2 * 1_440)
    };
    let change = scales(0).weigh(&opened(), seen(other)).unwrap();
    assert_eq!(kinds(&change), [EntryKind::Changed]);
}

#[test]
fn a_diagnosis_is_told_once_and_not_forgotten() {
    let diagnosed = Problem {
        reason: Some(Reason {
            rule: "bound_leak".to_owned(),
            title: "eater leaks sockets".to_owned(),
            percent: 77,
        }),
        ..leak(0, 2 * 1_440)
    };
    let change = scales(0).weigh(&opened(), seen(diagnosed.clone())).unwrap();
    assert_eq!(kinds(&change), [EntryKind::Changed]);
    let text = "diagnosed as bound_leak, 77 % sure: eater leaks sockets";
    assert_eq!(change.entries[0].text, text);
    for again in [diagnosed, leak(0, 2 * 1_440)] {
        assert_eq!(scales(0).weigh(&change.incident, seen(again)), None);
    }
}

#[test]
fn whom_a_finding_blames_is_told_once_a_minute_at_most() {
    let blames = |culprit: &str| Problem {
        key: ProblemKey::Finding {
            host: HostId::of_identity_spki(b"web-1"),
            rule: "bound_leak".to_owned(),
            subject: "tcp/default".to_owned(),
        },
        culprit: Some(culprit.to_owned()),
        ..leak(0, 2 * 1_440)
    };
    let opened = scales(0).weigh_news(blames("eater"), None).incident;
    assert_eq!(scales(0).weigh(&opened, seen(blames("java"))), None);
    let later = scales(1).weigh(&opened, seen(blames("java"))).unwrap();
    assert_eq!(kinds(&later), [EntryKind::Changed]);
}

#[test]
fn a_cause_takes_its_hosts_incidents_over() {
    let into = Incident { id: 7, ..opened() };
    let grouped = scales(3).group(&opened(), &into).unwrap();
    let expected = IncidentState::Resolved {
        at: at(3),
        how: Resolution::Grouped { into: 7 },
    };
    assert_eq!(grouped.incident.state, expected);
    let gone = scales(3).weigh(&opened(), Sight::HostGone).unwrap();
    assert_eq!(kinds(&gone), [EntryKind::Resolved]);
}

#[test]
fn figures_do_not_grow_old() {
    let refresh = scales(1).weigh(&opened(), seen(leak(1, 2 * 1_440 + 5)));
    let refresh = refresh.unwrap();
    assert_eq!(kinds(&refresh), []);
    assert_eq!(refresh.incident.seen_at, at(1));
    let reach = Duration::from_millis(MINUTE_MS as u64);
    assert_eq!(refresh.incident.seen_at, at(0).saturating_add(reach));
}
