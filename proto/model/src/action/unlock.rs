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
        let unlock: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("it is unreadable: {error}"))?;
        if unlock.to_bytes() == bytes {
            Ok(unlock)
        } else {
            Err("the end of a lockdown is written in one way only, and this is another; make it with `tidemark`".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_lockdown_is_written_in_one_way() {
        let unlock = Unlock {
            host: HostId::of_identity_spki(b"host"),
            issued_at_ms: Timestamp::from_unix_ms(5),
        };
        let bytes = unlock.to_bytes();
        assert_eq!(Unlock::from_bytes(&bytes), Ok(unlock));
        let text = String::from_utf8(bytes).unwrap();
        for other in [
            text.replacen('{', "{ ", 1),
            text.replacen("\"issued_at_ms\":5", "\"issued_at_ms\":5 ", 1),
            format!("{text}\n"),
        ] {
            assert_ne!(other, text);
            let told = Unlock::from_bytes(other.as_bytes()).unwrap_err();
            assert!(told.contains("one way only"), "{told}");
        }
    }
}
