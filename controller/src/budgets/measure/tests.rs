//! What a sample's figures mean for a budget, exact or not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::problem::Severity;
use tidemark_model::sample::WatchGroupSample;
use tidemark_model::tcp::StateCounts;
use tidemark_model::{PortRange, PortSpaceKey, Protocol, Timestamp};

use super::*;

const LINUX: Sight = Sight {
    is_windows: false,
    sees_all_owners: true,
};
const WINDOWS: Sight = Sight {
    is_windows: true,
    sees_all_owners: true,
};

fn budget(subject: Subject, allow: &[(Quantity, Allowance)]) -> Budget {
    Budget {
        name: "b".to_owned(),
        hosts: vec![],
        subject,
        protocol: Protocol::Tcp,
        namespace: "default".to_owned(),
        allow: BTreeMap::from_iter(allow.iter().copied()),
        hold: Duration::ZERO,
        severity: Severity::Warning,
        advice: None,
    }
}

fn process(pattern: &str) -> Budget {
    let allow = [
        Quantity::Ports,
        Quantity::Bound,
        Quantity::CloseWait,
        Quantity::Sockets,
    ]
    .map(|quantity| (quantity, Allowance::Count(100)));
    budget(Subject::Process(pattern.to_owned()), &allow)
}

fn owner(name: &str, path: Option<&str>, ports: u32) -> OwnerSample {
    OwnerSample {
        process: ProcessIdentity {
            pid: ports,
            started_at: Timestamp::from_unix_ms(1),
            name: name.into(),
            executable: path.map(Arc::from),
            service: (name == "java").then(|| "billing.service".into()),
        },
        counts: OwnerCounts {
            ports,
            bound: ports / 2,
            close_wait: ports / 10,
            sockets: ports + 1,
        },
        handles: None,
    }
}

/// A space in which every port is of these owners.
fn space(owners: Vec<OwnerSample>) -> PortSpaceSample {
    let sum = |of: fn(&OwnerCounts) -> u32| owners.iter().map(|owner| of(&owner.counts)).sum();
    let (strong, close_wait): (u32, u32) =
        (sum(|counts| counts.ports), sum(|counts| counts.close_wait));
    let sockets: u32 = sum(|counts| counts.sockets);
    let mut states = StateCounts::default();
    states.set(TcpState::CloseWait, close_wait);
    states.set(TcpState::Established, sockets - close_wait);
    states.set(TcpState::TimeWait, 500);
    PortSpaceSample {
        key: PortSpaceKey::own(Protocol::Tcp),
        range: PortRange::new(20_000, 20_999).unwrap(),
        capacity: 1_000,
        strong,
        time_wait_only: 300,
        bound: Some(sum(|counts| counts.bound)),
        quality: CountQuality::Counted,
        light: None,
        states_v4: states,
        states_v6: StateCounts::default(),
        owners,
        owners_other: OwnerCounts::default(),
        ports_without_owner: 300,
        destinations: vec![],
        destinations_other_ports: 0,
        watch_groups: vec![WatchGroupSample {
            name: "sql".into(),
            connections: 40,
            time_wait: 7,
        }],
    }
}

fn held(measurement: &Measurement, quantity: Quantity) -> (u32, Option<u32>) {
    let limit = measurement
        .limits
        .iter()
        .find(|limit| limit.quantity == quantity)
        .unwrap();
    let held = limit.held.unwrap();
    (held.least, held.most)
}

#[test]
fn processes_of_a_subject_are_summed_and_time_wait_is_nobodys() {
    let space = space(vec![
        owner("nginx", Some("/usr/sbin/nginx"), 200),
        owner("nginx", None, 60),
        owner("java", Some("/opt/billing/bin/java"), 80),
    ]);
    let of = |budget: &Budget| measure(budget, &space, LINUX);
    let nginx = of(&process("ngin*"));
    assert_eq!(held(&nginx, Quantity::Ports), (260, Some(260)));
    assert_eq!(held(&nginx, Quantity::Bound), (130, Some(130)));
    assert_eq!(held(&nginx, Quantity::CloseWait), (26, Some(26)));
    assert_eq!(held(&nginx, Quantity::Sockets), (262, Some(262)));
    assert_eq!(
        (nginx.culprit.as_deref(), nginx.why_open),
        (Some("nginx"), None)
    );
    let nobody = of(&process("Nginx"));
    assert_eq!(
        held(&nobody, Quantity::Ports),
        (0, Some(0)),
        "a process that does not run holds nothing"
    );
    let service = budget(
        Subject::Service("billing*".to_owned()),
        &[(Quantity::Ports, Allowance::Permille(125))],
    );
    let service = of(&service);
    assert_eq!(held(&service, Quantity::Ports), (80, Some(80)));
    assert_eq!(service.limits[0].allowed, Some(125), "12.5 % of 1,000");
}

