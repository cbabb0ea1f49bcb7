//! `tidemark-controller ready`: whether the controller of this machine can do its work, asked as a probe asks. An image without a
//! shell has nothing else to ask with.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;

use crate::boot::reachable;
use crate::settings::WebSettings;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks `/readyz` of the controller that serves at this address.
///
/// # Errors
/// When it does not answer within 5 s, or says that it is not ready.
pub async fn ask(http: SocketAddr, web: &WebSettings) -> anyhow::Result<()> {
    let scheme = if web.certificate.is_some() {
        "https"
    } else {
        "http"
    };
    let url = format!("{scheme}://{}/readyz", reachable(http));
    tidemark_runtime::tls::install_crypto_provider();
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        // An image may hold no authorities, and the certificate is for another name than this machine's own address, which it
        // is asked by; nothing secret is sent.
        .tls_certs_only([])
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    let answer =
        client.get(&url).send().await.with_context(|| {
            format!("nothing answers at {url}; is http set as the controller's?")
        })?;
    anyhow::ensure!(
        answer.status().is_success(),
        "{url} says {}: {}",
        answer.status(),
        answer.text().await.unwrap_or_default().trim()
    );
    Ok(())
}
