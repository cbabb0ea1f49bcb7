//! What operators sign about their keys: that one is not to be believed any more, or that another one takes its place.
//! The bytes are canonical JSON, as those of an order, so that who signs reads what is signed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::action::Tier;
use crate::action::order::REASON_CHARS_MAX;
use crate::by_text::hex_id;
use crate::ids::digest_prefix;
use crate::kinds::kinds;
use crate::signing::{KeyId, PublicKey, Purpose, Signature};

/// Largest statement, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 4 * 1024;
/// How long a rotation can be taken after it was made; a host that was away for longer is told by its administrators.
pub const ROTATION_VALID: Duration = Duration::from_secs(90 * 86_400);

/// Names a statement: the first 128 bits of the SHA-256 of its bytes. Text form: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId([u8; 16]);

/// A text that names no statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a statement's id is 32 lower-case hexadecimal digits; `tidemark get key-statements` lists them"
)]
pub struct InvalidStatementId;

kinds! {
    /// What a statement does.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    StatementKind
    /// A key is not to be believed any more.
    Revocation = "revocation",
    /// Another key takes a key's place.
    Rotation = "rotation",
}

/// A key is not to be believed any more. It only narrows what a host does, so that one signature suffices: of the key itself,
/// or of another one of the host that may sign as much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRevocation {
    /// Which.
    pub key: PublicKey,
    /// Since when somebody else may have had it: keys that took its place since then fall with it; all of them without it.
    pub since_ms: Option<Timestamp>,
    /// When this was made.
    pub issued_at_ms: Timestamp,
    /// Why.
    pub reason: String,
}

/// Another key takes a key's place. Both sign it; for a key of tier 3 another one of the host as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRotation {
    /// The key that steps back.
    pub old: PublicKey,
    /// The one that takes its place, under the same name.
    pub new: PublicKey,
    /// The most disruptive tier that it may order; never more than the old one on that host.
    pub tier_max: Tier,
    /// When this was made; hosts take it for [`ROTATION_VALID`].
    pub issued_at_ms: Timestamp,
    /// Why.
    pub reason: String,
}

/// Either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "statement", rename_all = "snake_case")]
pub enum KeyStatement {
    /// See [`KeyRevocation`].
    Revocation(KeyRevocation),
    /// See [`KeyRotation`].
    Rotation(KeyRotation),
}

/// A statement as it travels: the bytes, and who signed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedKeyStatement {
    /// The statement's bytes.
    pub bytes: Vec<u8>,
    /// At most [`SIGNATURES_MAX`](crate::signing::SIGNATURES_MAX).
    pub signatures: Vec<Signature>,
}

/// Why bytes are no statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStatement {
    /// Longer than [`STATEMENT_BYTES_MAX`].
    #[error("a statement about keys has at most {STATEMENT_BYTES_MAX} bytes; this has {0}")]
    TooLong(usize),
    /// No statement at all.
    #[error("this is no statement about keys: {0}")]
    Unreadable(String),
    /// Readable, but not the one way to write it.
    #[error(
        "a statement is written in one way only, and this is another; make it with `tidemark key`"
    )]
    NotCanonical,
    /// The reason.
    #[error("reason has 1 to {REASON_CHARS_MAX} characters and no control characters")]
    Reason,
    /// `since_ms`.
    #[error("since_ms lies after the statement was made")]
    Since,
    /// A key that would replace itself.
    #[error("new is the same key as old; make a new one with `tidemark key new`")]
    SameKey,
}

impl StatementId {
    /// That of a statement's bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(digest_prefix(bytes))
    }
}

hex_id!(StatementId, 16, InvalidStatementId);

impl KeyStatement {
    /// Which of the two.
    #[must_use]
    pub const fn kind(&self) -> StatementKind {
        match self {
            Self::Revocation(_) => StatementKind::Revocation,
            Self::Rotation(_) => StatementKind::Rotation,
        }
    }