#[test]
fn a_name_that_the_system_cuts_is_known_by_its_file_and_case_by_its_system() {
    let long = owner("billing-gatewa", Some("/opt/billing-gateway-service"), 30);
    let space = space(vec![
        long,
        owner("Sqlservr.exe", Some("C:\\Sql\\Sqlservr.exe"), 50),
    ]);
    let ports =
        |pattern: &str, sight| held(&measure(&process(pattern), &space, sight), Quantity::Ports).0;
    assert_eq!(ports("billing-gateway-service", LINUX), 30);
    assert_eq!(ports("/opt/*", LINUX), 30);
    assert_eq!(ports("sqlservr.exe", WINDOWS), 50);
    assert_eq!(ports("c:\\sql\\*", WINDOWS), 50);
    assert_eq!(ports("sqlservr.exe", LINUX), 0);
}

#[test]
fn whoever_is_not_named_may_be_one_of_them() {
    let named = vec![
        owner("nginx", Some("/usr/sbin/nginx"), 60),
        owner("x", None, 10),
    ];
    let mut summed = space(named.clone());
    summed.owners_other = OwnerCounts {
        ports: 25,
        bound: 5,
        close_wait: 3,
        sockets: 30,
    };
    summed.strong += 25;
    let measured = measure(&process("nginx"), &summed, LINUX);
    assert_eq!(held(&measured, Quantity::Ports), (60, Some(85)));
    assert_eq!(held(&measured, Quantity::Bound), (30, Some(35)));
    assert!(measured.why_open.is_some());
    // A path tells nothing of a process whose path may not be read.
    let by_path = measure(&process("/usr/sbin/*"), &space(named.clone()), LINUX);
    assert_eq!(held(&by_path, Quantity::Ports), (60, Some(70)));
    // An agent without the right to see owners: 40 ports and 4 sockets in CLOSE_WAIT are somebody's.
    let mut hidden = space(named);
    hidden.strong += 40;
    hidden.ports_without_owner += 40;
    hidden.states_v4.set(TcpState::CloseWait, 11);
    let measured = measure(&process("nginx"), &hidden, LINUX);
    assert_eq!(held(&measured, Quantity::Ports), (60, Some(100)));
    assert_eq!(held(&measured, Quantity::CloseWait), (6, Some(10)));
}

#[test]
fn sockets_that_are_in_no_table_are_bounded_by_the_kernels_totals_or_not_at_all() {
    let mut estimated = space(vec![owner("nginx", None, 60)]);
    estimated.quality = CountQuality::Estimated;
    estimated.bound = None;
    estimated.strong = 90;
    let linux = measure(&process("nginx"), &estimated, LINUX);
    assert_eq!(held(&linux, Quantity::Ports), (60, Some(90)));
    assert_eq!(held(&linux, Quantity::CloseWait), (6, Some(6)));
    let windows = measure(&process("nginx"), &estimated, WINDOWS);
    assert_eq!(held(&windows, Quantity::Ports), (60, None));
    assert!(windows.why_open.unwrap().contains("bound sockets"));
    let mut suspects = estimated;
    suspects.quality = CountQuality::Earlier {
        age_ms: 1_000,
        scope: BoundScope::Suspects,
    };
    let windows = measure(&process("nginx"), &suspects, WINDOWS);
    assert_eq!(held(&windows, Quantity::Sockets), (61, None));
}

#[test]
fn a_watch_group_is_counted_exactly_or_unknown_where_nobody_counts_it() {
    let allow = [
        (Quantity::Connections, Allowance::Count(30)),
        (Quantity::TimeWait, Allowance::Count(30)),
    ];
    let of = |name: &str, space: &PortSpaceSample| {
        measure(
            &budget(Subject::WatchGroup(name.to_owned()), &allow),
            space,
            LINUX,
        )
    };
    let space = space(vec![]);
    let sql = of("sql", &space);
    assert_eq!(held(&sql, Quantity::Connections), (40, Some(40)));
    assert_eq!(held(&sql, Quantity::TimeWait), (7, Some(7)));
    let other = of("mail", &space);
    assert!(other.limits.iter().all(|limit| limit.held.is_none()));
    assert_eq!(other.why_open, Some(NO_GROUP));
}

#[test]
fn a_share_of_an_unknown_capacity_is_unknown() {
    let mut space = space(vec![owner("nginx", None, 60)]);
    space.capacity = 0;
    let share = budget(
        Subject::Process("nginx".to_owned()),
        &[(Quantity::Ports, Allowance::Permille(100))],
    );
    let measured = measure(&share, &space, LINUX);
    assert_eq!(
        (measured.limits[0].allowed, measured.why_open),
        (None, Some(NO_CAPACITY))
    );
}
