//! TLS as Tidemark speaks it: 1.3 only, ring; between agents and controllers ALPN h2 and no resumption.
//!
//! That is off because rustls resumes a session without asking the certificate verifier again, which would let a
//! revoked certificate back in.

mod pinned;

pub use pinned::PinMismatch;

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tidemark_model::token::CaPin;

/// Protocol name of HTTP/2, the only one offered to agents.
const ALPN_H2: &[u8] = b"h2";
/// Protocol name of HTTP/1.1, the only one offered to browsers.
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// A certificate chain, leaf first, with its private key.
#[derive(Debug)]
pub struct TlsIdentity {
    /// Leaf first, the root left out or last.
    pub chain: Vec<CertificateDer<'static>>,
    /// Key of the leaf.
    pub key: PrivateKeyDer<'static>,
}

/// What a client trusts.
#[derive(Clone, Debug)]
pub enum Trust {
    /// A root CA's certificate, and nothing else.
    Root(CertificateDer<'static>),
    /// The root CA that the server's chain shows, if its public key has this pin.
    Pin(CaPin),
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The root certificate is unusable.
    #[error("the root certificate cannot be used as a trust anchor")]
    Root(#[source] rustls::Error),
    /// Chain and key are unusable or do not belong together.
    #[error("the certificate and its key cannot be used")]
    Identity(#[source] rustls::Error),
    /// The verifier of client certificates could not be built.
    #[error("client certificates cannot be verified")]
    ClientVerifier(#[source] rustls::server::VerifierBuilderError),
    /// The cryptography lacks TLS 1.3.
    #[error("TLS 1.3 is not available")]
    Version(#[source] rustls::Error),
}

/// The one provider of cryptography.
#[must_use]
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Makes [`crypto_provider`] the process's own, for libraries that ask the process for one. Calling it again is harmless.
pub fn install_crypto_provider() {
    // An error says that there is one already, and ring is the only one that is built in.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}

/// A client's configuration; without `identity` it shows no certificate, as at enrolment.
///
/// # Errors
/// [`TlsError`] when the root or the identity is unusable.
pub fn client_config(
    trust: Trust,
    identity: Option<TlsIdentity>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = crypto_provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Version)?;
    let builder = match trust {
        Trust::Root(root) => builder.with_root_certificates(root_store(root)?),
        Trust::Pin(pin) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pinned::PinnedRootVerifier::new(
                pin, provider,
            ))),
    };
    let mut config = match identity {
        Some(TlsIdentity { chain, key }) => builder
            .with_client_auth_cert(chain, key)
            .map_err(TlsError::Identity)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A server's configuration. Clients may come without a certificate (to enrol); one that they show must descend from
/// `client_root`.
///
/// # Errors
/// [`TlsError`] when the root or the identity is unusable.
pub fn server_config(
    identity: TlsIdentity,
    client_root: CertificateDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = crypto_provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(
        Arc::new(root_store(client_root)?),
        Arc::clone(&provider),
    )
    .allow_unauthenticated()
    .build()
    .map_err(TlsError::ClientVerifier)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Version)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)
        .map_err(TlsError::Identity)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A server's configuration for browsers and programs that speak HTTP/1.1; they show no certificate.
///
/// # Errors
/// [`TlsError`] when the identity is unusable.
pub fn web_config(identity: TlsIdentity) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Version)?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .map_err(TlsError::Identity)?;
    config.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
    Ok(Arc::new(config))
}

fn root_store(root: CertificateDer<'static>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    store.add(root).map_err(TlsError::Root)?;
    Ok(store)
}

#[cfg(test)]
mod tests;
