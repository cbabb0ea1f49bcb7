//! Light counts between samples: peaks that a sample every 30 s would miss.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::sample::LightCount;
use tidemark_model::{PortSpaceKey, Protocol};
use tidemark_platform::counters::SocketTotals;

use super::capacity::PoolSizes;

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

/// The last count of each namespace, good for as long as the kernel's totals and the dynamic ports stay the same.
///
/// Equal totals can hide that a socket which was there before was bound, or that one replaced another which shared
/// its port; so every sample counts anew, and so does every tenth light count.
#[derive(Debug, Default)]
pub(super) struct Unchanged {
    namespaces: HashMap<Arc<str>, Remembered>,
}

#[derive(Debug)]
struct Remembered {
    totals: SocketTotals,
    sizes: PoolSizes,
    counts: Vec<(Protocol, u32)>,
    uses_left: u32,
}

/// How often a remembered count is used before it is taken anew.
const USES: u32 = 9;
/// Namespaces come and go; when so many were seen, all are forgotten.
const REMEMBERED_MAX: usize = 1024;

impl Unchanged {
    /// The remembered counts, if nothing that the kernel totals has changed.
    pub(super) fn counts(
        &mut self,
        namespace: &Arc<str>,
        totals: SocketTotals,
        sizes: PoolSizes,
    ) -> Option<Vec<(Protocol, u32)>> {
        let remembered = self.namespaces.get_mut(namespace)?;
        if remembered.totals != totals || remembered.sizes != sizes {
            return None;
        }
        remembered.uses_left = remembered.uses_left.checked_sub(1)?;
        Some(remembered.counts.clone())
    }

    /// Remembers counts; `totals` were read before the sockets were listed.
    pub(super) fn remember(
        &mut self,
        namespace: &Arc<str>,
        totals: SocketTotals,
        sizes: PoolSizes,
        counts: Vec<(Protocol, u32)>,
    ) {
        if self.namespaces.len() >= REMEMBERED_MAX {
            self.namespaces.clear();
        }
        let remembered = Remembered {
            totals,
            sizes,
            counts,
            uses_left: USES,
        };
        self.namespaces.insert(namespace.clone(), remembered);
    }
}

#[cfg(test)]
mod tests {
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
    fn a_count_is_reused_while_nothing_changes_and_not_for_ever() {
        let mut unchanged = Unchanged::default();
        let own: Arc<str> = "default".into();
        let range = tidemark_model::PortRange::new(40_000, 40_099).unwrap();
        let sizes = [(range, 100); 2];
        let reserved = [(range, 100), (range, 90)];
        let totals = SocketTotals::default();
        let more = SocketTotals { all: 1, ..totals };
        unchanged.remember(&own, totals, sizes, vec![(Protocol::Tcp, 7)]);
        assert_eq!(unchanged.counts(&own, more, sizes), None);
        assert_eq!(unchanged.counts(&own, totals, reserved), None);
        assert_eq!(unchanged.counts(&"net-1".into(), totals, sizes), None);
        let reused = (0..100).take_while(|_| unchanged.counts(&own, totals, sizes).is_some());
        assert_eq!(reused.count(), 9);
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
