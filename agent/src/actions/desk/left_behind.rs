//! What a crash or a restart left behind: given to the hands, or told as it is when they cannot be given so much.

use tidemark_agent_core::actions::ledger::Undoing;
use tidemark_model::action::Refusal;
use tidemark_model::{ActionReport, ActionState, Timestamp};

use super::Clerk;
use crate::actions::hands::{Task, Work};

impl Clerk {
    /// Takes it up.
    pub(super) fn take_up(&mut self) {
        let left: Vec<Work> = self
            .ledger
            .unfinished()
            .into_iter()
            .map(|entry| Work {
                order: entry.order.clone(),
                signers: entry.signers.clone(),
                grant: entry.grant,
                last: entry.report.clone(),
                task: match entry.undoing {
                    Undoing::Begun => Task::Undo,
                    Undoing::Never | Undoing::Over => Task::Do,
                },
            })
            .collect();
        for work in left {
            tracing::warn!(action = %work.order.id, "an action was not finished when the agent stopped");
            let report = not_taken_up(&work, self.now());
            if self.to_hands.try_send(work).is_err() {
                self.report(report);
            }
        }
    }
}

/// What is told of what a crash left behind when more waits than the hands can be given.
fn not_taken_up(work: &Work, now: Timestamp) -> ActionReport {
    let id = work.order.id;
    let was_running = |last: &&ActionReport| last.state == ActionState::Running;
    let (last, text) = match (work.task, &work.last) {
        (Task::Undo, Some(last)) => (
            last,
            "the agent stopped while it was undone, and more waits than can be taken up; what it changed may be back or not: look \
             at the host",
        ),
        (Task::Do, Some(last)) if was_running(&last) => (
            last,
            "the agent stopped in the middle of it, and more waits than can be taken up; the last step may have been done or \
             not, and it is not repeated: look at the host",
        ),
        (Task::Do | Task::Undo, _) => {
            let text = "the agent stopped while it waited, and more waits than can be taken up; nothing was done";
            return ActionReport::refused(id, Refusal::Busy, now, text);
        }
    };
    ActionReport {
        state: ActionState::Failed,
        at_ms: now,
        text: text.to_owned(),
        ..last.clone()
    }
}
