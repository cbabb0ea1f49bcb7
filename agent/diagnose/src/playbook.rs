//! Steps that several rules offer, with what they disturb and how to verify them (remediation.md, windows.md 4).

use tidemark_model::Protocol;
use tidemark_model::action::ActionKind;
use tidemark_model::finding::PlaybookStep;
use tidemark_model::sample::ProcessIdentity;

use crate::evidence;
use crate::situation::Os;

/// Gives the port space more ports at once; what happens then is also the best test of the diagnosis.
pub(crate) fn widen_range(os: Os, protocol: Protocol) -> PlaybookStep {
    let text = match os {
        Os::Windows => format!(
            "Widen the dynamic range until the next boot: netsh int ipv4 set dynamicport {protocol} start=10000 num=55535 store=active"
        ),
        Os::Linux => {
            "Widen the dynamic range: sysctl -w net.ipv4.ip_local_port_range=\"10000 65535\""
                .to_owned()
        }
    };
    PlaybookStep {
        text,
        tier: 1,
        action: Some(ActionKind::SetDynamicPortRange),
        disturbs: "services with a fixed port in the new range may find it taken when they restart; exclude those first"
            .to_owned(),
        verify: "a bind succeeds within 10 s and at least 20 % of the ports are free".to_owned(),
    }
}

/// Restarts what holds the ports: an application pool, a service, or the process itself.
pub(crate) fn restart(process: &ProcessIdentity, verify: &str) -> PlaybookStep {
    let named = evidence::process(process);
    let step = |text: String, tier, action, disturbs: &str| PlaybookStep {
        text,
        tier,
        action: Some(action),
        disturbs: disturbs.to_owned(),
        verify: verify.to_owned(),
    };
    if process.name.eq_ignore_ascii_case("w3wp.exe") {
        return step(
            format!("Recycle the application pool of {named}"),
            1,
            ActionKind::RecycleAppPool,
            "requests in flight finish in the old worker, which keeps its ports for up to 90 s",
        );
    }
    match &process.service {
        Some(service) => step(
            format!("Restart the service {service}, with what depends on it"),
            1,
            ActionKind::RestartService,
            "the service and its dependents, for as long as they take to start",
        ),
        None => step(
            format!("End {named} and start it again"),
            2,
            ActionKind::EndProcess,
            "whatever it was doing; what it had not saved is lost",
        ),
    }
}

/// Shortens TIME_WAIT.
pub(crate) fn shorten_time_wait(os: Os) -> PlaybookStep {
    let (text, disturbs) = match os {
        Os::Windows => (
            "Set TcpTimedWaitDelay to 30 to 60 s",
            "nothing until the reboot that it needs",
        ),
        Os::Linux => (
            "Let connections reuse ports in TIME_WAIT: sysctl -w net.ipv4.tcp_tw_reuse=1",
            "peers without TCP timestamps may refuse a reused port",
        ),
    };
    PlaybookStep {
        text: text.to_owned(),
        tier: 1,
        action: Some(ActionKind::SetTcpParameter),
        disturbs: disturbs.to_owned(),
        verify: "ports in TIME_WAIT fall in proportion".to_owned(),
    }
}

/// Saves what a later look needs, before anything is changed.
pub(crate) fn collect_evidence() -> PlaybookStep {
    PlaybookStep {
        text: "Save the evidence first: tidemark-agent support-bundle".to_owned(),
        tier: 0,
        action: Some(ActionKind::CollectEvidence),
        disturbs: "nothing".to_owned(),
        verify: "the file is there".to_owned(),
    }
}
