//! From a verified client certificate to the host it speaks for.

use rustls::pki_types::CertificateDer;
use tidemark_model::HostId;
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

/// The host that a certificate, already verified against the authority, was issued to.
///
/// # Errors
/// [`NotAnAgent`] when it was not issued to an agent.
pub fn host_of(certificate: &CertificateDer<'_>) -> Result<HostId, NotAnAgent> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| NotAnAgent::Malformed)?;
    let names = parsed
        .subject_alternative_name()
        .map_err(|_| NotAnAgent::Name)?
        .ok_or(NotAnAgent::Name)?;
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else {
        return Err(NotAnAgent::Name);
    };
    let id = uri.strip_prefix(PREFIX).ok_or(NotAnAgent::Name)?;
    id.parse().map_err(|_| NotAnAgent::Name)
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
        assert_eq!(host_of(&certificate(vec![uri(&own)])), Ok(host));
        for names in [
            Vec::new(),
            vec![uri(&own), uri(&own)],
            vec![uri("spiffe://tidemark/operator/root")],
            vec![uri("spiffe://elsewhere/agent/x")],
            vec![SanType::DnsName(
                "controller.tidemark.internal".try_into().unwrap(),
            )],
        ] {
            assert_eq!(host_of(&certificate(names)), Err(NotAnAgent::Name));
        }
        assert_eq!(
            host_of(&CertificateDer::from(vec![1, 2, 3])),
            Err(NotAnAgent::Malformed)
        );
    }
}
