//! Rules 12 to 15, 20 and 21: what only Windows has.

use tidemark_model::audit::{FactName, FactValue};
use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;
use tidemark_model::sample::ProbeKind;

use super::Case;
use crate::build::*;

pub(super) fn faults_of_windows() -> Vec<Case> {
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
