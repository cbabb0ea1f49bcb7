//! A plausible server: twenty processes and a dozen destinations that follow the hours of a day, with noise, and where its
//! kind says so a leak or churn. The same seed gives the same server; sums always fit.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tidemark_model::Timestamp;
use tidemark_model::port::{PortRange, PortSpaceKey, Protocol};
use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, DestinationSample, LightCount, OwnerCounts, OwnerSample,
    PortSpaceSample, ProbeKind, ProbeOutcome, ProbeResult, ProcessIdentity, Sample,
    WatchGroupSample,
};
use tidemark_model::tcp::{StateCounts, TcpState};
use tidemark_runtime::Entropy;

use super::scenario::{Behaviour, HostKind};

/// Processes with their usual shares of a server's ports; the first is the one that leaks or churns.
const PROCESSES: [(&str, u32); 20] = [
    ("orders-api", 300),
    ("w3wp.exe", 180),
    ("java", 120),
    ("sqlservr.exe", 90),
    ("node", 70),
    ("svchost.exe", 50),
    ("lsass.exe", 30),
    ("MonitoringHost.exe", 25),
    ("edragent.exe", 22),
    ("filebeat", 18),
    ("otelcol", 15),
    ("dns-cache", 14),
    ("consul", 12),
    ("backupd", 11),
    ("chronyd", 9),
    ("postfix", 8),
    ("redis-server", 8),
    ("nginx", 7),
    ("sshd", 6),
    ("telegraf", 5),
];
/// Remote endpoints with their usual shares; the first is the one that churn goes to.
const DESTINATIONS: [([u8; 4], u16, u32); 12] = [
    ([10, 20, 0, 12], 1433, 250),
    ([10, 20, 0, 30], 443, 200),
    ([10, 20, 0, 31], 443, 150),
    ([10, 20, 1, 5], 5672, 100),
    ([10, 20, 1, 9], 6379, 80),
    ([10, 20, 2, 2], 389, 60),
    ([10, 20, 2, 3], 636, 50),
    ([10, 20, 3, 7], 5432, 40),
    ([10, 20, 4, 25], 25, 30),
    ([192, 0, 2, 10], 443, 20),
    ([192, 0, 2, 11], 80, 10),
    ([198, 51, 100, 4], 8443, 10),
];
/// How long a closed connection holds its port, in seconds (Linux; Windows up to 120).
const TIME_WAIT_S: f64 = 60.0;
/// Share of a day's ports that TIME_WAIT holds.
const TIME_WAIT_SHARE: f64 = 0.2;
/// How much churn grows in an hour.
const CHURN_GROWTH_PER_HOUR: f64 = 0.5;
const DAY_S: f64 = 86_400.0;

/// One simulated server.
#[derive(Clone, Debug)]
pub struct Server {
    kind: HostKind,
    entropy: Entropy,
    booted_at: Timestamp,
    began_at: Timestamp,
    last_at: Option<Timestamp>,
    /// When in the day it is busiest, as a share of the day.
    busiest: f64,
    /// Slow noise around the day's course, around 1.
    mood: f64,
    names: Vec<Arc<str>>,
    address: IpAddr,
}

impl Server {
    /// The server that `seed` stands for, first seen at `now`.
    #[must_use]
    pub fn new(kind: HostKind, seed: u64, now: Timestamp) -> Self {
        let entropy = Entropy::seeded(seed);
        let up_s = 86_400 + entropy.below(30 * 86_400);
        let [a, b] = entropy.bytes();
        Self {
            booted_at: now.saturating_sub(std::time::Duration::from_secs(up_s)),
            began_at: now,
            last_at: None,
            busiest: unit(&entropy),
            mood: 1.0,
            names: PROCESSES.iter().map(|(name, _)| Arc::from(*name)).collect(),
            address: IpAddr::V4(Ipv4Addr::new(10, 10, a, b)),
            kind,
            entropy,
        }
    }

