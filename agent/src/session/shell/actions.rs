//! What passes between the controller and the desk of actions: orders in, reports and the host's policy out.

use tidemark_agent_core::SessionState;
use tidemark_model::ActionReport;
use tidemark_model::action::Refusal;

use super::Shell;
use crate::actions::Message;
use crate::session::frames;

impl Shell {
    /// Reports wait for a session that takes them; the desk tells what is not stored again with the next one.
    pub(super) fn send_actions(&mut self) {
        let is_open = matches!(self.core.state(), SessionState::Open { .. });
        if !is_open || !self.sends_actions || self.wire.is_backed_up() {
            return;
        }
        let outgoing = self.parts.actions.take();
        if let Some(policy) = &outgoing.policy {
            self.wire.send(frames::policy(policy), None);
        }
        for report in outgoing.reports.values() {
            if let Some(frame) = frames::report(report) {
                self.wire.send(frame, None);
            }
        }
    }

    /// An order that the desk has no room for is refused here, while whoever sent it listens.
    pub(super) fn hand_over(&mut self, message: Message) {
        let order = match &message {
            Message::Order(order) | Message::Granted(order, _) => Some(order.id),
            Message::Opened
            | Message::Grants(_)
            | Message::Acked(..)
            | Message::Confirmed(_)
            | Message::Undo(_)
            | Message::Stop
            | Message::GoOn { .. }
            | Message::KeyStatement(_) => None,
        };
        if self.parts.actions.hand(message) {
            return;
        }
        tracing::warn!("the desk has no room for a message about actions");
        if let Some(id) = order
            && !self.wire.is_backed_up()
        {
            let text = "this host has no room for more orders; send it again later";
            let now = self.parts.clock.now();
            let report = ActionReport::refused(id, Refusal::Busy, now, text);
            if let Some(frame) = frames::report(&report) {
                self.wire.send(frame, None);
            }
        }
    }

    /// One that was not announced changes nothing on this host.
    pub(super) fn handle_message(&mut self, message: Message) {
        if self.sends_actions {
            self.hand_over(message);
        }
    }
}
