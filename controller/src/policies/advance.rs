//! One policy on one host, one look further: the condition, the ladder, the action that is out. Every step is stored before
//! its effect, or can be taken twice without a second effect, so that a stop between any two of them loses and repeats nothing.

use std::time::Duration;

use tidemark_model::action::{Action, ActionSpec, ActionState};
use tidemark_model::audit_log::Deed;
use tidemark_model::notice::NoticeKind;
use tidemark_model::policy::case::Look;
use tidemark_model::policy::{
    Case, CaseState, Ladder, Pending, PolicyApproval, RungOutcome, Tried, requester_of,
};
use tidemark_model::view::ActionRequest;
use tidemark_model::window::Occurrence;
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{StoreError, Tx};

use super::guard::{self, MayFire};
use super::sight::{Seen, Sight};
use super::{Held, escalate, rung};
use crate::app::App;
use crate::audit_log::Record;
use crate::incidents::text::{clean, host_name};
use crate::remediate::decide::{Word, decide};
use crate::remediate::propose::{Asked, propose};
use crate::remediate::{ActionError, last_word};

/// Characters of what was seen that go into an action's reason.
const REASON_CHARS: usize = 300;

/// A policy on a host, at one time.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// The controller.
    pub app: &'a App,
    /// The policy.
    pub held: &'a Held,
    /// The host.
    pub host: HostId,
    /// When.
    pub now: Timestamp,
}