    /// What its agent would see at `now`.
    pub fn sample(&mut self, now: Timestamp) -> Sample {
        let interval_ms = self.last_at.map_or(0, |last| now.ms_since(last).max(0));
        let is_first = self.last_at.replace(now).is_none();
        let demand = self.demand(now);
        let opens = f64::from(demand.time_wait) / TIME_WAIT_S;
        Sample {
            at: now,
            booted_at: self.booted_at,
            interval_ms: u32::try_from(interval_ms).unwrap_or(0),
            port_spaces: vec![self.tcp(&demand), self.udp(&demand)],
            rates: if is_first {
                CounterRates::default()
            } else {
                rates(opens, demand.ordinary)
            },
            host_handles: Some(u64::from(demand.in_use()) * 3 + 4_000),
            probes: probes(
                &self.entropy,
                demand.in_use() >= u32::from(self.kind.capacity),
            ),
            cost: AgentCost {
                cpu_us: 900 + self.entropy.below(300),
                resident_bytes: 9 << 20,
                collect_us: 700 + u32::try_from(self.entropy.below(400)).unwrap_or(0),
                own_ports: 1,
                own_sockets: 2,
            },
        }
    }

    /// How many ports are wanted at `now`, cut to what there is.
    fn demand(&mut self, now: Timestamp) -> Demand {
        let capacity = f64::from(self.kind.capacity);
        let hours = now.ms_since(self.began_at) as f64 / 3_600_000.0;
        let of_day = (now.unix_ms() as f64 / 1_000.0 / DAY_S).fract();
        let course = 0.65 + 0.35 * ((of_day - self.busiest) * std::f64::consts::TAU).cos();
        self.mood += 0.1 * (1.0 - self.mood) + 0.02 * (unit(&self.entropy) - 0.5);
        let total = capacity * self.kind.level * course * self.mood.clamp(0.5, 1.5);
        let (leaked, churned) = match self.kind.behaviour {
            Behaviour::Idle => (0.0, 0.0),
            Behaviour::Leak => (self.kind.ports_per_hour * hours, 0.0),
            Behaviour::Churn => {
                let filled = (hours * 3_600.0 / TIME_WAIT_S).min(1.0);
                let grown = 1.0 + CHURN_GROWTH_PER_HOUR * hours;
                (
                    0.0,
                    self.kind.connections_per_second * TIME_WAIT_S * filled * grown,
                )
            }
        };
        let room = u32::from(self.kind.capacity);
        let leaked = whole(leaked).min(room);
        let ordinary = whole(total * (1.0 - TIME_WAIT_SHARE)).min(room - leaked);
        let churned = whole(churned).min(room - leaked - ordinary);
        let time_wait =
            churned + whole(total * TIME_WAIT_SHARE).min(room - leaked - ordinary - churned);
        Demand {
            ordinary,
            leaked,
            churned,
            time_wait,
        }
    }

    fn tcp(&self, demand: &Demand) -> PortSpaceSample {
        let capacity = u32::from(self.kind.capacity);
        let in_use = demand.in_use();
        let wobble = u32::try_from(self.entropy.below(1 + u64::from(in_use / 50))).unwrap_or(0);
        let mut states_v4 = StateCounts::default();
        states_v4.set(TcpState::Established, demand.ordinary);
        states_v4.set(TcpState::TimeWait, demand.time_wait);
        states_v4.set(TcpState::Bound, demand.leaked);
        states_v4.set(TcpState::Listen, 24);
        let shares = DESTINATIONS.map(|(_, _, share)| share);
        let steady = shared_out(demand.ordinary + demand.time_wait - demand.churned, &shares);
        let destinations = DESTINATIONS
            .iter()
            .zip(steady)
            .enumerate()
            .map(|(place, ((octets, port, _), ports))| {
                let churned = if place == 0 { demand.churned } else { 0 };
                DestinationSample {
                    local_address: self.address,
                    remote_address: IpAddr::from(*octets),
                    remote_port: *port,
                    ports: ports + churned,
                    time_wait: churned + ports / 5,
                }
            })
            .collect();
        PortSpaceSample {
            key: PortSpaceKey::own(Protocol::Tcp),
            range: range_of(capacity),
            capacity,
            strong: demand.ordinary + demand.leaked,
            time_wait_only: demand.time_wait,
            bound: Some(demand.leaked),
            quality: CountQuality::Counted,
            light: Some(LightCount {
                min: in_use - wobble,
                max: (in_use + wobble).min(capacity),
                last: in_use,
                counts: 5,
            }),
            states_v4,
            states_v6: StateCounts::default(),
            owners: self.owners(demand.ordinary, demand.leaked),
            owners_other: OwnerCounts::default(),
            ports_without_owner: demand.time_wait,
            destinations,
            destinations_other_ports: 0,
            watch_groups: vec![
                watched("sql", demand.ordinary / 4, demand.churned),
                watched("http", demand.ordinary / 3, demand.time_wait / 5),
                watched("smtp", demand.ordinary / 40, 0),
            ],
        }
    }

