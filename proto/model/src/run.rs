//! Maintenance runs: a planned set of actions over many hosts, where it stands, and where each of its hosts does. What
//! follows when, the controller's machine decides; a legal run as it is asked for is beside it.

mod spec;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::action::ActionId;
use crate::kinds::kinds;
use crate::scope::InvalidScope;
use crate::{HostId, HostScope, Timestamp};

pub use spec::{GateCheck, IfMissed, Ladder, NOW, RunRules, RunSpec, RunStep, Wave};

kinds! {
    /// Where a run stands. Stored by name: never rename one.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    RunState
    /// Planned; waits for approval.
    Planned = "planned",
    /// Approved; waits for the window of its first host.
    Approved = "approved",
    /// Begun, and between two windows.
    Waiting = "waiting",
    /// Hosts are being worked on.
    Running = "running",
    /// Nothing new is begun; what runs finishes.
    Stopping = "stopping",
    /// Every host had its turn.
    Finished = "finished",
    /// Ended before every host had its turn: somebody stopped it, or its time was over.
    Stopped = "stopped",
    /// Ended because too many hosts failed.
    Failed = "failed",
    /// An approver said no.
    Rejected = "rejected",
    /// Nobody approved it, or its window did not come, in time.
    Expired = "expired",
    /// Taken back before it began.
    Cancelled = "cancelled",
}

impl RunState {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Finished
            | Self::Stopped
            | Self::Failed
            | Self::Rejected
            | Self::Expired
            | Self::Cancelled => true,
            Self::Planned | Self::Approved | Self::Waiting | Self::Running | Self::Stopping => {
                false
            }
        }
    }
}

kinds! {
    /// Where a host of a run stands. Stored by name: never rename one.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    RunHostState
    /// Its turn has not come.
    Pending = "pending",
    /// Its turn has come, and its health or its cluster keeps it.
    Gated = "gated",
    /// Its action was asked for or given to it.
    Sent = "sent",
    /// It went down for its restart.
    Down = "down",
    /// It is back with a new boot.
    Up = "up",
    /// What was to be done is done; its health is watched.
    Verifying = "verifying",
    /// Done, and in good health.
    Verified = "verified",
    /// It could not be done, did not help, or left the host in bad health.
    Failed = "failed",
    /// Left alone.
    Skipped = "skipped",
}

impl RunHostState {
    /// Whether something is under way at the host.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        match self {
            Self::Sent | Self::Down | Self::Up | Self::Verifying => true,
            Self::Pending | Self::Gated | Self::Verified | Self::Failed | Self::Skipped => false,
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Verified | Self::Failed | Self::Skipped => true,
            Self::Pending | Self::Gated | Self::Sent | Self::Down | Self::Up | Self::Verifying => {
                false
            }
        }
    }
}

/// A run with its hosts, as the machine takes it from state to state.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number; 0 before it is stored.
    pub number: i64,
    /// Counts its changes, from 1.
    pub generation: u64,
    /// What was asked for.
    pub spec: RunSpec,
    /// Where it stands.
    pub state: RunState,
    /// When its state ends by itself; `None` when it has ended.
    pub deadline: Option<Timestamp>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When nothing more was to come.
    pub ended_at: Option<Timestamp>,
    /// The rest.
    pub body: RunBody,
    /// Its hosts, in the order of their turns.
    pub hosts: Vec<RunHost>,
}

impl Run {
    /// The hosts that whoever asked for it could see.
    ///
    /// # Errors
    /// When what is stored is no scope; nothing is to be done then.
    pub fn scope(&self) -> Result<HostScope, InvalidScope> {
        HostScope::from_text(self.body.scope.as_deref())
    }

    /// Whether it is within the scope `own`: whoever asked for it saw no host beyond that.
    #[must_use]
    pub fn is_within(&self, own: &HostScope) -> bool {
        own.is_all() || self.scope().is_ok_and(|scope| scope.is_within(own))
    }
}

