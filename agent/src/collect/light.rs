//! Light counts between samples: peaks that a sample every 30 s would miss.

use std::collections::HashMap;
use std::time::Duration;

use tidemark_model::PortSpaceKey;
use tidemark_model::sample::LightCount;

/// Light counts may use this share of one core: 1 in 100.
const CORE_SHARE: u32 = 100;
const INTERVAL_MIN: Duration = Duration::from_secs(1);
const INTERVAL_MAX: Duration = Duration::from_secs(5);

/// What the light counts since the last sample found.
#[derive(Debug, Default)]
pub(super) struct LightCounts {
    spaces: HashMap<PortSpaceKey, LightCount>,
    cost: Option<Duration>,
}

impl LightCounts {
    /// Adds one count of a port space.
    pub(super) fn add(&mut self, key: PortSpaceKey, in_use: u32) {
        let entry = self.spaces.entry(key).or_insert(LightCount {
            min: in_use,
            max: in_use,
            last: in_use,
            counts: 0,
        });
        entry.min = entry.min.min(in_use);
        entry.max = entry.max.max(in_use);
        entry.last = in_use;
        entry.counts = entry.counts.saturating_add(1);
    }

    /// Remembers what a round of counts cost, smoothed so that one slow round does not halve the resolution.
    pub(super) fn note_cost(&mut self, cost: Duration) {
        let before = self.cost.unwrap_or(cost);
        self.cost = Some((before * 3 + cost) / 4);
    }

    /// How long to wait before the next round.
    pub(super) fn interval(&self) -> Duration {
        let wanted = self.cost.unwrap_or_default().saturating_mul(CORE_SHARE);
        wanted.clamp(INTERVAL_MIN, INTERVAL_MAX)
    }

    /// The counts since the last call.
    pub(super) fn take(&mut self) -> HashMap<PortSpaceKey, LightCount> {
        std::mem::take(&mut self.spaces)
    }
}

#[cfg(test)]
mod tests {
    use tidemark_model::Protocol;

    use super::*;

    #[test]
    fn a_peak_between_samples_is_kept_until_it_is_taken() {
        let mut light = LightCounts::default();
        for in_use in [10, 900, 12] {
            light.add(PortSpaceKey::own(Protocol::Tcp), in_use);
        }
        let expected = LightCount {
            min: 10,
            max: 900,
            last: 12,
            counts: 3,
        };
        assert_eq!(
            light.take().get(&PortSpaceKey::own(Protocol::Tcp)),
            Some(&expected)
        );
        assert!(light.take().is_empty());
    }

    #[test]
    fn a_costly_count_is_taken_more_seldom() {
        let mut light = LightCounts::default();
        assert_eq!(light.interval(), INTERVAL_MIN);
        light.note_cost(Duration::from_millis(30));
        assert_eq!(light.interval(), Duration::from_secs(3));
        for _ in 0..20 {
            light.note_cost(Duration::from_secs(2));
        }
        assert_eq!(light.interval(), INTERVAL_MAX);
    }
}
