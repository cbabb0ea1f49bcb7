//! `tidemark-agent status`: how the agent on this host does, as it says itself where it can be asked, or from its files,
//! whether it runs or not.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tidemark_model::host::Capability;
use tidemark_model::{HostId, Timestamp};
use tidemark_runtime::{Clock, Outcome};

use super::lock::DataLock;
use super::table::{bytes, grouped, relative};
use super::{OutputArgs, SettingsArgs, print};
use crate::checkpoints::HeldStatus;
use crate::identity::Vault;
use crate::link::failure::shown;
use crate::status::{AgentStatus, CertificateStatus, LinkState, local};

#[derive(Args, Clone, Debug)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// What is shown.
#[derive(Debug, Serialize)]
struct Shown {
    /// Whether an agent holds the data folder at this moment.
    running: bool,
    /// Whether the agent itself told how it does; otherwise it is what it wrote last.
    answers: bool,
    /// The identity on disk; null when there is none that can be read.
    host_id: Option<HostId>,
    enrolled: bool,
    certificate: Option<CertificateStatus>,
    /// What the agent said or wrote last; null when none ever ran here.
    agent: Option<AgentStatus>,
}

pub(super) fn run(args: &StatusArgs) -> anyhow::Result<Outcome> {
    let config = args.settings.load()?;
    let answer = local::ask(&config.data_dir);
    let answers = answer.is_some();
    let agent = match answer {
        None => written(&config.data_dir)?,
        answered => answered,
    };
    let vault = Vault::open(&config.identity_dir())?;
    let shown = Shown {
        running: answers || DataLock::is_taken(&config.data_dir),
        answers,
        host_id: vault.as_ref().map(|vault| vault.identity().host_id()),
        enrolled: vault.as_ref().is_some_and(Vault::is_enrolled),
        certificate: vault
            .as_ref()
            .and_then(Vault::current)
            .map(|held| CertificateStatus {
                generation: held.generation(),
                not_after_ms: held.not_after(),
            }),
        agent,
    };
    if args.output.is_json() {
        let mut text = serde_json::to_string_pretty(&shown)?;
        text.push('\n');
        return print(&text);
    }
    print(&render(&shown, Clock::System.now()))
}

/// What the agent wrote last; `None` when none ever ran here.
fn written(data_dir: &Path) -> anyhow::Result<Option<AgentStatus>> {
    match AgentStatus::read(data_dir) {
        Ok(status) => Ok(Some(status)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| {
            format!(
                "the status in {} cannot be read; run it as an administrator, or set --data-dir",
                data_dir.display()
            )
        }),
    }
}

fn render(shown: &Shown, now: Timestamp) -> String {
    let mut lines = vec![(
        "host",
        match (shown.host_id, shown.enrolled) {
            (Some(id), true) => id.to_string(),
            (Some(id), false) => format!("{id}, not enrolled yet"),
            (None, _) => {
                "no identity; enrol with a join token (`tidemark token create`)".to_owned()
            }
        },
    )];
    if let Some(certificate) = shown.certificate {
        lines.push((
            "certificate",
            format!(
                "generation {}, ends {}",
                certificate.generation,
                relative(certificate.not_after_ms, now)
            ),
        ));
    }
    match &shown.agent {
        Some(agent) => lines.extend(agent_lines(agent, shown.running, now)),
        None => lines.push(("agent", "has never run with this data folder".to_owned())),
    }
    let mut text = String::new();
    for (name, value) in lines {
        text.push_str(&format!("{name:<12} {}\n", self::shown(&value)));
    }
    text
}

fn agent_lines(agent: &AgentStatus, running: bool, now: Timestamp) -> Vec<(&'static str, String)> {
    let ago = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| relative(at, now));
    let mut lines = vec![
        (
            "agent",
            if running {
                format!(
                    "{} runs as process {}, started {}",
                    agent.version,
                    agent.pid,
                    relative(agent.started_at_ms, now)
                )
            } else {
                format!(
                    "{} does not run; last heard of {}",
                    agent.version,
                    relative(agent.written_at_ms, now)
                )
            },
        ),
        ("controller", controller_line(agent, running, now)),
        (
            "samples",
            format!(
                "every {} s: {} taken, {} failed, {} missed; last {}",
                agent.sampler.interval_ms / 1_000,
                grouped(agent.sampler.taken),
                grouped(agent.sampler.failed),
                grouped(agent.sampler.missed),
                ago(agent.sampler.last_sample_ms)
            ),
        ),
        (
            "spool",
            format!(
                "{} wait ({}); of {} produced {} are acked and {} dropped; last ack {}",
                grouped(agent.spool.held),
                bytes(agent.spool.held_bytes),
                grouped(agent.spool.produced),
                grouped(agent.spool.acked),
                grouped(agent.spool.dropped),
                ago(agent.link.last_ack_ms)
            ),
        ),
    ];
    lines.extend(
        agent
            .link
            .audit_log
            .iter()
            .flat_map(|held| audit_log_lines(held, now)),
    );
    for report in &agent.capabilities {
        let name = match report.capability {
            Capability::BoundSockets => "bound",
            Capability::AllOwners => "owners",
            Capability::AllNamespaces => "namespaces",
            Capability::Events => "events",
            Capability::Netsh => "netsh",
            Capability::Wmi => "wmi",
        };
        lines.push((name, report.sentence()));
    }
    if let Some(error) = &agent.sampler.last_error {
        lines.push(("trouble", error.clone()));
    }
    if let Some(failure) = &agent.link.failure {
        let when = relative(failure.at_ms, now);
        lines.push(("trouble", format!("{} ({when})", failure.text)));
    }
    lines
}

/// What the host saw of the controller's audit log.
fn audit_log_lines(held: &HeldStatus, now: Timestamp) -> Vec<(&'static str, String)> {
    let (entries, at) = (grouped(held.size), relative(held.at_ms, now));
    let mut lines = vec![(
        "audit log",
        format!("witnessed at {entries} entries, signed {at}"),
    )];
    if let Some(contradiction) = &held.contradiction {
        let text = format!(
            "{} (first {}); do not trust the controller until somebody knows why",
            contradiction.text,
            relative(contradiction.at_ms, now)
        );
        lines.push(("TAMPERED", text));
    }
    lines
}

fn controller_line(agent: &AgentStatus, running: bool, now: Timestamp) -> String {
    let state = match agent.link.state {
        LinkState::Enrolling => "not enrolled yet",
        LinkState::Connected if running => "connected",
        LinkState::Connected | LinkState::Disconnected => "not connected",
        LinkState::Stopped => "stopped",
    };
    let since = agent
        .link
        .since_ms
        .map_or_else(String::new, |at| format!(" since {}", relative(at, now)));
    let skew = agent.link.clock_skew_ms.map_or_else(String::new, |ms| {
        format!("; this clock less its clock: {ms} ms")
    });
    format!("{}: {state}{since}{skew}", agent.controller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_an_identity_is_told_what_to_do() {
        let nothing = Shown {
            running: false,
            answers: false,
            host_id: None,
            enrolled: false,
            certificate: None,
            agent: None,
        };
        let text = render(&nothing, Timestamp::EPOCH);
        assert!(text.contains("tidemark token create"), "{text}");
        assert!(text.contains("has never run"), "{text}");
    }
}
