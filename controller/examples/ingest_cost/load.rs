//! The load of one host: a daily swing, one host in fifty leaking. Everything follows from the host's number, so that whoever
//! asks for the same host gets the same samples.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, DestinationSample, LightCount, OwnerCounts, OwnerSample,
    PortSpaceSample, ProcessIdentity, WatchGroupSample,
};
use tidemark_model::tcp::{StateCounts, TcpState};
use tidemark_model::{PortRange, PortSpaceKey, Protocol, Sample, Timestamp};

/// Midnight UTC of a day long past, so that windows and days are whole.
pub const START: Timestamp = Timestamp::from_unix_ms(1_780_012_800_000);

/// Time between two samples.
pub const INTERVAL: Duration = Duration::from_secs(30);

/// Time that passes between two rounds; each host's samples of a round come as one batch, as after a short outage.
pub const ROUND: Duration = Duration::from_secs(600);

/// What a host with that number is called.
pub fn host_name(number: usize) -> String {
    format!("web-{number:04}")
}

/// One host's sockets and counters.
pub struct Load {
    rng: StdRng,
    base: f64,
    swing: f64,
    leak_per_hour: f64,
    leaked: f64,
    names: Vec<Arc<str>>,
    watch: Vec<Arc<str>>,
}

impl Load {
    /// Of the host with that number, at its first sample.
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            base: rng.random_range(50.0..1_500.0),
            swing: rng.random_range(0.1..0.7),
            leak_per_hour: if seed.is_multiple_of(50) {
                rng.random_range(20.0..200.0)
            } else {
                0.0
            },
            leaked: 0.0,
            names: ["java", "nginx", "postgres", "svc"].map(Arc::from).to_vec(),
            watch: ["sql", "http"].map(Arc::from).to_vec(),
            rng,
        }
    }

    /// The sample at `at`; each follows from the one before.
    pub fn sample(&mut self, at: Timestamp) -> Sample {
        let hour = at.unix_ms().rem_euclid(86_400_000) as f64 / 3_600_000.0;
        let day = 1.0 + self.swing * ((hour - 8.0) / 24.0 * std::f64::consts::TAU).sin();
        let noise = 1.0 + self.rng.random_range(-0.03..0.03);
        self.leaked += self.leak_per_hour * INTERVAL.as_secs_f64() / 3_600.0;
        let established = (self.base * day * noise) as u32;
        let time_wait = (self.base * 0.6 * day * (1.0 + self.rng.random_range(-0.1..0.1))) as u32;
        let bound = self.leaked as u32 + 3;
        Sample {
            at,
            booted_at: Timestamp::from_unix_ms(1_779_000_000_000),
            interval_ms: 30_000,
            port_spaces: vec![self.space(established, time_wait, bound)],
            rates: CounterRates {
                tcp_active_opens: Some(u64::from(time_wait) * 16 + self.rng.random_range(0..500)),
                tcp_passive_opens: Some(u64::from(established) * 3),
                tcp_attempt_fails: Some(0),
                tcp_estab_resets: Some(self.rng.random_range(0..3) * 33),
                tcp_in_segs: Some(u64::from(established) * 900 + self.rng.random_range(0..9_000)),
                tcp_out_segs: Some(u64::from(established) * 800 + self.rng.random_range(0..9_000)),
                tcp_retrans_segs: Some(self.rng.random_range(0..10) * 33),
                ..CounterRates::default()
            },
            host_handles: Some(u64::from(established) * 3 + 2_000),
            probes: Vec::new(),
            cost: AgentCost {
                cpu_us: 2_000 + self.rng.random_range(0..500),
                resident_bytes: 9_000_000,
                collect_us: 1_500 + self.rng.random_range(0..300),
                own_ports: 1,
                own_sockets: 2,
            },
        }
    }

    fn space(&mut self, established: u32, time_wait: u32, bound: u32) -> PortSpaceSample {
        let strong = established + bound;
        let in_use = strong + time_wait;
        let mut states = StateCounts::default();
        for (state, count) in [
            (TcpState::Established, established),
            (TcpState::TimeWait, time_wait),
            (TcpState::Bound, bound),
            (TcpState::Listen, 40),
        ] {
            states.set(state, count);
        }
        PortSpaceSample {
            key: PortSpaceKey::own(Protocol::Tcp),
            range: PortRange::new(32_768, 60_999).expect("a legal range"),
            capacity: 28_232,
            strong,
            time_wait_only: time_wait,
            bound: Some(bound),
            quality: CountQuality::Counted,
            light: Some(LightCount {
                min: in_use.saturating_sub(self.rng.random_range(0..20)),
                max: in_use + self.rng.random_range(0..40),
                last: in_use,
                counts: 6,
            }),
            states_v4: states,
            states_v6: StateCounts::default(),
            owners: self.owners(established, bound),
            owners_other: OwnerCounts {
                ports: established / 10,
                sockets: established / 8,
                ..OwnerCounts::default()
            },
            ports_without_owner: time_wait,
            destinations: vec![
                destination(1, 5_432, established / 2, time_wait / 2),
                destination(2, 443, established / 4, time_wait / 3),
            ],
            destinations_other_ports: established / 4,
            watch_groups: self
                .watch
                .iter()
                .map(|name| WatchGroupSample {
                    name: Arc::clone(name),
                    connections: established / 3,
                    time_wait: time_wait / 3,
                })
                .collect(),
        }
    }

    fn owners(&mut self, established: u32, bound: u32) -> Vec<OwnerSample> {
        let mut owners = Vec::new();
        for (rank, name) in self.names.iter().enumerate() {
            let leaks = if rank == 0 { bound } else { 0 };
            let ports = established / (2 + rank as u32) + leaks;
            owners.push(OwnerSample {
                process: ProcessIdentity {
                    pid: 1_000 + rank as u32,
                    started_at: Timestamp::from_unix_ms(1_779_000_100_000),
                    name: Arc::clone(name),
                    executable: None,
                    service: None,
                },
                counts: OwnerCounts {
                    ports,
                    bound: leaks,
                    close_wait: 0,
                    sockets: ports + 4,
                },
                handles: Some(ports + 120),
            });
        }
        owners
    }
}

fn destination(last: u8, port: u16, ports: u32, time_wait: u32) -> DestinationSample {
    DestinationSample {
        local_address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)),
        remote_address: IpAddr::V4(Ipv4Addr::new(10, 0, 1, last)),
        remote_port: port,
        ports: ports + time_wait,
        time_wait,
    }
}
