//! Maintenance runs, as the API answers them and as people speak about them.

use serde::{Deserialize, Serialize};

use crate::run::{RunHostState, RunPlan, RunSpec, RunState};
use crate::signing::KeyId;

/// What somebody says with an approval, a rejection or a stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RunWord {
    /// In one's own words, up to 500 characters; a rejection needs some.
    pub text: String,
    /// Hash of the plan that is approved; an approval needs it, so that nobody approves what they did not see.
    pub plan_hash: String,
}

/// A run as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunView {
    /// Its number; 0 of a plan that was not stored.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: RunState,
    /// Since when.
    pub state_ms: i64,
    /// Why it stops or ended; empty while nothing is to be said.
    pub why: String,
    /// What it does, in one line.
    pub summary: String,
    /// How disruptive that is, 0 to 3.
    pub tier: u8,
    /// Name of its window; `now` for none.
    pub window: String,
    /// Who asked for it.
    pub requester: String,
    /// The hosts that they could see: it works on no other; `null` for all.
    #[serde(default)]
    pub scope: Option<String>,
    /// Why.
    pub reason: String,
    /// People who must approve its plan, other than the requester.
    pub approvals_needed: u64,
    /// When it was asked for.
    pub created_ms: i64,
    /// When its first host had its turn.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// When its state ends by itself; `null` when it has ended.
    pub deadline_ms: Option<i64>,
    /// When the last host is expected to be done, by the plan.
    pub finishes_ms: Option<i64>,
    /// How many of its hosts stand where.
    pub progress: RunProgress,
    /// Orders that were made with its plan, for hosts that want signatures.
    pub orders: u64,
    /// Those of them that have as many signatures as their hosts want.
    pub orders_signed: u64,
}

/// An order that was made with a run's plan, to be signed before its host's turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunOrderView {
    /// Its id, and that of the action that it becomes.
    pub action: String,
    /// Name of its host.
    pub host_name: String,
    /// The order in its one form, as text; sign these bytes and no others.
    pub order: String,
    /// How many different keys must sign it.
    pub wanted: u32,
    /// Keys that its host takes signatures of.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub keys: Vec<KeyId>,
    /// Keys that have signed it.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub signed_by: Vec<KeyId>,
}

/// Signatures of one key of orders of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RunSignatures {
    /// Hash of the plan that the orders were made with.
    pub plan_hash: String,
    /// The key, as in `ed25519:...`; each signature is checked with it.
    pub public_key: String,
    /// 1 to 1000 signatures.
    pub signatures: Vec<RunSignature>,
}

/// One signature of one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RunSignature {
    /// Id of the order.
    pub action: String,
    /// The 64 bytes of the signature over the order's bytes, in base64.
    pub signature: String,
}

/// How many hosts stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunProgress {
    /// All of them.
    pub hosts: u64,
    /// Before their turn, held back by their health among them.
    pub waiting: u64,
    /// Being worked on.
    pub under_way: u64,
    /// Done, and in good health.
    pub verified: u64,
    /// Failed.
    pub failed: u64,
    /// Left alone.
    pub skipped: u64,
}

impl RunProgress {
    /// Hosts with which it is through, however they fared.
    #[must_use]
    pub const fn through(&self) -> u64 {
        let done = self.verified.saturating_add(self.failed);
        done.saturating_add(self.skipped)
    }

    /// Counts so many hosts that stand there.
    pub const fn add(&mut self, state: RunHostState, count: u64) {
        let field = match state {
            RunHostState::Pending | RunHostState::Gated => &mut self.waiting,
            RunHostState::Sent
            | RunHostState::Down
            | RunHostState::Up
            | RunHostState::Verifying => &mut self.under_way,
            RunHostState::Verified => &mut self.verified,
            RunHostState::Failed => &mut self.failed,
            RunHostState::Skipped => &mut self.skipped,
        };
        *field = field.saturating_add(count);
        self.hosts = self.hosts.saturating_add(count);
    }
}

/// Everything about one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDetail {
    /// What lists show.
    #[serde(flatten)]
    pub run: RunView,
    /// What was asked for.
    pub spec: RunSpec,
    /// What was planned, and its hash.
    pub plan: RunPlan,
    /// Who approved that plan.
    pub approvals: Vec<super::ApprovalView>,
    /// Its waves, in their order.
    pub waves: Vec<RunProgress>,
    /// Its hosts, in the order of their turns.
    pub hosts: Vec<RunHostView>,
    /// The newest steps of its life, oldest first.
    pub life: Vec<RunLifeView>,
}

/// One host of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunHostView {
    /// Its id.
    pub host: String,
    /// Its name, as it was planned.
    pub name: String,
    /// Its wave, from 1.
    pub wave: u32,
    /// Value of the label that the run is spread by.
    pub spread: Option<String>,
    /// Where it stands.
    pub state: RunHostState,
    /// Since when.
    pub state_ms: i64,
    /// Why; empty while nothing is to be said.
    pub why: String,
    /// How many of the run's steps it has done or is at.
    pub step: u32,
    /// The action that was asked for last.
    pub action: Option<String>,
    /// When its turn is expected; `null` when it will not fit.
    pub expected_start_ms: Option<i64>,
    /// When it is expected to be done; `null` when it will not fit.
    pub expected_end_ms: Option<i64>,
    /// When its ports run out, as forecast with the plan.
    pub eta_ms: Option<i64>,
    /// When its turn came.
    pub begun_ms: Option<i64>,
    /// When it was through.
    pub ended_ms: Option<i64>,
}

/// One step of a run's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunLifeView {
    /// When.
    pub at_ms: i64,
    /// To which state.
    pub to: RunState,
    /// Who; `null` for the controller itself.
    pub by: Option<String>,
    /// Why, in one sentence.
    pub text: String,
}
