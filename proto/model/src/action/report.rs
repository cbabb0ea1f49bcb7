//! What a host says about an action: taken, refused and why, each step, what was before and what is after.

use serde::{Deserialize, Serialize};

use super::{ActionId, ActionState};
use crate::Timestamp;
use crate::kinds::kinds;

/// Most steps and most changes of one report; a host with more says so in the last one.
pub const REPORT_ITEMS_MAX: usize = 64;
/// Longest text of a report, in characters.
pub const REPORT_CHARS_MAX: usize = 1_000;

/// Where an action stands on its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionReport {
    /// Which action.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: ActionId,
    /// Where it stands: `accepted`, `running`, or one of the ends that a host knows: `verifying` when it was done, `answered`
    /// for a dry run, `refused`, `failed`, `rolled_back`.
    pub state: ActionState,
    /// When, by the host's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub at_ms: Timestamp,
    /// Why it was refused; only then.
    pub refusal: Option<Refusal>,
    /// In one sentence, for a person.
    pub text: String,
    /// What was done so far, in order.
    pub steps: Vec<Step>,
    /// What it changed, or would change.
    pub changes: Vec<Change>,
    /// Whether the host must be restarted before it holds.
    pub needs_reboot: bool,
    /// Identity of the host's boot: another one than before is the proof of a restart.
    pub boot_id: Option<String>,
    /// Why it was not undone when that was asked; what the action did stands then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_refused: Option<String>,
}

/// One step of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// What was done, as in `stop W3SVC`.
    pub what: String,
    /// What came of it.
    pub state: StepState,
    /// The system's own words, or a figure; may be empty.
    pub text: String,
}

/// One value that an action changes: its pre-image and its successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// Which, as in `net.ipv4.ip_local_port_range`.
    pub what: String,
    /// What it was; `null` when it was not set.
    pub before: Option<String>,
    /// What it is, or would be; `null` when it is removed.
    pub after: Option<String>,
}

kinds! {
    /// What came of a step.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    StepState
    /// It would be done.
    Planned = "planned",
    /// Done.
    Done = "done",
    /// There was nothing to do.
    Skipped = "skipped",
    /// Tried without success.
    Failed = "failed",
}

kinds! {
    /// Why a host would not.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    Refusal
    /// The order cannot be read, or a parameter is out of its limits.
    Malformed = "malformed",
    /// It is for another host.
    WrongHost = "wrong_host",
    /// It was valid until before now, or for longer than an order can be.
    Expired = "expired",
    /// It may not begin yet.
    NotYet = "not_yet",
    /// Its id was seen before with another content, or it was made before the host's journal was lost.
    Replayed = "replayed",
    /// The host wants signatures and there are too few.
    Unsigned = "unsigned",
    /// A signature is not by a key that the host's policy lists, or that key may not sign this.
    UnknownKey = "unknown_key",
    /// A signature does not match.
    BadSignature = "bad_signature",
    /// The same key signed twice.
    TwiceSigned = "twice_signed",
    /// The host's policy does not allow it.
    NotAllowed = "not_allowed",
    /// The host's policy allows it at other hours.
    OutsideHours = "outside_hours",
    /// It was done too often lately.
    TooOften = "too_often",
    /// Another action is still running and as many wait as may.
    Busy = "busy",
    /// All actions are stopped on this host.
    Lockdown = "lockdown",
    /// The host's policy file cannot be used.
    PolicyUnusable = "policy_unusable",
    /// The host cannot do it: its system or its build has no such action.
    Unsupported = "unsupported",
    /// On the list of what is never touched.
    Protected = "protected",
    /// What it is to be done to is not there, or not as the order says.
    NoSuchTarget = "no_such_target",
    /// It would break something: a collision, a cluster, a restart a moment ago.
    Unsafe = "unsafe",
    /// The grant that it came with does not cover it: which clause, the text says.
    NotGranted = "not_granted",
}

impl ActionReport {
    /// A report without steps and changes; its text is cut to [`REPORT_CHARS_MAX`].
    #[must_use]
    pub fn new(id: ActionId, state: ActionState, at: Timestamp, text: &str) -> Self {
        Self {
            id,
            state,
            at_ms: at,
            refusal: None,
            text: cut(text),
            steps: Vec::new(),
            changes: Vec::new(),
            needs_reboot: false,
            boot_id: None,
            undo_refused: None,
        }
    }

    /// A refusal.
    #[must_use]
    pub fn refused(id: ActionId, refusal: Refusal, at: Timestamp, text: &str) -> Self {
        Self {
            refusal: Some(refusal),
            ..Self::new(id, ActionState::Refused, at, text)
        }
    }
}

/// The first [`REPORT_CHARS_MAX`] characters.
#[must_use]
pub fn cut(text: &str) -> String {
    text.chars().take(REPORT_CHARS_MAX).collect()
}
