//! A made-up fleet that behaves like servers do: daily load, noise that stays around a level, pools that step,
//! a leak here and there, values that hardly ever change, and timers that are late by a millisecond or two.

use tidemark_history::{EntityNumber, Point, Row, SeriesKey};
use tidemark_model::port::PortRange;
use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, DestinationSample, LightCount, OwnerCounts, OwnerSample,
    PortSpaceSample, ProcessIdentity, WatchGroupSample,
};
use tidemark_model::tcp::{StateCounts, TcpState};
use tidemark_model::{Metric, PortSpaceKey, Protocol, Sample, Timestamp};

/// A day.
pub const DAY_MS: i64 = 86_400_000;
const INTERVAL_MS: i64 = 30_000;

/// Series of a host.
pub const SERIES: usize = 20;

/// Capacity of the default dynamic range of Windows.
const CAPACITY: i64 = 16_384;

/// Which hosts.
pub struct Fleet {
    /// How many.
    pub hosts: u32,
    /// Another seed, another fleet.
    pub seed: u64,
}

/// SplitMix64 (Steele, Lea, Flood 2014): deterministic on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Nearly normal, with deviation 1: the sum of twelve uniform ones less six.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// A level that noise pulls away and that comes back: what counts of connections look like.
struct Level {
    value: f64,
    spread: f64,
    memory: f64,
}

impl Level {
    fn next(&mut self, around: f64, random: &mut Random) -> f64 {
        self.value = self.memory * self.value
            + random.normal() * self.spread * (1.0 - self.memory * self.memory).sqrt();
        (around + self.value).max(0.0).round()
    }
}

impl Fleet {
    fn random(&self, host: u32) -> Random {
        Random(self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ u64::from(host) << 20)
    }

    /// A day of one host as numbered points.
    pub fn rows(&self, host: u32) -> Vec<Row> {
        let mut random = self.random(host);
        let mut machine = Machine::new(&mut random);
        (0..DAY_MS / INTERVAL_MS)
            .map(|index| {
                let late = random.between(0.0, 3.0) as i64;
                Row {
                    at: Timestamp::from_unix_ms(index * INTERVAL_MS + late),
                    points: machine.sample(index, &mut random),
                }
            })
            .collect()
    }

    /// Samples of one host as its agent sends them.
    pub fn samples(&self, host: u32, count: i64) -> Vec<Sample> {
        let mut random = self.random(host);
        (0..count).map(|index| sample(index, &mut random)).collect()
    }
}

/// One server.
struct Machine {
    load: f64,
    phase: f64,
    pools: [f64; 4],
    levels: Vec<Level>,
    leak_a_day: f64,
    leaked: f64,
    handles: f64,
    rare: [i64; 3],
}

impl Machine {
    fn new(random: &mut Random) -> Self {
        let level = |random: &mut Random| {
            let spread = random.between(0.5, 6.0);
            Level {
                value: 0.0,
                spread,
                memory: random.between(0.6, 0.97),
            }
        };
        Self {
            load: random.between(20.0, 400.0),
            phase: random.unit(),
            pools: [0; 4].map(|_| random.between(5.0, 80.0).round()),
            levels: (0..8).map(|_| level(random)).collect(),
            leak_a_day: if random.chance(0.1) {
                random.between(50.0, 1_500.0)
            } else {
                0.0
            },
            leaked: 0.0,
            handles: random.between(2_000.0, 60_000.0),
            rare: [0; 3],
        }
    }

