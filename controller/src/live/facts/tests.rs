//! Which attributes come of audits, in which order they are cut, and what a restart keeps.

use tidemark_model::HostAudit;
use tidemark_model::audit::{AuditFact, FactState, FactValue, TopicState};

use super::*;

const DAY_MS: i64 = 86_400_000;

fn audit(day: i64, facts: &[(FactName, Option<&str>, &str)]) -> HostAudit {
    let mut audit = HostAudit::empty(Timestamp::from_unix_ms(day * DAY_MS));
    for (name, item, value) in facts {
        audit.topics.insert(name.topic(), TopicState::Read);
        audit.facts.push(AuditFact {
            key: item.map_or(FactKey::of(*name), |item| FactKey::of_item(*name, item)),
            state: FactState::Known(FactValue::text(value)),
        });
    }
    audit
}

fn attributes(known: &KnownFacts) -> Vec<(&str, &str)> {
    known.attributes().collect()
}

fn after(audits: &[HostAudit]) -> KnownFacts {
    let mut known = KnownFacts::default();
    let mut standing: Option<StandingFacts> = None;
    for audit in audits {
        let (next, drifts) = match standing {
            None => (StandingFacts::first(audit), Vec::new()),
            Some(before) => before.followed_by(audit),
        };
        known.follow(&next, &drifts);
        standing = Some(next);
    }
    known
}

#[test]
fn cards_go_by_their_driver_and_updates_by_their_number() {
    let mut audit = audit(
        1,
        &[
            (FactName::TcpipDriverVersion, None, "10.0.17763.5122"),
            (FactName::NicDriver, Some("Ethernet 2"), "e1iexpress"),
            (FactName::NicDriverVersion, Some("Ethernet 2"), "12.15.22.3"),
            (FactName::NicDriverVersion, Some("Unknown"), "1.0"),
            (FactName::HotfixInstalledOn, Some("KB5031364"), "10/11/2023"),
            (FactName::TemplateAutotuning, Some("Internet"), "normal"),
        ],
    );
    for (name, number) in [
        (FactName::UptimeSeconds, 77),
        (FactName::MemoryBytes, 1 << 34),
    ] {
        audit.facts.push(AuditFact {
            key: FactKey::of(name),
            state: FactState::Known(FactValue::Number(number)),
        });
    }
    audit.facts.push(AuditFact {
        key: FactKey::of(FactName::MaxUserPort),
        state: FactState::Absent,
    });
    audit.facts.push(AuditFact {
        key: FactKey::of(FactName::Chimney),
        state: FactState::unknown("netsh does not answer"),
    });
    assert_eq!(
        attributes(&after(&[audit])),
        [
            ("hotfix[KB5031364]", "installed"),
            ("max_user_port", "absent"),
            ("nic_driver_version[e1iexpress]", "12.15.22.3"),
            ("tcpip_driver_version", "10.0.17763.5122"),
            ("template_autotuning[Internet]", "normal"),
        ]
    );
}

#[test]
fn what_changed_is_dated_and_its_topic_has_the_day() {
    let version = |day, version| {
        audit(
            day,
            &[
                (FactName::NicDriver, Some("eth0"), "e1000e"),
                (FactName::NicDriverVersion, Some("eth0"), version),
            ],
        )
    };
    let known = after(&[version(1, "1.0"), version(3, "2.0"), version(4, "2.0")]);
    assert_eq!(
        known.changes(),
        [AttributeChange {
            at: Timestamp::from_unix_ms(3 * DAY_MS),
            attribute: "nic_driver_version[e1000e]".to_owned(),
            value: "2.0".to_owned(),
        }]
    );
    assert_eq!(
        attributes(&known),
        [
            ("changed[nics]", "1970-01-04"),
            ("nic_driver_version[e1000e]", "2.0"),
        ]
    );
}

#[test]
fn a_setting_that_is_taken_away_is_a_change_and_an_update_that_is_taken_away_has_no_value() {
    let before = audit(
        1,
        &[
            (FactName::Chimney, None, "disabled"),
            (FactName::HotfixInstalledOn, Some("KB1"), "today"),
            (FactName::HotfixInstalledOn, Some("KB2"), "today"),
        ],
    );
    let mut after_removal = audit(2, &[(FactName::HotfixInstalledOn, Some("KB2"), "today")]);
    after_removal
        .topics
        .insert(Topic::TcpGlobals, TopicState::Read);
    after_removal.facts.push(AuditFact {
        key: FactKey::of(FactName::Chimney),
        state: FactState::Absent,
    });
    let known = after(&[before, after_removal]);
    let changes: Vec<(&str, &str)> = known
        .changes()
        .iter()
        .map(|change| (&*change.attribute, &*change.value))
        .collect();
    assert_eq!(changes, [("chimney", "absent")]);
    assert_eq!(
        attributes(&known),
        [
            ("changed[hotfixes]", "1970-01-03"),
            ("changed[tcp_globals]", "1970-01-03"),
            ("chimney", "absent"),
            ("hotfix[KB2]", "installed"),
        ]
    );
}

