//! From a standing policy's rung to what a grant for it says: the rule's hash, the action's template, the trigger.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{ActionTemplate, Bound, Culprit, Trigger};
use crate::action::ActionKind;
use crate::policy::{Condition, ConditionSpec, Policy, PolicySpec, RungDeed, RungSpec};

/// Why no grant can be made of a rung as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// Hosts cannot look at that condition by themselves.
    #[error(
        "a host cannot see by itself whether {0}; say what it must see instead, with --level or --event"
    )]
    Condition(String),
    /// The rung names a culprit and the grant must say who that can be.
    #[error("the rung is about whoever is to blame; say who that may be, as in --subject 'app*'")]
    Subject,
    /// The rung names what it is done to.
    #[error("the rung names what it is done to; leave --subject out")]
    NoSubject,
}

/// What of a policy a grant is signed for.
#[derive(Serialize)]
struct SignedRule<'a> {
    policy: &'a str,
    condition: &'a ConditionSpec,
    #[serde(rename = "for")]
    hold: &'a str,
    rung: &'a RungSpec,
}

/// SHA-256 of a policy's condition, time and rung, hexadecimal; `None` when it has no such rung. A policy that asks for the
/// same under the same condition has the same, whatever else about it changes.
#[must_use]
pub fn rule_hash(policy: &PolicySpec, rung: usize) -> Option<String> {
    let rule = SignedRule {
        policy: &policy.name,
        condition: &policy.condition,
        hold: &policy.hold,
        rung: policy.ladder.get(rung)?,
    };
    let text = serde_json::to_vec(&rule).ok()?;
    Some(HEXLOWER.encode(&Sha256::digest(text)))
}

/// The template of what a rung does. `subject` is a pattern of the services or images that a culprit may have.
///
/// # Errors
/// When a subject is wanted and missing, or the other way round.
pub fn template_of(deed: &RungDeed, subject: Option<&str>) -> Result<ActionTemplate, RuleProblem> {
    let like = |subject: Option<&str>| {
        let pattern = subject.ok_or(RuleProblem::Subject)?;
        Ok(Bound::Like(pattern.to_owned()))
    };
    match deed {
        RungDeed::Ready(_) if subject.is_some() => Err(RuleProblem::NoSubject),
        RungDeed::Ready(spec) => Ok(ActionTemplate::of(spec)),
        RungDeed::RestartCulprit {
            stop_timeout_s,
            on_hang,
        } => Ok(ActionTemplate {
            kind: ActionKind::RestartService,
            parameters: BTreeMap::from([
                ("service".to_owned(), like(subject)?),
                (
                    "stop_timeout_s".to_owned(),
                    Bound::Is((*stop_timeout_s).into()),
                ),
                ("on_hang".to_owned(), Bound::Is(on_hang.as_str().into())),
            ]),
        }),
        RungDeed::EndCulprit => Ok(ActionTemplate {
            kind: ActionKind::EndProcess,
            parameters: BTreeMap::from([
                ("image".to_owned(), like(subject)?),
                ("pid".to_owned(), Bound::Between(1, u32::MAX.into())),
                ("started_at_ms".to_owned(), Bound::Between(0, i64::MAX)),
            ]),
        }),
    }
}

/// The trigger that says the same as a policy's condition.
///
/// # Errors
/// When a host cannot see by itself whether that condition holds.
pub fn trigger_of(policy: &Policy, culprit: Option<Culprit>) -> Result<Trigger, RuleProblem> {
    let seconds = |span: std::time::Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
    match &policy.condition {
        Condition::Level { percent, space } => Ok(Trigger::Level {
            percent: *percent,
            protocol: space.protocol,
            namespace: space.namespace.clone(),
            held_s: seconds(policy.hold),
            culprit,
        }),
        Condition::Event {
            source,
            code,
            within,
        } if culprit.is_none() => Ok(Trigger::Event {
            source: source.clone(),
            code: *code,
            within_s: seconds(*within),
        }),
        other @ (Condition::Event { .. }
        | Condition::EtaWithin { .. }
        | Condition::EtaBeforeWindow { .. }
        | Condition::Finding { .. }
        | Condition::Incident { .. }
        | Condition::Budget { .. }) => Err(RuleProblem::Condition(other.to_string())),
    }
}
