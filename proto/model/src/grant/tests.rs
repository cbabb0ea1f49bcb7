//! How grants are written and read, what bounds them, and which orders they are about.

use proptest::prelude::*;

use super::*;
use crate::action::spec::OnHang;
use crate::action::{ActionId, ActionKind, ActionSpec};
use crate::policy::{Policy, PolicySpec};
use crate::{Protocol, Timestamp};

const AT: Timestamp = Timestamp::from_unix_ms(1_000);

fn restart(service: &str) -> ActionSpec {
    ActionSpec::RestartService {
        service: service.to_owned(),
        stop_timeout_s: 60,
        on_hang: OnHang::Fail,
    }
}

fn level(culprit: Option<Culprit>) -> Trigger {
    Trigger::Level {
        percent: 90,
        protocol: Protocol::Tcp,
        namespace: "default".to_owned(),
        held_s: 300,
        culprit,
    }
}

fn grant() -> Grant {
    Grant {
        id: GrantId::from_random(7),
        policy: "full".to_owned(),
        rule: "ab".repeat(32),
        action: ActionTemplate::of(&restart("appsvc")),
        hosts: Scope {
            ids: vec![HostId::of_identity_spki(b"host")],
            names: vec!["web-*".to_owned()],
        },
        trigger: level(None),
        per_hour: 1,
        per_day: 3,
        issued_at_ms: AT,
        not_before_ms: AT,
        expires_at_ms: AT.saturating_add(VALID_MAX),
        issuer: "ann".to_owned(),
        reason: "appsvc leaks".to_owned(),
    }
}

fn order(spec: ActionSpec) -> Order {
    Order {
        id: ActionId::from_random(9),
        host: HostId::of_identity_spki(b"host"),
        spec,
        dry_run: false,
        issued_at_ms: AT,
        not_before_ms: AT,
        expires_at_ms: AT.saturating_add(Duration::from_secs(60)),
        requester: "policy:full@1".to_owned(),
        reason: "90 % in use".to_owned(),
        undo_within_s: None,
    }
}

fn ending(pid: i64) -> ActionSpec {
    ActionSpec::EndProcess {
        pid: u32::try_from(pid).unwrap(),
        started_at_ms: 5,
        image: "Leaky.exe".to_owned(),
    }
}

#[test]
fn the_bytes_of_a_grant_never_change() {
    // Keys in the field have signed these bytes: another way to write them would make every signature worthless.
    assert_eq!(
        String::from_utf8(grant().to_bytes()).unwrap(),
        concat!(
            r#"{"id":"00000000000000000000000000000007","policy":"full","rule":"abababababababababababababababababababababababababababababababab","#,
            r#""action":{"kind":"restart_service","parameters":{"on_hang":{"is":"fail"},"service":{"is":"appsvc"},"stop_timeout_s":{"is":60}}},"#,
            r#""hosts":{"ids":["i5ak4y2hwalsyajfj72vxls275izt5ce"],"names":["web-*"]},"#,
            r#""trigger":{"level":{"percent":90,"protocol":"tcp","namespace":"default","held_s":300,"culprit":null}},"#,
            r#""per_hour":1,"per_day":3,"issued_at_ms":1000,"not_before_ms":1000,"expires_at_ms":2592001000,"issuer":"ann","reason":"appsvc leaks"}"#
        )
    );
    let bytes = grant().to_bytes();
    assert_eq!(Grant::from_bytes(&bytes), Ok(grant()));
    let end = GrantEnd {
        grant: GrantId::from_random(7),
        issued_at_ms: AT,
    };
    assert_eq!(
        String::from_utf8(end.to_bytes()).unwrap(),
        r#"{"grant":"00000000000000000000000000000007","issued_at_ms":1000}"#
    );
    assert_eq!(GrantEnd::from_bytes(&end.to_bytes()), Ok(end));
}

#[test]
fn a_grant_that_is_written_in_another_way_is_refused() {
    let text = String::from_utf8(grant().to_bytes()).unwrap();
    for other in [
        text.replace("\"per_hour\":1", "\"per_hour\": 1"),
        text.replace(",\"culprit\":null", ""),
        text.replace("appsvc leaks", "\\u0061ppsvc leaks"),
        text.replace(
            "\"on_hang\":{\"is\":\"fail\"}",
            "\"on_hang\":{\"is\":\"end_process\"},\"on_hang\":{\"is\":\"fail\"}",
        ),
    ] {
        assert_ne!(other, text);
        let read = Grant::from_bytes(other.as_bytes());
        assert_eq!(read, Err(InvalidGrant::NotCanonical), "{other}");
    }
    let unknown = text.replace("\"per_hour\":1", "\"per_hour\":1,\"more\":1");
    assert!(matches!(
        Grant::from_bytes(unknown.as_bytes()),
        Err(InvalidGrant::Unreadable(_))
    ));
    let mut long = grant();
    long.hosts.names = vec!["n".repeat(253); 13];
    let length = long.to_bytes().len();
    assert_eq!(
        Grant::from_bytes(&long.to_bytes()),
        Err(InvalidGrant::TooLong(length))
    );
}

