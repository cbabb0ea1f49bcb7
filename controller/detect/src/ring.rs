//! Blocks of time, each with the least or greatest of what was counted in it; as many of the newest as there is room.
//!
//! Merging is idempotent and free of order, so duplicates, late and disordered readings need no care. Knows no meaning.

use std::collections::VecDeque;

use tidemark_model::Timestamp;

/// What a block keeps of the values that fall into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The least.
    Least,
    /// The greatest.
    Greatest,
}

/// The stored form of "nothing was counted"; counts saturate one below it.
const NOTHING: u16 = u16::MAX;

/// The stored form of a count.
pub(crate) fn stored(value: Option<u32>) -> u16 {
    value.map_or(NOTHING, |value| value.min(u32::from(NOTHING - 1)) as u16)
}

/// How many blocks are added to the allocation at once, so that a young ring stays small.
const GROWTH: usize = 32;

/// The newest blocks of one width, with `F` values each. Counts saturate at 65,534: a host has no more ports.
#[derive(Clone, Debug)]
pub(crate) struct Ring<const F: usize> {
    width_ms: i64,
    slots: usize,
    keep: &'static [Keep; F],
    /// Number of the oldest block held: Unix milliseconds over the width.
    first: i64,
    cells: VecDeque<[u16; F]>,
}

impl<const F: usize> Ring<F> {
    pub(crate) const fn new(width_ms: i64, slots: usize, keep: &'static [Keep; F]) -> Self {
        Self {
            width_ms,
            slots,
            keep,
            first: 0,
            cells: VecDeque::new(),
        }
    }

    pub(crate) const fn width_ms(&self) -> i64 {
        self.width_ms
    }

    /// The number of the block that holds `at`.
    pub(crate) const fn block_of(&self, at: Timestamp) -> i64 {
        at.unix_ms().div_euclid(self.width_ms)
    }

    /// Number of the newest block; `None` while empty.
    pub(crate) fn newest(&self) -> Option<i64> {
        let held = i64::try_from(self.cells.len()).ok()?;
        (held > 0).then(|| self.first.saturating_add(held - 1))
    }

    /// Number of the oldest block; `None` while empty.
    pub(crate) fn oldest(&self) -> Option<i64> {
        (!self.cells.is_empty()).then_some(self.first)
    }

    /// Takes `values` into the block of `at`. Says whether there was room: blocks older than the ring are refused.
    pub(crate) fn merge(&mut self, at: Timestamp, values: [Option<u32>; F]) -> bool {
        self.merge_stored(self.block_of(at), values.map(stored))
    }

    /// Takes values in their stored form into the block numbered `block`, as [`Self::merge`].
    pub(crate) fn merge_stored(&mut self, block: i64, values: [u16; F]) -> bool {
        let Some(cell) = self.cell_mut(block) else {
            return false;
        };
        let keep = self.keep;
        let Some(cell) = self.cells.get_mut(cell) else {
            return false;
        };
        for ((stored, value), keep) in cell.iter_mut().zip(values).zip(keep) {
            *stored = match keep {
                // Nothing is the greatest number, and one more than it the least.
                Keep::Least => value.min(*stored),
                Keep::Greatest => value
                    .wrapping_add(1)
                    .max(stored.wrapping_add(1))
                    .wrapping_sub(1),
            };
        }
        true
    }

    /// Position of `block`, making room for it when it is newer, or older but within reach.
    fn cell_mut(&mut self, block: i64) -> Option<usize> {
        let Some(newest) = self.newest() else {
            self.first = block;
            self.push_newer(1);
            return Some(0);
        };
        if block > newest {
            let ahead = usize::try_from(block.saturating_sub(newest)).unwrap_or(usize::MAX);
            if ahead >= self.slots {
                self.cells.clear();
                self.first = block;
                self.push_newer(1);
                return Some(0);
            }
            self.push_newer(ahead);
            return Some(self.cells.len() - 1);
        }
        let behind = usize::try_from(newest.saturating_sub(block)).unwrap_or(usize::MAX);
        if behind >= self.slots {
            return None;
        }
        while self.first > block {
            if self.cells.len() == self.cells.capacity() {
                self.reserve();
            }
            self.cells.push_front([NOTHING; F]);
            self.first -= 1;
        }
        Some(self.cells.len() - 1 - behind)
    }

    /// Adds `count` empty blocks, no more than there are slots; the oldest make room.
    fn push_newer(&mut self, count: usize) {
        let beyond = (self.cells.len() + count).saturating_sub(self.slots);
        for _ in 0..beyond {
            self.cells.pop_front();
        }
        self.first = self.first.saturating_add(beyond as i64);
        let blocks = self.cells.len() + count;
        while self.cells.capacity() < blocks {
            self.reserve();
        }
        self.cells.resize(blocks, [NOTHING; F]);
    }

    /// Makes room for some more blocks.
    fn reserve(&mut self) {
        let held = self.cells.capacity();
        let room = GROWTH.min(self.slots.saturating_sub(held).max(1));
        self.cells.reserve_exact(held + room - self.cells.len());
    }

    /// What `block` holds of `field`.
    pub(crate) fn get(&self, block: i64, field: usize) -> Option<f64> {
        let offset = usize::try_from(block.checked_sub(self.first)?).ok()?;
        let value = *self.cells.get(offset)?.get(field)?;
        (value != NOTHING).then(|| f64::from(value))
    }

