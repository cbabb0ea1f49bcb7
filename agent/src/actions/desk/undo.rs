//! What the desk does when the controller asks that an action be undone.

use tidemark_agent_core::actions::JournalRecord;
use tidemark_agent_core::actions::undo::{self, UndoJudgement};
use tidemark_model::grant::GrantId;
use tidemark_model::{ActionId, Timestamp};

use super::Clerk;
use crate::actions::hands::{Task, Work};
use crate::actions::journal::AppendError;
use crate::session::chain;

impl Clerk {
    /// That it is undone is durable before the hands hear of it.
    pub(super) fn undo(&mut self, id: ActionId) {
        let now = self.now();
        let entry = match undo::judge(id, &self.ledger, (now, self.lockdown.holds())) {
            UndoJudgement::Begin(entry) => entry,
            UndoJudgement::UnderWay => return,
            UndoJudgement::Tell(report) => {
                let why = report.undo_refused.as_deref().unwrap_or("it was before");
                tracing::warn!(action = %id, why, "an action is not undone");
                return self.outbox.tell(*report);
            }
        };
        let Some(mut last) = entry.report else {
            return;
        };
        if let Err((why, in_doubt)) = self.remember_undoing(entry.grant, id, now) {
            tracing::error!(action = %id, %why, "an action is not undone");
            last.undo_refused = Some(why);
            if !in_doubt {
                self.outbox.tell(last);
            }
            return;
        }
        tracing::warn!(action = %id, what = %entry.order.spec.summary(), "the controller has an action undone");
        let work = Work {
            order: entry.order,
            signers: entry.signers,
            grant: entry.grant,
            last: Some(last.clone()),
            task: Task::Undo,
        };
        if self.to_hands.try_send(work).is_err() {
            last.undo_refused = Some("as many actions wait as may".to_owned());
            // Another report than the one that is stored.
            last.at_ms = now;
            self.report(last);
        }
    }

    /// Why it cannot be remembered, and whether the agent's next start may find it remembered after all: that is not told as
    /// refused.
    fn remember_undoing(
        &mut self,
        grant: Option<GrantId>,
        id: ActionId,
        now: Timestamp,
    ) -> Result<(), (String, bool)> {
        // It has an effect as its order had: what is undone under a grant counts against its caps.
        if let Some(grant) = grant
            && let Err(error) = self.grants.count(grant, id)
        {
            let text = format!(
                "the host cannot count it under its grant: {}",
                chain(&error)
            );
            return Err((text, false));
        }
        self.write(JournalRecord::Undoing { id, at_ms: now })
            .map_err(|error| {
                let text = format!("the host cannot remember it: {}", chain(&error));
                (text, matches!(error, AppendError::Doubtful(_)))
            })
    }
}
