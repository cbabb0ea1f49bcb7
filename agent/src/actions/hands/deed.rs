//! One order while it is carried out: what would change, what was done, and the promise that effects follow the journal.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tidemark_model::action::report::{REPORT_ITEMS_MAX, cut};
use tidemark_model::action::{Change, Refusal, Step, StepState};
use tidemark_model::{ActionReport, ActionState, Order};
use tidemark_platform::remedy::RemedyError;

use super::Hands;
use super::undo::NotUndone;
use crate::actions::confirm::Waited;
use crate::actions::desk::Input;

/// Why an order was not carried out to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// Nothing was done.
    Refused(Refusal, String),
    /// It was tried.
    Failed(String),
    /// It was done and undone.
    RolledBack(String),
    /// A dry run, which ends where the effects would begin.
    DryRun,
    /// The agent stops: the journal has it, and the next start takes it up.
    Stopped,
}

impl From<RemedyError> for Halt {
    fn from(error: RemedyError) -> Self {
        match error {
            RemedyError::Unsupported(text) => Self::Refused(Refusal::Unsupported, text),
            RemedyError::NoSuchTarget(text) => Self::Refused(Refusal::NoSuchTarget, text),
            RemedyError::Unsafe(text) => Self::Refused(Refusal::Unsafe, text),
            RemedyError::Failed(text) => Self::Failed(text),
        }
    }
}

/// An order that is being carried out.
pub(super) struct Deed<'a> {
    pub(super) hands: &'a Hands,
    pub(super) order: &'a Order,
    report: ActionReport,
    has_begun: bool,
}

impl<'a> Deed<'a> {
    /// Goes on from the last report, if there was one.
    pub(super) fn new(hands: &'a Hands, order: &'a Order, last: Option<ActionReport>) -> Self {
        let now = hands.clock.now();
        let has_begun = last
            .as_ref()
            .is_some_and(|report| report.state == ActionState::Running);
        Self {
            report: last
                .unwrap_or_else(|| ActionReport::new(order.id, ActionState::Accepted, now, "")),
            hands,
            order,
            has_begun,
        }
    }

    /// What it changes, or would change.
    pub(super) fn changes(&self) -> &[Change] {
        &self.report.changes
    }

    /// The boot in which it began.
    pub(super) fn boot_id(&self) -> Option<&str> {
        self.report.boot_id.as_deref()
    }

    /// Adds a value with its pre-image.
    pub(super) fn plan_change(
        &mut self,
        what: &str,
        before: Option<String>,
        after: Option<String>,
    ) {
        if self.report.changes.len() < REPORT_ITEMS_MAX {
            self.report.changes.push(Change {
                what: cut(what),
                before: before.as_deref().map(cut),
                after: after.as_deref().map(cut),
            });
        }
    }

    /// Adds a step that would be done.
    pub(super) fn plan_step(&mut self, what: &str, text: &str) {
        self.note(Step {
            what: what.to_owned(),
            state: StepState::Planned,
            text: text.to_owned(),
        });
    }

    /// Adds a step that was tried. One more than there is room for replaces the last.
    pub(super) fn note(&mut self, step: Step) {
        let step = Step {
            what: cut(&step.what),
            text: cut(&step.text),
            ..step
        };
        if self.report.steps.len() >= REPORT_ITEMS_MAX {
            self.report.steps.pop();
        }
        self.report.steps.push(step);
    }

    /// Whether the host must be restarted before it holds.
    pub(super) const fn needs_reboot(&mut self) {
        self.report.needs_reboot = true;
    }

    /// Adds a step that was done.
    pub(super) fn done(&mut self, what: &str, text: &str) {
        self.note(Step {
            what: what.to_owned(),
            state: StepState::Done,
            text: text.to_owned(),
        });
    }

    /// Adds a step as it came out; `said` is what there is to say when it was done.
    ///
    /// # Errors
    /// That of the outcome.
    pub(super) fn tried<T>(
        &mut self,
        what: &str,
        outcome: Result<T, RemedyError>,
        said: impl FnOnce(&T) -> String,
    ) -> Result<T, RemedyError> {
        let (state, text) = match &outcome {
            Ok(value) => (StepState::Done, said(value)),
            Err(error) => (StepState::Failed, error.to_string()),
        };
        self.note(Step {
            what: what.to_owned(),
            state,
            text,
        });
        outcome
    }

