//! The join token that an agent enrols with: `tm1.<id>.<secret>.<sha256 of the root CA's SPKI>`.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

use crate::Secret;

const VERSION: &str = "tm1";

/// SHA-256 of a certificate authority's DER-encoded `SubjectPublicKeyInfo`: the only thing an agent trusts at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CaPin([u8; 32]);

impl CaPin {
    /// The pin of a CA, given its SPKI in DER.
    #[must_use]
    pub fn of_spki(spki_der: &[u8]) -> Self {
        Self(Sha256::digest(spki_der).into())
    }

    /// From its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

/// A join token as the operator hands it to a host. The secret part is hidden from `Debug`; print it with
/// [`JoinToken::expose_text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// Names the token in lists and logs; not secret.
    pub id: TokenId,
    /// 256 random bits; the controller keeps only [`JoinToken::secret_hash`].
    pub secret: Secret<[u8; 32]>,
    /// The root CA that the controller must prove to descend from.
    pub ca_pin: CaPin,
}

/// Public name of a token: 80 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; 10]);

impl TokenId {
    /// From its 10 random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 10]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

impl FromStr for TokenId {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode("id", text).map(Self)
    }
}

/// Why a text is not a join token. Never repeats the text: it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJoinToken {
    /// Not four parts.
    #[error(
        "a join token has 4 parts separated by dots, as in tm1.<id>.<secret>.<ca pin>; this has {parts}"
    )]
    Parts {
        /// Parts found.
        parts: usize,
    },
    /// Starts with another version.
    #[error("this join token is not of version tm1: make a new one with `tidemark token create`")]
    Version,
    /// A part is damaged.
    #[error(
        "the {part} of this join token is damaged (wrong length or characters): copy it again in full"
    )]
    Damaged {
        /// Which part.
        part: &'static str,
    },
}

impl JoinToken {
    /// The whole token as text, secret included.
    #[must_use]
    pub fn expose_text(&self) -> String {
        format!(
            "{VERSION}.{}.{}.{}",
            self.id,
            encode(self.secret.expose()),
            self.ca_pin
        )
    }

    /// What the controller stores instead of the secret.
    #[must_use]
    pub fn secret_hash(secret: &[u8]) -> [u8; 32] {
        Sha256::digest(secret).into()
    }
}

impl FromStr for JoinToken {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        let [version, id, secret, pin] = parts.as_slice() else {
            return Err(InvalidJoinToken::Parts { parts: parts.len() });
        };
        if *version != VERSION {
            return Err(InvalidJoinToken::Version);
        }
        Ok(Self {
            id: id.parse()?,
            secret: Secret::new(decode("secret", secret)?),
            ca_pin: CaPin(decode("CA pin", pin)?),
        })
    }
}

fn encode(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn decode<const N: usize>(part: &'static str, text: &str) -> Result<[u8; N], InvalidJoinToken> {
    let damaged = || InvalidJoinToken::Damaged { part };
    let bytes = BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .map_err(|_| damaged())?;
    bytes.try_into().map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            id: TokenId([1; 10]),
            secret: Secret::new([2; 32]),
            ca_pin: CaPin([3; 32]),
        }
    }

    #[test]
    fn a_token_survives_its_text_form() {
        assert_eq!(token().expose_text().parse::<JoinToken>(), Ok(token()));
    }

    #[test]
    fn each_damage_is_named() {
        let text = token().expose_text();
        assert_eq!(
            "tm1.a.b".parse::<JoinToken>(),
            Err(InvalidJoinToken::Parts { parts: 3 })
        );
        assert_eq!(
            text.replace("tm1", "tm0").parse::<JoinToken>(),
            Err(InvalidJoinToken::Version)
        );
        let cut: String = text.chars().take(text.len() - 1).collect();
        assert_eq!(
            cut.parse::<JoinToken>(),
            Err(InvalidJoinToken::Damaged { part: "CA pin" })
        );
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let shown = format!("{:?}", token());
        assert!(shown.contains("Secret(..)"), "{shown}");
    }
}
