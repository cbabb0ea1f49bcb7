//! What a cause stands for: while it is found, while nobody can tell, and while it waits to be over.

use tidemark_model::forecast::Eta;
use tidemark_model::view::{AttributeValue, CausesView};
use tidemark_model::{PortSpaceKey, Protocol};

use super::*;

const AT: Timestamp = Timestamp::from_unix_ms(1_795_395_959_000);

fn host(number: u16) -> HostId {
    HostId::of_identity_spki(&number.to_be_bytes())
}

/// Hosts of which one is silent and one has the new version since the last look.
struct Fleet {
    silent: HostId,
    updated: HostId,
}

impl Hosts for Fleet {
    fn is_silent(&self, host: HostId) -> bool {
        host == self.silent
    }

    fn has(&self, host: HostId, attribute: &str, value: &str) -> bool {
        host == self.updated && (attribute, value) == ("label:edr", "7.0")
    }
}

fn fleet() -> Fleet {
    Fleet {
        silent: host(98),
        updated: host(99),
    }
}

fn leak(number: u16, culprit: Option<&str>) -> Problem {
    let at = Timestamp::from_unix_ms(AT.unix_ms() + i64::from(number) * 60_000);
    Problem {
        key: ProblemKey::Ports {
            host: host(number),
            space: PortSpaceKey::own(Protocol::Tcp),
        },
        kind: "leak".to_owned(),
        hosts: vec![host(number)],
        culprit: culprit.map(ToOwned::to_owned),
        cause: String::new(),
        evidence: vec![],
        advice: vec![],
        since: AT,
        is_exhausted: false,
        eta: Some(Eta {
            at,
            earliest: at,
            latest: None,
        }),
        at_least: Severity::Info,
        sure: Sureness::Interval,
        reason: None,
    }
}

/// The look that found edr.exe to leak with that value on `hosts`.
fn seen(value: &str, alike: &[&str], hosts: &[u16]) -> CausesSeen {
    let view = serde_json::json!({
        "attribute": "label:edr", "value": value, "culprit": "edr.exe", "hosts": [], "hosts_total": hosts.len(),
        "since_ms": AT.unix_ms(), "having": 3, "leaking": 3, "compared": 40, "among_runners": true,
        "chance_power": -6.0, "tried": 9, "changed_before": 0, "alike": [], "explanation": "counts",
    });
    let mut view: CauseView = serde_json::from_value(view).unwrap();
    view.alike = alike
        .iter()
        .map(|value| AttributeValue {
            attribute: "label:edr".to_owned(),
            value: (*value).to_owned(),
        })
        .collect();
    CausesSeen {
        view: CausesView {
            swept_ms: Some(AT.unix_ms()),
            items: vec![view],
            ..CausesView::default()
        },
        hosts: vec![hosts.iter().map(|number| host(*number)).collect()],
    }
}

fn open(problem: &Problem) -> Incident {
    Incident::open(problem.clone(), Severity::Warning, AT)
}

fn leaks(numbers: &[u16]) -> Vec<Problem> {
    let leak = |number: &u16| leak(*number, Some("edr.exe"));
    numbers.iter().map(leak).collect()
}

#[test]
fn one_cause_stands_for_its_hosts_and_says_what_the_worst_of_them_has() {
    let mut singles = leaks(&[5, 1, 2]);
    singles[1].is_exhausted = true;
    singles.push(leak(3, None));
    singles.push(leak(4, Some("java")));
    singles.extend(leaks(&[7, 99]));
    let grouping = group(&seen("7.0", &[], &[1, 2, 3, 4, 5]), &[], &singles, &fleet());
    let [cause] = grouping.causes.as_slice() else {
        panic!("one cause: {:#?}", grouping.causes);
    };
    let mut expected = [1, 2, 3, 5, 99].map(host);
    expected.sort_unstable();
    assert_eq!(cause.hosts, expected, "without java's host and number 7");
    assert_eq!(cause.eta.unwrap().at, leak(1, None).eta.unwrap().at);
    assert!(cause.is_exhausted);
    assert_eq!(grouping.grouped.len(), 5);
    assert!(cause.evidence[0].contains("5 of the 5"), "{cause:#?}");
}

#[test]
fn one_host_alone_is_no_cause_but_ends_none() {
    let found = seen("7.0", &[], &[1, 2, 3]);
    let alone = group(&found, &[], &leaks(&[1]), &fleet());
    assert!(alone.causes.is_empty() && alone.grouped.is_empty());
    let all = group(&found, &[], &leaks(&[1, 2, 3]), &fleet());
    let open = open(&all.causes[0]);
    let left = group(&found, &[&open], &leaks(&[1]), &fleet());
    assert_eq!((left.causes.len(), left.grouped.len()), (1, 1));
    let over = group(&found, &[&open], &[], &fleet());
    assert!(over.causes.is_empty(), "nobody has it");
}

#[test]
fn a_host_that_fell_silent_stays_with_its_cause() {
    let found = seen("7.0", &[], &[1, 2, 98]);
    let all = group(&found, &[], &leaks(&[1, 2, 98]), &fleet());
    let open = open(&all.causes[0]);
    let silent = group(&found, &[&open], &leaks(&[1, 2]), &fleet());
    assert_eq!(silent.causes[0].hosts, all.causes[0].hosts);
    let nobody_else = group(&found, &[&open], &[], &fleet());
    assert_eq!(nobody_else.causes[0].hosts, [host(98)]);
}

#[test]
fn a_cause_that_is_found_by_another_name_is_the_same() {
    let all = group(
        &seen("7.0", &[], &[1, 2, 3]),
        &[],
        &leaks(&[1, 2, 3]),
        &fleet(),
    );
    let open = open(&all.causes[0]);
    for found in [
        seen("edr-7", &["7.0"], &[8, 9]),
        seen("berlin", &[], &[1, 2, 4]),
    ] {
        let again = group(&found, &[&open], &leaks(&[1, 2, 4, 8, 9]), &fleet());
        assert_eq!(again.causes[0].key, open.problem.key);
    }
    let other = group(
        &seen("rome", &[], &[1, 8, 9]),
        &[&open],
        &leaks(&[1, 8, 9]),
        &fleet(),
    );
    assert_ne!(other.causes[0].key, open.problem.key);
}

#[test]
fn an_open_cause_stands_for_its_hosts_while_nothing_is_found() {
    let all = group(
        &seen("7.0", &[], &[1, 2, 3]),
        &[],
        &leaks(&[1, 2, 3]),
        &fleet(),
    );
    let open = open(&all.causes[0]);
    let nothing = CausesSeen::default();
    let after = group(&nothing, &[&open], &leaks(&[1, 2, 3, 4]), &fleet());
    assert!(after.causes.is_empty());
    let by = after.grouped.values().collect::<HashSet<_>>();
    assert_eq!((after.grouped.len(), by.len()), (3, 1), "not number 4");
    assert!(by.contains(&open.fingerprint));
}

#[test]
fn a_cause_with_more_hosts_than_it_names_stands_for_the_others_too() {
    let hosts: Vec<u16> = (0..1_200).collect();
    let all = group(&seen("7.0", &[], &hosts), &[], &leaks(&hosts), &fleet());
    assert_eq!(all.causes[0].hosts.len(), HOSTS_MAX);
    assert_eq!(all.grouped.len(), 1_200);
    let open = open(&all.causes[0]);
    let after = group(&CausesSeen::default(), &[&open], &leaks(&hosts), &fleet());
    assert_eq!(after.grouped.len(), 1_200);
}
