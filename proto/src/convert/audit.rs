//! A host's audit on the wire.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use tidemark_model::PortRange;
use tidemark_model::audit::{
    AuditFact, FACTS_MAX, FactKey, FactName, FactState, FactValue, HostAudit, RANGES_MAX, Shape,
    Topic, TopicState,
};

use super::{ConvertError, at_most, list_at_most, time_from_wire};
use crate::v1;
use crate::v1::audit_fact::State;

/// Largest audit on the wire, in bytes.
pub const AUDIT_BYTES_MAX: usize = 256 * 1024;

/// Bytes that an audit takes on the wire, of [`AUDIT_BYTES_MAX`].
#[must_use]
pub fn audit_bytes(audit: &HostAudit) -> usize {
    audit_to_wire(audit).encoded_len()
}

/// An audit for the wire.
#[must_use]
pub fn audit_to_wire(audit: &HostAudit) -> v1::HostAudit {
    v1::HostAudit {
        taken_at_ms: audit.taken_at.unix_ms(),
        topics: audit
            .topics
            .iter()
            .map(|(topic, state)| v1::AuditTopic {
                topic: topic.number(),
                unread: match state {
                    TopicState::Read => None,
                    TopicState::Unread(reason) => Some(reason.to_string()),
                },
            })
            .collect(),
        facts: audit.facts.iter().map(fact_to_wire).collect(),
    }
}

fn fact_to_wire(fact: &AuditFact) -> v1::AuditFact {
    let state = match &fact.state {
        FactState::Absent => State::Absent(true),
        FactState::Unknown(reason) => State::Unknown(reason.to_string()),
        FactState::Known(FactValue::Number(number)) => State::Number(*number),
        FactState::Known(FactValue::Flag(flag)) => State::Flag(*flag),
        FactState::Known(FactValue::Text(text)) => State::Text(text.to_string()),
        FactState::Known(FactValue::Range(range)) => State::Range(ports_to_wire(*range)),
        FactState::Known(FactValue::Ranges(ranges)) => State::Ranges(v1::AuditPortsList {
            ranges: ranges.iter().copied().map(ports_to_wire).collect(),
        }),
    };
    v1::AuditFact {
        name: fact.key.name.number(),
        item: fact.key.item.as_ref().map(ToString::to_string),
        state: Some(state),
    }
}

fn ports_to_wire(range: PortRange) -> v1::AuditPorts {
    v1::AuditPorts {
        first: range.first.into(),
        last: range.last.into(),
    }
}

/// An audit from the wire, its facts ordered by key. Texts are cut; topics and facts that this build does not know are
/// left out, so that newer agents work.
///
/// # Errors
/// When it is too large, a fact is there twice, of the wrong shape or without its item, or a range is none.
pub fn audit_from_wire(audit: v1::HostAudit) -> Result<HostAudit, ConvertError> {
    at_most(
        "audit bytes",
        audit.encoded_len() as u64,
        AUDIT_BYTES_MAX as u64,
    )?;
    list_at_most("audit.facts", audit.facts.len(), FACTS_MAX)?;
    list_at_most("audit.topics", audit.topics.len(), FACTS_MAX)?;
    let taken_at = time_from_wire("audit.taken_at_ms", audit.taken_at_ms)?;
    let mut topics = BTreeMap::new();
    for topic in audit.topics {
        if let Some(known) = Topic::from_number(topic.topic) {
            let state = match topic.unread {
                None => TopicState::Read,
                Some(reason) => TopicState::unread(&reason),
            };
            if topics.insert(known, state).is_some() {
                return Err(malformed("audit.topics", "a topic is there twice"));
            }
        }
    }
    let mut keys = BTreeSet::new();
    let mut facts = Vec::with_capacity(audit.facts.len());
    for fact in audit.facts {
        let Some(name) = FactName::from_number(fact.name) else {
            continue;
        };
        let key = key_from_wire(name, fact.item.as_deref())?;
        if !keys.insert(key.clone()) {
            return Err(malformed("audit.facts", "a fact is there twice"));
        }
        let state = fact.state.ok_or(ConvertError::Missing {
            field: "audit.facts.state",
        })?;
        let state = state_from_wire(name.shape(), state)?;
        facts.push(AuditFact { key, state });
    }
    facts.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(HostAudit {
        taken_at,
        topics,
        facts,
    })
}

fn key_from_wire(name: FactName, item: Option<&str>) -> Result<FactKey, ConvertError> {
    match (name.is_of_items(), item) {
        (true, Some(item)) if !item.is_empty() => Ok(FactKey::of_item(name, item)),
        (false, None) => Ok(FactKey::of(name)),
        (true, _) => Err(ConvertError::Missing {
            field: "audit.facts.item",
        }),
        (false, Some(_)) => Err(malformed(
            "audit.facts.item",
            "the host has one of it, and it has no name",
        )),
    }
}

fn state_from_wire(shape: Shape, state: State) -> Result<FactState, ConvertError> {
    let value = match state {
        State::Absent(true) => return Ok(FactState::Absent),
        State::Absent(false) => {
            return Err(malformed(
                "audit.facts.absent",
                "what is not absent has a value",
            ));
        }
        State::Unknown(reason) => return Ok(FactState::unknown(&reason)),
        State::Number(number) => {
            at_most("audit.facts.number", number, i64::MAX.unsigned_abs())?;
            FactValue::Number(number)
        }
        State::Flag(flag) => FactValue::Flag(flag),
        State::Text(text) => FactValue::text(&text),
        State::Range(range) => FactValue::Range(ports_from_wire(&range)?),
        State::Ranges(list) => {
            list_at_most("audit.facts.ranges", list.ranges.len(), RANGES_MAX)?;
            let ranges = list.ranges.iter().map(ports_from_wire);
            FactValue::Ranges(ranges.collect::<Result<_, _>>()?)
        }
    };
    if value.shape() != shape {
        return Err(malformed(
            "audit.facts",
            "a value is not of the shape that its fact has",
        ));
    }
    Ok(FactState::Known(value))
}

