//! What came of an action, by its host's own samples: headroom before it against headroom after, and how long it held.
//! No samples is no success.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_history::Window;
use tidemark_history::query::{Agg, EntityFilter, GroupBy, Limits, Query, Step, TextMatch};
use tidemark_model::action::{Action, ActionSpec, ActionState, Effect, LifeStep, Watch};
use tidemark_model::entity::EntityKind;
use tidemark_model::problem::ProblemKey;
use tidemark_model::{Entity, HostId, Metric, PortSpaceKey, Timestamp};
use tidemark_store::StoreError;

use super::dispatch::escalate;
use super::room::{Room, effect_of, told, worst};
use super::{step, tell, undo};
use crate::app::App;
use crate::audit_log;
use crate::gateway::outcome::chain;
use crate::query::HistoryError;

/// Between two activations.
const PERIOD: Duration = Duration::from_secs(2);
/// Actions measured in one activation.
const MEASURED_MAX: u32 = 50;
/// Longest time before an action that its host is measured over.
const BEFORE_MAX: Duration = Duration::from_secs(300);
/// Shortest: two samples of a usual interval.
const BEFORE_MIN: Duration = Duration::from_secs(60);
/// Between two looks at whether effects still hold.
const HOLD_PERIOD: Duration = Duration::from_secs(60);
/// Actions that such a look reads at once; it looks at all of them.
const HOLDING_ROWS: u32 = 200;
/// Longest that an effect is followed.
const FOLLOWED_MAX: Duration = Duration::from_secs(90 * 86_400);
/// The time that an effect is known to have held is written down when it grew by this.
const HELD_STEP_MS: i64 = 600_000;
/// Minutes of which the median says where headroom is.
const LAST_MINUTES: usize = 5;

/// Measures effects.
pub struct EffectMeter {
    app: Arc<App>,
    held_looked_at: Option<Timestamp>,
}

/// Why an action cannot be measured at this moment.
#[derive(Debug, thiserror::Error)]
enum MeasureError {
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the samples say.
enum Verdict {
    /// Not all of them are here.
    NotYet,
    Measured(Effect),
    /// Headroom is materially less.
    Worse(Effect),
    /// They do not say.
    Unknown(&'static str),
}

impl EffectMeter {
    /// One that has looked at nothing yet.
    #[must_use]
    pub const fn new(app: Arc<App>) -> Self {
        Self {
            app,
            held_looked_at: None,
        }
    }

