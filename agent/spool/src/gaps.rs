//! The records that can never be delivered, until they are acked as such. Pure.

use tidemark_model::GapReason;

/// Gaps that are kept apart; beyond that the oldest are joined, with what lies between them.
pub(crate) const GAPS_MAX: usize = 1024;

/// Undeliverable records from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) reason: GapReason,
    /// Whether it was handed out as a gap. If not, an ack that covers it means that its records were sent before they were
    /// lost here.
    pub(crate) told: bool,
}

impl Gap {
    pub(crate) const fn records(&self) -> u64 {
        self.last - self.first + 1
    }

    /// The part of it in `[first, last]`.
    fn clipped(self, first: u64, last: u64) -> Option<Self> {
        let (first, last) = (self.first.max(first), self.last.min(last));
        (first <= last).then_some(Self {
            first,
            last,
            ..self
        })
    }
}

/// Records lost, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DropCounts([u64; GapReason::ALL.len()]);

impl DropCounts {
    pub(crate) const fn from_array(counts: [u64; GapReason::ALL.len()]) -> Self {
        Self(counts)
    }

    pub(crate) const fn as_array(&self) -> &[u64; GapReason::ALL.len()] {
        &self.0
    }

    pub(crate) fn add(&mut self, reason: GapReason, records: u64) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count = count.saturating_add(records);
        }
    }

    pub(crate) fn get(&self, reason: GapReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    pub(crate) fn total(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// Gaps beyond the last ack: ascending, disjoint, at most [`GAPS_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GapLedger(Vec<Gap>);

impl GapLedger {
    /// Adds the records of `gap` that are in no gap yet. Returns how many those are.
    pub(crate) fn insert(&mut self, gap: Gap) -> u64 {
        let mut uncovered = Vec::new();
        let mut first = gap.first;
        for old in self
            .0
            .iter()
            .filter(|old| old.clipped(gap.first, gap.last).is_some())
        {
            if first < old.first {
                uncovered.push(Gap {
                    first,
                    last: old.first - 1,
                    ..gap
                });
            }
            first = old.last.saturating_add(1);
        }
        if first <= gap.last {
            uncovered.push(Gap { first, ..gap });
        }
        let records = uncovered.iter().map(Gap::records).sum();
        self.0.extend(uncovered);
        self.tidy();
        records
    }

    /// The gap that holds `seq`, from `seq` on.
    pub(crate) fn at(&self, seq: u64) -> Option<Gap> {
        let index = self.0.partition_point(|gap| gap.last < seq);
        self.0
            .get(index)?
            .clipped(seq, u64::MAX)
            .filter(|gap| gap.first == seq)
    }

    /// The records in `[first, last]` that are in gaps were handed out as such.
    pub(crate) fn mark_told(&mut self, first: u64, last: u64) {
        let mut split = Vec::with_capacity(self.0.len() + 2);
        for gap in self.0.drain(..) {
            let before = first.checked_sub(1).and_then(|end| gap.clipped(0, end));
            let inside = gap
                .clipped(first, last)
                .map(|gap| Gap { told: true, ..gap });
            let after = last
                .checked_add(1)
                .and_then(|start| gap.clipped(start, u64::MAX));
            split.extend([before, inside, after].into_iter().flatten());
        }
        self.0 = split;
        self.tidy();
    }

    /// Forgets the gaps up to `through`. Returns those that were told, by reason; the others were delivered as records.
    pub(crate) fn settle(&mut self, through: u64) -> DropCounts {
        let mut told = DropCounts::default();
        for gap in self.0.iter().filter(|gap| gap.told) {
            if let Some(gap) = gap.clipped(0, through) {
                told.add(gap.reason, gap.records());
            }
        }
        self.0 = self
            .0
            .iter()
            .filter_map(|gap| gap.clipped(through.saturating_add(1), u64::MAX))
            .collect();
        told
    }

    /// The records in gaps, by reason.
    pub(crate) fn counts(&self) -> DropCounts {
        let mut counts = DropCounts::default();
        for gap in &self.0 {
            counts.add(gap.reason, gap.records());
        }
        counts
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Gap> {
        self.0.iter()
    }

    /// Orders the gaps, joins neighbours that are alike, and keeps the list bounded.
    fn tidy(&mut self) {
        self.0.sort_unstable_by_key(|gap| gap.first);
        self.0.dedup_by(|next, gap| {
            let alike = next.reason == gap.reason && next.told == gap.told;
            let joins = alike && gap.last.saturating_add(1) == next.first;
            if joins {
                gap.last = next.last;
            }
            joins
        });
        while self.0.len() > GAPS_MAX {
            let oldest = self.0.remove(0);
            if let Some(next) = self.0.first_mut() {
                next.first = oldest.first;
                next.told &= oldest.told;
            }
        }
    }
}

#[cfg(test)]
mod tests;
