//! What a grant lets be done: one kind of action, and a bound for each of its parameters.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{InvalidGrant, Uncovered};
use crate::action::spec::NAME_CHARS_MAX;
use crate::action::{ActionKind, ActionSpec, Tier};
use crate::pattern::is_like;

/// The most disruptive tier that can be granted: what restarts a host is signed each time.
const TIER_MAX: Tier = Tier::Disruptive;
/// Longest shown value of a parameter, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// A kind of action with a bound for each of its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionTemplate {
    /// Which kind, of tier 0, 1 or 2.
    pub kind: ActionKind,
    /// Each parameter of that kind, none left out.
    pub parameters: BTreeMap<String, Bound>,
}

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Exactly this.
    Is(Value),
    /// A text like this pattern, `*` being any text; case does not matter.
    Like(String),
    /// An integer from the first to the second, both included.
    Between(i64, i64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(value) => f.write_str(&shown(value)),
            Self::Like(pattern) => write!(f, "like {pattern:?}"),
            Self::Between(first, last) => write!(f, "{first} to {last}"),
        }
    }
}

impl fmt::Display for ActionTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        for (name, bound) in &self.parameters {
            write!(f, " {name}={bound}")?;
        }
        Ok(())
    }
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(SHOWN_CHARS_MAX).collect()
}

impl Bound {
    fn allows(&self, value: &Value) -> bool {
        match self {
            Self::Is(only) => only == value,
            Self::Like(pattern) => value
                .as_str()
                .is_some_and(|text| is_like(&text.to_lowercase(), &pattern.to_lowercase())),
            Self::Between(first, last) => value
                .as_i64()
                .is_some_and(|number| (*first..=*last).contains(&number)),
        }
    }

    fn check(&self, name: &str) -> Result<(), InvalidGrant> {
        let wrong = |reason: &str| {
            let field = format!("action.parameters.{name}");
            Err(InvalidGrant::limit(field, reason))
        };
        match self {
            Self::Is(_) => Ok(()),
            Self::Like(pattern) if pattern.chars().count() > NAME_CHARS_MAX => {
                wrong("is a pattern of at most 256 characters")
            }
            Self::Like(pattern) if pattern.chars().all(|char| char == '*') => {
                wrong("is a pattern that every text fits; name at least a part of it")
            }
            Self::Like(pattern) if pattern.chars().any(char::is_control) => {
                wrong("is a pattern without control characters")
            }
            Self::Like(_) => Ok(()),
            Self::Between(first, last) if first > last => {
                wrong("ends before it begins; write the lower number first")
            }
            Self::Between(..) => Ok(()),
        }
    }
}

impl ActionTemplate {
    /// That action and no other.
    #[must_use]
    pub fn of(spec: &ActionSpec) -> Self {
        let parameters = fields_of(spec)
            .into_iter()
            .map(|(name, value)| (name, Bound::Is(value)));
        Self {
            kind: spec.kind(),
            parameters: parameters.collect(),
        }
    }

    pub(super) fn check(&self) -> Result<(), InvalidGrant> {
        if self.kind.tier() > TIER_MAX {
            return Err(InvalidGrant::limit(
                "action.kind",
                format!(
                    "{} is of tier {}; a grant is for tiers up to {}, sign each such order",
                    self.kind.as_str(),
                    self.kind.tier().number(),
                    TIER_MAX.number()
                ),
            ));
        }
        let wanted = parameters(self.kind);
        let missing = wanted
            .iter()
            .find(|name| !self.parameters.contains_key(**name));
        if let Some(name) = missing {
            return Err(InvalidGrant::limit(
                format!("action.parameters.{name}"),
                "has no bound; give each parameter one",
            ));
        }
        for (name, bound) in &self.parameters {
            if !wanted.contains(&name.as_str()) {
                return Err(InvalidGrant::limit(
                    format!("action.parameters.{name}"),
                    format!("is no parameter of {}", self.kind.as_str()),
                ));
            }
            bound.check(name)?;
        }
        match self.spec() {
            Some(Ok(spec)) => match spec.problems().into_iter().next() {
                Some(problem) => Err(InvalidGrant::limit("action", problem.to_string())),
                None => Ok(()),
            },
            Some(Err(error)) => Err(InvalidGrant::limit("action", error.to_string())),
            None => Ok(()),
        }
    }

    /// The one action that it is about, when every parameter is fixed.
    fn spec(&self) -> Option<Result<ActionSpec, serde_json::Error>> {
        let mut fields = serde_json::Map::new();
        fields.insert("action".to_owned(), self.kind.as_str().into());
        for (name, bound) in &self.parameters {
            match bound {
                Bound::Is(value) => fields.insert(name.clone(), value.clone()),
                Bound::Like(_) | Bound::Between(..) => return None,
            };
        }
        Some(serde_json::from_value(fields.into()))
    }

    /// Whether an action is within every bound.
    ///
    /// # Errors
    /// [`Uncovered`] says which it is not within.
    pub fn covers(&self, spec: &ActionSpec) -> Result<(), Uncovered> {
        if spec.kind() != self.kind {
            return Err(Uncovered::Action {
                granted: self.kind.as_str(),
                asked: spec.kind().as_str(),
            });
        }
        for (name, value) in fields_of(spec) {
            let bound = self.parameters.get(&name);
            if !bound.is_some_and(|bound| bound.allows(&value)) {
                return Err(Uncovered::Parameter {
                    bound: bound.map_or_else(|| "nothing".to_owned(), ToString::to_string),
                    value: shown(&value),
                    name,
                });
            }
        }
        Ok(())
    }
}

/// An action's parameters by name.
fn fields_of(spec: &ActionSpec) -> serde_json::Map<String, Value> {
    // Every action is an object with a tag.
    match serde_json::to_value(spec) {
        Ok(Value::Object(mut fields)) => {
            fields.remove("action");
            fields
        }
        Ok(_) | Err(_) => serde_json::Map::new(),
    }
}

/// The parameters of a kind of action, all of them.
#[must_use]
pub(super) const fn parameters(kind: ActionKind) -> &'static [&'static str] {
    match kind {
        ActionKind::CollectEvidence => &["seconds"],
        ActionKind::WriteEvent => &["id", "level", "log", "source", "text"],
        ActionKind::RestartService => &["on_hang", "service", "stop_timeout_s"],
        ActionKind::RecycleAppPool => &["pool"],
        ActionKind::EndProcess => &["image", "pid", "started_at_ms"],
        ActionKind::SetDynamicPortRange => &[
            "confirm_within_s",
            "family",
            "first",
            "last",
            "lasting",
            "protocol",
        ],
        ActionKind::SetTcpParameter => &["parameter", "value"],
        ActionKind::SetTcpGlobal => &["enabled", "switch"],
        ActionKind::SetNicOffload => &["adapter", "enabled", "offload"],
        ActionKind::SetInterruptModeration => &["adapter", "enabled"],
        ActionKind::SetDotnetConnectionLimit => &["connections"],
        ActionKind::ResetTcpStack => &["steps"],
        ActionKind::Reboot => &["force", "grace_s", "reason"],
        ActionKind::RunHook => &["arguments", "name"],
    }
}
