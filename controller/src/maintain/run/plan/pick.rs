//! Picks the hosts of a run: who takes part, who does not and why, and the name of what that was found from.

use std::collections::HashSet;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tidemark_model::action::HostPolicyView;
use tidemark_model::run::{LeftOut, NOW, Run, RunRules, RunSpec, SignedAhead};
use tidemark_model::silence::Labels;
use tidemark_model::window::Occurrence;
use tidemark_model::{HostId, HostScope, HostState, Timestamp};
use tidemark_store::Tx;

use super::HOSTS_MAX;
use crate::api::fleet;
use crate::app::App;
use crate::incidents::text::clean;
use crate::maintain::run::{RunError, ahead};
use crate::remediate::propose::is_own_host;
use crate::remediate::undo;

/// One host that takes part.
pub(super) struct Pick {
    pub(super) id: HostId,
    pub(super) name: String,
    pub(super) spread: Option<String>,
    pub(super) eta: Option<Timestamp>,
    pub(super) wants_signatures: bool,
    /// When its orders hold that can be signed before its turn.
    pub(super) ahead: Option<SignedAhead>,
    pub(super) is_connected: bool,
    pub(super) times: Vec<Occurrence>,
}

/// Everybody who takes part, who does not, and the name of what that was found from.
pub(super) struct Picked {
    /// When the plan is made.
    pub(super) made_at: Timestamp,
    pub(super) hosts: Vec<Pick>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) hash: String,
}

/// Picks the hosts for a plan that is made at `made_at`. Reads what hosts told of their policies at once.
///
/// # Errors
/// [`RunError`], when there is nothing to plan.
pub(super) async fn pick(
    app: &App,
    tx: &mut Tx,
    (run, rules): (&Run, &RunRules),
    made_at: Timestamp,
) -> Result<Picked, RunError> {
    let spec = &run.spec;
    let scope = run.scope();
    let scope = scope.map_err(|error| RunError::Limits(vec![format!("its scope: {error}")]))?;
    let (ids, mut problems) = candidates(app, (spec, rules), &scope);
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
    let mut policies = tx.host_policies_of(&ids).await?;
    let (mut hosts, mut left_out) = (Vec::new(), Vec::new());
    for id in ids {
        let policy = policies.remove(&id);
        match look(app, (spec, rules), (id, policy), made_at) {
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
        made_at,
        hosts,
        left_out,
        hash,
    })
}

/// Hosts of the scope that are chosen, whatever becomes of them, and names that stand for none.
fn candidates(
    app: &App,
    (spec, rules): (&RunSpec, &RunRules),
    scope: &HostScope,
) -> (Vec<HostId>, Vec<String>) {
    let mut problems = Vec::new();
    if spec.list.is_empty() {
        let is_chosen = |id: &HostId| {
            let labels = app.live.read(*id, crate::live::HostLive::labels);
            let is_for = |labels: Labels| rules.matchers.iter().all(|one| one.takes(&labels));
            labels.is_some_and(is_for)
        };
        let mut ids = app.live.ids_within(scope);
        ids.retain(is_chosen);
        if ids.is_empty() {
            problems.push("hosts: no host matches; see `tidemark get hosts`".to_owned());
        }
        return (ids, problems);
    }
    let (mut seen, mut ids) = (HashSet::new(), Vec::new());
    for name in &spec.list {
        match fleet::find_within(app, scope, name) {
            Ok(id) if seen.insert(id) => ids.push(id),
            Ok(_) => {}
            Err(error) => problems.push(format!("list: {error}")),
        }
    }
    (ids, problems)
}

fn look(
    app: &App,
    (spec, rules): (&RunSpec, &RunRules),
    (id, policy): (HostId, Option<HostPolicyView>),
    made_at: Timestamp,
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
        let state = (profile.standing, is_own, live.is_connected());
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
    let coming = times.as_deref().filter(|_| spec.window != NOW);
    let wants_signatures = policy
        .as_ref()
        .is_some_and(HostPolicyView::wants_signatures);
    let undo_within_s = policy
        .filter(|policy| policy.undoes)
        .map(|_| undo::within(app));
    Ok(Pick {
        id,
        spread: spread.filter(|value| !value.is_empty()).cloned(),
        eta: eta.map(Timestamp::from_unix_ms),
        wants_signatures,
        ahead: ahead::times(coming, (made_at, now), undo_within_s).filter(|_| wants_signatures),
        is_connected,
        times: times.unwrap_or_default(),
        name,
    })
}

/// Names what a plan is made from. Forecasts, connections and past durations are not in it: they change by the minute,
/// and what is done does not change with them.
pub(super) fn hash_of(
    asked: &impl serde::Serialize,
    hosts: &[Pick],
    left_out: &[LeftOut],
) -> String {
    let mut hosts: Vec<_> = hosts
        .iter()
        .map(|host| {
            let signing = (host.wants_signatures, host.ahead);
            (host.id.to_string(), &host.spread, signing)
        })
        .collect();
    hosts.sort_by(|one, other| one.0.cmp(&other.0));
    let mut out: Vec<_> = left_out.iter().map(|out| (&out.host, &out.why)).collect();
    out.sort();
    // Strings, numbers and lists of them always serialise.
    let text = serde_json::to_vec(&(asked, hosts, out)).unwrap_or_default();
    HEXLOWER.encode(&Sha256::digest(text))
}
