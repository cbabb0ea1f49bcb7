//! Releases of the agent and their roll-outs as the API answers them and as they are asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SignatureRequest;
use crate::upgrade::{HostStage, UpgradeState};

/// A release that somebody brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The very text of the manifest that was signed.
    pub document: String,
    /// Who signed it, 1 to 8.
    pub signatures: Vec<SignatureRequest>,
}

/// A file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseFileView {
    /// What it runs on, as in `linux/x86_64`.
    pub target: String,
    /// What it was called.
    pub file: String,
    /// Its length, in bytes.
    pub length_bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// Whether the controller has it.
    pub is_there: bool,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseView {
    /// Its number.
    pub release: u32,
    /// What people call it.
    pub version: String,
    /// The lowest release that hosts may run once they run this one.
    pub floor: u32,
    /// Until when it may be installed.
    pub expires_ms: i64,
    /// Ids of the keys that signed it, by their own words.
    pub keys: Vec<String>,
    /// Its files.
    pub files: Vec<ReleaseFileView>,
    /// When it was brought.
    pub created_ms: i64,
    /// By whom.
    pub created_by: String,
}

/// A release with what was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseDetail {
    /// The release.
    pub release: ReleaseView,
    /// The very text of the manifest that was signed.
    pub document: String,
}

/// A roll-out that somebody starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpgradeRequest {
    /// Of which release.
    pub release: u32,
    /// Which hosts, by labels of their join tokens, as in `team=payments`; all of them without it.
    #[serde(default)]
    pub hosts: Option<String>,
    /// Seconds between the end of a ring and the next one, at most 14 d; 1 h without it.
    #[serde(default)]
    pub soak_s: Option<u64>,
    /// With how many failed hosts it goes on, at most 1000; 0 without it.
    #[serde(default)]
    pub failures_max: Option<u32>,
    /// Seconds that it waits for hosts that are away while their ring is open, at most 14 d; 1 h without it.
    #[serde(default)]
    pub wait_s: Option<u64>,
}

/// A roll-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpgradeView {
    /// Its number.
    pub upgrade: i64,
    /// Of which release.
    pub release: u32,
    /// Which hosts were asked for.
    pub hosts: String,
    /// Where it stands.
    pub state: UpgradeState,
    /// Why it stands there.
    pub note: String,
    /// Seconds between two rings.
    pub soak_s: u64,
    /// With how many failed hosts it goes on.
    pub failures_max: u32,
    /// How many hosts are at each stage; stages without a host are left out.
    pub stages: BTreeMap<HostStage, u64>,
    /// When it was started.
    pub created_ms: i64,
    /// By whom.
    pub created_by: String,
    /// When it last changed.
    pub changed_ms: i64,
}

/// A host in a roll-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpgradeHostView {
    /// Its id.
    pub host_id: String,
    /// What it calls itself; null when it is unknown here.
    pub host: Option<String>,
    /// Its ring, from 1.
    pub ring: u8,
    /// How far it is.
    pub stage: HostStage,
    /// Since when.
    pub since_ms: i64,
    /// Why, by its own words.
    pub text: String,
    /// Which release it runs; 0 for the program that it was installed with, null when it did not say.
    pub running: Option<u32>,
    /// The lowest release that it may run, null when it did not say.
    pub floor: Option<u32>,
}

/// A roll-out with its hosts, in the order of their turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpgradeDetail {
    /// The roll-out.
    pub upgrade: UpgradeView,
    /// Its hosts.
    pub hosts: Vec<UpgradeHostView>,
}
