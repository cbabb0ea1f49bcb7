//! Plans runs: which hosts, in which order and waves, how long it takes, who is left out and why. A plan names by a hash
//! what it was made from, so that nobody approves one thing and another is done.

mod pick;
mod times;

use tidemark_model::Timestamp;
use tidemark_model::audit_log::Deed;
use tidemark_model::run::{
    Run, RunBody, RunHost, RunHostBody, RunHostState, RunLifeStep, RunPlan, RunRules, RunSpec,
    RunState,
};
use tidemark_store::{StoreError, Tx};

use self::pick::{Pick, Picked, pick};
use super::machine::EXPIRES_AFTER;
use super::simulate::{self, Timetable};
use super::{RunError, ahead, record, tell};
use crate::access::users::By;
use crate::app::App;
use crate::audit_log::of_run;
use crate::incidents::text::clean;

/// Hosts that are named as left out.
const LEFT_OUT_MAX: usize = 1_000;
/// Hosts of a run.
const HOSTS_MAX: usize = 5_000;
/// Hosts that a warning names.
const NAMED_MAX: usize = 5;

/// A run that is planned in the name of `by`, over their hosts, not stored.
///
/// # Errors
/// [`RunError`].
pub async fn preview(app: &App, spec: RunSpec, by: &By) -> Result<Run, RunError> {
    let mut tx = app.store.read().await?;
    planned(app, &mut tx, spec, by).await
}

/// The same as [`preview`] in a transaction, which need only read.
async fn planned(app: &App, tx: &mut Tx, spec: RunSpec, by: &By) -> Result<Run, RunError> {
    let rules = spec.check().map_err(RunError::Limits)?;
    let now = app.clock.now();
    let (high, low) = (app.entropy.u64(), app.entropy.u64());
    let run = Run {
        number: 0,
        generation: 1,
        spec,
        state: RunState::Planned,
        deadline: Some(now.saturating_add(EXPIRES_AFTER)),
        created_at: now,
        ended_at: None,
        body: RunBody {
            requester: clean(&by.name),
            scope: by.scope.to_text(),
            state_at_ms: now,
            seed: format!("{high:016x}{low:016x}"),
            ..RunBody::default()
        },
        hosts: Vec::new(),
    };
    let picked = pick(app, tx, (&run, &rules), now).await?;
    finish(app, tx, (run, &rules), picked).await
}

/// Makes the plan of a run again when what it was made from changed, with this text; it waits for approvals then. Says
/// whether it did. What is read for it holds up nobody who writes.
///
/// # Errors
/// When the database fails; [`StoreError::Stale`] when somebody else changed the run meanwhile.
pub(super) async fn renew(
    app: &App,
    (run, rules): (&Run, &RunRules),
    text: &str,
) -> Result<bool, StoreError> {
    let mut tx = app.store.read().await?;
    let Some(mut anew) = anew(app, &mut tx, (run, rules)).await? else {
        return Ok(false);
    };
    drop(tx);
    let mut tx = app.store.begin().await?;
    let step = store_anew(app, &mut tx, (&mut anew, rules), text).await?;
    let record = of_run(app, Deed::RunStep, &anew).in_own_name();
    record.with("why", text).keep(&mut tx).await?;
    tx.commit().await?;
    tell(app, &anew, &step);
    Ok(true)
}