impl Turn<'_> {
    /// Takes it one look further.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else was quicker, and what else the database says; what was stored stays stored.
    pub async fn advance(&self, case: Option<Case>, sight: Sight) -> Result<(), StoreError> {
        let Some(mut case) = case else {
            let Sight::Seen(seen) = sight else {
                return Ok(());
            };
            return match self.begin(&seen).await? {
                Some(case) => self.act(case, Some(&seen)).await,
                None => Ok(()),
            };
        };
        let look = match &sight {
            Sight::Seen(seen) => case.seen(self.now, &seen.text),
            Sight::Clear => case.clear(self.now, self.held.policy.hold),
            Sight::Unknown => Look::Same,
            Sight::HostGone => return withdraw(self.app, case, self.now).await,
        };
        match look {
            Look::Same => {}
            Look::Changed => self.store(&mut case).await?,
            Look::Gone => {
                let mut tx = self.app.store.begin().await?;
                tx.policy_case_delete(&case).await?;
                return tx.commit().await;
            }
            Look::Cleared => {
                let why = "its condition went away";
                if take_back(self.app, &case, &self.requester(&case), why).await? {
                    case.close(CaseState::Cleared, self.now);
                    return self.store(&mut case).await;
                }
            }
        }
        let seen = match &sight {
            Sight::Seen(seen) => Some(seen),
            Sight::Clear | Sight::Unknown | Sight::HostGone => None,
        };
        self.act(case, seen).await
    }

    fn requester(&self, case: &Case) -> String {
        self.held.policy.requester(case.version)
    }

    /// A record of what this policy does on this host.
    fn recorded(&self, deed: Deed, case: &Case) -> Record {
        let name = self.held.policy.name();
        self.app
            .record(deed, "policies", name)
            .by(&self.requester(case))
            .about(self.host)
            .with("version", case.version)
    }

    async fn store(&self, case: &mut Case) -> Result<(), StoreError> {
        let mut tx = self.app.store.begin().await?;
        tx.policy_case_update(case).await?;
        tx.commit().await
    }

    /// Stores what a case waits for, where that is news.
    async fn wait(&self, case: &mut Case, why: String) -> Result<(), StoreError> {
        if case.body.waits_for.as_ref() == Some(&why) {
            return Ok(());
        }
        case.body.waits_for = Some(why);
        self.store(case).await
    }

    /// A case for a condition that is seen for the first time; `None` when another controller was quicker.
    async fn begin(&self, seen: &Seen) -> Result<Option<Case>, StoreError> {
        let what = (self.held.policy.name(), self.held.version);
        let mut case = Case::begin(what, self.host, self.now, seen.text.clone());
        let mut tx = self.app.store.begin().await?;
        let Some(id) = tx.policy_case_insert(&case).await? else {
            return Ok(None);
        };
        tx.commit().await?;
        case.id = id;
        Ok(Some(case))
    }

    /// Does what is due. Without `seen` nothing is begun and no rung is offered.
    async fn act(&self, mut case: Case, seen: Option<&Seen>) -> Result<(), StoreError> {
        if let Some(seen) = seen
            && case.is_due(self.now, self.held.policy.hold)
        {
            self.fire(&mut case, seen).await?;
        }
        if case.state == CaseState::Acting {
            self.follow(&mut case).await?;
        }
        if let Some(seen) = seen
            && case.state == CaseState::Acting
        {
            self.offer(&mut case, seen).await?;
        }
        Ok(())
    }

    /// Begins the ladder, if nothing keeps it.
    async fn fire(&self, case: &mut Case, seen: &Seen) -> Result<(), StoreError> {
        let policy = &self.held.policy;
        // What only waits, at each look perhaps, takes no lock from those who act.
        let mut tx = self.app.store.read().await?;
        let may = guard::may_fire(self.app, &mut tx, (self.held, self.host), self.now).await?;
        drop(tx);
        if let MayFire::Wait(why) = may {
            return self.wait(case, why).await;
        }
        let order = rung::order(self.app, policy, (self.host, seen)).await?;
        let mut tx = self.app.store.begin().await?;
        // Two controllers must not both find room for one more.
        tx.actions_lock().await?;
        let may = guard::may_fire(self.app, &mut tx, (self.held, self.host), self.now).await?;
        if let MayFire::Wait(why) = may {
            drop(tx);
            return self.wait(case, why).await;
        }
        let about = (self.host, seen);
        case.body.incident = escalate::incident_of(&mut tx, about, &policy.condition).await?;
        case.body.seen.clone_from(&seen.text);
        if let MayFire::Escalate(why) = may {
            case.escalate(why);
            return self.give_up(tx, case).await;
        }
        case.fire(Ladder::new(order, self.now), self.now);
        tx.policy_case_update(case).await?;
        self.recorded(Deed::PolicyFire, case)
            .with("seen", &seen.text)
            .keep(&mut tx)
            .await?;
        tx.commit().await?;
        self.app.metrics.policies_fired.add(1);
        let (name, host) = (policy.name(), host_name(self.app, self.host));
        let text = format!("{host}: policy {name} acts: {}", seen.text);
        self.app
            .note(Some(self.host), NoticeKind::PolicyFired, clean(&text));
        Ok(())
    }

    /// Stores a case that is escalated, with its incident, and tells people.
    async fn give_up(&self, mut tx: Tx, case: &mut Case) -> Result<(), StoreError> {
        let about = (&self.held.policy.condition, self.now);
        escalate::raise(&mut tx, case, about).await?;
        tx.policy_case_update(case).await?;
        self.recorded(Deed::PolicyEscalate, case)
            .with("why", case.body.why.as_deref().unwrap_or_default())
            .keep(&mut tx)
            .await?;
        tx.commit().await?;
        escalate::tell(self.app, case);
        Ok(())
    }

    /// Stores a case whose ladder took a step.
    async fn stepped(&self, mut tx: Tx, case: &mut Case) -> Result<(), StoreError> {
        case.take_end(self.now);
        if case.state == CaseState::Escalated {
            return self.give_up(tx, case).await;
        }
        tx.policy_case_update(case).await?;
        tx.commit().await
    }

    /// Offers the next rung: what is asked for is stored first, then asked for.
    async fn offer(&self, case: &mut Case, seen: &Seen) -> Result<(), StoreError> {
        let Some(place) = case.body.ladder.as_ref().and_then(|one| one.next(self.now)) else {
            return Ok(());
        };
        let policy = &self.held.policy;
        let Some(next) = policy.ladder.get(place) else {
            return Ok(());
        };
        let spec = match rung::spec_of(self.app, policy, &next.deed, (self.host, seen)) {
            Ok(spec) => spec,
            Err(why) => {
                let tx = self.app.store.begin().await?;
                case.body.tried.push(Tried {
                    rung: place,
                    summary: next.deed.summary(),
                    action: None,
                    state: None,
                    at_ms: self.now,
                    text: why,
                });
                if let Some(ladder) = &mut case.body.ladder {
                    ladder.skip(self.now);
                }
                return self.stepped(tx, case).await;
            }
        };
        let mut tx = self.app.store.read().await?;
        let keeps = guard::standing(self.app, &mut tx, self.host).await?;
        drop(tx);
        let window = guard::window(self.app, self.held, self.host, self.now);
        let window = match (keeps, window) {
            (Some(why), _) | (None, Err(why)) => return self.wait(case, why).await,
            (None, Ok(window)) => window,
        };
        let mut tx = self.app.store.begin().await?;
        let fixes = guard::fixes(self.app, &mut tx, (self.host, &spec), self.now).await?;
        let ladder = case.body.ladder.as_mut();
        if ladder.and_then(|one| one.offer(self.now, fixes)).is_some() {
            case.body.pending = Some(Pending {
                rung: place,
                request: self.request(case, &spec, window),
                action: None,
            });
        }
        case.body.waits_for = None;
        self.stepped(tx, case).await?;
        self.follow(case).await
    }

    fn request(&self, case: &Case, spec: &ActionSpec, window: Option<Occurrence>) -> ActionRequest {
        let (begins, ends) = match window {
            Some(at) => (at.start.max(self.now), at.end),
            None => (
                self.now,
                self.now.saturating_add(self.held.policy.approve_within),
            ),
        };
        let seen: String = case.body.seen.chars().take(REASON_CHARS).collect();
        ActionRequest {
            host: self.host.to_string(),
            // A specification always serialises.
            spec: serde_json::to_value(spec).unwrap_or_default(),
            dry_run: false,
            reason: clean(&format!("policy {}: {seen}", self.held.policy.name())),
            incident: case.body.incident,
            not_before_ms: Some(begins.unix_ms()),
            undo_if_worse: None,
            expires_ms: Some(ends.unix_ms()),
        }
    }

    /// Asks for the rung that is out, if that was not done, and takes over what came of it.
    async fn follow(&self, case: &mut Case) -> Result<(), StoreError> {
        let Some(pending) = case.body.pending.clone() else {
            return Ok(());
        };
        let action = match pending.action {
            Some(id) => {
                let mut tx = self.app.store.read().await?;
                tx.action_find(id).await?
            }
            None => match self.ask(case, &pending).await? {
                Some(action) => Some(action),
                None => return Ok(()),
            },
        };
        let Some(mut action) = action else {
            let why = "the action that it asked for is not known any more".to_owned();
            return self
                .ended(case, &pending, None, RungOutcome::Unclear(why))
                .await;
        };
        if action.state == ActionState::Proposed {
            action = self.approve(action).await?;
        }
        if !action.state.is_final() {
            return Ok(());
        }
        let outcome = self.outcome(&action).await?;
        self.ended(case, &pending, Some(&action), outcome).await
    }

    /// Asks for a rung's action; `None` when that must wait or cannot be.
    async fn ask(&self, case: &mut Case, pending: &Pending) -> Result<Option<Action>, StoreError> {
        let asked = propose(
            self.app,
            Asked {
                requester: &self.requester(case),
                horizon: None,
                host: self.host,
                request: &pending.request,
                key: Some(&key_of(case, pending)),
            },
        )
        .await;
        match asked {
            Ok((action, _)) => {
                case.body.waits_for = None;
                if let Some(pending) = &mut case.body.pending {
                    pending.action = Some(action.id());
                }
                self.store(case).await?;
                Ok(Some(action))
            }
            Err(ActionError::Store(error)) => Err(error),
            Err(error @ (ActionError::TooMany(_) | ActionError::Locked | ActionError::NotHere)) => {
                self.wait(case, error.to_string()).await?;
                Ok(None)
            }
            Err(error) => {
                let why = format!("it could not be asked for: {error}");
                let outcome = RungOutcome::Unclear(clean(&why));
                self.ended(case, pending, None, outcome).await?;
                Ok(None)
            }
        }
    }

    /// Approves what the policy may approve in advance, in the name of whom who applied it.
    async fn approve(&self, action: Action) -> Result<Action, StoreError> {
        match self.held.policy.spec.approval {
            PolicyApproval::Required => return Ok(action),
            PolicyApproval::ByPolicy => {}
        }
        let mut tx = self.app.store.read().await?;
        let keeps = guard::standing(self.app, &mut tx, self.host).await?;
        drop(tx);
        if keeps.is_some() {
            return Ok(action);
        }
        let (name, version) = (self.held.policy.name(), self.held.version);
        let text = format!("in advance, with version {version} of policy {name}");
        let word = (Word::Approve, &*self.held.author);
        match decide(self.app, action.id(), word, &text).await {
            Ok(action) => Ok(action),
            Err(ActionError::Store(error)) => Err(error),
            // Somebody was quicker, whatever they decided: the next look sees it.
            Err(error) => {
                tracing::debug!(%error, policy = name, "a policy's action is not approved");
                Ok(action)
            }
        }
    }

    async fn last_word(&self, action: &Action) -> Result<(Option<String>, String), StoreError> {
        last_word(&mut self.app.store.read().await?, action.id()).await
    }

    /// What an action that ended means to the ladder.
    async fn outcome(&self, action: &Action) -> Result<RungOutcome, StoreError> {
        Ok(match action.state {
            ActionState::Verified if action.is_measured() => RungOutcome::Verified,
            ActionState::Verified | ActionState::Answered => RungOutcome::Done,
            ActionState::NotEffective
            | ActionState::Failed
            | ActionState::Refused
            | ActionState::RolledBack => RungOutcome::InVain,
            ActionState::Rejected | ActionState::Cancelled => {
                let (by, text) = self.last_word(action).await?;
                match by {
                    Some(by) => RungOutcome::Stopped(format!("{by} said no: {text}")),
                    None => RungOutcome::Unclear(text),
                }
            }
            ActionState::TimedOut
            | ActionState::Expired
            | ActionState::Proposed
            | ActionState::Approved
            | ActionState::Queued
            | ActionState::Sent
            | ActionState::Accepted
            | ActionState::Running
            | ActionState::Verifying => {
                let (_, text) = self.last_word(action).await?;
                let (what, state) = (action.order.spec.summary(), action.state.as_str());
                RungOutcome::Unclear(format!("{what} is {state}: {text}"))
            }
        })
    }

    /// Stores what came of the rung that is out.
    async fn ended(
        &self,
        case: &mut Case,
        pending: &Pending,
        action: Option<&Action>,
        outcome: RungOutcome,
    ) -> Result<(), StoreError> {
        let said = match action {
            Some(action) => self.last_word(action).await?.1,
            None => String::new(),
        };
        let rung = self.held.policy.ladder.get(pending.rung);
        let text = match &outcome {
            RungOutcome::Unclear(why) | RungOutcome::Stopped(why) => why.clone(),
            RungOutcome::Verified | RungOutcome::Done | RungOutcome::InVain => said,
        };
        case.body.tried.push(Tried {
            rung: pending.rung,
            summary: action.map_or_else(
                || rung.map_or_else(String::new, |rung| rung.deed.summary()),
                |action| action.order.spec.summary(),
            ),
            action: action.map(Action::id),
            state: action.map(|action| action.state),
            at_ms: self.now,
            text: clean(&text),
        });
        case.body.pending = None;
        let wait = rung.map_or(Duration::ZERO, |rung| rung.wait);
        if let Some(ladder) = &mut case.body.ladder {
            ladder.ended(outcome, self.now, wait);
        }
        let tx = self.app.store.begin().await?;
        self.stepped(tx, case).await
    }
}

