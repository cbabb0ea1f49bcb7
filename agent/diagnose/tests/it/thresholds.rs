//! Every rule: what it fires at, what it is silent below, and what it says when it cannot see all.
//!
//! The figures are those of docs/DIAGNOSIS.md.

use tidemark_diagnose::{Peer, Situation};
use tidemark_model::audit::{FactName, FactValue};
use tidemark_model::finding::Rule;
use tidemark_model::forecast::{Eta, Forecast, Road};
use tidemark_model::host::Capability;
use tidemark_model::sample::{CountQuality, PortSpaceSample, ProbeKind};
use tidemark_model::tcp::TcpState;
use tidemark_model::{PortRange, PortSpaceKey, Protocol, Timestamp};

use crate::build::*;

/// One rule: a situation at its threshold, one just below, and, where it relies on something that can be missing, the first
/// one without it.
struct Case {
    rule: Rule,
    fires: Situation,
    culprit: Option<&'static str>,
    silent: Situation,
    blind: Option<Situation>,
}

#[test]
fn every_rule_fires_at_its_threshold_and_is_silent_below() {
    let cases = cases();
    for case in &cases {
        let name = case.rule.as_str();
        let found = find(&case.fires, case.rule)
            .unwrap_or_else(|| panic!("{name} does not fire: {:?}", rules(&case.fires)));
        assert_eq!(found.culprit.as_deref(), case.culprit, "{name}");
        assert!(
            found.confidence > 0.3 && found.confidence < 1.0,
            "{found:#?}"
        );
        assert!(
            !found.evidence.is_empty() && !found.playbook.is_empty(),
            "{found:#?}"
        );
        let below = find(&case.silent, case.rule);
        assert!(
            below.is_none(),
            "{name} fires below its threshold: {below:#?}"
        );
    }
    for rule in Rule::ALL {
        assert!(
            cases.iter().any(|case| case.rule == *rule),
            "{rule:?} is not tested"
        );
    }
}

#[test]
fn what_is_missing_lowers_the_confidence_and_is_named_but_silences_nothing() {
    let mut tested = 0;
    for case in cases() {
        let Some(blind) = &case.blind else { continue };
        let name = case.rule.as_str();
        let sure = find(&case.fires, case.rule).unwrap();
        let unsure = find(blind, case.rule)
            .unwrap_or_else(|| panic!("{name} is silenced by what is missing"));
        assert!(
            unsure.confidence < sure.confidence,
            "{name}: {} and {}",
            sure.confidence,
            unsure.confidence
        );
        assert!(
            unsure.missing.len() > sure.missing.len(),
            "{name}: {:?}",
            unsure.missing
        );
        tested += 1;
    }
    assert!(tested >= 18, "{tested}");
}

fn cases() -> Vec<Case> {
    let mut cases = exhaustion();
    cases.extend(leaks());
    cases.extend(load());
    cases.extend(settings());
    cases.extend(faults_of_windows());
    cases.extend(stuck());
    cases.extend(histories());
    cases.extend(of_linux());
    cases
}

