//! Each field of a sample with an illegal value, and the words of its refusal.

use super::*;

type Change = fn(&mut v1::Sample);

const CASES: &[(Change, &str)] = &[
    (
        |s| s.at_ms = i64::MAX,
        "sample.at_ms is 9223372036854775807 ms; times lie in the years 1 to 9999",
    ),
    (
        |s| s.booted_at_ms = i64::MIN,
        "sample.booted_at_ms is -9223372036854775808 ms; times lie in the years 1 to 9999",
    ),
    (
        |s| s.interval_ms = u32::MAX,
        "sample.interval_ms is 4294967295; the limit is 604800000",
    ),
    (
        |s| s.port_spaces = vec![s.port_spaces[0].clone(); 257],
        "sample.port_spaces is 257; the limit is 256",
    ),
    (
        |s| s.port_spaces.push(s.port_spaces[0].clone()),
        "sample.port_spaces is malformed: they are not in the order of their keys, each once",
    ),
    (
        |s| s.probes = vec![s.probes[0]; 65],
        "sample.probes is 65; the limit is 64",
    ),
    (
        |s| s.probes[0].kind = 0,
        "probe.kind is malformed: it is not one of this protocol's",
    ),
    (
        |s| s.probes[0].outcome = 9,
        "probe.outcome is malformed: it is not one of this protocol's",
    ),
    (
        |s| s.host_handles = Some(u64::MAX),
        "sample.host_handles is 18446744073709551615; the limit is 9223372036854775807",
    ),
    (|s| s.cost = None, "sample.cost is missing"),
    (
        |s| {
            s.rates = Some(v1::CounterRates {
                tcp_in_segs: Some(1 << 63),
                ..v1::CounterRates::default()
            })
        },
        "sample.rates is 9223372036854775808; the limit is 9223372036854775807",
    ),
    (
        |s| s.port_spaces[0].protocol = 0,
        "port_space.protocol is malformed: it is neither TCP nor UDP",
    ),
    (
        |s| s.port_spaces[0].namespace = 0,
        "port_space.namespace is missing",
    ),
    (
        |s| s.port_spaces[0].namespace = 99,
        "port_space.namespace is 99; the limit is 3",
    ),
    (
        |s| s.port_spaces[0].range_last = 65_536,
        "port_space.range_last is 65536; the limit is 65535",
    ),
    (
        |s| s.port_spaces[0].range_first = 61_000,
        "port_space.range_first is malformed: it is above range_last",
    ),
    (
        |s| s.port_spaces[0].capacity = 28_233,
        "port_space.capacity is 28233; the limit is 28232",
    ),
    (
        |s| s.port_spaces[0].strong = 28_233,
        "port_space.strong is 28233; the limit is 28232",
    ),
    (
        |s| s.port_spaces[0].time_wait_only = 28_133,
        "port_space.time_wait_only is 28133; the limit is 28132",
    ),
    (
        |s| s.port_spaces[0].bound = Some(101),
        "port_space.bound is 101; the limit is 100",
    ),
    (
        |s| s.port_spaces[0].states_v4 = vec![0; 13],
        "port_space.states_v4 is 13; the limit is 12",
    ),
    (
        |s| s.port_spaces[0].owners_other = None,
        "port_space.owners_other is missing",
    ),
    (
        |s| s.port_spaces[0].owners = vec![s.port_spaces[0].owners[0]; 4097],
        "port_space.owners is 4097; the limit is 4096",
    ),
    (
        |s| s.port_spaces[0].destinations = vec![s.port_spaces[0].destinations[0].clone(); 4097],
        "port_space.destinations is 4097; the limit is 4096",
    ),
    (
        |s| s.port_spaces[0].watch_groups = vec![s.port_spaces[0].watch_groups[0]; 65],
        "port_space.watch_groups is 65; the limit is 64",
    ),
    (
        |s| s.port_spaces[0].ports_without_owner = 65_537,
        "port_space.ports_without_owner is 65537; the limit is 65536",
    ),
    (
        |s| s.port_spaces[0].light.as_mut().unwrap().max = 65_537,
        "light.max is 65537; the limit is 65536",
    ),
    (
        |s| s.port_spaces[0].light.as_mut().unwrap().last = 141,
        "light.last is 141; the limit is 140",
    ),
    (
        |s| s.port_spaces[0].light.as_mut().unwrap().min = 121,
        "light.min is 121; the limit is 120",
    ),
    (
        |s| s.port_spaces[0].owners[0].name = 0,
        "owner.name is missing",
    ),
    (
        |s| s.port_spaces[0].owners[0].service = 77,
        "owner.service is 77; the limit is 3",
    ),
    (
        |s| s.port_spaces[0].owners[0].counts = None,
        "owner.counts is missing",
    ),
    (
        |s| s.port_spaces[0].owners[0].counts.as_mut().unwrap().ports = 65_537,
        "owner.counts.ports is 65537; the limit is 65536",
    ),
    (
        |s| s.port_spaces[0].owners[0].counts.as_mut().unwrap().bound = 10,
        "owner_counts.bound is 10; the limit is 9",
    ),
    (
        |s| s.port_spaces[0].destinations[0].local_address = vec![0; 5],
        "destination.local_address is malformed: an address has 4 or 16 bytes",
    ),
    (
        |s| s.port_spaces[0].destinations[0].remote_port = 65_536,
        "destination.remote_port is 65536; the limit is 65535",
    ),
    (
        |s| s.port_spaces[0].destinations[0].time_wait = 6,
        "destination.time_wait is 6; the limit is 5",
    ),
    (
        |s| s.port_spaces[0].watch_groups[0].name = 0,
        "watch_group.name is missing",
    ),
];

#[test]
fn every_illegal_field_is_refused_by_its_name() {
    let sample = plain();
    assert_eq!(over_the_wire(&sample, |_| ()), Ok(sample.clone()));
    for (change, message) in CASES {
        let error = over_the_wire(&sample, change).expect_err(message);
        assert_eq!(error.to_string(), *message);
    }
}
