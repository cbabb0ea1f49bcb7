//! What a person reads at three in the morning.

use std::collections::BTreeMap;

use tidemark_model::sample::{
    AgentCost, CountQuality, DestinationSample, OwnerCounts, OwnerSample, ProbeKind,
    ProcessIdentity,
};
use tidemark_model::tcp::StateCounts;
use tidemark_model::{PortRange, PortSpaceKey, Protocol, Timestamp};

use super::*;

fn owner(name: &str, counts: OwnerCounts) -> OwnerSample {
    OwnerSample {
        process: ProcessIdentity {
            pid: 42,
            started_at: Timestamp::EPOCH,
            name: name.into(),
            executable: None,
            service: Some("mail.service".into()),
        },
        counts,
        handles: None,
    }
}

fn space(strong: u32, time_wait_only: u32, owners: Vec<OwnerSample>) -> PortSpaceSample {
    PortSpaceSample {
        key: PortSpaceKey::own(Protocol::Tcp),
        range: PortRange::new(40_000, 40_999).unwrap(),
        capacity: 1_000,
        strong,
        time_wait_only,
        bound: None,
        quality: CountQuality::Counted,
        light: None,
        states_v4: StateCounts::default(),
        states_v6: StateCounts::default(),
        owners,
        owners_other: OwnerCounts::default(),
        ports_without_owner: 0,
        destinations: Vec::new(),
        destinations_other_ports: 0,
        watch_groups: Vec::new(),
    }
}

fn sample(port_spaces: Vec<PortSpaceSample>, outcome: ProbeOutcome) -> Sample {
    Sample {
        at: Timestamp::from_unix_ms(3_600_000),
        booted_at: Timestamp::EPOCH,
        interval_ms: 0,
        port_spaces,
        rates: CounterRates {
            tcp_active_opens: Some(12_345),
            ..CounterRates::default()
        },
        host_handles: None,
        probes: vec![ProbeResult {
            kind: ProbeKind::BindTcpV4,
            duration_us: 12,
            value: None,
            outcome,
        }],
        cost: AgentCost::default(),
    }
}

fn rendered(sample: &Sample) -> String {
    let facts = HostFacts {
        name: "db-1".into(),
        os: "Linux".into(),
        agent_version: "0".into(),
        boot_id: "b".into(),
        time_zone: None,
        capabilities: Vec::new(),
        labels: BTreeMap::new(),
    };
    render(&facts, sample)
}

#[test]
fn a_leak_of_bound_sockets_is_named_with_its_process() {
    let counts = OwnerCounts {
        ports: 900,
        bound: 880,
        close_wait: 0,
        sockets: 900,
    };
    let text = rendered(&sample(
        vec![space(950, 0, vec![owner("leaky", counts)])],
        ProbeOutcome::Succeeded,
    ));
    assert!(text.contains("SHORT: tcp/default has 95 %"), "{text}");
    assert!(
        text.contains("leaky (pid 42) holds 900 ports, 880 of them bound but not connected"),
        "{text}"
    );
    assert!(text.contains("leaky (42) [mail.service]"), "{text}");
    assert!(
        text.contains("bound alone unknown"),
        "unknown is not 0: {text}"
    );
    assert!(text.contains("opens out 12.3"), "{text}");
}

#[test]
fn exhaustion_is_the_first_thing_that_is_said() {
    let mut full = space(200, 800, Vec::new());
    full.destinations.push(DestinationSample {
        local_address: "10.0.0.1".parse().unwrap(),
        remote_address: "10.0.0.5".parse().unwrap(),
        remote_port: 5_432,
        ports: 800,
        time_wait: 790,
    });
    let text = rendered(&sample(
        vec![space(1, 0, Vec::new()), full],
        ProbeOutcome::Exhausted,
    ));
    let verdicts: Vec<&str> = text.lines().skip(2).take(5).collect();
    assert!(
        verdicts[0].starts_with("EXHAUSTED: no port was to be had by bind_tcp_v4"),
        "{text}"
    );
    assert!(
        verdicts[1].starts_with("EXHAUSTED: tcp/default has 100 %"),
        "{text}"
    );
    assert!(
        verdicts[2].contains("800 ports are in TIME_WAIT alone"),
        "{text}"
    );
    assert!(
        verdicts[3].contains("800 ports go to 10.0.0.5:5432 alone"),
        "{text}"
    );
    assert!(verdicts[4].starts_with("ok: tcp/default has 0 %"), "{text}");
}

#[test]
fn a_quiet_host_is_called_ok_without_culprits() {
    let counts = OwnerCounts {
        ports: 20,
        bound: 20,
        close_wait: 0,
        sockets: 20,
    };
    let text = rendered(&sample(
        vec![space(20, 0, vec![owner("small", counts)])],
        ProbeOutcome::Succeeded,
    ));
    assert!(
        text.contains("ok: tcp/default has 2 % of its 1000 ports in use"),
        "{text}"
    );
    assert!(!text.contains("holds"), "{text}");
}