    /// Adds to `values` what each of the blocks `from..=to` holds of `field`, each `TIMES` over, NaN for nothing.
    pub(crate) fn append<const TIMES: usize>(
        &self,
        (from, to): (i64, i64),
        field: usize,
        values: &mut Vec<f64>,
    ) {
        let (begin, end) = self.positions(from, to);
        let count = usize::try_from(to.saturating_add(1).saturating_sub(from)).unwrap_or(0);
        let before = usize::try_from(self.first.saturating_sub(from)).unwrap_or(0);
        let filled = values.len();
        values.resize(filled + TIMES * count, f64::NAN);
        let slots = values
            .get_mut(filled + TIMES * before.min(count)..)
            .unwrap_or_default();
        let (older, newer) = self.cells.as_slices();
        let middle = older.len();
        let older = older.get(begin.min(middle)..end.min(middle));
        let newer = newer.get(begin.max(middle) - middle..end.max(middle) - middle);
        let cells = [older, newer].map(Option::unwrap_or_default);
        let (older_slots, newer_slots) = slots.split_at_mut(TIMES * cells[0].len());
        for (slots, cells) in [older_slots, newer_slots].into_iter().zip(cells) {
            for (slots, cell) in slots.chunks_exact_mut(TIMES).zip(cells) {
                if let Some(value) = cell.get(field).filter(|value| **value != NOTHING) {
                    slots.fill(f64::from(*value));
                }
            }
        }
    }

    /// Positions of the blocks `from..=to` among those held, the end being one beyond.
    fn positions(&self, from: i64, to: i64) -> (usize, usize) {
        let held = self.cells.len() as i64;
        let begin = from.saturating_sub(self.first).clamp(0, held);
        let end = to
            .saturating_sub(self.first)
            .saturating_add(1)
            .clamp(begin, held);
        (begin as usize, end as usize)
    }

    /// The least of `field` over the blocks `from..=to`.
    pub(crate) fn least(&self, from: i64, to: i64, field: usize) -> Option<f64> {
        let (begin, end) = self.positions(from, to);
        let cells = self.cells.range(begin..end);
        // Nothing is the greatest number.
        let least = cells.fold(NOTHING, |least, cell| {
            cell.get(field).copied().unwrap_or(NOTHING).min(least)
        });
        (least != NOTHING).then(|| f64::from(least))
    }

    /// What the blocks `from..=to` hold of `field`, oldest first, empty ones left out.
    pub(crate) fn over(&self, from: i64, to: i64, field: usize) -> impl Iterator<Item = f64> + '_ {
        let (begin, end) = self.positions(from, to);
        self.cells
            .range(begin..end)
            .filter_map(move |cell| cell.get(field).copied())
            .filter(|value| *value != NOTHING)
            .map(f64::from)
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<[u16; F]>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static KEEP: [Keep; 2] = [Keep::Least, Keep::Greatest];

    fn contents(ring: &Ring<2>) -> Vec<(i64, Option<f64>, Option<f64>)> {
        let Some(newest) = ring.newest() else {
            return Vec::new();
        };
        (newest - 40..=newest)
            .map(|block| (block, ring.get(block, 0), ring.get(block, 1)))
            .collect()
    }

    #[test]
    fn values_of_a_stretch_are_those_of_its_blocks() {
        let mut ring = Ring::new(1_000, 20, &KEEP);
        for second in [3, 4, 6, 9] {
            ring.merge(
                Timestamp::from_unix_ms(second * 1_000),
                [Some(second as u32), None],
            );
        }
        for (from, to) in [(0, 12), (4, 6), (0, 2), (10, 12), (9, 9), (7, 6)] {
            let one_by_one: Vec<Option<f64>> =
                (from..=to).map(|block| ring.get(block, 0)).collect();
            let mut values = Vec::new();
            ring.append::<1>((from, to), 0, &mut values);
            let values: Vec<Option<f64>> = values
                .into_iter()
                .map(|value| (!value.is_nan()).then_some(value))
                .collect();
            assert_eq!(values, one_by_one, "{from}..={to}");
        }
    }

    #[test]
    fn the_oldest_block_makes_room_for_the_newest() {
        let mut ring = Ring::new(1_000, 3, &KEEP);
        for second in 0..5 {
            ring.merge(
                Timestamp::from_unix_ms(second * 1_000),
                [Some(second as u32), None],
            );
        }
        assert_eq!(ring.get(1, 0), None);
        assert_eq!(ring.get(2, 0), Some(2.0));
        assert!(!ring.merge(Timestamp::from_unix_ms(1_000), [Some(1), None]));
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_matter_within_the_span(
            mut readings in proptest::collection::vec((0i64..30_000, 0u32..70_000), 1..80), seed in any::<u64>()
        ) {
            let mut straight = Ring::new(1_000, 40, &KEEP);
            for (at, value) in &readings {
                straight.merge(Timestamp::from_unix_ms(*at), [Some(*value), Some(*value)]);
            }
            let turn = usize::try_from(seed % readings.len() as u64).unwrap_or(0);
            readings.rotate_left(turn);
            let mut turned = Ring::new(1_000, 40, &KEEP);
            for (at, value) in readings.iter().chain(readings.iter().rev()) {
                turned.merge(Timestamp::from_unix_ms(*at), [Some(*value), Some(*value)]);
            }
            prop_assert_eq!(contents(&straight), contents(&turned));
        }

        #[test]
        fn any_time_is_taken_or_refused(times in proptest::collection::vec(any::<i64>(), 1..20)) {
            let mut ring = Ring::new(5_000, 16, &KEEP);
            for at in times {
                ring.merge(Timestamp::from_unix_ms(at), [Some(1), Some(1)]);
                prop_assert!(ring.heap_bytes() <= 16 * 4);
            }
        }
    }
}
