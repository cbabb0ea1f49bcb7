//! What a sample of a busy server costs on the wire, frame and gRPC prefix included.

use std::net::IpAddr;

use prost::Message;
use tidemark_model::port::{PortSpaceKey, Protocol};
use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, DestinationSample, LightCount, OwnerCounts, OwnerSample,
    PortSpaceSample, ProbeKind, ProbeOutcome, ProbeResult, ProcessIdentity, WatchGroupSample,
};
use tidemark_model::tcp::{StateCounts, TcpState};
use tidemark_model::{PortRange, watch};

use super::*;

/// Bytes before each gRPC message.
const GRPC_PREFIX_BYTES: usize = 5;
const INTERVAL_MS: i64 = 30_000;
const BOOT_MS: i64 = 1_763_000_000_000;

/// Which numbers change from one sample to the next.
#[derive(Clone, Copy)]
enum Movement {
    /// All of them.
    Every,
    /// All above 100, and a third of the others: idle pools and small processes mostly hold what they held.
    Usual,
}

/// Numbers that look random and are the same in each run.
struct Noise {
    state: u64,
    movement: Movement,
}

impl Noise {
    const fn new(movement: Movement) -> Self {
        let state = 0x9e37_79b9_7f4a_7c15;
        Self { state, movement }
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % u64::from(limit)) as u32
    }

    /// A number near `centre`, apart from it by up to 3 %.
    fn near(&mut self, centre: u32) -> u32 {
        let usual = matches!(self.movement, Movement::Usual);
        if usual && centre < 100 && self.below(3) > 0 {
            return centre;
        }
        centre + self.below(centre / 32 + 2)
    }
}

fn owners(noise: &mut Noise, space: u32) -> Vec<OwnerSample> {
    (0..10)
        .map(|n| {
            let ports = noise.near(2_000 / (n + 1) / space);
            OwnerSample {
                process: ProcessIdentity {
                    pid: 1_000 + n * 7,
                    started_at: Timestamp::from_unix_ms(BOOT_MS + i64::from(n) * 12_345),
                    name: format!("service-{n}").into(),
                    executable: Some(format!("/opt/vendor/service-{n}/bin/service-{n}").into()),
                    service: Some(format!("service-{n}.service").into()),
                },
                counts: OwnerCounts {
                    ports,
                    bound: ports / 50,
                    close_wait: noise.near(3),
                    sockets: ports + noise.near(8),
                },
                handles: Some(ports + 100),
            }
        })
        .collect()
}

fn destinations(noise: &mut Noise) -> Vec<DestinationSample> {
    (0..10)
        .map(|n| {
            let ports = noise.near(1_000 / (n + 1));
            DestinationSample {
                local_address: IpAddr::from([10, 20, 30, 40]),
                remote_address: IpAddr::from([10, 20, (n * 37) as u8, (n * 91) as u8]),
                remote_port: [1433, 443, 389, 25, 8080][n as usize % 5],
                ports,
                time_wait: ports / 3,
            }
        })
        .collect()
}

fn states(noise: &mut Noise, established: u32) -> StateCounts {
    let mut states = StateCounts::default();
    for (state, sockets) in [
        (TcpState::Established, established),
        (TcpState::TimeWait, established / 2),
        (TcpState::CloseWait, 20),
        (TcpState::Listen, 40),
        (TcpState::SynSent, 5),
        (TcpState::Bound, 30),
    ] {
        states.set(state, noise.near(sockets));
    }
    states
}

