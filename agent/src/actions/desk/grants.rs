//! What the desk does about grants: lists of the controller, and orders under a grant whose turn with the hands has come.

use std::io;

use tidemark_agent_core::actions::Obstacle;
use tidemark_model::Order;
use tidemark_model::action::Refusal;
use tidemark_model::grant::{GrantId, GrantList};

use super::Clerk;
use crate::session::chain;

impl Clerk {
    /// Takes what the controller lists; a host whose policy cannot be used has what it had until it can be.
    pub(super) fn list(&mut self, list: GrantList) {
        let read = self.parts.policy.read();
        let now = self.now();
        match read.policy {
            Ok(policy) => self.grants.take_list(&list, &policy, now),
            Err(why) => {
                tracing::warn!(%why, "grants are not taken yet");
                self.grants.wait(list);
            }
        }
        self.look();
    }

    /// What stands in the way of beginning an order that waited: its grant may have ended since, its trigger be gone, its caps
    /// be reached by others. Counted at this moment when nothing does.
    pub(super) fn hinders(&mut self, order: &Order, grant: GrantId) -> Option<Obstacle> {
        let now = self.now();
        let policy = match self.parts.policy.read().policy {
            Ok(policy) => policy,
            Err(why) => {
                let text = format!("the host's policy file cannot be used: {why}");
                let refusal = Refusal::PolicyUnusable;
                return Some(Obstacle { refusal, text });
            }
        };
        self.grants.look(&policy, now);
        let obstacle = {
            let seen = self.parts.witness.seen();
            let granting = self.grants.granting(grant, &seen, now);
            granting.obstacle(order, &policy)
        };
        if obstacle.is_some() {
            return obstacle;
        }
        let error = self.grants.count_anew(grant, order.id).err()?;
        Some(uncounted(&error))
    }
}

/// What stands in the way of an execution that cannot be counted.
pub(super) fn uncounted(error: &io::Error) -> Obstacle {
    Obstacle {
        refusal: Refusal::Unsafe,
        text: format!(
            "the host cannot count it under its grant, so it does not do it: {}",
            chain(error)
        ),
    }
}
