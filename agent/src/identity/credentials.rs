//! The certificate that a host shows: its short-lived TLS key, the chain, the root it trusts, and the generation.

use std::fmt;

use prost::Message as _;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tidemark_agent_core::CertificatePlan;
use tidemark_model::Timestamp;
use tidemark_model::token::CaPin;
use tidemark_proto::v1;
use tidemark_runtime::tls::{TlsIdentity, Trust};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use super::KeyError;

/// Longest chain that is accepted: the leaf, the issuing CA, and one cross certificate while a CA is rotated.
const CHAIN_LENGTH_MAX: usize = 4;

/// A certificate with its key and what it hangs on.
#[derive(Clone)]
pub struct Credentials {
    key_pkcs8: Zeroizing<Vec<u8>>,
    issued: v1::Credentials,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("generation", &self.generation())
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}

/// Why what a controller issued, or what the disk held, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredentials {
    /// No certificate, or too many.
    #[error("the certificate chain has {length} certificates; 1 to 4 are allowed")]
    Chain {
        /// How many were sent.
        length: usize,
    },
    /// Not a certificate.
    #[error("the {which} certificate is malformed")]
    Malformed {
        /// Leaf or root.
        which: &'static str,
    },
    /// The root is not the one that the join token pins.
    #[error("the root certificate has the pin {shown}, not the pinned {pinned}")]
    ForeignRoot {
        /// What this host trusts.
        pinned: String,
        /// What was sent.
        shown: String,
    },
    /// The certificate is for another key.
    #[error("the certificate is not for the key that was asked for")]
    ForeignKey,
    /// Ends before it begins.
    #[error("the certificate ends before it begins")]
    NeverValid,
    /// The stored bytes are cut or changed.
    #[error("the stored credentials are cut short or changed")]
    Stored,
}

impl Credentials {
    /// Takes what a controller issued for `key`, if it hangs on the root that `pin` names.
    ///
    /// # Errors
    /// [`InvalidCredentials`], naming what does not fit.
    pub fn accept(
        key: &KeyPair,
        issued: v1::Credentials,
        pin: &CaPin,
    ) -> Result<Self, InvalidCredentials> {
        let length = issued.chain_der.len();
        let leaf = issued
            .chain_der
            .first()
            .filter(|_| length <= CHAIN_LENGTH_MAX)
            .ok_or(InvalidCredentials::Chain { length })?;
        if spki_of(leaf).ok_or(InvalidCredentials::Malformed { which: "host's" })?
            != key.subject_public_key_info()
        {
            return Err(InvalidCredentials::ForeignKey);
        }
        let root_spki =
            spki_of(&issued.root_der).ok_or(InvalidCredentials::Malformed { which: "root" })?;
        let shown = CaPin::of_spki(&root_spki);
        if shown != *pin {
            return Err(InvalidCredentials::ForeignRoot {
                pinned: pin.to_string(),
                shown: shown.to_string(),
            });
        }
        if issued.not_after_ms <= issued.not_before_ms {
            return Err(InvalidCredentials::NeverValid);
        }
        Ok(Self {
            key_pkcs8: Zeroizing::new(key.serialize_der()),
            issued,
        })
    }

    /// Counts the certificates of this identity.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.issued.generation
    }

    /// The certificate is valid from here.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.issued.not_before_ms)
    }

    /// The certificate is valid until here.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.issued.not_after_ms)
    }

    /// When to renew it; `draw` is 64 random bits that spread hosts that enrolled together.
    #[must_use]
    pub fn plan(&self, draw: u64) -> CertificatePlan {
        CertificatePlan::new(self.not_before(), self.not_after(), draw)
    }

    /// What this host trusts.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::Root(CertificateDer::from(self.issued.root_der.clone()))
    }

    /// What this host shows.
    #[must_use]
    pub fn tls_identity(&self) -> TlsIdentity {
        TlsIdentity {
            chain: self
                .issued
                .chain_der
                .iter()
                .map(|der| CertificateDer::from(der.clone()))
                .collect(),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key_pkcs8.to_vec())),
        }
    }

    /// For a state file: the length of the key as 4 bytes big-endian, the key, and what was issued.
    pub(crate) fn to_stored(&self) -> Zeroizing<Vec<u8>> {
        let length = u32::try_from(self.key_pkcs8.len())
            .expect("a P-256 key in PKCS#8 takes less than 200 bytes");
        let mut stored = Zeroizing::new(length.to_be_bytes().to_vec());
        stored.extend_from_slice(&self.key_pkcs8);
        stored.extend_from_slice(&self.issued.encode_to_vec());
        stored
    }

    pub(crate) fn from_stored(stored: &[u8], pin: &CaPin) -> Result<Self, InvalidCredentials> {
        let (length, rest) = stored
            .split_first_chunk()
            .ok_or(InvalidCredentials::Stored)?;
        let length =
            usize::try_from(u32::from_be_bytes(*length)).map_err(|_| InvalidCredentials::Stored)?;
        let (key, issued) = rest
            .split_at_checked(length)
            .ok_or(InvalidCredentials::Stored)?;
        let key = super::key_from_pkcs8(key).map_err(|_| InvalidCredentials::Stored)?;
        let issued = v1::Credentials::decode(issued).map_err(|_| InvalidCredentials::Stored)?;
        Self::accept(&key, issued, pin)
    }
}

/// A certificate request for `key`. Only its public key counts: the controller writes every name itself.
pub(crate) fn certificate_request(key: &KeyPair) -> Result<Vec<u8>, KeyError> {
    CertificateParams::default()
        .serialize_request(key)
        .map(|request| request.der().to_vec())
        .map_err(KeyError::Crypto)
}

fn spki_of(certificate_der: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate_der).ok()?;
    Some(parsed.tbs_certificate.subject_pki.raw.to_vec())
}
