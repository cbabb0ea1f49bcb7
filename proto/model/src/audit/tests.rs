//! Names and numbers of facts, drift between two audits, and what deserves a look.

use std::collections::BTreeSet;

use super::concern::concerns;
use super::drift::Setting;
use super::*;

fn audit(at_ms: i64, facts: &[(FactKey, FactState)]) -> HostAudit {
    let mut audit = HostAudit::empty(Timestamp::from_unix_ms(at_ms));
    for (key, state) in facts {
        audit.topics.insert(key.name.topic(), TopicState::Read);
        audit.facts.push(AuditFact {
            key: key.clone(),
            state: state.clone(),
        });
    }
    audit
}

fn known(value: FactValue) -> FactState {
    FactState::Known(value)
}

fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

fn one(name: FactName, value: FactValue) -> (FactKey, FactState) {
    (FactKey::of(name), known(value))
}

#[test]
fn names_and_wire_numbers_are_told_apart() {
    let names: BTreeSet<_> = FactName::ALL.iter().map(|name| name.as_str()).collect();
    let numbers: BTreeSet<_> = FactName::ALL.iter().map(|name| name.number()).collect();
    assert_eq!(names.len(), FactName::ALL.len());
    assert_eq!(numbers.len(), FactName::ALL.len());
    for name in FactName::ALL {
        assert_eq!(FactName::from_number(name.number()), Some(*name));
    }
    for topic in Topic::ALL {
        assert_eq!(Topic::from_number(topic.number()), Some(*topic));
    }
    assert_eq!(FactName::from_number(0), None);
}

#[test]
fn an_audit_survives_json() {
    let audit = audit(
        5,
        &[
            one(FactName::DynamicRange, FactValue::Range(range(1, 2))),
            (FactKey::of(FactName::MaxUserPort), FactState::Absent),
            (
                FactKey::of_item(FactName::NicRss, "eth0"),
                FactState::unknown("no right"),
            ),
        ],
    );
    let json = serde_json::to_string(&audit).unwrap();
    assert_eq!(serde_json::from_str::<HostAudit>(&json).unwrap(), audit);
}

#[test]
fn the_first_audit_is_no_drift_and_a_change_is_one() {
    let before = audit(
        1_000,
        &[
            one(
                FactName::DynamicRange,
                FactValue::Range(range(32_768, 60_999)),
            ),
            (FactKey::of(FactName::MaxUserPort), FactState::Absent),
        ],
    );
    let standing = StandingFacts::first(&before);
    let after = audit(
        2_000,
        &[
            one(
                FactName::DynamicRange,
                FactValue::Range(range(40_000, 40_099)),
            ),
            (FactKey::of(FactName::MaxUserPort), FactState::Absent),
        ],
    );
    let (standing, drifts) = standing.followed_by(&after);
    assert_eq!(
        drifts,
        [Drift {
            key: FactKey::of(FactName::DynamicRange),
            from: Setting::Value(FactValue::Range(range(32_768, 60_999))),
            to: Setting::Value(FactValue::Range(range(40_000, 40_099))),
        }]
    );
    let since: Vec<_> = standing
        .facts
        .iter()
        .map(|fact| fact.since.unix_ms())
        .collect();
    assert_eq!(since, [2_000, 1_000]);
    assert_eq!(standing.audit(), after);
}

#[test]
fn what_cannot_be_read_for_a_while_is_unknown_but_no_drift() {
    let max_user_port = |value| one(FactName::MaxUserPort, FactValue::Number(value));
    let standing = StandingFacts::first(&audit(1, &[max_user_port(5_000)]));
    let mut dark = HostAudit::empty(Timestamp::from_unix_ms(2));
    dark.topics
        .insert(Topic::Tcp, TopicState::unread("timed out"));
    let (standing, drifts) = standing.followed_by(&dark);
    assert_eq!(drifts, []);
    assert_eq!(standing.facts[0].unknown.as_deref(), Some("timed out"));
    assert_eq!(standing.audit().number(FactName::MaxUserPort), None);

    let (same, drifts) = standing
        .clone()
        .followed_by(&audit(3, &[max_user_port(5_000)]));
    assert_eq!((drifts.len(), same.facts[0].since.unix_ms()), (0, 1));
    let (_, drifts) = standing.followed_by(&audit(3, &[max_user_port(65_534)]));
    assert_eq!(
        drifts.len(),
        1,
        "the change while it was dark is told once it is seen"
    );
}

#[test]
fn a_card_that_comes_or_goes_is_drift_and_one_that_could_not_be_listed_is_not() {
    let card = |item| {
        (
            FactKey::of_item(FactName::NicDriver, item),
            known(FactValue::text("e1000e")),
        )
    };
    let standing = StandingFacts::first(&audit(1, &[card("eth0")]));
    let (standing, drifts) = standing.followed_by(&audit(2, &[card("eth1")]));
    let told: Vec<_> = drifts
        .iter()
        .map(|drift| format!("{}: {} -> {}", drift.key, drift.from, drift.to))
        .collect();
    assert_eq!(
        told,
        [
            "nic_driver[eth1]: absent -> e1000e",
            "nic_driver[eth0]: e1000e -> absent"
        ]
    );
    assert_eq!(standing.facts.len(), 1, "what is gone is not listed");
    let mut dark = HostAudit::empty(Timestamp::from_unix_ms(3));
    dark.topics
        .insert(Topic::Nics, TopicState::unread("timed out"));
    let (standing, drifts) = standing.followed_by(&dark);
    assert_eq!((standing.facts.len(), drifts.len()), (1, 0));
}

