//! What the operators' API answers: the one set of shapes that the controller writes and the command line reads.
//!
//! Times are unix milliseconds and their names end in `_ms`; unknown is `null`, never zero.

mod actions;
mod audit_log;
mod budgets;
mod grants;
mod incidents;
mod keys;
mod policies;
mod runs;
mod status;
mod tokens;
mod upgrades;
mod users;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::host::{CapabilityReport, capability_sentence};
use crate::{Finding, Sample};

pub use actions::{
    ActionDetail, ActionRequest, ActionView, ActionWord, ApprovalView, HostPolicyAnswer,
    LifeStepView, LockdownRequest, LockdownTurnView, LockdownView, ProposalView, RecoveryView,
    SignatureRequest, SignatureView, UnlockRequest,
};
pub use audit_log::{AuditEntryView, AuditExportView, AuditLogStatus, WitnessView};
pub use budgets::{
    Allowed, BudgetChange, BudgetCounts, BudgetDetail, BudgetSpec, BudgetStanding, BudgetUse,
    BudgetVersionView, BudgetView, BudgetsApplied, BudgetsRequest,
};
pub use grants::{
    GrantDetail, GrantEndRequest, GrantRequest, GrantSignature, GrantState, GrantView,
};
pub use incidents::{
    IncidentDetail, IncidentHost, IncidentView, NoteRequest, NotificationView, ReceiverTest,
    ReceiverView, SilenceRequest, SilenceView, TimelineView,
};
pub use keys::{
    FleetKeyView, KeyHostView, KeyStatementRequest, KeyStatementView, KeyUseView, StatementHostView,
};
pub use policies::{
    CaseView, PoliciesApplied, PoliciesRequest, PolicyChange, PolicyDetail, PolicyReplay,
    PolicyVersionView, PolicyView, ReplayFiring, TriedView,
};
pub use runs::{
    RunDetail, RunHostView, RunLifeView, RunOrderView, RunProgress, RunSignature, RunSignatures,
    RunView, RunWord,
};
pub use status::{ControllerView, LeaderView, StatusView};
pub use tokens::{
    ApiTokenCreated, ApiTokenRequest, ApiTokenView, JoinTokenCreated, JoinTokenRequest,
    JoinTokenView,
};
pub use upgrades::{
    ReleaseDetail, ReleaseFileView, ReleaseRequest, ReleaseView, UpgradeDetail, UpgradeHostView,
    UpgradeRequest, UpgradeView,
};
pub use users::{
    MeView, OwnPasswordRequest, PasswordRequest, PasswordText, RoleRequest, ScopeRequest,
    SessionView, SignInRequest, UserRequest, UserView,
};
pub use windows::{
    OccurrenceView, SilencedByWindow, WindowChange, WindowDetail, WindowStanding, WindowTimes,
    WindowVersionView, WindowView, WindowsApplied, WindowsRequest, ZoneTimes,
};

/// Header of answers to callers whose scope is not all hosts: the scope, in UTF-8.
pub const SCOPE_HEADER: &str = "tidemark-scope";

/// Header beside [`SCOPE_HEADER`]: how many hosts are in it.
pub const SCOPE_HOSTS_HEADER: &str = "tidemark-scope-hosts";

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows, in the list's order.
    pub items: Vec<T>,
    /// Pass it as `cursor` for the rows after these; `null` on the last page.
    pub next_cursor: Option<String>,
}

/// What leaking hosts have in common, as of the last look at the fleet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CausesView {
    /// When the fleet was last looked at, on the controller's clock; `null` before the first look.
    pub swept_ms: Option<i64>,
    /// Hosts that were compared.
    pub hosts: u64,
    /// Of those, how many leak or did within a fortnight.
    pub leaking: u64,
    /// Attributes that were not looked at because their hosts have too many.
    pub attributes_left_out: u64,
    /// Causes that were found, the most certain first, 200 at most.
    pub items: Vec<CauseView>,
}