/// Ends a case whose policy does not hold any more as it did, or whose host was shut out. What its host may have begun goes
/// on by itself.
///
/// # Errors
/// What the database says.
pub async fn withdraw(app: &App, mut case: Case, now: Timestamp) -> Result<(), StoreError> {
    if case.state == CaseState::Holding {
        let mut tx = app.store.begin().await?;
        tx.policy_case_delete(&case).await?;
        return tx.commit().await;
    }
    let requester = requester_of(&case.policy, case.version);
    let why = "its policy was changed, disabled or deleted, or its host was shut out";
    take_back(app, &case, &requester, why).await?;
    case.close(CaseState::Withdrawn, now);
    let mut tx = app.store.begin().await?;
    tx.policy_case_update(&mut case).await?;
    tx.commit().await
}

/// Takes back what is out, in the policy's name; says whether nothing of it is under way.
async fn take_back(app: &App, case: &Case, requester: &str, why: &str) -> Result<bool, StoreError> {
    let Some(pending) = &case.body.pending else {
        return Ok(true);
    };
    let mut tx = app.store.read().await?;
    let action = match pending.action {
        Some(id) => tx.action_find(id).await?,
        // It may have been asked for just before a stop.
        None => {
            let key = format!("{requester}/{}", key_of(case, pending));
            tx.action_of_request(&key).await?
        }
    };
    drop(tx);
    let Some(action) = action.filter(|action| !action.state.is_final()) else {
        // What has ended says more than that it is not wanted any more.
        return Ok(pending.action.is_none());
    };
    match decide(app, action.id(), (Word::Cancel, requester), why).await {
        Ok(_) => Ok(true),
        Err(ActionError::Store(error)) => Err(error),
        // Its host may have it.
        Err(_) => Ok(false),
    }
}

/// The policy's own name for a request, so that asking twice makes one action.
fn key_of(case: &Case, pending: &Pending) -> String {
    format!("case-{}-rung-{}", case.id, pending.rung)
}
