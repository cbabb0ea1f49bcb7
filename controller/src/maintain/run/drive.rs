//! Takes runs on: reads each with what is known of its hosts, lets the machine decide, and stores the step with every action
//! that it asks for in one transaction. Whoever stops between two of them loses nothing and does nothing twice.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::action::Approval;
use tidemark_model::audit_log::Deed;
use tidemark_model::run::{Run, RunRules, RunState};
use tidemark_store::{RunQuery, StoreError, Term, Tx};

use super::ask::{self, Asked};
use super::facts::{self, Shared};
use super::machine::{self, Facts, Order};
use super::{OPEN_MAX, approvals, plan, put, record, tell, tell_lists};
use crate::app::App;
use crate::audit_log::{self, of_run};
use crate::gateway::outcome::chain;
use crate::remediate::ActionError;

/// Between two activations when nothing wakes it.
const PERIOD: Duration = Duration::from_secs(1);

/// What an activation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunStatus {
    /// Runs that went on.
    pub moved: u64,
    /// Actions asked for.
    pub asked: u64,
}

/// Works on runs.
pub struct RunDriver {
    app: Arc<App>,
}

impl RunDriver {
    /// One that has looked at nothing yet.
    #[must_use]
    pub const fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Runs until the stop.
    pub async fn run(self) {
        let stop = self.app.life.stop_token();
        loop {
            match self.activate().await {
                Ok(status) if status == RunStatus::default() => {}
                Ok(status) => tracing::debug!(?status, "runs went on"),
                // Another controller or a person was quicker, or another one leads: what is so now is looked at next time.
                Err(StoreError::Stale { .. } | StoreError::Fenced { .. }) => {}
                Err(error) => tracing::error!(
                    error = chain(&error),
                    "runs cannot go on; it is tried again shortly"
                ),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.app.runs_changed.notified() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Takes every run that has not ended one step on.
    ///
    /// # Errors
    /// What the database says; what was done stays done.
    pub async fn activate(&self) -> Result<RunStatus, StoreError> {
        let mut status = RunStatus::default();
        let mut tx = self.app.store.read().await?;
        let open = RunQuery {
            only_open: true,
            limit: OPEN_MAX,
            ..RunQuery::default()
        };
        let open = tx.runs_page(&open).await?;
        self.app.metrics.runs_open.set(open.len() as u64);
        let now = self.app.clock.now();
        let term = self.app.leader.term();
        let decides = self.app.decides();
        // Only time leads on from a plan that nobody approved yet, which is the leader's to say.
        let is_over = |run: &Run| run.deadline.is_none_or(|deadline| deadline <= now);
        let may_move = |run: &Run| {
            if run.state == RunState::Planned {
                term.is_some() && is_over(run)
            } else {
                decides
            }
        };
        let mut runs = Vec::new();
        // The oldest first: it was there first for hosts that two runs want.
        for run in open.into_iter().rev().filter(may_move) {
            runs.push(tx.run_with_hosts(run).await?);
        }
        if runs.is_empty() {
            return Ok(status);
        }
        let mut shared = Shared::read(&mut tx).await?;
        for run in &runs {
            shared.note(run);
        }
        drop(tx);
        for run in runs {
            let led = term.as_ref().filter(|_| run.state == RunState::Planned);
            match self.take_on(run, led, (&mut shared, &mut status)).await {
                Ok(()) | Err(StoreError::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(status)
    }

    async fn take_on(
        &self,
        run: Run,
        led: Option<&Term>,
        (shared, status): (&mut Shared, &mut RunStatus),
    ) -> Result<(), StoreError> {
        let app = &self.app;
        let now = app.clock.now();
        let Ok(rules) = run.spec.check() else {
            tracing::error!(
                run = run.number,
                "a stored run cannot be read, and stands still"
            );
            return Ok(());
        };
        let is_about_to_begin =
            run.state == RunState::Approved && facts::is_any_open(app, &run, now);
        if is_about_to_begin && self.is_planned_anew(&run, &rules).await? {
            return Ok(());
        }
        let facts = match run.state {
            // Only time leads on from there.
            RunState::Planned => Facts::default(),
            RunState::Approved
            | RunState::Waiting
            | RunState::Running
            | RunState::Stopping
            | RunState::Finished
            | RunState::Stopped
            | RunState::Failed
            | RunState::Rejected
            | RunState::Expired
            | RunState::Cancelled => {
                let mut tx = app.store.read().await?;
                facts::facts(app, &mut tx, &run, shared).await?
            }
        };
        let (next, orders) = machine::step(run.clone(), &rules, &facts, now);
        if next == run {
            return Ok(());
        }
        let tx = match led {
            Some(term) => app.begin_in(term).await?,
            None => app.store.begin().await?,
        };
        let stored = self.store(tx, (&run, next), &rules, (&facts, &orders));
        let (next, asked) = stored.await?;
        shared.note(&next);
        tell_lists(app, &next);
        status.moved = status.moved.saturating_add(1);
        status.asked = status.asked.saturating_add(asked);
        app.metrics.run_actions.add(asked);
        Ok(())
    }

    /// A plan that is older than what it was made from is not begun: it is made again, and waits for approvals.
    async fn is_planned_anew(&self, run: &Run, rules: &RunRules) -> Result<bool, StoreError> {
        let text = "its plan was older than what it was made from, and was made again";
        plan::renew(&self.app, (run, rules), text).await
    }

    async fn store(
        &self,
        mut tx: Tx,
        (before, mut next): (&Run, Run),
        rules: &RunRules,
        (facts, orders): (&Facts, &[Order]),
    ) -> Result<(Run, u64), StoreError> {
        let app = &self.app;
        let mut told: Vec<Asked> = Vec::new();
        let asks = orders.iter().any(|order| matches!(order, Order::Ask(_)));
        let approvals = if asks {
            approvals(&mut tx, &next).await?
        } else {
            Vec::new()
        };
        for order in orders {
            told.extend(
                perform(
                    app,
                    &mut tx,
                    (&mut next, rules, &approvals),
                    (facts, *order),
                )
                .await?,
            );
        }
        let is_elsewhere = next.state != before.state;
        let step = is_elsewhere.then(|| record(app, &next, None, &next.body.why));
        put(&mut tx, before, &mut next, step.as_slice()).await?;
        for (action, steps) in &told {
            audit_log::keep_steps(app, &mut tx, (action, steps)).await?;
        }
        if is_elsewhere {
            let record = of_run(app, Deed::RunStep, &next);
            record.with("why", &next.body.why).keep(&mut tx).await?;
        }
        tx.commit().await?;
        for (action, steps) in &told {
            for step in steps {
                crate::remediate::tell(app, action, step);
            }
        }
        if let Some(step) = &step {
            tell(app, &next, step);
        }
        if !told.is_empty() {
            app.remediation.changed.notify_one();
        }
        if is_elsewhere {
            // A state that was reached may lead on at once.
            app.runs_changed.notify_one();
        }
        Ok((next, told.len() as u64))
    }
}

async fn perform(
    app: &App,
    tx: &mut Tx,
    (run, rules, approvals): (&mut Run, &RunRules, &[Approval]),
    (facts, order): (&Facts, Order),
) -> Result<Option<Asked>, StoreError> {
    let (Order::Ask(place) | Order::TakeBack(place)) = order;
    let (Some(host), Some(known)) = (run.hosts.get(place), facts.hosts.get(place)) else {
        return Ok(None);
    };
    let done = match order {
        Order::Ask(_) => {
            let asked = ask::ask(app, tx, (run, rules, approvals), (host, known)).await;
            asked.map(Some)
        }
        Order::TakeBack(_) => ask::take_back(app, tx, host).await,
    };
    match (done, order) {
        (Ok(asked), Order::Ask(_)) => {
            if let (Some((action, _)), Some(host)) = (&asked, run.hosts.get_mut(place)) {
                host.body.action = Some(action.id());
            }
            Ok(asked)
        }
        (Ok(taken), Order::TakeBack(_)) => Ok(taken),
        (Err(ActionError::Store(error)), _) => Err(error),
        (Err(why), _) => {
            if let Some(host) = run.hosts.get_mut(place) {
                ask::refuse(host, &why, app.clock.now());
            }
            Ok(None)
        }
    }
}
