//! From a verified client certificate to the host it speaks for.

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use tidemark_model::{HostId, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

const PREFIX: &str = "spiffe://tidemark/agent/";

/// Why a certificate names no host. It was issued by our authority, yet not to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAgent {
    /// Not a certificate.
    #[error("the client certificate cannot be parsed")]
    Malformed,
    /// No name, several names, or one of another kind.
    #[error("the client certificate must name exactly one agent, as {PREFIX}<host id>")]
    Name,
}

/// The one name in an agent's certificate.
#[must_use]
pub fn host_uri(host: HostId) -> String {
    format!("{PREFIX}{host}")
}

/// What a verified certificate says of the agent that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentHeld {
    /// Whose it is.
    pub host: HostId,
    /// SHA-256 of its public key, as a request's.
    pub key_hash: [u8; 32],
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// What a certificate says that is already verified against the authority.
///
/// # Errors
/// [`NotAnAgent`] when it was not issued to an agent.
pub fn agent_of(certificate: &CertificateDer<'_>) -> Result<AgentHeld, NotAnAgent> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| NotAnAgent::Malformed)?;
    let names = parsed
        .subject_alternative_name()
        .map_err(|_| NotAnAgent::Name)?
        .ok_or(NotAnAgent::Name)?;
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else {
        return Err(NotAnAgent::Name);
    };
    let id = uri.strip_prefix(PREFIX).ok_or(NotAnAgent::Name)?;
    let seconds = parsed.validity().not_after.timestamp();
    Ok(AgentHeld {
        host: id.parse().map_err(|_| NotAnAgent::Name)?,
        key_hash: Sha256::digest(parsed.public_key().raw).into(),
        not_after: Timestamp::from_unix_ms(seconds.saturating_mul(1_000)),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .clone()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    #[test]
    fn exactly_one_agent_name_is_taken() {
        let host = HostId::of_identity_spki(b"identity");
        let own = host_uri(host);
        let taken = agent_of(&certificate(vec![uri(&own)])).map(|held| held.host);
        assert_eq!(taken, Ok(host));
        for names in [
            Vec::new(),
            vec![uri(&own), uri(&own)],
            vec![uri("spiffe://tidemark/operator/root")],
            vec![uri("spiffe://elsewhere/agent/x")],
            vec![SanType::DnsName(
                "controller.tidemark.internal".try_into().unwrap(),
            )],
        ] {
            assert_eq!(agent_of(&certificate(names)), Err(NotAnAgent::Name));
        }
        assert_eq!(
            agent_of(&CertificateDer::from(vec![1, 2, 3])),
            Err(NotAnAgent::Malformed)
        );
    }
}
