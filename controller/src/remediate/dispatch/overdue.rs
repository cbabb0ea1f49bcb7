//! Ends what is past its deadline, or puts it back where its host cannot have it.

use tidemark_model::action::{Action, ActionState};
use tidemark_model::{SessionId, Timestamp};
use tidemark_store::{StoreError, Term, Tx};

use super::{ActionDispatcher, DispatchStatus, escalate};
use crate::audit_log;
use crate::remediate::{step, tell, undo};

/// Actions that are ended in one activation.
const DUE_MAX: u32 = 200;

impl ActionDispatcher {
    pub(super) async fn end_overdue(&self, status: &mut DispatchStatus) -> Result<(), StoreError> {
        let app = &self.app;
        let now = app.clock.now();
        let due = app.store.read().await?.actions_due(now, DUE_MAX).await?;
        let term = app.leader.term();
        for action in due {
            let Some(tx) = self.begin_for(&action, term.as_ref()).await? else {
                continue;
            };
            match self.end_one(tx, action, now).await {
                Ok(()) => status.overdue = status.overdue.saturating_add(1),
                // Its host or a person was quicker.
                Err(StoreError::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Where this controller may end it: whether the session is still there that an action was sent over, each controller knows
    /// of its own; everything else is in the database, and the leader's to end.
    async fn begin_for(
        &self,
        action: &Action,
        term: Option<&Term>,
    ) -> Result<Option<Tx>, StoreError> {
        match (action.state, term) {
            (ActionState::Sent, _) => self.app.store.begin().await.map(Some),
            (_, Some(term)) => self.app.begin_in(term).await.map(Some),
            (_, None) => Ok(None),
        }
    }

    async fn end_one(
        &self,
        mut tx: Tx,
        mut action: Action,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let app = &self.app;
        let mut steps = Vec::new();
        for (to, text) in self.overdue_steps(&action, now) {
            if let Ok(step) = step(app, &mut action, to, (None, &text)) {
                steps.push(step);
            }
        }
        tx.action_update(&mut action, &steps).await?;
        audit_log::keep_steps(app, &mut tx, (&action, &steps)).await?;
        tx.commit().await?;
        for step in &steps {
            tell(app, &action, step);
        }
        if undo::has_ended(&action)
            && let Some(last) = steps.last()
        {
            escalate(app, &action, &last.text);
        }
        Ok(())
    }

    /// Where an action goes whose time is over.
    fn overdue_steps(&self, action: &Action, now: Timestamp) -> Vec<(ActionState, String)> {
        let waited_for = action.body.waits_for.clone();
        let late = |text: &str| vec![(ActionState::TimedOut, text.to_owned())];
        match action.state {
            ActionState::Proposed => vec![(
                ActionState::Expired,
                "nobody approved it in time".to_owned(),
            )],
            ActionState::Queued if action.sent_at.is_some() => vec![
                (
                    ActionState::Sent,
                    "it was sent before; its host may have it".to_owned(),
                ),
                (
                    ActionState::TimedOut,
                    "its host did not say what became of it".to_owned(),
                ),
            ],
            ActionState::Approved | ActionState::Queued => vec![(
                ActionState::Expired,
                waited_for.unwrap_or_else(|| "it could not be sent in time".to_owned()),
            )],
            ActionState::Sent => {
                let lane = self.app.remediation.lanes.session_of(action.order.host);
                let is_open = lane.is_some() && lane == action.body.session.map(SessionId::new);
                if !is_open && now < action.order.expires_at_ms {
                    let text = "the session ended before the host said that it has it";
                    return vec![(ActionState::Queued, text.to_owned())];
                }
                late("its host did not say that it has it")
            }
            ActionState::Accepted | ActionState::Running => {
                late("its host did not say what became of it in time")
            }
            ActionState::Verifying => late(&undo::unanswered(action).unwrap_or_else(|| {
                "its host sent no samples that show what came of it".to_owned()
            })),
            ActionState::Verified
            | ActionState::Answered
            | ActionState::Rejected
            | ActionState::Expired
            | ActionState::Refused
            | ActionState::Failed
            | ActionState::NotEffective
            | ActionState::RolledBack
            | ActionState::TimedOut
            | ActionState::Cancelled => Vec::new(),
        }
    }
}
