//! Builds situations in few words: a host, a window of samples, processes, destinations, events.

use std::sync::Arc;

use tidemark_diagnose::{Situation, diagnose};
use tidemark_model::audit::{AuditFact, FactKey, FactName, FactState, FactValue, HostAudit};
use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;
use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, DestinationSample, EventHit, OwnerCounts, OwnerSample,
    PortSpaceSample, ProbeKind, ProbeOutcome, ProbeResult, ProcessIdentity, Sample,
};
use tidemark_model::tcp::{StateCounts, TcpState};
use tidemark_model::{Finding, PortRange, PortSpaceKey, Protocol, Timestamp};

pub const SERVER_2019: &str = "Windows Server 2019 (17763.5122)";
pub const SERVER_2016: &str = "Windows Server 2016 (14393.6529)";
pub const SERVER_2008: &str = "Windows Server 2008 R2 (7601.24545)";
pub const LINUX: &str = "Linux 6.8 (Debian 13)";
/// What Windows ships.
pub const PORTS: u32 = 16_384;
const MINUTE_MS: i64 = 60_000;
/// When the newest sample is taken.
pub const NOW_MS: i64 = 1_767_600_000_000;

pub fn at(ms_ago: i64) -> Timestamp {
    Timestamp::from_unix_ms(NOW_MS - ms_ago)
}

/// A host whose agent sees everything, without samples.
pub fn host(os: &str) -> Situation {
    Situation {
        capabilities: Capability::ALL.into_iter().collect(),
        ..Situation::new(os)
    }
}

/// Takes a sample every minute for `minutes`, the last of them now; `space` says what it looks like `minute` minutes after
/// the first.
pub fn minutes(os: &str, minutes: u32, space: impl Fn(f64) -> PortSpaceSample) -> Situation {
    stepped(os, minutes, MINUTE_MS, space)
}

/// As [`minutes`], with steps of two seconds, as `doctor` takes them: 30 s.
pub fn glimpse(os: &str, space: impl Fn(f64) -> PortSpaceSample) -> Situation {
    stepped(os, 15, 2_000, space)
}

/// One sample.
pub fn once(os: &str, space: PortSpaceSample) -> Situation {
    stepped(os, 0, MINUTE_MS, |_| space.clone())
}

fn stepped(
    os: &str,
    steps: u32,
    step_ms: i64,
    space: impl Fn(f64) -> PortSpaceSample,
) -> Situation {
    let mut situation = host(os);
    situation.samples = (0..=steps)
        .map(|step| {
            let ago = i64::from(steps - step) * step_ms;
            let minute = f64::from(step) * step_ms as f64 / MINUTE_MS as f64;
            sample(at(ago), vec![space(minute)])
        })
        .collect();
    situation
}

pub fn sample(at: Timestamp, port_spaces: Vec<PortSpaceSample>) -> Sample {
    Sample {
        at,
        booted_at: Timestamp::from_unix_ms(NOW_MS - 14 * 86_400_000),
        interval_ms: 60_000,
        port_spaces,
        rates: CounterRates {
            tcp_attempt_fails: Some(20_000),
            ..CounterRates::default()
        },
        host_handles: None,
        probes: Vec::new(),
        cost: AgentCost::default(),
    }
}

/// A port space of `protocol` with `size` ports, none in use.
pub fn space(protocol: Protocol, size: u32) -> PortSpaceSample {
    let last = 65_535_u16;
    let first = u16::try_from(65_536 - size).unwrap();
    PortSpaceSample {
        key: PortSpaceKey::own(protocol),
        range: PortRange::new(first, last).unwrap(),
        capacity: size,
        strong: 0,
        time_wait_only: 0,
        bound: Some(0),
        quality: CountQuality::Counted,
        light: None,
        states_v4: StateCounts::default(),
        states_v6: StateCounts::default(),
        owners: Vec::new(),
        owners_other: OwnerCounts::default(),
        ports_without_owner: 0,
        destinations: Vec::new(),
        destinations_other_ports: 0,
        watch_groups: Vec::new(),
    }
}

pub fn tcp() -> PortSpaceSample {
    space(Protocol::Tcp, PORTS)
}

pub fn udp() -> PortSpaceSample {
    space(Protocol::Udp, PORTS)
}

/// What is said of a port space in a chain.
pub trait Saying: Sized {
    fn strong(self, ports: u32) -> Self;
    fn bound(self, ports: Option<u32>) -> Self;
    fn time_wait(self, ports: u32) -> Self;
    fn state(self, state: TcpState, sockets: u32) -> Self;
    fn owner(self, name: &str, counts: OwnerCounts) -> Self;
    fn owner_of(self, name: &str, pid: u32, started_ms_ago: i64, counts: OwnerCounts) -> Self;
    fn handles(self, handles: u32) -> Self;
    fn to(self, remote: &str, ports: u32, time_wait: u32) -> Self;
    fn to_from(self, local: &str, remote: &str, ports: u32, time_wait: u32) -> Self;
    fn others(self, ports: u32) -> Self;
}

