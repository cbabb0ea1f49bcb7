//! What the desk does with operators' statements about keys: judged, kept, told.

use tidemark_agent_core::actions::KeyChanges;
use tidemark_agent_core::actions::keys::{Accepted, accept};
use tidemark_model::action::RefusedStatement;
use tidemark_model::action::host_policy::REFUSED_STATEMENTS_MAX;
use tidemark_model::key_statement::{KeyStatement, SignedKeyStatement};

use super::Clerk;
use crate::link::failure::shown;
use crate::session::chain;

impl Clerk {
    /// Follows a statement about this host's keys, or tells why not.
    pub(super) fn hear_of_keys(&mut self, statement: &SignedKeyStatement) {
        let id = statement.id();
        self.refused_statements.retain(|one| one.id != id);
        match self.follow(statement) {
            Ok(what) => tracing::info!(statement = %id, what, "statement about keys followed"),
            Err(why) => {
                tracing::warn!(statement = %id, why = %shown(&why), "statement about keys not followed");
                if self.refused_statements.len() >= REFUSED_STATEMENTS_MAX {
                    self.refused_statements.pop_front();
                }
                let refused = RefusedStatement { id, text: why };
                self.refused_statements.push_back(refused);
            }
        }
        self.look();
    }

    fn follow(&self, statement: &SignedKeyStatement) -> Result<&'static str, String> {
        let policy = self.parts.policy.read().policy?;
        let before = self.parts.policy.keys.read()?;
        match accept(statement, &policy, &before, self.now())? {
            Accepted::Before => Ok("it was followed before"),
            Accepted::Changed(changes) => self.keep(statement, *changes),
        }
    }

    /// A revocation holds whether or not it can be kept; another key takes a place only once that is durable.
    fn keep(
        &self,
        statement: &SignedKeyStatement,
        changes: KeyChanges,
    ) -> Result<&'static str, String> {
        let file = &self.parts.policy.keys;
        let Err(error) = file.keep(&changes) else {
            return Ok("kept");
        };
        let error = chain(&error);
        tracing::error!(%error, "what was signed about keys cannot be kept");
        match KeyStatement::from_bytes(&statement.bytes) {
            Ok(KeyStatement::Revocation(_)) => {
                file.hold_unkept(changes);
                Ok("it holds, but cannot be kept through a restart yet")
            }
            Ok(KeyStatement::Rotation(_)) | Err(_) => Err(format!(
                "the host cannot keep it, so it does not follow it: {error}"
            )),
        }
    }

    /// Tries again to keep what could not be kept.
    pub(super) fn keep_unkept(&self) {
        if let Err(error) = self.parts.policy.keys.keep_what_waits() {
            tracing::error!(error = %chain(&error), "what was signed about keys cannot be kept");
        }
    }
}
