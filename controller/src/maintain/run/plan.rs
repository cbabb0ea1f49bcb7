//! Plans runs: which hosts, in which order and waves, how long it takes, who is left out and why. A plan names by a hash
//! what it was made from, so that nobody approves one thing and another is done.

mod times;

use std::collections::HashSet;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tidemark_model::action::HostPolicyView;
use tidemark_model::run::{
    LeftOut, NOW, Run, RunBody, RunHost, RunHostBody, RunHostState, RunLifeStep, RunPlan, RunRules,
    RunSpec, RunState,
};
use tidemark_model::silence::Labels;
use tidemark_model::window::Occurrence;
use tidemark_model::{HostId, HostState, Timestamp};
use tidemark_store::{StoreError, Tx};

use super::machine::EXPIRES_AFTER;
use super::simulate::{self, Timetable};
use super::{RunError, record};
use crate::api::fleet;
use crate::app::App;
use crate::incidents::text::clean;
use crate::remediate::propose::is_own_host;

/// Hosts that are named as left out.
const LEFT_OUT_MAX: usize = 1_000;
/// Hosts of a run.
const HOSTS_MAX: usize = 5_000;
/// Hosts that a warning names.
const NAMED_MAX: usize = 5;

/// A run that is planned in the name of `requester`, not stored.
///
/// # Errors
/// [`RunError`].
pub async fn preview(app: &App, spec: RunSpec, requester: &str) -> Result<Run, RunError> {
    let mut tx = app.store.read().await?;
    planned(app, &mut tx, spec, requester).await
}

/// The same in a transaction.
pub(super) async fn planned(
    app: &App,
    tx: &mut Tx,
    spec: RunSpec,
    requester: &str,
) -> Result<Run, RunError> {
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
            requester: clean(requester),
            state_at_ms: now,
            seed: format!("{high:016x}{low:016x}"),
            ..RunBody::default()
        },
        hosts: Vec::new(),
    };
    let picked = pick(app, tx, &run.spec, &rules).await?;
    finish(app, tx, (run, &rules), picked).await
}