impl Saying for PortSpaceSample {
    fn strong(mut self, ports: u32) -> Self {
        self.strong = ports;
        self
    }

    fn bound(mut self, ports: Option<u32>) -> Self {
        self.bound = ports;
        self
    }

    fn time_wait(mut self, ports: u32) -> Self {
        self.time_wait_only = ports;
        self.ports_without_owner = ports;
        self.state(TcpState::TimeWait, ports)
    }

    fn state(mut self, state: TcpState, sockets: u32) -> Self {
        self.states_v4.set(state, sockets);
        self
    }

    fn owner(self, name: &str, counts: OwnerCounts) -> Self {
        self.owner_of(name, 400, 86_400_000, counts)
    }

    fn owner_of(mut self, name: &str, pid: u32, started_ms_ago: i64, counts: OwnerCounts) -> Self {
        self.owners.push(OwnerSample {
            process: ProcessIdentity {
                pid,
                started_at: at(started_ms_ago),
                name: name.into(),
                executable: None,
                service: None,
            },
            counts,
            handles: None,
        });
        self
    }

    fn handles(mut self, handles: u32) -> Self {
        if let Some(owner) = self.owners.last_mut() {
            owner.handles = Some(handles);
        }
        self
    }

    fn to(self, remote: &str, ports: u32, time_wait: u32) -> Self {
        self.to_from("10.0.0.1", remote, ports, time_wait)
    }

    fn to_from(mut self, local: &str, remote: &str, ports: u32, time_wait: u32) -> Self {
        let remote: std::net::SocketAddr = remote.parse().unwrap();
        self.destinations.push(DestinationSample {
            local_address: local.parse().unwrap(),
            remote_address: remote.ip(),
            remote_port: remote.port(),
            ports,
            time_wait,
        });
        self
    }

    fn others(mut self, ports: u32) -> Self {
        self.destinations_other_ports = ports;
        self
    }
}

pub fn holds(ports: u32) -> OwnerCounts {
    OwnerCounts {
        ports,
        sockets: ports,
        ..OwnerCounts::default()
    }
}

pub fn holds_bound(ports: u32) -> OwnerCounts {
    OwnerCounts {
        bound: ports,
        ..holds(ports)
    }
}

pub fn holds_close_wait(sockets: u32) -> OwnerCounts {
    OwnerCounts {
        close_wait: sockets,
        ..holds(sockets)
    }
}

pub fn event(source: &str, code: u32, ms_ago: i64) -> EventHit {
    EventHit {
        at: at(ms_ago),
        source: source.into(),
        code,
        count: 1,
        text: "".into(),
        log: None,
    }
}

/// Facts of the host, as an audit read them.
pub fn audit(facts: &[(FactName, Option<&str>, FactValue)]) -> HostAudit {
    let mut audit = HostAudit::empty(at(0));
    audit.facts = facts
        .iter()
        .map(|(name, item, value)| AuditFact {
            key: FactKey {
                name: *name,
                item: item.map(Arc::from),
            },
            state: FactState::Known(value.clone()),
        })
        .collect();
    audit
}

/// What is said of a situation in a chain.
pub trait Setting: Sized {
    fn events(self, events: &[EventHit]) -> Self;
    fn without(self, capability: Capability) -> Self;
    fn refused(self, kind: ProbeKind, rounds: usize) -> Self;
    fn up(self, days: i64) -> Self;
    fn audited(self, facts: &[(FactName, Option<&str>, FactValue)]) -> Self;
}

impl Setting for Situation {
    fn events(mut self, events: &[EventHit]) -> Self {
        self.events = events.to_vec();
        self
    }

    fn without(mut self, capability: Capability) -> Self {
        self.capabilities.remove(&capability);
        self
    }

    /// The newest `rounds` samples each have a probe that was refused a port; others have none.
    fn refused(mut self, kind: ProbeKind, rounds: usize) -> Self {
        let skipped = self.samples.len().saturating_sub(rounds);
        for sample in self.samples.iter_mut().skip(skipped) {
            sample.probes.push(probe(kind, ProbeOutcome::Exhausted));
        }
        self
    }

    fn up(mut self, days: i64) -> Self {
        for sample in &mut self.samples {
            sample.booted_at = Timestamp::from_unix_ms(NOW_MS - days * 86_400_000 - 3_600_000);
        }
        self
    }

    fn audited(mut self, facts: &[(FactName, Option<&str>, FactValue)]) -> Self {
        self.audit = Some(audit(facts));
        self
    }
}

pub fn probe(kind: ProbeKind, outcome: ProbeOutcome) -> ProbeResult {
    ProbeResult {
        kind,
        duration_us: 20,
        value: None,
        outcome,
    }
}

/// The rules that found something, in order.
pub fn rules(situation: &Situation) -> Vec<Rule> {
    diagnose(situation)
        .into_iter()
        .map(|found| found.rule)
        .collect()
}

pub fn find(situation: &Situation, rule: Rule) -> Option<Finding> {
    diagnose(situation)
        .into_iter()
        .find(|found| found.rule == rule)
}
