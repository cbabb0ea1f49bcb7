//! Rules 1 to 4, 23, 29 and 30: ports that are gone, and who does not give them back.

use tidemark_diagnose::Situation;
use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;
use tidemark_model::sample::ProbeKind;
use tidemark_model::tcp::TcpState;

use super::Case;
use crate::build::*;

pub(super) fn exhaustion() -> Vec<Case> {
    let full = |ports| once(SERVER_2019, tcp().strong(ports));
    let logged = [event("Tcpip", 4_231, 60_000)];
    vec![
        Case {
            rule: Rule::TcpExhaustion,
            // 95 % of 16,384 are 15,564.8.
            fires: full(15_565).events(&logged),
            culprit: None,
            silent: full(15_565),
            // The gauge alone, without probes and log.
            blind: Some(full(16_300).without(Capability::Events)),
        },
        Case {
            rule: Rule::TcpExhaustion,
            fires: minutes(SERVER_2019, 2, |_| tcp().strong(9_000))
                .refused(ProbeKind::BindTcpV4, 2),
            culprit: None,
            silent: minutes(SERVER_2019, 2, |_| tcp().strong(9_000)),
            blind: Some(once(SERVER_2019, tcp().strong(9_000)).refused(ProbeKind::BindTcpV4, 1)),
        },
        Case {
            rule: Rule::UdpExhaustion,
            fires: once(SERVER_2019, udp().strong(16_000)).events(&[event("Tcpip", 4_266, 60_000)]),
            culprit: None,
            silent: once(SERVER_2019, udp().strong(16_000))
                .events(&[event("Tcpip", 4_231, 60_000)]),
            blind: Some(host(SERVER_2019).events(&[event("Tcpip", 4_266, 60_000)])),
        },
    ]
}

/// 1,700 bound sockets after half an hour, which is more than a tenth; connections stay at 300.
fn bound(per_minute: f64, connections: impl Fn(f64) -> u32) -> Situation {
    minutes(SERVER_2019, 30, |minute| {
        let ports = 1_700 - (per_minute * (30.0 - minute)) as u32;
        tcp()
            .strong(ports + 300)
            .bound(Some(ports))
            .state(TcpState::Established, connections(minute))
            .owner("leaky.exe", holds_bound(ports))
            .owner_of("other.exe", 8, 9_000, holds(300))
    })
}

fn close_wait(sockets: u32, per_minute: f64) -> Situation {
    minutes(SERVER_2019, 12, |minute| {
        let held = sockets - (per_minute * (12.0 - minute)) as u32;
        tcp()
            .strong(held)
            .state(TcpState::CloseWait, held)
            .owner("pool.exe", holds_close_wait(held))
            .to("10.0.0.5:1433", held, 0)
    })
}

fn udp_ports(name: &str, per_minute: f64) -> Situation {
    minutes(SERVER_2019, 30, |minute| {
        let ports = 1_700 - (per_minute * (30.0 - minute)) as u32;
        udp().strong(ports).owner(name, holds(ports))
    })
}

pub(super) fn leaks() -> Vec<Case> {
    let unlisted = |rule_out: u32| {
        once(
            SERVER_2019,
            tcp()
                .strong(900)
                .bound(None)
                .owner("leaky.exe", holds(rule_out))
                .handles(9_000),
        )
        .refused(ProbeKind::BindTcpV4, 1)
        .without(Capability::BoundSockets)
    };
    let handles = |count: u32| {
        minutes(SERVER_2019, 15, |minute| {
            tcp()
                .strong(400)
                .owner("client.exe", holds(count / 2 + 1))
                .handles(count - 15 + minute as u32)
        })
    };
    let mut known = handles(3_001);
    known.handle_medians.insert("client.exe".into(), 600);
    let mut usual = handles(3_001);
    usual.handle_medians.insert("client.exe".into(), 601);
    vec![
        Case {
            rule: Rule::BoundLeak,
            fires: bound(1.0, |_| 300),
            culprit: Some("leaky.exe"),
            silent: bound(0.5, |_| 300),
            blind: Some(unlisted(100)),
        },
        Case {
            rule: Rule::BoundLeak,
            fires: bound(1.0, |_| 300),
            culprit: Some("leaky.exe"),
            // Connections come alike: a load.
            silent: bound(1.0, |minute| 300 + (minute * 10.0) as u32),
            blind: Some({
                let mut brief = bound(40.0, |_| 300);
                brief.samples = brief.samples.split_off(28);
                brief
            }),
        },
        Case {
            rule: Rule::CloseWaitLeak,
            fires: close_wait(200, 1.0),
            culprit: Some("pool.exe"),
            silent: close_wait(199, 1.0),
            blind: Some({
                let mut newest = close_wait(200, 1.0);
                newest.samples = newest.samples.split_off(12);
                newest
            }),
        },
        Case {
            rule: Rule::CloseWaitLeak,
            fires: close_wait(300, 10.0),
            culprit: Some("pool.exe"),
            // Less than half were there ten minutes ago: they are young.
            silent: close_wait(300, 20.0),
            blind: None,
        },
        Case {
            rule: Rule::UdpLeak,
            fires: udp_ports("leaky.exe", 1.0),
            culprit: Some("leaky.exe"),
            silent: udp_ports("leaky.exe", 0.5),
            blind: Some({
                let mut brief = udp_ports("leaky.exe", 40.0);
                brief.samples = brief.samples.split_off(28);
                brief
            }),
        },
        Case {
            rule: Rule::HandleLeak,
            fires: known,
            culprit: Some("client.exe"),
            silent: usual,
            blind: Some(handles(3_016)),
        },
        Case {
            rule: Rule::AgentLeak,
            fires: once(LINUX, tcp().strong(80).owner("tidemark-agent", holds(65))),
            culprit: Some("tidemark-agent"),
            silent: once(LINUX, tcp().strong(80).owner("tidemark-agent", holds(64))),
            blind: None,
        },
    ]
}
