//! Identities and counters: what names a host, a session, a spool and a record.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::by_text::serde_by_text;

/// Identity of an enrolled host: the first 160 bits of SHA-256 over the SPKI of its identity key.
///
/// Nobody can claim another host's id without its private key. Text form: 32 lower-case base32 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId([u8; 20]);

/// A text that is not a host id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a host id is 32 base32 characters (a-z, 2-7); this has {length}")]
pub struct InvalidHostId {
    /// Characters in the refused text.
    pub length: usize,
}

impl HostId {
    /// Length of the text form, in characters.
    pub const TEXT_LENGTH: usize = 32;

    /// The id that belongs to an identity key, given its DER-encoded `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn of_identity_spki(spki_der: &[u8]) -> Self {
        Self(digest_prefix(spki_der))
    }
}

/// The first bytes of the SHA-256 of `bytes`, 32 at most.
pub(crate) fn digest_prefix<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut prefix = [0; N];
    for (to, from) in prefix.iter_mut().zip(Sha256::digest(bytes)) {
        *to = from;
    }
    prefix
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostId({self})")
    }
}

impl FromStr for HostId {
    type Err = InvalidHostId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidHostId {
            length: text.chars().count(),
        };
        if text.len() != Self::TEXT_LENGTH || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(invalid());
        }
        let bytes = BASE32_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .map_err(|_| invalid())?;
        bytes.try_into().map(Self).map_err(|_| invalid())
    }
}

impl TryFrom<String> for HostId {
    type Error = InvalidHostId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

serde_by_text!(HostId);

macro_rules! counter_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// From its number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Its number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

counter_id!(
    /// Life of one spool: random when the spool is created, so that a wiped host cannot continue an old sequence.
    /// Values fit 63 bits, because databases have no unsigned integers.
    Epoch
);
counter_id!(
    /// Position of a record in its spool epoch: 1, 2, 3, ... without holes. 0 stands before the first record.
    Seq
);
counter_id!(
    /// One connected session of one agent, unique within a controller process.
    SessionId
);

impl Epoch {
    /// The epoch made of 64 random bits; the top bit is cleared.
    #[must_use]
    pub const fn from_random(bits: u64) -> Self {
        Self(bits & (u64::MAX >> 1))
    }
}

impl Seq {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How many records lie in `(earlier, self]`; 0 when `earlier` is not earlier.
    #[must_use]
    pub const fn records_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn host_ids_survive_their_text_form(spki in proptest::collection::vec(any::<u8>(), 0..128)) {
            let id = HostId::of_identity_spki(&spki);
            prop_assert_eq!(id.to_string().len(), HostId::TEXT_LENGTH);
            prop_assert_eq!(id.to_string().parse::<HostId>(), Ok(id));
        }

        #[test]
        fn hostile_texts_are_refused_without_a_panic(text in ".*") {
            if let Ok(id) = text.parse::<HostId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn one_id_has_one_text_form() {
        let text = HostId::of_identity_spki(b"key").to_string();
        assert!(text.to_ascii_uppercase().parse::<HostId>().is_err());
    }
}
