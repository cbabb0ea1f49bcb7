//! All port spaces of one host, each with its detector. Bounded; knows no other host.

use std::collections::BTreeMap;

use tidemark_model::forecast::Forecast;
use tidemark_model::{PortSpaceKey, Protocol, Sample, Timestamp};

use crate::detector::SpaceDetector;
use crate::observation::{DetectorSettings, Observation, Rollup, SampleReadings};

/// Most port spaces of one host that are watched: one for each protocol in 32 namespaces.
pub const PORT_SPACES_MAX: usize = 64;
/// UDP has few holders and no TIME_WAIT.
const UDP_OWNERS: usize = 3;

/// Watches every port space of one host.
#[derive(Clone, Debug)]
pub struct HostDetector {
    settings: DetectorSettings,
    spaces: BTreeMap<PortSpaceKey, SpaceDetector>,
    spaces_refused: u64,
}

impl HostDetector {
    /// A detector that knows nothing of its host yet.
    #[must_use]
    pub const fn new(settings: DetectorSettings) -> Self {
        Self {
            settings,
            spaces: BTreeMap::new(),
            spaces_refused: 0,
        }
    }

    /// Takes a sample, read at `at` on the controller's clock. Events of exhaustion name no port space: they count
    /// for the one that is fullest.
    pub fn observe_sample(&mut self, at: Timestamp, sample: &Sample, exhaustion_events: u32) {
        let fullest = sample
            .port_spaces
            .iter()
            .min_by_key(|space| space.headroom())
            .map(|space| &space.key);
        for space in &sample.port_spaces {
            let events = if fullest == Some(&space.key) {
                exhaustion_events
            } else {
                0
            };
            let readings = SampleReadings::new(sample, space);
            self.observe(&space.key, &readings.observation(at, events));
        }
    }

    /// Takes a reading of one port space.
    pub fn observe(&mut self, key: &PortSpaceKey, observation: &Observation<'_>) {
        if let Some(detector) = self.detector(key) {
            detector.observe(observation);
        }
    }

    /// Takes a stretch of stored history of one port space, in time order, before live readings.
    pub fn observe_rollup(&mut self, key: &PortSpaceKey, rollup: &Rollup<'_>) {
        if let Some(detector) = self.detector(key) {
            detector.observe_rollup(rollup);
        }
    }

    /// Something was deployed to the host at `at`.
    pub fn note_deploy(&mut self, at: Timestamp) {
        for detector in self.spaces.values_mut() {
            detector.note_deploy(at);
        }
    }

    fn detector(&mut self, key: &PortSpaceKey) -> Option<&mut SpaceDetector> {
        if !self.spaces.contains_key(key) {
            if self.spaces.len() >= PORT_SPACES_MAX {
                self.spaces_refused = self.spaces_refused.saturating_add(1);
                return None;
            }
            let mut settings = self.settings;
            if key.protocol == Protocol::Udp {
                settings.owners_max = settings.owners_max.min(UDP_OWNERS);
                settings.destinations_max = 0;
            }
            self.spaces
                .insert(key.clone(), SpaceDetector::new(settings));
        }
        self.spaces.get_mut(key)
    }

    /// The detector of one port space; `None` before its first reading.
    #[must_use]
    pub fn space(&self, key: &PortSpaceKey) -> Option<&SpaceDetector> {
        self.spaces.get(key)
    }

    /// The detectors, ordered by port space.
    pub fn spaces(&self) -> impl Iterator<Item = (&PortSpaceKey, &SpaceDetector)> {
        self.spaces.iter()
    }

    /// What is known of each port space at `now`, ordered by key.
    pub fn forecasts(&self, now: Timestamp) -> impl Iterator<Item = (&PortSpaceKey, Forecast)> {
        self.spaces
            .iter()
            .map(move |(key, detector)| (key, detector.forecast(now)))
    }

    /// Readings of port spaces beyond [`PORT_SPACES_MAX`]; they were not watched.
    #[must_use]
    pub const fn readings_refused(&self) -> u64 {
        self.spaces_refused
    }

    /// Bytes held, on the heap and in place.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        let spaces: usize = self.spaces.values().map(SpaceDetector::state_bytes).sum();
        size_of::<Self>() + spaces
    }
}