#[test]
fn a_figure_that_moves_by_itself_is_neither_drift_nor_a_new_setting() {
    let uptime = |seconds| {
        audit(
            1,
            &[one(FactName::UptimeSeconds, FactValue::Number(seconds))],
        )
    };
    assert!(uptime(1).same_settings(&uptime(2)));
    let (_, drifts) = StandingFacts::first(&uptime(1)).followed_by(&uptime(2));
    assert_eq!(drifts, []);
}

#[test]
fn what_deserves_a_look_is_marked_and_what_is_usual_is_not() {
    let usual = [
        one(
            FactName::DynamicRangeTcpV4,
            FactValue::Range(range(49_152, 65_535)),
        ),
        (FactKey::of(FactName::MaxUserPort), FactState::Absent),
        one(FactName::Chimney, FactValue::text("disabled")),
        one(
            FactName::ExcludedTcpV4,
            FactValue::Ranges(vec![range(50_000, 50_059)]),
        ),
    ];
    assert_eq!(concerns(&audit(0, &usual)), []);
    let template = |item, last| {
        (
            FactKey::of_item(FactName::TemplateDynamicRange, item),
            known(FactValue::Range(range(1_025, last))),
        )
    };
    // 50,000 to 53,999, told in two parts that overlap, is 4,000 of 16,384 ports.
    let overlapping = vec![range(50_000, 52_999), range(52_000, 53_999)];
    let odd = [
        one(
            FactName::DynamicRangeTcpV4,
            FactValue::Range(range(49_152, 65_535)),
        ),
        one(
            FactName::DynamicRangeUdpV4,
            FactValue::Range(range(1_025, 5_000)),
        ),
        one(FactName::MaxUserPort, FactValue::Number(5_000)),
        one(FactName::TimedWaitDelaySeconds, FactValue::Number(5)),
        one(FactName::Chimney, FactValue::text("automatic")),
        one(FactName::ExcludedTcpV4, FactValue::Ranges(overlapping)),
        template("Internet", 5_000),
        template("Datacenter", 6_000),
        (
            FactKey::of_item(FactName::NicDriverDate, "Ethernet"),
            known(FactValue::text("2009-01-29")),
        ),
    ];
    // 2026-01-01.
    let found: Vec<_> = concerns(&audit(1_767_225_600_000, &odd))
        .into_iter()
        .map(|concern| format!("{}: {}", concern.key, concern.text))
        .collect();
    assert_eq!(
        found,
        [
            "dynamic_range_udp_v4: 3976 dynamic ports; 16384 are usual",
            "max_user_port: MaxUserPort is set: from the next boot on the dynamic range ends at 5000, whatever netsh set",
            "timed_wait_delay_s: 5 s lies below the 30 s that Windows takes",
            "template_dynamic_range[Internet]: the TCP templates have different dynamic ranges; this one 1025-5000",
            "template_dynamic_range[Datacenter]: the TCP templates have different dynamic ranges; this one 1025-6000",
            "excluded_tcp_v4: takes 4000 of 16384 dynamic ports (24 %)",
            "chimney: chimney offload is automatic: connections live in the card's driver",
            "nic_driver_date[Ethernet]: the driver is from 2009",
        ]
    );
}

#[test]
fn a_program_that_comes_and_goes_is_no_drift_and_another_version_of_it_is() {
    let version = |item, version| {
        (
            FactKey::of_item(FactName::ImageVersion, item),
            known(FactValue::text(version)),
        )
    };
    let standing = StandingFacts::first(&audit(1, &[version("sqlservr.exe", "15.0.1")]));
    // A backup holds more ports for a while, and the server is stopped for its update.
    let (standing, drifts) = standing.followed_by(&audit(2, &[version("backup.exe", "3.1")]));
    assert_eq!(drifts, []);
    let server = &standing.facts[1];
    assert_eq!(server.key.item.as_deref(), Some("sqlservr.exe"));
    assert!(server.unknown.is_some() && server.setting.is_some());
    assert_eq!(server.since.unix_ms(), 1);
    let (same, drifts) = standing
        .clone()
        .followed_by(&audit(3, &[version("sqlservr.exe", "15.0.1")]));
    assert_eq!((drifts, same.facts[1].since.unix_ms()), (Vec::new(), 1));
    let (_, drifts) = standing.followed_by(&audit(3, &[version("sqlservr.exe", "15.0.2")]));
    let told: Vec<_> = drifts
        .iter()
        .map(|drift| format!("{}: {} -> {}", drift.key, drift.from, drift.to))
        .collect();
    assert_eq!(told, ["image_version[sqlservr.exe]: 15.0.1 -> 15.0.2"]);
}

#[test]
fn programs_without_end_are_forgotten_the_oldest_first() {
    let mut standing = StandingFacts::first(&audit(0, &[]));
    for number in 0..1_000 {
        let fact = (
            FactKey::of_item(FactName::ImageVersion, &format!("job-{number}")),
            known(FactValue::text("1")),
        );
        (standing, _) = standing.followed_by(&audit(number, &[fact]));
    }
    assert_eq!(standing.facts.len(), 97);
    let oldest = standing.facts.iter().map(|fact| fact.since.unix_ms()).min();
    assert_eq!(oldest, Some(903));
}