/// An attribute value that leaking hosts share and others that run the same process lack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CauseView {
    /// Which attribute: `os`, `agent_version`, `label:KEY`, `image:PROCESS` and what else is known of hosts.
    pub attribute: String,
    /// Which value; hostile text.
    pub value: String,
    /// The process that leaks.
    pub culprit: String,
    /// The hosts with that value that leak and that the caller sees, by name; 1,000 at most.
    pub hosts: Vec<HostName>,
    /// How many those are, in the whole fleet.
    pub hosts_total: u64,
    /// How many of them are outside of the caller's scope.
    #[serde(default)]
    pub hosts_hidden: u64,
    /// Since when the first of them leaks.
    pub since_ms: i64,
    /// Hosts with that value among those compared.
    pub having: u64,
    /// Hosts that leak among those compared, with the value or without.
    pub leaking: u64,
    /// Hosts that were compared.
    pub compared: u64,
    /// Whether only hosts that run the process were compared; `false` where each of them has the value, so that the rest
    /// of the fleet had to tell.
    pub among_runners: bool,
    /// Power of ten of the chance that this is one, corrected for all that was tried.
    pub chance_power: f64,
    /// Values and processes that were tried.
    pub tried: u64,
    /// On how many of the hosts a change to that value came before the leak.
    pub changed_before: u64,
    /// Other values that explain the same as well, 8 at most.
    pub alike: Vec<AttributeValue>,
    /// The counts both ways in one sentence.
    pub explanation: String,
}

/// A host by id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostName {
    /// Host id.
    pub id: String,
    /// Its name; hostile text.
    pub name: String,
}

/// An attribute with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttributeValue {
    /// Which attribute.
    pub attribute: String,
    /// Its value; hostile text.
    pub value: String,
}

/// One host as lists and live views show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostView {
    /// Host id: 32 characters of base32.
    pub id: String,
    /// Host name as its agent reports it; hostile text.
    pub name: String,
    /// Operating system.
    pub os: String,
    /// `online`, `stale`, `offline`, `quarantined` or `revoked`.
    pub state: String,
    /// When the controller last heard from it; `null` when it never connected.
    pub last_seen_ms: Option<i64>,
    /// When its newest sample was taken, on the controller's clock; `null` without one.
    pub sampled_ms: Option<i64>,
    /// Version of its agent.
    pub agent_version: String,
    /// Labels from its agent's configuration, and over them those that the controller holds.
    pub labels: BTreeMap<String, String>,
    /// Its port spaces, TCP first; empty before the first sample.
    pub port_spaces: Vec<PortSpaceView>,
    /// IANA name of the time zone of its clock on the wall; `null` while nobody knows.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// The maintenance window that it is in, else the next; `null` when it has none.
    #[serde(default)]
    pub window: Option<WindowStanding>,
    /// Windows in its own time zone that it is meant for, and never in while its time zone is not known.
    #[serde(default)]
    pub windows_without_zone: Vec<String>,
}

/// One port space of a host: its level and its forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PortSpaceView {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Network namespace; `default` is the agent's own.
    pub namespace: String,
    /// Ports that can be handed out.
    pub capacity: u32,
    /// Ports that cannot be handed out: strong plus those of TIME_WAIT alone.
    pub in_use: u32,
    /// Ports held in any state but TIME_WAIT.
    pub strong: u32,
    /// Ports of bound-but-unconnected sockets alone; `null` where the system cannot tell.
    pub bound: Option<u32>,
    /// Ports of TIME_WAIT alone.
    pub time_wait: u32,
    /// `counted`; `estimated`; or `earlier`, when bound sockets are of a list that is older than the sample.
    pub quality: String,
    /// When ports run out (median); `null` when nothing says that they will.
    pub eta_ms: Option<i64>,
    /// Ten in a hundred times it is earlier than this.
    pub eta_lo_ms: Option<i64>,
    /// Ten in a hundred times it is later than this; `null` when it may also never happen.
    pub eta_hi_ms: Option<i64>,
    /// Why: `leak`, `churn`, `load` or `saturated`.
    pub road: Option<String>,
    /// Process or remote endpoint with the largest share of the rise.
    pub culprit: Option<String>,
    /// How fast the floor rises, in ports an hour; `null` while there is too little history.
    pub floor_ports_per_hour: Option<f64>,
    /// One sentence with the figures behind the forecast.
    pub explanation: String,
}

