//! Actions, recoveries, policies of hosts and the lockdown, as the API answers them and as it is asked for them.

use serde::{Deserialize, Serialize};

use crate::action::{
    ActionKind, ActionReport, ActionSpec, ActionState, Effect, HostPolicyView, Tier,
};
use crate::signing::KeyId;

/// An action that somebody asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// Id or name of the host.
    pub host: String,
    /// What to do: `{"action": "restart_service", "service": "W3SVC"}`.
    #[cfg_attr(feature = "openapi", schema(value_type = ActionSpec))]
    pub spec: serde_json::Value,
    /// Whether the host only says what it would do.
    #[serde(default)]
    pub dry_run: bool,
    /// Why, 1 to 500 characters without control characters; it is signed and kept.
    pub reason: String,
    /// Number of the incident that it is for.
    #[serde(default)]
    pub incident: Option<i64>,
    /// From when on it may be begun; at once when left out.
    #[serde(default)]
    pub not_before_ms: Option<i64>,
    /// Until when it may be begun, at most 14 d from now; an hour after `not_before_ms` when left out.
    #[serde(default)]
    pub expires_ms: Option<i64>,
    /// Whether its host undoes it when headroom got worse: where it can, unless this is `false`. `true` is refused for a kind
    /// of action that cannot be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_if_worse: Option<bool>,
}

/// An action as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionView {
    /// Its id.
    pub id: String,
    /// Id of its host.
    pub host: String,
    /// Name of its host; `null` when it is not known any more.
    pub host_name: Option<String>,
    /// What it does, in one line.
    pub summary: String,
    /// What it does, with its parameters.
    pub spec: ActionSpec,
    /// How disruptive it is, 0 to 3.
    #[cfg_attr(feature = "openapi", schema(value_type = u8))]
    pub tier: Tier,
    /// Whether the host only says what it would do.
    pub dry_run: bool,
    /// Where it stands.
    pub state: ActionState,
    /// Since when.
    pub state_ms: i64,
    /// Who asked for it.
    pub requester: String,
    /// Why.
    pub reason: String,
    /// The incident that it is for.
    pub incident: Option<i64>,
    /// The maintenance run that it is of.
    #[serde(default)]
    pub run: Option<i64>,
    /// People who must approve it, other than the requester.
    pub approvals_needed: u8,
    /// When it was asked for.
    pub issued_ms: i64,
    /// From when on it may be begun.
    pub not_before_ms: i64,
    /// Until when it may be begun.
    pub expires_ms: i64,
    /// When its state ends by itself; `null` when it has ended.
    pub deadline_ms: Option<i64>,
    /// When it was given to its host.
    pub sent_ms: Option<i64>,
    /// When its host took it.
    pub begun_ms: Option<i64>,
    /// When its host was done.
    pub done_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Why it does not go on, while it waits.
    pub waits_for: Option<String>,
    /// What the host's samples say that came of it; `null` before that is known, and where nothing is measured.
    pub effect: Option<Effect>,
}

/// Everything about one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionDetail {
    /// What lists show.
    #[serde(flatten)]
    pub action: ActionView,
    /// Who approved it.
    pub approvals: Vec<ApprovalView>,
    /// Who signed it.
    pub signatures: Vec<SignatureView>,
    /// What its host said last: steps, changes, why it refused.
    pub report: Option<ActionReport>,
    /// Every step of its life, oldest first.
    pub life: Vec<LifeStepView>,
}

/// One person's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalView {
    /// Whose.
    pub approver: String,
    /// When.
    pub at_ms: i64,
    /// In whose words; may be empty.
    pub text: String,
}

/// One signature of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignatureView {
    /// By which key.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub key_id: KeyId,
    /// The 64 bytes in base64.
    pub signature: String,
    /// When it was brought.
    pub at_ms: i64,
    /// By whom.
    pub author: String,
}

/// One step of an action's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LifeStepView {
    /// When, on the controller's clock.
    pub at_ms: i64,
    /// From which state; `null` for the first step.
    pub from: Option<ActionState>,
    /// To which; the same where something was noted and the state stayed.
    pub to: ActionState,
    /// Who; `null` for the controller itself.
    pub by: Option<String>,
    /// Why, in one sentence.
    pub text: String,
}

/// What an approver or operator says about an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ActionWord {
    /// In a sentence, up to 500 characters; a rejection needs one.
    #[serde(default)]
    pub text: String,
}

/// A signature that is brought for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignatureRequest {
    /// Id of the key, 16 hexadecimal digits.
    pub key_id: String,
    /// The 64 bytes of the signature over the order's bytes, in base64.
    pub signature: String,
}

/// What a host lets be done to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostPolicyAnswer {
    /// Id of the host.
    pub host: String,
    /// Name of the host.
    pub host_name: Option<String>,
    /// Whether its agent takes actions at this moment; `null` while it is not connected to this controller.
    pub takes_actions: Option<bool>,
    /// When it told its policy last; `null` when it never did.
    pub told_ms: Option<i64>,
    /// Its policy; `null` when it never told.
    pub policy: Option<HostPolicyView>,
}

/// How well one kind of action has worked on one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoveryView {
    /// The kind.
    pub action: ActionKind,
    /// What it was done to: a service, pool, image, ...; empty for the host as a whole.
    pub subject: String,
    /// Hosts that it was done on.
    pub hosts: u64,
    /// How often its effect was measured, or it failed before.
    pub tried: u64,
    /// How often headroom was better after.
    pub worked: u64,
    /// Median of the ports that it freed when it worked; `null` when it never did.
    pub ports_freed_median: Option<i64>,
    /// Median time that it held, of those that worked; those that still hold count as long as they have.
    pub held_ms_median: Option<i64>,
    /// How many of those still hold.
    pub still_hold: u64,
    /// When it was tried last.
    pub last_ms: i64,
}

/// A step of a playbook that can be ordered, with how well it has worked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProposalView {
    /// On which host.
    pub host: String,
    /// Its name.
    pub host_name: Option<String>,
    /// The step, in words.
    pub text: String,
    /// How disruptive it is, 0 to 3.
    pub tier: u8,
    /// What it disturbs.
    pub disturbs: String,
    /// What to post as `spec`; `null` where a person must choose the parameters.
    pub spec: Option<ActionSpec>,
    /// Which kind of action does it; `null` where it is a person's work.
    pub action: Option<ActionKind>,
    /// Whether the host's policy may allow it; `null` when the host has not told.
    pub allowed: Option<bool>,
    /// How well it has worked on this subject; `null` when it was never tried.
    pub recovery: Option<RecoveryView>,
}

/// The switch that stops every action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LockdownView {
    /// Whether every action is stopped.
    pub on: bool,
    /// Since when; `null` when it was never turned.
    pub since_ms: Option<i64>,
    /// Who turned it.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The last turns, newest first.
    pub turns: Vec<LockdownTurnView>,
}

/// One turn of that switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LockdownTurnView {
    /// When.
    pub at_ms: i64,
    /// Whether every action is stopped from then on.
    pub on: bool,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Turns the lockdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LockdownRequest {
    /// Why, 1 to 500 characters.
    pub reason: String,
}

/// The signed end of one host's lockdown. What is signed is `{"host":"...","issued_at_ms":...}`, in this order and without
/// spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UnlockRequest {
    /// When it was signed; the host takes it for 10 minutes.
    pub issued_at_ms: i64,
    /// Id of the key, 16 hexadecimal digits.
    pub key_id: String,
    /// The 64 bytes of the signature, in base64.
    pub signature: String,
}