fn ports_from_wire(range: &v1::AuditPorts) -> Result<PortRange, ConvertError> {
    let port = |port: u32| u16::try_from(port).ok();
    port(range.first)
        .zip(port(range.last))
        .and_then(|(first, last)| PortRange::new(first, last))
        .ok_or_else(|| {
            malformed(
                "audit.facts.range",
                "a range is two ports up to 65535, the lower one first",
            )
        })
}

const fn malformed(field: &'static str, reason: &'static str) -> ConvertError {
    ConvertError::Malformed { field, reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use tidemark_model::Timestamp;

    use super::*;

    fn value(shape: Shape, number: u16) -> FactValue {
        let range = PortRange::new(number / 2, number).unwrap();
        match shape {
            Shape::Number => FactValue::Number(number.into()),
            Shape::Flag => FactValue::Flag(number.is_multiple_of(2)),
            Shape::Text => FactValue::text(&number.to_string()),
            Shape::Range => FactValue::Range(range),
            Shape::Ranges => FactValue::Ranges(vec![range]),
        }
    }

    /// Every fact there is, with some values.
    fn full_audit(seed: u16) -> HostAudit {
        let mut audit = HostAudit::empty(Timestamp::from_unix_ms(1_000));
        for name in FactName::ALL {
            audit.topics.insert(name.topic(), TopicState::Read);
            let key = if name.is_of_items() {
                FactKey::of_item(*name, "Ethernet \u{1b}2")
            } else {
                FactKey::of(*name)
            };
            let state = match name.number() % 3 {
                0 => FactState::Absent,
                1 => FactState::unknown("no right"),
                _ => FactState::Known(value(name.shape(), seed)),
            };
            audit.facts.push(AuditFact { key, state });
        }
        audit
            .topics
            .insert(Topic::Hotfixes, TopicState::unread("timed out"));
        audit
    }

    fn wire_fact(name: FactName, item: Option<&str>, state: State) -> v1::HostAudit {
        v1::HostAudit {
            facts: vec![v1::AuditFact {
                name: name.number(),
                item: item.map(str::to_owned),
                state: Some(state),
            }],
            ..v1::HostAudit::default()
        }
    }

    proptest! {
        #[test]
        fn an_audit_survives_the_wire(seed in any::<u16>()) {
            let audit = full_audit(seed);
            prop_assert_eq!(audit_from_wire(audit_to_wire(&audit)), Ok(audit));
        }

        #[test]
        fn hostile_bytes_are_refused_or_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            if let Ok(Ok(audit)) = v1::HostAudit::decode(bytes.as_slice()).map(audit_from_wire) {
                prop_assert!(audit_bytes(&audit) <= AUDIT_BYTES_MAX);
            }
        }
    }

    #[test]
    fn what_a_newer_agent_tells_besides_is_passed_over() {
        let mut wire = audit_to_wire(&full_audit(7));
        let known = audit_from_wire(wire.clone()).unwrap();
        wire.topics.push(v1::AuditTopic {
            topic: 999_999,
            unread: None,
        });
        wire.facts.push(v1::AuditFact {
            name: 999_999,
            item: None,
            state: None,
        });
        assert_eq!(audit_from_wire(wire), Ok(known));
    }

    #[test]
    fn what_is_no_audit_is_refused_by_name() {
        let ports = |first, last| v1::AuditPorts { first, last };
        let mut twice = wire_fact(FactName::MaxUserPort, None, State::Number(1));
        twice.facts.extend(twice.facts.clone());
        let mut many = wire_fact(FactName::MaxUserPort, None, State::Number(1));
        many.facts = vec![many.facts[0].clone(); FACTS_MAX + 1];
        let large = "x".repeat(AUDIT_BYTES_MAX);
        let cases = [
            (twice, "audit.facts is malformed: a fact is there twice"),
            (many, "audit.facts is 2049; the limit is 2048"),
            (
                wire_fact(FactName::Edition, None, State::Text(large)),
                "audit bytes is 262154; the limit is 262144",
            ),
            (
                wire_fact(FactName::MaxUserPort, None, State::Text("5000".to_owned())),
                "audit.facts is malformed: a value is not of the shape that its fact has",
            ),
            (
                wire_fact(FactName::MaxUserPort, Some("x"), State::Number(1)),
                "audit.facts.item is malformed: the host has one of it, and it has no name",
            ),
            (
                wire_fact(FactName::NicRss, None, State::Flag(true)),
                "audit.facts.item is missing",
            ),
            (
                wire_fact(FactName::DynamicRange, None, State::Range(ports(9, 3))),
                "audit.facts.range is malformed: a range is two ports up to 65535, the lower one first",
            ),
            (
                wire_fact(FactName::DynamicRange, None, State::Range(ports(1, 65_536))),
                "audit.facts.range is malformed: a range is two ports up to 65535, the lower one first",
            ),
        ];
        for (wire, message) in cases {
            assert_eq!(audit_from_wire(wire).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn hostile_text_is_cut() {
        let wire = wire_fact(
            FactName::NicDriver,
            Some(&"i".repeat(1_000)),
            State::Text("\0ß".repeat(1_000)),
        );
        let audit = audit_from_wire(wire).unwrap();
        let (item, state) = audit.items(FactName::NicDriver).next().unwrap();
        assert_eq!(item.chars().count(), 128);
        let text = state.text().unwrap();
        assert!(text.chars().count() == 256 && !text.contains('\0'));
    }
}
