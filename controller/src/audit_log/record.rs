//! One record in the making.

use std::collections::BTreeMap;

use tidemark_model::action::{Action, ActionState, LifeStep};
use tidemark_model::audit_log::{Deed, Doer, DoerKind, NewEntry, Outcome, Subject};
use tidemark_model::run::Run;
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{StoreError, Tx};

use super::acting;
use crate::app::App;

/// What is about to be on record.
#[derive(Clone, Debug)]
#[must_use = "a record is kept only by `keep`"]
pub struct Record(NewEntry);

impl App {
    /// A record of what is done here and now, in the name of whoever acts in this task: the controller where nobody does.
    pub fn record(&self, what: Deed, kind: &str, id: impl ToString) -> Record {
        Record::new(self, what, kind, id)
    }
}

impl Record {
    pub(super) fn new(app: &App, what: Deed, kind: &str, id: impl ToString) -> Self {
        let who = acting::doer().unwrap_or_else(|| named(DoerKind::Controller, "controller"));
        Self::at(app.clock.now(), who, (what, kind, id))
    }

    /// Of what a command does on the controller's machine, whether a controller serves or not.
    pub(crate) fn of_machine(
        now: Timestamp,
        command: &str,
        what: (Deed, &str, impl ToString),
    ) -> Self {
        Self::at(now, named(DoerKind::Machine, command), what)
    }

    fn at(at: Timestamp, who: Doer, (what, kind, id): (Deed, &str, impl ToString)) -> Self {
        Self(NewEntry {
            at,
            who,
            what,
            on: Subject {
                kind: kind.to_owned(),
                id: id.to_string(),
                host: None,
            },
            outcome: Outcome::Done,
            detail: BTreeMap::new(),
        })
    }

    /// For whom the controller does it, where nobody acts: a policy or a run.
    pub fn by(mut self, name: &str) -> Self {
        if self.0.who.kind == DoerKind::Controller {
            name.clone_into(&mut self.0.who.name);
        }
        self
    }

    /// The controller's own doing, although somebody's request made it look.
    pub fn in_own_name(self) -> Self {
        self.in_name_of(named(DoerKind::Controller, "controller"))
    }

    /// In another name than that of this task.
    pub fn in_name_of(mut self, who: Doer) -> Self {
        self.0.who = who;
        self
    }

    /// In the name of a host.
    pub fn by_host(self, host: HostId, name: &str) -> Self {
        let who = Doer {
            credential: Some(host.to_string()),
            ..named(DoerKind::Host, name)
        };
        self.in_name_of(who).about(host)
    }

    /// Which host it is about.
    pub fn about(mut self, host: HostId) -> Self {
        self.0.on.host = Some(host);
        self
    }

    /// What came of it, when it was not done.
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// A field that matters. Never a secret.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.detail.insert(name.to_owned(), value.to_string());
        self
    }

    /// Appends it in the transaction of the change. Others wait for its end, so it comes last.
    ///
    /// # Errors
    /// When the database fails; nothing must be committed then.
    pub async fn keep(self, tx: &mut Tx) -> Result<(), StoreError> {
        let host = self.0.on.host;
        tx.audit_append(self.0).await?;
        acting::note_recorded(host);
        Ok(())
    }
}

/// Somebody of that name and nothing else.
pub(super) fn named(kind: DoerKind, name: &str) -> Doer {
    Doer {
        kind,
        name: name.to_owned(),
        role: None,
        credential: None,
        address: None,
    }
}

/// A record of an action.
pub(crate) fn of_action(app: &App, what: Deed, action: &Action) -> Record {
    let order = &action.order;
    let mut record = app
        .record(what, "actions", action.id())
        .about(order.host)
        .by(&order.requester)
        .with("action", order.spec.summary())
        .with("state", action.state.as_str());
    if order.dry_run {
        record = record.with("dry_run", true);
    }
    record
}

/// A record of a run.
pub(crate) fn of_run(app: &App, what: Deed, run: &Run) -> Record {
    app.record(what, "runs", run.number)
        .with("name", &run.spec.name)
        .with("state", run.state.as_str())
        .with("plan", &run.body.plan.hash)
}

/// A record of where the controller took an action by itself; `None` when it stays in its state.
pub(crate) fn of_steps(app: &App, action: &Action, steps: &[LifeStep]) -> Option<Record> {
    let last = steps.iter().rfind(|step| step.from != Some(step.to))?;
    let is_new = steps.iter().any(|step| step.from.is_none());
    let what = match last.to {
        ActionState::Proposed | ActionState::Approved if is_new => Deed::ActionPropose,
        ActionState::Queued | ActionState::Sent => Deed::ActionSend,
        ActionState::Rejected => Deed::ActionReject,
        ActionState::Cancelled => Deed::ActionCancel,
        ActionState::Proposed
        | ActionState::Approved
        | ActionState::Accepted
        | ActionState::Running
        | ActionState::Verifying
        | ActionState::Verified
        | ActionState::Answered
        | ActionState::Expired
        | ActionState::Refused
        | ActionState::Failed
        | ActionState::NotEffective
        | ActionState::RolledBack
        | ActionState::TimedOut => Deed::ActionEnd,
    };
    let record = of_action(app, what, action).with("why", &last.text);
    let states: Vec<&str> = steps.iter().map(|step| step.to.as_str()).collect();
    Some(record.with("states", states.join(" ")))
}

/// Keeps the record of such steps, if they are one.
///
/// # Errors
/// When the database fails; nothing must be committed then.
pub(crate) async fn keep_steps(
    app: &App,
    tx: &mut Tx,
    (action, steps): (&Action, &[LifeStep]),
) -> Result<(), StoreError> {
    match of_steps(app, action, steps) {
        Some(record) => record.keep(tx).await,
        None => Ok(()),
    }
}