    fn udp(&self, demand: &Demand) -> PortSpaceSample {
        let strong = 20 + demand.ordinary / 200;
        let mut states_v4 = StateCounts::default();
        states_v4.set(TcpState::Bound, strong);
        PortSpaceSample {
            key: PortSpaceKey::own(Protocol::Udp),
            range: range_of(u32::from(self.kind.capacity)),
            capacity: u32::from(self.kind.capacity),
            strong,
            time_wait_only: 0,
            bound: Some(strong),
            quality: CountQuality::Counted,
            light: None,
            states_v4,
            states_v6: StateCounts::default(),
            owners: vec![],
            owners_other: OwnerCounts {
                ports: strong,
                bound: strong,
                close_wait: 0,
                sockets: strong,
            },
            ports_without_owner: 0,
            destinations: vec![],
            destinations_other_ports: 0,
            watch_groups: vec![],
        }
    }

    fn owners(&self, ordinary: u32, leaked: u32) -> Vec<OwnerSample> {
        let shares = PROCESSES.map(|(_, share)| share);
        let mut owners: Vec<OwnerSample> = self
            .names
            .iter()
            .zip(shared_out(ordinary, &shares))
            .enumerate()
            .map(|(place, (name, ports))| {
                let bound = if place == 0 { leaked } else { 0 };
                OwnerSample {
                    process: ProcessIdentity {
                        pid: 1_000 + u32::try_from(place).unwrap_or(0) * 37,
                        started_at: self.booted_at,
                        name: Arc::clone(name),
                        executable: None,
                        service: None,
                    },
                    counts: OwnerCounts {
                        ports: ports + bound,
                        bound,
                        close_wait: ports / 50,
                        sockets: ports + bound + 2,
                    },
                    handles: Some(120 + (ports + bound) * 2),
                }
            })
            .collect();
        owners.sort_by_key(|owner| std::cmp::Reverse(owner.counts.ports));
        owners
    }
}

/// Ports wanted, by what holds them; together at most the capacity.
#[derive(Clone, Copy, Debug)]
struct Demand {
    /// Connections of ordinary work.
    ordinary: u32,
    /// Bound and never connected.
    leaked: u32,
    /// Of those in TIME_WAIT, towards the one destination.
    churned: u32,
    /// All in TIME_WAIT.
    time_wait: u32,
}

impl Demand {
    const fn in_use(&self) -> u32 {
        self.ordinary + self.leaked + self.time_wait
    }
}

/// Splits `total` by `shares` without losing one.
fn shared_out<const N: usize>(total: u32, shares: &[u32; N]) -> [u32; N] {
    let sum: u64 = shares.iter().map(|share| u64::from(*share)).sum();
    let mut parts =
        shares.map(|share| u32::try_from(u64::from(total) * u64::from(share) / sum).unwrap_or(0));
    let given: u32 = parts.iter().sum();
    if let Some(first) = parts.first_mut() {
        *first += total - given;
    }
    parts
}

fn range_of(capacity: u32) -> PortRange {
    let first = u16::try_from(65_536_u32.saturating_sub(capacity)).unwrap_or(u16::MAX);
    PortRange {
        first,
        last: u16::MAX,
    }
}

