//! Samples of real sockets, each test in a network namespace of its own.

use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use tidemark_model::sample::{CountQuality, PortSpaceSample};
use tidemark_model::tcp::TcpState;
use tidemark_model::{PortRange, Protocol};
use tidemark_platform::attempt::{HeldPort, hold_port};
use tidemark_platform::namespace::{NetworkNamespace, run_in_new};

use super::*;

/// Time only moves where a test moves it.
const NOON: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn settings() -> CollectSettings {
    CollectSettings {
        probe_interval: None,
        ..CollectSettings::shipped(Duration::from_secs(30))
    }
}

fn collector() -> Collector {
    Collector::new(settings()).unwrap()
}

fn space(sample: &Sample, protocol: Protocol) -> &PortSpaceSample {
    let mut spaces = sample.port_spaces.iter();
    spaces.find(|space| space.key.protocol == protocol).unwrap()
}

/// The TCP port space of one sample by a new collector.
fn tcp() -> PortSpaceSample {
    space(&collector().sample(NOON).unwrap(), Protocol::Tcp).clone()
}

fn set_range(range: &str) {
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", range).unwrap();
}

fn hold(protocol: Protocol, ports: usize) -> Vec<HeldPort> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    (0..ports)
        .map(|_| hold_port(protocol, loopback).unwrap())
        .collect()
}

/// A program that holds `socket` and does nothing; it ends when dropped.
struct Program(Child);

impl Program {
    fn holding(socket: impl Into<OwnedFd>) -> Self {
        let socket: OwnedFd = socket.into();
        let program = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::from(socket))
            .spawn();
        Self(program.unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The caller gives it a thread of its own.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Collector>();
};

#[test]
fn bound_but_unconnected_sockets_are_counted_with_their_owner() {
    run_in_new(|| {
        let _held = hold(Protocol::Tcp, 50);
        let sample = collector().sample(NOON).unwrap();
        let tcp = space(&sample, Protocol::Tcp);
        assert_eq!(
            (tcp.strong, tcp.bound, tcp.time_wait_only),
            (50, Some(50), 0)
        );
        assert_eq!(tcp.quality, CountQuality::Counted);
        assert_eq!(tcp.states_v4.get(TcpState::Bound), 50);
        let owner = &tcp.owners[0];
        assert_eq!(owner.process.pid, std::process::id());
        assert_eq!(
            (owner.counts.ports, owner.counts.bound, owner.counts.sockets),
            (50, 50, 50)
        );
        assert!(owner.handles.is_none_or(|handles| handles >= 50));
        assert_eq!(tcp.ports_without_owner, 0);
        assert_eq!((sample.cost.own_ports, sample.cost.own_sockets), (50, 50));
    })
    .unwrap();
}

#[test]
fn ports_left_in_time_wait_are_in_use_but_not_strong_and_belong_to_nobody() {
    run_in_new(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..20 {
            let client = TcpStream::connect(address).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            drop(client);
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
        }
        let tcp = tcp();
        assert_eq!((tcp.strong, tcp.time_wait_only, tcp.in_use()), (1, 20, 21));
        assert_eq!(tcp.ports_without_owner, 20);
        let destination = &tcp.destinations[0];
        assert_eq!((destination.ports, destination.time_wait), (20, 20));
        assert_eq!(destination.remote_port, address.port());
    })
    .unwrap();
}

#[test]
fn reserved_ports_are_neither_capacity_nor_use() {
    run_in_new(|| {
        set_range("40000 40099");
        fs::write(
            "/proc/sys/net/ipv4/ip_local_reserved_ports",
            "40000-40009,50000",
        )
        .unwrap();
        let _reserved = TcpListener::bind((Ipv4Addr::LOCALHOST, 40_005)).unwrap();
        let _outside = TcpListener::bind((Ipv4Addr::LOCALHOST, 50_001)).unwrap();
        let _inside = TcpListener::bind((Ipv4Addr::LOCALHOST, 40_050)).unwrap();
        let tcp = tcp();
        assert_eq!(tcp.range, PortRange::new(40_000, 40_099).unwrap());
        assert_eq!((tcp.capacity, tcp.strong, tcp.headroom()), (90, 1, 89));
        assert_eq!(tcp.states_v4.get(TcpState::Listen), 3);
        assert_eq!(tcp.owners[0].counts.sockets, 3);
        assert_eq!(tcp.owners[0].counts.ports, 1);
    })
    .unwrap();
}

#[test]
fn a_change_of_the_range_shows_in_the_next_sample() {
    run_in_new(|| {
        let mut collector = collector();
        set_range("40000 40099");
        let before = collector.sample(NOON).unwrap();
        set_range("40000 40999");
        let after = collector.sample(NOON).unwrap();
        let capacities = [&before, &after].map(|sample| space(sample, Protocol::Udp).capacity);
        assert_eq!(capacities, [100, 1000]);
    })
    .unwrap();
}

