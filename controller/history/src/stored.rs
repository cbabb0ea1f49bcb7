//! What the store lists of one host's history, without the bytes.

use tidemark_model::Timestamp;

use crate::{Tier, Window};

/// A row of `recent` as the store lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentMeta {
    /// The store's id; ascending in the order of arrival.
    pub id: i64,
    /// Time of its first sample.
    pub first: Timestamp,
    /// Time of its last sample.
    pub last: Timestamp,
}

/// A segment as the store lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentMeta {
    /// The store's id; ascending in the order of writing, and a rewritten segment gets another.
    pub id: i64,
    /// How fine it is.
    pub tier: Tier,
    /// What it stands for, whether or not there are points in all of it.
    pub window: Window,
    /// Its size.
    pub bytes: u64,
}

impl SegmentMeta {
    /// Whether a segment of `tier` among `segments` holds all that this raw segment holds: it covers its window and
    /// was written after it. A raw segment holds itself.
    #[must_use]
    pub fn is_rolled_up(&self, tier: Tier, segments: &[Self]) -> bool {
        tier == self.tier
            || segments.iter().any(|coarse| {
                coarse.tier == tier && coarse.id > self.id && coarse.window.covers(self.window)
            })
    }
}
