//! Operators' signatures: who may have ordered something, proven without trust in the controller that carries it.
//!
//! ed25519 over a text that says what is signed before the bytes, so that a signature of one thing is none of another.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use crate::Secret;
use crate::by_text::{hex_id, serde_by_text};
use crate::ids::digest_prefix;

/// Most signatures that one thing can carry.
pub const SIGNATURES_MAX: usize = 8;
/// Most keys that a host's policy lists.
pub const TRUSTED_KEYS_MAX: usize = 64;

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// An [`Order`](crate::action::Order).
    Order,
    /// The end of a lockdown.
    Unlock,
    /// A [`KeyRevocation`](crate::key_statement::KeyRevocation).
    KeyRevocation,
    /// A [`KeyRotation`](crate::key_statement::KeyRotation).
    KeyRotation,
    /// A [`Grant`](crate::grant::Grant).
    Grant,
    /// The end of a grant before its time.
    GrantEnd,
    /// A [`Manifest`](crate::release::Manifest).
    Release,
}

impl Purpose {
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Order => b"tidemark.v1.order\0",
            Self::Unlock => b"tidemark.v1.unlock\0",
            Self::KeyRevocation => b"tidemark.v1.key_revocation\0",
            Self::KeyRotation => b"tidemark.v1.key_rotation\0",
            Self::Grant => b"tidemark.v1.grant\0",
            Self::GrantEnd => b"tidemark.v1.grant_end\0",
            Self::Release => b"tidemark.v1.release\0",
        }
    }
}

/// A public key of an operator. Text form: `ed25519:` and base64 of its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// Names a public key: the first 64 bits of its SHA-256. Text form: 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

/// A text that is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is ed25519: and 44 characters of base64; `tidemark key show` prints it")]
pub struct InvalidPublicKey;

/// A text that is no key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 16 lower-case hexadecimal digits")]
pub struct InvalidKeyId;

/// A text that is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signature is 88 characters of base64")]
pub struct InvalidSignature;

/// The bytes do not match the signature and the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match")]
pub struct WrongSignature;

hex_id!(KeyId, 8, InvalidKeyId);

impl PublicKey {
    /// From its 32 bytes.
    ///
    /// # Errors
    /// [`InvalidPublicKey`] when they are no point of the curve, or a weak one.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, InvalidPublicKey> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| InvalidPublicKey)?;
        if key.is_weak() {
            return Err(InvalidPublicKey);
        }
        Ok(Self(bytes))
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(digest_prefix(&self.0))
    }

    /// Whether its owner signed these bytes for this purpose. Strict: weak keys and malleable signatures match nothing.
    ///
    /// # Errors
    /// [`WrongSignature`] when not.
    pub fn verify(
        &self,
        purpose: Purpose,
        bytes: &[u8],
        signature: &Signature,
    ) -> Result<(), WrongSignature> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| WrongSignature)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.bytes);
        key.verify_strict(&signed_text(purpose, bytes), &signature)
            .map_err(|_| WrongSignature)
    }
}

/// What the signature algorithm is given: `bytes` behind a text that says what they are signed as. For keys that sign
/// somewhere else, as in a token.
#[must_use]
pub fn signed_text(purpose: Purpose, bytes: &[u8]) -> Vec<u8> {
    [purpose.prefix(), bytes].concat()
}

/// A key that can sign. Never leaves the operator's machine.
pub struct PrivateKey(Secret<[u8; 32]>);

impl PrivateKey {
    /// The key made of 32 secret random bytes.
    #[must_use]
    pub const fn from_seed(seed: [u8; 32]) -> Self {
        Self(Secret::new(seed))
    }

    /// The secret bytes, for keeping them encrypted.
    #[must_use]
    pub const fn seed(&self) -> &Secret<[u8; 32]> {
        &self.0
    }

