//! The fleet from moment to moment, and what can be read off: when a share of the sessions was back, peaks and means.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::load::Loads;
use crate::fleetsim::meter::Meter;

/// Time between two moments.
const EVERY: Duration = Duration::from_millis(100);
/// How many moments a rate is taken over: a second.
const RATE_MOMENTS: usize = 10;
/// Kept moments: ten hours.
const MOMENTS_MAX: usize = 360_000;

/// Where the fleet stood at one moment; all but `connected` since the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// When.
    pub at: Instant,
    /// Open sessions.
    pub connected: u64,
    /// Sessions that were opened again.
    pub reconnects: u64,
    /// Records acked.
    pub acked: u64,
    /// CPU of the controllers.
    pub cpu: Duration,
}

/// The moments so far.
#[derive(Clone, Debug, Default)]
pub struct Timeline(Arc<Mutex<Vec<Moment>>>);

/// A figure that grows, of a moment.
pub type Growing = fn(&Moment) -> f64;

impl Timeline {
    /// Follows a fleet for as long as it is polled.
    pub async fn follow(self, meter: Arc<Meter>, loads: Loads) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let moment = Moment {
                at: Instant::now(),
                connected: meter.connected.get(),
                reconnects: meter.reconnects.get(),
                acked: meter.acked.get(),
                cpu: loads.controllers_cpu(),
            };
            let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if moments.len() < MOMENTS_MAX {
                moments.push(moment);
            }
        }
    }

    /// The moments from `from` to `to`.
    #[must_use]
    pub fn span(&self, from: Instant, to: Instant) -> Span {
        let moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = moments.partition_point(|moment| moment.at < from);
        let end = moments.partition_point(|moment| moment.at <= to);
        Span(moments.get(first..end).unwrap_or_default().to_vec())
    }
}

/// Some moments, in their order.
#[derive(Clone, Debug)]
pub struct Span(pub Vec<Moment>);

impl Span {
    /// When at least so many sessions were open, first.
    #[must_use]
    pub fn first_with(&self, sessions: u64) -> Option<Instant> {
        let found = self.0.iter().find(|moment| moment.connected >= sessions);
        found.map(|moment| moment.at)
    }

    /// The fewest open sessions.
    #[must_use]
    pub fn fewest(&self) -> Option<u64> {
        self.0.iter().map(|moment| moment.connected).min()
    }

    /// How long they last.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let ends = self.0.first().zip(self.0.last());
        ends.map_or(0.0, |(first, last)| {
            last.at.duration_since(first.at).as_secs_f64()
        })
    }

    /// How fast a figure grew in the fastest second, a second.
    #[must_use]
    pub fn peak(&self, figure: Growing) -> Option<f64> {
        self.0
            .windows(RATE_MOMENTS + 1)
            .filter_map(|moments| rate(moments.first()?, moments.last()?, figure))
            .max_by(f64::total_cmp)
    }

    /// How fast a figure grew on the whole, a second.
    #[must_use]
    pub fn mean(&self, figure: Growing) -> Option<f64> {
        rate(self.0.first()?, self.0.last()?, figure)
    }
}

fn rate(first: &Moment, last: &Moment, figure: Growing) -> Option<f64> {
    let seconds = last.at.duration_since(first.at).as_secs_f64();
    (seconds > 0.0).then(|| (figure(last) - figure(first)) / seconds)
}

/// Records acked.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of records are far below 2^53"
)]
pub fn acked(moment: &Moment) -> f64 {
    moment.acked as f64
}

/// Sessions opened again.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of sessions are far below 2^53"
)]
pub fn reconnects(moment: &Moment) -> f64 {
    moment.reconnects as f64
}

/// Seconds of CPU.
#[must_use]
pub fn cpu(moment: &Moment) -> f64 {
    moment.cpu.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten moments a second; sessions come at 100 a second in the first second, and at 10 a second later.
    fn moments() -> (Instant, Timeline) {
        let began = Instant::now();
        let timeline = Timeline::default();
        for tick in 0..=30_u64 {
            let sessions = if tick <= 10 {
                tick * 10
            } else {
                100 + (tick - 10)
            };
            timeline.0.lock().unwrap().push(Moment {
                at: began + Duration::from_millis(tick * 100),
                connected: sessions,
                reconnects: sessions,
                acked: 0,
                cpu: Duration::from_millis(tick * 50),
            });
        }
        (began, timeline)
    }

    #[test]
    fn peaks_means_and_first_times_are_read_off() {
        let (began, timeline) = moments();
        let all = timeline.span(began, began + Duration::from_secs(3));
        let near = |value: Option<f64>, expected: f64| {
            assert!(
                value.is_some_and(|value| (value - expected).abs() < 0.01),
                "{value:?}"
            );
        };
        near(all.peak(reconnects), 100.0);
        near(all.mean(reconnects), 40.0);
        near(all.peak(cpu), 0.5);
        let half = all.first_with(50).unwrap();
        assert_eq!(half.duration_since(began), Duration::from_millis(500));
        assert_eq!(all.first_with(1_000), None);
        let later = timeline.span(
            began + Duration::from_secs(1),
            began + Duration::from_secs(3),
        );
        near(later.peak(reconnects), 10.0);
        assert_eq!(later.fewest(), Some(100));
    }
}