fn space(noise: &mut Noise, protocol: Protocol) -> PortSpaceSample {
    let tcp = protocol == Protocol::Tcp;
    let strong = noise.near(if tcp { 5_000 } else { 150 });
    let time_wait_only = if tcp { noise.near(2_000) } else { 0 };
    let in_use = strong + time_wait_only;
    let groups = if tcp {
        watch::WatchGroup::shipped()
    } else {
        Vec::new()
    };
    PortSpaceSample {
        key: PortSpaceKey::own(protocol),
        range: PortRange::new(32_768, 60_999).unwrap(),
        capacity: 28_232,
        strong,
        time_wait_only,
        bound: Some(noise.near(60)),
        quality: CountQuality::Counted,
        light: Some(LightCount {
            min: in_use - noise.below(90),
            max: in_use + noise.below(90),
            last: in_use,
            counts: 15,
        }),
        states_v4: states(noise, strong),
        states_v6: states(noise, 30),
        owners: owners(noise, if tcp { 1 } else { 20 }),
        owners_other: OwnerCounts {
            ports: noise.near(120),
            bound: 3,
            close_wait: 2,
            sockets: 140,
        },
        ports_without_owner: time_wait_only,
        destinations: if tcp { destinations(noise) } else { Vec::new() },
        destinations_other_ports: noise.near(300),
        watch_groups: groups
            .into_iter()
            .map(|group| WatchGroupSample {
                name: group.name,
                connections: noise.near(200),
                time_wait: noise.near(60),
            })
            .collect(),
    }
}

/// The n-th sample of a server with 7,000 ports in use: TCP and UDP, ten owners each, ten destinations, all counters,
/// all probes.
fn busy_sample(noise: &mut Noise, n: i64) -> Record {
    let rate = |noise: &mut Noise, centre| Some(u64::from(noise.near(centre)));
    Record::Sample(Sample {
        at: Timestamp::from_unix_ms(
            BOOT_MS + 1_000_000 + n * INTERVAL_MS + i64::from(noise.below(9)),
        ),
        booted_at: Timestamp::from_unix_ms(BOOT_MS),
        interval_ms: INTERVAL_MS as u32 + noise.below(9),
        port_spaces: vec![space(noise, Protocol::Tcp), space(noise, Protocol::Udp)],
        rates: CounterRates {
            tcp_active_opens: rate(noise, 90_000),
            tcp_passive_opens: rate(noise, 120_000),
            tcp_attempt_fails: rate(noise, 700),
            tcp_estab_resets: rate(noise, 900),
            tcp_in_segs: rate(noise, 9_000_000),
            tcp_out_segs: rate(noise, 9_500_000),
            tcp_retrans_segs: rate(noise, 4_000),
            tcp_out_rsts: rate(noise, 2_000),
            tcp_time_wait_overflow: Some(0),
            udp_in_datagrams: rate(noise, 300_000),
            udp_out_datagrams: rate(noise, 310_000),
            udp_in_errors: Some(0),
        },
        host_handles: Some(u64::from(noise.near(40_000))),
        probes: ProbeKind::ALL
            .into_iter()
            .map(|kind| ProbeResult {
                kind,
                duration_us: noise.near(60),
                value: (kind == ProbeKind::BindBurst).then_some(32),
                outcome: ProbeOutcome::Succeeded,
            })
            .collect(),
        cost: AgentCost {
            cpu_us: u64::from(noise.near(12_000)),
            resident_bytes: 11_000_000 + u64::from(noise.below(9)) * 4_096,
            collect_us: noise.near(9_000),
            own_ports: 1,
            own_sockets: 2,
        },
    })
}

fn frame_bytes(batch: v1::RecordBatch) -> usize {
    let frame = v1::AgentFrame {
        kind: Some(v1::agent_frame::Kind::Records(batch)),
    };
    GRPC_PREFIX_BYTES + frame.encoded_len()
}

/// Mean bytes of a sample's frame in a session that lasts, over 100 samples.
fn steady_bytes(movement: Movement) -> usize {
    let mut noise = Noise::new(movement);
    let mut encoder = BatchEncoder::default();
    let mut sizes: Vec<usize> = (0..101)
        .map(|n| {
            let stored = encode_stored(&busy_sample(&mut noise, n));
            let encoded = encoder
                .encode(Seq::new(n as u64 + 1), &[stored], LIMITS)
                .unwrap();
            frame_bytes(encoded.batch)
        })
        .collect();
    let first = sizes.remove(0);
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    println!("the first takes {first} bytes, a later one {mean}");
    mean
}

#[test]
fn a_sample_of_a_busy_server_takes_less_than_400_bytes_on_the_wire() {
    let usual = steady_bytes(Movement::Usual);
    assert!(usual < 400, "{usual} bytes");
}

#[test]
fn a_sample_in_which_every_number_moved_takes_less_than_450_bytes_on_the_wire() {
    let every = steady_bytes(Movement::Every);
    assert!(every < 450, "{every} bytes");
}
