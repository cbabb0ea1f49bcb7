//! Requests to the collector, from the exporters' own threads through the program's one HTTP client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

use super::{OtlpSettings, SEND_WITHIN};
use crate::gateway::outcome::chain;
use crate::metrics::Metrics;
use crate::outgoing;

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
            Err(error) => Some(chain(error.as_ref())),
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
        let client = self.client.clone();
        let asked = async move { outgoing::ask(&client, request, ANSWER_BYTES_MAX).await };
        let answer = match self.runtime.spawn(asked).await {
            Ok(answer) => answer.map_err(HttpError::from),
            Err(error) => Err(error.into()),
        };
        self.settle(answer.as_ref());
        answer
    }
}

fn client(settings: &OtlpSettings) -> anyhow::Result<reqwest::Client> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let mut value = HeaderValue::from_str(value.expose())?;
        value.set_sensitive(true);
        headers.insert(name.parse::<HeaderName>()?, value);
    }
    let client = outgoing::client_trusting(SEND_WITHIN, settings.ca_file.as_deref())
        .context("otlp.ca_file")?;
    Ok(client.default_headers(headers).build()?)
}
