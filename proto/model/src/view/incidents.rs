//! Incidents, silences and messages to receivers, as the API answers them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ProposalView;
use super::windows::{SilencedByWindow, WindowStanding};

/// One incident as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentView {
    /// Its number, ascending.
    pub id: i64,
    /// Names its problem; the same when the problem comes again, and on every controller.
    pub fingerprint: String,
    /// `open`, `acknowledged` or `resolved`.
    pub state: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// What it is: a road (`leak`, `churn`, `load`, `saturated`), `high`, a rule's id, `common_cause` or `budget`.
    pub kind: String,
    /// In a line.
    pub title: String,
    /// Host, cause, since when, until when, how sure, what to do.
    pub sentence: String,
    /// Its hosts; the first hundred.
    pub hosts: Vec<IncidentHost>,
    /// How many hosts it has that the caller sees.
    pub host_count: u64,
    /// How many more it has outside of the caller's scope.
    #[serde(default)]
    pub hosts_hidden: u64,
    /// What its hosts' labels have in common, and `host`, `severity`, `kind`, `culprit`, ... over them: what routes and
    /// silences match.
    pub labels: BTreeMap<String, String>,
    /// Process or remote endpoint to blame; `null` while it is not known.
    pub culprit: Option<String>,
    /// Figures that can be checked by hand.
    pub evidence: Vec<String>,
    /// What to do, the least disruptive first.
    pub advice: Vec<String>,
    /// Where more is written: the address of its runbook, from the controller's own on; empty from a controller before 0.2.
    #[serde(default)]
    pub runbook: String,
    /// Since when the problem is there.
    pub since_ms: i64,
    /// When it was first opened.
    pub opened_ms: i64,
    /// When the problem was last seen.
    pub seen_ms: i64,
    /// When ports run out (median); `null` when nothing says that they will.
    pub eta_ms: Option<i64>,
    /// Ten in a hundred times it is earlier than this.
    pub eta_lo_ms: Option<i64>,
    /// Ten in a hundred times it is later than this; `null` when it may also never happen.
    pub eta_hi_ms: Option<i64>,
    /// Confidence in percent, where the source gives one.
    pub confidence: Option<u8>,
    /// Who takes care of it.
    pub acknowledged_by: Option<String>,
    /// Since when.
    pub acknowledged_ms: Option<i64>,
    /// Since when the problem is not seen; it is resolved when that lasts.
    pub clear_since_ms: Option<i64>,
    /// When it was over.
    pub resolved_ms: Option<i64>,
    /// How it came to its end.
    pub resolution: Option<String>,
    /// How often it was opened again.
    pub reopened: u32,
    /// The silence that keeps it from receivers.
    pub silenced_by: Option<i64>,
    /// The maintenance window that keeps it from receivers, and until when.
    #[serde(default)]
    pub silenced_by_window: Option<SilencedByWindow>,
    /// The window that its host is in, else the next; of several hosts the last to come. `null` when a host has none.
    #[serde(default)]
    pub window: Option<WindowStanding>,
}

/// A host of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentHost {
    /// Its id.
    pub id: String,
    /// Its name; `null` when it is not known any more.
    pub name: Option<String>,
}

/// Everything about one incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentDetail {
    /// What lists show.
    #[serde(flatten)]
    pub incident: IncidentView,
    /// What happened to it and around it, oldest first.
    pub timeline: Vec<TimelineView>,
    /// What can be ordered, what has worked best first; none when it is over.
    #[serde(default)]
    pub proposals: Vec<ProposalView>,
}

/// One line of a time line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TimelineView {
    /// When, on the controller's clock.
    pub at_ms: i64,
    /// `opened`, `escalated`, `changed`, `acknowledged`, `note`, `resolved`, `reopened`, `notified`, `notify_failed`, or
    /// the kind of an event of a host, as in `host_rebooted`.
    pub kind: String,
    /// Who did it; `null` for the controller itself.
    pub by: Option<String>,
    /// The host that it happened on; `null` for the incident itself.
    pub host: Option<String>,
    /// One sentence.
    pub text: String,
}

/// A text for an incident's time line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NoteRequest {
    /// The text, up to 4,000 characters; a note needs one.
    #[serde(default)]
    pub text: String,
}

/// A silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SilenceView {
    /// Its number.
    pub id: i64,
    /// All of them must match, on every host of an incident.
    pub matchers: Vec<String>,
    /// Whoever made it saw these hosts alone, and it holds for no other: matchers over labels that the controller holds; `null` for
    /// all hosts.
    #[serde(default)]
    pub scope: Option<String>,
    /// `pending`, `active` or `expired`.
    pub state: String,
    /// From when on.
    pub starts_ms: i64,
    /// Until when.
    pub ends_ms: i64,
    /// Who made it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub created_ms: i64,
}

/// What a silence is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SilenceRequest {
    /// 1 to 20 matchers, as in `host=web-*` or `culprit!=java`.
    pub matchers: Vec<String>,
    /// From when on; without it, at once.
    #[serde(default)]
    pub starts_ms: Option<i64>,
    /// How long, 60 to 31,536,000 seconds (a year).
    pub duration_s: u64,
    /// Why, 1 to 500 characters.
    pub reason: String,
}

/// A message to a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotificationView {
    /// Its number, ascending.
    pub id: i64,
    /// Name of the receiver.
    pub receiver: String,
    /// The message in a line; `null` when it cannot be read any more.
    pub subject: Option<String>,
    /// Numbers of the incidents that it tells of.
    pub incidents: Vec<i64>,
    /// The receiver takes messages with the same key for one.
    pub key: String,
    /// `pending`, `delivered` or `failed`.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When it was queued.
    pub created_ms: i64,
    /// When it is tried next; `null` when it is not.
    pub next_try_ms: Option<i64>,
    /// When it was delivered or given up.
    pub ended_ms: Option<i64>,
}

/// A receiver as it is configured, and how its messages fare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiverView {
    /// Its name.
    pub name: String,
    /// `alertmanager`, `webhook`, `slack`, `teams`, `pagerduty` or `email`.
    pub kind: String,
    /// Routes that lead to it; without any it is told nothing but tests.
    pub routes: u64,
    /// Messages on their way.
    pub pending: u64,
    /// Messages delivered, as far as they are kept.
    pub delivered: u64,
    /// Messages given up, as far as they are kept.
    pub failed: u64,
    /// When the last one was delivered.
    pub last_delivered_ms: Option<i64>,
    /// Why the newest message that is on its way or given up did not arrive.
    pub last_error: Option<String>,
}

/// How a test message fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiverTest {
    /// Name of the receiver.
    pub receiver: String,
    /// Whether the receiver took it.
    pub delivered: bool,
    /// Why not.
    pub error: Option<String>,
}
