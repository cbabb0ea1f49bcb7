//! Arbitrary samples survive the wire; hostile ones are refused by the name of their field.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tidemark_model::Timestamp;
use tidemark_model::port::PortSpaceKey;
use tidemark_model::sample::ProcessIdentity;

use super::*;
use crate::convert::ConvertError;
use crate::convert::names::NameReader;

mod refusals;

fn time() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800_000..=253_402_300_799_999_i64).prop_map(Timestamp::from_unix_ms)
}

fn name() -> impl Strategy<Value = std::sync::Arc<str>> {
    "nginx|java|/usr/sbin/[a-d]|[^\0]{0,20}".prop_map(Into::into)
}

fn count() -> impl Strategy<Value = u64> {
    0..=i64::MAX as u64
}

fn states() -> impl Strategy<Value = StateCounts> {
    vec(prop_oneof![Just(0), any::<u32>()], 12).prop_map(|counts| {
        let mut states = StateCounts::default();
        for (state, sockets) in TcpState::ALL.into_iter().zip(counts) {
            states.set(state, sockets);
        }
        states
    })
}

fn owner_counts(ports_max: u32) -> impl Strategy<Value = OwnerCounts> {
    (0..=ports_max, any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
        |(ports, bound, close_wait, sockets)| OwnerCounts {
            ports,
            bound: bound % (ports.saturating_add(1).max(1)),
            close_wait,
            sockets,
        },
    )
}

prop_compose! {
    fn owner()(
        pid: u32, started_at in time(), name in name(), executable in option::of(name()), service in option::of(name()),
        counts in owner_counts(65_536), handles: Option<u32>,
    ) -> OwnerSample {
        let process = ProcessIdentity { pid, started_at, name, executable, service };
        OwnerSample { process, counts, handles }
    }
}

prop_compose! {
    fn destination()(
        local_address: IpAddr, remote_address: IpAddr, remote_port: u16, ports in 0..=65_536_u32, time_wait: u32,
    ) -> DestinationSample {
        let time_wait = time_wait % (ports + 1);
        DestinationSample { local_address, remote_address, remote_port, ports, time_wait }
    }
}

fn light() -> impl Strategy<Value = LightCount> {
    (vec(0..=65_536_u32, 3), any::<u32>()).prop_map(|(mut ports, counts)| {
        ports.sort_unstable();
        LightCount {
            min: ports[0],
            last: ports[1],
            max: ports[2],
            counts,
        }
    })
}

/// Range, then strong, TIME_WAIT and bound ports that fit it, and the capacity.
fn ports() -> impl Strategy<Value = (PortRange, [u32; 4])> {
    (any::<u16>(), any::<u16>(), any::<[u32; 4]>()).prop_map(|(a, b, numbers)| {
        let range = PortRange::new(a.min(b), a.max(b)).unwrap();
        let strong = numbers[0] % (range.size() + 1);
        let time_wait = numbers[1] % (range.size() - strong + 1);
        let bound = numbers[2] % (strong + 1);
        let capacity = numbers[3] % (range.size() + 1);
        (range, [strong, time_wait, bound, capacity])
    })
}

fn quality() -> impl Strategy<Value = CountQuality> {
    let scope = prop_oneof![Just(BoundScope::AllProcesses), Just(BoundScope::Suspects)];
    prop_oneof![
        Just(CountQuality::Counted),
        Just(CountQuality::Estimated),
        (any::<u32>(), scope).prop_map(|(age_ms, scope)| CountQuality::Earlier { age_ms, scope }),
    ]
}

prop_compose! {
    fn space()(
        (udp, namespace) in (any::<bool>(), "default|net-[0-9]{1,9}"),
        (range, [strong, time_wait_only, bound, capacity]) in ports(),
        (knows_bound, quality, light) in (any::<bool>(), quality(), option::of(light())),
        (states_v4, states_v6) in (states(), states()),
        (owners, owners_other) in (vec(owner(), 0..5), owner_counts(u32::MAX)),
        (ports_without_owner, destinations_other_ports) in (0..=65_536_u32, any::<u32>()),
        destinations in vec(destination(), 0..5),
        watch_groups in vec((name(), any::<u32>(), any::<u32>()), 0..4),
    ) -> PortSpaceSample {
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        PortSpaceSample {
            key: PortSpaceKey { protocol, namespace: namespace.into() },
            range,
            capacity,
            strong,
            time_wait_only,
            bound: knows_bound.then_some(bound),
            quality,
            light,
            states_v4,
            states_v6,
            owners,
            owners_other,
            ports_without_owner,
            destinations,
            destinations_other_ports,
            watch_groups: watch_groups
                .into_iter()
                .map(|(name, connections, time_wait)| WatchGroupSample { name, connections, time_wait })
                .collect(),
        }
    }
}

fn rates() -> impl Strategy<Value = CounterRates> {
    vec(option::of(count()), 12).prop_map(|rates| CounterRates {
        tcp_active_opens: rates[0],
        tcp_passive_opens: rates[1],
        tcp_attempt_fails: rates[2],
        tcp_estab_resets: rates[3],
        tcp_in_segs: rates[4],
        tcp_out_segs: rates[5],
        tcp_retrans_segs: rates[6],
        tcp_out_rsts: rates[7],
        tcp_time_wait_overflow: rates[8],
        udp_in_datagrams: rates[9],
        udp_out_datagrams: rates[10],
        udp_in_errors: rates[11],
    })
}

