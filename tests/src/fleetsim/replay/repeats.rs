//! Which seqs of a host were there already, and which must go first: a recording may repeat lines and swap them.

use std::collections::BTreeMap;

use super::line::SampleLine;

/// Runs of seqs that are remembered; a recording with more holes forgets its oldest.
const RUNS_MAX: usize = 4_096;

/// Lines of a host that wait for an earlier one; beyond it they go without it.
const WAITING_MAX: usize = 1_024;

/// Seqs as runs without holes: first -> last.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    runs: BTreeMap<u64, u64>,
}

impl Seen {
    pub(super) const fn new() -> Self {
        Self {
            runs: BTreeMap::new(),
        }
    }

    /// The lowest seq.
    fn first(&self) -> Option<u64> {
        self.runs.first_key_value().map(|(first, _)| *first)
    }

    /// Takes out everything up to `seq`.
    fn forget_through(&mut self, seq: u64) {
        while let Some(run) = self.runs.first_entry()
            && *run.key() <= seq
        {
            let last = run.remove();
            if let Some(next) = seq.checked_add(1)
                && next <= last
            {
                self.runs.insert(next, last);
            }
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

/// The lines of one host, put back into the order of their seqs: an agent delivers in no other.
#[derive(Debug)]
pub(super) struct InOrder {
    seen: Seen,
    /// Seqs that are still to be sent.
    awaited: Seen,
    /// Lines that came before an earlier one.
    waiting: BTreeMap<u64, SampleLine>,
}

impl InOrder {
    /// For a host whose recording holds the seqs `awaited`.
    pub(super) const fn new(awaited: Seen) -> Self {
        Self {
            seen: Seen::new(),
            awaited,
            waiting: BTreeMap::new(),
        }
    }

    /// Takes a line; says which may be sent because of it, or `None` when it was there already.
    pub(super) fn take(&mut self, line: SampleLine) -> Option<Vec<SampleLine>> {
        if !self.seen.note(line.seq) {
            return None;
        }
        self.waiting.insert(line.seq, line);
        let mut ready = Vec::new();
        while let Some(first) = self.waiting.first_entry() {
            let is_next = self.awaited.first().is_none_or(|next| *first.key() <= next);
            if !is_next && self.waiting.len() <= WAITING_MAX {
                break;
            }
            if let Some((seq, line)) = self.waiting.pop_first() {
                self.awaited.forget_through(seq);
                ready.push(line);
            }
        }
        Some(ready)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::line::tests::LINE;
    use super::*;

    fn line(seq: u64) -> SampleLine {
        let mut line = SampleLine::parse(LINE.as_bytes()).unwrap();
        line.seq = seq;
        line
    }

    proptest! {
        #[test]
        fn every_line_is_sent_once_and_in_order(seqs in proptest::collection::vec(0_u64..60, 0..120)) {
            let mut awaited = Seen::new();
            for seq in &seqs {
                awaited.note(*seq);
            }
            let mut order = InOrder::new(awaited);
            let sent: Vec<u64> = seqs
                .iter()
                .filter_map(|seq| order.take(line(*seq)))
                .flatten()
                .map(|line| line.seq)
                .collect();
            let distinct: std::collections::BTreeSet<u64> = seqs.into_iter().collect();
            prop_assert_eq!(sent, distinct.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn a_seq_is_new_once(seqs in proptest::collection::vec(0_u64..50, 0..200)) {
            let (mut seen, mut set) = (Seen::new(), HashSet::new());
            for seq in seqs {
                prop_assert_eq!(seen.note(seq), set.insert(seq));
            }
        }
    }

    #[test]
    fn a_line_that_never_comes_holds_up_no_more_than_some() {
        let mut awaited = Seen::new();
        for seq in 0..5_000 {
            awaited.note(seq);
        }
        let mut order = InOrder::new(awaited);
        let sent = (1..5_000).filter_map(|seq| order.take(line(seq))).flatten();
        assert!(sent.count() > 3_900);
    }

    #[test]
    fn the_last_seq_there_is_does_not_overflow() {
        let mut seen = Seen::new();
        assert!(seen.note(u64::MAX));
        assert!(!seen.note(u64::MAX));
    }
}
