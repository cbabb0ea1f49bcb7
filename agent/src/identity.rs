//! Who this host is: the long-lived identity key whose hash is the host id, and what it signs.
//!
//! Knows no controller; certificates are in `credentials`, where both are kept is in `vault`.

pub mod credentials;
pub mod vault;

pub use credentials::{Credentials, InvalidCredentials};
pub use vault::{Vault, VaultError};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SigningKey as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use sha2::{Digest, Sha256};
use tidemark_model::HostId;
use zeroize::Zeroizing;

/// Separates what the identity key signs at enrolment from everything else it signs.
const ENROLL_DOMAIN: &[u8] = b"tidemark/enroll/v1\0";
/// Separates what the identity key signs at renewal.
const RENEW_DOMAIN: &[u8] = b"tidemark/renew/v1\0";

/// The long-lived key of a host, ECDSA over P-256. It never leaves the host.
#[derive(Debug)]
pub struct IdentityKey {
    key: KeyPair,
    spki_der: Vec<u8>,
    host_id: HostId,
}

/// Why a key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system's generator or the signing failed.
    #[error("the system's cryptography failed")]
    Crypto(#[source] rcgen::Error),
    /// Not a PKCS#8 key of the kind that is used here.
    #[error("the stored key is not an ECDSA P-256 key in PKCS#8")]
    Malformed(#[source] rcgen::Error),
}

impl IdentityKey {
    /// Makes a new identity.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when the system's generator fails.
    pub fn generate() -> Result<Self, KeyError> {
        generate_key().map(Self::of)
    }

    /// Reads back what [`IdentityKey::to_pkcs8`] wrote.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] for anything else.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        key_from_pkcs8(der).map(Self::of)
    }

    fn of(key: KeyPair) -> Self {
        let spki_der = key.subject_public_key_info();
        let host_id = HostId::of_identity_spki(&spki_der);
        Self {
            key,
            spki_der,
            host_id,
        }
    }

    /// The private key; wiped when dropped.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.key.serialize_der())
    }

    /// Its public key as `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The host id that follows from the public key.
    #[must_use]
    pub const fn host_id(&self) -> HostId {
        self.host_id
    }

    /// Proves at enrolment that this host asks for a certificate for the key of `csr_der`.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when the signing fails.
    pub fn sign_enroll(&self, csr_der: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.sign(&[ENROLL_DOMAIN, &Sha256::digest(csr_der)])
    }

    /// Proves the same at renewal, for the generation of the certificate that the host holds.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when the signing fails.
    pub fn sign_renew(&self, csr_der: &[u8], generation: u64) -> Result<Vec<u8>, KeyError> {
        let parts: [&[u8]; 3] = [
            RENEW_DOMAIN,
            &Sha256::digest(csr_der),
            &generation.to_be_bytes(),
        ];
        self.sign(&parts)
    }

    fn sign(&self, parts: &[&[u8]]) -> Result<Vec<u8>, KeyError> {
        self.key.sign(&parts.concat()).map_err(KeyError::Crypto)
    }
}

/// A new ECDSA P-256 key.
fn generate_key() -> Result<KeyPair, KeyError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(KeyError::Crypto)
}

fn key_from_pkcs8(der: &[u8]) -> Result<KeyPair, KeyError> {
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der), &PKCS_ECDSA_P256_SHA256)
        .map_err(KeyError::Malformed)
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    use super::*;

    fn verified(key: &IdentityKey, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.key.der_bytes())
            .verify(message, signature)
            .is_ok()
    }

    #[test]
    fn an_identity_survives_its_stored_form() {
        let key = IdentityKey::generate().unwrap();
        let again = IdentityKey::from_pkcs8(&key.to_pkcs8()).unwrap();
        assert_eq!(again.host_id(), key.host_id());
        assert_eq!(again.spki_der(), key.spki_der());
        assert!(IdentityKey::from_pkcs8(b"not a key").is_err());
    }

    #[test]
    fn a_proof_is_for_one_request_and_one_purpose() {
        let key = IdentityKey::generate().unwrap();
        let hash = Sha256::digest(b"csr");
        let enroll = key.sign_enroll(b"csr").unwrap();
        let renew = key.sign_renew(b"csr", 7).unwrap();
        let enroll_message = [ENROLL_DOMAIN, hash.as_slice()].concat();
        let renew_message = [RENEW_DOMAIN, hash.as_slice(), &7_u64.to_be_bytes()].concat();
        assert!(verified(&key, &enroll_message, &enroll));
        assert!(verified(&key, &renew_message, &renew));
        assert!(!verified(&key, &renew_message, &enroll));
        assert!(!verified(&key, &enroll_message, &renew));
    }
}
