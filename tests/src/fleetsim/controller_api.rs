//! What the controller says became of the fleet's records, host by host, from its HTTP API.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, StatusCode, Url};
use serde::de::DeserializeOwned;
use tidemark_model::view::HostDetail;
use tidemark_model::{HostId, Secret};

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause after the API says that it is asked too often.
const BUSY_PAUSE: Duration = Duration::from_millis(500);
/// Attempts of one question.
const ATTEMPTS_MAX: u32 = 60;

/// The controller's API.
#[derive(Debug)]
pub struct ControllerApi {
    client: Client,
    server: Url,
    token: Secret<String>,
}

impl ControllerApi {
    /// The API at `server`, as in `http://127.0.0.1:7080`.
    ///
    /// # Errors
    /// When that is no address.
    pub fn new(server: &str, token: Secret<String>) -> anyhow::Result<Self> {
        let server: Url = server
            .parse()
            .with_context(|| format!("{server:?} is no address of an API; use http://HOST:PORT"))?;
        if server.scheme() != "http" {
            bail!(
                "fleetsim asks an API over http alone; tunnel {server} to this machine, or leave --api out"
            );
        }
        tidemark_runtime::tls::install_crypto_provider();
        let client = Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("no HTTP client can be made")?;
        Ok(Self {
            client,
            server,
            token,
        })
    }

    /// The same with the token in a file.
    ///
    /// # Errors
    /// When the file cannot be read, or `server` is no address.
    pub fn with_token_file(server: &str, file: &Path) -> anyhow::Result<Self> {
        let token = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the API token in {}", file.display()))?;
        Self::new(server, Secret::new(token.trim().to_owned()))
    }

    /// One host, with what became of its records.
    ///
    /// # Errors
    /// As [`ControllerApi::get`].
    pub async fn host(&self, host: HostId) -> anyhow::Result<HostDetail> {
        self.get(&format!("/api/v1/hosts/{host}"), &[]).await
    }

    /// What the API answers to a question; waits when it is asked too often.
    ///
    /// # Errors
    /// When the controller does not answer, or not what was asked for.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<T> {
        let url = self.server.join(path).context("no such address")?;
        for _ in 0..ATTEMPTS_MAX {
            let answer = self
                .client
                .get(url.clone())
                .query(query)
                .bearer_auth(self.token.expose())
                .send()
                .await
                .with_context(|| format!("the API at {} does not answer", self.server))?;
            match answer.status() {
                StatusCode::OK => return Ok(answer.json().await?),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                status => bail!("{url} answered {status}: {}", answer.text().await?),
            }
        }
        bail!("{url} is asked too often or not ready; try again in a moment")
    }
}