/// The run with another plan, when what its plan was made from changed; it waits for approvals then.
async fn anew(
    app: &App,
    tx: &mut Tx,
    run: &Run,
    rules: &RunRules,
) -> Result<Option<Run>, StoreError> {
    let planned = match pick(app, tx, &run.spec, rules).await {
        Ok(picked) if picked.hash == run.body.plan.hash => return Ok(None),
        Ok(picked) => finish(app, tx, (run.clone(), rules), picked).await,
        Err(error) => Err(error),
    };
    let now = app.clock.now();
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

/// Stores the run with another plan when what its plan was made from changed, with this text. What it answers is told once
/// it is committed.
///
/// # Errors
/// [`StoreError::Stale`] when somebody else changed the run meanwhile.
pub(super) async fn renew(
    app: &App,
    tx: &mut Tx,
    (run, rules): (&Run, &RunRules),
    text: &str,
) -> Result<Option<(Run, RunLifeStep)>, StoreError> {
    let Some(mut anew) = anew(app, tx, run, rules).await? else {
        return Ok(None);
    };
    let step = record(app, &anew, None, text);
    tx.run_update(&mut anew, std::slice::from_ref(&step))
        .await?;
    tx.run_hosts_clear(anew.number).await?;
    for host in &anew.hosts {
        tx.run_host_put(anew.number, host).await?;
    }
    Ok(Some((anew, step)))
}

/// One host that takes part.
struct Pick {
    id: HostId,
    name: String,
    spread: Option<String>,
    eta: Option<Timestamp>,
    wants_signatures: bool,
    is_connected: bool,
    times: Vec<Occurrence>,
}

/// Everybody who takes part, who does not, and the name of what that was found from.
struct Picked {
    hosts: Vec<Pick>,
    left_out: Vec<LeftOut>,
    hash: String,
}

async fn pick(
    app: &App,
    tx: &mut Tx,
    spec: &RunSpec,
    rules: &RunRules,
) -> Result<Picked, RunError> {
    let (ids, mut problems) = candidates(app, spec, rules);
    let book = app.windows.load_full();
    let window = book.find(&spec.window);
    if spec.window != NOW && window.is_none() {
        let name = &spec.window;
        problems.push(format!(
            "window is {name:?}; there is no such window, the list of windows has their names"
        ));
    }
    if ids.len() > HOSTS_MAX {
        let count = ids.len();
        problems.push(format!(
            "{count} hosts are chosen; a run may have {HOSTS_MAX}, make several"
        ));
    }
    if !problems.is_empty() {
        return Err(RunError::Limits(problems));
    }
    let (mut hosts, mut left_out) = (Vec::new(), Vec::new());
    for id in ids {
        let policy = tx.host_policy(id).await?.map(|(_, policy)| policy);
        match look(app, spec, rules, (id, policy)) {
            Ok(pick) => hosts.push(pick),
            Err(out) => left_out.push(out),
        }
    }
    if hosts.is_empty() {
        let why = left_out.first().map_or_else(String::new, |out| {
            format!(", as {} because {}", out.name, out.why)
        });
        return Err(RunError::Limits(vec![format!(
            "no host is left to work on: {} were chosen, all of them are left out{why}",
            left_out.len()
        )]));
    }
    hosts.sort_by_key(|host| (host.eta.is_none(), host.eta, host.name.clone(), host.id));
    let window = window.map(|held| held.window.spec().clone());
    let hash = hash_of(&(spec, window), &hosts, &left_out);
    Ok(Picked {
        hosts,
        left_out,
        hash,
    })
}

/// Hosts that are chosen, whatever becomes of them, and names that stand for none.
fn candidates(app: &App, spec: &RunSpec, rules: &RunRules) -> (Vec<HostId>, Vec<String>) {
    let mut problems = Vec::new();
    if spec.list.is_empty() {
        let is_chosen = |id: &HostId| {
            let labels = app.live.read(*id, crate::live::HostLive::labels);
            let is_for = |labels: Labels| rules.matchers.iter().all(|one| one.takes(&labels));
            labels.is_some_and(is_for)
        };
        let mut ids = app.live.ids();
        ids.retain(is_chosen);
        if ids.is_empty() {
            problems.push("hosts: no host matches; see `tidemark get hosts`".to_owned());
        }
        return (ids, problems);
    }
    let (mut seen, mut ids) = (HashSet::new(), Vec::new());
    for name in &spec.list {
        match fleet::find_host(app, name) {
            Ok(id) if seen.insert(id) => ids.push(id),
            Ok(_) => {}
            Err(error) => problems.push(format!("list: {error}")),
        }
    }
    (ids, problems)
}

fn look(
    app: &App,
    spec: &RunSpec,
    rules: &RunRules,
    (id, policy): (HostId, Option<HostPolicyView>),
) -> Result<Pick, LeftOut> {
    let now = app.clock.now();
    let known = app.live.read(id, |live| {
        let profile = &live.profile;
        let view = live.view(now);
        let eta = view
            .port_spaces
            .iter()
            .filter_map(|space| space.eta_ms)
            .min();
        let times = live.agenda.times_of(&spec.window).map(<[_]>::to_vec);
        let is_own = is_own_host(app, id, (&profile.name, &profile.boot_id));
        let name = clean(&profile.name);
        let state = (profile.standing, is_own, live.session.is_some());
        (name, live.labels(), state, eta, times)
    });
    let out = |name: String, why: &str| LeftOut {
        host: id.to_string(),
        name,
        why: why.to_owned(),
    };
    let Some((name, labels, (standing, is_own, is_connected), eta, times)) = known else {
        return Err(out(id.to_string(), "it is not known any more"));
    };
    let forbidden = policy.as_ref().and_then(|policy| {
        let mut kinds = rules.steps.iter().map(|step| step.spec.kind());
        let forbidden = kinds.find(|kind| !policy.allowed.contains(kind));
        forbidden.map(|kind| kind.as_str())
    });
    if standing != HostState::Enrolled {
        return Err(out(name, &format!("it is {}", standing.as_str())));
    }
    if is_own {
        return Err(out(name, "this controller runs on it"));
    }
    if let Some(kind) = forbidden {
        return Err(out(name, &format!("its policy does not allow {kind}")));
    }
    if spec.window != NOW && times.is_none() {
        let why = "the window is not for it, or its time zone is not known";
        return Err(out(name, why));
    }
    let spread = spec.spread.as_ref().and_then(|label| labels.get(label));
    Ok(Pick {
        id,
        spread: spread.filter(|value| !value.is_empty()).cloned(),
        eta: eta.map(Timestamp::from_unix_ms),
        wants_signatures: policy.is_some_and(|policy| policy.wants_signatures()),
        is_connected,
        times: times.unwrap_or_default(),
        name,
    })
}

/// Names what a plan is made from. Forecasts, connections and past durations are not in it: they change by the minute,
/// and what is done does not change with them.
fn hash_of(asked: &impl serde::Serialize, hosts: &[Pick], left_out: &[LeftOut]) -> String {
    let mut hosts: Vec<_> = hosts
        .iter()
        .map(|host| (host.id.to_string(), &host.spread, host.wants_signatures))
        .collect();
    hosts.sort();
    let mut out: Vec<_> = left_out.iter().map(|out| (&out.host, &out.why)).collect();
    out.sort();
    // Strings, numbers and lists of them always serialise.
    let text = serde_json::to_vec(&(asked, hosts, out)).unwrap_or_default();
    HEXLOWER.encode(&Sha256::digest(text))
}

/// Orders who takes part into waves, and imagines how it goes.
async fn finish(
    app: &App,
    tx: &mut Tx,
    (mut run, rules): (Run, &RunRules),
    picked: Picked,
) -> Result<Run, RunError> {
    let now = app.clock.now();
    let durations = times::durations(app, tx, rules).await?;
    run.hosts = hosts_of(rules, &picked.hosts, durations.total_ms());
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

fn hosts_of(rules: &RunRules, picked: &[Pick], expected_ms: i64) -> Vec<RunHost> {
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
                wave,
                spread: pick.spread.clone(),
                expected_ms,
                eta_ms: pick.eta,
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
    warn(
        named(|host| host.wants_signatures),
        "want a signature of each order, which is to be brought when it is their turn",
    );
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

#[cfg(test)]
mod tests;
