//! Requests to the places that operators name: receivers of notifications, a provider of identities, an OpenTelemetry
//! collector. All are bounded in time and in what is read of an answer, and none is taken elsewhere.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::Response;
use reqwest::redirect::Policy;
use reqwest::{Body, Client, ClientBuilder};

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long a connection is kept that nothing uses.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// A client whose requests are over within this time, and which trusts the system's authorities.
pub fn client(within: Duration) -> ClientBuilder {
    tidemark_runtime::tls::install_crypto_provider();
    Client::builder()
        .user_agent(concat!("tidemark/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_WITHIN)
        .timeout(within)
        .pool_idle_timeout(IDLE_FOR)
        // A redirect would take a message and its secrets to another place than the operator named.
        .redirect(Policy::none())
}

/// A client as [`client`] makes it, which trusts the authorities of a PEM file beside the system's.
///
/// # Errors
/// When the file cannot be read or holds anything but certificates; the error names it.
pub fn client_trusting(within: Duration, ca_file: Option<&Path>) -> anyhow::Result<ClientBuilder> {
    let client = client(within);
    let Some(path) = ca_file else {
        return Ok(client);
    };
    let named = || path.display().to_string();
    let pem = std::fs::read(path).with_context(named)?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).with_context(named)?;
    Ok(client.tls_certs_merge(certificates))
}

/// Asks, and reads the whole answer, which may hold this many bytes.
///
/// # Errors
/// When nothing answers in time, or the answer is longer.
pub async fn ask<B: Into<Body>>(
    client: &Client,
    request: http::Request<B>,
    bytes_max: usize,
) -> anyhow::Result<Response<Bytes>> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        anyhow::ensure!(
            body.len().saturating_add(chunk.len()) <= bytes_max,
            "the answer is longer than {bytes_max} bytes"
        );
        body.extend_from_slice(&chunk);
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    Ok(response)
}
