//! What keeps a policy from acting on a host at this moment. Decides; stores nothing.

use std::time::Duration;

use tidemark_model::action::ActionSpec;
use tidemark_model::policy::{ActWhen, Fixes};
use tidemark_model::time::duration_ms;
use tidemark_model::window::Occurrence;
use tidemark_model::{HostId, HostState, Timestamp};
use tidemark_store::{StoreError, Tx};

use super::Held;
use crate::app::App;
use crate::maintain;
use crate::remediate::gate::{DAY, RECENT_MAX};
use crate::remediate::propose::is_own;

/// An order is valid for so long at most, so that nothing is asked for a window that is further away.
const WINDOW_WITHIN: Duration = Duration::from_secs(13 * 86_400);
/// Firings of a host that are looked back at: more than may happen in a day.
const FIRED_MAX: u32 = 50;

/// Whether a policy may begin on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MayFire {
    /// It may.
    Yes,
    /// Not yet, and what it waits for.
    Wait(String),
    /// It did so too often: somebody must look.
    Escalate(String),
}

/// What keeps every policy from a host: a lockdown, the host's own, and that this controller runs there.
pub(super) async fn standing(
    app: &App,
    tx: &mut Tx,
    host: HostId,
) -> Result<Option<String>, StoreError> {
    let wait = |text: &str| Ok(Some(text.to_owned()));
    if tx.is_locked().await? {
        return wait("every action is stopped");
    }
    let Some(stored) = tx.host_find(host).await? else {
        return wait("its host is not known any more");
    };
    if stored.state != HostState::Enrolled {
        return Ok(Some(format!("its host is {}", stored.state.as_str())));
    }
    if is_own(app, &stored) {
        return wait("this controller runs on its host");
    }
    let told = tx.host_policy(host).await?;
    if told.is_some_and(|(_, policy)| policy.lockdown) {
        return wait("the host itself has stopped every action");
    }
    Ok(None)
}

/// Whether a policy's own limits let it begin.
pub(super) async fn may_fire(
    app: &App,
    tx: &mut Tx,
    (held, host): (&Held, HostId),
    now: Timestamp,
) -> Result<MayFire, StoreError> {
    if let Some(why) = standing(app, tx, host).await? {
        return Ok(MayFire::Wait(why));
    }
    let (name, limits) = (held.policy.name(), &held.policy.spec.limits);
    let day = now.saturating_sub(DAY);
    let since = day.min(now.saturating_sub(held.policy.cooldown));
    let before = tx
        .policy_cases_fired((name, host), since, FIRED_MAX)
        .await?;
    let in_day = before.iter().filter(|case| case.fired_at > Some(day));
    let in_day = in_day.count();
    if in_day >= limits.per_day as usize {
        return Ok(MayFire::Escalate(format!(
            "it acted {in_day} times within 24 h on this host; somebody must look for the cause"
        )));
    }
    let is_cooling = |ended: Timestamp| now.ms_since(ended) < duration_ms(held.policy.cooldown);
    if before
        .iter()
        .any(|case| case.ended_at.is_some_and(is_cooling))
    {
        return Ok(MayFire::Wait(format!(
            "it acted on this host less than {} ago",
            limits.cooldown
        )));
    }
    if tx.policy_cases_acting(name).await? >= u64::from(limits.concurrent) {
        return Ok(MayFire::Wait(format!(
            "it acts on {} hosts, as many as it may at once",
            limits.concurrent
        )));
    }
    Ok(match window(app, held, host, now) {
        Err(why) => MayFire::Wait(why),
        Ok(_) => MayFire::Yes,
    })
}

/// The window in which a policy may act on a host; `None` for one that may act at once.
pub(super) fn window(
    app: &App,
    held: &Held,
    host: HostId,
    now: Timestamp,
) -> Result<Option<Occurrence>, String> {
    match held.policy.spec.when {
        ActWhen::Now => return Ok(None),
        ActWhen::Window => {}
    }
    let (_, at) = maintain::standing_of(app, &[host], now)
        .ok_or_else(|| "its host has no maintenance window in which it could act".to_owned())?;
    if at.start > now.saturating_add(WINDOW_WITHIN) {
        return Err("its host's next maintenance window is more than 13 d away".to_owned());
    }
    Ok(Some(at))
}

/// How often the same was done to the same on a host within 24 h. What disturbs nobody may be done at any time.
pub(super) async fn fixes(
    app: &App,
    tx: &mut Tx,
    (host, spec): (HostId, &ActionSpec),
    now: Timestamp,
) -> Result<Fixes, StoreError> {
    let most = app.remediation.rules.fixes_per_day_max;
    if spec.tier().number() == 0 {
        let most = usize::MAX;
        return Ok(Fixes { done: 0, most });
    }
    let sent = tx
        .actions_sent_since(now.saturating_sub(DAY), RECENT_MAX)
        .await?;
    let of_host = sent.iter().filter(|one| one.host == host);
    let done = of_host.filter(|one| one.is_alike(spec)).count();
    Ok(Fixes { done, most })
}
