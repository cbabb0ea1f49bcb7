//! What the desk does when the controller asks that an action be undone.

use tidemark_agent_core::actions::JournalRecord;
use tidemark_agent_core::actions::undo::{self, UndoJudgement};
use tidemark_model::ActionId;

use super::Clerk;
use crate::actions::hands::{Task, Work};
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
        // It has an effect as its order had: what is undone under a grant counts against its caps.
        let counted = match entry.grant {
            Some(grant) => self.grants.count(grant, id),
            None => Ok(()),
        };
        let counted = counted.map_err(|error| ("count it under its grant", error));
        let kept = counted.and_then(|()| {
            let kept = self.write(JournalRecord::Undoing { id, at_ms: now });
            kept.map_err(|error| ("remember it", error))
        });
        if let Err((what, error)) = kept {
            let text = format!("the host cannot {what}: {}", chain(&error));
            tracing::error!(action = %id, %text, "an action is not undone");
            last.undo_refused = Some(text);
            return self.outbox.tell(last);
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
}
