//! Figures over the whole fleet while it runs: totals, connections, and how long records took to become durable.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

/// Longest latency that is told apart, in microseconds: a day.
const LATENCY_US_MAX: u64 = 86_400 * 1_000_000;
/// Significant digits of a latency.
const LATENCY_DIGITS: u8 = 3;

/// A number that goes up, and down where that makes sense.
#[derive(Debug, Default)]
pub struct Figure(AtomicU64);

impl Figure {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::Relaxed);
    }
}

/// Figures of a fleet.
#[derive(Debug, Default)]
pub struct Meter {
    /// Records handed to the agents' outboxes.
    pub produced: Figure,
    /// Records whose ack came.
    pub acked: Figure,
    /// Open sessions.
    pub connected: Figure,
    /// Sessions opened by agents that had one before.
    pub reconnects: Figure,
    /// Samples that were not taken because this process was too slow for the interval.
    pub missed: Figure,
    latency: Latencies,
    spans: Mutex<Vec<Weak<LatencySpan>>>,
    disconnects: Mutex<BTreeMap<&'static str, u64>>,
}

/// Latencies of what is produced from a moment on, for as long as somebody keeps this.
#[derive(Debug)]
pub struct LatencySpan {
    produced_from: Instant,
    latency: Latencies,
}

#[derive(Debug)]
struct Latencies(Mutex<Histogram<u64>>);

/// How long records took from their making to their ack, in milliseconds; `None` without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Records that were acked.
    pub records: u64,
    /// Half took at most this.
    pub p50_ms: Option<f64>,
    /// Nine in ten took at most this.
    pub p90_ms: Option<f64>,
    /// 99 in a hundred took at most this.
    pub p99_ms: Option<f64>,
    /// The slowest.
    pub max_ms: Option<f64>,
}

impl Meter {
    /// Records that were produced at these moments are acked.
    pub(super) fn acked(&self, now: Instant, produced: &[Instant]) {
        self.acked
            .add(u64::try_from(produced.len()).unwrap_or(u64::MAX));
        self.latency.take(now, produced.iter());
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.retain(|span| {
            let Some(span) = span.upgrade() else {
                return false;
            };
            let from = span.produced_from;
            span.latency
                .take(now, produced.iter().filter(|at| **at >= from));
            true
        });
    }

    /// Follows records that are produced from `produced_from` on and acked from here on.
    #[must_use]
    pub fn follow(&self, produced_from: Instant) -> Arc<LatencySpan> {
        let span = Arc::new(LatencySpan {
            produced_from,
            latency: Latencies::default(),
        });
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.push(Arc::downgrade(&span));
        span
    }

    pub(super) fn disconnected(&self, kind: &'static str, text: &str) {
        tracing::debug!(kind, text, "an agent is without its controller");
        let mut disconnects = self
            .disconnects
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = disconnects.entry(kind).or_default();
        *count = count.saturating_add(1);
    }

    /// Lost connections and failed attempts, by kind.
    #[must_use]
    pub fn disconnects(&self) -> BTreeMap<&'static str, u64> {
        self.disconnects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Latency from production to ack so far.
    #[must_use]
    pub fn latency(&self) -> Latency {
        self.latency.figures()
    }
}

impl LatencySpan {
    /// Latency from production to ack so far.
    #[must_use]
    pub fn latency(&self) -> Latency {
        self.latency.figures()
    }
}

impl Default for Latencies {
    fn default() -> Self {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS)
            .expect("the bounds are constants that the histogram accepts");
        Self(Mutex::new(latency_us))
    }
}

impl Latencies {
    fn take<'a>(&self, now: Instant, produced: impl Iterator<Item = &'a Instant>) {
        let mut histogram = self.histogram();
        for produced_at in produced {
            let latency = now.duration_since(*produced_at);
            histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn figures(&self) -> Latency {
        let histogram = self.histogram();
        let records = histogram.len();
        let at = |us: u64| {
            let ms = Duration::from_micros(us).as_secs_f64() * 1_000.0;
            (records > 0).then_some(ms)
        };
        Latency {
            records,
            p50_ms: at(histogram.value_at_quantile(0.5)),
            p90_ms: at(histogram.value_at_quantile(0.9)),
            p99_ms: at(histogram.value_at_quantile(0.99)),
            max_ms: at(histogram.max()),
        }
    }

    fn histogram(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_latency_is_unknown_not_zero() {
        assert_eq!(Meter::default().latency(), Latency::default());
    }

    #[test]
    fn latencies_come_back_in_order() {
        let meter = Meter::default();
        let began = Instant::now();
        let produced: Vec<_> = (0..100)
            .map(|ms| began + Duration::from_millis(ms))
            .collect();
        let end = began + Duration::from_millis(100);
        let late = meter.follow(began + Duration::from_millis(90));
        meter.acked(end, &produced);
        let latency = meter.latency();
        assert_eq!(late.latency().records, 10, "of what is produced since");
        assert_eq!(latency.records, 100);
        let (p50, max) = (latency.p50_ms.unwrap(), latency.max_ms.unwrap());
        assert!((49.0..=51.0).contains(&p50), "{p50}");
        assert!((99.0..=101.0).contains(&max), "{max}");
    }
}
