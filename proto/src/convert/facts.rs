//! What an agent says about its host, on the wire.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidemark_model::HostFacts;
use tidemark_model::host::{Capability, CapabilityReport, CapabilityState};

use super::{ConvertError, cut_chars, list_at_most};
use crate::v1;

/// Characters of a host name that are kept (RFC 1035, section 2.3.4).
pub const HOST_NAME_CHARS_MAX: usize = 253;
/// Characters of the operating system's name that are kept.
pub const OS_CHARS_MAX: usize = 255;
/// Characters of an agent's version, of a boot id and of a time zone's name that are kept.
pub const SHORT_TEXT_CHARS_MAX: usize = 64;
/// Characters of a capability's means that are kept.
pub const HOW_CHARS_MAX: usize = 32;
/// Characters of the reason why a capability is not there that are kept.
pub const WHY_CHARS_MAX: usize = 300;
/// Capabilities that an agent may report on: more than there are, for newer ones.
pub const CAPABILITIES_MAX: usize = 64;
/// What the bits of agents that report nothing else stand for.
const FIRST_CAPABILITIES: [Capability; 4] = [
    Capability::BoundSockets,
    Capability::AllOwners,
    Capability::AllNamespaces,
    Capability::Events,
];
/// Labels that a host may have.
pub const LABELS_MAX: usize = 32;
/// Characters of a label's key, at least 1.
pub const LABEL_KEY_CHARS_MAX: usize = 64;
/// Characters of a label's value.
pub const LABEL_VALUE_CHARS_MAX: usize = 256;

/// Facts for the wire; texts are cut to what the other end keeps.
#[must_use]
pub fn facts_to_wire(facts: &HostFacts) -> v1::HostFacts {
    let text = |text: &str, chars_max| kept_text(text, chars_max);
    let sees = facts.sees();
    v1::HostFacts {
        name: text(&facts.name, HOST_NAME_CHARS_MAX),
        os: text(&facts.os, OS_CHARS_MAX),
        agent_version: text(&facts.agent_version, SHORT_TEXT_CHARS_MAX),
        boot_id: text(&facts.boot_id, SHORT_TEXT_CHARS_MAX),
        time_zone: text(
            facts.time_zone.as_deref().unwrap_or_default(),
            SHORT_TEXT_CHARS_MAX,
        ),
        capabilities: Capability::ALL
            .into_iter()
            .enumerate()
            .filter(|(_, capability)| sees.contains(capability))
            .fold(0, |bits, (bit, _)| bits | 1 << bit),
        labels: facts.labels.clone().into_iter().collect(),
        capability_reports: facts.capabilities.iter().map(report_to_wire).collect(),
    }
}

/// Facts from the wire. Texts are cut; capabilities that this build does not know are left out, so that newer agents work.
///
/// # Errors
/// When labels are too many or too long, or reports on capabilities too many.
pub fn facts_from_wire(facts: v1::HostFacts) -> Result<HostFacts, ConvertError> {
    let text = |text: &str, chars_max| Arc::from(kept_text(text, chars_max));
    Ok(HostFacts {
        name: text(&facts.name, HOST_NAME_CHARS_MAX),
        os: text(&facts.os, OS_CHARS_MAX),
        agent_version: text(&facts.agent_version, SHORT_TEXT_CHARS_MAX),
        boot_id: text(&facts.boot_id, SHORT_TEXT_CHARS_MAX),
        time_zone: Some(facts.time_zone.as_str())
            .filter(|name| !name.is_empty())
            .map(|name| text(name, SHORT_TEXT_CHARS_MAX)),
        capabilities: capabilities_from_wire(facts.capabilities, &facts.capability_reports)?,
        labels: labels_from_wire(facts.labels)?,
    })
}

fn report_to_wire(report: &CapabilityReport) -> v1::CapabilityReport {
    let text = |text: &Option<Arc<str>>, chars_max| {
        kept_text(text.as_deref().unwrap_or_default(), chars_max)
    };
    let state = match report.state {
        CapabilityState::Yes => v1::CapabilityState::Yes,
        CapabilityState::Partly => v1::CapabilityState::Partly,
        CapabilityState::No => v1::CapabilityState::No,
        CapabilityState::Unknown => v1::CapabilityState::Unknown,
    };
    v1::CapabilityReport {
        name: report.capability.as_str().to_owned(),
        state: state.into(),
        how: text(&report.how, HOW_CHARS_MAX),
        why: text(&report.why, WHY_CHARS_MAX),
    }
}

/// Reports in the order of [`Capability::ALL`], of each capability the first. Agents that make none say yes or no by bits.
fn capabilities_from_wire(
    bits: u64,
    reports: &[v1::CapabilityReport],
) -> Result<Vec<CapabilityReport>, ConvertError> {
    list_at_most("facts.capability_reports", reports.len(), CAPABILITIES_MAX)?;
    if reports.is_empty() {
        let state = |bit: usize| {
            if bits >> bit & 1 == 1 {
                CapabilityState::Yes
            } else {
                CapabilityState::No
            }
        };
        let first = FIRST_CAPABILITIES.into_iter().enumerate();
        return Ok(first
            .map(|(bit, capability)| CapabilityReport::new(capability, state(bit)))
            .collect());
    }
    let of = |capability: Capability| {
        let report = reports
            .iter()
            .find(|report| report.name == capability.as_str())?;
        let text = |text: &str, chars_max| {
            Some(kept_text(text, chars_max))
                .filter(|text| !text.is_empty())
                .map(Arc::from)
        };
        Some(CapabilityReport {
            capability,
            state: match report.state() {
                v1::CapabilityState::Yes => CapabilityState::Yes,
                v1::CapabilityState::Partly => CapabilityState::Partly,
                v1::CapabilityState::No => CapabilityState::No,
                v1::CapabilityState::Unknown => CapabilityState::Unknown,
            },
            how: text(&report.how, HOW_CHARS_MAX),
            why: text(&report.why, WHY_CHARS_MAX),
        })
    };
    Ok(Capability::ALL.into_iter().filter_map(of).collect())
}

