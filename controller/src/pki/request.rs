//! What a stranger sends to become an agent: a certificate request, and the proof that it holds its identity key. Pure, and
//! without anything else of the controller: it is fuzzed by itself.

use rcgen::{CertificateSigningRequestParams, PublicKeyData as _};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::CertificateSigningRequestDer;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Largest certificate request that is looked at; an ECDSA one has about 400 bytes.
pub const CSR_BYTES_MAX: usize = 4_096;

/// Largest identity key that is looked at, in bytes; a P-256 one has 91.
const SPKI_BYTES_MAX: usize = 512;

/// Why a certificate request is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The request is too large.
    #[error("csr_der has {bytes} bytes; at most {CSR_BYTES_MAX} are taken")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The request is malformed or its own signature is wrong.
    #[error(
        "csr_der is not a certificate request with a valid signature of an ECDSA or Ed25519 key"
    )]
    Malformed(#[source] rcgen::Error),
}

/// Why whoever asks is not believed to hold the identity key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFault {
    /// The identity key is malformed.
    #[error("identity_spki_der is not the SubjectPublicKeyInfo of an ECDSA P-256 key")]
    Key,
    /// The signature does not belong to the key.
    #[error(
        "identity_signature is wrong: the request was not made by the holder of the identity key"
    )]
    Signature,
}

/// Reads a request and verifies its own signature.
///
/// # Errors
/// [`RequestError`].
pub fn read_request(csr_der: &[u8]) -> Result<CertificateSigningRequestParams, RequestError> {
    if csr_der.len() > CSR_BYTES_MAX {
        return Err(RequestError::TooLarge {
            bytes: csr_der.len(),
        });
    }
    CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr_der))
        .map_err(RequestError::Malformed)
}

/// SHA-256 of a request's public key: asking again with the same key is a retry, not a second holder.
///
/// # Errors
/// [`RequestError`].
pub fn request_key_hash(csr_der: &[u8]) -> Result<[u8; 32], RequestError> {
    Ok(Sha256::digest(read_request(csr_der)?.public_key.subject_public_key_info()).into())
}

/// Whether the holder of the identity key `spki_der` signed `context`, the hash of the request, and `suffix`.
///
/// # Errors
/// [`IdentityFault`].
pub fn verify_identity(
    context: &[u8],
    csr_der: &[u8],
    suffix: &[u8],
    spki_der: &[u8],
    signature: &[u8],
) -> Result<(), IdentityFault> {
    if spki_der.len() > SPKI_BYTES_MAX {
        return Err(IdentityFault::Key);
    }
    let (rest, spki) = SubjectPublicKeyInfo::from_der(spki_der).map_err(|_| IdentityFault::Key)?;
    if !rest.is_empty() {
        // Bytes after the key would give one key many host ids.
        return Err(IdentityFault::Key);
    }
    let message = [context, &Sha256::digest(csr_der), suffix].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &spki.subject_public_key.data)
        .verify(&message, signature)
        .map_err(|_| IdentityFault::Signature)
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, SigningKey as _};

    use super::*;

    #[test]
    fn only_the_holder_of_the_identity_key_is_believed() {
        let key = KeyPair::generate().unwrap();
        let spki = key.subject_public_key_info();
        let message = [&b"enrol"[..], &Sha256::digest(b"csr")].concat();
        let signature = key.sign(&message).unwrap();
        verify_identity(b"enrol", b"csr", &[], &spki, &signature).unwrap();

        let other = KeyPair::generate().unwrap().subject_public_key_info();
        for (context, csr, key) in [
            (b"enrol", &b"csr"[..], &other),
            (b"enrol", b"other", &spki),
            (b"renew", b"csr", &spki),
        ] {
            let told = verify_identity(context, csr, &[], key, &signature);
            assert_eq!(told, Err(IdentityFault::Signature));
        }
    }

    #[test]
    fn one_key_has_one_host_id() {
        let key = KeyPair::generate().unwrap();
        let mut spki = key.subject_public_key_info();
        spki.push(0);
        let told = verify_identity(b"enrol", b"csr", &[], &spki, &[]);
        assert_eq!(told, Err(IdentityFault::Key));
    }
}
