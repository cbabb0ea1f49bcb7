//! What an agent says about its host, on the wire.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidemark_model::HostFacts;
use tidemark_model::host::Capability;

use super::{ConvertError, cut_chars, list_at_most};
use crate::v1;

/// Characters of a host name that are kept (RFC 1035, section 2.3.4).
pub const HOST_NAME_CHARS_MAX: usize = 253;
/// Characters of the operating system's name that are kept.
pub const OS_CHARS_MAX: usize = 255;
/// Characters of an agent's version and of a boot id that are kept.
pub const SHORT_TEXT_CHARS_MAX: usize = 64;
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
    v1::HostFacts {
        name: text(&facts.name, HOST_NAME_CHARS_MAX),
        os: text(&facts.os, OS_CHARS_MAX),
        agent_version: text(&facts.agent_version, SHORT_TEXT_CHARS_MAX),
        boot_id: text(&facts.boot_id, SHORT_TEXT_CHARS_MAX),
        capabilities: Capability::ALL
            .into_iter()
            .enumerate()
            .filter(|(_, capability)| facts.capabilities.contains(capability))
            .fold(0, |bits, (bit, _)| bits | 1 << bit),
        labels: facts.labels.clone().into_iter().collect(),
    }
}

/// Facts from the wire. Texts are cut; capabilities that this build does not know are left out, so that newer agents work.
///
/// # Errors
/// When labels are too many or too long.
pub fn facts_from_wire(facts: v1::HostFacts) -> Result<HostFacts, ConvertError> {
    let text = |text: &str, chars_max| Arc::from(kept_text(text, chars_max));
    Ok(HostFacts {
        name: text(&facts.name, HOST_NAME_CHARS_MAX),
        os: text(&facts.os, OS_CHARS_MAX),
        agent_version: text(&facts.agent_version, SHORT_TEXT_CHARS_MAX),
        boot_id: text(&facts.boot_id, SHORT_TEXT_CHARS_MAX),
        capabilities: Capability::ALL
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| facts.capabilities >> bit & 1 == 1)
            .map(|(_, capability)| capability)
            .collect(),
        labels: labels_from_wire(facts.labels)?,
    })
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
            capabilities: vec![Capability::BoundSockets, Capability::Events],
            labels,
        }
    }

    #[test]
    fn a_long_host_name_is_cut_and_an_unknown_capability_is_left_out() {
        let mut wire = facts_to_wire(&facts(BTreeMap::new()));
        wire.name = "ß".repeat(1_000);
        wire.capabilities |= 1 << 63;
        let kept = facts_from_wire(wire).unwrap();
        assert_eq!(kept.name.chars().count(), HOST_NAME_CHARS_MAX);
        assert_eq!(
            kept.capabilities,
            [Capability::BoundSockets, Capability::Events]
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
