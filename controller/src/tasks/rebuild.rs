//! After a start: each host's facts from its stored audits, and its levels and detectors from its stored history, so that a
//! restart forgets no trend. Later the detectors of hosts of which other controllers have stored more than they told.
//!
//! Runs beside live samples. What arrives while a host's history is read is in that history already, or missing from
//! its detector by a few samples, which no trend hangs on.

use std::sync::Arc;
use std::time::Duration;

use tidemark_detect::{DetectorSettings, Rollup, SpaceDetector};
use tidemark_model::sample::CountQuality;
use tidemark_model::{HostId, PortSpaceKey, Timestamp};
use tidemark_store::{Backend, Span, StoreError};
use tokio::sync::oneshot;

use crate::app::App;
use crate::app::audits::known_facts;
use crate::gateway::outcome::chain;
use crate::live::{LastHour, Level, SpaceLive};
use crate::replay::{self, History};
use crate::tasks::causes::CHANGES_KEPT;

/// How far back the detector looks at most: four weeks of hours.
const REACH: Duration = Duration::from_secs(28 * 86_400);

/// Samples of this age and younger are seen one by one, in milliseconds.
const FINE_AGE_MS: i64 = 2 * 3_600_000;

/// One port space, as it would be had the controller never stopped.
#[derive(Debug)]
struct Replayed {
    key: PortSpaceKey,
    space: SpaceLive,
}

/// Between two looks for hosts of which something is missing.
const PERIOD: Duration = Duration::from_secs(15);

/// Rebuilds every host, one after the other, and says so; then those that [`fill_gaps`] finds, until the stop.
pub async fn run(app: Arc<App>, rebuilt: oneshot::Sender<()>) {
    let stop = app.life.stop_token();
    tokio::select! {
        () = stop.cancelled() => {}
        () = work(&app, rebuilt) => {}
    }
}

async fn work(app: &App, rebuilt: oneshot::Sender<()>) {
    for host in app.live.ids() {
        if let Err(error) = recall_facts(app, host).await {
            tracing::error!(host.id = %host, error = chain(&error), "a host's facts are not known until its next audit");
        }
        if let Err(error) = rebuild(app, host).await {
            tracing::error!(host.id = %host, error = chain(&error), "a host's forecast starts anew: its history cannot be read");
        }
    }
    // Nobody waits any more at the stop.
    rebuilt.send(()).ok();
    // Alone nobody else stores anything.
    while app.store.backend() == Backend::Postgres {
        tokio::time::sleep(PERIOD).await;
        fill_gaps(app).await;
    }
}

/// Rebuilds the hosts of which other controllers stored more than they told, one after the other; says how many there were.
pub async fn fill_gaps(app: &App) -> usize {
    let hosts = app.company.gaps.take_settled(app.clock.now());
    for host in &hosts {
        if let Err(error) = rebuild(app, *host).await {
            tracing::warn!(host.id = %host, error = chain(&error), "what another controller stored of a host cannot be read; it is tried again");
            app.company.gaps.note(*host, app.clock.now());
        }
    }
    hosts.len()
}

async fn recall_facts(app: &App, host: HostId) -> Result<(), StoreError> {
    let since = app.clock.now().saturating_sub(CHANGES_KEPT);
    if let Some(stored) = known_facts(&app.store, host, since).await? {
        app.live.update(host, |live| live.facts.restore(stored));
    }
    Ok(())
}

async fn rebuild(app: &App, host: HostId) -> Result<(), StoreError> {
    let now = app.clock.now();
    let span = Span {
        from: now.saturating_sub(REACH),
        to: now.saturating_add(Duration::from_secs(1)),
    };
    let history = replay::load(&app.store, host, span).await?;
    let Some(settings) = app.live.read(host, |live| live.detector_settings()) else {
        return Ok(());
    };
    let Ok(replayed) = app
        .life
        .spawn_blocking(move || replay_spaces(&history, settings, now))
        .await
    else {
        tracing::error!(host.id = %host, "replaying a host's history ended abnormally");
        return Ok(());
    };
    app.live.update(host, |live| {
        for Replayed { key, space } in replayed {
            match live.spaces.get_mut(&key) {
                // The live level is newer; the replayed detector has seen more.
                Some(current) => {
                    current.detector = space.detector;
                    current.last_hour.absorb(&space.last_hour);
                    current.decide(now);
                }
                // The newest sample knows of none: it is gone.
                None if live.newest.is_some() => {}
                None => {
                    live.spaces.insert(key, space);
                }
            }
        }
    });
    Ok(())
}

fn replay_spaces(history: &History, settings: DetectorSettings, now: Timestamp) -> Vec<Replayed> {
    let stretches = history.stretches(now.unix_ms().saturating_sub(FINE_AGE_MS));
    let keys = stretches.spaces.keys().cloned();
    let replayed = keys.filter_map(|key| {
        let mut detector = SpaceDetector::new(settings);
        let mut level = None;
        let mut last_hour = LastHour::default();
        stretches.each(&key, |rollup| {
            detector.observe_rollup(rollup);
            last_hour.note(rollup.from, rollup.in_use.greatest);
            level = Some(level_of(rollup));
        });
        let mut space = SpaceLive::new(level?, detector);
        space.last_hour = last_hour;
        space.decide(now);
        Some(Replayed { key, space })
    });
    replayed.collect()
}

fn level_of(rollup: &Rollup<'_>) -> Level {
    Level {
        at: rollup.from,
        capacity: rollup.capacity,
        strong: rollup.strong.last,
        time_wait: rollup.in_use.last.saturating_sub(rollup.strong.last),
        bound: rollup.bound.map(|bound| bound.last),
        quality: CountQuality::Counted,
    }
}
