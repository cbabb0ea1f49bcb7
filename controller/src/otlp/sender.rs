//! Requests to the collector, from the exporters' own threads through the program's one HTTP client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

use super::{OtlpSettings, SEND_WITHIN};
use crate::metrics::Metrics;

/// How long a connection to the collector may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The most that is read of an answer; a collector says in it which parts it did not take.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// Sends, counts, and says when it begins to fail and when it works again.
#[derive(Debug)]
pub(super) struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    metrics: Arc<Metrics>,
    is_failing: AtomicBool,
}

impl Sender {
    /// A client of the collector of `settings`. Within a runtime of tokio, which carries its requests.
    pub(super) fn new(settings: &OtlpSettings, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        Ok(Self {
            client: client(settings).context("otlp: no client of the collector can be made")?,
            runtime: Handle::current(),
            metrics,
            is_failing: AtomicBool::new(false),
        })
    }

    /// Counts how a request ended; what fails again and again is said once.
    fn settle(&self, answer: Result<&Response<Bytes>, &HttpError>) {
        let trouble = match answer {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the collector answered {}", response.status())),
            Err(error) => Some(chain(error)),
        };
        let Some(trouble) = trouble else {
            self.metrics.otlp_exports.add(1);
            if self.is_failing.swap(false, Ordering::Relaxed) {
                tracing::info!("the OpenTelemetry collector takes what is sent again");
            }
            return;
        };
        self.metrics.otlp_exports_failed.add(1);
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                trouble,
                "nothing reaches the OpenTelemetry collector: look at otlp.endpoint; failures are counted in tidemark_otlp_export_failures_total"
            );
        }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let asked = self.runtime.spawn(ask(self.client.clone(), request)).await;
        let answer = asked.unwrap_or_else(|error| Err(error.into()));
        self.settle(answer.as_ref());
        answer
    }
}

async fn ask(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes").into());
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    Ok(response)
}

fn client(settings: &OtlpSettings) -> anyhow::Result<reqwest::Client> {
    tidemark_runtime::tls::install_crypto_provider();
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let mut value = HeaderValue::from_str(value.expose())?;
        value.set_sensitive(true);
        headers.insert(name.parse::<HeaderName>()?, value);
    }
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("tidemark/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .connect_timeout(CONNECT_WITHIN)
        .timeout(SEND_WITHIN)
        // A redirect would take the headers' secrets to another place than the operator named.
        .redirect(reqwest::redirect::Policy::none());
    if let Some(path) = &settings.ca_file {
        let named = || format!("otlp.ca_file: {}", path.display());
        let pem = std::fs::read(path).with_context(named)?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).with_context(named)?;
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder.build()?)
}

/// An error with all that is behind it: of a client's error the first line says little.
fn chain(error: &HttpError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
