//! What a group is told over time, as the dispatcher plans it and the store remembers it.

use tidemark_model::problem::{Problem, ProblemKey, Sureness};
use tidemark_model::{HostId, PortSpaceKey, Protocol};

use super::*;

const TERMS: Terms = Terms {
    group_wait: Duration::from_secs(30),
    repeat_interval: Some(Duration::from_secs(3_600)),
    also: Also {
        resolved: true,
        acknowledged: false,
        relabelled: false,
    },
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds * 1_000)
}

fn incident(id: i64) -> Incident {
    let host = HostId::of_identity_spki(&id.to_be_bytes());
    let problem = Problem {
        key: ProblemKey::Ports {
            host,
            space: PortSpaceKey::own(Protocol::Tcp),
        },
        kind: "leak".to_owned(),
        hosts: vec![host],
        culprit: None,
        cause: String::new(),
        evidence: vec![],
        advice: vec![],
        since: at(0),
        is_exhausted: false,
        eta: None,
        at_least: Severity::Info,
        sure: Sureness::Unknown,
        reason: None,
    };
    Incident {
        id,
        ..Incident::open(problem, Severity::Warning, at(0))
    }
}

fn over(incident: &Incident) -> Incident {
    let state = incident.state.clone().resolve("ann", at(1)).unwrap();
    Incident {
        state,
        ..incident.clone()
    }
}

/// Plans as the dispatcher does, and remembers as the store does.
struct Desk {
    terms: Terms,
    group: Option<Group>,
    silenced: bool,
}

impl Desk {
    fn new(terms: Terms) -> Self {
        Self {
            terms,
            group: None,
            silenced: false,
        }
    }

    fn at(
        &mut self,
        seconds: i64,
        incidents: &[&Incident],
    ) -> Option<(Reason, Vec<i64>, Vec<i64>)> {
        let labels = Labels::new();
        let members: Vec<Member<'_>> = incidents
            .iter()
            .map(|incident| Member {
                incident,
                labels: &labels,
                is_silenced: self.silenced,
            })
            .collect();
        let group = self.group.clone();
        let known = group.unwrap_or_else(|| Group::new("ops", Labels::new(), at(seconds)));
        match plan(self.terms, known, &members, at(seconds)) {
            Plan::Nothing => None,
            Plan::Keep(group) => {
                self.group = Some(group);
                None
            }
            Plan::Forget => {
                self.group = None;
                None
            }
            Plan::Send(sending) => {
                self.group = Some(sending.group);
                Some((sending.reason, sending.firing, sending.resolved))
            }
        }
    }
}

#[test]
fn news_waits_for_more_of_it_and_is_told_once() {
    let mut desk = Desk::new(TERMS);
    let (one, two) = (incident(1), incident(2));
    assert_eq!(desk.at(0, &[&one]), None);
    assert_eq!(desk.at(20, &[&one, &two]), None);
    let told = desk.at(30, &[&one, &two]);
    assert_eq!(told, Some((Reason::News, vec![1, 2], vec![])));
    for seconds in [31, 60, 3_600] {
        assert_eq!(desk.at(seconds, &[&one, &two]), None, "{seconds}");
    }
}

#[test]
fn what_does_not_change_is_repeated_until_somebody_takes_it() {
    let mut desk = Desk::new(TERMS);
    let one = incident(1);
    desk.at(0, &[&one]);
    desk.at(30, &[&one]);
    assert_eq!(desk.at(3_629, &[&one]), None);
    let again = desk.at(3_630, &[&one]);
    assert_eq!(again, Some((Reason::Repeat, vec![1], vec![])));
    let taken = Incident {
        state: one.state.clone().acknowledge("ann", at(3_700)).unwrap(),
        ..one
    };
    assert_eq!(desk.at(9_000, &[&taken]), None);
}

#[test]
fn what_gets_worse_and_what_is_over_is_told() {
    let mut desk = Desk::new(TERMS);
    let one = incident(1);
    desk.at(0, &[&one]);
    desk.at(30, &[&one]);
    let worse = Incident {
        severity: Severity::Critical,
        ..one
    };
    assert_eq!(desk.at(40, &[&worse]), None);
    assert_eq!(
        desk.at(70, &[&worse]),
        Some((Reason::News, vec![1], vec![]))
    );
    let over = over(&worse);
    assert_eq!(desk.at(80, &[&over]), None);
    assert_eq!(
        desk.at(110, &[&over]),
        Some((Reason::News, vec![], vec![1]))
    );
    assert_eq!(desk.at(111, &[]), None);
    assert_eq!(desk.group, None, "the group is forgotten");
}

#[test]
fn what_was_over_before_anybody_heard_of_it_is_not_told() {
    let mut desk = Desk::new(TERMS);
    let one = incident(1);
    assert_eq!(desk.at(0, &[&one]), None);
    assert_eq!(desk.at(10, &[&over(&one)]), None);
    assert_eq!(desk.at(99, &[&over(&one)]), None);
    assert_eq!(desk.group, None);
}

#[test]
fn a_receiver_that_does_not_want_ends_hears_of_none() {
    let terms = Terms {
        also: Also {
            resolved: false,
            ..TERMS.also
        },
        ..TERMS
    };
    let mut desk = Desk::new(terms);
    let one = incident(1);
    desk.at(0, &[&one]);
    assert!(desk.at(30, &[&one]).is_some());
    assert_eq!(desk.at(40, &[&over(&one)]), None);
    assert_eq!(desk.at(99, &[&over(&one)]), None);
    assert_eq!(desk.group, None);
}

#[test]
fn a_silenced_incident_is_not_told_but_the_end_of_one_that_was_is() {
    let mut desk = Desk::new(TERMS);
    let (one, two) = (incident(1), incident(2));
    desk.silenced = true;
    assert_eq!(desk.at(0, &[&one]), None);
    assert_eq!(desk.at(99, &[&one]), None);
    desk.silenced = false;
    desk.at(100, &[&one]);
    assert!(desk.at(130, &[&one]).is_some());
    desk.silenced = true;
    let worse = Incident {
        severity: Severity::Critical,
        ..one
    };
    assert_eq!(desk.at(9_000, &[&worse, &two]), None);
    desk.at(9_001, &[&over(&worse), &two]);
    let end = desk.at(9_031, &[&over(&worse), &two]);
    assert_eq!(end, Some((Reason::News, vec![], vec![1])));
}

#[test]
fn an_incident_that_is_not_there_any_more_is_forgotten() {
    let mut desk = Desk::new(TERMS);
    let one = incident(1);
    desk.at(0, &[&one]);
    desk.at(30, &[&one]);
    assert_eq!(desk.at(60, &[]), None);
    assert_eq!(desk.at(61, &[]), None);
    assert_eq!(desk.group, None);
}

#[test]
fn only_who_asks_is_told_that_somebody_takes_care() {
    let one = incident(1);
    let taken = Incident {
        state: one.state.clone().acknowledge("ann", at(40)).unwrap(),
        ..one.clone()
    };
    for acknowledged in [false, true] {
        let also = Also {
            acknowledged,
            ..TERMS.also
        };
        let mut desk = Desk::new(Terms { also, ..TERMS });
        desk.at(0, &[&one]);
        desk.at(30, &[&one]);
        desk.at(40, &[&taken]);
        assert_eq!(desk.at(70, &[&taken]).is_some(), acknowledged);
    }
}
