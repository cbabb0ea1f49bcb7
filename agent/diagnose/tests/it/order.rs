//! Which finding comes first, and what is linked with what.

use tidemark_diagnose::diagnose;
use tidemark_model::finding::{Rule, Severity};
use tidemark_model::sample::ProbeKind;
use tidemark_model::tcp::TcpState;

use crate::build::*;

#[test]
fn a_leak_stands_before_the_exhaustion_that_it_brings() {
    let situation = minutes(SERVER_2019, 30, |minute| {
        let ports = 15_000 + (minute * 46.0) as u32;
        tcp()
            .strong(ports)
            .bound(Some(ports))
            .owner("leaky.exe", holds_bound(ports))
    })
    .refused(ProbeKind::BindTcpV4, 2)
    .events(&[event("NETLOGON", 5_719, 60_000)]);
    let found = diagnose(&situation);
    let first = &found[0];
    assert_eq!(first.rule, Rule::BoundLeak, "{found:#?}");
    assert_eq!(first.severity, Severity::Critical);
    assert_eq!(
        first.effects,
        [Rule::TcpExhaustion, Rule::DownstreamSymptoms]
    );
    for symptom in &found[1..] {
        assert_eq!(symptom.caused_by, Some(Rule::BoundLeak), "{symptom:#?}");
    }
}

#[test]
fn a_setting_stands_behind_the_cause_of_the_same_ports() {
    let situation = minutes(LINUX, 30, |minute| {
        let ports = 700 + (minute * 5.0) as u32;
        let mut space = space(tidemark_model::Protocol::Tcp, 1_000);
        space.capacity = 900;
        space
            .strong(ports)
            .bound(Some(ports))
            .owner("leaky", holds_bound(ports))
    });
    let found = rules(&situation);
    assert_eq!(found[0], Rule::BoundLeak, "{found:?}");
    for setting in [Rule::ExcludedRangeShrink, Rule::RangeTooSmall] {
        assert!(found.contains(&setting), "{found:?}");
    }
}

#[test]
fn churn_explains_the_destination_that_it_uses_up() {
    let situation = once(
        LINUX,
        tcp()
            .strong(100)
            .time_wait(14_000)
            .to("10.0.0.5:5432", 14_000, 13_950),
    );
    let found = diagnose(&situation);
    assert_eq!(found[0].rule, Rule::TimeWaitChurn, "{found:#?}");
    assert_eq!(found[1].rule, Rule::DestinationSaturated);
    assert_eq!(found[1].caused_by, Some(Rule::TimeWaitChurn));
}

#[test]
fn a_close_wait_leak_on_loopback_is_one_finding_and_not_three() {
    let situation = glimpse(LINUX, |minute| {
        let ports = 3_400 + (minute * 600.0) as u32;
        tcp()
            .strong(ports)
            .state(TcpState::CloseWait, ports)
            .state(TcpState::FinWait2, ports)
            .owner("client", holds_close_wait(ports))
            .to_from("127.0.0.1", "127.0.0.1:9000", ports, 0)
    });
    assert_eq!(rules(&situation), [Rule::CloseWaitLeak]);
}
