//! Trust at enrolment: the root that the join token pins, found by its public key in the chain that the server shows.
//!
//! The pin only chooses the trust anchor; everything else about the chain is webpki's ordinary judgement.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use tidemark_model::token::CaPin;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// The server belongs to another CA than the join token names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the controller's certificate chain does not hold the CA that the join token pins ({pinned}); it shows {}: \
     check the address, or make a token on this controller",
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
)]
pub struct PinMismatch {
    /// The pin in the token.
    pub pinned: String,
    /// Pins of the certificates that were shown above the leaf.
    pub shown: Vec<String>,
}

#[derive(Debug)]
pub(super) struct PinnedRootVerifier {
    pin: CaPin,
    provider: Arc<CryptoProvider>,
}

impl PinnedRootVerifier {
    pub(super) const fn new(pin: CaPin, provider: Arc<CryptoProvider>) -> Self {
        Self { pin, provider }
    }

    fn pinned_root<'c>(
        &self,
        chain: &'c [CertificateDer<'c>],
    ) -> Result<CertificateDer<'static>, Error> {
        let mut shown = Vec::new();
        for certificate in chain.iter().take(CHAIN_LENGTH_MAX) {
            let Some(pin) = pin_of(certificate) else {
                continue;
            };
            if pin == self.pin {
                return Ok(certificate.clone().into_owned());
            }
            shown.push(pin.to_string());
        }
        let mismatch = PinMismatch {
            pinned: self.pin.to_string(),
            shown,
        };
        Err(Error::InvalidCertificate(CertificateError::Other(
            OtherError(Arc::new(mismatch)),
        )))
    }
}

/// Longest chain that is looked at: leaf, issuing CA, root, and one cross certificate while a CA is rotated.
const CHAIN_LENGTH_MAX: usize = 4;

fn pin_of(certificate: &CertificateDer<'_>) -> Option<CaPin> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(CaPin::of_spki(parsed.tbs_certificate.subject_pki.raw))
}

impl ServerCertVerifier for PinnedRootVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut store = RootCertStore::empty();
        store.add(self.pinned_root(intermediates)?)?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&self.provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
