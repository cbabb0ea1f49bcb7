//! The task that says that this controller is there, tells of its hosts, and hears of those of the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_store::{Backend, ControllerSeen, StoreError};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Holders;
use super::hear::Hearer;
use super::notices::Notices;
use super::tell::{Extent, Teller};
use crate::app::App;
use crate::gateway::outcome::chain;

/// Between two looks at who is there, each with what is to be told: views of other controllers are older by so much.
const PERIOD: Duration = Duration::from_secs(2);
/// After this time without a word of it a controller is not there, and the hosts that were connected to it are not.
const GONE_AFTER: Duration = Duration::from_secs(15);
/// Between two rounds that sessions or others' words ask for: a fleet that comes back is told of together.
const SPACING: Duration = Duration::from_millis(250);
/// Controllers that were not there for so long are taken off the list by those that start.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);
/// Longest that leaving may hold up the stop.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// What this controller knows of the others, and they of it.
#[derive(Default)]
struct Work {
    /// The others, and when each was known to be there.
    others: HashMap<String, Instant>,
    /// When the list was found without this one: others that are there may not be on it yet.
    began_at: Option<Instant>,
    teller: Teller,
    hearer: Hearer,
    notices: Notices,
}

/// Hears of the others' hosts before anybody looks here.
///
/// # Errors
/// When the database fails.
pub async fn begin(app: &App) -> Result<(), StoreError> {
    if app.store.backend() == Backend::Sqlite {
        return Ok(());
    }
    let mut tx = app.store.begin().await?;
    tx.controllers_delete_older(FORGOTTEN_AFTER, app.clock.now())
        .await?;
    tx.commit().await?;
    let mut work = Work::default();
    work.look(app).await?;
    work.hear(app).await
}

/// Runs until the stop.
pub async fn run(app: Arc<App>) {
    let stop = app.life.stop_token();
    if app.store.backend() == Backend::Sqlite {
        return;
    }
    tokio::select! {
        () = stop.cancelled() => {}
        () = exchange(&app) => {}
    }
    leave(&app).await;
}

async fn exchange(app: &App) {
    let mut work = Work::default();
    let mut is_failing = false;
    let mut beat = interval(PERIOD);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let done = tokio::select! {
            _ = beat.tick() => work.round(app).await,
            () = app.company.sessions_changed.notified() => work.tell(app, Extent::Sessions).await,
            () = app.company.told.notified() => work.listen(app).await,
        };
        match done {
            Ok(()) => is_failing = false,
            Err(error) => {
                app.metrics.exchanges_failed.add(1);
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(
                        error = chain(&error),
                        "what other controllers know of their hosts cannot be exchanged; it is tried again"
                    );
                }
            }
        }
        tokio::time::sleep(SPACING).await;
    }
}

/// The others need not wait until nothing was heard of this one for a while.
async fn leave(app: &App) {
    let left = async {
        let mut tx = app.store.begin().await?;
        tx.controller_leave(app.leader.holder()).await?;
        tx.commit().await
    };
    let left = timeout(LEAVE_PATIENCE, left).await;
    if let Err(error) = left.unwrap_or_else(|_| Err(StoreError::timed_out())) {
        tracing::warn!(
            error = chain(&error),
            "other controllers are not told that this one ends; they find out within 15 s"
        );
    }
}

impl Work {
    async fn round(&mut self, app: &App) -> Result<(), StoreError> {
        self.look(app).await?;
        self.tell(app, Extent::All).await?;
        self.hear(app).await?;
        self.show(app);
        if self.others.is_empty() {
            self.notices = Notices::default();
            return Ok(());
        }
        self.notices.look(app).await
    }

    /// Another controller has told something: of its hosts, that it has started, or that it ends.
    async fn listen(&mut self, app: &App) -> Result<(), StoreError> {
        self.look(app).await?;
        self.hear(app).await
    }

    /// Says that this controller is there, and finds out which others are.
    async fn look(&mut self, app: &App) -> Result<(), StoreError> {
        let me = app.leader.holder();
        let now = app.clock.now();
        let mut tx = app.store.begin().await?;
        let version = env!("CARGO_PKG_VERSION");
        let is_new = tx
            .controller_beat((me, version), app.started_at, now)
            .await?;
        let mut seen = tx.controllers_all(now).await?;
        if is_new {
            // They tell what they know as soon as they know of somebody who listens.
            tx.host_sessions_announce().await?;
        }
        tx.commit().await?;
        seen.retain(|one| one.holder == me || one.age < GONE_AFTER);
        if is_new {
            // Either this is the beginning, or the tables were emptied.
            self.teller.forget();
            self.began_at = Some(Instant::now());
        }
        self.meet(app, &seen);
        app.metrics.controllers_seen.set(seen.len() as u64);
        app.company.stand(seen);
        Ok(())
    }

    /// Takes in which others are there.
    fn meet(&mut self, app: &App, seen: &[ControllerSeen]) {
        let now = Instant::now();
        let is_recent = |at: Instant| now.duration_since(at) < GONE_AFTER;
        let is_anew = self.began_at.is_some_and(is_recent);
        let was_alone = self.others.is_empty();
        let me = app.leader.holder();
        let others = seen.iter().filter(|one| one.holder != me);
        let there: Holders = others.map(|one| one.holder.clone()).collect();
        let is_gone = |holder: &String, at: &Instant| {
            let may_be_there = is_anew && is_recent(*at);
            !there.contains(holder) && !may_be_there
        };
        let gone: Vec<String> = self
            .others
            .iter()
            .filter(|(holder, at)| is_gone(holder, at))
            .map(|(holder, _)| holder.clone())
            .collect();
        for holder in gone {
            tracing::info!(holder, "another controller is not there any more");
            self.others.remove(&holder);
            self.hearer.lose(app, &holder);
        }
        for holder in there {
            if self.others.insert(holder.clone(), now).is_none() {
                tracing::info!(holder, "another controller is there");
            }
        }
        if was_alone && !self.others.is_empty() {
            // Nothing was told while nobody listened.
            self.teller.forget();
        }
    }

    async fn tell(&mut self, app: &App, extent: Extent) -> Result<(), StoreError> {
        if self.others.is_empty() {
            return Ok(());
        }
        self.teller.tell(app, extent).await
    }

    async fn hear(&mut self, app: &App) -> Result<(), StoreError> {
        let others: Holders = self.others.keys().cloned().collect();
        self.hearer.hear(app, (&others, &self.teller)).await
    }

    fn show(&self, app: &App) {
        let is_elsewhere = |id: &_| {
            let elsewhere = app.live.read(*id, |host| host.elsewhere.is_some());
            elsewhere == Some(true)
        };
        let elsewhere = app.live.ids().iter().filter(|id| is_elsewhere(id)).count();
        app.metrics.sessions_elsewhere.set(elsewhere as u64);
    }
}