/// Everything that is known of one host at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostDetail {
    /// What lists show.
    #[serde(flatten)]
    pub host: HostView,
    /// Labels that the controller holds: those of its join token, as an admin changed them since. Scopes choose by these.
    #[serde(default)]
    pub controller_labels: BTreeMap<String, String>,
    /// How often those were changed; the ETag of the answer.
    #[serde(default)]
    pub labels_version: u64,
    /// When it enrolled.
    pub enrolled_ms: i64,
    /// When it booted, by its own clock.
    pub booted_ms: Option<i64>,
    /// Its clock minus the controller's, in milliseconds, as last measured.
    pub clock_skew_ms: Option<i64>,
    /// What its agent can see without reservation, by name.
    pub capabilities: Vec<String>,
    /// What its agent can see, by which means, and why not: one for each capability that means something on its system.
    #[serde(default)]
    pub capability_reports: Vec<CapabilityView>,
    /// When its certificate ends.
    pub certificate_expires_ms: Option<i64>,
    /// The other controller that its agent is connected to, as `MACHINE/RANDOM`; `null` when it is connected to the one that answers,
    /// or to none.
    #[serde(default)]
    pub controller: Option<String>,
    /// What became of its samples in the current spool epoch.
    pub delivery: DeliveryView,
    /// Its newest sample, whole.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub sample: Option<Sample>,
}

/// Labels that the controller is to hold of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LabelsRequest {
    /// The value of each label that is to be there, and `null` for each that is not; others stay as they are.
    pub labels: BTreeMap<String, Option<String>>,
}

/// What an agent says of one of its capabilities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CapabilityView {
    /// `bound_sockets`, `all_owners`, `all_namespaces`, `events`, `netsh` or `wmi`.
    pub name: String,
    /// `yes`, `partly`, `no` or `unknown`.
    pub state: String,
    /// By which means. Of bound sockets: `export`, `wmi`, `afd`, `sock_diag`, `estimate` or `none`; `null` where there is but
    /// one, or nobody told.
    pub how: Option<String>,
    /// Why not, or why partly.
    pub why: Option<String>,
}

impl CapabilityView {
    /// Of a report.
    #[must_use]
    pub fn of(report: &CapabilityReport) -> Self {
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        Self {
            name: report.capability.as_str().to_owned(),
            state: report.state.as_str().to_owned(),
            how: text(&report.how),
            why: text(&report.why),
        }
    }

    /// For people: `yes, by export`, `no: WMI does not answer`.
    #[must_use]
    pub fn sentence(&self) -> String {
        capability_sentence(&self.state, self.how.as_deref(), self.why.as_deref())
    }
}

/// What the rules find on a host at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostFindings {
    /// Host id.
    pub host: String,
    /// Its name; hostile text.
    pub host_name: String,
    /// When its newest sample was taken, on the controller's clock; `null` without one.
    pub sampled_ms: Option<i64>,
    /// What its agent can see; what it cannot lowers the confidence of findings.
    pub capabilities: Vec<String>,
    /// The findings, the one that matters most first; empty when nothing was found.
    pub findings: Vec<Finding>,
}

/// What became of a host's records: produced = stored + dropped + in the spool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryView {
    /// Records that are durable here.
    pub stored: u64,
    /// Records lost for good, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Records that came more than once and were stored once.
    pub duplicates: u64,
    /// Records that the agent held when it last said so; `null` before it did.
    pub in_spool: Option<u64>,
    /// Bytes of them.
    pub in_spool_bytes: Option<u64>,
}

