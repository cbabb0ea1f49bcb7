//! What is known of a run's hosts at this moment: their windows, health, connections and actions.

use std::collections::{BTreeSet, HashMap, HashSet};

use tidemark_model::action::{Action, ActionState};
use tidemark_model::problem::Severity;
use tidemark_model::run::{GateCheck, NOW, Run, RunHost, RunHostState};
use tidemark_model::{HostId, HostScope, HostState, Timestamp};
use tidemark_store::{IncidentQuery, Standing, StoreError, Tx};

use super::machine::{ActionNow, Facts, Health, HostNow, WindowNow};
use crate::app::App;
use crate::live::HostLive;
use crate::remediate::last_word;
use crate::remediate::propose::is_own_host;

/// Critical incidents that are looked at.
const CRITICAL_MAX: u32 = 10_000;

/// What holds for all runs alike.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Hosts with a critical incident that is not over.
    critical: HashSet<HostId>,
    /// Numbers of the runs that are at work at each host.
    at_work: HashMap<HostId, BTreeSet<i64>>,
    is_locked: bool,
}

impl Shared {
    /// Reads it.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn read(tx: &mut Tx) -> Result<Self, StoreError> {
        let query = IncidentQuery {
            before: None,
            state: None,
            standing: Standing::NotOver,
            severity: Some(Severity::Critical),
            host: None,
            since: None,
            limit: CRITICAL_MAX,
        };
        let critical = tx.incidents_page(&query).await?;
        Ok(Self {
            critical: critical
                .into_iter()
                .flat_map(|incident| incident.problem.hosts)
                .collect(),
            at_work: HashMap::new(),
            is_locked: tx.is_locked().await?,
        })
    }

    /// Takes in where a run is at work.
    pub(super) fn note(&mut self, run: &Run) {
        for host in run.hosts.iter().filter(|host| host.state.is_under_way()) {
            self.at_work
                .entry(host.host)
                .or_default()
                .insert(run.number);
        }
    }
}

/// What is known of the hosts of a run.
///
/// # Errors
/// When the database fails.
pub(super) async fn facts(
    app: &App,
    tx: &mut Tx,
    run: &Run,
    shared: &Shared,
) -> Result<Facts, StoreError> {
    let now = app.clock.now();
    let scope = run.scope().ok();
    let mut hosts = Vec::with_capacity(run.hosts.len());
    for host in &run.hosts {
        let is_asked = host.state.is_under_way() || host.state == RunHostState::Failed;
        let action = match host.body.action.filter(|_| is_asked) {
            Some(id) => tx.action_find(id).await?,
            None => None,
        };
        // Nobody reads them of a host that failed.
        let text = match &action {
            Some(action) if host.state.is_under_way() => words(tx, action).await?,
            Some(_) | None => String::new(),
        };
        let known = app.live.read(host.host, |live| {
            look(app, (run, shared), live, action.as_ref(), now)
        });
        let mut known = known.unwrap_or_else(unknown);
        let is_within = |scope: &HostScope| app.live.is_within(host.host, scope);
        if !scope.as_ref().is_some_and(is_within) {
            let why = "it left the scope of whoever asked for the run";
            known.before = Health::Never(why.to_owned());
        }
        known.action = action.map(|action| ActionNow {
            state: action.state,
            sent_at: action.sent_at,
            ended_at: action.ended_at,
            is_worse: action.is_worse(),
            text,
        });
        hosts.push(known);
    }
    Ok(Facts {
        hosts,
        is_locked: shared.is_locked,
    })
}

fn unknown() -> HostNow {
    let why = || "it is not known any more".to_owned();
    HostNow {
        window: WindowNow::Never,
        before: Health::Never(why()),
        after: Health::Wait(why()),
        is_connected: false,
        boot: None,
        action: None,
    }
}

/// What an action waits for, or why it ended.
async fn words(tx: &mut Tx, action: &Action) -> Result<String, StoreError> {
    if let Some(waits_for) = &action.body.waits_for {
        return Ok(waits_for.clone());
    }
    if !action.state.is_final() || action.state == ActionState::Verified {
        return Ok(String::new());
    }
    Ok(last_word(tx, action.id()).await?.1)
}

