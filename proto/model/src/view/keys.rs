//! Operators' keys and what was signed about them, as the API answers it and as it is asked for it.

use serde::{Deserialize, Serialize};

use super::{SignatureRequest, SignatureView};
use crate::action::{KeyStanding, Profile, Tier};
use crate::key_statement::{KeyStatement, StatementId, StatementKind};
use crate::signing::{KeyId, PublicKey};

/// A key that hosts list, over all hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FleetKeyView {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: KeyId,
    /// The key.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub public: PublicKey,
    /// Under which names, at most 8.
    pub names: Vec<String>,
    /// The most disruptive tier that it may sign on some host.
    #[cfg_attr(feature = "openapi", schema(value_type = u8))]
    pub tier_max: Tier,
    /// Hosts that list it, or that it came to by rotation.
    pub hosts: u64,
    /// Hosts that believe it.
    pub holds: u64,
    /// Hosts where another key took its place.
    pub replaced: u64,
    /// Hosts where it was revoked, or the key in whose place it came.
    pub revoked: u64,
    /// Whether a revocation of it was brought here, which hosts that were away since do not know.
    pub is_revocation_brought: bool,
    /// In whose place it came, on some host.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub rotated_from: Option<KeyId>,
    /// Who brought signatures of it for actions, the last first, at most 8.
    pub used_by: Vec<KeyUseView>,
    /// Hosts that list it or that it came to, at most 20.
    pub listed_by: Vec<KeyHostView>,
}

/// A host that lists a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyHostView {
    /// Id of the host.
    pub host: String,
    /// Its name; `null` when it is not known any more.
    pub host_name: Option<String>,
    /// What it allows without a rule of its own; `null` when its policy cannot be used.
    pub profile: Option<Profile>,
    /// Whether it believes the key.
    pub standing: KeyStanding,
    /// Why not; empty when it does.
    pub why: String,
}

/// Somebody's use of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyUseView {
    /// Who brought the signatures.
    pub author: String,
    /// How many that are still kept.
    pub signed: u64,
    /// When the last one came.
    pub last_ms: i64,
}

/// A statement about a key that was brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyStatementView {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: StatementId,
    /// What it does.
    pub kind: StatementKind,
    /// The key that is revoked or replaced.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub key_id: KeyId,
    /// Under which name some host lists it.
    pub key_name: Option<String>,
    /// What it says.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub statement: KeyStatement,
    /// The very bytes that are signed; they are text.
    pub bytes: String,
    /// Who signed it.
    pub signatures: Vec<SignatureView>,
    /// When it was brought.
    pub at_ms: i64,
    /// By whom.
    pub author: String,
    /// Hosts that list the key.
    pub hosts: u64,
    /// Those of them that show that they followed it.
    pub followed: u64,
    /// Hosts that said why they do not, at most 100.
    pub refused: Vec<StatementHostView>,
    /// Hosts that said nothing about it yet, at most 100.
    pub waiting: Vec<StatementHostView>,
}

/// Why a host does not follow a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatementHostView {
    /// Id of the host.
    pub host: String,
    /// Its name; `null` when it is not known any more.
    pub host_name: Option<String>,
    /// Why.
    pub text: String,
}

/// A statement to be carried to hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyStatementRequest {
    /// The very bytes that were signed; they are text.
    pub statement: String,
    /// Who signed it: 1 to 8.
    pub signatures: Vec<SignatureRequest>,
}
