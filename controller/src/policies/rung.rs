//! From a rung to an action with all its parameters, and in which order rungs are offered.

use tidemark_model::HostId;
use tidemark_model::action::ActionSpec;
use tidemark_model::finding::RuleKind;
use tidemark_model::policy::{Condition, Policy, RungDeed, RungOrder};
use tidemark_model::sample::ProcessIdentity;
use tidemark_store::StoreError;

use super::sight::Seen;
use crate::app::App;
use crate::incidents::text::clean;
use crate::remediate::recovery::{rank, recoveries};

/// How sure a finding must be that names a culprit, where the condition is not that finding itself.
const NAMED: f64 = 0.6;

/// The places of a policy's rungs in the order in which they are offered on that host.
///
/// # Errors
/// When the database fails.
pub(super) async fn order(
    app: &App,
    policy: &Policy,
    (host, seen): (HostId, &Seen),
) -> Result<Vec<usize>, StoreError> {
    let mut places: Vec<usize> = (0..policy.ladder.len()).collect();
    match policy.spec.order {
        RungOrder::AsWritten => return Ok(places),
        RungOrder::ByRecovery => {}
    }
    let table = recoveries(app).await?;
    let row_of = |place: &usize| {
        let rung = policy.ladder.get(*place)?;
        let spec = spec_of(app, policy, &rung.deed, (host, seen)).ok()?;
        let row = table
            .iter()
            .find(|row| row.action == spec.kind() && row.subject == spec.subject());
        row.cloned()
    };
    // A sort keeps what is written among equals.
    places.sort_by_key(|place| rank(row_of(place).as_ref()));
    Ok(places)
}

/// The action of a rung on that host; the sentence why there is none where nobody can name its subject.
pub(super) fn spec_of(
    app: &App,
    policy: &Policy,
    deed: &RungDeed,
    (host, seen): (HostId, &Seen),
) -> Result<ActionSpec, String> {
    let spec = match deed {
        RungDeed::Ready(spec) => return Ok(spec.clone()),
        RungDeed::RestartCulprit {
            stop_timeout_s,
            on_hang,
        } => {
            let culprit = culprit(app, policy, (host, seen)).ok_or_else(nobody)?;
            let service = culprit.service.as_ref().ok_or_else(|| {
                format!(
                    "{} is no service, as far as its host can tell",
                    clean(&culprit.name)
                )
            })?;
            ActionSpec::RestartService {
                service: service.to_string(),
                stop_timeout_s: *stop_timeout_s,
                on_hang: *on_hang,
            }
        }
        RungDeed::EndCulprit => {
            let culprit = culprit(app, policy, (host, seen)).ok_or_else(nobody)?;
            ActionSpec::EndProcess {
                pid: culprit.pid,
                started_at_ms: culprit.started_at.unix_ms(),
                image: culprit.name.to_string(),
            }
        }
    };
    // The name is a host's: it may be anything.
    let problems: Vec<String> = spec.problems().iter().map(ToString::to_string).collect();
    if problems.is_empty() {
        Ok(spec)
    } else {
        Err(clean(&problems.join("; ")))
    }
}

fn nobody() -> String {
    "neither a finding nor the forecast names one culprit".to_owned()
}

/// The process that the condition's finding names, or else a cause that is found of the same port space, the forecast, or
/// the budget.
fn culprit(app: &App, policy: &Policy, (host, seen): (HostId, &Seen)) -> Option<ProcessIdentity> {
    let space = seen.space.as_ref();
    let space_name = space.map(ToString::to_string);
    let found = app.findings.load();
    let look = found.hosts.get(&host);
    let by_finding = look.and_then(|look| {
        let mut findings = look.found.iter().map(|one| &one.finding);
        findings.find_map(|finding| {
            let is_it = match &policy.condition {
                Condition::Finding { rule, .. } => finding.rule == *rule,
                Condition::Level { .. }
                | Condition::EtaWithin { .. }
                | Condition::EtaBeforeWindow { .. }
                | Condition::Event { .. }
                | Condition::Incident { .. }
                | Condition::Budget { .. } => {
                    finding.rule.kind() == RuleKind::Cause
                        && finding.confidence >= NAMED
                        && (space_name.is_none() || finding.port_space == space_name)
                }
            };
            finding.process.clone().filter(|_| is_it)
        })
    });
    by_finding.or_else(|| by_name(app, policy, (host, seen)))
}

/// The one process of the newest sample that has the name of whom the forecast or the budget blames.
fn by_name(app: &App, policy: &Policy, (host, seen): (HostId, &Seen)) -> Option<ProcessIdentity> {
    let space = seen.space.as_ref()?;
    let of_budget = match &policy.condition {
        Condition::Budget { name } => app
            .budgets
            .track(host, &(name.clone(), space.clone()))
            .and_then(|track| track.measurement.culprit),
        Condition::Level { .. }
        | Condition::EtaWithin { .. }
        | Condition::EtaBeforeWindow { .. }
        | Condition::Finding { .. }
        | Condition::Event { .. }
        | Condition::Incident { .. } => None,
    };
    let process = app.live.read(host, |live| {
        let of_forecast = live.spaces.get(space)?.forecast.culprit.as_deref();
        let name = of_budget.as_deref().or(of_forecast)?;
        let (_, sample) = live.newest.as_ref()?;
        let sampled = sample.port_spaces.iter().find(|one| one.key == *space)?;
        let mut named = sampled
            .owners
            .iter()
            .filter(|owner| *owner.process.name == *name);
        let one = named.next()?;
        // Which of several it is, the name does not say.
        named.next().is_none().then(|| one.process.clone())
    });
    process.flatten()
}