fn watched(name: &str, connections: u32, time_wait: u32) -> WatchGroupSample {
    WatchGroupSample {
        name: name.into(),
        connections,
        time_wait,
    }
}

fn rates(opens_per_second: f64, connections: u32) -> CounterRates {
    let milli = |per_second: f64| Some(u64::from(whole(per_second * 1_000.0)));
    CounterRates {
        tcp_active_opens: milli(opens_per_second),
        tcp_passive_opens: milli(opens_per_second / 4.0),
        tcp_attempt_fails: milli(0.1),
        tcp_estab_resets: milli(0.3),
        tcp_in_segs: milli(f64::from(connections) * 2.0),
        tcp_out_segs: milli(f64::from(connections) * 2.1),
        tcp_retrans_segs: milli(0.5),
        tcp_out_rsts: milli(0.2),
        udp_in_datagrams: milli(12.0),
        udp_out_datagrams: milli(12.0),
        udp_in_errors: Some(0),
        ..CounterRates::default()
    }
}

fn probes(entropy: &Entropy, is_exhausted: bool) -> Vec<ProbeResult> {
    let outcome = if is_exhausted {
        ProbeOutcome::Exhausted
    } else {
        ProbeOutcome::Succeeded
    };
    [ProbeKind::BindTcpV4, ProbeKind::BindUdp]
        .into_iter()
        .map(|kind| ProbeResult {
            kind,
            duration_us: 8 + u32::try_from(entropy.below(20)).unwrap_or(0),
            value: None,
            outcome,
        })
        .collect()
}

/// A number from 0 to 1, 1 excluded.
fn unit(entropy: &Entropy) -> f64 {
    let bits = u32::try_from(entropy.u64() >> 32).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// Rounded, and cut to what a count may be.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is cut to the range of u32 before"
)]
fn whole(value: f64) -> u32 {
    value.round().clamp(0.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidemark_proto::convert::record::{Record, decode_stored, encode_stored};

    use super::*;
    use crate::fleetsim::scenario::Scenario;

    fn server(scenario: &str, seed: u64) -> Server {
        let kind = Scenario::open(scenario).unwrap().kind_of(0, 1);
        Server::new(kind, seed, start())
    }

    fn start() -> Timestamp {
        Timestamp::from_unix_ms(1_760_000_000_000)
    }

    #[test]
    fn every_sample_is_one_that_a_controller_takes() {
        for scenario in ["idle", "leak", "churn"] {
            for seed in 0..20 {
                let mut server = server(scenario, seed);
                for step in 0..100 {
                    let at = start().saturating_add(Duration::from_secs(step * 600));
                    let record = Record::Sample(server.sample(at));
                    assert_eq!(decode_stored(&encode_stored(&record)).unwrap(), record);
                }
            }
        }
    }

    #[test]
    fn a_leak_exhausts_the_range_and_stays_within_it() {
        let mut server = server("leak", 1);
        let mut before = 0;
        for hour in 0..24 {
            let at = start().saturating_add(Duration::from_secs(hour * 3_600));
            let sample = server.sample(at);
            let tcp = &sample.port_spaces[0];
            assert!(tcp.in_use() <= tcp.capacity);
            let leaked = tcp.bound.unwrap();
            assert!(leaked >= before);
            assert_eq!(tcp.owners[0].counts.bound, leaked, "hour {hour}");
            before = leaked;
        }
        assert_eq!(before, 16_384);
    }

    #[test]
    fn what_processes_and_destinations_hold_adds_up() {
        let sample = server("churn", 5).sample(start());
        let tcp = &sample.port_spaces[0];
        let owned: u32 = tcp.owners.iter().map(|owner| owner.counts.ports).sum();
        assert_eq!(owned, tcp.strong);
        let towards: u32 = tcp.destinations.iter().map(|to| to.ports).sum();
        assert_eq!(towards, tcp.in_use());
    }

    #[test]
    fn a_seed_repeats_itself() {
        let two = [server("churn", 3), server("churn", 3)].map(|mut it| it.sample(start()));
        assert_eq!(two[0], two[1]);
        assert_ne!(server("churn", 4).sample(start()), two[0]);
    }
}
