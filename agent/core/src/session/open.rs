//! An open session: what was asked for, what is in flight, and what may follow. Decides nothing about the connection.

use std::time::Duration;

use tidemark_model::{Seq, SessionId};

use super::event::{Action, Sent, Welcome};
use super::in_flight::{FrameKind, InFlight};

/// Most records in flight, whatever the controller grants.
const CREDIT_MAX: u32 = 65_536;

#[derive(Debug)]
pub(super) struct Open {
    pub(super) session: SessionId,
    pub(super) since: Duration,
    /// When the controller last spoke, or the first record went out after everything was acked.
    pub(super) heard_at: Duration,
    pub(super) status_at: Duration,
    pub(super) drain: Option<Drain>,
    batch_records_max: u32,
    batch_bytes_max: u32,
    credit: u32,
    /// Next seq to send; everything before it was sent or acked.
    next: Seq,
    in_flight: InFlight,
    sending: Sending,
}

/// The controller is about to close.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    pub(super) deadline: Duration,
    pub(super) spread: Duration,
}

/// Whether a `SendRecords` waits for its `handle_sent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Idle,
    Asked {
        from: Seq,
    },
    /// The shell found nothing to send; asked again after the next append.
    Starved,
}

/// The shell sent what was not asked for.
#[derive(Debug)]
pub(super) struct Disagreement;

impl Open {
    pub(super) fn new(welcome: &Welcome, now: Duration, status_at: Duration) -> Self {
        Self {
            session: welcome.session,
            since: now,
            heard_at: now,
            status_at,
            drain: None,
            batch_records_max: welcome.batch_records_max,
            batch_bytes_max: welcome.batch_bytes_max,
            credit: welcome.credit.min(CREDIT_MAX),
            next: welcome.acked.next(),
            in_flight: InFlight::default(),
            sending: Sending::Idle,
        }
    }

    /// The next seq that was not sent, nor acked without being sent.
    pub(super) const fn next(&self) -> Seq {
        self.next
    }

    pub(super) fn has_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Whether a draining controller has acked all that it will get.
    pub(super) fn is_drained(&self) -> bool {
        self.drain.is_some()
            && self.in_flight.is_empty()
            && !matches!(self.sending, Sending::Asked { .. })
    }

    /// The next frame to ask for, when there is a record up to `newest`, credit, and no other frame on its way.
    pub(super) fn ask(&mut self, newest: Seq) -> Option<Action> {
        let credit = u64::from(self.credit).saturating_sub(self.in_flight.cost());
        let records_max = u64::from(self.batch_records_max).min(credit);
        let idle = self.sending == Sending::Idle && self.drain.is_none();
        if !idle || self.next > newest || records_max == 0 {
            return None;
        }
        self.sending = Sending::Asked { from: self.next };
        Some(Action::SendRecords {
            from: self.next,
            records_max: u32::try_from(records_max).unwrap_or(u32::MAX),
            bytes_max: self.batch_bytes_max,
        })
    }

    /// Something was appended.
    pub(super) fn note_appended(&mut self) {
        if self.sending == Sending::Starved {
            self.sending = Sending::Idle;
        }
    }

    pub(super) fn note_sent(&mut self, now: Duration, sent: Sent) -> Result<(), Disagreement> {
        let Sending::Asked { from } = self.sending else {
            return Err(Disagreement);
        };
        let (first, last, kind) = match sent {
            Sent::Records { first, last } => (first, last, FrameKind::Records),
            Sent::Gap { first, last } => (first, last, FrameKind::Gap),
            Sent::Nothing => {
                self.sending = Sending::Starved;
                return Ok(());
            }
        };
        if first != from || last < first {
            return Err(Disagreement);
        }
        self.sending = Sending::Idle;
        if self.in_flight.is_empty() {
            self.heard_at = now;
        }
        // An ack may have overtaken the frame; what it covers is not in flight.
        if last >= self.next {
            self.in_flight.push(self.next.max(first), last, kind);
            self.next = last.next();
        }
        Ok(())
    }

    pub(super) fn note_ack(&mut self, through: Seq, credit: u32) {
        self.in_flight.ack(through);
        self.next = self.next.max(through.next());
        self.credit = credit.min(CREDIT_MAX);
    }
}
