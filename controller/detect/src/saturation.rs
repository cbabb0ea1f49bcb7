//! No headroom left: ports in use at capacity, or refused by the system. Knows nothing of trends.

use tidemark_model::Timestamp;

/// Saturated from this share of capacity on: the last ports are found only after long searches.
const FULL_SHARE: f64 = 0.985;
/// Over when ports in use fall below this share.
const RELIEVED_SHARE: f64 = 0.85;
/// ... for this long at least.
const RELIEVED_MS: i64 = 60_000;
/// ... and for this many readings' time.
const RELIEVED_READINGS: i64 = 4;

/// Whether one port space is saturated.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saturation {
    /// When it last was full or refused a port; `None` while it is not saturated.
    full_at: Option<Timestamp>,
    began: Option<Timestamp>,
    newest: Option<Timestamp>,
    refused: u64,
}

impl Saturation {
    /// Weighs a reading newer than those before. Says when the saturation began that this reading ends.
    pub(crate) fn check(
        &mut self,
        at: Timestamp,
        in_use: u32,
        capacity: u32,
        refused: u32,
    ) -> Option<Timestamp> {
        let share = f64::from(in_use) / f64::from(capacity.max(1));
        let interval = self.newest.map_or(0, |newest| at.ms_since(newest));
        self.newest = Some(at);
        if share >= FULL_SHARE || refused > 0 {
            self.began.get_or_insert(at);
            self.full_at = Some(at);
            self.refused = self.refused.saturating_add(u64::from(refused));
        } else if let Some(full_at) = self.full_at {
            let patience = RELIEVED_MS.max(interval.saturating_mul(RELIEVED_READINGS));
            if share < RELIEVED_SHARE && at.ms_since(full_at) >= patience {
                let began = self.began;
                self.clear();
                return began;
            }
        }
        None
    }

    /// Since when; `None` while there is headroom.
    pub(crate) const fn began(&self) -> Option<Timestamp> {
        self.began
    }

    /// How many refusals were reported since it began.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Forgets it, as after a boot.
    pub(crate) fn clear(&mut self) {
        self.full_at = None;
        self.began = None;
        self.refused = 0;
    }
}
