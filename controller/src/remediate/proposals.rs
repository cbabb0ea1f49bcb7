//! What can be ordered for an incident: the steps of its hosts' playbooks as typed actions, those that have worked first.

use std::time::Duration;

use tidemark_diagnose::Os;
use tidemark_model::action::spec::{IpFamily, Lasting, OnHang, TcpParameter};
use tidemark_model::action::{ActionKind, ActionSpec, HostPolicyView};
use tidemark_model::finding::{Finding, PlaybookStep};
use tidemark_model::incident::Incident;
use tidemark_model::view::{ProposalView, RecoveryView};
use tidemark_model::{HostId, Protocol};
use tidemark_store::StoreError;

use super::recovery::{rank, recoveries};
use crate::access::Horizon;
use crate::diagnosis::findings;
use crate::incidents::text::clean;

/// Hosts of an incident that are looked at.
const HOSTS_MAX: usize = 5;
/// Proposals of one incident.
const PROPOSALS_MAX: usize = 30;
/// What a playbook asks for: enough for a trend of the owners.
const EVIDENCE_SECONDS: u32 = 10;
/// The range that playbooks name: above the ports of nearly all services.
const WIDE_RANGE: (u16, u16) = (10_000, 65_535);
const CONFIRM_WITHIN: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(120);

/// What can be ordered on the hosts that the caller sees, the most effective first; then what was never tried, as the playbook has it; what was tried in
/// vain comes last.
///
/// # Errors
/// When the database fails.
pub async fn proposals(
    horizon: &Horizon,
    incident: &Incident,
) -> Result<Vec<ProposalView>, StoreError> {
    let app = horizon.app();
    if incident.state.resolved_at().is_some() {
        return Ok(Vec::new());
    }
    let hosts: Vec<HostId> = incident
        .problem
        .hosts
        .iter()
        .copied()
        .filter(|host| horizon.sees(*host))
        .take(HOSTS_MAX)
        .collect();
    // The rules look over the whole fleet for each question: one question for all hosts.
    let found = findings(app, &hosts, |peer| horizon.sees(peer)).await?;
    let mut steps = Vec::new();
    for id in hosts {
        let seen = app.live.read(id, |host| {
            let os = Os::of_name(&host.profile.os);
            (os, host.profile.name.to_string())
        });
        let of_host = found.iter().find(|one| one.host == id.to_string());
        let Some(((os, name), of_host)) = seen.zip(of_host) else {
            continue;
        };
        let policy = app.store.read().await?.host_policy(id).await?;
        let about = About {
            host: id,
            name,
            policy: policy.map(|(_, policy)| policy),
        };
        let with_spec = of_host.findings.iter().flat_map(|found| {
            let spec = move |step| (step, spec_of(os, found, step));
            found.playbook.iter().map(spec)
        });
        steps.push((about, with_spec.collect::<Vec<_>>()));
    }
    let mut specs = steps.iter().flat_map(|(_, steps)| steps);
    let table = if specs.any(|(_, spec)| spec.is_some()) {
        recoveries(app).await?
    } else {
        Vec::new()
    };
    let mut all: Vec<ProposalView> = Vec::new();
    for (about, steps) in steps {
        for (step, spec) in steps {
            let proposal = proposal(&about, step, spec, &table);
            let is_there = all.iter().any(|one| {
                one.host == proposal.host
                    && one.action == proposal.action
                    && (one.spec == proposal.spec && one.spec.is_some()
                        || one.text == proposal.text)
            });
            if !is_there {
                all.push(proposal);
            }
        }
    }
    all.sort_by_key(|one| rank(one.recovery.as_ref()));
    all.truncate(PROPOSALS_MAX);
    Ok(all)
}

/// The host that a proposal is for.
struct About {
    host: HostId,
    name: String,
    /// What it told of its policy; `None` before it told any.
    policy: Option<HostPolicyView>,
}

