//! What was sent and is not yet acked, and how much credit it takes.

use std::collections::VecDeque;

use tidemark_model::Seq;

/// Frames in flight, ascending and without holes. A record costs one credit; a gap costs one, however many records it
/// stands for, so the list is never longer than the credit.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight {
    frames: VecDeque<Frame>,
    cost: u64,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    first: Seq,
    last: Seq,
    kind: FrameKind,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    Records,
    Gap,
}

impl Frame {
    const fn cost(&self) -> u64 {
        match self.kind {
            FrameKind::Records => self.last.get() - self.first.get() + 1,
            FrameKind::Gap => 1,
        }
    }
}

impl InFlight {
    /// Adds a frame behind the others.
    pub(super) fn push(&mut self, first: Seq, last: Seq, kind: FrameKind) {
        let frame = Frame { first, last, kind };
        self.cost += frame.cost();
        self.frames.push_back(frame);
    }

    /// Everything up to `through` is acked.
    pub(super) fn ack(&mut self, through: Seq) {
        while let Some(mut frame) = self.frames.pop_front() {
            self.cost -= frame.cost();
            if frame.last > through {
                frame.first = frame.first.max(through.next());
                self.cost += frame.cost();
                self.frames.push_front(frame);
                return;
            }
        }
    }

    /// The credit that is taken.
    pub(super) const fn cost(&self) -> u64 {
        self.cost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_ack_gives_back_the_credit_of_what_it_covers() {
        let mut in_flight = InFlight::default();
        in_flight.push(Seq::new(1), Seq::new(10), FrameKind::Records);
        in_flight.push(Seq::new(11), Seq::new(1_000), FrameKind::Gap);
        in_flight.push(Seq::new(1_001), Seq::new(1_001), FrameKind::Records);
        assert_eq!(in_flight.cost(), 12);
        for (through, cost) in [(0, 12), (4, 8), (10, 2), (500, 2), (1_000, 1), (1_001, 0)] {
            in_flight.ack(Seq::new(through));
            assert_eq!(in_flight.cost(), cost, "acked through {through}");
        }
        assert!(in_flight.is_empty());
    }
}
