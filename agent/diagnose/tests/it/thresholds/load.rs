//! Rules 5 to 11 and 19: load, and how the host is set.

use tidemark_model::audit::{FactName, FactValue};
use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;
use tidemark_model::sample::PortSpaceSample;
use tidemark_model::tcp::TcpState;
use tidemark_model::{PortRange, Protocol};

use super::Case;
use crate::build::*;

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

pub(super) fn load() -> Vec<Case> {
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

pub(super) fn settings() -> Vec<Case> {
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
