//! Port budgets, and how hosts stand to them, as files write them and the API answers them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A port budget as a file or a request writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetSpec {
    /// 1 to 64 characters of `a-z 0-9 - _ .`, a letter or digit first.
    pub name: String,
    /// Matchers over hosts' labels, `host` and `host_id`, as in `tier=web`; all must match, none chooses every host; at
    /// most 20.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Processes by name, or by path where it has a slash; `*` stands for any text. One of process, service and
    /// watch_group is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Processes by systemd unit or Windows service; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Connections of a watch group, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_group: Option<String>,
    /// `tcp` (without it) or `udp`.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// Namespaces of port spaces, each judged by itself; `*` stands for any text. Without it the agent's own, `default`.
    #[serde(default = "own_namespace")]
    pub namespace: String,
    /// What may be held: `ports`, `bound`, `close_wait` and `sockets` of processes and services, `connections` and
    /// `time_wait` of a watch group; each a number, or a share of the port space's capacity as in `"20%"`.
    pub allow: BTreeMap<String, Allowed>,
    /// For how long more may be held without a break, 0s to 7d; `5m` without it.
    #[serde(rename = "for", default = "five_minutes")]
    pub hold: String,
    /// `info`, `warning` (without it) or `critical`.
    #[serde(default = "warning")]
    pub severity: String,
    /// What to do when it is exceeded, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

fn tcp() -> String {
    "tcp".to_owned()
}

fn own_namespace() -> String {
    crate::port::OWN_NAMESPACE.to_owned()
}

fn five_minutes() -> String {
    "5m".to_owned()
}

fn warning() -> String {
    "warning".to_owned()
}

/// A number, or a share of the capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Allowed {
    /// So many.
    Count(u32),
    /// A percentage with at most one decimal, as in `12.5%`.
    Share(String),
}

/// Budgets to apply: those of a name that is there are changed, others are made; none is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetsRequest {
    /// 1 to 500 budgets with names of their own.
    pub budget: Vec<BudgetSpec>,
}

/// What applying budgets did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetsApplied {
    /// Whether nothing was stored, because only the outcome was asked for.
    pub dry_run: bool,
    /// One for each budget, in the request's order.
    pub budgets: Vec<BudgetChange>,
}

/// What became of one budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetChange {
    /// Its name.
    pub name: String,
    /// `created`, `changed` or `unchanged`.
    pub outcome: String,
    /// Its version afterwards.
    pub version: u64,
    /// What differs from before, a line each: the field, `-` what it was or `+` what it is.
    pub differences: Vec<String>,
    /// How many hosts' port spaces stand how to it by their newest samples: held `over` its limits and not, for how long
    /// set aside.
    pub counts: BudgetCounts,
    /// Those that hold more than it allows at this moment; 100 at most.
    pub over: Vec<BudgetStanding>,
}

/// How many port spaces of hosts stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetCounts {
    /// Within the budget.
    pub within: u64,
    /// Over it, not yet for as long as it allows.
    pub over: u64,
    /// Over it for longer than it allows.
    pub exceeded: u64,
    /// Nobody can tell.
    pub unknown: u64,
}

/// A budget and how hosts stand to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetView {
    /// As it was applied.
    #[serde(flatten)]
    pub spec: BudgetSpec,
    /// Counts its changes from 1.
    pub version: u64,
    /// Who applied that version.
    pub applied_by: String,
    /// When.
    pub applied_ms: i64,
    /// How many port spaces of hosts stand how.
    pub counts: BudgetCounts,
    /// Each of them, what needs attention first; 1,000 at most.
    pub standings: Vec<BudgetStanding>,
    /// How many are not listed.
    pub standings_left_out: u64,
}

/// A budget with its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetDetail {
    /// As lists show it.
    #[serde(flatten)]
    pub budget: BudgetView,
    /// Its versions, newest first; 100 at most.
    pub versions: Vec<BudgetVersionView>,
}

/// One version of a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetVersionView {
    /// Its number.
    pub version: u64,
    /// When it was applied.
    pub at_ms: i64,
    /// By whom.
    pub by: String,
    /// As it was applied; `null` where the budget was deleted.
    pub spec: Option<BudgetSpec>,
}

/// How one port space of a host stands to a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetStanding {
    /// The budget's name.
    pub budget: String,
    /// What it is about, as in `process billing*`.
    pub subject: String,
    /// How much it matters when it is exceeded.
    pub severity: String,
    /// Host id.
    pub host: String,
    /// Its name; hostile text.
    pub host_name: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Namespace of the port space; hostile text.
    pub namespace: String,
    /// `within`, `over`, `exceeded` or `unknown`.
    pub state: String,
    /// Since when more is held than allowed, on the controller's clock; `null` when it is not.
    pub over_since_ms: Option<i64>,
    /// The process of the subject that holds the most; hostile text; `null` when none is known.
    pub culprit: Option<String>,
    /// Each limit; empty when nothing could be measured.
    pub limits: Vec<BudgetUse>,
    /// Why nobody can tell, where nobody can.
    pub why_unknown: Option<String>,
    /// What to do when it is exceeded, as the budget says.
    pub advice: Option<String>,
}

/// What is used of one limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetUse {
    /// `ports`, `bound`, `close_wait`, `sockets`, `connections` or `time_wait`.
    pub what: String,
    /// What is known to be held; `null` when nothing is known.
    pub used: Option<u32>,
    /// The most that may be held, where some holders are not known; equal to `used` when it is exact, `null` when there is
    /// no bound.
    pub used_max: Option<u32>,
    /// What is allowed; `null` when the capacity that it is a share of is unknown.
    pub allowed: Option<u32>,
    /// `within`, `over`, `exceeded` or `unknown`, as of the port space.
    pub state: String,
}