    /// The key that others verify with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let key = SigningKey::from_bytes(self.0.expose());
        PublicKey(key.verifying_key().to_bytes())
    }

    /// Signs `bytes` for `purpose`.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, bytes: &[u8]) -> Signature {
        let key = SigningKey::from_bytes(self.0.expose());
        Signature {
            key: self.public().id(),
            bytes: key.sign(&signed_text(purpose, bytes)).to_bytes(),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public().id())
    }
}

/// One signature, and whose it says it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// By which key.
    pub key: KeyId,
    /// The 64 bytes.
    pub bytes: [u8; 64],
}

impl Signature {
    /// The base64 form of its bytes.
    #[must_use]
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.bytes)
    }

    /// From a key id and the base64 form.
    ///
    /// # Errors
    /// [`InvalidSignature`] when the text is none.
    pub fn from_base64(key: KeyId, text: &str) -> Result<Self, InvalidSignature> {
        let bytes = BASE64
            .decode(text.as_bytes())
            .map_err(|_| InvalidSignature)?;
        let bytes = bytes.try_into().map_err(|_| InvalidSignature)?;
        Ok(Self { key, bytes })
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.key)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", BASE64.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = InvalidPublicKey;

    fn from_str(text: &str) -> Result<Self, InvalidPublicKey> {
        let base64 = text.strip_prefix("ed25519:").ok_or(InvalidPublicKey)?;
        let bytes = BASE64
            .decode(base64.as_bytes())
            .map_err(|_| InvalidPublicKey)?;
        Self::from_bytes(bytes.try_into().map_err(|_| InvalidPublicKey)?)
    }
}

serde_by_text!(PublicKey);

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_signature_holds_for_its_bytes_its_purpose_and_its_key_alone() {
        let key = PrivateKey::from_seed([7; 32]);
        let other = PrivateKey::from_seed([8; 32]);
        let signed = key.sign(Purpose::Order, b"restart");
        let verify =
            |key: &PrivateKey, purpose, bytes: &[u8]| key.public().verify(purpose, bytes, &signed);
        assert_eq!(verify(&key, Purpose::Order, b"restart"), Ok(()));
        assert_eq!(
            verify(&key, Purpose::Order, b"restarT"),
            Err(WrongSignature)
        );
        assert_eq!(
            verify(&key, Purpose::Unlock, b"restart"),
            Err(WrongSignature)
        );
        assert_eq!(
            verify(&other, Purpose::Order, b"restart"),
            Err(WrongSignature)
        );
    }

    #[test]
    fn a_signature_matches_the_published_vector() {
        // RFC 8032, 7.1, TEST 2, to show that keys are those of other tools; the purpose is ours.
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        let seed: [u8; 32] = HEXLOWER
            .decode(seed.as_bytes())
            .unwrap()
            .try_into()
            .unwrap();
        let key = PrivateKey::from_seed(seed);
        assert_eq!(HEXLOWER.encode(&key.public().0), public);
    }

    #[test]
    fn weak_keys_are_no_keys() {
        let weak = format!("ed25519:{}", BASE64.encode(&[0; 32]));
        assert_eq!(weak.parse::<PublicKey>(), Err(InvalidPublicKey));
    }

    #[test]
    fn a_private_key_does_not_show_itself() {
        let shown = format!("{:?}", PrivateKey::from_seed([0x41; 32]));
        assert!(
            !shown.contains("41, 41") && !shown.contains("AAAA"),
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn keys_and_signatures_survive_their_text_forms(seed: [u8; 32], bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let key = PrivateKey::from_seed(seed);
            let public = key.public();
            prop_assert_eq!(public.to_string().parse(), Ok(public));
            prop_assert_eq!(public.id().to_string().parse(), Ok(public.id()));
            let signature = key.sign(Purpose::Order, &bytes);
            let again = Signature::from_base64(signature.key, &signature.to_base64()).unwrap();
            prop_assert_eq!(public.verify(Purpose::Order, &bytes, &again), Ok(()));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,80}") {
            if let Ok(key) = text.parse::<PublicKey>() {
                prop_assert_eq!(key.to_string(), text.clone());
            }
            if let Ok(id) = text.parse::<KeyId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