/// A change of a grant, and the field that its refusal names.
type Change = (fn(&mut Grant), &'static str);

/// What is wrong with the document itself.
const OF_THE_DOCUMENT: &[Change] = &[
    (|one| one.policy = "Full!".to_owned(), "policy"),
    (|one| one.rule = "AB".repeat(32), "rule"),
    (|one| one.rule.truncate(63), "rule"),
    (|one| one.per_hour = 0, "per_hour"),
    (|one| one.per_hour = 7, "per_hour"),
    (|one| one.per_day = 25, "per_day"),
    (|one| one.hosts = Scope::default(), "hosts"),
    (|one| one.hosts.names = vec!["a".to_owned(); 21], "hosts"),
    (|one| one.hosts.names = vec![String::new()], "hosts.names"),
    (|one| one.issuer = String::new(), "issuer"),
    (|one| one.reason = "a\u{1b}[31m".to_owned(), "reason"),
    (
        |one| one.not_before_ms = Timestamp::from_unix_ms(999),
        "not_before_ms",
    ),
    (|one| one.expires_at_ms = one.not_before_ms, "expires_at_ms"),
    (
        |one| one.expires_at_ms = AT.saturating_add(VALID_MAX + Duration::from_millis(1)),
        "expires_at_ms",
    ),
];

/// What is wrong with what it allows, and when.
const OF_WHAT_IT_ALLOWS: &[Change] = &[
    (
        |one| one.action = ActionTemplate::of(&restart("")),
        "action",
    ),
    (
        |one| {
            one.action.parameters.remove("on_hang");
        },
        "action.parameters.on_hang",
    ),
    (
        |one| {
            one.action
                .parameters
                .insert("more".to_owned(), Bound::Between(0, 1));
        },
        "action.parameters.more",
    ),
    (
        |one| {
            one.action
                .parameters
                .insert("service".to_owned(), Bound::Like("**".to_owned()));
        },
        "action.parameters.service",
    ),
    (
        |one| {
            one.action
                .parameters
                .insert("stop_timeout_s".to_owned(), Bound::Between(9, 8));
        },
        "action.parameters.stop_timeout_s",
    ),
    (
        |one| {
            one.action
                .parameters
                .insert("service".to_owned(), Bound::Like("app*".to_owned()));
        },
        "trigger",
    ),
    (
        |one| {
            one.action = ActionTemplate::of(&ActionSpec::Reboot {
                grace_s: 60,
                reason: "why".to_owned(),
                force: false,
            });
        },
        "action.kind",
    ),
    (|one| one.action = ActionTemplate::of(&ending(4)), "trigger"),
    (
        |one| {
            one.action = ActionTemplate::of(&ActionSpec::CollectEvidence { seconds: 5 });
            one.trigger = level(Some(Culprit { percent: 50 }));
        },
        "trigger.level.culprit",
    ),
    (
        |one| one.trigger = level(Some(Culprit { percent: 0 })),
        "trigger.level.culprit.percent",
    ),
    (
        |one| {
            one.trigger = Trigger::Event {
                source: "Tcpip".to_owned(),
                code: 4231,
                within_s: 59,
            };
        },
        "trigger.event.within_s",
    ),
];

#[test]
fn every_bound_is_held_and_named() {
    let changes = OF_THE_DOCUMENT.iter().chain(OF_WHAT_IT_ALLOWS);
    for (number, (change, named)) in changes.enumerate() {
        let mut changed = grant();
        change(&mut changed);
        match Grant::from_bytes(&changed.to_bytes()) {
            Err(InvalidGrant::Limit { field, .. }) => assert_eq!(field, *named, "{number}"),
            other => panic!("{number} {named}: {other:?}"),
        }
    }
}

#[test]
fn a_template_knows_every_parameter_of_every_action() {
    for kind in ActionKind::ALL {
        let example = kind.example().replace('\'', "");
        let mut words = Vec::<String>::new();
        for word in example.split(' ').skip(1) {
            match words.last_mut() {
                Some(last) if !word.contains('=') => last.push_str(&format!(" {word}")),
                _ => words.push(word.to_owned()),
            }
        }
        let spec = ActionSpec::from_words(kind.as_str(), &words).unwrap();
        let names: Vec<String> = ActionTemplate::of(&spec).parameters.into_keys().collect();
        assert_eq!(names, template::parameters(*kind), "{}", kind.as_str());
    }
}

#[test]
fn an_order_is_covered_inside_every_bound_and_outside_of_none() {
    let grant = grant();
    assert_eq!(grant.covers(&order(restart("appsvc"))), Ok(()));
    let told = |spec: ActionSpec| grant.covers(&order(spec)).unwrap_err().to_string();
    assert_eq!(
        told(restart("mail")),
        "it bounds service to \"appsvc\", and this has \"mail\""
    );
    assert_eq!(
        told(ActionSpec::RestartService {
            service: "appsvc".to_owned(),
            stop_timeout_s: 61,
            on_hang: OnHang::Fail,
        }),
        "it bounds stop_timeout_s to 60, and this has 61"
    );
    assert_eq!(
        told(ending(4)),
        "it is about restart_service, and this is end_process"
    );
    let mut dry = order(restart("appsvc"));
    dry.dry_run = true;
    assert_eq!(grant.covers(&dry), Err(Uncovered::DryRun));
}

#[test]
fn hosts_are_chosen_by_id_and_by_name_alone() {
    let scope = grant().hosts;
    let (own, other) = (
        HostId::of_identity_spki(b"host"),
        HostId::of_identity_spki(b"other"),
    );
    assert!(scope.takes(own, "db-1"));
    assert!(scope.takes(other, "WEB-7"));
    assert!(!scope.takes(other, "db-1"));
}

fn policy(text: serde_json::Value) -> Policy {
    Policy::read(serde_json::from_value::<PolicySpec>(text).unwrap()).unwrap()
}

#[test]
fn a_grant_is_made_of_a_rung_and_knows_the_rung_by_its_hash() {
    let json = serde_json::json!({
        "name": "full", "hosts": ["host=*"], "condition": {"level": 90}, "for": "5m",
        "ladder": [
            {"action": "restart_service", "with": ["service=appsvc", "stop_timeout_s=60"]},
            {"action": "end_process", "subject": "culprit"},
        ],
    });
    let one = policy(json.clone());
    assert_eq!(template_of(&one.ladder[0].deed, None), Ok(grant().action));
    assert_eq!(trigger_of(&one, None), Ok(level(None)));
    assert_eq!(
        template_of(&one.ladder[0].deed, Some("x")),
        Err(RuleProblem::NoSubject)
    );
    assert_eq!(
        template_of(&one.ladder[1].deed, None),
        Err(RuleProblem::Subject)
    );
    let mut ends = grant();
    ends.action = template_of(&one.ladder[1].deed, Some("leaky*")).unwrap();
    ends.trigger = trigger_of(&one, Some(Culprit { percent: 40 })).unwrap();
    assert_eq!(Grant::from_bytes(&ends.to_bytes()).as_ref(), Ok(&ends));
    assert_eq!(ends.covers(&order(ending(4711))), Ok(()));

    let hash = |json: serde_json::Value, rung| rule_hash(&policy(json).spec, rung);
    let first = hash(json.clone(), 0).unwrap();
    assert_eq!(first.len(), 64);
    assert_ne!(hash(json.clone(), 1).unwrap(), first);
    assert_eq!(hash(json.clone(), 2), None);
    let changed = |path: &str, value: serde_json::Value| {
        let mut changed = json.clone();
        *changed.pointer_mut(path).unwrap() = value;
        hash(changed, 0).unwrap()
    };
    assert_ne!(changed("/condition/level", 80.into()), first);
    assert_ne!(changed("/for", "1m".into()), first);
    assert_ne!(changed("/ladder/0/with/0", "service=other".into()), first);
    assert_eq!(changed("/hosts/0", "host=web-*".into()), first);
}

proptest! {
    #[test]
    fn numbers_are_covered_within_their_bounds_only(first in 1_i64..100, length in 0_i64..100, asked in 1_i64..300) {
        let mut grant = grant();
        grant.trigger = level(Some(Culprit { percent: 50 }));
        grant.action = ActionTemplate::of(&ending(1));
        grant.action.parameters.insert("pid".to_owned(), Bound::Between(first, first + length));
        prop_assert!(Grant::from_bytes(&grant.to_bytes()).is_ok());
        let covered = grant.covers(&order(ending(asked))).is_ok();
        prop_assert_eq!(covered, first <= asked && asked <= first + length);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(grant) = Grant::from_bytes(&bytes) {
            prop_assert_eq!(grant.to_bytes(), bytes);
        }
    }
}
