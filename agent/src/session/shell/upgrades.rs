//! The session's part in upgrades: what the desk tells and asks for goes out, releases and pieces of files come in.

use tidemark_agent_core::SessionState;

use super::Shell;
use crate::session::frames;
use crate::upgrades::UpgradeMessage;

impl Shell {
    /// What is to be told waits for a session that takes it; the desk tells it again with the next one.
    pub(super) fn send_upgrades(&mut self) {
        let is_open = matches!(self.core.state(), SessionState::Open { .. });
        if !is_open || !self.sends_releases || self.wire.is_backed_up() {
            return;
        }
        let outgoing = self.parts.upgrades.take();
        if let Some(report) = &outgoing.report {
            self.wire.send(frames::upgrade(report), None);
        }
        if let Some(wanted) = &outgoing.wanted {
            self.wire.send(frames::piece_wanted(wanted), None);
        }
    }

    /// One that was not announced changes nothing on this host.
    pub(super) fn hand_to_upgrades(&self, message: UpgradeMessage) {
        if self.sends_releases {
            self.parts.upgrades.hand(message);
        }
    }
}