fn exhaustion() -> Vec<Case> {
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

fn leaks() -> Vec<Case> {
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

/// So many of the ports in TIME_WAIT, most of them towards one endpoint.
fn churn(time_wait: u32, strong: u32) -> PortSpaceSample {
    tcp()
        .strong(strong)
        .time_wait(time_wait)
        .to("10.0.0.9:443", time_wait, time_wait * 7 / 10 + 1)
}

fn concurrency(ports: u32, established: u32) -> PortSpaceSample {
    tcp()
        .strong(ports)
        .state(TcpState::Established, established)
        .owner("proxy.exe", holds(ports))
        .to("10.0.0.5:443", 3, 0)
        .others(ports - 3)
}

fn load() -> Vec<Case> {
    let collided = [event("Tcpip", 4_227, 60_000)];
    let level = |ports, established| minutes(SERVER_2019, 15, |_| concurrency(ports, established));
    let reuse = |ports: u16| {
        let range = FactValue::Ranges(
            PortRange::new(10_000, 10_000 + ports)
                .into_iter()
                .filter(|_| ports > 0)
                .collect(),
        );
        level(14_000, 14_000).audited(&[(
            FactName::TemplateAutoReuseRange,
            Some("Internet"),
            range,
        )])
    };
    vec![
        Case {
            rule: Rule::TimeWaitChurn,
            fires: once(SERVER_2019, churn(8_192, 100)),
            culprit: Some("10.0.0.9:443"),
            silent: once(SERVER_2019, churn(8_191, 100)),
            blind: None,
        },
        Case {
            rule: Rule::TimeWaitChurn,
            fires: once(SERVER_2019, churn(8_192, 8_191)),
            culprit: Some("10.0.0.9:443"),
            silent: once(SERVER_2019, churn(8_192, 8_192)),
            blind: None,
        },
        Case {
            rule: Rule::SingleDestinationCollision,
            fires: once(SERVER_2019, churn(9_000, 100)).events(&collided),
            culprit: Some("10.0.0.9:443"),
            silent: once(SERVER_2019, churn(9_000, 100))
                .events(&[collided[0].clone(), event("Tcpip", 4_231, 60_000)]),
            blind: Some(once(SERVER_2019, churn(9_000, 100)).without(Capability::Events)),
        },
        Case {
            rule: Rule::HighConcurrency,
            // 80 % of 16,384 are 13,107.2, and 80 % of 13,108 are 10,486.4.
            fires: level(13_108, 10_487),
            culprit: Some("proxy.exe"),
            silent: level(13_107, 10_487),
            blind: Some(once(SERVER_2019, concurrency(13_108, 10_487))),
        },
        Case {
            rule: Rule::HighConcurrency,
            fires: level(13_108, 10_487),
            culprit: Some("proxy.exe"),
            silent: level(13_108, 10_486),
            blind: None,
        },
        Case {
            rule: Rule::ManyDestinationsWithoutReuse,
            fires: reuse(0),
            culprit: Some("proxy.exe"),
            silent: reuse(2_000),
            blind: Some(level(14_000, 14_000)),
        },
        Case {
            rule: Rule::SelfLoop,
            fires: once(
                LINUX,
                tcp()
                    .strong(8_300)
                    .to_from("10.0.0.1", "10.0.0.1:80", 8_192, 8_000),
            ),
            culprit: Some("10.0.0.1:80"),
            silent: once(
                LINUX,
                tcp()
                    .strong(8_300)
                    .to_from("10.0.0.1", "10.0.0.1:80", 8_191, 8_000),
            ),
            blind: None,
        },
    ]
}

fn settings() -> Vec<Case> {
    let sized = |size| once(SERVER_2019, space(Protocol::Tcp, size));
    let cut = |end: u16| {
        let mut tcp = tcp();
        tcp.range = PortRange::new(1_025, end).unwrap();
        tcp.capacity = tcp.range.size();
        once(SERVER_2019, tcp).audited(&[(
            FactName::MaxUserPort,
            None,
            FactValue::Number(u64::from(end)),
        )])
    };
    let templates = |other: u16| {
        let range = |first| FactValue::Range(PortRange::new(first, 65_535).unwrap());
        once(SERVER_2019, tcp()).audited(&[
            (
                FactName::TemplateDynamicRange,
                Some("Internet"),
                range(49_152),
            ),
            (
                FactName::TemplateDynamicRange,
                Some("Datacenter"),
                range(other),
            ),
        ])
    };
    let wide = |first: u16| {
        let mut tcp = tcp();
        tcp.range = PortRange::new(first, 65_535).unwrap();
        tcp.capacity = tcp.range.size();
        once(SERVER_2019, tcp)
    };
    let refused = [event("MSSQLSERVER", 26_023, 60_000)];
    let excluded = |ports| {
        let mut tcp = space(Protocol::Tcp, 20_000);
        tcp.capacity -= ports;
        once(LINUX, tcp)
    };
    vec![
        Case {
            rule: Rule::RangeTooSmall,
            fires: sized(16_383),
            culprit: None,
            silent: sized(16_384),
            blind: None,
        },
        Case {
            rule: Rule::RangeTooSmall,
            fires: cut(5_000),
            culprit: None,
            silent: wide(10_000),
            blind: None,
        },
        Case {
            rule: Rule::RangeTooSmall,
            fires: templates(10_000),
            culprit: None,
            silent: templates(49_152),
            blind: None,
        },
        Case {
            rule: Rule::RangeOverWide,
            fires: wide(1_025).events(&refused),
            culprit: None,
            silent: wide(1_026).events(&refused),
            blind: Some(wide(1_025).without(Capability::Events)),
        },
        Case {
            rule: Rule::RangeOverWide,
            fires: wide(1_024).events(&refused),
            culprit: None,
            silent: wide(1_024),
            blind: None,
        },
        Case {
            rule: Rule::ExcludedRangeShrink,
            fires: excluded(4_000),
            culprit: None,
            silent: excluded(3_999),
            blind: None,
        },
    ]
}

fn faults_of_windows() -> Vec<Case> {
    let hidden = |ports| {
        minutes(SERVER_2019, 2, move |_| tcp().strong(ports)).refused(ProbeKind::BindTcpV4, 2)
    };
    let old = |days, falls: bool| {
        minutes(SERVER_2008, 10, move |minute| {
            let fallen = if falls { minute as u32 } else { 0 };
            tcp().time_wait(3_000 - fallen)
        })
        .up(days)
    };
    let slow_close = [event("AFD", 16_002, 60_000)];
    let july = |os: &str| once(os, tcp()).events(&slow_close);
    let wmi = |ports| {
        once(
            SERVER_2016,
            udp().strong(4_000).owner("WmiPrvSE.exe", holds(ports)),
        )
        .events(&[event("Tcpip", 4_266, 60_000)])
    };
    let pool = |ports, events: &[_]| {
        minutes(SERVER_2019, 2, move |_| tcp().strong(ports))
            .refused(ProbeKind::BindTcpV4, 2)
            .events(events)
            .audited(&[
                (FactName::KernelNonpagedBytes, None, FactValue::Number(76)),
                (FactName::MemoryBytes, None, FactValue::Number(100)),
            ])
    };
    let starved = |second: &str| {
        minutes(SERVER_2019, 2, |_| {
            tcp()
                .strong(12_000)
                .owner("rpcproxy.exe", holds(7_200))
                .to_from("10.0.0.1", "10.0.1.1:443", 6_000, 0)
                .to_from(second, "10.0.1.2:443", 6_000, 0)
        })
        .refused(ProbeKind::BindTcpV4, 2)
    };
    vec![
        Case {
            rule: Rule::HiddenOwner,
            // 70 % of 16,384 are 11,468.8.
            fires: hidden(11_468),
            culprit: None,
            silent: hidden(11_469),
            blind: Some(hidden(11_468).without(Capability::BoundSockets)),
        },
        Case {
            rule: Rule::Uptime497Days,
            fires: old(490, false),
            culprit: None,
            silent: old(490, true),
            blind: Some({
                let mut brief = old(490, false);
                brief.samples = brief.samples.split_off(5);
                brief
            }),
        },
        Case {
            rule: Rule::Uptime497Days,
            fires: old(470, true),
            culprit: None,
            silent: old(469, false),
            blind: None,
        },
        Case {
            rule: Rule::July2018Regression,
            fires: july("Windows Server 2016 (14393.2363)"),
            culprit: None,
            silent: july("Windows Server 2016 (14393.2368)"),
            blind: Some(
                once("Windows Server 2016 (14393.2363)", tcp()).without(Capability::Events),
            ),
        },
        Case {
            rule: Rule::WmiUdpLeak,
            fires: wmi(2_000),
            culprit: Some("WmiPrvSE.exe"),
            silent: wmi(1_999),
            blind: Some({
                let mut unlogged = wmi(2_000).without(Capability::Events);
                unlogged.events.clear();
                unlogged
            }),
        },
        Case {
            rule: Rule::PoolExhaustion,
            fires: pool(5_000, &[event("srv", 2_019, 60_000)]),
            culprit: None,
            silent: pool(11_469, &[event("srv", 2_019, 60_000)]),
            blind: Some(pool(5_000, &[]).without(Capability::Events)),
        },
        Case {
            rule: Rule::PortScalabilityStarvation,
            fires: starved("10.0.0.2"),
            culprit: Some("rpcproxy.exe"),
            silent: starved("10.0.0.1"),
            blind: None,
        },
    ]
}

fn stuck() -> Vec<Case> {
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

fn histories() -> Vec<Case> {
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

fn of_linux() -> Vec<Case> {
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

#[test]
fn a_saved_log_alone_says_that_ports_ran_out_and_since_when() {
    let situation = host(SERVER_2019).events(&[
        event("Tcpip", 4_231, 7_200_000),
        event("Tcpip", 4_231, 60_000),
    ]);
    let found = find(&situation, Rule::TcpExhaustion).unwrap();
    assert_eq!(
        found.since_ms,
        Some(Timestamp::from_unix_ms(NOW_MS - 7_200_000))
    );
    assert!(found.evidence[0].contains("logged 2 times"), "{found:#?}");
    assert!(
        found.missing[0].contains("who held the ports"),
        "{found:#?}"
    );
}