/// What a history or compare query answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryView {
    /// Metric that was asked for.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// Aggregate over each step.
    pub agg: String,
    /// Start of the first step.
    pub from_ms: i64,
    /// End of the last step.
    pub to_ms: i64,
    /// Length of a step.
    pub step_ms: i64,
    /// Where the points come from: `raw`, `5m` or `1h`.
    pub tier: String,
    /// Whether the values are an approximation: the aggregate is not kept in that tier, and was made from what is.
    pub approximate: bool,
    /// Points that were read to answer.
    pub points_read: u64,
    /// Whether series were left out by `top` or by the limit on series; the answer never lacks points in silence.
    pub series_left_out: u64,
    /// The series.
    pub series: Vec<SeriesView>,
}

/// One series of a query's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeriesView {
    /// What the series stands for: a host's name, an entity's text, a label's value, or `all`.
    pub name: String,
    /// Host id, when the series is of one host.
    pub host: Option<String>,
    /// `[step's start in unix ms, value]`; a step without data is `null`, a gap.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<Option<f64>>>))]
    pub points: Vec<(i64, Option<f64>)>,
    /// The aggregate over the whole range; `null` without data.
    pub overall: Option<f64>,
    /// The same over the period compared with; only in a comparison.
    pub overall_before: Option<f64>,
    /// The points of the period compared with, moved onto this one's times; only in a comparison.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Vec<Option<f64>>>>))]
    pub points_before: Option<Vec<(i64, Option<f64>)>>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    /// Position in the list.
    pub id: i64,
    /// When, on the controller's clock.
    pub at_ms: i64,
    /// Host id; `null` for the controller itself.
    pub host: Option<String>,
    /// That host's name.
    pub host_name: Option<String>,
    /// Kind, as in `host_enrolled`.
    pub kind: String,
    /// One sentence.
    pub text: String,
}

/// Something that a host's event log or its agent reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostEventView {
    /// Its number, ascending in the order of arrival.
    pub id: i64,
    /// When it happened, on the controller's clock.
    pub at_ms: i64,
    /// When it happened, on the host's clock.
    pub host_at_ms: i64,
    /// Source, as in `Tcpip`; `tidemark-agent` for what the agent itself reports.
    pub source: String,
    /// Id in its source, as in 4231.
    pub code: u32,
    /// How many times it was seen.
    pub count: u32,
    /// One sentence.
    pub text: String,
    /// Log of the host, as in `System`; `null` for what the agent itself reports.
    pub channel: Option<String>,
    /// Number of the record in that log.
    pub record_id: Option<u64>,
    /// Computer that wrote it.
    pub computer: Option<String>,
    /// 1 critical, 2 error, 3 warning, 4 information.
    pub level: Option<u8>,
    /// The upper half of a classic event's 32-bit id.
    pub qualifiers: Option<u16>,
    /// Process that wrote it; 4, the system, for drivers.
    pub process_id: Option<u32>,
    /// Thread that wrote it.
    pub thread_id: Option<u32>,
    /// What is inserted into its text, in the record's order.
    pub data: Vec<HostEventDatum>,
    /// The binary part, as hexadecimal digits.
    pub binary: Option<String>,
    /// Error code of a driver's packet.
    pub error_code: Option<u32>,
    /// NTSTATUS of a driver's packet.
    pub final_status: Option<u32>,
    /// The record as the host's system rendered it; only when it was asked for.
    pub xml: Option<String>,
}

/// One value of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostEventDatum {
    /// Its name, where the record gives one.
    pub name: Option<String>,
    /// Its text.
    pub value: String,
}

/// RFC 9457 problem details: what the API answers instead of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Stable name of the kind of problem, as in `invalid_argument`.
    #[serde(rename = "type")]
    pub kind: String,
    /// HTTP status.
    pub status: u16,
    /// What is wrong, with the field, the limit and the remedy.
    pub title: String,
    /// Finds the details of an internal error in the controller's log.
    pub correlation_id: Option<String>,
}
