//! One port space at this moment: its level and its forecast.

use super::minutes::LastHour;
use tidemark_detect::{SampleReadings, SpaceDetector};
use tidemark_model::forecast::Forecast;
use tidemark_model::sample::{CountQuality, PortSpaceSample};
use tidemark_model::view::PortSpaceView;
use tidemark_model::{PortSpaceKey, Timestamp};

/// Shortest time between two forecasts of a port space, in milliseconds: people and pages do not read faster.
const FORECAST_EVERY_MS: i64 = 1_000;

/// The figures of the newest sample; what is left of them after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// When, on the controller's clock.
    pub at: Timestamp,
    /// Ports that can be handed out.
    pub capacity: u32,
    /// Ports held in any state but TIME_WAIT.
    pub strong: u32,
    /// Ports of TIME_WAIT alone.
    pub time_wait: u32,
    /// Ports of bound-but-unconnected sockets alone.
    pub bound: Option<u32>,
    /// How they came about.
    pub quality: CountQuality,
}

impl Level {
    /// The figures of a sample taken at `at`.
    #[must_use]
    pub const fn of_sample(at: Timestamp, space: &PortSpaceSample) -> Self {
        Self {
            at,
            capacity: space.capacity,
            strong: space.strong,
            time_wait: space.time_wait_only,
            bound: space.bound,
            quality: space.quality,
        }
    }

    /// Ports that cannot be handed out.
    #[must_use]
    pub const fn in_use(&self) -> u32 {
        self.strong.saturating_add(self.time_wait)
    }
}

/// One port space at this moment.
#[derive(Debug)]
pub struct SpaceLive {
    /// Its newest figures.
    pub level: Level,
    /// What watches its trend.
    pub detector: SpaceDetector,
    /// Its last word, and when it was spoken.
    pub forecast: Forecast,
    /// When the forecast was made.
    pub forecast_at: Timestamp,
    /// Ports in use over the last hour.
    pub last_hour: LastHour,
}

impl SpaceLive {
    /// Nothing but a level is known.
    #[must_use]
    pub fn new(level: Level, detector: SpaceDetector) -> Self {
        Self {
            level,
            detector,
            forecast: Forecast::unknown("no forecast yet: it needs a few samples".to_owned()),
            forecast_at: Timestamp::EPOCH,
            last_hour: LastHour::default(),
        }
    }

    /// Takes a sample in; says whether the forecast's road changed.
    pub fn observe(
        &mut self,
        at: Timestamp,
        readings: &SampleReadings<'_>,
        level: Level,
        exhaustion_events: u32,
    ) -> bool {
        self.detector
            .observe(&readings.observation(at, exhaustion_events));
        self.last_hour.note(level.at, level.in_use());
        if level.at >= self.level.at {
            self.level = level;
        }
        if at.ms_since(self.forecast_at) < FORECAST_EVERY_MS {
            return false;
        }
        self.decide(at)
    }

    /// Makes the forecast anew; says whether its road changed.
    pub fn decide(&mut self, now: Timestamp) -> bool {
        let before = self.forecast.road;
        self.forecast = self.detector.forecast(now);
        self.forecast_at = now;
        before != self.forecast.road
    }

    /// As lists show it.
    #[must_use]
    pub fn view(&self, key: &PortSpaceKey) -> PortSpaceView {
        let eta = self.forecast.eta;
        PortSpaceView {
            protocol: key.protocol.as_str().to_owned(),
            namespace: key.namespace.to_string(),
            capacity: self.level.capacity,
            in_use: self.level.in_use(),
            strong: self.level.strong,
            bound: self.level.bound,
            time_wait: self.level.time_wait,
            quality: self.level.quality.as_str().to_owned(),
            eta_ms: eta.map(|eta| eta.at.unix_ms()),
            eta_lo_ms: eta.map(|eta| eta.earliest.unix_ms()),
            eta_hi_ms: eta.and_then(|eta| eta.latest).map(Timestamp::unix_ms),
            road: self.forecast.road.map(|road| road.as_str().to_owned()),
            culprit: self.forecast.culprit.as_ref().map(ToString::to_string),
            floor_ports_per_hour: self.forecast.floor_ports_per_hour,
            explanation: self.forecast.explanation.clone(),
        }
    }
}