/// What of a run is not searched for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunBody {
    /// Who asked for it.
    pub requester: String,
    /// The hosts that they could see, as a scope is written: it works on no other, also when it is planned again. `None` for all.
    pub scope: Option<String>,
    /// Since when it stands where it stands.
    pub state_at_ms: Timestamp,
    /// Why it stops or ended, in one sentence; empty while nothing is to be said.
    pub why: String,
    /// When its first host had its turn.
    pub started_at_ms: Option<Timestamp>,
    /// 128 random bits, hexadecimal, that the ids of its actions are derived from.
    pub seed: String,
    /// What was planned.
    pub plan: RunPlan,
}

/// The plan of a run: what people approve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct RunPlan {
    /// SHA-256, hexadecimal, of what was planned from: approvals are of these inputs and no others.
    pub hash: String,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub made_at_ms: Timestamp,
    /// When the first host is expected to have its turn; `null` when its window does not come.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub starts_at_ms: Option<Timestamp>,
    /// When the last host is expected to be done; `null` when none has a turn.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub finishes_at_ms: Option<Timestamp>,
    /// Where the expected times are from.
    pub times_from: String,
    /// What whoever approves it should know, one sentence each.
    pub warnings: Vec<String>,
    /// Hosts that are not part of it, and why.
    pub left_out: Vec<LeftOut>,
    /// How many of them there are; the list is cut.
    pub left_out_count: u64,
}

/// A host that is not part of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeftOut {
    /// Its id.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// A host of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunHost {
    /// Its place in the order of turns, from 0.
    pub place: u32,
    /// Which.
    pub host: HostId,
    /// Where it stands.
    pub state: RunHostState,
    /// The rest.
    pub body: RunHostBody,
}

/// What of a run's host is not searched for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunHostBody {
    /// Its name, as it was planned.
    pub name: Arc<str>,
    /// Its wave, from 0.
    pub wave: u32,
    /// Value of the label that the run is spread by; `None` without one.
    pub spread: Option<String>,
    /// How long it is expected to take, in milliseconds.
    pub expected_ms: i64,
    /// When its turn is expected; `None` when it will not fit.
    pub expected_start_ms: Option<Timestamp>,
    /// When it is expected to be done.
    pub expected_end_ms: Option<Timestamp>,
    /// When its ports run out, as forecast with the plan.
    pub eta_ms: Option<Timestamp>,
    /// Since when it stands where it stands.
    pub state_at_ms: Timestamp,
    /// Why, in one sentence; empty while nothing is to be said.
    pub why: String,
    /// Which of the run's steps it is at, from 0.
    pub step: u32,
    /// How often that step was tried again.
    pub retries: u32,
    /// Counts everything that was asked of it; names the ids of its actions.
    pub asked: u32,
    /// The action that was asked for last.
    pub action: Option<ActionId>,
    /// When the step it is at was begun.
    pub step_at_ms: Option<Timestamp>,
    /// Identity of its boot before the step it is at.
    pub boot_before: Option<String>,
    /// When its turn came.
    pub begun_at_ms: Option<Timestamp>,
    /// When it was through.
    pub ended_at_ms: Option<Timestamp>,
    /// After this its window is over for good; `None` where that does not matter.
    pub chance_ends_ms: Option<Timestamp>,
    /// When the orders hold that were made with the plan to be signed; `None` for a host without such orders.
    pub ahead: Option<SignedAhead>,
}

/// When orders hold that were made with a plan, so that they can be signed before their host's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SignedAhead {
    /// From when on they may be begun.
    pub from_ms: Timestamp,
    /// Until when.
    pub until_ms: Timestamp,
    /// For how many seconds they let themselves be undone; absent when the host's agent cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_within_s: Option<u32>,
}

/// One step of a run's life: the record of who did what, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLifeStep {
    /// When, on the controller's clock.
    pub at: Timestamp,
    /// To which state.
    pub to: RunState,
    /// Who; `None` for the controller itself.
    pub by: Option<String>,
    /// Why, in one sentence.
    pub text: String,
}
