//! What a host must have seen itself.

use std::sync::Arc;

use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, OwnerCounts, OwnerSample, PortSpaceSample,
    ProcessIdentity,
};
use tidemark_model::tcp::StateCounts;
use tidemark_model::{PortRange, PortSpaceKey, Sample};

use super::*;

/// A sample of 1,000 TCP ports, so many of them in use, and who holds them: name, pid, ports, service.
pub(super) fn sample(strong: u32, owners: &[(&str, u32, u32, &str)]) -> Sample {
    let owner = |(name, pid, ports, service): &(&str, u32, u32, &str)| OwnerSample {
        process: ProcessIdentity {
            pid: *pid,
            started_at: at(-1_000),
            name: (*name).into(),
            executable: None,
            service: (!service.is_empty()).then(|| (*service).into()),
        },
        counts: OwnerCounts {
            ports: *ports,
            ..OwnerCounts::default()
        },
        handles: None,
    };
    Sample {
        at: at(0),
        booted_at: at(-86_400_000),
        interval_ms: 30_000,
        port_spaces: vec![PortSpaceSample {
            key: PortSpaceKey::own(Protocol::Tcp),
            range: PortRange::new(20_000, 20_999).unwrap(),
            capacity: 1_000,
            strong,
            time_wait_only: 0,
            bound: None,
            quality: CountQuality::Counted,
            light: None,
            states_v4: StateCounts::default(),
            states_v6: StateCounts::default(),
            owners: owners.iter().map(owner).collect(),
            owners_other: OwnerCounts::default(),
            ports_without_owner: 0,
            destinations: Vec::new(),
            destinations_other_ports: 0,
            watch_groups: Vec::new(),
        }],
        rates: CounterRates::default(),
        host_handles: None,
        probes: Vec::new(),
        cost: AgentCost::default(),
    }
}

fn moment(seconds: u64) -> Moment {
    Moment {
        now: at(0),
        lived_ms: seconds * 1_000,
        running: Duration::from_secs(seconds),
    }
}

/// When an event is read, by both clocks.
fn read(now: i64, second: u64) -> (Timestamp, Duration) {
    (at(now), Duration::from_secs(second))
}

/// Samples at those seconds, with so many ports in use.
fn seen(samples: &[(u64, u32)]) -> Evidence {
    let mut evidence = Evidence::default();
    for (second, strong) in samples {
        evidence.sample(&sample(*strong, &[]), Duration::from_secs(*second));
    }
    evidence
}

/// What stands against the trigger.
fn against(samples: &[(u64, u32)], second: u64) -> String {
    let held = seen(samples).holds(&level(None), &restart("appsvc"), moment(second));
    held.err().unwrap_or_default()
}

fn every_30s(until: u64, strong: impl Fn(u64) -> u32) -> Vec<(u64, u32)> {
    let seconds = (0..=until).step_by(30);
    seconds.map(|second| (second, strong(second))).collect()
}

#[test]
fn a_level_must_have_held_without_a_break() {
    assert_eq!(against(&every_30s(300, |_| 900), 300), "");
    assert!(against(&every_30s(270, |_| 900), 299).contains("held for"));
    assert!(against(&every_30s(300, |_| 899), 300).contains("899 of 1000"));
    // One that trembles is one; one that was relieved begins anew.
    let trembles = |second| if second == 150 { 856 } else { 900 };
    assert_eq!(against(&every_30s(300, trembles), 300), "");
    let relieved = |second| if second == 150 { 854 } else { 900 };
    assert!(against(&every_30s(300, relieved), 300).contains("held for"));
}

#[test]
fn holes_and_old_samples_are_no_evidence() {
    assert!(against(&[(0, 950), (300, 950)], 300).contains("held for"));
    assert!(against(&every_30s(300, |_| 950), 391).contains("no sample"));
    assert_eq!(against(&every_30s(300, |_| 950), 389), "");
    assert!(against(&[], 300).contains("no sample"));
    let evidence = seen(&every_30s(300, |_| 950));
    let mut udp = level(None);
    if let Trigger::Level { protocol, .. } = &mut udp {
        *protocol = Protocol::Udp;
    }
    let held = evidence.holds(&udp, &restart("appsvc"), moment(300));
    assert_eq!(held, Err("no such port space".to_owned()));
}

#[test]
fn a_level_has_held_until_the_newest_sample_and_no_longer() {
    assert!(against(&every_30s(270, |_| 900), 330).contains("held for"));
    assert_eq!(against(&every_30s(300, |_| 900), 330), "");
}

