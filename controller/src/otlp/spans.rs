//! Spans on their way to the collector: as many as fit a bound, the others counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};

use crate::metrics::Metrics;

/// Spans that wait, at the most: the default of OpenTelemetry's batch processor, about 2 MB.
const WAITING_MAX: u64 = 2_048;

/// Hands spans to the library's batches, but never more than these hold: the library counts what it drops where nobody
/// can read it.
#[derive(Debug)]
pub(super) struct Bounded {
    batches: BatchSpanProcessor,
    waiting: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

impl Bounded {
    pub(super) fn new<E: SpanExporter + 'static>(exporter: E, metrics: Arc<Metrics>) -> Self {
        let waiting = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            exporter,
            waiting: Arc::clone(&waiting),
            metrics: Arc::clone(&metrics),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(usize::try_from(WAITING_MAX).unwrap_or(usize::MAX))
            .build();
        let batches = BatchSpanProcessor::builder(counted)
            .with_batch_config(config)
            .build();
        Self {
            batches,
            waiting,
            metrics,
        }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.batches.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.metrics.otlp_spans_dropped.add(1);
            return;
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts what arrived and what did not.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    waiting: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let sent = self.exporter.export(batch).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        match &sent {
            Ok(()) => self.metrics.otlp_spans_sent.add(count),
            Err(_) => self.metrics.otlp_spans_dropped.add(count),
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
