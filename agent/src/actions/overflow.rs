//! What must not be lost and found no room with the desk: kept behind its queue, bounded, in the order in which it came.

use std::collections::VecDeque;
use std::mem::{discriminant, take};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::feed::Message;

/// Most messages that are kept. A lockdown, the last list of grants and the session's beginning have a place in any case.
const KEPT_MAX: usize = 64;

/// The messages.
#[derive(Debug, Default)]
pub(super) struct Overflow(Mutex<VecDeque<Message>>);

/// Why the desk's queue did not take a message.
#[derive(Debug)]
pub(super) enum Unsent {
    /// It is full.
    Full(Message),
    /// The desk is gone.
    Gone,
}

impl Overflow {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a message sent, unless others wait: nothing overtakes them. Whether the desk hears of it.
    pub(super) fn hand(
        &self,
        message: Message,
        send: impl FnOnce(Message) -> Result<(), Unsent>,
    ) -> bool {
        let mut waiting = self.lock();
        if !waiting.is_empty() {
            return keep(&mut waiting, message);
        }
        match send(message) {
            Ok(()) => true,
            Err(Unsent::Full(message)) => keep(&mut waiting, message),
            Err(Unsent::Gone) => false,
        }
    }

    /// Takes what waits; for a desk whose queue is empty, so that what was sent before has been heard.
    pub(super) fn take(&self) -> VecDeque<Message> {
        take(&mut *self.lock())
    }
}

/// Orders are refused while whoever sent them listens, and reports are told again until they are stored.
const fn may_be_lost(message: &Message) -> bool {
    matches!(
        message,
        Message::Order(_) | Message::Granted(..) | Message::Acked(..)
    )
}

/// Of these only the last one counts.
const fn is_state(message: &Message) -> bool {
    matches!(
        message,
        Message::Opened | Message::Grants(_) | Message::Stop
    )
}

fn keep(waiting: &mut VecDeque<Message>, message: Message) -> bool {
    if may_be_lost(&message) {
        return false;
    }
    if is_state(&message) {
        waiting.retain(|one| discriminant(one) != discriminant(&message));
    }
    if waiting.len() >= KEPT_MAX {
        let other = waiting.iter().position(|one| !is_state(one));
        let place = other.filter(|_| is_state(&message));
        if place.and_then(|place| waiting.remove(place)).is_none() {
            return false;
        }
    }
    waiting.push_back(message);
    true
}

#[cfg(test)]
mod tests {
    use tidemark_model::grant::{GrantList, SignedGrant};
    use tidemark_model::{ActionId, ActionState};
    use tidemark_proto::convert::action::StoredReport;

    use super::*;

    fn full(message: Message) -> Result<(), Unsent> {
        Err(Unsent::Full(message))
    }

    fn acked() -> Message {
        Message::Acked(StoredReport {
            action: ActionId::from_random(1),
            state: ActionState::Verifying,
            at: None,
        })
    }

    fn listed(byte: u8) -> Message {
        Message::Grants(GrantList {
            grants: vec![SignedGrant {
                bytes: vec![byte],
                signatures: Vec::new(),
            }],
            ends: Vec::new(),
        })
    }

    #[test]
    fn nothing_overtakes_what_waits() {
        let overflow = Overflow::default();
        let id = ActionId::from_random(1);
        assert!(!overflow.hand(acked(), full));
        assert!(overflow.hand(Message::Stop, full));
        let taken = |_: Message| -> Result<(), Unsent> { panic!("it overtakes the stop") };
        assert!(overflow.hand(Message::Undo(id), taken));
        assert!(!overflow.hand(acked(), taken));
        assert_eq!(overflow.take(), [Message::Stop, Message::Undo(id)]);
        assert!(overflow.hand(Message::Undo(id), |_| Ok(())));
        assert!(overflow.take().is_empty());
        assert!(!overflow.hand(Message::Stop, |_| Err(Unsent::Gone)));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_last_stop_and_list_have_a_place() {
        let overflow = Overflow::default();
        let undo = |number| Message::Undo(ActionId::from_random(number));
        let kept = (0..1_000).filter(|number| overflow.hand(undo(*number), full));
        assert_eq!(kept.count(), KEPT_MAX);
        for byte in [1, 2] {
            assert!(overflow.hand(Message::Stop, full));
            assert!(overflow.hand(listed(byte), full));
        }
        let waiting = overflow.take();
        assert_eq!(waiting.len(), KEPT_MAX);
        let last: Vec<_> = waiting.into_iter().skip(KEPT_MAX - 2).collect();
        assert_eq!(last, [Message::Stop, listed(2)]);
    }
}
