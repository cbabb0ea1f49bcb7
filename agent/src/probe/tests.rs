//! Probes in namespaces with and without ports to give.

use std::fs;

use tidemark_platform::namespace::run_in_new;

use super::*;

fn outcome(results: &[ProbeResult], kind: ProbeKind) -> (Option<u32>, ProbeOutcome) {
    let result = results.iter().find(|result| result.kind == kind).unwrap();
    (result.value, result.outcome)
}

#[test]
fn a_healthy_host_gives_ports_to_every_probe() {
    run_in_new(|| {
        let results = Probes::new(Duration::from_secs(15)).run_due(Duration::from_secs(1));
        assert_eq!(results.len(), ProbeKind::ALL.len());
        for kind in [
            ProbeKind::BindTcpV4,
            ProbeKind::BindTcpV6,
            ProbeKind::BindUdp,
            ProbeKind::ConnectLoopback,
        ] {
            assert_eq!(
                outcome(&results, kind),
                (None, ProbeOutcome::Succeeded),
                "{kind:?}"
            );
        }
        assert_eq!(
            outcome(&results, ProbeKind::BindBurst),
            (Some(BURST_PORTS), ProbeOutcome::Succeeded)
        );
    })
    .unwrap();
}

#[test]
fn a_host_without_ports_shows_as_exhausted() {
    run_in_new(|| {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40009").unwrap();
        let mut held = Vec::new();
        while let Ok(port) = hold_port(Protocol::Tcp, Ipv4Addr::LOCALHOST.into()) {
            held.push(port);
        }
        held.truncate(held.len() - 2);
        let results = Probes::new(Duration::from_secs(15)).run_due(Duration::from_secs(1));
        assert_eq!(
            outcome(&results, ProbeKind::BindBurst),
            (Some(2), ProbeOutcome::Exhausted)
        );
        assert_eq!(
            outcome(&results, ProbeKind::BindUdp),
            (None, ProbeOutcome::Succeeded)
        );
        held.extend(hold_port(Protocol::Tcp, Ipv4Addr::LOCALHOST.into()));
        held.extend(hold_port(Protocol::Tcp, Ipv4Addr::LOCALHOST.into()));
        let results = Probes::new(Duration::from_secs(15)).run_due(Duration::from_secs(1));
        assert_eq!(
            outcome(&results, ProbeKind::BindTcpV4),
            (None, ProbeOutcome::Exhausted)
        );
        assert_eq!(
            outcome(&results, ProbeKind::ConnectLoopback),
            (None, ProbeOutcome::Exhausted)
        );
    })
    .unwrap();
}

#[test]
fn rounds_keep_their_distance() {
    let mut probes = Probes::new(Duration::from_secs(30));
    assert!(!probes.run_due(Duration::from_secs(100)).is_empty());
    assert!(probes.run_due(Duration::from_secs(129)).is_empty());
    assert!(!probes.run_due(Duration::from_secs(130)).is_empty());
}
