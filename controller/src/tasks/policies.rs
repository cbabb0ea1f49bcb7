//! Looks at hosts by the standing policies that hold, and takes each policy one step further on each host that it is about.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tidemark_model::policy::{Case, CaseState};
use tidemark_model::{HostId, Timestamp};
use tidemark_runtime::telemetry::SPANS;
use tidemark_store::StoreError;

use crate::app::App;
use crate::gateway::outcome::chain;
use crate::policies::advance::{Turn, withdraw};
use crate::policies::sight::{Before, Outlook, Sight, look};
use crate::policies::{Held, held};

/// Between two activations.
const PERIOD: Duration = Duration::from_secs(2);
/// Cases read at once.
const PAGE: u32 = 1_000;
/// Cases that are looked after; with more of them no new one begins.
const CASES_MAX: usize = 20_000;

/// What an activation saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PolicyStatus {
    /// Policies that hold and are not disabled.
    pub policies: u64,
    /// Hosts on which one acts, each once a policy.
    pub acting: u64,
    /// Hosts on which somebody must look.
    pub escalated: u64,
    /// Left to the next activation, because somebody else was quicker.
    pub left: u64,
}

/// Takes policies further.
pub struct PolicyWatch {
    app: Arc<App>,
    /// What pages were told of last: the policies and the cases that were open.
    told: AtomicU64,
}

/// Cases of which something may still come.
type Open = HashMap<(String, HostId), Case>;

impl PolicyWatch {
    /// One that has looked at nothing yet; all that it must remember is in the store.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        let told = AtomicU64::new(0);
        Self { app, told }
    }

    /// Runs until the stop.
    pub async fn run(self) {
        let stop = self.app.life.stop_token();
        loop {
            match self.activate().await {
                Ok(status) => {
                    let metrics = &self.app.metrics;
                    metrics.policies.set(status.policies);
                    metrics.policies_acting.set(status.acting);
                    metrics.policies_to_look_at.set(status.escalated);
                }
                Err(error) => {
                    self.app.metrics.policy_sweeps_failed.add(1);
                    tracing::warn!(
                        error = chain(&error),
                        "policies cannot be taken further; it is tried again"
                    );
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Looks at everything once.
    ///
    /// # Errors
    /// What the database says; what was stored stays stored.
    #[tracing::instrument(target = SPANS, name = "policies", skip_all, err)]
    pub async fn activate(&self) -> Result<PolicyStatus, StoreError> {
        let app = &*self.app;
        let now = app.clock.now();
        let mut tx = app.store.read().await?;
        let mut held = held(&mut tx).await?;
        held.retain(|held| held.policy.spec.enabled);
        let outlook = Outlook::read(&mut tx, &held, now).await?;
        drop(tx);
        let mut open = self.open().await?;
        self.tell_pages(&held, &open);
        let mut status = PolicyStatus {
            policies: held.len() as u64,
            ..PolicyStatus::default()
        };
        for case in open.values() {
            status.acting += u64::from(case.state == CaseState::Acting);
            status.escalated += u64::from(case.state == CaseState::Escalated);
        }
        if !app.decides() {
            return Ok(status);
        }
        let has_room = open.len() < CASES_MAX;
        if !held.is_empty() {
            for host in app.live.ids() {
                for (turn, case) in turns(app, (&held, host), &mut open, now) {
                    let before = match case {
                        Some(_) => Before::Held,
                        None => Before::New,
                    };
                    let condition = &turn.held.policy.condition;
                    let sight = look(app, (condition, host), &outlook, (now, before));
                    let begins = matches!(sight, Sight::Seen(_)) && has_room;
                    if case.is_some() || begins {
                        status.count(turn.advance(case, sight).await)?;
                    }
                }
            }
        }
        for case in open.into_values() {
            if is_over(app, &held, &case) {
                status.count(withdraw(app, case, now).await)?;
            }
        }
        Ok(status)
    }

    /// Pages of policies listen to the same word as the lists of incidents. What changed since the last look is told, by
    /// whomever it was changed.
    fn tell_pages(&self, held: &[Held], open: &Open) {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let policies = held
            .iter()
            .map(|held| hasher.hash_one((held.policy.name(), held.version)));
        let cases = open
            .values()
            .map(|case| hasher.hash_one((case.id, case.generation)));
        // Their order says nothing.
        let sum = policies.chain(cases).fold(1, u64::wrapping_add);
        if self.told.swap(sum, Ordering::Relaxed) != sum {
            self.app.live.announce_incidents(&[]);
        }
    }

    async fn open(&self) -> Result<Open, StoreError> {
        let mut open = Open::new();
        let mut after = 0;
        while open.len() < CASES_MAX {
            let mut tx = self.app.store.read().await?;
            let page = tx.policy_cases_open(after, PAGE).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.id;
            let keyed = page
                .into_iter()
                .map(|case| ((case.policy.clone(), case.host), case));
            open.extend(keyed);
        }
        Ok(open)
    }
}

impl PolicyStatus {
    /// What another controller, a host or a person did meanwhile is looked at next time.
    fn count(&mut self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        match done {
            Err(StoreError::Stale { .. }) => {
                self.left = self.left.saturating_add(1);
                Ok(())
            }
            done => done,
        }
    }
}

/// The policies that are for a host, each with its case there.
fn turns<'a>(
    app: &'a App,
    (held, host): (&'a [Held], HostId),
    open: &mut Open,
    now: Timestamp,
) -> Vec<(Turn<'a>, Option<Case>)> {
    let Some(labels) = app.live.read(host, |live| live.labels()) else {
        return Vec::new();
    };
    let mut turns = Vec::new();
    for held in held.iter().filter(|held| held.policy.is_for(&labels)) {
        let key = (held.policy.name().to_owned(), host);
        // A case of another version is withdrawn first.
        if open
            .get(&key)
            .is_some_and(|case| case.version != held.version)
        {
            continue;
        }
        let turn = Turn {
            app,
            held,
            host,
            now,
        };
        turns.push((turn, open.remove(&key)));
    }
    turns
}

/// Whether a case belongs to no policy that holds any more. Of a host that this controller does not know, another may.
fn is_over(app: &App, held: &[Held], case: &Case) -> bool {
    let same = held
        .iter()
        .find(|held| held.policy.name() == case.policy && held.version == case.version);
    let Some(same) = same else {
        return true;
    };
    let labels = app.live.read(case.host, |live| live.labels());
    labels.is_some_and(|labels| !same.policy.is_for(&labels))
}
