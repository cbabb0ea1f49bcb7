//! Grants as the API answers them and as they are brought.

use serde::{Deserialize, Serialize};

use crate::kinds::kinds;

kinds! {
    /// Where a grant stands, as the controller sees it; whether it holds on a host, that host says.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    GrantState
    /// It is listed for its hosts.
    Standing = "standing",
    /// Its policy was changed or deleted since it was signed: it is used no more.
    Outdated = "outdated",
    /// Somebody withdrew it.
    Withdrawn = "withdrawn",
    /// Its time is over.
    Expired = "expired",
}

/// A grant that somebody brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// The very text that was signed.
    pub document: String,
    /// Who signed it, 1 to 3.
    pub signatures: Vec<GrantSignature>,
}

/// A signature of a grant, or of its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GrantSignature {
    /// By which key, 16 hexadecimal digits.
    pub key_id: String,
    /// Base64 of the 64 bytes.
    pub signature: String,
}

/// The signed end of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GrantEndRequest {
    /// The very text that was signed.
    pub document: String,
    /// Who signed it.
    pub signature: GrantSignature,
}

/// A grant as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GrantView {
    /// Its id.
    pub id: String,
    /// Name of the policy that it is for.
    pub policy: String,
    /// What it lets be done and when, in one line.
    pub summary: String,
    /// Which rung of it, from 1; `null` when the policy has no rung any more that was signed for.
    pub rung: Option<u32>,
    /// Orders that were sent under it and are still kept.
    pub used: u64,
    /// When the last of them was sent.
    pub last_used_ms: Option<i64>,
    /// Where it stands.
    pub state: GrantState,
    /// Until when it is valid.
    pub expires_ms: i64,
    /// Ids of the keys that signed it; whether they may, each host's policy says.
    pub keys: Vec<String>,
    /// When it was brought.
    pub created_ms: i64,
    /// By whom.
    pub created_by: String,
    /// When it was withdrawn; `null` when it was not.
    pub withdrawn_ms: Option<i64>,
    /// By whom.
    pub withdrawn_by: Option<String>,
    /// Whether a signature ended it: hosts that were told so take it no more, whatever a controller says later.
    pub has_signed_end: bool,
}

/// A grant with what was signed and where it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GrantDetail {
    /// The grant.
    #[serde(flatten)]
    pub grant: GrantView,
    /// The very text that was signed.
    pub document: String,
    /// Hosts that say that it holds there, by name, 200 at most.
    pub holds_on: Vec<String>,
    /// Hosts that it names and that do not say so, by name, 200 at most.
    pub not_on: Vec<String>,
}