#[test]
fn samples_beside_the_regular_ones_leave_no_hole() {
    let samples = [0, 300, 600, 601, 602, 900].map(|second| (second, 950));
    assert_eq!(against(&samples, 900), "");
    assert_eq!(against(&samples, 1_190), "");
    // A host that samples more often from then on is measured by that.
    let mut often = samples.to_vec();
    often.extend((900..=1_500).step_by(30).map(|second| (second, 950)));
    assert!(against(&often, 1_591).contains("no sample"));
}

#[test]
fn whom_it_is_done_to_must_hold_the_ports() {
    let culprit = level(Some(Culprit { percent: 50 }));
    let owners = [
        ("leaky", 7, 600, "leaky.service"),
        ("quiet", 8, 90, "quiet.service"),
    ];
    let mut evidence = Evidence::default();
    for second in (0..=300).step_by(30) {
        evidence.sample(&sample(950, &owners), Duration::from_secs(second));
    }
    let end = |pid, image: &str, started| ActionSpec::EndProcess {
        pid,
        started_at_ms: NOW + started,
        image: image.to_owned(),
    };
    for (spec, is_it) in [
        (restart("leaky"), true),
        (restart("Leaky.service"), true),
        (restart("quiet"), false),
        (restart("appsvc"), false),
        (end(7, "leaky", -1_000), true),
        (end(7, "leaky", -999), false),
        (end(7, "quiet", -1_000), false),
        (end(8, "quiet", -1_000), false),
    ] {
        let held = evidence.holds(&culprit, &spec, moment(300));
        assert_eq!(held.is_ok(), is_it, "{spec:?}: {held:?}");
    }
}

#[test]
fn an_event_counts_for_its_time_by_both_clocks() {
    let trigger = Trigger::Event {
        source: "Tcpip".to_owned(),
        code: 4231,
        within_s: 600,
    };
    let mut evidence = Evidence::default();
    let (source, other): (Arc<str>, Arc<str>) = ("Tcpip".into(), "Tcpip6".into());
    let told = |evidence: &Evidence, now: i64, second| {
        let moment = Moment {
            now: at(now),
            ..moment(second)
        };
        evidence.holds(&trigger, &restart("appsvc"), moment).is_ok()
    };
    evidence.event(&other, 4231, at(0), read(0, 10));
    evidence.event(&source, 4227, at(0), read(0, 10));
    assert!(!told(&evidence, 0, 10));
    evidence.event(&source, 4231, at(0), read(0, 10));
    assert!(told(&evidence, 0, 10));
    assert!(told(&evidence, 600_000, 610));
    assert!(!told(&evidence, 600_001, 610), "by the wall it is older");
    assert!(!told(&evidence, 0, 611), "the clock was set back");
    assert!(!told(&evidence, -121_000, 10), "it lies in the future");
}

#[test]
fn an_event_of_the_future_neither_counts_nor_hides_one_that_does() {
    let trigger = Trigger::Event {
        source: "Tcpip".to_owned(),
        code: 4231,
        within_s: 600,
    };
    let source: Arc<str> = "Tcpip".into();
    let holds = |evidence: &Evidence, now: i64| {
        let moment = Moment {
            now: at(now),
            ..moment(20)
        };
        evidence.holds(&trigger, &restart("appsvc"), moment)
    };
    let mut evidence = Evidence::default();
    evidence.event(&source, 4231, at(400_000), read(0, 10));
    assert!(holds(&evidence, 0).is_err());
    assert!(holds(&evidence, 400_000).is_err(), "its time came");
    evidence.event(&source, 4231, at(0), read(0, 11));
    assert_eq!(holds(&evidence, 0), Ok(()));
    // Read when the clock was ahead, and another one after it was set back.
    evidence.event(&source, 4231, at(400_000), read(400_000, 12));
    assert!(holds(&evidence, 0).is_err());
    evidence.event(&source, 4231, at(1_000), read(1_000, 13));
    assert_eq!(holds(&evidence, 1_000), Ok(()));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut evidence = Evidence::default();
    for code in 0..1_000_u32 {
        evidence.event(&"noise".into(), code, at(0), read(0, code.into()));
    }
    let holds = |code| {
        let trigger = Trigger::Event {
            source: "noise".to_owned(),
            code,
            within_s: 600,
        };
        evidence.holds(&trigger, &restart("x"), moment(999)).is_ok()
    };
    assert!(holds(999) && !holds(600));
}