fn probe() -> impl Strategy<Value = ProbeResult> {
    let outcome = prop_oneof![
        Just(ProbeOutcome::Succeeded),
        Just(ProbeOutcome::Exhausted),
        Just(ProbeOutcome::Unsupported),
        any::<i32>().prop_map(ProbeOutcome::Failed),
    ];
    let kind = proptest::sample::select(ProbeKind::ALL.to_vec());
    (kind, any::<u32>(), any::<Option<u32>>(), outcome).prop_map(
        |(kind, duration_us, value, outcome)| ProbeResult {
            kind,
            duration_us,
            value,
            outcome,
        },
    )
}

prop_compose! {
    /// Any legal sample.
    pub(in crate::convert) fn any_sample()(
        (at, booted_at) in (time(), time()),
        interval_ms in 0..=INTERVAL_MS_MAX,
        mut port_spaces in vec(space(), 0..4),
        rates in rates(),
        host_handles in option::of(count()),
        probes in vec(probe(), 0..7),
        (cpu_us, resident_bytes) in (count(), count()),
        (collect_us, own_ports, own_sockets) in any::<(u32, u32, u32)>(),
    ) -> Sample {
        port_spaces.sort_by(|a, b| a.key.cmp(&b.key));
        port_spaces.dedup_by(|a, b| a.key == b.key);
        let cost = AgentCost { cpu_us, resident_bytes, collect_us, own_ports, own_sockets };
        Sample { at, booted_at, interval_ms, port_spaces, rates, host_handles, probes, cost }
    }
}

fn over_the_wire(
    sample: &Sample,
    change: impl FnOnce(&mut v1::Sample),
) -> Result<Sample, ConvertError> {
    let (mut writer, mut reader) = (NameWriter::default(), NameReader::default());
    let mut wire = sample_to_wire(sample, &mut writer);
    change(&mut wire);
    reader.extend(writer.take_new())?;
    sample_from_wire(wire, &reader)
}

/// A sample with one TCP port space that holds one of everything.
pub(in crate::convert) fn plain() -> Sample {
    let address = IpAddr::from([10, 0, 0, 1]);
    let counts = OwnerCounts {
        ports: 9,
        bound: 3,
        close_wait: 1,
        sockets: 12,
    };
    let mut sample = Sample {
        at: Timestamp::from_unix_ms(1_700_000_000_000),
        booted_at: Timestamp::from_unix_ms(1_690_000_000_000),
        interval_ms: 30_000,
        port_spaces: Vec::new(),
        rates: CounterRates::default(),
        host_handles: None,
        probes: vec![ProbeResult {
            kind: ProbeKind::BindUdp,
            duration_us: 40,
            value: None,
            outcome: ProbeOutcome::Succeeded,
        }],
        cost: AgentCost::default(),
    };
    sample.port_spaces.push(PortSpaceSample {
        key: PortSpaceKey::own(Protocol::Tcp),
        range: PortRange::new(32_768, 60_999).unwrap(),
        capacity: 28_232,
        strong: 100,
        time_wait_only: 20,
        bound: Some(3),
        quality: CountQuality::Counted,
        light: Some(LightCount {
            min: 90,
            max: 140,
            last: 120,
            counts: 6,
        }),
        states_v4: StateCounts::default(),
        states_v6: StateCounts::default(),
        owners: vec![OwnerSample {
            process: ProcessIdentity {
                pid: 1,
                started_at: sample.booted_at,
                name: "init".into(),
                executable: None,
                service: None,
            },
            counts,
            handles: None,
        }],
        owners_other: OwnerCounts::default(),
        ports_without_owner: 0,
        destinations: vec![DestinationSample {
            local_address: address,
            remote_address: address,
            remote_port: 443,
            ports: 5,
            time_wait: 2,
        }],
        destinations_other_ports: 0,
        watch_groups: vec![WatchGroupSample {
            name: "sql".into(),
            connections: 1,
            time_wait: 0,
        }],
    });
    sample
}

#[test]
fn an_estimate_may_lie_above_the_range() {
    let estimated = over_the_wire(&plain(), |sample| {
        sample.port_spaces[0].estimated = true;
        sample.port_spaces[0].strong = 40_000;
    });
    assert_eq!(
        estimated.map(|sample| sample.port_spaces[0].strong),
        Ok(40_000)
    );
}

#[test]
fn a_count_with_an_age_is_an_estimate_to_readers_that_do_not_know_of_ages() {
    let mut sample = plain();
    sample.port_spaces[0].quality = CountQuality::Earlier {
        age_ms: 60_000,
        scope: BoundScope::Suspects,
    };
    let read = over_the_wire(&sample, |sample| {
        assert!(sample.port_spaces[0].estimated);
        sample.port_spaces[0].bound_age_ms = None;
    });
    let quality = read.map(|sample| sample.port_spaces[0].quality);
    assert_eq!(quality, Ok(CountQuality::Estimated));
}

#[test]
fn port_spaces_travel_in_the_order_of_their_keys() {
    let mut sample = plain();
    let mut udp = sample.port_spaces[0].clone();
    udp.key = PortSpaceKey::own(Protocol::Udp);
    sample.port_spaces.insert(0, udp);
    let arrived = over_the_wire(&sample, |_| ()).unwrap();
    let protocols: Vec<_> = arrived
        .port_spaces
        .iter()
        .map(|space| space.key.protocol)
        .collect();
    assert_eq!(protocols, Protocol::ALL);
}

proptest! {
    #[test]
    fn samples_survive_the_wire(sample in any_sample()) {
        prop_assert_eq!(over_the_wire(&sample, |_| ()), Ok(sample));
    }
}