/// NULs go, because databases cannot hold them.
fn kept_text(text: &str, chars_max: usize) -> String {
    cut_chars(text, chars_max).replace('\0', "?")
}

fn labels_from_wire(
    labels: HashMap<String, String>,
) -> Result<BTreeMap<String, String>, ConvertError> {
    list_at_most("facts.labels", labels.len(), LABELS_MAX)?;
    for (key, value) in &labels {
        if key.is_empty() {
            return Err(ConvertError::Missing {
                field: "facts.labels key",
            });
        }
        let (key_chars, value_chars) = (key.chars().count(), value.chars().count());
        list_at_most(
            "facts.labels key characters",
            key_chars,
            LABEL_KEY_CHARS_MAX,
        )?;
        list_at_most(
            "facts.labels value characters",
            value_chars,
            LABEL_VALUE_CHARS_MAX,
        )?;
        if key.contains('\0') || value.contains('\0') {
            return Err(ConvertError::Malformed {
                field: "facts.labels",
                reason: "a label holds a NUL",
            });
        }
    }
    Ok(labels.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts(labels: BTreeMap<String, String>) -> HostFacts {
        HostFacts {
            name: "db-1".into(),
            os: "Linux 6.18 (Debian 12)".into(),
            agent_version: "0.1.0".into(),
            boot_id: "6f1c".into(),
            time_zone: Some("Europe/Vienna".into()),
            capabilities: vec![
                CapabilityReport {
                    how: Some("wmi".into()),
                    why: Some("the list of this build failed its test".into()),
                    ..CapabilityReport::new(Capability::BoundSockets, CapabilityState::Partly)
                },
                CapabilityReport::new(Capability::Events, CapabilityState::Yes),
                CapabilityReport::new(Capability::Wmi, CapabilityState::Unknown),
            ],
            labels,
        }
    }

    #[test]
    fn a_long_text_is_cut_and_an_unknown_capability_is_left_out() {
        let known = facts(BTreeMap::new());
        let mut wire = facts_to_wire(&known);
        wire.name = "ß".repeat(1_000);
        wire.capabilities |= 1 << 63;
        let newer = v1::CapabilityReport {
            name: "telepathy".to_owned(),
            ..v1::CapabilityReport::default()
        };
        wire.capability_reports.insert(0, newer);
        let kept = facts_from_wire(wire.clone()).unwrap();
        assert_eq!(kept.name.chars().count(), HOST_NAME_CHARS_MAX);
        assert_eq!(kept.capabilities, known.capabilities);
        wire.capability_reports[1].why = "é".repeat(1_000);
        // A state that a newer release knows is not known here.
        wire.capability_reports[2].state = 99;
        let kept = facts_from_wire(wire.clone()).unwrap().capabilities;
        assert_eq!(kept[0].why.as_ref().unwrap().chars().count(), WHY_CHARS_MAX);
        assert_eq!(kept[1].state, CapabilityState::Unknown);
        wire.capability_reports = vec![v1::CapabilityReport::default(); CAPABILITIES_MAX + 1];
        assert_eq!(
            facts_from_wire(wire).unwrap_err().to_string(),
            "facts.capability_reports is 65; the limit is 64"
        );
    }

    #[test]
    fn an_agent_that_reports_by_bits_is_understood_and_so_is_this_one_by_them() {
        let mut wire = facts_to_wire(&facts(BTreeMap::new()));
        // Bound sockets are listed with a reservation, which a bit cannot say.
        assert_eq!(wire.capabilities, 0b1000);
        wire.capability_reports.clear();
        let kept = facts_from_wire(wire).unwrap().capabilities;
        let expected = [
            (Capability::BoundSockets, CapabilityState::No),
            (Capability::AllOwners, CapabilityState::No),
            (Capability::AllNamespaces, CapabilityState::No),
            (Capability::Events, CapabilityState::Yes),
        ];
        assert_eq!(
            kept,
            expected.map(|(one, state)| CapabilityReport::new(one, state))
        );
    }

    #[test]
    fn labels_beyond_their_limits_are_refused_by_name() {
        let many = (0..=LABELS_MAX)
            .map(|n| (n.to_string(), String::new()))
            .collect();
        let cases = [
            (many, "facts.labels is 33; the limit is 32"),
            (
                HashMap::from([(String::new(), "x".to_owned())]),
                "facts.labels key is missing",
            ),
            (
                HashMap::from([("k".repeat(65), String::new())]),
                "facts.labels key characters is 65; the limit is 64",
            ),
            (
                HashMap::from([("k".to_owned(), "v".repeat(257))]),
                "facts.labels value characters is 257; the limit is 256",
            ),
        ];
        for (labels, message) in cases {
            let mut wire = facts_to_wire(&facts(BTreeMap::new()));
            wire.labels = labels;
            assert_eq!(facts_from_wire(wire).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn facts_survive_the_wire(labels in proptest::collection::btree_map("[a-z]{1,64}", "[^\0]{0,256}", 0..=32)) {
            let facts = facts(labels);
            prop_assert_eq!(facts_from_wire(facts_to_wire(&facts)), Ok(facts));
        }
    }
}
