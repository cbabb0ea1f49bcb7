//! The audit log as the API answers it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One entry, or what is left of one that was altered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntryView {
    /// Its place, from 1 without holes.
    pub seq: u64,
    /// When.
    pub at_ms: Option<i64>,
    /// Whose deed: `operator`, `controller`, `host` or `machine`.
    pub who_kind: Option<String>,
    /// Who, by name.
    pub who: Option<String>,
    /// With which role.
    pub role: Option<String>,
    /// With what it was proven, as in `token` and its public id.
    pub credential: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// What, by name.
    pub what: Option<String>,
    /// On which kind of thing.
    pub on_kind: Option<String>,
    /// On which of them.
    pub on_id: Option<String>,
    /// Id of the host that it is about.
    pub host: Option<String>,
    /// Name of that host.
    pub host_name: Option<String>,
    /// What came of it: `done`, `refused` or `failed`.
    pub outcome: Option<String>,
    /// The fields that matter.
    pub detail: BTreeMap<String, String>,
    /// Its hash, 64 hexadecimal digits.
    pub hash: Option<String>,
    /// Why it cannot be read, when somebody altered it.
    pub fault: Option<String>,
}

/// How the audit log stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditLogStatus {
    /// Entries that this controller followed.
    pub size: u64,
    /// When it looked last; `null` before the first look.
    pub looked_ms: Option<i64>,
    /// When it first followed the log from the first entry to the last; `null` before that.
    pub followed_ms: Option<i64>,
    /// The first entry that is not as it was written.
    pub fault_seq: Option<u64>,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// Why this controller signs no checkpoints, when it does not.
    pub unsigned: Option<String>,
    /// The key that verifies checkpoints.
    pub key: Option<String>,
    /// The newest signed checkpoint, a note of c2sp.org/tlog-checkpoint.
    pub checkpoint: Option<String>,
    /// Entries that it counts.
    pub checkpoint_size: Option<u64>,
    /// When it was signed.
    pub checkpoint_ms: Option<i64>,
    /// Hosts that hold a checkpoint.
    pub witnesses: u64,
    /// Those whose checkpoint contradicts this log.
    pub contradictions: u64,
    /// Where the log is taken as it grows.
    pub exports: Vec<AuditExportView>,
}

/// How one export stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditExportView {
    /// Where to.
    pub to: String,
    /// The last entry that was taken.
    pub position: u64,
    /// Entries that wait.
    pub lag: u64,
    /// Why the last attempt failed, when it did.
    pub error: Option<String>,
}

/// What a host holds of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WitnessView {
    /// Id of the host.
    pub host: String,
    /// Its name.
    pub host_name: Option<String>,
    /// When it said so.
    pub at_ms: i64,
    /// Entries that its checkpoint counts.
    pub size: u64,
    /// The signed note that it holds.
    pub note: String,
    /// Why it contradicts this log, when it does.
    pub fault: Option<String>,
}
