//! Every step from every state, what severity follows from, and names that are stored.

use super::*;
use crate::forecast::Eta;
use crate::problem::{ProblemKey, Sureness};
use crate::{HostId, PortSpaceKey, Protocol};

const MINUTE: Duration = Duration::from_secs(60);

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_unix_ms(minutes * 60_000)
}

fn problem(eta_minutes: Option<(i64, i64)>) -> Problem {
    let host = HostId::of_identity_spki(b"web-1");
    Problem {
        key: ProblemKey::Ports {
            host,
            space: PortSpaceKey::own(Protocol::Tcp),
        },
        kind: "leak".to_owned(),
        hosts: vec![host],
        culprit: None,
        cause: "ports are taken and not given back".to_owned(),
        evidence: vec![],
        advice: vec![],
        since: at(0),
        is_exhausted: false,
        eta: eta_minutes.map(|(earliest, median)| Eta {
            at: at(median),
            earliest: at(earliest),
            latest: None,
        }),
        at_least: Severity::Info,
        sure: Sureness::Interval,
        reason: None,
    }
}

fn acknowledged() -> IncidentState {
    IncidentState::new().acknowledge("ann", at(1)).unwrap()
}

fn resolved() -> IncidentState {
    IncidentState::new().resolve("ann", at(2)).unwrap()
}

#[test]
fn the_legal_steps_are_exactly_these() {
    // State, and whether it may be acknowledged, resolved, reopened.
    let table = [
        (IncidentState::new(), [true, true, false]),
        (acknowledged(), [false, true, false]),
        (resolved(), [false, false, true]),
    ];
    for (state, legal) in table {
        let steps = [
            state.clone().acknowledge("bob", at(3)),
            state.clone().resolve("bob", at(3)),
            state.clone().reopen(),
        ];
        let taken = steps.map(|step| step.is_ok());
        assert_eq!(taken, legal, "{state:?}");
    }
    let refusal = acknowledged().acknowledge("bob", at(3)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "an incident that is acknowledged cannot be acknowledged"
    );
}

#[test]
fn a_problem_must_be_gone_for_a_while_before_its_incident_is_over() {
    for open in [IncidentState::new(), acknowledged()] {
        let waiting = open.clear(at(10), 10 * MINUTE);
        assert_eq!(waiting.clear_since(), Some(at(10)));
        let still = waiting.clone().clear(at(19), 10 * MINUTE);
        assert_eq!(still, waiting, "its clock began once");
        // A flap begins anew.
        let back = still.clone().seen();
        assert_eq!(back.clear_since(), None);
        let again = back.clear(at(20), 10 * MINUTE);
        assert_eq!(again.clear_since(), Some(at(20)));
        let over = still.clear(at(20), 10 * MINUTE);
        let expected = IncidentState::Resolved {
            at: at(20),
            how: Resolution::Cleared,
        };
        assert_eq!(over, expected);
        assert_eq!(over.clone().clear(at(99), MINUTE), expected, "once");
        assert_eq!(over.seen(), expected, "only reopening opens it");
    }
}

#[test]
fn an_operators_word_stands_until_the_problem_has_gone() {
    let IncidentState::Resolved { how, .. } = resolved() else {
        panic!("it is resolved");
    };
    let says = |is_gone| Resolution::Operator {
        by: "ann".to_owned(),
        is_gone,
    };
    assert_eq!(how, says(false));
    let IncidentState::Resolved { at: since, how } = resolved().clear(at(9), MINUTE) else {
        panic!("it stays resolved");
    };
    assert_eq!((since, how), (at(2), says(true)));
}

#[test]
fn severity_follows_the_date_and_the_window() {
    let rules = IncidentRules::default();
    let hours = |h: i64| h * 60;
    let table = [
        // Earliest and median, the window, the severity.
        (None, None, Severity::Info),
        (Some((hours(4), hours(8))), None, Severity::Critical),
        (Some((hours(4), hours(9))), None, Severity::Warning),
        (Some((hours(72), hours(200))), None, Severity::Warning),
        (Some((hours(73), hours(200))), None, Severity::Info),
        // It lasts until the window: nobody needs to be woken.
        (Some((hours(4), hours(8))), Some(hours(3)), Severity::Info),
        (
            Some((hours(4), hours(8))),
            Some(hours(6)),
            Severity::Warning,
        ),
        (
            Some((hours(4), hours(8))),
            Some(hours(9)),
            Severity::Critical,
        ),
    ];
    for (eta, window, severity) in table {
        let found = rules.severity(&problem(eta), window.map(at), at(0));
        assert_eq!(found, severity, "{eta:?} {window:?}");
    }
    let exhausted = Problem {
        is_exhausted: true,
        ..problem(None)
    };
    let soon = Some(at(1));
    assert_eq!(rules.severity(&exhausted, soon, at(0)), Severity::Critical);
    let weighty = Problem {
        at_least: Severity::Warning,
        ..problem(None)
    };
    assert_eq!(rules.severity(&weighty, None, at(0)), Severity::Warning);
}

#[test]
fn every_state_and_kind_has_one_name_here_and_in_json() {
    let states = [IncidentState::new(), acknowledged(), resolved()];
    assert_eq!(
        states.each_ref().map(|state| state.as_str()),
        IncidentState::NAMES
    );
    for state in states {
        let json = serde_json::to_string(&state).unwrap();
        assert!(
            json.contains(&format!("\"is\":\"{}\"", state.as_str())),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<IncidentState>(&json).unwrap(), state);
    }
    for kind in EntryKind::ALL {
        let json = serde_json::to_string(kind).unwrap();
        assert_eq!(json, format!("\"{}\"", kind.as_str()));
        assert_eq!(EntryKind::from_name(kind.as_str()), Some(*kind));
    }
}

proptest::proptest! {
    #[test]
    fn no_sequence_of_steps_leads_from_over_to_open_but_reopening(steps in proptest::collection::vec(0_u8..5, 0..40)) {
        let mut state = IncidentState::new();
        let mut minute = 0;
        for step in steps {
            minute += 1;
            let was_over = state.resolved_at().is_some();
            state = match step {
                0 => state.clone().acknowledge("ann", at(minute)).unwrap_or(state),
                1 => state.clone().resolve("ann", at(minute)).unwrap_or(state),
                2 => state.clone().reopen().unwrap_or(state),
                3 => state.seen(),
                _ => state.clear(at(minute), 2 * MINUTE),
            };
            let is_over = state.resolved_at().is_some();
            proptest::prop_assert!(!was_over || is_over || step == 2);
        }
    }
}
