//! Standing policies: when which action is asked for on which host, rung after rung, without anybody typing it. Pure: what
//! a policy says, and how far it has come on a host. What it may cost a host, that host's own policy decides.

pub mod case;
pub mod condition;
pub mod ladder;
mod read;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use case::{Case, CaseBody, CaseState, Pending, Tried};
pub use condition::{Condition, ConditionSpec, SpaceFilter};
pub use ladder::{Fixes, Ladder, LadderEnd, RungOutcome};
pub use read::{Rung, RungDeed};

use crate::kinds::kinds;
use crate::silence::{Labels, Matcher};

/// A policy as it is applied, stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// Its name: 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`.
    pub name: String,
    /// What it is for, up to 500 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether it looks at hosts at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Which hosts it is for, 1 to 20 matchers that must all match, as in `tier=web` or `host!=db-*`; `host=*` for all.
    pub hosts: Vec<String>,
    /// What must be so.
    pub condition: ConditionSpec,
    /// For how long without a break, 0s to 7d.
    #[serde(default = "five_minutes", rename = "for")]
    pub hold: String,
    /// What is done then, one after the other until one helped; 1 to 10.
    pub ladder: Vec<RungSpec>,
    /// In which order.
    #[serde(default)]
    pub order: RungOrder,
    /// When it may be done.
    #[serde(default)]
    pub when: ActWhen,
    /// Who says yes.
    #[serde(default)]
    pub approval: PolicyApproval,
    /// How long an approval is waited for, 5m to 13d. In a window it is waited for until the window ends.
    #[serde(default = "one_hour")]
    pub approve_within: String,
    /// How much it may do.
    #[serde(default)]
    pub limits: LimitsSpec,
}

/// One rung: an action as people type it, and how long to wait after it was in vain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RungSpec {
    /// Kind of the action, as in `restart_service`.
    pub action: String,
    /// Its parameters, each `NAME=VALUE`, as in `service=appsvc`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// `culprit`: what the finding or the forecast names, its service for `restart_service`, its process for `end_process`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How long the next rung waits after this one was in vain, 0s to 1d.
    #[serde(default = "nothing")]
    pub wait: String,
}

/// How much a policy may do, beside the limits that hold for every action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSpec {
    /// Shortest time on one host from the end of one firing to the next, 0s to 7d.
    pub cooldown: String,
    /// Firings on one host within 24 h, 1 to 24; instead of one more, somebody must look.
    pub per_day: u32,
    /// Hosts on which it acts at once, 1 to 1,000.
    pub concurrent: u32,
}

impl Default for LimitsSpec {
    fn default() -> Self {
        Self {
            cooldown: one_hour(),
            per_day: 2,
            concurrent: 1,
        }
    }
}

const fn yes() -> bool {
    true
}

fn five_minutes() -> String {
    "5m".to_owned()
}

fn one_hour() -> String {
    "1h".to_owned()
}

fn nothing() -> String {
    "0s".to_owned()
}

kinds! {
    /// In which order rungs are offered.
    #[derive(Default)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    RungOrder
    /// As they are written.
    #[default]
    AsWritten = "as_written",
    /// What worked most often, then freed most, first; then what was never tried, as written; what was in vain last.
    ByRecovery = "by_recovery",
}

kinds! {
    /// When a policy may act.
    #[derive(Default)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    ActWhen
    /// At once.
    #[default]
    Now = "now",
    /// In the host's maintenance window: the one that is open, or the next.
    Window = "window",
}

kinds! {
    /// Who approves what a policy asks for.
    #[derive(Default)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    PolicyApproval
    /// People, as with every other action.
    #[default]
    Required = "required",
    /// Who applied the policy, in advance; for actions of tiers 0 and 1 alone.
    ByPolicy = "by_policy",
}

/// A policy of which every value was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What was applied.
    pub spec: PolicySpec,
    /// Choose its hosts; all must match.
    pub hosts: Vec<Matcher>,
    /// What must be so.
    pub condition: Condition,
    /// For how long.
    pub hold: Duration,
    /// What is done then.
    pub ladder: Vec<Rung>,
    /// How long an approval is waited for.
    pub approve_within: Duration,
    /// Shortest time between two firings on one host.
    pub cooldown: Duration,
}

impl Policy {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Whether it is for a host with these labels.
    #[must_use]
    pub fn is_for(&self, labels: &Labels) -> bool {
        self.hosts.iter().all(|matcher| matcher.takes(labels))
    }

    /// In whose name that version of it asks: nobody's, so that nobody's approval is missing for it.
    #[must_use]
    pub fn requester(&self, version: u64) -> String {
        requester_of(&self.spec.name, version)
    }
}

/// In whose name that version of the policy of that name asks.
#[must_use]
pub fn requester_of(name: &str, version: u64) -> String {
    format!("policy:{name}@{version}")
}

/// The policy in whose name something is asked for, as in `policy:full@3`; `None` when a person asks.
#[must_use]
pub fn asking_policy(requester: &str) -> Option<&str> {
    let (policy, _version) = requester.strip_prefix("policy:")?.rsplit_once('@')?;
    Some(policy)
}
