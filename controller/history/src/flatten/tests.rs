//! What must hold for `flatten`.

use std::collections::BTreeMap;

use tidemark_model::Timestamp;
use tidemark_model::port::PortRange;
use tidemark_model::sample::{AgentCost, CountQuality, ProcessIdentity, WatchGroupSample};
use tidemark_model::tcp::StateCounts;

use super::*;

pub fn owner(name: &str, service: Option<&str>, ports: u32, handles: Option<u32>) -> OwnerSample {
    OwnerSample {
        process: ProcessIdentity {
            pid: ports,
            started_at: Timestamp::EPOCH,
            name: name.into(),
            executable: None,
            service: service.map(Into::into),
        },
        counts: OwnerCounts {
            ports,
            bound: 1,
            close_wait: 2,
            sockets: ports + 5,
        },
        handles,
    }
}

pub fn space(protocol: Protocol) -> PortSpaceSample {
    let mut states_v4 = StateCounts::default();
    states_v4.set(TcpState::Established, 7);
    let mut states_v6 = StateCounts::default();
    states_v6.set(TcpState::Established, 5);
    let to = |local: &str, ports| DestinationSample {
        local_address: local.parse().unwrap(),
        remote_address: "10.9.9.9".parse().unwrap(),
        remote_port: 1433,
        ports,
        time_wait: 1,
    };
    PortSpaceSample {
        key: PortSpaceKey::own(protocol),
        range: PortRange::new(49_152, 65_535).unwrap(),
        capacity: 16_384,
        strong: 1_000,
        time_wait_only: 200,
        bound: None,
        quality: CountQuality::Counted,
        light: None,
        states_v4,
        states_v6,
        owners: vec![
            owner("w3wp.exe", Some("W3SVC"), 400, Some(900)),
            owner("sqlservr.exe", None, 50, Some(10)),
            owner("w3wp.exe", Some("W3SVC"), 300, None),
        ],
        owners_other: OwnerCounts {
            ports: 33,
            ..OwnerCounts::default()
        },
        ports_without_owner: 4,
        destinations: vec![to("10.0.0.1", 30), to("10.0.0.2", 12)],
        destinations_other_ports: 0,
        watch_groups: vec![WatchGroupSample {
            name: "sql".into(),
            connections: 42,
            time_wait: 3,
        }],
    }
}

pub fn sample(port_spaces: Vec<PortSpaceSample>) -> Sample {
    Sample {
        at: Timestamp::from_unix_ms(1_000_000),
        booted_at: Timestamp::from_unix_ms(-1_500),
        interval_ms: 30_000,
        port_spaces,
        rates: CounterRates {
            tcp_active_opens: Some(u64::MAX),
            ..CounterRates::default()
        },
        host_handles: None,
        probes: vec![
            ProbeResult {
                kind: ProbeKind::BindTcpV4,
                duration_us: 90,
                value: None,
                outcome: ProbeOutcome::Exhausted,
            },
            ProbeResult {
                kind: ProbeKind::BindTcpV6,
                duration_us: 90,
                value: None,
                outcome: ProbeOutcome::Unsupported,
            },
        ],
        cost: AgentCost::default(),
    }
}

fn points(sample: &Sample) -> BTreeMap<(String, Metric), i64> {
    let mut points = BTreeMap::new();
    flatten(sample, &mut |entity, metrics| {
        for (metric, value) in metrics {
            let before = points.insert((entity.to_entity().to_text(), *metric), *value);
            assert_eq!(before, None, "{entity:?} {metric} came twice");
        }
    });
    points
}

#[test]
fn processes_of_one_image_are_one_entity() {
    let points = points(&sample(vec![space(Protocol::Tcp)]));
    let of = |text: &str, metric| points.get(&(text.to_owned(), metric)).copied();
    let process = "process|tcp|default|w3wp.exe";
    assert_eq!(of(process, Metric::Ports), Some(700));
    assert_eq!(of(process, Metric::CloseWait), Some(4));
    assert_eq!(
        of(process, Metric::Handles),
        None,
        "one of the two is unknown"
    );
    assert_eq!(
        of("process|tcp|default|sqlservr.exe", Metric::Handles),
        Some(10)
    );
    assert_eq!(of("service|tcp|default|W3SVC", Metric::Ports), Some(700));
    assert_eq!(of("other_processes|tcp|default", Metric::Ports), Some(33));
    assert_eq!(
        of("destination|tcp|default|10.9.9.9:1433", Metric::Ports),
        Some(42)
    );
    assert_eq!(
        of(
            "destination|tcp|default|10.9.9.9:1433",
            Metric::PortsTimeWait
        ),
        Some(2)
    );
    assert_eq!(
        of("watch_group|tcp|default|sql", Metric::Connections),
        Some(42)
    );
}

#[test]
fn the_unknown_makes_no_point_and_the_known_zero_does() {
    let points = points(&sample(vec![space(Protocol::Tcp), space(Protocol::Udp)]));
    let of = |text: &str, metric| points.get(&(text.to_owned(), metric)).copied();
    let tcp = "port_space|tcp|default";
    assert_eq!(of(tcp, Metric::InUse), Some(1_200));
    assert_eq!(of(tcp, Metric::StateEstablished), Some(12));
    assert_eq!(of(tcp, Metric::StateCloseWait), Some(0));
    assert_eq!(of(tcp, Metric::Bound), None);
    assert_eq!(of(tcp, Metric::StateBound), None);
    assert_eq!(of(tcp, Metric::InUseMax), None);
    assert_eq!(of("port_space|udp|default", Metric::StateCloseWait), None);
    assert_eq!(of("process|tcp|default|w3wp.exe", Metric::PortsBound), None);
    assert_eq!(of("host", Metric::Handles), None);
    assert_eq!(of("host", Metric::TcpPassiveOpens), None);
    assert_eq!(of("host", Metric::TcpActiveOpens), Some(i64::MAX));
    assert_eq!(of("host", Metric::BootedAt), Some(-2));
    assert_eq!(of("probe|bind_tcp_v4", Metric::ProbeFailed), Some(1));
    assert_eq!(of("probe|bind_tcp_v4", Metric::ProbeDuration), None);
    assert_eq!(of("probe|bind_tcp_v6", Metric::ProbeFailed), None);
}

#[test]
fn a_monstrous_name_is_cut_so_that_its_text_fits_the_dictionary() {
    let mut tcp = space(Protocol::Tcp);
    tcp.owners = vec![owner(&"\u{e9}".repeat(2_000), None, 1, None)];
    for (text, _) in points(&sample(vec![tcp])).into_keys() {
        assert!(text.len() <= tidemark_model::entity::ENTITY_TEXT_BYTES_MAX);
    }
}
