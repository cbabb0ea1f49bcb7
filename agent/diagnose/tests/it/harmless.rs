//! Loads that look alarming and are not: nothing may be found.

use tidemark_diagnose::{Situation, diagnose};
use tidemark_model::host::Capability;
use tidemark_model::sample::{OwnerCounts, ProbeKind, ProbeOutcome};
use tidemark_model::tcp::TcpState;
use tidemark_model::{PortRange, Protocol};

use crate::build::*;

#[test]
fn harmless_loads_raise_nothing() {
    for (name, situation) in situations() {
        let found = diagnose(&situation);
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
}

fn situations() -> Vec<(&'static str, Situation)> {
    let mut all = servers();
    all.extend(bursts());
    all.extend(windows());
    all
}

fn servers() -> Vec<(&'static str, Situation)> {
    vec![
        (
            "a busy proxy in front of a local service: thousands of pooled connections, churn below the half",
            glimpse(LINUX, |minute| {
                let ports = 5_000 + (minute * 40.0) as u32;
                tcp()
                    .strong(ports)
                    .time_wait(3_500)
                    .state(TcpState::Established, ports * 2)
                    .state(TcpState::CloseWait, 40)
                    .owner(
                        "nginx",
                        OwnerCounts {
                            close_wait: 40,
                            sockets: ports * 2,
                            ..holds(ports)
                        },
                    )
                    .handles(2 * ports + 300)
                    .to_from("127.0.0.1", "127.0.0.1:8080", ports, 900)
                    .others(2_600)
            }),
        ),
        (
            "five thousand clients on one port",
            minutes(SERVER_2019, 30, |_| {
                tcp()
                    .strong(60)
                    .state(TcpState::Established, 5_000)
                    .state(TcpState::CloseWait, 30)
                    .owner(
                        "httpd.exe",
                        OwnerCounts {
                            ports: 1,
                            sockets: 5_001,
                            ..OwnerCounts::default()
                        },
                    )
                    .handles(6_000)
            }),
        ),
        (
            "a DNS server's socket pool",
            minutes(SERVER_2019, 30, |_| {
                udp().strong(5_100).owner("dns.exe", holds(5_000))
            }),
        ),
        (
            "a DNS server's socket pool, seen once",
            once(
                SERVER_2019,
                udp().strong(5_100).owner("dns.exe", holds(5_000)),
            ),
        ),
        (
            "a resolver under load",
            glimpse(LINUX, |minute| {
                let ports = 900 + (minute * 100.0) as u32;
                udp().strong(ports).owner("unbound", holds(ports))
            }),
        ),
        (
            "a database that keeps many handles by design",
            minutes(SERVER_2019, 20, |minute| {
                tcp()
                    .strong(900)
                    .owner("sqlservr.exe", holds(9_000))
                    .handles(12_000 + minute as u32)
            }),
        ),
        (
            "bound sockets that a program keeps and does not add to",
            minutes(SERVER_2019, 31, |_| {
                tcp()
                    .strong(2_100)
                    .bound(Some(2_000))
                    .owner("rpcss.exe", holds_bound(2_000))
            }),
        ),
        ("a wide range on Linux, as many servers have it", {
            let mut tcp = tcp().strong(4_000);
            tcp.range = PortRange::new(1_024, 65_535).unwrap();
            tcp.capacity = tcp.range.size();
            once(LINUX, tcp).without(Capability::Events)
        }),
        (
            "a small range on Linux that is enough for its load",
            once(LINUX, space(Protocol::Tcp, 1_000).strong(300)),
        ),
    ]
}

fn bursts() -> Vec<(&'static str, Situation)> {
    vec![
        (
            "a scan of this host",
            glimpse(LINUX, |_| {
                tcp()
                    .strong(80)
                    .state(TcpState::SynReceived, 900)
                    .state(TcpState::Listen, 30)
            }),
        ),
        (
            "a scan by this host, of many hosts and ports",
            glimpse(LINUX, |_| {
                tcp()
                    .strong(2_000)
                    .state(TcpState::SynSent, 1_900)
                    .owner("nmap", holds(1_900))
                    .to("10.0.0.5:80", 3, 0)
                    .to("10.0.0.6:80", 3, 0)
                    .others(1_894)
            }),
        ),
        (
            "a nightly batch: up within minutes, and down again",
            minutes(SERVER_2019, 40, |minute| {
                let ports = 400 + 5_000_u32.saturating_sub(((minute - 20.0).abs() * 250.0) as u32);
                tcp()
                    .strong(ports)
                    .time_wait(1_500)
                    .state(TcpState::Established, ports)
                    .owner("backup.exe", holds(ports))
                    .to("10.0.0.7:445", ports, 0)
            }),
        ),
        (
            "a client that fills its pool at its start",
            glimpse(SERVER_2019, |minute| {
                let ports = 100 + (minute * 1_200.0) as u32;
                tcp()
                    .strong(ports)
                    .state(TcpState::Established, ports)
                    .owner("app.exe", holds(ports))
                    .to("10.0.0.5:1433", ports, 0)
            }),
        ),
        (
            "many short programs of one script",
            glimpse(LINUX, |minute| {
                let pid = 1_000 + (minute * 120.0) as u32;
                tcp()
                    .strong(200)
                    .time_wait(2_000)
                    .owner_of("curl", pid, 100, holds(1))
            }),
        ),
        ("one probe that failed between two that did not", {
            let mut situation = minutes(SERVER_2019, 2, |_| tcp().strong(300));
            let kind = ProbeKind::BindTcpV4;
            let outcomes = [
                ProbeOutcome::Succeeded,
                ProbeOutcome::Exhausted,
                ProbeOutcome::Succeeded,
            ];
            for (sample, outcome) in situation.samples.iter_mut().zip(outcomes) {
                sample.probes.push(probe(kind, outcome));
            }
            situation
        }),
    ]
}

fn windows() -> Vec<(&'static str, Situation)> {
    vec![
        (
            "an idle server after two weeks",
            minutes(SERVER_2019, 30, |_| tcp().strong(40).time_wait(12)),
        ),
        (
            "a young Windows Server 2008 R2",
            minutes(SERVER_2008, 10, |_| tcp().strong(40).time_wait(900)).up(300),
        ),
        (
            "an up-to-date server that has been up for 500 days",
            minutes(SERVER_2019, 10, |_| tcp().time_wait(900)).up(500),
        ),
        (
            "restarts and shutdowns in the log",
            once(SERVER_2019, tcp().strong(40)).events(&[
                event("EventLog", 6_005, 60_000),
                event("EventLog", 6_008, 60_000),
                event("Service Control Manager", 7_000, 60_000),
            ]),
        ),
        (
            "ids of other programs",
            once(SERVER_2019, tcp().strong(40)).events(&[
                event("SomeApp", 4_231, 60_000),
                event("SomeApp", 4_266, 60_000),
                event("SomeApp", 5_719, 60_000),
            ]),
        ),
        ("a host of which nothing is known", host(LINUX)),
    ]
}
