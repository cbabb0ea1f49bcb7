//! What a host lets be done to it, as it tells others; the host itself decides by its policy file.

use serde::{Deserialize, Serialize};

use super::{ActionKind, Tier};
use crate::grant::GrantId;
use crate::kinds::kinds;
use crate::signing::KeyId;

kinds! {
    /// What a host allows without a rule of its own. The host decides, not the controller.
    #[derive(Default)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    Profile
    /// Nothing but looking: tier 0.
    #[default]
    Observe = "observe",
    /// What can be undone and what people are used to: tiers 0 and 1.
    Safe = "safe",
    /// Everything, reboots included.
    Full = "full",
}

impl Profile {
    /// The most disruptive tier that it allows.
    #[must_use]
    pub const fn tier_max(self) -> Tier {
        match self {
            Self::Observe => Tier::ReadOnly,
            Self::Safe => Tier::Reversible,
            Self::Full => Tier::Reboot,
        }
    }
}

/// What a host tells about its policy, for people to see before they ask for an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostPolicyView {
    /// The profile; `null` when the policy cannot be used, and everything is refused.
    pub profile: Option<Profile>,
    /// Why the policy cannot be used.
    pub unusable: Option<String>,
    /// What may be allowed, for some subject at some time.
    pub allowed: Vec<ActionKind>,
    /// Keys whose signatures are wanted; empty when orders need none.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub keys: Vec<KeyId>,
    /// Whether every action is stopped.
    pub lockdown: bool,
    /// SHA-256 of the policy file, hexadecimal; empty when there is none.
    pub digest: String,
    /// Grants that hold on the host at present, by its own look.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub grants: Vec<GrantId>,
}
