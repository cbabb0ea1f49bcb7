//! How controllers end: killed, or drained.

use std::time::Duration;

use tidemark_agent_core::Incoming;

use super::super::fleet::{Broken, Fleet};
use super::super::network::Event;
use crate::gateway::session::DRAIN_PATIENCE;

impl Fleet {
    /// It dies: what it had not committed is gone, and so are its connections.
    pub(in super::super) fn kill_side(&mut self, number: usize) {
        if self.sides[number].running.take().is_none() {
            return;
        }
        let life = self.sides[number].life;
        let now_ms = self.now_ms;
        let its: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, held)| (held.side, held.life) == (number, life))
            .map(|(connection, _)| *connection)
            .collect();
        for connection in its {
            self.lose(connection, [now_ms, now_ms + 5]);
        }
        let back_ms = self.chance.between(300, 30_000);
        self.after(back_ms, Event::SideUp(number));
    }

    pub(in super::super) fn drain_side(&mut self, number: usize) {
        let life = self.sides[number].life;
        let Some(running) = &mut self.sides[number].running else {
            return;
        };
        if running.is_draining {
            return;
        }
        running.is_draining = true;
        let sessions: Vec<u64> = running.sessions.keys().copied().collect();
        let spread = Duration::from_millis(self.chance.between(12, 5_000));
        for connection in sessions {
            self.say(connection, Incoming::Drain { spread });
        }
        let patience_ms = DRAIN_PATIENCE.as_millis() as u64;
        self.after(patience_ms, Event::Drained(number, life));
    }

    /// What is left is committed if it can be, and the process ends.
    pub(in super::super) async fn drained(
        &mut self,
        number: usize,
        life: u64,
    ) -> Result<(), Broken> {
        if self.sides[number].life != life || self.sides[number].running.is_none() {
            return Ok(());
        }
        if !self.is_database_away() {
            for _ in 0..2 {
                self.commit(number, life).await?;
            }
        }
        self.kill_side(number);
        Ok(())
    }
}