fn look(
    app: &App,
    (run, shared): (&Run, &Shared),
    live: &HostLive,
    action: Option<&Action>,
    now: Timestamp,
) -> HostNow {
    let done_at = action.and_then(|action| action.body.done_at_ms);
    let is_critical = shared.critical.contains(&live.profile.id);
    let gate = |checks: &[GateCheck], since: Option<Timestamp>| {
        let failing = checks
            .iter()
            .find_map(|check| fails(*check, live, (is_critical, since), now));
        failing.map_or(Health::Good, Health::Wait)
    };
    HostNow {
        window: window(run, live, now),
        before: barred(app, (run, shared), live)
            .unwrap_or_else(|| gate(&run.spec.gate_before, None)),
        after: gate(&run.spec.gate_after, done_at),
        is_connected: live.is_connected(),
        boot: Some(live.profile.boot_id.to_string()).filter(|boot| !boot.is_empty()),
        action: None,
    }
}

/// What keeps a host whatever its health is.
fn barred(app: &App, (run, shared): (&Run, &Shared), live: &HostLive) -> Option<Health> {
    let profile = &live.profile;
    if profile.standing != HostState::Enrolled {
        let state = profile.standing.as_str();
        return Some(Health::Never(format!("it is {state}")));
    }
    if is_own_host(app, profile.id, (&profile.name, &profile.boot_id)) {
        return Some(Health::Never("this controller runs on it".to_owned()));
    }
    let mut at_work = shared.at_work.get(&profile.id).into_iter().flatten();
    if let Some(number) = at_work.find(|number| **number != run.number) {
        return Some(Health::Wait(format!("run {number} is at work on it")));
    }
    // A session that takes no actions does not learn it while it lasts.
    let elsewhere = live.elsewhere.as_ref();
    let is_deaf = app.remediation.lanes.takes_actions(profile.id) == Some(false)
        || elsewhere.and_then(|elsewhere| elsewhere.takes_actions) == Some(false);
    is_deaf.then(|| Health::Wait("its agent takes no actions; update it".to_owned()))
}

/// Why a host does not pass a check; `since` is when its last step was done, which samples must be from after.
fn fails(
    check: GateCheck,
    live: &HostLive,
    (is_critical, since): (bool, Option<Timestamp>),
    now: Timestamp,
) -> Option<String> {
    match check {
        GateCheck::Connected => {
            (!live.is_connected()).then(|| "its agent is not connected".to_owned())
        }
        GateCheck::Fresh => {
            let newest = live.newest.as_ref().map(|(at, _)| *at);
            let is_new = newest.is_some_and(|at| since.is_none_or(|since| at > since));
            let is_fresh = is_new && live.state(now) == "online";
            (!is_fresh).then(|| "its samples are not fresh".to_owned())
        }
        GateCheck::Headroom => live.spaces.iter().find_map(|(space, live)| {
            let level = live.level;
            let left = level.capacity.saturating_sub(level.in_use());
            (left < level.capacity / 10).then(|| {
                let protocol = space.protocol.as_str().to_uppercase();
                let capacity = level.capacity;
                format!("{left} of {capacity} {protocol} ports are left")
            })
        }),
        GateCheck::Incidents => {
            is_critical.then(|| "it has a critical incident that is not over".to_owned())
        }
    }
}

fn window(run: &Run, live: &HostLive, now: Timestamp) -> WindowNow {
    if run.spec.window == NOW {
        return WindowNow::Open(None);
    }
    let times = live.agenda.times_of(&run.spec.window).unwrap_or_default();
    WindowNow::of(times, now)
}

/// Whether a host of a run may be begun at this moment, as far as its window goes.
pub(super) fn is_any_open(app: &App, run: &Run, now: Timestamp) -> bool {
    let is_open = |host: &RunHost| {
        let window = app.live.read(host.host, |live| window(run, live, now));
        matches!(window, Some(WindowNow::Open(_)))
    };
    run.hosts.iter().any(is_open)
}
