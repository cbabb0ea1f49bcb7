//! Certificates that the authority issues: for this controller's server side, and for agents.

use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
    SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tidemark_model::error_code::ApiError;
use tidemark_model::{ErrorCode, HostId, Timestamp};
use tidemark_proto::SERVER_NAME;
use tidemark_runtime::Entropy;
use tidemark_runtime::tls::TlsIdentity;
use time::OffsetDateTime;

use super::Authority;
use super::peer::host_uri;
use super::request::{RequestError, read_request};

/// Life of an agent's certificate; agents renew at half of it. Short, so that revocation lists stay short.
pub const AGENT_CERTIFICATE_LIFE: Duration = Duration::from_secs(72 * 3_600);

/// Life of the controller's own certificate, which it makes anew at each start and each day.
pub const SERVER_CERTIFICATE_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// How far a certificate's start lies before its making, for hosts whose clock is behind.
const BACKDATE_S: i64 = 3_600;

/// An agent's new certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentCertificate {
    /// Leaf and issuing CA, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Start of its life.
    pub not_before: Timestamp,
    /// End of its life.
    pub not_after: Timestamp,
}

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The request is no request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Signing failed.
    #[error("the certificate could not be signed")]
    Sign(#[source] rcgen::Error),
}

impl ApiError for IssueError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Request(_) => ErrorCode::InvalidArgument,
            Self::Sign(_) => ErrorCode::Internal,
        }
    }
}

impl Authority {
    /// A certificate for the agent of `host`. Only the request's public key is used: names in it are ignored.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue_agent(
        &self,
        csr_der: &[u8],
        host: HostId,
        now: Timestamp,
        entropy: &Entropy,
    ) -> Result<AgentCertificate, IssueError> {
        let request = read_request(csr_der)?;
        let uri = Ia5String::try_from(host_uri(host)).map_err(IssueError::Sign)?;
        let mut params =
            leaf_params(now, AGENT_CERTIFICATE_LIFE, entropy).map_err(IssueError::Sign)?;
        params
            .distinguished_name
            .push(DnType::CommonName, host.to_string());
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params
            .signed_by(&request.public_key, &self.issuer)
            .map_err(IssueError::Sign)?;
        Ok(AgentCertificate {
            chain: vec![certificate.der().clone(), self.issuing.clone()],
            not_before: Timestamp::from_unix_ms(params.not_before.unix_timestamp() * 1_000),
            not_after: Timestamp::from_unix_ms(params.not_after.unix_timestamp() * 1_000),
        })
    }

    /// A certificate for this controller's server side, with the root in its chain so that an agent that knows only
    /// the pin can find it.
    ///
    /// # Errors
    /// [`IssueError::Sign`].
    pub fn issue_server(
        &self,
        now: Timestamp,
        entropy: &Entropy,
    ) -> Result<TlsIdentity, IssueError> {
        let key = KeyPair::generate().map_err(IssueError::Sign)?;
        let name = Ia5String::try_from(SERVER_NAME).map_err(IssueError::Sign)?;
        let mut params =
            leaf_params(now, SERVER_CERTIFICATE_LIFE, entropy).map_err(IssueError::Sign)?;
        params
            .distinguished_name
            .push(DnType::CommonName, SERVER_NAME);
        params.subject_alt_names = vec![SanType::DnsName(name)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(IssueError::Sign)?;
        Ok(TlsIdentity {
            chain: vec![certificate.der().clone(), self.issuing.clone(), self.root()],
            key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        })
    }
}

fn leaf_params(
    now: Timestamp,
    life: Duration,
    entropy: &Entropy,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.serial_number = Some(serial(entropy));
    params.not_before = offset(now, -BACKDATE_S);
    params.not_after = offset(now, i64::try_from(life.as_secs()).unwrap_or(i64::MAX));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// 126 random bits: positive, and unguessable (RFC 5280 allows 20 bytes).
pub(super) fn serial(entropy: &Entropy) -> SerialNumber {
    let mut bytes = entropy.bytes::<16>();
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    SerialNumber::from_slice(&bytes)
}

/// `now` moved by whole seconds, in the type that certificates are made with; clamped to the years that fit.
pub(super) fn offset(now: Timestamp, seconds: i64) -> OffsetDateTime {
    let at = now.unix_ms().div_euclid(1_000).saturating_add(seconds);
    // Year 2049 is the last that UTCTime holds; a clock beyond it is wrong anyway.
    OffsetDateTime::from_unix_timestamp(at.clamp(0, 2_524_607_999))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::peer::{AgentHeld, agent_of};
    use crate::pki::request::{CSR_BYTES_MAX, request_key_hash};

    const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

    fn authority() -> (tempfile::TempDir, Authority) {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), NOW, &Entropy::System).unwrap();
        (folder, authority)
    }

    fn request(name: &str) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .serialize_request(&key)
            .unwrap()
            .der()
            .to_vec()
    }

    #[test]
    fn an_agent_gets_its_host_id_and_nothing_that_it_asked_for() {
        let (_folder, authority) = authority();
        let host = HostId::of_identity_spki(b"identity");
        let csr = request("admin.example");
        let issued = authority
            .issue_agent(&csr, host, NOW, &Entropy::System)
            .unwrap();
        let leaf = issued.chain.first().unwrap();
        let held = AgentHeld {
            host,
            key_hash: request_key_hash(&csr).unwrap(),
            not_after: issued.not_after,
        };
        assert_eq!(agent_of(leaf), Ok(held));
        assert_eq!(issued.not_after.ms_since(NOW), 72 * 3_600_000);
        let text = String::from_utf8_lossy(leaf);
        assert!(!text.contains("admin.example"));
    }

    #[test]
    fn a_malformed_or_large_request_is_refused() {
        let (_folder, authority) = authority();
        let host = HostId::of_identity_spki(b"identity");
        for csr in [Vec::new(), vec![0x30; 100], vec![0; CSR_BYTES_MAX + 1]] {
            let error = authority
                .issue_agent(&csr, host, NOW, &Entropy::System)
                .unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
        }
    }

    #[test]
    fn a_request_signed_by_another_key_is_refused() {
        let mut csr = request("x");
        let last = csr.len() - 1;
        csr[last] ^= 1;
        assert!(matches!(
            request_key_hash(&csr),
            Err(RequestError::Malformed(_))
        ));
    }
}
