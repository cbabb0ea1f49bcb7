//! Standing policies as the API answers them: what they say, what they did, and what they would have done.

use serde::{Deserialize, Serialize};

use crate::action::ActionState;
use crate::policy::{CaseState, PolicySpec};

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyView {
    /// What was applied.
    pub spec: PolicySpec,
    /// Counts what was applied under its name, from 1, deletions included.
    pub version: u64,
    /// Who applied it.
    pub applied_by: String,
    /// When.
    pub applied_ms: i64,
    /// Its condition in words.
    pub condition: String,
    /// Hosts that it is for.
    pub hosts: u64,
    /// `idle`, `holding`, `acting`, `escalated` (somebody must look) or `disabled`.
    pub state: String,
    /// Hosts on which the condition holds, and nothing was begun yet.
    pub holding: u64,
    /// Hosts on which it acts.
    pub acting: u64,
    /// Hosts on which somebody must look.
    pub escalated: u64,
    /// Firings of the last 30 days.
    pub fired: u64,
    /// Those of them that ended with a rung that helped.
    pub verified: u64,
    /// When it fired last, within these days.
    pub fired_ms: Option<i64>,
}

/// One policy with what it did, and with what was ever applied under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyDetail {
    /// As it stands; `null` when it was deleted.
    pub policy: Option<PolicyView>,
    /// What it did and does on hosts, newest first; 50 at most.
    pub cases: Vec<CaseView>,
    /// Its versions, newest first; 100 at most.
    pub versions: Vec<PolicyVersionView>,
}

/// One version of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyVersionView {
    /// Its number.
    pub version: u64,
    /// When it was applied.
    pub applied_ms: i64,
    /// Who applied it.
    pub applied_by: String,
    /// What was applied; `null` for the deletion, and for what this release cannot read.
    pub spec: Option<PolicySpec>,
}

/// A policy on one host, from the condition to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CaseView {
    /// Its number.
    pub id: i64,
    /// Version of the policy.
    pub version: u64,
    /// Id of the host.
    pub host: String,
    /// Name of the host; `null` when it is not known any more.
    pub host_name: Option<String>,
    /// Where it stands.
    pub state: CaseState,
    /// Since when the condition holds.
    pub since_ms: i64,
    /// When its ladder was begun; `null` while it was not.
    pub fired_ms: Option<i64>,
    /// When nothing more was to come.
    pub ended_ms: Option<i64>,
    /// What was seen, in one sentence.
    pub seen: String,
    /// Why it does not go on, while it waits.
    pub waits_for: Option<String>,
    /// The incident that it is about.
    pub incident: Option<i64>,
    /// The action that is asked for or under way.
    pub action: Option<String>,
    /// What was tried, in order.
    pub tried: Vec<TriedView>,
    /// Why it ended as it did.
    pub why: Option<String>,
}

/// A rung that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TriedView {
    /// Its place in the policy's ladder, from 0.
    pub rung: usize,
    /// What it does, in one line.
    pub summary: String,
    /// Id of the action; `null` when none could be asked for.
    pub action: Option<String>,
    /// How the action ended.
    pub state: Option<ActionState>,
    /// When.
    pub at_ms: i64,
    /// Why, in one sentence.
    pub text: String,
}

/// Policies to apply: those of a name that is there are changed, others are made; none is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PoliciesRequest {
    /// 1 to 200 policies with names of their own.
    pub policy: Vec<PolicySpec>,
}

/// What applying policies did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PoliciesApplied {
    /// Whether nothing was stored, because only the outcome was asked for.
    pub dry_run: bool,
    /// One for each policy, in the request's order.
    pub policies: Vec<PolicyChange>,
}

/// What became of one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyChange {
    /// Its name.
    pub name: String,
    /// `created`, `changed` or `unchanged`.
    pub outcome: String,
    /// Its version after that.
    pub version: u64,
    /// Fields that differ, a line each: `- for = "5m"`, `+ for = "10m"`.
    pub differences: Vec<String>,
    /// Hosts that it is for.
    pub hosts: u64,
    /// Those of them that have no maintenance window; it never acts on them when it waits for one.
    pub hosts_without_window: u64,
    /// In a dry run: what it would have done; `null` beyond the first 5 policies of a request, and otherwise.
    pub replay: Option<PolicyReplay>,
}

/// What a policy would have done over history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyReplay {
    /// Name of the policy.
    pub name: String,
    /// From when on history was looked at.
    pub from_ms: i64,
    /// Until when.
    pub to_ms: i64,
    /// Why its condition cannot be told from history; `null` when it can.
    pub unknown: Option<String>,
    /// How closely history was looked at.
    pub note: String,
    /// Hosts that were looked at.
    pub hosts: u64,
    /// Hosts that found no room.
    pub hosts_left_out: u64,
    /// How often it would have fired.
    pub fired: u64,
    /// How often somebody would have had to look instead, because it had fired too often within 24 h.
    pub escalated: u64,
    /// When and where, oldest first; 200 at most.
    pub firings: Vec<ReplayFiring>,
}

/// One time that a policy would have fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayFiring {
    /// Id of the host.
    pub host: String,
    /// Its name.
    pub host_name: String,
    /// Since when the condition held.
    pub since_ms: i64,
    /// When it would have fired.
    pub fired_ms: i64,
    /// Whether somebody would have had to look instead.
    pub escalated: bool,
}