#[test]
fn a_port_held_over_v4_and_v6_is_one_port() {
    run_in_new(|| {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = v4.local_addr().unwrap().port();
        let _v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).unwrap();
        let tcp = tcp();
        assert_eq!(tcp.strong, 1);
        assert_eq!(tcp.owners[0].counts.ports, 1);
        assert_eq!(tcp.states_v4.get(TcpState::Listen), 1);
        assert_eq!(tcp.states_v6.get(TcpState::Listen), 1);
    })
    .unwrap();
}

#[test]
fn udp_sockets_hold_ports_connected_or_not() {
    run_in_new(|| {
        let _held = hold(Protocol::Udp, 5);
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 9)).unwrap();
        let connected = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        connected.connect(peer.local_addr().unwrap()).unwrap();
        let sample = collector().sample(NOON).unwrap();
        let udp = space(&sample, Protocol::Udp);
        assert_eq!((udp.strong, udp.bound, udp.time_wait_only), (6, Some(5), 0));
        assert_eq!(udp.states_v4.get(TcpState::Bound), 6);
        assert_eq!(udp.states_v4.get(TcpState::Established), 1);
        assert_eq!(udp.destinations[0].remote_port, 9);
        assert_eq!(space(&sample, Protocol::Tcp).strong, 0);
    })
    .unwrap();
}