    /// What its signatures are for.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        match self {
            Self::Revocation(_) => Purpose::KeyRevocation,
            Self::Rotation(_) => Purpose::KeyRotation,
        }
    }

    /// The key whose signatures end with it.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        match self {
            Self::Revocation(revocation) => &revocation.key,
            Self::Rotation(rotation) => &rotation.old,
        }
    }

    /// When it was made.
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        match self {
            Self::Revocation(revocation) => revocation.issued_at_ms,
            Self::Rotation(rotation) => rotation.issued_at_ms,
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Revocation(revocation) => &revocation.reason,
            Self::Rotation(rotation) => &rotation.reason,
        }
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Texts and integers always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From the bytes that were signed.
    ///
    /// # Errors
    /// [`InvalidStatement`] says what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidStatement> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(InvalidStatement::TooLong(bytes.len()));
        }
        let statement: Self = serde_json::from_slice(bytes)
            .map_err(|error| InvalidStatement::Unreadable(error.to_string()))?;
        if statement.to_bytes() != bytes {
            return Err(InvalidStatement::NotCanonical);
        }
        statement.check()?;
        Ok(statement)
    }

    /// Whether everything is within its limits.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn check(&self) -> Result<(), InvalidStatement> {
        let reason = self.reason();
        let length = reason.chars().count();
        if !(1..=REASON_CHARS_MAX).contains(&length) || reason.chars().any(char::is_control) {
            return Err(InvalidStatement::Reason);
        }
        match self {
            Self::Revocation(revocation)
                if revocation
                    .since_ms
                    .is_some_and(|since| since > revocation.issued_at_ms) =>
            {
                Err(InvalidStatement::Since)
            }
            Self::Rotation(rotation) if rotation.old == rotation.new => {
                Err(InvalidStatement::SameKey)
            }
            Self::Revocation(_) | Self::Rotation(_) => Ok(()),
        }
    }
}

impl SignedKeyStatement {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> StatementId {
        StatementId::of_bytes(&self.bytes)
    }

    /// The key ids that claim to have signed it.
    pub fn signers(&self) -> impl Iterator<Item = KeyId> {
        self.signatures.iter().map(|signature| signature.key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signing::PrivateKey;

    fn public(seed: u8) -> PublicKey {
        PrivateKey::from_seed([seed; 32]).public()
    }

    fn revocation(reason: &str) -> KeyStatement {
        KeyStatement::Revocation(KeyRevocation {
            key: public(1),
            since_ms: None,
            issued_at_ms: Timestamp::from_unix_ms(5),
            reason: reason.to_owned(),
        })
    }

    fn rotation(new: u8) -> KeyStatement {
        KeyStatement::Rotation(KeyRotation {
            old: public(1),
            new: public(new),
            tier_max: Tier::Disruptive,
            issued_at_ms: Timestamp::from_unix_ms(5),
            reason: "once a year".to_owned(),
        })
    }

    #[test]
    fn a_statement_is_written_in_one_way_and_says_what_it_is() {
        for (statement, start) in [
            (
                revocation("lost"),
                "{\"statement\":\"revocation\",\"key\":\"ed25519:",
            ),
            (
                rotation(2),
                "{\"statement\":\"rotation\",\"old\":\"ed25519:",
            ),
        ] {
            let bytes = statement.to_bytes();
            assert_eq!(KeyStatement::from_bytes(&bytes), Ok(statement));
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.starts_with(start), "{text}");
            for other in [
                text.replacen('{', "{ ", 1),
                text.replacen("\"reason\"", "\"issued_at_ms\":5,\"reason\"", 1),
                text.replacen("\"reason\"", "\"host\":1,\"reason\"", 1),
            ] {
                KeyStatement::from_bytes(other.as_bytes()).unwrap_err();
            }
        }
    }

    #[test]
    fn what_is_out_of_its_limits_is_no_statement() {
        let read = |statement: &KeyStatement| KeyStatement::from_bytes(&statement.to_bytes());
        for reason in ["", "a\nb", "x".repeat(501).as_str()] {
            assert_eq!(read(&revocation(reason)), Err(InvalidStatement::Reason));
        }
        assert_eq!(read(&rotation(1)), Err(InvalidStatement::SameKey));
        let late = KeyStatement::Revocation(KeyRevocation {
            key: public(1),
            since_ms: Some(Timestamp::from_unix_ms(6)),
            issued_at_ms: Timestamp::from_unix_ms(5),
            reason: "lost".to_owned(),
        });
        assert_eq!(read(&late), Err(InvalidStatement::Since));
        let long = vec![b' '; STATEMENT_BYTES_MAX + 1];
        let long = KeyStatement::from_bytes(&long);
        assert!(matches!(long, Err(InvalidStatement::TooLong(_))));
    }

    #[test]
    fn a_signature_of_one_kind_is_none_of_the_other() {
        let key = PrivateKey::from_seed([1; 32]);
        let bytes = revocation("lost").to_bytes();
        for purpose in [Purpose::KeyRotation, Purpose::Order, Purpose::Unlock] {
            let signed = key.sign(purpose, &bytes);
            let wanted = revocation("lost").purpose();
            key.public().verify(wanted, &bytes, &signed).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(statement) = KeyStatement::from_bytes(&bytes) {
                prop_assert_eq!(statement.to_bytes(), bytes);
            }
        }
    }
}
