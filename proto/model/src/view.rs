//! What the operators' API answers: the one set of shapes that the controller writes and the command line reads.
//!
//! Times are unix milliseconds and their names end in `_ms`; unknown is `null`, never zero.

mod incidents;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Sample;

pub use incidents::{
    IncidentDetail, IncidentHost, IncidentView, NoteRequest, NotificationView, ReceiverTest,
    ReceiverView, SilenceRequest, SilenceView, TimelineView,
};

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows, in the list's order.
    pub items: Vec<T>,
    /// Pass it as `cursor` for the rows after these; `null` on the last page.
    pub next_cursor: Option<String>,
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
    /// Labels from its agent's configuration and its join token.
    pub labels: BTreeMap<String, String>,
    /// Its port spaces, TCP first; empty before the first sample.
    pub port_spaces: Vec<PortSpaceView>,
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
    /// `counted` or `estimated`.
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
    /// When it enrolled.
    pub enrolled_ms: i64,
    /// When it booted, by its own clock.
    pub booted_ms: Option<i64>,
    /// Its clock minus the controller's, in milliseconds, as last measured.
    pub clock_skew_ms: Option<i64>,
    /// What its agent can see.
    pub capabilities: Vec<String>,
    /// When its certificate ends.
    pub certificate_expires_ms: Option<i64>,
    /// What became of its samples in the current spool epoch.
    pub delivery: DeliveryView,
    /// Its newest sample, whole.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub sample: Option<Sample>,
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
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<f64>>))]
    pub points: Vec<(i64, Option<f64>)>,
    /// The aggregate over the whole range; `null` without data.
    pub overall: Option<f64>,
    /// The same over the period compared with; only in a comparison.
    pub overall_before: Option<f64>,
    /// The points of the period compared with, moved onto this one's times; only in a comparison.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Vec<f64>>>))]
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

/// What a join token is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JoinTokenRequest {
    /// How long it may be used, 60 to 2,592,000 seconds (30 days).
    pub ttl_s: u64,
    /// How many hosts may enrol with it, 1 to 100,000.
    pub uses: u32,
    /// Labels for the hosts that enrol with it; at most 16.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A join token as made: the only time that its secret is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinTokenCreated {
    /// Its public id.
    pub id: String,
    /// The token, for the agent.
    pub token: String,
    /// When it ends.
    pub expires_ms: i64,
    /// How many hosts may enrol with it.
    pub uses: u32,
    /// Address for agents, `host:port`.
    pub controller: String,
}

/// A join token as listed, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinTokenView {
    /// Its public id.
    pub id: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// How many hosts may enrol with it.
    pub uses_max: u32,
    /// How many did.
    pub used: u32,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Labels for its hosts.
    pub labels: BTreeMap<String, String>,
}

/// The controller about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusView {
    /// Version of the controller.
    pub version: String,
    /// When it started.
    pub started_ms: i64,
    /// Its clock.
    pub clock_ms: i64,
    /// `sqlite` or `postgres`.
    pub database: String,
    /// Whether the database answers.
    pub database_ready: bool,
    /// Hosts by state.
    pub hosts: BTreeMap<String, u64>,
    /// Open sessions.
    pub sessions: u64,
    /// What became of all hosts' records since their epochs began.
    pub delivery: DeliveryView,
    /// Points stored since the start.
    pub points_stored: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Time of the last group commit, in microseconds.
    pub commit_us: Option<u64>,
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