#[test]
fn destinations_are_counted_together_over_v4_and_mapped_addresses() {
    run_in_new(|| {
        let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let quiet = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let busy_address = busy.local_addr().unwrap();
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        let _held = [
            TcpStream::connect(busy_address).unwrap(),
            TcpStream::connect(busy_address).unwrap(),
            TcpStream::connect(SocketAddr::new(mapped.into(), busy_address.port())).unwrap(),
            TcpStream::connect(quiet.local_addr().unwrap()).unwrap(),
        ];
        let settings = CollectSettings {
            top_destinations: 1,
            ..settings()
        };
        let sample = Collector::new(settings).unwrap().sample(NOON).unwrap();
        let tcp = space(&sample, Protocol::Tcp);
        assert_eq!(tcp.destinations.len(), 1);
        let top = &tcp.destinations[0];
        assert_eq!(top.remote_address, IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(
            (top.remote_port, top.ports, top.time_wait),
            (busy_address.port(), 3, 0)
        );
        // The listeners' ends of the connections are on dynamic ports too, and are no use of ports.
        assert_eq!(tcp.destinations_other_ports, 1);
    })
    .unwrap();
}

#[test]
fn connections_to_watched_ports_are_counted_by_group() {
    run_in_new(|| {
        let database = TcpListener::bind((Ipv4Addr::LOCALHOST, 5432)).unwrap();
        let _held = [(); 3].map(|()| TcpStream::connect(database.local_addr().unwrap()).unwrap());
        let tcp = tcp();
        let sql = tcp
            .watch_groups
            .iter()
            .find(|group| &*group.name == "sql")
            .unwrap();
        assert_eq!((sql.connections, sql.time_wait), (3, 0));
        assert_eq!(tcp.watch_groups.len(), WatchGroup::shipped().len());
    })
    .unwrap();
}

#[test]
fn a_peak_between_two_samples_is_not_missed() {
    run_in_new(|| {
        let mut collector = collector();
        let first = collector.sample(NOON).unwrap();
        assert_eq!(space(&first, Protocol::Tcp).light, None);
        let peak = hold(Protocol::Tcp, 30);
        collector.light_count(NOON).unwrap();
        drop(peak);
        collector.light_count(NOON).unwrap();
        let sample = collector.sample(NOON).unwrap();
        let tcp = space(&sample, Protocol::Tcp);
        let light = tcp.light.unwrap();
        assert_eq!(tcp.strong, 0);
        assert_eq!(
            (light.min, light.max, light.last, light.counts),
            (0, 30, 0, 2)
        );
    })
    .unwrap();
}

#[test]
fn a_socket_that_is_passed_to_a_new_process_follows_it_there_and_goes_with_it() {
    run_in_new(|| {
        let mut collector = collector();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mine = collector.sample(NOON).unwrap();
        assert_eq!(
            space(&mine, Protocol::Tcp).owners[0].process.pid,
            std::process::id()
        );
        let program = Program::holding(listener);
        let also = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let other = Program::holding(also);
        let sample = collector.sample(NOON).unwrap();
        let owners = &space(&sample, Protocol::Tcp).owners;
        let newest = owners
            .iter()
            .find(|owner| owner.process.pid == other.0.id())
            .unwrap();
        assert_eq!(&*newest.process.name, "sleep");
        assert_eq!(newest.counts.ports, 1);
        assert!(
            newest
                .process
                .executable
                .as_deref()
                .is_some_and(|path| path.starts_with('/'))
        );
        let identity = newest.process.clone();
        let again = collector.sample(NOON).unwrap();
        let owners = &space(&again, Protocol::Tcp).owners;
        assert!(owners.iter().any(|owner| owner.process == identity));
        drop((program, other));
        let after = collector.sample(NOON).unwrap();
        let tcp = space(&after, Protocol::Tcp);
        assert_eq!((tcp.strong, tcp.owners.len()), (0, 0));
    })
    .unwrap();
}

#[test]
fn owners_beyond_the_top_are_summed_exactly() {
    run_in_new(|| {
        let programs: Vec<_> = (0..5)
            .map(|_| Program::holding(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()))
            .collect();
        let _mine = hold(Protocol::Tcp, 7);
        let settings = CollectSettings {
            top_owners: 2,
            ..settings()
        };
        let sample = Collector::new(settings).unwrap().sample(NOON).unwrap();
        let tcp = space(&sample, Protocol::Tcp);
        assert_eq!(tcp.owners.len(), 2);
        assert_eq!(tcp.owners[0].counts.ports, 7);
        assert_eq!((tcp.owners_other.ports, tcp.owners_other.sockets), (4, 4));
        assert_eq!(tcp.strong, 12);
        drop(programs);
    })
    .unwrap();
}

#[test]
fn other_namespaces_are_port_spaces_of_their_own() {
    let (program, inode) = run_in_new(|| {
        set_range("40000 40499");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        (
            Program::holding(listener),
            NetworkNamespace::own().unwrap().inode,
        )
    })
    .unwrap();
    let label: Arc<str> = format!("net-{inode}").into();
    let settings = CollectSettings {
        namespaces: Namespaces::List(vec![label.clone()]),
        ..settings()
    };
    let mut collector = Collector::new(settings).unwrap();
    collector.light_count(NOON).unwrap();
    let sample = collector.sample(NOON).unwrap();
    assert_eq!(sample.port_spaces.len(), 2);
    let tcp = space(&sample, Protocol::Tcp);
    assert_eq!(tcp.key.namespace, label);
    assert_eq!((tcp.capacity, tcp.strong), (500, 1));
    assert_eq!(tcp.light.unwrap().last, 1);
    assert_eq!(tcp.owners[0].process.pid, program.0.id());
    drop(program);
    let gone = collector.sample(NOON).unwrap();
    assert_eq!(gone.port_spaces, []);
}

#[test]
fn where_the_tables_are_left_alone_only_probes_say_how_it_is() {
    let settings = CollectSettings {
        probe_interval: Some(Duration::from_secs(15)),
        ..settings()
    };
    let mut collector = Collector::new(settings).unwrap();
    assert!(collector.hazard().is_none());
    collector.hazard = Some(TableError::Hazardous {
        mended_by: "KB4345418",
    });
    collector.light_count(NOON).unwrap();
    let sample = collector.sample(NOON).unwrap();
    assert_eq!(sample.port_spaces, []);
    assert!(!sample.probes.is_empty());
    assert!(
        collector
            .hazard()
            .unwrap()
            .to_string()
            .ends_with("KB4345418")
    );
}

#[test]
fn rates_need_two_samples_and_survive_a_clock_that_jumps() {
    run_in_new(|| {
        let mut collector = collector();
        let first = collector.sample(NOON).unwrap();
        assert_eq!(first.rates, CounterRates::default());
        assert_eq!(first.interval_ms, 0);
        let back = collector
            .sample(NOON.saturating_sub(Duration::from_hours(1)))
            .unwrap();
        assert!(back.interval_ms < 60_000);
        let shift = first.booted_at.ms_since(back.booted_at).saturating_abs();
        assert!(shift < 2_000, "booted at shifted by {shift} ms");
    })
    .unwrap();
}

#[test]
fn settings_outside_their_limits_are_named() {
    let wrong = [
        CollectSettings {
            interval: Duration::from_secs(301),
            ..settings()
        },
        CollectSettings {
            top_owners: 0,
            ..settings()
        },
        CollectSettings {
            top_destinations: 65,
            ..settings()
        },
        CollectSettings {
            probe_interval: Some(Duration::from_secs(1)),
            ..settings()
        },
    ];
    let fields = wrong.map(|settings| match Collector::new(settings) {
        Err(CollectError::Setting { field, .. }) => field,
        other => panic!("{other:?}"),
    });
    assert_eq!(
        fields,
        [
            "interval",
            "top_owners",
            "top_destinations",
            "probe_interval"
        ]
    );
}
