//! Rules 16 to 18, 22, 24 to 28 and 31: attempts, histories, other hosts, Linux.

use tidemark_diagnose::{Peer, Situation};
use tidemark_model::finding::Rule;
use tidemark_model::forecast::{Eta, Forecast, Road};
use tidemark_model::host::Capability;
use tidemark_model::sample::{CountQuality, ProbeKind};
use tidemark_model::tcp::TcpState;
use tidemark_model::{PortSpaceKey, Protocol};

use super::Case;
use crate::build::*;

pub(super) fn stuck() -> Vec<Case> {
    let attempts = |sockets: u32, to_one: u32| {
        minutes(LINUX, 2, move |_| {
            tcp()
                .strong(2_400)
                .state(TcpState::SynSent, sockets)
                .owner("client", holds(sockets * 7 / 10))
                .owner_of("other", 8, 9_000, holds(200))
                .to("10.9.9.9:443", to_one, 0)
                .others(sockets.saturating_sub(to_one))
        })
    };
    let looping = |per_minute: f64| {
        minutes(SERVER_2019, 15, move |minute| {
            let ports = 4_000 - (per_minute * (15.0 - minute)) as u32;
            tcp()
                .strong(ports)
                .state(TcpState::FinWait1, ports)
                .owner("launcher.exe", holds(ports))
                .to("10.8.8.8:443", ports, 0)
        })
    };
    let stuck = |sockets: u32, lowest: u32| {
        minutes(SERVER_2019, 6, move |minute| {
            let held = if minute < 2.0 { lowest } else { sockets };
            tcp().strong(600).state(TcpState::FinWait2, held)
        })
    };
    vec![
        Case {
            rule: Rule::SynSentPileUp,
            fires: attempts(500, 400),
            culprit: Some("client"),
            silent: attempts(479, 400),
            blind: Some({
                let mut first = attempts(500, 400);
                for sample in &mut first.samples {
                    sample.rates.tcp_attempt_fails = None;
                }
                first
            }),
        },
        Case {
            rule: Rule::SynSentPileUp,
            fires: attempts(480, 384),
            culprit: Some("client"),
            silent: attempts(480, 383),
            blind: None,
        },
        Case {
            rule: Rule::RetryLoop,
            fires: looping(30.0),
            culprit: Some("launcher.exe"),
            silent: looping(29.0),
            blind: Some({
                let mut brief = looping(60.0);
                brief.samples = brief.samples.split_off(10);
                brief
            }),
        },
        Case {
            rule: Rule::FinWaitStuck,
            fires: stuck(500, 500),
            culprit: None,
            silent: stuck(500, 499),
            blind: Some(once(
                SERVER_2019,
                tcp().strong(600).state(TcpState::FinWait2, 500),
            )),
        },
    ]
}

fn trend(road: Road, hours: i64) -> Forecast {
    Forecast {
        level: Some(0.4),
        floor_ports_per_hour: Some(41.0),
        eta: Some(Eta {
            at: at(-hours * 3_600_000),
            earliest: at(-hours * 3_000_000),
            latest: Some(at(-hours * 4_000_000)),
        }),
        road: Some(road),
        culprit: Some("sqlservr.exe".into()),
        explanation: "the floor rose by 984 ports in 24 h".to_owned(),
    }
}

fn with_trend(trend: Forecast) -> Situation {
    let mut situation = once(SERVER_2019, tcp().strong(6_000));
    situation
        .trends
        .insert(PortSpaceKey::own(Protocol::Tcp), trend);
    situation
}

pub(super) fn histories() -> Vec<Case> {
    let restarted = |times: u32, freed: u32| {
        minutes(SERVER_2019, 5 * times + 4, move |minute| {
            let life = minute as u32 / 5;
            let is_last = minute as u32 % 5 == 4;
            let ports = if is_last { 9_000 } else { 9_000 - freed };
            tcp()
                .strong(ports)
                .owner_of("AppSvc.exe", 100 + life, 1_000, holds(ports))
        })
    };
    let peers = |names: &[&str]| {
        let mut situation = with_trend(trend(Road::Leak, 72));
        situation.peers = Some(
            names
                .iter()
                .map(|host| Peer {
                    host: (*host).into(),
                    culprit: "sqlservr.exe".into(),
                    floor_ports_per_hour: 38.0,
                })
                .collect(),
        );
        situation
    };
    let failing =
        |ports| once(SERVER_2019, tcp().strong(ports)).events(&[event("NETLOGON", 5_719, 600_000)]);
    vec![
        Case {
            rule: Rule::DownstreamSymptoms,
            fires: failing(14_746),
            culprit: None,
            silent: once(SERVER_2019, tcp().strong(14_746)),
            blind: Some(host(SERVER_2019).events(&[event("NETLOGON", 5_719, 600_000)])),
        },
        Case {
            rule: Rule::RecurringRelief,
            fires: restarted(2, 8_192),
            culprit: Some("AppSvc.exe"),
            silent: restarted(1, 8_192),
            blind: None,
        },
        Case {
            rule: Rule::RecurringRelief,
            fires: restarted(2, 8_192),
            culprit: Some("AppSvc.exe"),
            silent: restarted(2, 8_191),
            blind: None,
        },
        Case {
            rule: Rule::FleetRegression,
            fires: peers(&["a", "b"]),
            culprit: Some("sqlservr.exe"),
            silent: peers(&["a", "a"]),
            blind: None,
        },
        Case {
            rule: Rule::PortsRunOut,
            fires: with_trend(trend(Road::Leak, 24)),
            culprit: Some("sqlservr.exe"),
            silent: with_trend(trend(Road::Leak, 25)),
            blind: None,
        },
    ]
}

pub(super) fn of_linux() -> Vec<Case> {
    let towards = |ports| once(LINUX, tcp().strong(14_000).to("10.0.0.5:5432", ports, 0));
    let unshared = |listed: u32| {
        minutes(LINUX, 2, move |_| {
            tcp()
                .strong(16_384)
                .state(TcpState::Established, 16_000)
                .owner("crawler", holds(16_000))
                .to("10.0.0.5:443", 5_000, 0)
                .to("10.0.0.6:443", 5_000, 0)
                .others(listed - 10_000)
        })
        .refused(ProbeKind::BindTcpV4, 2)
    };
    let idle = |ports| {
        once(
            LINUX,
            tcp()
                .strong(2_000)
                .bound(Some(ports))
                .owner("daemon", holds_bound(ports * 6 / 10)),
        )
    };
    let estimated = || {
        let mut situation = minutes(LINUX, 30, |minute| {
            let mut tcp = tcp()
                .strong(2_000 + minute as u32)
                .bound(None)
                .owner("daemon", holds(3))
                .handles(2_100);
            tcp.quality = CountQuality::Estimated;
            tcp
        });
        situation.capabilities.remove(&Capability::BoundSockets);
        situation
    };
    vec![
        Case {
            rule: Rule::DestinationSaturated,
            fires: towards(13_108),
            culprit: Some("10.0.0.5:5432"),
            silent: towards(13_107),
            blind: None,
        },
        Case {
            rule: Rule::BindBeforeConnect,
            fires: unshared(17_203),
            culprit: Some("crawler"),
            silent: unshared(17_204),
            blind: Some({
                let mut first = unshared(17_203);
                first.samples = first.samples.split_off(2);
                first
            }),
        },
        Case {
            rule: Rule::BoundInactiveLeak,
            fires: idle(1_639),
            culprit: Some("daemon"),
            silent: idle(1_638),
            blind: Some(estimated()),
        },
    ]
}
