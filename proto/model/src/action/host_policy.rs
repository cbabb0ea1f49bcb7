//! What a host lets be done to it, as it tells others; the host itself decides by its policy file.

use serde::{Deserialize, Serialize};

use super::{ActionKind, Tier};
use crate::grant::GrantId;
use crate::key_statement::StatementId;
use crate::kinds::kinds;
use crate::signing::{KeyId, PublicKey, TRUSTED_KEYS_MAX};

/// Most keys that one listed key is followed by; then the host's administrators list the last one.
pub const SUCCESSORS_MAX: usize = 4;
/// Most keys that a host tells of: those that its policy lists, with their successors.
pub const HOST_KEYS_MAX: usize = TRUSTED_KEYS_MAX * (SUCCESSORS_MAX + 1);
/// Longest name of a key that is told, in characters.
pub const KEY_NAME_CHARS_MAX: usize = 64;
/// Most refused statements that a host tells of: the last ones.
pub const REFUSED_STATEMENTS_MAX: usize = 8;

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

kinds! {
    /// Whether a host believes a key.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    KeyStanding
    /// It does.
    Holds = "holds",
    /// Another key took its place.
    Replaced = "replaced",
    /// It was revoked, or the key in whose place it came.
    Revoked = "revoked",
}

/// A key that a host's policy lists, or that took the place of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostKey {
    /// Whose, by the policy.
    pub name: String,
    /// The key.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub public: PublicKey,
    /// The most disruptive tier that it may sign.
    pub tier_max: Tier,
    /// Whether it is believed.
    pub standing: KeyStanding,
    /// In whose place it came; `null` when the policy lists it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub rotated_from: Option<KeyId>,
    /// Why it is not believed; empty when it is.
    pub why: String,
}

/// A statement about keys that a host did not follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusedStatement {
    /// Which.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: StatementId,
    /// Why.
    pub text: String,
}

/// What a host tells about its policy, for people to see before they ask for an action. The default allows nothing and lists no
/// key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostPolicyView {
    /// The profile; `null` when the policy cannot be used, and everything is refused.
    pub profile: Option<Profile>,
    /// Why the policy cannot be used.
    pub unusable: Option<String>,
    /// What may be allowed, for some subject at some time.
    pub allowed: Vec<ActionKind>,
    /// Keys that are believed at the moment; empty when orders need no signature, or no listed key is left.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub keys: Vec<KeyId>,
    /// Whether every action is stopped.
    pub lockdown: bool,
    /// SHA-256 of the policy file, hexadecimal; empty when there is none.
    pub digest: String,
    /// Every key that the policy lists, with those that took their places; empty when orders need no signature, and from an
    /// agent that does not tell.
    #[serde(default)]
    pub all_keys: Vec<HostKey>,
    /// The last statements about keys that the host did not follow.
    #[serde(default)]
    pub refused_statements: Vec<RefusedStatement>,
    /// Whether the host's agent knows orders that let themselves be undone.
    #[serde(default)]
    pub undoes: bool,
    /// Grants that hold on the host at present, by its own look.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub grants: Vec<GrantId>,
}

impl HostPolicyView {
    /// Whether orders need signatures: also when no listed key is left that could give one.
    #[must_use]
    pub const fn wants_signatures(&self) -> bool {
        !self.keys.is_empty() || !self.all_keys.is_empty()
    }

    /// What the host tells about a key.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&HostKey> {
        self.all_keys.iter().find(|key| key.public.id() == id)
    }
}
