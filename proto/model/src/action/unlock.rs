//! The end of a host's lockdown, as operators sign it.

use serde::{Deserialize, Serialize};

use crate::{HostId, Timestamp};

/// What is signed to end the lockdown of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// Of which host.
    pub host: HostId,
    /// When it was signed.
    pub issued_at_ms: Timestamp,
}

impl Unlock {
    /// The bytes that are signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A text and an integer always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From the bytes that were signed.
    ///
    /// # Errors
    /// When they are none, in a sentence.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("it is unreadable: {error}"))
    }
}
