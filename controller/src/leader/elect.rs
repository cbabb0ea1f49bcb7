//! Takes the lease, renews it, and gives it back at the stop. On SQLite there is one controller, which has it from its start on.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_store::{Backend, Lease, StoreError, Term};
use tokio::time::Instant;

use super::{Lead, Leader, Standing};
use crate::app::App;
use crate::gateway::outcome::chain;

/// How long the lease holds unless it is renewed.
const TTL: Duration = Duration::from_secs(15);
/// Between two renewals, and two looks of those that do not lead.
const PERIOD: Duration = Duration::from_secs(5);
/// Between two tries while the database is away.
const RETRY: Duration = Duration::from_secs(1);
/// After the beginning of its last renewal a controller does not believe any more that it leads: well before the lease runs out,
/// by its own monotonic clock, since it may have been stopped and the database be away.
const FENCE: Duration = Duration::from_secs(10);
/// Longest that one try may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// After the end of another's lease, so that it is over by the database's clock, too.
const BEHIND: Duration = Duration::from_millis(20);

/// Takes the lease for the first time, before any task asks who leads.
///
/// # Errors
/// What the database says.
pub async fn begin(app: &App) -> Result<(), StoreError> {
    match app.store.backend() {
        Backend::Postgres => app.leader.stand(look(app).await?),
        Backend::Sqlite => {
            let now = app.clock.now();
            let mut tx = app.store.begin().await?;
            let lease = tx.lease_seize(&app.leader.holder, now).await?;
            tx.commit().await?;
            app.leader.stand(here(&app.leader, &lease, None));
        }
    }
    Ok(())
}

/// Looks after the lease until the stop, and gives it back then.
pub async fn run(app: Arc<App>) {
    let stop = app.life.stop_token();
    match app.store.backend() {
        Backend::Sqlite => stop.cancelled().await,
        Backend::Postgres => tokio::select! {
            () = stop.cancelled() => {}
            () = look_after(&app) => {}
        },
    }
    give_back(&app).await;
}

async fn look_after(app: &App) {
    let leader = &app.leader;
    let mut pause = pause(&leader.standing());
    let mut is_failing = false;
    loop {
        tokio::select! {
            () = leader.asked.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        match look_within(app).await {
            Ok(standing) => {
                is_failing = false;
                pause = self::pause(&standing);
                tell(&leader.standing.borrow(), &standing);
                leader.stand(standing);
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(
                        error = chain(&error),
                        "who leads cannot be looked at; it is tried again"
                    );
                }
                pause = RETRY.min(until_fence(leader));
                hold_fence(leader);
            }
        }
    }
}

/// One look, which ends where its outcome would not be believed any more.
async fn look_within(app: &App) -> Result<Standing, StoreError> {
    let patience = PATIENCE.min(until_fence(&app.leader));
    let looked = tokio::time::timeout(patience, look(app)).await;
    looked.unwrap_or_else(|_| Err(StoreError::timed_out()))
}

/// Takes or renews the lease, or reads who has it.
async fn look(app: &App) -> Result<Standing, StoreError> {
    let began = Instant::now();
    let now = app.clock.now();
    let holder = &app.leader.holder;
    let mut tx = app.store.begin().await?;
    if let Some(lease) = tx.lease_take(holder, TTL, now).await? {
        tx.commit().await?;
        return Ok(here(&app.leader, &lease, Some(began + FENCE)));
    }
    let lease = tx.lease_find(now).await?;
    tx.rollback().await?;
    Ok(Standing::Elsewhere(lease))
}

fn here(leader: &Leader, lease: &Lease, fence_at: Option<Instant>) -> Standing {
    Standing::Here(Lead {
        term: Term {
            holder: leader.holder.clone(),
            epoch: lease.epoch,
        },
        since: lease.since,
        fence_at,
    })
}

/// Until the next look.
fn pause(standing: &Standing) -> Duration {
    match standing {
        Standing::Here(lead) if lead.holds() => PERIOD,
        // It took so long that it does not count.
        Standing::Here(_) | Standing::Unknown => RETRY,
        Standing::Elsewhere(lease) => left(lease.until, lease.now).min(PERIOD) + BEHIND,
    }
}

/// What is left of a lease.
fn left(until: Timestamp, now: Timestamp) -> Duration {
    let ms = until.ms_since(now);
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// Time until this controller must not believe any more that it leads; long when it does not.
fn until_fence(leader: &Leader) -> Duration {
    match &*leader.standing.borrow() {
        Standing::Here(lead) => match lead.fence_at {
            Some(at) if lead.holds() => at.saturating_duration_since(Instant::now()),
            // It is past: what is found out next counts.
            Some(_) | None => PATIENCE,
        },
        Standing::Elsewhere(_) | Standing::Unknown => PATIENCE,
    }
}

/// Says that this controller does not lead any more where that is so.
fn hold_fence(leader: &Leader) {
    let is_past = matches!(&*leader.standing.borrow(), Standing::Here(lead) if !lead.holds());
    if is_past {
        tracing::warn!("this controller does not lead until its database answers again");
        leader.stand(Standing::Unknown);
    }
}

/// Says in the log what has changed.
fn tell(before: &Standing, after: &Standing) {
    match (before, after) {
        (Standing::Here(was), Standing::Here(is)) if was.term == is.term => {}
        (_, Standing::Here(is)) => tracing::info!(epoch = is.term.epoch, "this controller leads"),
        (Standing::Elsewhere(was), Standing::Elsewhere(is)) if was.epoch == is.epoch => {}
        (_, Standing::Elsewhere(is)) => tracing::info!(
            epoch = is.epoch,
            holder = is.holder,
            "another controller leads"
        ),
        (_, Standing::Unknown) => {}
    }
}

/// Lets another controller take over at once. What is under way here is refused from then on, or committed before.
async fn give_back(app: &App) {
    let Some(term) = app.leader.term() else {
        return;
    };
    app.leader.stand(Standing::Unknown);
    let given = async {
        let mut tx = app.store.begin().await?;
        tx.lease_give_back(&term).await?;
        tx.commit().await
    };
    let given = tokio::time::timeout(PATIENCE, given).await;
    if let Err(error) = given.unwrap_or_else(|_| Err(StoreError::timed_out())) {
        tracing::warn!(
            error = chain(&error),
            "the lease is not given back: another controller leads when it runs out"
        );
    }
}