    fn sample(&mut self, index: i64, random: &mut Random) -> Vec<Point> {
        let day = index as f64 * INTERVAL_MS as f64 / DAY_MS as f64;
        let load = self.load * (1.0 + 0.4 * ((day + self.phase) * std::f64::consts::TAU).sin());
        for pool in &mut self.pools {
            if random.chance(0.004) {
                *pool = (*pool + random.normal() * 4.0).max(0.0).round();
            }
        }
        self.leaked += self.leak_a_day / 2_880.0;
        self.handles =
            (self.handles + random.normal() * 6.0 + self.leak_a_day / 2_880.0).max(100.0);
        for value in &mut self.rare {
            if random.chance(0.01) {
                *value = random.between(0.0, 9.0) as i64;
            }
        }
        let lateness = random.between(-2.0, 2.0).round();
        let mut levels = self.levels.iter_mut();
        let mut level = |around: f64| {
            levels
                .next()
                .map_or(0.0, |level| level.next(around, random))
        };
        let established = level(load);
        let time_wait = level(load * 0.4);
        let close_wait = level(2.0);
        let owners = [level(load * 0.5), level(load * 0.2)];
        // Counters as rates in thousandths a second, over intervals that are a millisecond or two off.
        let interval_s = (INTERVAL_MS as f64 + lateness) / 1_000.0;
        let rate = |events: f64| (events * 1_000.0 / interval_s).floor();
        let (opens, segments) = (rate(level(load * 20.0)), rate(level(load * 300.0)));
        let bound = self.leaked.round();
        let strong = established + bound + self.pools.iter().sum::<f64>();
        let values: [(u32, Metric, f64); SERIES] = [
            (1, Metric::Capacity, CAPACITY as f64),
            (1, Metric::InUse, strong + time_wait),
            (1, Metric::Strong, strong),
            (1, Metric::Bound, bound),
            (1, Metric::TimeWait, time_wait),
            (1, Metric::StateEstablished, established),
            (1, Metric::StateCloseWait, close_wait),
            (1, Metric::StateListen, self.pools[0]),
            (1, Metric::StateSynSent, self.rare[0] as f64),
            (2, Metric::Ports, owners[0] + bound),
            (2, Metric::PortsBound, bound),
            (2, Metric::Handles, self.handles.round()),
            (3, Metric::Ports, owners[1]),
            (4, Metric::Ports, self.pools[1]),
            (5, Metric::Ports, self.pools[2]),
            (6, Metric::Ports, self.pools[3]),
            (7, Metric::Connections, self.rare[1] as f64),
            (8, Metric::TcpActiveOpens, opens),
            (8, Metric::TcpRetransSegs, rate(self.rare[2] as f64)),
            (8, Metric::TcpInSegs, segments),
        ];
        let points = values.into_iter().map(|(entity, metric, value)| Point {
            key: SeriesKey::new(EntityNumber::new(entity), metric),
            value: value as i64,
        });
        points.collect()
    }
}

/// A sample of a busy server: 20 processes, 20 destinations, 4 watch groups over TCP, less over UDP.
fn sample(index: i64, random: &mut Random) -> Sample {
    Sample {
        at: Timestamp::from_unix_ms(index * INTERVAL_MS),
        booted_at: Timestamp::EPOCH,
        interval_ms: INTERVAL_MS as u32,
        port_spaces: vec![
            port_space(Protocol::Tcp, 20, random),
            port_space(Protocol::Udp, 5, random),
        ],
        rates: CounterRates {
            tcp_active_opens: Some(9),
            tcp_in_segs: Some(10),
            ..CounterRates::default()
        },
        host_handles: Some(12_345),
        probes: Vec::new(),
        cost: AgentCost::default(),
    }
}

fn port_space(protocol: Protocol, rows: u32, random: &mut Random) -> PortSpaceSample {
    let mut states_v4 = StateCounts::default();
    states_v4.set(TcpState::Established, 300);
    let owner = |number: u32| OwnerSample {
        process: ProcessIdentity {
            pid: number,
            started_at: Timestamp::EPOCH,
            name: format!("service-{}.exe", number / 2).into(),
            executable: None,
            service: Some(format!("Service{number}").into()),
        },
        counts: OwnerCounts {
            ports: number * 3,
            ..OwnerCounts::default()
        },
        handles: Some(number * 100),
    };
    let destination = |number: u32| DestinationSample {
        local_address: [10, 0, 0, 1].into(),
        remote_address: [10, 0, 1, (number % 250) as u8].into(),
        remote_port: 1_433,
        ports: number,
        time_wait: 0,
    };
    let group = |name: &str| WatchGroupSample {
        name: name.into(),
        connections: 5,
        time_wait: 1,
    };
    PortSpaceSample {
        key: PortSpaceKey::own(protocol),
        range: PortRange {
            first: 49_152,
            last: 65_535,
        },
        capacity: CAPACITY as u32,
        strong: random.between(100.0, 2_000.0) as u32,
        time_wait_only: 50,
        bound: Some(3),
        quality: CountQuality::Counted,
        light: Some(LightCount {
            min: 1,
            max: 9,
            last: 3,
            counts: 30,
        }),
        states_v4,
        states_v6: StateCounts::default(),
        owners: (0..rows).map(owner).collect(),
        owners_other: OwnerCounts::default(),
        ports_without_owner: 0,
        destinations: (0..rows).map(destination).collect(),
        destinations_other_ports: 0,
        watch_groups: ["smtp", "sql", "ldap", "http"].map(group).into(),
    }
}
