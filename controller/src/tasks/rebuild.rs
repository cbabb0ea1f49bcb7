//! After a start: each host's levels and detectors from its stored history, so that a restart forgets no trend.
//!
//! Runs beside live samples. What arrives while a host's history is read is in that history already, or missing from
//! its detector by a few samples, which no trend hangs on.

mod replay;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::{Entity, HostId, Timestamp};
use tidemark_store::{Span, StoreError, Tier, Tx};

use crate::app::App;
use crate::gateway::outcome::chain;
use replay::{History, Replayed};

/// How far back the detector looks at most (its widest scale is 10 days).
const REACH: Duration = Duration::from_secs(10 * 86_400);

/// Rebuilds every host, one after the other, then ends.
pub async fn run(app: Arc<App>) {
    let stop = app.life.stop_token();
    for host in app.live.ids() {
        let rebuilt = tokio::select! {
            () = stop.cancelled() => return,
            rebuilt = rebuild(&app, host) => rebuilt,
        };
        if let Err(error) = rebuilt {
            tracing::error!(%host, error = chain(&error), "a host's forecast starts anew: its history cannot be read");
        }
    }
}

async fn rebuild(app: &App, host: HostId) -> Result<(), StoreError> {
    let now = app.clock.now();
    let history = load(app, host, now).await?;
    let Some(settings) = app.live.read(host, |live| live.detector_settings()) else {
        return Ok(());
    };
    let Ok(replayed) = app
        .life
        .spawn_blocking(move || replay::replay(&history, settings, now))
        .await
    else {
        tracing::error!(%host, "replaying a host's history ended abnormally");
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
                None => {
                    live.spaces.insert(key, space);
                }
            }
        }
    });
    Ok(())
}

async fn load(app: &App, host: HostId, now: Timestamp) -> Result<History, StoreError> {
    let span = Span {
        from: now.saturating_sub(REACH),
        to: now.saturating_add(Duration::from_secs(1)),
    };
    let mut tx = app.store.read().await?;
    let mut history = History::default();
    for row in tx.entities_of(host).await? {
        history
            .entities
            .extend(Entity::from_text(&row.text).map(|entity| (row.number, entity)));
    }
    load_segments(&mut tx, host, span, &mut history).await?;
    tx.recent_each(host, span, |batch| {
        history.recent.push(batch.body);
        ControlFlow::Continue(())
    })
    .await?;
    Ok(history)
}

async fn load_segments(
    tx: &mut Tx,
    host: HostId,
    span: Span,
    history: &mut History,
) -> Result<(), StoreError> {
    tx.segments_each(host, Tier::Raw, span, |segment| {
        history.segments.push(segment.body);
        ControlFlow::Continue(())
    })
    .await
}
