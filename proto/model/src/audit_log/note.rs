//! Signed notes (<https://c2sp.org/signed-note>): a text, and below it lines of signatures by named keys.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::Secret;

/// The algorithm's number: ed25519.
const ED25519: u8 = 1;
/// What a line of a signature begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";
/// Most signatures of a note that are looked at.
const SIGNATURES_MAX: usize = 16;
/// Longest name of a key, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// The key that checkpoints of one log are verified with. Text form: name, hash and key with plus signs between them.
#[derive(Clone, PartialEq, Eq)]
pub struct LogKey {
    name: String,
    public: [u8; 32],
}

/// A text that is no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key of an audit log is NAME+HASH+KEY, as `tidemark audit key` prints it")]
pub struct InvalidLogKey;

/// Why a note is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// Not a note.
    #[error("it is no signed note")]
    Malformed,
    /// Nobody signed it whose key is known.
    #[error("it is not signed by the key of this log")]
    Unsigned,
    /// The signature is wrong.
    #[error("its signature does not match")]
    WrongSignature,
}

impl LogKey {
    /// Its name, which is the log's origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn hash(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', ED25519]);
        hasher.update(self.public);
        let digest: [u8; 32] = hasher.finalize().into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    /// The text of a note that this key signed.
    ///
    /// # Errors
    /// [`NoteFault`].
    pub fn open<'n>(&self, note: &'n str) -> Result<&'n str, NoteFault> {
        // The last empty line parts them; a text may hold others.
        let at = note.rfind("\n\n").ok_or(NoteFault::Malformed)?;
        let (text, signatures) = note.split_at_checked(at + 1).ok_or(NoteFault::Malformed)?;
        let signatures = signatures
            .strip_prefix('\n')
            .filter(|lines| lines.ends_with('\n'))
            .ok_or(NoteFault::Malformed)?;
        if text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(NoteFault::Malformed);
        }
        let mut found = Err(NoteFault::Unsigned);
        for (number, line) in signatures.lines().enumerate() {
            let line = line.strip_prefix(DASH).ok_or(NoteFault::Malformed)?;
            let (name, signature) = line.split_once(' ').ok_or(NoteFault::Malformed)?;
            let signature = BASE64.decode(signature.as_bytes());
            let signature = signature.map_err(|_| NoteFault::Malformed)?;
            let (hash, signature) = signature.split_first_chunk().ok_or(NoteFault::Malformed)?;
            if number >= SIGNATURES_MAX || !is_name(name) {
                return Err(NoteFault::Malformed);
            }
            // A signature of another key says nothing to us.
            if name == self.name && *hash == self.hash() {
                found = self.verify(text, signature);
                if found.is_err() {
                    break;
                }
            }
        }
        found.map(|()| text)
    }

    fn verify(&self, text: &str, signature: &[u8]) -> Result<(), NoteFault> {
        let wrong = NoteFault::WrongSignature;
        let bytes: [u8; 64] = signature.try_into().map_err(|_| wrong)?;
        let key = VerifyingKey::from_bytes(&self.public).map_err(|_| wrong)?;
        key.verify_strict(
            text.as_bytes(),
            &ed25519_dalek::Signature::from_bytes(&bytes),
        )
        .map_err(|_| wrong)
    }
}

/// A key's name: no spaces, no plus signs.
fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(&self.public);
        let hash = HEXLOWER.encode(&self.hash());
        write!(f, "{}+{hash}+{}", self.name, BASE64.encode(&key))
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({self})")
    }
}

impl FromStr for LogKey {
    type Err = InvalidLogKey;

    fn from_str(text: &str) -> Result<Self, InvalidLogKey> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(InvalidLogKey);
        };
        let key = BASE64.decode(key.as_bytes()).map_err(|_| InvalidLogKey)?;
        let Some((&ED25519, public)) = key.split_first() else {
            return Err(InvalidLogKey);
        };
        let public: [u8; 32] = public.try_into().map_err(|_| InvalidLogKey)?;
        let is_strong = VerifyingKey::from_bytes(&public).is_ok_and(|key| !key.is_weak());
        let key = Self {
            name: name.to_owned(),
            public,
        };
        if is_name(name) && is_strong && hash == HEXLOWER.encode(&key.hash()) {
            Ok(key)
        } else {
            Err(InvalidLogKey)
        }
    }
}

crate::by_text::serde_by_text!(LogKey);

/// The key that signs checkpoints of one log.
pub struct LogSigner {
    key: LogKey,
    seed: Secret<[u8; 32]>,
}

impl LogSigner {
    /// The key of that name made of 32 secret random bytes; `None` when the name cannot be one.
    #[must_use]
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Option<Self> {
        let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let key = LogKey {
            name: name.to_owned(),
            public,
        };
        is_name(name).then(|| Self {
            key,
            seed: Secret::new(seed),
        })
    }

    /// What others verify with.
    #[must_use]
    pub const fn key(&self) -> &LogKey {
        &self.key
    }

    /// The note of a text, which ends with a line break.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        let signing = SigningKey::from_bytes(self.seed.expose());
        let mut signature = self.key.hash().to_vec();
        signature.extend_from_slice(&signing.sign(text.as_bytes()).to_bytes());
        let (name, signature) = (&self.key.name, BASE64.encode(&signature));
        format!("{text}\n{DASH}{name} {signature}\n")
    }
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogSigner({})", self.key)
    }
}
