//! The task that says that this controller is there, tells of its hosts, and hears of those of the others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::{HostId, Timestamp};
use tidemark_store::{Backend, ControllerSeen, IncidentNews, StoreError};
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
/// A look that takes longer, in milliseconds, says nothing about clocks.
const CLOCK_PATIENCE_MS: i64 = 1_000;
/// Clocks that are further apart, in milliseconds, are wrong: a host would look fresh, or stale, that is not.
const CLOCKS_APART_MS: u64 = 2_000;
/// Longest that one step may take: a connection that hangs does not hold up the next one.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that sessions may take to end at the stop before the others are told.
const DRAIN_PATIENCE: Duration = Duration::from_secs(4);

/// What this controller knows of the others, and they of it.
#[derive(Debug, Default)]
pub struct Exchange {
    /// The others that are there.
    others: Holders,
    /// When the list was last looked at, and since when it may lack some that are there: this one could not look for a while, nor could
    /// they say so, or it was emptied.
    looked_at: Option<Instant>,
    unsure_since: Option<Instant>,
    /// How much the database's clock is ahead of this controller's, in milliseconds, and whether that was said to be too much.
    ahead_ms: i64,
    is_clock_wrong: bool,
    teller: Teller,
    hearer: Hearer,
    notices: Notices,
    /// Hosts whose incidents changed, until the others were told: no more than there are.
    untold: Option<BTreeSet<HostId>>,
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
    let mut exchange = Exchange::default();
    exchange.look(app).await?;
    exchange.hear(app).await?;
    *app.company.begun() = exchange;
    Ok(())
}

/// Runs until the stop.
pub async fn run(app: Arc<App>) {
    let stop = app.life.stop_token();
    if app.store.backend() == Backend::Sqlite {
        return;
    }
    tokio::select! {
        () = stop.cancelled() => {}
        () = go_on(&app) => {}
    }
    leave(&app).await;
}

async fn go_on(app: &App) {
    let mut exchange = std::mem::take(&mut *app.company.begun());
    let mut is_failing = false;
    let mut beat = interval(PERIOD);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let done = tokio::select! {
            _ = beat.tick() => timeout(PATIENCE, exchange.round(app)).await,
            () = app.company.sessions_changed.notified() => {
                timeout(PATIENCE, exchange.tell(app, Extent::Sessions)).await
            }
            () = app.company.told.notified() => timeout(PATIENCE, exchange.hear(app)).await,
        };
        match done.unwrap_or_else(|_| Err(StoreError::timed_out())) {
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

/// The others need not wait until nothing was heard of this one for a while. Hosts whose sessions end meanwhile go to them.
async fn leave(app: &App) {
    let ended = async {
        while app.sessions_open.count() > 0 {
            app.company.sessions_changed.notified().await;
        }
    };
    // Those that are left are told of by whomever they come to.
    timeout(DRAIN_PATIENCE, ended).await.ok();
    let left = async {
        let mut tx = app.store.begin().await?;
        tx.controller_leave(app.leader.holder()).await?;
        tx.commit().await
    };
    let left = timeout(LEAVE_PATIENCE, left).await;
    if let Err(error) = left.unwrap_or_else(|_| Err(StoreError::timed_out())) {
        tracing::warn!(
            error = chain(&error),
            "other controllers are not told that this one ends; they find out in some 15 s"
        );
    }
}

impl Exchange {
    /// Finds out who is there, tells the others what is new here, and takes in what they told.
    ///
    /// # Errors
    /// When the database fails; what was not exchanged is the next time.
    pub async fn round(&mut self, app: &App) -> Result<(), StoreError> {
        self.look(app).await?;
        let told = self.tell(app, Extent::All).await;
        self.hear(app).await?;
        told?;
        self.show(app);
        self.tell_incidents(app).await?;
        if self.others.is_empty() {
            self.notices = Notices::default();
            return Ok(());
        }
        self.notices.look(app).await
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
        if let Some(one) = seen.first() {
            self.compare_clocks(app, one.clock, now);
        }
        seen.retain(|one| one.holder == me || one.age < GONE_AFTER);
        if is_new {
            // Either this is the beginning, or the tables were emptied.
            self.teller.forget();
        }
        self.meet(app, &seen, is_new);
        app.metrics.controllers_seen.set(seen.len() as u64);
        app.company.stand(seen);
        Ok(())
    }

    /// Takes in what time it is by the database's clock, which was asked at `asked_at`.
    fn compare_clocks(&mut self, app: &App, clock: Timestamp, asked_at: Timestamp) {
        let took = app.clock.now().ms_since(asked_at);
        if !(0..CLOCK_PATIENCE_MS).contains(&took) {
            return;
        }
        self.ahead_ms = clock.ms_since(asked_at).saturating_sub(took / 2);
        let apart = self.ahead_ms.unsigned_abs();
        app.metrics.clock_apart_ms.set(apart);
        let is_wrong = apart > CLOCKS_APART_MS;
        if is_wrong && !self.is_clock_wrong {
            let how = if self.ahead_ms > 0 {
                "behind"
            } else {
                "ahead of"
            };
            tracing::warn!(
                "this machine's clock is {apart} ms {how} the database's: times of its hosts are off by as much at other controllers. Let \
                 NTP set both"
            );
        }
        self.is_clock_wrong = is_wrong;
    }

    /// Takes in which others are there.
    fn meet(&mut self, app: &App, seen: &[ControllerSeen], is_new: bool) {
        let now = Instant::now();
        let last = self.looked_at.replace(now);
        if last.is_some_and(|at| is_new || now.duration_since(at) > PERIOD * 3) {
            self.unsure_since = Some(now);
        }
        let is_unsure = |at| now.duration_since(at) < GONE_AFTER;
        let is_sure = !self.unsure_since.is_some_and(is_unsure);
        let was_alone = self.others.is_empty();
        let me = app.leader.holder();
        let others = seen.iter().filter(|one| one.holder != me);
        let there: Holders = others.map(|one| one.holder.clone()).collect();
        if is_sure {
            for holder in self.others.extract_if(|holder| !there.contains(holder)) {
                tracing::info!(holder, "another controller is not there any more");
                self.hearer.lose(app, &holder);
            }
        }
        for holder in there {
            if self.others.insert(holder.clone()) {
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
        self.teller.tell(app, extent, self.ahead_ms).await
    }

    async fn hear(&mut self, app: &App) -> Result<(), StoreError> {
        self.hearer.hear(app, &self.others, self.ahead_ms).await
    }

    /// Tells those who look at other controllers of which hosts lists of incidents have changed.
    async fn tell_incidents(&mut self, app: &App) -> Result<(), StoreError> {
        if let Some(hosts) = app.live.take_untold() {
            self.untold.get_or_insert_default().extend(hosts);
        }
        if self.others.is_empty() {
            self.untold = None;
        }
        let Some(hosts) = &self.untold else {
            return Ok(());
        };
        let is_few = hosts.len() <= IncidentNews::HOSTS_MAX;
        let news = IncidentNews {
            from: app.leader.holder().to_owned(),
            hosts: is_few.then(|| hosts.iter().copied().collect()),
        };
        let mut tx = app.store.begin().await?;
        tx.incidents_announce(news).await?;
        tx.commit().await?;
        self.untold = None;
        Ok(())
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