    /// Runs until the stop.
    pub async fn run(mut self) {
        let stop = self.app.life.stop_token();
        loop {
            if let Err(error) = self.activate().await {
                tracing::error!(
                    error = chain(&error),
                    "effects of actions cannot be measured; it is tried again shortly"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Judges the actions whose watched time is over, and follows those that helped. Answers how many were judged.
    ///
    /// # Errors
    /// What the database says.
    pub async fn activate(&mut self) -> Result<u64, StoreError> {
        let app = Arc::clone(&self.app);
        let verifying = app
            .store
            .read()
            .await?
            .actions_in_state(ActionState::Verifying, 0, MEASURED_MAX)
            .await?;
        let mut judged = 0;
        for action in verifying {
            match self.judge(action).await {
                Ok(true) => judged += 1,
                Ok(false) | Err(MeasureError::Store(StoreError::Stale { .. })) => {}
                Err(MeasureError::Store(error)) => return Err(error),
                Err(MeasureError::History(error)) => {
                    tracing::warn!(error = chain(&error), "an effect cannot be measured yet");
                }
            }
        }
        let now = app.clock.now();
        let is_due = |last: Timestamp| now >= last.saturating_add(HOLD_PERIOD);
        if self.held_looked_at.is_none_or(is_due) {
            self.held_looked_at = Some(now);
            self.follow(now).await?;
        }
        Ok(judged)
    }

    async fn judge(&self, mut action: Action) -> Result<bool, MeasureError> {
        let app = &self.app;
        if action.body.undo.is_some() {
            undo::go_on(app, &mut action).await?;
            return Ok(false);
        }
        let (to, text, effect) = match self.verdict(&action).await? {
            Verdict::NotYet => return Ok(false),
            Verdict::Unknown(text) => (ActionState::TimedOut, text.to_owned(), None),
            Verdict::Measured(effect) => match action.watch() {
                Watch::Better if effect.holds => (
                    ActionState::Verified,
                    told(&effect, "it helped"),
                    Some(effect),
                ),
                Watch::Better | Watch::Nothing => {
                    let text = told(&effect, "it did not help");
                    (ActionState::NotEffective, text, Some(effect))
                }
                // Kept out of what is learnt: it was not to free anything.
                Watch::NotWorse => {
                    let text = told(&effect, "done, and headroom is no worse");
                    (ActionState::Verified, text, None)
                }
            },
            Verdict::Worse(effect) => {
                let text = told(&effect, "headroom got worse");
                let obstacle = undo::obstacle(app, &action);
                action.body.effect = Some(effect.clone());
                action.body.worse = true;
                let Some(obstacle) = obstacle else {
                    undo::begin(app, &mut action, &text).await?;
                    return Ok(false);
                };
                let text = format!("{text}; {obstacle}");
                (ActionState::NotEffective, text, Some(effect))
            }
        };
        action.body.effect = effect;
        let Ok(step) = step(app, &mut action, to, (None, &text)) else {
            return Ok(false);
        };
        self.store(&mut action, &[step]).await?;
        app.remediation.changed.notify_one();
        if to == ActionState::NotEffective {
            let advice = "try the next step, or look for the cause";
            escalate(app, &action, &format!("{text}; {advice}"));
        }
        Ok(true)
    }

    async fn store(&self, action: &mut Action, steps: &[LifeStep]) -> Result<(), StoreError> {
        let mut tx = self.app.store.begin().await?;
        tx.action_update(action, steps).await?;
        audit_log::keep_steps(&self.app, &mut tx, (action, steps)).await?;
        tx.commit().await?;
        for step in steps {
            tell(&self.app, action, step);
        }
        Ok(())
    }

    async fn verdict(&self, action: &Action) -> Result<Verdict, MeasureError> {
        let app = &self.app;
        let hold = app.remediation.rules.hold;
        let (Some(begun), Some(done)) = (action.body.begun_at_ms, action.body.done_at_ms) else {
            return Ok(Verdict::Unknown("it is not known when its host did it"));
        };
        let watched = Window {
            from: done,
            to: done.saturating_add(hold),
        };
        let host = action.order.host;
        let newest = app
            .live
            .read(host, |live| live.newest.as_ref().map(|(at, _)| *at));
        if newest.flatten().is_none_or(|at| at < watched.to) {
            return Ok(Verdict::NotYet);
        }
        let before = Window {
            from: begun.saturating_sub(hold.clamp(BEFORE_MIN, BEFORE_MAX)),
            to: begun,
        };
        let (was, is) = (
            self.headrooms(host, before).await?,
            self.headrooms(host, watched).await?,
        );
        let Some(space) = self.space_of(action, &was, &is).await? else {
            return Ok(Verdict::Unknown(
                "there are no samples of one port space from before it and after it",
            ));
        };
        let Some(rooms) = was.get(&space).zip(is.get(&space)) else {
            return Ok(Verdict::Unknown(
                "there are no samples from before it and after it",
            ));
        };
        let mut effect = effect_of(space, rooms, watched.to);
        // Also where another space got better: what it did to this one is undone with it.
        let lost = worst(action, &was, &is);
        if let Some((space, was, is)) = &lost {
            effect = effect_of(space.clone(), (was, is), watched.to);
        }
        let space = &effect.port_space;
        let subjects = (
            self.subject_ports(action, space, before).await?,
            self.subject_ports(action, space, watched).await?,
        );
        (effect.subject_ports_before, effect.subject_ports_after) = subjects;
        Ok(match lost {
            Some(_) => Verdict::Worse(effect),
            None => Verdict::Measured(effect),
        })
    }

    /// The port space that an action is about: its incident's, or the tightest before it.
    async fn space_of(
        &self,
        action: &Action,
        was: &BTreeMap<PortSpaceKey, Room>,
        is: &BTreeMap<PortSpaceKey, Room>,
    ) -> Result<Option<PortSpaceKey>, StoreError> {
        if let Some(incident) = action.incident {
            let found = self.app.store.read().await?.incident_find(incident).await?;
            if let Some(ProblemKey::Ports { host, space }) = found.map(|one| one.problem.key)
                && host == action.order.host
            {
                return Ok(Some(space));
            }
        }
        let both = was.iter().filter(|(space, _)| is.contains_key(space));
        let tightest = both.min_by_key(|(_, room)| room.headroom());
        Ok(tightest.map(|(space, _)| space.clone()))
    }

    async fn headrooms(
        &self,
        host: HostId,
        range: Window,
    ) -> Result<BTreeMap<PortSpaceKey, Room>, HistoryError> {
        let in_use = self.in_use(host, Agg::P50, range).await?;
        let lowest = self.in_use(host, Agg::Min, range).await?;
        let highest = self.in_use(host, Agg::Max, range).await?;
        let of = |values: &[(Entity, u32)], entity: &Entity| {
            let found = values.iter().find(|(of, _)| of == entity);
            found.map(|(_, value)| *value)
        };
        let all = (EntityFilter::default(), Agg::P50);
        let mut rooms = BTreeMap::new();
        for (entity, capacity) in self.values(host, Metric::Capacity, all, range).await? {
            let known = of(&in_use, &entity)
                .zip(of(&lowest, &entity))
                .zip(of(&highest, &entity));
            if let (Some(((in_use, lowest), highest)), Entity::PortSpace(space)) = (known, entity) {
                let room = Room {
                    capacity,
                    in_use,
                    spread: highest.saturating_sub(lowest),
                };
                rooms.insert(space, room);
            }
        }
        Ok(rooms)
    }

    async fn in_use(
        &self,
        host: HostId,
        agg: Agg,
        range: Window,
    ) -> Result<Vec<(Entity, u32)>, HistoryError> {
        let all = (EntityFilter::default(), agg);
        self.values(host, Metric::InUse, all, range).await
    }

    /// Ports of what the action was done to, where samples name it.
    async fn subject_ports(
        &self,
        action: &Action,
        space: &PortSpaceKey,
        range: Window,
    ) -> Result<Option<u32>, HistoryError> {
        let spec = &action.order.spec;
        let kind = if matches!(spec, ActionSpec::RestartService { .. }) {
            EntityKind::Service
        } else if matches!(spec, ActionSpec::EndProcess { .. }) {
            EntityKind::Process
        } else {
            return Ok(None);
        };
        let subject = action.order.spec.subject();
        // systemd's units may be named with their suffix in one place and without in the other.
        let bare = subject.strip_suffix(".service").unwrap_or(subject);
        for name in [bare.to_owned(), format!("{bare}.service")] {
            let filter = EntityFilter {
                kind: Some(kind),
                text: Some(TextMatch::Is(name)),
                protocol: Some(space.protocol),
                namespace: Some(space.namespace.to_string()),
            };
            let median = (filter, Agg::P50);
            let found = self.values(action.order.host, Metric::Ports, median, range);
            if let Some((_, ports)) = found.await?.into_iter().next() {
                return Ok(Some(ports));
            }
        }
        Ok(None)
    }

    async fn values(
        &self,
        host: HostId,
        metric: Metric,
        (entities, agg): (EntityFilter, Agg),
        range: Window,
    ) -> Result<Vec<(Entity, u32)>, HistoryError> {
        let query = Query {
            metric,
            entities,
            range,
            step: Step::Whole,
            agg,
            across: None,
            group_by: GroupBy::Series,
            top: None,
            compare_offset: None,
            limits: Limits::default(),
        };
        let result = self.app.query(query, &[host]).await?;
        let known = result.series.into_iter().filter_map(|series| {
            let value = series.overall?.round().clamp(0.0, f64::from(u32::MAX));
            Some((series.entity?, value as u32))
        });
        Ok(known.collect())
    }

    /// Keeps up to date until when effects held.
    async fn follow(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let mut tx = self.app.store.read().await?;
            let holding = tx.actions_holding(after, HOLDING_ROWS).await?;
            drop(tx);
            let Some(last) = holding.last() else {
                return Ok(());
            };
            after = last.number;
            for action in holding {
                self.follow_one(action, now).await?;
            }
        }
    }

    async fn follow_one(&self, mut action: Action, now: Timestamp) -> Result<(), StoreError> {
        let Some(effect) = &action.body.effect else {
            return Ok(());
        };
        let look = self.app.live.read(action.order.host, |live| {
            let space = live.spaces.get(&effect.port_space)?;
            let minutes = space.last_hour.until(now);
            let mut last: Vec<u32> = minutes
                .iter()
                .rev()
                .take(LAST_MINUTES)
                .flatten()
                .copied()
                .collect();
            last.sort_unstable();
            let in_use = *last.get(last.len() / 2)?;
            Some((space.level.at, space.level.capacity.saturating_sub(in_use)))
        });
        let Some(followed) = followed(effect, look.flatten(), action.ended_at, now) else {
            return Ok(());
        };
        action.body.effect = Some(followed);
        match self.store(&mut action, &[]).await {
            Ok(()) | Err(StoreError::Stale { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// An effect after another look, when there is something to write down. A host that says nothing leaves it as it was.
fn followed(
    effect: &Effect,
    look: Option<(Timestamp, u32)>,
    ended_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<Effect> {
    let is_old = ended_at.is_none_or(|end| end.saturating_add(FOLLOWED_MAX) < now);
    if is_old {
        let mut over = effect.clone();
        over.holds = false;
        return Some(over);
    }
    let (at, headroom) = look?;
    let held_until = effect.held_until_ms?;
    let is_worse = headroom < effect.headroom_before.saturating_add(effect.needed);
    if is_worse {
        let mut over = effect.clone();
        over.holds = false;
        return (at > held_until).then_some(over);
    }
    (at.ms_since(held_until) >= HELD_STEP_MS).then(|| Effect {
        held_until_ms: Some(at),
        ..effect.clone()
    })
}

#[cfg(test)]
mod tests {
    use tidemark_model::Protocol;

    use super::*;

    fn effect() -> Effect {
        Effect {
            port_space: PortSpaceKey::own(Protocol::Tcp),
            headroom_before: 100,
            headroom_after: 900,
            needed: 10,
            ports_freed: 800,
            subject_ports_before: None,
            subject_ports_after: None,
            held_until_ms: Some(Timestamp::EPOCH),
            holds: true,
        }
    }

    #[test]
    fn an_effect_holds_until_headroom_is_as_it_was() {
        let at = |minutes: i64| Timestamp::from_unix_ms(minutes * 60_000);
        let look = |minutes, headroom| {
            followed(
                &effect(),
                Some((at(minutes), headroom)),
                Some(at(0)),
                at(minutes),
            )
        };
        assert_eq!(look(9, 500), None, "too little to write down");
        let later = look(10, 110).unwrap();
        assert_eq!((later.held_until_ms, later.holds), (Some(at(10)), true));
        let over = look(30, 109).unwrap();
        assert_eq!((over.held_until_ms, over.holds), (Some(at(0)), false));
        assert_eq!(followed(&effect(), None, Some(at(0)), at(60)), None);
        let years = at(60 * 24 * 365);
        assert!(!followed(&effect(), None, Some(at(0)), years).unwrap().holds);
    }
}