fn proposal(
    about: &About,
    step: &PlaybookStep,
    spec: Option<ActionSpec>,
    table: &[RecoveryView],
) -> ProposalView {
    let recovery = spec.as_ref().and_then(|spec| {
        let row = |row: &&RecoveryView| row.action == spec.kind() && row.subject == spec.subject();
        table.iter().find(row).cloned()
    });
    let may = |policy: &HostPolicyView| step.action.map(|kind| policy.allowed.contains(&kind));
    ProposalView {
        host: about.host.to_string(),
        host_name: Some(clean(&about.name)),
        text: clean(&step.text),
        tier: spec.as_ref().map_or(step.tier, |spec| spec.tier().number()),
        disturbs: step.disturbs.clone(),
        allowed: about.policy.as_ref().and_then(may),
        action: step.action,
        spec,
        recovery,
    }
}

/// The step with its parameters, where the finding names them all.
fn spec_of(os: Os, finding: &Finding, step: &PlaybookStep) -> Option<ActionSpec> {
    let process = finding.process.as_ref();
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let spec = match step.action? {
        ActionKind::CollectEvidence => ActionSpec::CollectEvidence {
            seconds: EVIDENCE_SECONDS,
        },
        ActionKind::RestartService => ActionSpec::RestartService {
            service: process?.service.as_ref()?.to_string(),
            stop_timeout_s: seconds(STOP_TIMEOUT),
            on_hang: OnHang::Fail,
        },
        ActionKind::EndProcess => ActionSpec::EndProcess {
            pid: process?.pid,
            started_at_ms: process?.started_at.unix_ms(),
            image: process?.name.to_string(),
        },
        ActionKind::SetDynamicPortRange => ActionSpec::SetDynamicPortRange {
            protocol: protocol_of(finding),
            family: IpFamily::Ipv4,
            first: WIDE_RANGE.0,
            last: WIDE_RANGE.1,
            lasting: Lasting::UntilReboot,
            confirm_within_s: seconds(CONFIRM_WITHIN),
        },
        ActionKind::SetTcpParameter => {
            let (parameter, value) = match os {
                Os::Windows => (TcpParameter::TcpTimedWaitDelay, 30),
                Os::Linux => (TcpParameter::TcpTwReuse, 1),
            };
            ActionSpec::SetTcpParameter {
                parameter,
                value: Some(value),
            }
        }
        // Which pool, adapter, limit or hook, no finding says.
        ActionKind::WriteEvent
        | ActionKind::RecycleAppPool
        | ActionKind::SetTcpGlobal
        | ActionKind::SetNicOffload
        | ActionKind::SetInterruptModeration
        | ActionKind::SetDotnetConnectionLimit
        | ActionKind::ResetTcpStack
        | ActionKind::Reboot
        | ActionKind::RunHook => return None,
    };
    spec.problems().is_empty().then_some(spec)
}

fn protocol_of(finding: &Finding) -> Protocol {
    let protocol = finding.port_space.as_deref();
    let protocol = protocol.and_then(|space| space.split('/').next());
    protocol
        .and_then(|name| name.parse().ok())
        .unwrap_or(Protocol::Tcp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_worked_comes_first_and_what_never_did_last() {
        let proposal = |text: &str, tried: u64, worked: u64, freed: i64| ProposalView {
            host: String::new(),
            host_name: None,
            text: text.to_owned(),
            tier: 1,
            disturbs: String::new(),
            spec: None,
            action: None,
            allowed: None,
            recovery: (tried > 0).then(|| RecoveryView {
                action: ActionKind::Reboot,
                subject: String::new(),
                hosts: 1,
                tried,
                worked,
                ports_freed_median: Some(freed),
                held_ms_median: None,
                still_hold: 0,
                last_ms: 0,
            }),
        };
        let mut all = [
            proposal("in vain", 3, 0, 0),
            proposal("new", 0, 0, 0),
            proposal("new too", 0, 0, 0),
            proposal("half the time", 4, 2, 9_000),
            proposal("always, a little", 4, 4, 50),
            proposal("always, much", 2, 2, 800),
        ];
        all.sort_by_key(|one| rank(one.recovery.as_ref()));
        let order: Vec<&str> = all.iter().map(|one| &*one.text).collect();
        assert_eq!(
            order,
            [
                "always, much",
                "always, a little",
                "half the time",
                "new",
                "new too",
                "in vain"
            ]
        );
    }
}