    /// Makes durable that effects begin; without it nothing may take effect. Planned steps make room for real ones.
    ///
    /// # Errors
    /// When it is a dry run, or the desk cannot remember it: nothing was done.
    pub(super) fn begin(&mut self) -> Result<(), Halt> {
        if self.order.dry_run {
            return Err(Halt::DryRun);
        }
        self.report
            .steps
            .retain(|step| step.state != StepState::Planned);
        self.report.boot_id = Some(super::boot_id());
        self.has_begun = true;
        if self.progress("running") {
            return Ok(());
        }
        self.has_begun = false;
        Err(Halt::Refused(
            Refusal::Unsafe,
            "the host cannot write its journal, so that nothing was done; is its disk full?"
                .to_owned(),
        ))
    }

    /// Makes durable that it is past a step. What was told of it before is as old as it was: the controller measures a
    /// setting's confirmation by that time.
    pub(super) fn pass(&mut self, step: &str) {
        self.done(step, "");
        self.report.text = cut(step);
        self.hand_on();
    }

    /// Whether that step was done.
    pub(super) fn has_done(&self, what: &str) -> bool {
        let steps = &self.report.steps;
        steps
            .iter()
            .any(|step| step.what == what && step.state == StepState::Done)
    }

    /// Tells how far it is; whether that is durable.
    pub(super) fn progress(&mut self, text: &str) -> bool {
        self.report.state = ActionState::Running;
        self.tell(text)
    }

    fn tell(&mut self, text: &str) -> bool {
        self.report.at_ms = self.hands.clock.now();
        self.report.text = cut(text);
        self.hand_on()
    }

    /// Has the report made durable and told; whether it is durable.
    fn hand_on(&self) -> bool {
        let (durable, is_durable) = sync_channel(1);
        let progress = Input::Progress(Box::new(self.report.clone()), durable);
        // A desk that is gone has stopped: what follows belongs to the next start.
        self.hands.to_desk.send(progress).is_ok() && is_durable.recv().unwrap_or(false)
    }

    /// Waits for the controller's confirmation.
    pub(super) fn await_confirmation(&self, patience: Duration) -> Waited {
        self.hands.confirmations.wait(self.order.id, patience)
    }

    /// The last word about what was to be undone.
    pub(super) fn end_undo(mut self, outcome: Result<String, NotUndone>) {
        let (state, text) = match outcome {
            Ok(text) => (ActionState::RolledBack, text),
            Err(NotUndone::Untouched(why)) => {
                self.report.undo_refused = Some(cut(&why));
                (ActionState::Verifying, why)
            }
            Err(NotUndone::Failed(why)) => (ActionState::Failed, why),
        };
        self.report.state = state;
        tracing::info!(action = %self.order.id, state = state.as_str(), %text, "undoing an action ended");
        self.tell(&text);
    }

    /// The last word about it.
    pub(super) fn end(mut self, halt: Option<Halt>) {
        let (state, text) = match halt {
            Some(Halt::DryRun) => (
                ActionState::Answered,
                format!("would {}", self.order.spec.summary()),
            ),
            None => (ActionState::Verifying, "done".to_owned()),
            Some(Halt::Stopped) => return,
            // What was begun can only fail: the controller must not take it for untouched.
            Some(Halt::Refused(_, text)) if self.has_begun => (ActionState::Failed, text),
            Some(Halt::Refused(refusal, text)) => {
                self.report.refusal = Some(refusal);
                (ActionState::Refused, text)
            }
            Some(Halt::Failed(text)) => (ActionState::Failed, text),
            Some(Halt::RolledBack(text)) => (ActionState::RolledBack, text),
        };
        self.report.state = state;
        tracing::info!(action = %self.order.id, state = state.as_str(), %text, "action ended");
        self.tell(&text);
    }
}
