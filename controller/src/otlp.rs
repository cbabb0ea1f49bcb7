//! OpenTelemetry: the controller's own metrics and traces, sent to a collector by OTLP over HTTP.
//!
//! A collector that is slow or gone costs the controller nothing but what is kept of spans for it; what is dropped is
//! counted.

mod sender;
mod spans;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use data_encoding::HEXLOWER;
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{
    MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tidemark_model::Secret;
use tidemark_runtime::Entropy;
use tidemark_runtime::telemetry::{self, SpanLayer};
use tracing_subscriber::Layer as _;

use self::sender::Sender;
use self::spans::Bounded;
use crate::metrics::Metrics;
use crate::settings::Settings;

/// Name of the program among those that a collector hears of.
const SERVICE: &str = "tidemark-controller";

/// How long a request to the collector may take: the default of OTLP's exporters.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// How long the end of the program waits for what is still to be sent.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Where to send, and what.
#[derive(Clone, Debug)]
pub struct OtlpSettings {
    /// The collector's address without a path.
    pub endpoint: String,
    /// Authorities of the collector, beside those of the machine.
    pub ca_file: Option<PathBuf>,
    /// What the collector asks for in each request.
    pub headers: Vec<(String, Secret<String>)>,
    /// What is sent.
    pub signals: Signals,
    /// Time between two exports of metrics.
    pub every: Duration,
    /// Share of the requests that are traced, 0.0 to 1.0; one whose caller traces it is traced whatever it is.
    pub traces_ratio: f64,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signals {
    /// The figures of `/metrics`, under the same names.
    pub metrics: bool,
    /// A span for each request, each look at all hosts and each delivery.
    pub traces: bool,
}

impl Signals {
    /// Everything there is.
    pub const ALL: Self = Self {
        metrics: true,
        traces: true,
    };
    /// Nothing.
    pub const NONE: Self = Self {
        metrics: false,
        traces: false,
    };
}

/// An export under way, or none.
#[derive(Debug, Default)]
pub struct Otlp {
    tracers: Option<SdkTracerProvider>,
    meters: Option<SdkMeterProvider>,
}

impl Otlp {
    /// Starts logging, and the export where there is a collector. Within a runtime of tokio, once in a process.
    ///
    /// # Errors
    /// When logging cannot start, or no client can be made of the settings.
    pub fn start(settings: &Settings, metrics: &Arc<Metrics>) -> anyhow::Result<Self> {
        let Some(collector) = &settings.otlp else {
            telemetry::start(&settings.telemetry)?;
            return Ok(Self::default());
        };
        let sender = Sender::new(collector, Arc::clone(metrics))?;
        let parts = Parts {
            settings: collector,
            sender: Arc::new(sender),
            resource: resource(&HEXLOWER.encode(&Entropy::System.bytes::<16>())),
            metrics,
        };
        let wanted = collector.signals;
        let tracers = wanted.traces.then(|| parts.tracers()).transpose()?;
        telemetry::start_traced(&settings.telemetry, tracers.as_ref().map(layer))?;
        let meters = wanted.metrics.then(|| parts.meters()).transpose()?;
        Ok(Self { tracers, meters })
    }

    /// Sends what is left, for some seconds at the most.
    pub async fn close(self) {
        let Self { tracers, meters } = self;
        let closed = tokio::task::spawn_blocking(move || {
            let meters = meters.map(|meters| meters.shutdown_with_timeout(CLOSE_WITHIN));
            let tracers = tracers.map(|tracers| tracers.shutdown_with_timeout(CLOSE_WITHIN));
            for error in [meters, tracers]
                .into_iter()
                .flatten()
                .filter_map(Result::err)
            {
                tracing::warn!(%error, "the last metrics or traces did not reach the collector");
            }
        });
        if let Err(error) = closed.await {
            tracing::warn!(%error, "the export to the collector did not end well");
        }
    }
}

fn layer(tracers: &SdkTracerProvider) -> SpanLayer {
    tracing_opentelemetry::layer()
        .with_tracer(tracers.tracer(SERVICE))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .boxed()
}

/// What both exporters are made of.
struct Parts<'a> {
    settings: &'a OtlpSettings,
    sender: Arc<Sender>,
    resource: Resource,
    metrics: &'a Arc<Metrics>,
}

impl Parts<'_> {
    fn client(&self) -> Arc<dyn HttpClient> {
        Arc::clone(&self.sender) as Arc<dyn HttpClient>
    }

    fn meters(&self) -> anyhow::Result<SdkMeterProvider> {
        let exporter = MetricExporter::builder()
            .with_http()
            .with_shared_http_client(self.client())
            .with_endpoint(format!("{}/v1/metrics", self.settings.endpoint))
            .with_timeout(SEND_WITHIN)
            .build()
            .context("otlp: metrics cannot be sent")?;
        let reader = PeriodicReader::builder(exporter)
            .with_interval(self.settings.every)
            .build();
        let meters = SdkMeterProvider::builder()
            .with_reader(reader)
            .with_resource(self.resource.clone())
            .build();
        self.metrics.observe(&meters.meter(SERVICE));
        Ok(meters)
    }

    fn tracers(&self) -> anyhow::Result<SdkTracerProvider> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_shared_http_client(self.client())
            .with_endpoint(format!("{}/v1/traces", self.settings.endpoint))
            .with_timeout(SEND_WITHIN)
            .build()
            .context("otlp: traces cannot be sent")?;
        let share = Sampler::TraceIdRatioBased(self.settings.traces_ratio);
        Ok(SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(share)))
            .with_span_processor(Bounded::new(exporter, Arc::clone(self.metrics)))
            .with_resource(self.resource.clone())
            .build())
    }
}

/// Who sends: each start is an instance of its own, since several controllers may share a database. What an operator
/// sets in `OTEL_RESOURCE_ATTRIBUTES` is said too.
fn resource(instance: &str) -> Resource {
    Resource::builder()
        .with_service_name(SERVICE)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.to_owned()),
        ])
        .build()
}
