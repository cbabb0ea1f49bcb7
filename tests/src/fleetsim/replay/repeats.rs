//! Which seqs of a host were there already: a recording may repeat lines, minutes later and out of order.

use std::collections::BTreeMap;

/// Runs of seqs that are remembered; a recording with more holes forgets its oldest.
const RUNS_MAX: usize = 4_096;

/// Seen seqs as runs without holes: first -> last.
#[derive(Debug)]
pub(super) struct Seen {
    runs: BTreeMap<u64, u64>,
}

impl Seen {
    pub(super) const fn new() -> Self {
        Self {
            runs: BTreeMap::new(),
        }
    }

    /// Notes `seq`; says whether it is new.
    pub(super) fn note(&mut self, seq: u64) -> bool {
        let before = self
            .runs
            .range(..=seq)
            .next_back()
            .map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| seq <= last) {
            return false;
        }
        let first = match before {
            Some((first, last)) if last.checked_add(1) == Some(seq) => first,
            Some(_) | None => seq,
        };
        let joined = seq.checked_add(1).and_then(|next| self.runs.remove(&next));
        self.runs.insert(first, joined.unwrap_or(seq));
        if self.runs.len() > RUNS_MAX {
            self.runs.pop_first();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_seq_is_new_once(seqs in proptest::collection::vec(0_u64..50, 0..200)) {
            let (mut seen, mut set) = (Seen::new(), HashSet::new());
            for seq in seqs {
                prop_assert_eq!(seen.note(seq), set.insert(seq));
            }
        }
    }

    #[test]
    fn the_last_seq_there_is_does_not_overflow() {
        let mut seen = Seen::new();
        assert!(seen.note(u64::MAX));
        assert!(!seen.note(u64::MAX));
    }
}
