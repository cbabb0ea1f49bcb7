//! What no action touches on any host, whatever its policy says, each with the reason that an operator reads.

use tidemark_model::ActionSpec;

/// Windows services without which the host is lost or cannot be reached; Microsoft's component documentation says what
/// each does. Lower case.
const SERVICES: &[(&str, &str)] = &[
    ("rpcss", "every COM and RPC call of the host stops"),
    ("rpceptmapper", "every COM and RPC call of the host stops"),
    ("dcomlaunch", "Windows restarts the host when it ends"),
    (
        "brokerinfrastructure",
        "Windows restarts the host when it ends",
    ),
    (
        "eventlog",
        "events are lost, and many services depend on it",
    ),
    ("lsm", "sessions end"),
    ("samss", "nobody can log on"),
    ("netlogon", "domain logons stop"),
    ("ntds", "it is the directory of the domain"),
    ("kdc", "domain logons stop"),
    ("bfe", "the firewall and IPsec stop"),
    ("mpssvc", "the firewall stops"),
    ("nsi", "the network stack's configuration stops"),
    ("tcpip", "it is the network stack"),
    ("afd", "it is the network stack"),
    ("dhcp", "the host loses its address"),
    ("gpsvc", "group policy stops"),
    ("plugplay", "devices stop"),
    ("power", "the host's power management stops"),
    ("profsvc", "nobody can log on"),
    ("schedule", "Windows does not let it be stopped"),
    (
        "clussvc",
        "the cluster moves its roles: use the cluster's own tools",
    ),
];

/// Linux units that keep a host reachable and alive. Without `.service`, lower case.
const UNITS: &[(&str, &str)] = &[
    ("dbus", "every service that is asked over D-Bus stops"),
    (
        "dbus-broker",
        "every service that is asked over D-Bus stops",
    ),
    ("systemd-journald", "logs are lost"),
    ("systemd-logind", "sessions end"),
    ("systemd-networkd", "the host may lose its addresses"),
    ("systemd-udevd", "devices stop"),
    ("networkmanager", "the host may lose its addresses"),
    ("networking", "the host loses its addresses"),
    ("ssh", "the way in for whoever has to help"),
    ("sshd", "the way in for whoever has to help"),
    (
        "corosync",
        "the cluster fences the host: use the cluster's own tools",
    ),
    (
        "pacemaker",
        "the cluster moves its resources: use the cluster's own tools",
    ),
];

/// Processes whose end takes the host along. Lower case, without `.exe`.
const IMAGES: &[(&str, &str)] = &[
    ("system", "it is the kernel"),
    ("registry", "it is the kernel"),
    ("secure system", "it is the kernel"),
    ("csrss", "Windows stops with a blue screen"),
    ("wininit", "Windows stops with a blue screen"),
    ("winlogon", "sessions end"),
    ("services", "Windows stops with a blue screen"),
    ("lsass", "Windows restarts the host within a minute"),
    ("lsaiso", "it keeps the host's credentials"),
    ("smss", "Windows stops with a blue screen"),
    ("svchost", "it hosts services: restart the service instead"),
    ("msmpeng", "it protects itself, and the host"),
    ("init", "it is the first process"),
    ("systemd", "it is the first process"),
    (
        "dbus-daemon",
        "every service that is asked over D-Bus stops",
    ),
    ("sshd", "the way in for whoever has to help"),
];

/// The agent's own names: it would cut the branch that it sits on.
const OWN: &str = "tidemark-agent";

/// Why this is never done; `None` when it may be.
#[must_use]
pub fn reason(spec: &ActionSpec) -> Option<&'static str> {
    let (name, lists): (String, &[&[(&str, &'static str)]]) = match spec {
        ActionSpec::RestartService { service, .. } => {
            let name = service.to_lowercase();
            let name = name.strip_suffix(".service").unwrap_or(&name);
            (name.to_owned(), &[SERVICES, UNITS])
        }
        ActionSpec::EndProcess { image, pid, .. } => {
            // 0 and 4 are Windows' own, 1 is init; all three have these numbers on every host.
            if matches!(pid, 0 | 1 | 4) {
                return Some("it is the system's own process");
            }
            let name = image.to_lowercase();
            let name = name.strip_suffix(".exe").unwrap_or(&name);
            (name.to_owned(), &[IMAGES])
        }
        ActionSpec::CollectEvidence { .. }
        | ActionSpec::WriteEvent { .. }
        | ActionSpec::RecycleAppPool { .. }
        | ActionSpec::SetDynamicPortRange { .. }
        | ActionSpec::SetTcpParameter { .. }
        | ActionSpec::SetTcpGlobal { .. }
        | ActionSpec::SetNicOffload { .. }
        | ActionSpec::SetInterruptModeration { .. }
        | ActionSpec::SetDotnetConnectionLimit { .. }
        | ActionSpec::ResetTcpStack { .. }
        | ActionSpec::Reboot { .. }
        | ActionSpec::RunHook { .. } => return None,
    };
    if name == OWN || name == "tidemark" {
        return Some("it is the agent itself");
    }
    lists
        .iter()
        .flat_map(|list| list.iter())
        .find(|(protected, _)| *protected == name)
        .map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use tidemark_model::action::spec::OnHang;

    use super::*;

    fn restart(service: &str) -> ActionSpec {
        ActionSpec::RestartService {
            service: service.to_owned(),
            stop_timeout_s: 120,
            on_hang: OnHang::Fail,
        }
    }

    fn end(image: &str, pid: u32) -> ActionSpec {
        ActionSpec::EndProcess {
            pid,
            started_at_ms: 0,
            image: image.to_owned(),
        }
    }

    #[test]
    fn what_keeps_a_host_alive_is_never_touched() {
        for service in ["RpcSs", "NTDS", "sshd.service", "DBUS", "Tidemark-Agent"] {
            assert!(reason(&restart(service)).is_some(), "{service}");
        }
        for image in ["lsass.exe", "SVCHOST.EXE", "systemd", "tidemark-agent.exe"] {
            assert!(reason(&end(image, 4711)).is_some(), "{image}");
        }
        for pid in [0, 1, 4] {
            assert!(reason(&end("java.exe", pid)).is_some());
        }
    }

    #[test]
    fn what_leaks_ports_may_be_touched() {
        for service in ["SMTPSVC", "W3SVC", "MSSQL$PROD", "appsvc.service", "rpcss2"] {
            assert_eq!(reason(&restart(service)), None, "{service}");
        }
        assert_eq!(reason(&end("java.exe", 4711)), None);
    }
}
