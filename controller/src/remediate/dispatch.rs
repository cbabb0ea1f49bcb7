//! Takes approved actions to their hosts: looks once more, queues, sends, puts back what a session took with it, and ends
//! what is past its deadline. Reads everything from the store each time, so a stop between any two steps loses nothing.

mod overdue;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::action::{
    Action, ActionId, ActionSpec, ActionState, LifeStep, SignedOrder, StepState,
};
use tidemark_model::notice::NoticeKind;
use tidemark_model::{HostId, SessionId, Timestamp};
use tidemark_proto::convert::action::order_to_wire;
use tidemark_proto::convert::grant::list_to_wire;
use tidemark_proto::v1::{ActionConfirm, Lockdown, controller_frame::Kind};
use tidemark_runtime::telemetry::SPANS;
use tidemark_store::{StoreError, Tx};
use tokio::sync::mpsc::OwnedPermit;

use super::gate::{self, Gate, Seen};
use super::lanes::{NewLane, Switch, Way};
use super::{step, tell};
use crate::app::App;
use crate::audit_log;
use crate::gateway::outcome::chain;
use crate::grants::{Listed, step_text};
use crate::incidents::text::host_name;
use crate::keys::why_not;

/// Between two activations when nothing wakes it: another controller's work, and times that come.
const PERIOD: Duration = Duration::from_secs(2);
/// Actions looked at in one activation, of each state.
const LOOK_MAX: u32 = 200;
/// Actions with their hosts that are looked at when sessions come and go; what is beyond them, its deadline puts back.
const UNDER_WAY_MAX: u32 = 1_000;

/// What an activation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DispatchStatus {
    /// Actions given to sessions.
    pub sent: u64,
    /// Actions put back into the queue.
    pub put_back: u64,
    /// Actions that were past their deadline.
    pub overdue: u64,
    /// Agents told how the lockdown stands.
    pub told_lockdown: u64,
    /// Agents told which grants are listed for them.
    pub told_grants: u64,
}

/// Sends actions.
pub struct ActionDispatcher {
    app: Arc<App>,
    /// The last action looked at, in each state, so that those that wait do not keep others from their turn.
    after: [i64; 2],
    listed: Listed,
}

/// What follows for one action once the transaction that says so is durable.
struct Moved {
    action: Action,
    /// Steps to tell of.
    steps: Vec<LifeStep>,
    /// The frame to send, and its place.
    leaving: Option<(OwnedPermit<Kind>, Kind)>,
    /// Why somebody must look.
    escalation: Option<String>,
}

