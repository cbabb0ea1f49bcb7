//! `tidemark-controller ready`: whether the controller of this machine can do its work, asked as a probe asks. An image without a
//! shell has nothing else to ask with.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;

use crate::boot::reachable;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks `/readyz` of the controller that serves at this address.
///
/// # Errors
/// When it does not answer within 5 s, or says that it is not ready.
pub async fn ask(http: SocketAddr) -> anyhow::Result<()> {
    let url = format!("http://{}/readyz", reachable(http));
    tidemark_runtime::tls::install_crypto_provider();
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        // An image may hold no certificates, and this address needs none.
        .tls_certs_only([])
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
