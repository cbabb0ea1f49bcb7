//! Notices: what happened, for operators' lists and live views. `tidemark get events` shows them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::kinds::kinds;
use crate::{HostId, Timestamp};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Position in the controller's list, ascending; 0 before it is stored.
    pub id: i64,
    /// When, on the controller's clock.
    pub at: Timestamp,
    /// Which host; `None` for the controller itself.
    pub host: Option<HostId>,
    /// What kind of thing.
    pub kind: NoticeKind,
    /// One sentence for people.
    pub text: Arc<str>,
}

kinds! {
    /// What kind of thing happened. Stored by name: never rename one.
    NoticeKind

    /// A host enrolled with a join token.
    HostEnrolled = "host_enrolled",
    /// An agent connected.
    HostConnected = "host_connected",
    /// An agent's session ended.
    HostDisconnected = "host_disconnected",
    /// A host's boot id changed.
    HostRebooted = "host_rebooted",
    /// Two holders of one identity were seen.
    HostQuarantined = "host_quarantined",
    /// A host was shut out.
    HostRevoked = "host_revoked",
    /// An enrolment or renewal was refused.
    EnrolmentRefused = "enrolment_refused",
    /// Samples are missing, counted by the agent.
    SamplesDropped = "samples_dropped",
    /// An agent sent what the controller refuses.
    FrameRefused = "frame_refused",
    /// A port space's forecast appeared, changed its road, or went away.
    ForecastChanged = "forecast_changed",
    /// The host's event log or a replay reported something.
    HostEvent = "host_event",
    /// A host's configuration differs from what its last audit found.
    ConfigurationChanged = "configuration_changed",
    /// Leaking hosts were found to have something in common.
    CauseFound = "cause_found",
    /// A join token or an API token was made.
    TokenCreated = "token_created",
    /// A user was made, changed or deleted.
    UserChanged = "user_changed",
    /// A user was locked: too many sign-ins failed.
    UserLocked = "user_locked",
    /// An incident was opened, or opened again.
    IncidentOpened = "incident_opened",
    /// An incident's severity rose.
    IncidentEscalated = "incident_escalated",
    /// An incident is over.
    IncidentResolved = "incident_resolved",
    /// A receiver could not be told of an incident.
    NotificationFailed = "notification_failed",
    /// A budget was made or changed.
    BudgetApplied = "budget_applied",
    /// A budget was deleted.
    BudgetDeleted = "budget_deleted",
    /// A maintenance window was applied.
    WindowApplied = "window_applied",
    /// A maintenance window was deleted.
    WindowDeleted = "window_deleted",
    /// An action went on: asked for, approved, begun, ended.
    ActionChanged = "action_changed",
    /// An action did not help or was done too often: somebody must look.
    ActionEscalated = "action_escalated",
    /// A maintenance run went on: planned, approved, begun, stopped, ended.
    RunChanged = "run_changed",
    /// Every action was stopped, or may go on.
    LockdownTurned = "lockdown_turned",
    /// A key of an operator was revoked, or is to be replaced.
    KeyStatement = "key_statement",
    /// A standing policy was made or changed.
    PolicyApplied = "policy_applied",
    /// A standing policy was deleted.
    PolicyDeleted = "policy_deleted",
    /// A standing policy began to act on a host.
    PolicyFired = "policy_fired",
    /// A grant was brought.
    GrantMade = "grant_made",
    /// A grant was withdrawn.
    GrantEnded = "grant_ended",
    /// A roll-out of a release began, halted, or ended.
    Upgrade = "upgrade",
    /// The audit log is not as it was written, or not as a host witnessed it.
    AuditLogContradicted = "audit_log_contradicted",
    /// The controller started or stopped.
    Controller = "controller",
}