/// The run with another plan, when what its plan was made from changed. Only reads.
async fn anew(
    app: &App,
    tx: &mut Tx,
    (run, rules): (&Run, &RunRules),
) -> Result<Option<Run>, StoreError> {
    let now = app.clock.now();
    let made_at = ahead::made_at(run, now);
    let planned = match pick(app, tx, (run, rules), made_at).await {
        Ok(picked) if picked.hash == run.body.plan.hash => return Ok(None),
        Ok(_) => match pick(app, tx, (run, rules), now).await {
            Ok(picked) => finish(app, tx, (run.clone(), rules), picked).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    let mut anew = match planned {
        Ok(anew) => anew,
        Err(RunError::Store(error)) => return Err(error),
        // There is nothing left to plan: people see why, and nothing can be approved.
        Err(why) => {
            let mut empty = run.clone();
            empty.hosts.clear();
            empty.body.plan = RunPlan {
                hash: String::new(),
                made_at_ms: now,
                warnings: vec![format!("it cannot be planned: {why}")],
                ..RunPlan::default()
            };
            empty
        }
    };
    anew.state = RunState::Planned;
    anew.body.state_at_ms = now;
    Ok(Some(anew))
}

/// Stores a run with the plan that was made again, in place of the one with the former plan, with this text. Signatures of
/// the former plan's orders are dropped with them. What it answers is told once it is committed.
///
/// # Errors
/// [`StoreError::Stale`] when somebody else changed the run meanwhile.
async fn store_anew(
    app: &App,
    tx: &mut Tx,
    (anew, rules): (&mut Run, &RunRules),
    text: &str,
) -> Result<RunLifeStep, StoreError> {
    let dropped = tx.run_orders_clear(anew.number).await?;
    let text = match dropped {
        0 => text.to_owned(),
        dropped => format!("{text}; {dropped} signatures of its orders were dropped"),
    };
    let step = record(app, anew, None, &text);
    tx.run_update(anew, std::slice::from_ref(&step)).await?;
    tx.run_hosts_clear(anew.number).await?;
    for host in &anew.hosts {
        tx.run_host_put(anew.number, host).await?;
    }
    let orders = ahead::orders(anew, rules);
    tx.run_orders_put(anew.number, &orders).await?;
    Ok(step)
}

/// Orders who takes part into waves, and imagines how it goes.
async fn finish(
    app: &App,
    tx: &mut Tx,
    (mut run, rules): (Run, &RunRules),
    picked: Picked,
) -> Result<Run, RunError> {
    let now = picked.made_at;
    let durations = times::durations(app, tx, rules).await?;
    run.hosts = hosts_of(rules, &picked.hosts, (durations.total_ms(), now));
    ahead::bound(&mut run, rules);
    let timetable = Timetable {
        windows: picked.hosts.iter().map(|host| host.times.clone()).collect(),
        step_ms: durations.step_ms.clone(),
        limits: &app.remediation.rules,
        now,
    };
    simulate::simulate(&mut run, rules, &timetable);
    let (starts, ends) = (
        run.hosts
            .iter()
            .filter_map(|host| host.body.expected_start_ms),
        run.hosts
            .iter()
            .filter_map(|host| host.body.expected_end_ms),
    );
    let mut left_out = picked.left_out;
    let left_out_count = left_out.len() as u64;
    left_out.truncate(LEFT_OUT_MAX);
    run.body.plan = RunPlan {
        hash: picked.hash,
        made_at_ms: now,
        starts_at_ms: starts.min(),
        finishes_at_ms: ends.max(),
        times_from: durations.from,
        warnings: warnings(app, &run, &picked.hosts),
        left_out,
        left_out_count,
    };
    Ok(run)
}

fn hosts_of(
    rules: &RunRules,
    picked: &[Pick],
    (expected_ms, now): (i64, Timestamp),
) -> Vec<RunHost> {
    let all = picked.len();
    let mut sizes = rules.waves.iter();
    let (mut wave, mut room, mut left) = (0_u32, 0_usize, all);
    let mut is_first = true;
    let mut hosts = Vec::with_capacity(all);
    for (place, pick) in picked.iter().enumerate() {
        while room == 0 {
            let Some(size) = sizes.next() else {
                room = left;
                break;
            };
            room = size.size(all, left);
            if !std::mem::take(&mut is_first) {
                wave = wave.saturating_add(1);
            }
        }
        room = room.saturating_sub(1);
        left = left.saturating_sub(1);
        hosts.push(RunHost {
            place: u32::try_from(place).unwrap_or(u32::MAX),
            host: pick.id,
            state: RunHostState::Pending,
            body: RunHostBody {
                name: pick.name.as_str().into(),
                state_at_ms: now,
                wave,
                spread: pick.spread.clone(),
                expected_ms,
                eta_ms: pick.eta,
                ahead: pick.ahead,
                ..RunHostBody::default()
            },
        });
    }
    hosts
}

/// What whoever approves should know.
fn warnings(app: &App, run: &Run, picked: &[Pick]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |names: Vec<&str>, what: &str| {
        if !names.is_empty() {
            let more = names.len().saturating_sub(NAMED_MAX);
            let listed = names.get(..NAMED_MAX).unwrap_or(&names).join(", ");
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let count = names.len();
            warnings.push(format!("{count} hosts {what}: {listed}{more}"));
        }
    };
    let late = |host: &&RunHost| host.body.expected_end_ms.is_none();
    let names = |hosts: Vec<&RunHost>| -> Vec<String> {
        hosts
            .iter()
            .map(|host| host.body.name.to_string())
            .collect()
    };
    let late = names(run.hosts.iter().filter(late).collect());
    warn(
        late.iter().map(String::as_str).collect(),
        "will not fit, by the expected times",
    );
    let exhausted = |host: &&RunHost| {
        let turn = host.body.expected_start_ms;
        let eta = host.body.eta_ms;
        eta.is_some_and(|eta| turn.is_none_or(|turn| eta < turn))
    };
    let exhausted = names(run.hosts.iter().filter(exhausted).collect());
    warn(
        exhausted.iter().map(String::as_str).collect(),
        "run out of ports before their turn, by the forecast",
    );
    let named = |is: fn(&Pick) -> bool| -> Vec<&str> {
        let hosts = picked.iter().filter(|host| is(host));
        hosts.map(|host| &*host.name).collect()
    };
    for (names, what) in signing(&run.hosts, picked) {
        warn(names, &what);
    }
    warn(named(|host| !host.is_connected), "are not connected");
    let limits = &app.remediation.rules;
    if run.spec.tier().number() > 0 && picked.len() > limits.per_hour_max {
        warnings.push(format!(
            "no more than {} actions are begun within an hour (remediation.per_hour_max)",
            limits.per_hour_max
        ));
    }
    warnings
}

/// Hosts that want signatures, by whether they can be brought before their turn, and why not.
fn signing<'p>(hosts: &[RunHost], picked: &'p [Pick]) -> [(Vec<&'p str>, String); 3] {
    let those = |is: fn(&Pick, &RunHost) -> bool| -> Vec<&'p str> {
        let both = picked.iter().zip(hosts);
        let wanting = both.filter(|(pick, host)| pick.wants_signatures && is(pick, host));
        wanting.map(|(pick, _)| &*pick.name).collect()
    };
    let most = ahead::ORDERS_MAX;
    [
        (
            those(|_, host| host.body.ahead.is_some()),
            "want a signature of each order; bring them before their turn (tidemark run sign)".to_owned(),
        ),
        (
            those(|pick, host| host.body.ahead.is_none() && pick.ahead.is_some()),
            format!("want a signature of each order, which cannot be brought before their turn: a plan has {most} orders at most; split the run"),
        ),
        (
            those(|pick, _| pick.ahead.is_none()),
            "want a signature of each order, which cannot be brought before their turn: that is further away than an order may be signed".to_owned(),
        ),
    ]
}

#[cfg(test)]
mod tests;