impl ActionDispatcher {
    /// One that has looked at nothing yet.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self {
            app,
            after: [0; 2],
            listed: Listed::default(),
        }
    }

    /// Runs until the stop.
    pub async fn run(mut self) {
        let stop = self.app.life.stop_token();
        loop {
            match self.activate().await {
                Ok(status) if status == DispatchStatus::default() => {}
                Ok(status) => tracing::debug!(?status, "actions dispatched"),
                // Another controller or a person was quicker, or another one leads: what is so now is looked at next time.
                Err(StoreError::Stale { .. } | StoreError::Fenced { .. }) => {}
                Err(error) => tracing::error!(
                    error = chain(&error),
                    "actions cannot be dispatched; it is tried again shortly"
                ),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.app.remediation.changed.notified() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Does what is due, in bounded steps.
    ///
    /// # Errors
    /// What the database says; what was done stays done.
    #[tracing::instrument(target = SPANS, name = "actions", skip_all, err)]
    pub async fn activate(&mut self) -> Result<DispatchStatus, StoreError> {
        let mut status = DispatchStatus::default();
        let is_stopped = self.tell_lockdown(&mut status).await?;
        self.tell_grants(&mut status).await?;
        self.look_after_sessions(&mut status).await?;
        self.end_overdue(&mut status).await?;
        if !is_stopped {
            self.send(&mut status).await?;
        }
        Ok(status)
    }

    async fn tell_lockdown(&self, status: &mut DispatchStatus) -> Result<bool, StoreError> {
        let app = &self.app;
        let last = super::lockdown::turns(app, 1).await?.into_iter().next();
        let is_stop = last.as_ref().is_some_and(|turn| turn.is_stop);
        app.remediation.note_locked(is_stop);
        app.metrics.lockdown.set(u64::from(is_stop));
        let frame = |_: HostId| {
            Kind::Lockdown(Lockdown {
                stop: is_stop,
                unlock: Vec::new(),
                signatures: Vec::new(),
            })
        };
        let switch = match last {
            None => Switch::Untouched,
            Some(_) if is_stop => Switch::Stop,
            Some(_) => Switch::GoOn,
        };
        status.told_lockdown = app.remediation.lanes.tell_lockdown(switch, frame);
        Ok(is_stop)
    }

    async fn tell_grants(&mut self, status: &mut DispatchStatus) -> Result<(), StoreError> {
        self.listed.refresh(&self.app).await?;
        let frame = |host: HostId, place: usize| {
            let name = self.app.live.name_of(host);
            let name = name.unwrap_or_default();
            let list = self.listed.of_host((host, &name), place);
            Kind::Grants(list_to_wire(&list))
        };
        let lanes = &self.app.remediation.lanes;
        let lists = (self.listed.stamp, self.listed.lists());
        status.told_grants = lanes.tell_grants(lists, frame);
        Ok(())
    }

    /// Looks after what sessions that ended took with them, and after hosts that came. Reads once for all of them: a fleet
    /// that comes back together must not write together.
    async fn look_after_sessions(&self, status: &mut DispatchStatus) -> Result<(), StoreError> {
        let lanes = &self.app.remediation.lanes;
        let (ended, new) = (lanes.take_ended(), lanes.new_lanes());
        if ended.is_empty() && new.is_empty() {
            return Ok(());
        }
        let looked_after = self.look_after(&ended, &new, status).await;
        match &looked_after {
            Ok(()) => new.iter().for_each(|new| lanes.greeted(*new)),
            Err(_) => ended.iter().for_each(|ended| lanes.still_ended(*ended)),
        }
        looked_after
    }

    async fn look_after(
        &self,
        ended: &[(HostId, SessionId)],
        new: &[NewLane],
        status: &mut DispatchStatus,
    ) -> Result<(), StoreError> {
        let mut tx = self.app.store.read().await?;
        let sent = tx
            .actions_in_state(ActionState::Sent, 0, UNDER_WAY_MAX)
            .await?;
        let running = tx
            .actions_in_state(ActionState::Running, 0, UNDER_WAY_MAX)
            .await?;
        drop(tx);
        let ended: HashSet<&(HostId, SessionId)> = ended.iter().collect();
        let new: HashMap<HostId, &NewLane> = new.iter().map(|new| (new.host, new)).collect();
        for action in sent {
            let host = action.order.host;
            let session = action.body.session.map(SessionId::new);
            let is_over = session.is_some_and(|session| ended.contains(&(host, session)));
            let is_former = new
                .get(&host)
                .is_some_and(|new| Some(new.session) != session);
            if is_over || is_former {
                self.put_back(action, status).await?;
            }
        }
        for action in &running {
            let host = action.order.host;
            let is_made = |new: &&NewLane| round_trip(action, new.opened_at) == RoundTrip::Made;
            if new.get(&host).is_some_and(is_made)
                && let Way::Free(_, permit) = self.app.remediation.lanes.way_to(host)
            {
                permit.send(confirmation(action.id()));
            }
        }
        Ok(())
    }

    /// Puts an action back that was given to a session and that nobody said to have: the host runs an id once.
    async fn put_back(
        &self,
        mut action: Action,
        status: &mut DispatchStatus,
    ) -> Result<(), StoreError> {
        let app = &self.app;
        let text = "the session ended before the host said that it has it";
        let Ok(step) = step(app, &mut action, ActionState::Queued, (None, text)) else {
            return Ok(());
        };
        let mut tx = app.store.begin().await?;
        let steps = [step];
        match tx.action_update(&mut action, &steps).await {
            Ok(()) => {
                audit_log::keep_steps(app, &mut tx, (&action, &steps)).await?;
                tx.commit().await?;
            }
            // The host was quicker: it has it.
            Err(StoreError::Stale { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        status.put_back = status.put_back.saturating_add(1);
        app.metrics.actions_put_back.add(1);
        Ok(())
    }

    /// Queues and sends what may go.
    async fn send(&mut self, status: &mut DispatchStatus) -> Result<(), StoreError> {
        let app = Arc::clone(&self.app);
        let candidates = self.candidates().await?;
        if candidates.is_empty() {
            return Ok(());
        }
        let mut tx = app.store.begin().await?;
        tx.actions_lock().await?;
        if tx.is_locked().await? {
            return Ok(());
        }
        let now = app.clock.now();
        let mut seen = Seen::default();
        let mut all: Vec<Moved> = Vec::new();
        for id in candidates {
            let Some(action) = tx.action_find(id).await? else {
                continue;
            };
            if matches!(action.state, ActionState::Approved | ActionState::Queued) {
                all.push(move_on(&app, (&mut tx, &mut seen), action, now).await?);
            }
        }
        for moved in &all {
            audit_log::keep_steps(&app, &mut tx, (&moved.action, &moved.steps)).await?;
        }
        tx.commit().await?;
        for moved in all {
            if let Some((permit, frame)) = moved.leaving {
                permit.send(frame);
                status.sent = status.sent.saturating_add(1);
            }
            for step in &moved.steps {
                tell(&app, &moved.action, step);
            }
            if let Some(text) = moved.escalation {
                escalate(&app, &moved.action, &text);
            }
        }
        app.metrics.actions_sent.add(status.sent);
        Ok(())
    }

    /// Those whose time has come; of the queued ones, those whose host is here or that do not say yet what they wait for.
    async fn candidates(&mut self) -> Result<Vec<ActionId>, StoreError> {
        let now = self.app.clock.now();
        let lanes = &self.app.remediation.lanes;
        let mut tx = self.app.store.read().await?;
        let mut found = Vec::new();
        for (state, after) in [ActionState::Queued, ActionState::Approved]
            .into_iter()
            .zip(&mut self.after)
        {
            let page = tx.actions_in_state(state, *after, LOOK_MAX).await?;
            *after = match page.last() {
                Some(last) if page.len() >= LOOK_MAX as usize => last.number,
                Some(_) | None => 0,
            };
            let is_due = |one: &&Action| {
                one.order.not_before_ms <= now
                    && one.order.expires_at_ms > now
                    && (state == ActionState::Approved
                        || one.body.waits_for.is_none()
                        || lanes.takes_actions(one.order.host).is_some())
            };
            found.extend(page.iter().filter(is_due).map(Action::id));
        }
        Ok(found)
    }
}

/// Takes one action as far as it may go.
async fn move_on(
    app: &App,
    (tx, seen): (&mut Tx, &mut Seen),
    mut action: Action,
    now: Timestamp,
) -> Result<Moved, StoreError> {
    let mut steps = Vec::new();
    let (mut gate, grant) = gate::standing(app, (tx, seen), &action).await?;
    action.body.grant = grant;
    let (mut leaving, mut escalation) = (None, None);
    if gate == Gate::Pass && action.state == ActionState::Approved {
        steps.extend(step(app, &mut action, ActionState::Queued, (None, "")));
    }
    // A day of actions is read for the first one that only limits may keep, not for those that wait for something else.
    if gate == Gate::Pass {
        let books = seen.books(tx, now).await?;
        gate = books.limits(&action, now, &app.remediation.rules);
        if gate == Gate::Pass {
            match app.remediation.lanes.way_to(action.order.host) {
                Way::Free(session, permit) => {
                    let text = grant.map_or_else(String::new, step_text);
                    steps.extend(step(app, &mut action, ActionState::Sent, (None, &text)));
                    action.sent_at = Some(now);
                    action.body.session = Some(session.get());
                    books.sent(&action);
                    leaving = Some((permit, order_frame((tx, seen), &action).await?));
                }
                Way::Busy => gate = Gate::Wait("the connection to its host is slow".to_owned()),
                Way::Deaf => {
                    gate = Gate::Wait("the host's agent takes no actions; update it".to_owned())
                }
                Way::Away => gate = Gate::Wait("its host is not connected".to_owned()),
            }
        }
    }
    let waits_for = match gate {
        Gate::Pass => None,
        Gate::Wait(text) => Some(text),
        Gate::Stop(text) => {
            steps.extend(stop(app, &mut action, &text));
            None
        }
        Gate::Escalate(text) => {
            steps.extend(stop(app, &mut action, &text));
            escalation = Some(text);
            None
        }
    };
    if !steps.is_empty() || action.body.waits_for != waits_for {
        action.body.waits_for = waits_for;
        tx.action_update(&mut action, &steps).await?;
    }
    Ok(Moved {
        action,
        steps,
        leaving,
        escalation,
    })
}

fn stop(app: &App, action: &mut Action, text: &str) -> Option<LifeStep> {
    let to = if action.state == ActionState::Approved {
        ActionState::Rejected
    } else {
        ActionState::Cancelled
    };
    step(app, action, to, (None, text)).ok()
}

/// Tells people that somebody must look.
pub(super) fn escalate(app: &App, action: &Action, text: &str) {
    let host = action.order.host;
    let (name, what) = (host_name(app, host), action.order.spec.summary());
    let text = format!("{name}: {what}: {text}");
    app.note(Some(host), NoticeKind::ActionEscalated, text);
}

async fn order_frame(
    (tx, seen): (&mut Tx, &mut Seen),
    action: &Action,
) -> Result<Kind, StoreError> {
    let mut signatures = tx.action_signatures(action.id()).await?;
    if action.body.grant.is_some() {
        // A host asks for the grant of an order that nobody signed.
        signatures.clear();
    } else if let Some((_, policy)) = tx.host_policy(action.order.host).await?
        && policy.wants_signatures()
    {
        // With one that does not count the host would refuse the whole order.
        let lost = seen.not_believed(tx, &policy).await?;
        let tier = action.order.spec.tier();
        signatures.retain(|one| why_not((&policy, &lost), tier, one.signature.key).is_none());
    }
    let mut frame = order_to_wire(&SignedOrder {
        id: action.id(),
        bytes: action.bytes.clone(),
        signatures: signatures.iter().map(|one| one.signature).collect(),
    });
    if let Some(grant) = action.body.grant {
        frame.grant_id = grant.as_bytes().to_vec();
    }
    Ok(Kind::Action(frame))
}

/// What a setting that reverts by itself still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoundTrip {
    /// Nothing: it does not revert, or is not set.
    None,
    /// A connection that was made after it.
    Wanted,
    /// That connection is here: the setting may stay.
    Made,
}

/// Whether a connection opened at `opened_at`, by the host's clock, shows that a setting cut nobody off.
pub(super) fn round_trip(action: &Action, opened_at: Timestamp) -> RoundTrip {
    let Some(report) = &action.body.report else {
        return RoundTrip::None;
    };
    let is_set = report.state == ActionState::Running
        && report
            .steps
            .iter()
            .any(|step| step.state == StepState::Done);
    if !is_set || !matches!(action.order.spec, ActionSpec::SetDynamicPortRange { .. }) {
        RoundTrip::None
    } else if report.at_ms < opened_at {
        RoundTrip::Made
    } else {
        RoundTrip::Wanted
    }
}

/// The frame that says so.
pub(super) fn confirmation(id: ActionId) -> Kind {
    Kind::ActionConfirm(ActionConfirm {
        action_id: id.as_bytes().to_vec(),
    })
}