#[test]
fn what_is_stored_says_the_same_after_a_restart() {
    let number = |day, number| {
        let mut audit = audit(day, &[(FactName::Chimney, None, "disabled")]);
        audit.topics.insert(Topic::Tcp, TopicState::Read);
        audit.facts.push(AuditFact {
            key: FactKey::of(FactName::MaxUserPort),
            state: FactState::Known(FactValue::Number(number)),
        });
        audit
    };
    let audits = [number(1, 5_000), number(2, 65_000)];
    let before = after(&audits);
    let (standing, drifts) = StandingFacts::first(&audits[0]).followed_by(&audits[1]);
    let stored: Vec<StoredDrift> = drifts
        .iter()
        .map(|drift| StoredDrift {
            id: 1,
            host: tidemark_model::HostId::of_identity_spki(&[1]),
            at: standing.taken_at,
            fact: drift.key.name.to_string(),
            item: None,
            was: drift.from.to_string(),
            became: drift.to.to_string(),
        })
        .collect();
    let stored = KnownFacts::of_store(&standing, &stored);
    assert_eq!(stored, before);

    // An audit that came before the store was read is not forgotten.
    let (newer, newer_drifts) = standing.followed_by(&number(3, 60_000));
    let mut live = KnownFacts::default();
    live.follow(&newer, &newer_drifts);
    live.restore(stored);
    assert!(attributes(&live).contains(&("max_user_port", "60000")));
    assert_eq!(live.changes().len(), 2);
}

#[test]
fn a_host_that_reports_without_end_is_cut_and_keeps_what_matters() {
    let names: Vec<String> = (0..200).map(|number| format!("KB{number:07}")).collect();
    let long = "x".repeat(256);
    let mut facts: Vec<_> = names
        .iter()
        .map(|name| (FactName::HotfixInstalledOn, Some(&**name), "today"))
        .collect();
    facts.push((FactName::KernelRelease, None, &long));
    let known = after(&[audit(1, &facts)]);
    let attributes = attributes(&known);
    assert_eq!(attributes.len(), ATTRIBUTES_MAX);
    assert!(attributes.contains(&("hotfix[KB0000199]", "installed")));
    assert!(!attributes.contains(&("hotfix[KB0000000]", "installed")));
    let longest = attributes.iter().map(|(_, value)| value.len()).max();
    assert_eq!(longest, Some(VALUE_CHARS_MAX));
}

#[test]
fn programs_and_endpoint_protection_go_before_cards_and_a_build_id_speaks_where_no_digest_does() {
    let mut facts = vec![
        (FactName::ImageVersion, Some("sqlservr.exe"), "15.0.4160.1"),
        (FactName::ImageSha256, Some("sqlservr.exe"), "5f"),
        (FactName::ImageBuildId, Some("sqlservr.exe"), "a1"),
        (FactName::ImageBuildId, Some("oracle"), "b2"),
        (FactName::Edr, Some("CrowdStrike Falcon"), "7.0.18110.0"),
    ];
    let templates: Vec<String> = (0..200)
        .map(|number| format!("template {number}"))
        .collect();
    for template in &templates {
        facts.push((FactName::TemplateAutotuning, Some(template), "normal"));
    }
    let known = after(&[audit(1, &facts)]);
    let attributes = attributes(&known);
    assert_eq!(attributes.len(), ATTRIBUTES_MAX);
    for expected in [
        ("image_version[sqlservr.exe]", "15.0.4160.1"),
        ("edr[CrowdStrike Falcon]", "7.0.18110.0"),
    ] {
        assert!(attributes.contains(&expected), "{expected:?}");
    }
    let few = after(&[audit(1, &facts[..5])]);
    let names: Vec<&str> = few.attributes().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "edr[CrowdStrike Falcon]",
            "image_build_id[oracle]",
            "image_sha256[sqlservr.exe]",
            "image_version[sqlservr.exe]"
        ]
    );
    assert!(is_digest(names[1]) && is_digest(names[2]) && !is_digest(names[3]));
}

#[test]
fn a_program_that_was_away_for_its_deploy_changed() {
    let version = |day, version: &str| {
        let facts = [(FactName::ImageVersion, Some("sqlservr.exe"), version)];
        audit(day, &facts)
    };
    let other = audit(2, &[(FactName::ImageVersion, Some("backup.exe"), "3")]);
    let known = after(&[version(1, "15.0.1"), other, version(3, "15.0.2")]);
    let changes: Vec<(&str, &str)> = known
        .changes()
        .iter()
        .map(|change| (&*change.attribute, &*change.value))
        .collect();
    assert_eq!(changes, [("image_version[sqlservr.exe]", "15.0.2")]);
}
