//! The session's part in witnessing the controller's audit log: says what the host holds, and takes what is offered.

use tidemark_agent_core::SessionState;
use tidemark_model::audit_log::Offered;

use super::super::{SessionEvent, frames};
use super::Shell;

impl Shell {
    /// Says what the host holds: the controller offers nothing before, and proves what it offers against it.
    pub(super) fn report_checkpoint(&mut self) {
        let is_open = matches!(self.core.state(), SessionState::Open { .. });
        if is_open && self.takes_checkpoints {
            let report = self.parts.checkpoints.report();
            self.wire.send(frames::checkpoint(&report), None);
        }
    }

    /// Takes a checkpoint or refuses it, and says which.
    pub(super) fn take_checkpoint(&mut self, offered: &Offered) {
        if !self.takes_checkpoints {
            return;
        }
        if self.parts.checkpoints.take(offered) {
            self.report_checkpoint();
            self.tell_witnessed();
        }
    }

    pub(super) fn tell_witnessed(&mut self) {
        if let Some(held) = self.parts.checkpoints.status() {
            self.tell(SessionEvent::Witnessed(held));
        }
    }
}
