//! A sample as points: every metric that is known, nothing for what is unknown. Knows no numbers of entities.

use std::net::IpAddr;
use std::sync::Arc;

use tidemark_model::entity::EntityKind;
use tidemark_model::sample::{
    CounterRates, DestinationSample, OwnerCounts, OwnerSample, PortSpaceSample, ProbeKind,
    ProbeOutcome, ProbeResult,
};
use tidemark_model::tcp::TcpState;
use tidemark_model::{Entity, Metric, PortSpaceKey, Protocol, Sample};

/// Longest name that history keeps, in bytes; longer ones are cut at a character, so that
/// [`tidemark_model::entity::ENTITY_TEXT_BYTES_MAX`] holds for namespaces of up to 200 bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// An [`Entity`] whose texts are borrowed from a sample, to look numbers up without building strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the variant of Entity with its name")]
pub enum EntityRef<'a> {
    Host,
    PortSpace(&'a PortSpaceKey),
    Process {
        space: &'a PortSpaceKey,
        name: &'a str,
    },
    OtherProcesses(&'a PortSpaceKey),
    Service {
        space: &'a PortSpaceKey,
        name: &'a str,
    },
    Destination {
        space: &'a PortSpaceKey,
        address: IpAddr,
        port: u16,
    },
    WatchGroup {
        space: &'a PortSpaceKey,
        name: &'a str,
    },
    Probe(ProbeKind),
}

impl<'a> EntityRef<'a> {
    /// The entity, with its texts copied.
    #[must_use]
    pub fn to_entity(self) -> Entity {
        match self {
            Self::Host => Entity::Host,
            Self::PortSpace(space) => Entity::PortSpace(space.clone()),
            Self::OtherProcesses(space) => Entity::OtherProcesses(space.clone()),
            Self::Process { space, name } => Entity::Process {
                space: space.clone(),
                name: Arc::from(name),
            },
            Self::Service { space, name } => Entity::Service {
                space: space.clone(),
                name: Arc::from(name),
            },
            Self::WatchGroup { space, name } => Entity::WatchGroup {
                space: space.clone(),
                name: Arc::from(name),
            },
            Self::Destination {
                space,
                address,
                port,
            } => Entity::Destination {
                space: space.clone(),
                address,
                port,
            },
            Self::Probe(kind) => Entity::Probe(kind),
        }
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(self) -> EntityKind {
        match self {
            Self::Host => EntityKind::Host,
            Self::PortSpace(_) => EntityKind::PortSpace,
            Self::Process { .. } => EntityKind::Process,
            Self::OtherProcesses(_) => EntityKind::OtherProcesses,
            Self::Service { .. } => EntityKind::Service,
            Self::Destination { .. } => EntityKind::Destination,
            Self::WatchGroup { .. } => EntityKind::WatchGroup,
            Self::Probe(_) => EntityKind::Probe,
        }
    }
}

impl<'a> From<&'a Entity> for EntityRef<'a> {
    fn from(entity: &'a Entity) -> Self {
        match entity {
            Entity::Host => Self::Host,
            Entity::PortSpace(space) => Self::PortSpace(space),
            Entity::OtherProcesses(space) => Self::OtherProcesses(space),
            Entity::Process { space, name } => Self::Process { space, name },
            Entity::Service { space, name } => Self::Service { space, name },
            Entity::WatchGroup { space, name } => Self::WatchGroup { space, name },
            Entity::Destination {
                space,
                address,
                port,
            } => Self::Destination {
                space,
                address: *address,
                port: *port,
            },
            Entity::Probe(kind) => Self::Probe(*kind),
        }
    }
}

/// Hands every entity of `sample` to `sink`, once, with all its known metrics.
///
/// Processes with one image name in one port space are one entity whose counts are summed, services likewise, and
/// destinations over all local addresses. Handles of an image are known only when they are known of each of its
/// processes. Processes come before [`EntityRef::OtherProcesses`] of their port space.
pub fn flatten<'a>(sample: &'a Sample, sink: &mut impl FnMut(EntityRef<'a>, &[(Metric, i64)])) {
    host(sample, sink);
    for space in &sample.port_spaces {
        port_space(space, sink);
        owners(space, sink);
        destinations(space, sink);
        for group in &space.watch_groups {
            let entity = EntityRef::WatchGroup {
                space: &space.key,
                name: cut(&group.name),
            };
            let metrics = [
                (Metric::Connections, i64::from(group.connections)),
                (Metric::ConnectionsTimeWait, i64::from(group.time_wait)),
            ];
            sink(entity, &metrics);
        }
    }
    for result in &sample.probes {
        probe(*result, sink);
    }
}

/// A short list on the stack of metrics that are known.
struct Known<const N: usize> {
    metrics: [(Metric, i64); N],
    length: usize,
}

impl<const N: usize> Known<N> {
    const fn new() -> Self {
        Self {
            metrics: [(Metric::Capacity, 0); N],
            length: 0,
        }
    }

    fn add(&mut self, metric: Metric, value: impl Into<i64>) {
        if let Some(slot) = self.metrics.get_mut(self.length) {
            *slot = (metric, value.into());
            self.length += 1;
        }
    }

    fn add_known(&mut self, metric: Metric, value: Option<impl Into<i64>>) {
        if let Some(value) = value {
            self.add(metric, value);
        }
    }

    fn as_slice(&self) -> &[(Metric, i64)] {
        self.metrics.get(..self.length).unwrap_or(&self.metrics)
    }
}

/// Counters of sick hosts may exceed what history stores.
fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(NAME_BYTES_MAX))
        .unwrap_or(name)
}

fn host<'a>(sample: &'a Sample, sink: &mut impl FnMut(EntityRef<'a>, &[(Metric, i64)])) {
    let CounterRates {
        tcp_active_opens,
        tcp_passive_opens,
        tcp_attempt_fails,
        tcp_estab_resets,
        tcp_in_segs,
        tcp_out_segs,
        tcp_retrans_segs,
        tcp_out_rsts,
        tcp_time_wait_overflow,
        udp_in_datagrams,
        udp_out_datagrams,
        udp_in_errors,
    } = sample.rates;
    let mut known = Known::<18>::new();
    for (metric, rate) in [
        (Metric::TcpActiveOpens, tcp_active_opens),
        (Metric::TcpPassiveOpens, tcp_passive_opens),
        (Metric::TcpAttemptFails, tcp_attempt_fails),
        (Metric::TcpEstabResets, tcp_estab_resets),
        (Metric::TcpInSegs, tcp_in_segs),
        (Metric::TcpOutSegs, tcp_out_segs),
        (Metric::TcpRetransSegs, tcp_retrans_segs),
        (Metric::TcpOutRsts, tcp_out_rsts),
        (Metric::TcpTimeWaitOverflow, tcp_time_wait_overflow),
        (Metric::UdpInDatagrams, udp_in_datagrams),
        (Metric::UdpOutDatagrams, udp_out_datagrams),
        (Metric::UdpInErrors, udp_in_errors),
    ] {
        known.add_known(metric, rate.map(saturated));
    }
    known.add_known(Metric::Handles, sample.host_handles.map(saturated));
    known.add(Metric::AgentCpu, saturated(sample.cost.cpu_us));
    known.add(Metric::AgentResident, saturated(sample.cost.resident_bytes));
    known.add(Metric::AgentCollect, sample.cost.collect_us);
    known.add(Metric::AgentPorts, sample.cost.own_ports);
    known.add(
        Metric::BootedAt,
        sample.booted_at.unix_ms().div_euclid(1_000),
    );
    sink(EntityRef::Host, known.as_slice());
}

fn port_space<'a>(
    space: &'a PortSpaceSample,
    sink: &mut impl FnMut(EntityRef<'a>, &[(Metric, i64)]),
) {
    let mut known = Known::<20>::new();
    known.add(Metric::Capacity, space.capacity);
    known.add(Metric::InUse, space.in_use());
    known.add(Metric::Strong, space.strong);
    known.add_known(Metric::Bound, space.bound);
    known.add(Metric::TimeWait, space.time_wait_only);
    known.add_known(Metric::InUseMin, space.light.map(|light| light.min));
    known.add_known(Metric::InUseMax, space.light.map(|light| light.max));
    known.add(Metric::WithoutOwner, space.ports_without_owner);
    for state in TcpState::ALL {
        if state_is_known(space, state) {
            let sockets =
                i64::from(space.states_v4.get(state)) + i64::from(space.states_v6.get(state));
            known.add(Metric::of_state(state), sockets);
        }
    }
    sink(EntityRef::PortSpace(&space.key), known.as_slice());
}

/// UDP has only the states that the agent gives it, and bound sockets are not seen on every system.
fn state_is_known(space: &PortSpaceSample, state: TcpState) -> bool {
    match (space.key.protocol, state) {
        (Protocol::Tcp | Protocol::Udp, TcpState::Bound) => space.bound.is_some(),
        (Protocol::Tcp, _) | (Protocol::Udp, TcpState::Established) => true,
        (Protocol::Udp, _) => false,
    }
}

/// What all processes of one image or service hold together.
#[derive(Clone, Copy, Default)]
struct Holding {
    ports: i64,
    bound: i64,
    close_wait: i64,
    sockets: i64,
}

impl Holding {
    fn add(&mut self, counts: OwnerCounts) {
        self.ports += i64::from(counts.ports);
        self.bound += i64::from(counts.bound);
        self.close_wait += i64::from(counts.close_wait);
        self.sockets += i64::from(counts.sockets);
    }

    fn known(self, space: &PortSpaceSample) -> Known<5> {
        let mut known = Known::new();
        known.add(Metric::Ports, self.ports);
        known.add_known(Metric::PortsBound, space.bound.map(|_| self.bound));
        if space.key.protocol == Protocol::Tcp {
            known.add(Metric::CloseWait, self.close_wait);
        }
        known.add(Metric::Sockets, self.sockets);
        known
    }
}

fn owners<'a>(space: &'a PortSpaceSample, sink: &mut impl FnMut(EntityRef<'a>, &[(Metric, i64)])) {
    let mut by_name: Vec<(&'a str, &'a OwnerSample)> = space
        .owners
        .iter()
        .map(|owner| (cut(&owner.process.name), owner))
        .collect();
    each_group(&mut by_name, |name, owners| {
        let mut holding = Holding::default();
        let mut handles = Some(0i64);
        for (_, owner) in owners {
            holding.add(owner.counts);
            handles = handles
                .zip(owner.handles)
                .map(|(sum, handles)| sum + i64::from(handles));
        }
        let mut known = holding.known(space);
        known.add_known(Metric::Handles, handles);
        let entity = EntityRef::Process {
            space: &space.key,
            name,
        };
        sink(entity, known.as_slice());
    });
    let mut other = Holding::default();
    other.add(space.owners_other);
    sink(
        EntityRef::OtherProcesses(&space.key),
        other.known(space).as_slice(),
    );

    let mut by_service: Vec<(&'a str, &'a OwnerSample)> = space
        .owners
        .iter()
        .filter_map(|owner| Some((cut(owner.process.service.as_deref()?), owner)))
        .collect();
    each_group(&mut by_service, |name, owners| {
        let mut holding = Holding::default();
        for (_, owner) in owners {
            holding.add(owner.counts);
        }
        let entity = EntityRef::Service {
            space: &space.key,
            name,
        };
        sink(entity, holding.known(space).as_slice());
    });
}

fn destinations<'a>(
    space: &'a PortSpaceSample,
    sink: &mut impl FnMut(EntityRef<'a>, &[(Metric, i64)]),
) {
    let mut by_remote: Vec<((IpAddr, u16), &'a DestinationSample)> = space
        .destinations
        .iter()
        .map(|destination| {
            let remote = (destination.remote_address, destination.remote_port);
            (remote, destination)
        })
        .collect();
    each_group(&mut by_remote, |(address, port), destinations| {
        let (mut ports, mut time_wait) = (0i64, 0i64);
        for (_, destination) in destinations {
            ports += i64::from(destination.ports);
            time_wait += i64::from(destination.time_wait);
        }
        let entity = EntityRef::Destination {
            space: &space.key,
            address,
            port,
        };
        sink(
            entity,
            &[(Metric::Ports, ports), (Metric::PortsTimeWait, time_wait)],
        );
    });
}

/// Sorts `rows` by key and hands each run of equal keys to `take`.
fn each_group<K: Ord + Copy, T>(rows: &mut [(K, T)], mut take: impl FnMut(K, &[(K, T)])) {
    rows.sort_by_key(|(key, _)| *key);
    for group in rows.chunk_by(|(left, _), (right, _)| left == right) {
        if let Some((key, _)) = group.first() {
            take(*key, group);
        }
    }
}

fn probe<'a>(result: ProbeResult, sink: &mut impl FnMut(EntityRef<'a>, &[(Metric, i64)])) {
    let failed = match result.outcome {
        ProbeOutcome::Succeeded => 0i64,
        ProbeOutcome::Exhausted => 1,
        ProbeOutcome::Failed(_) => 2,
        ProbeOutcome::Unsupported => return,
    };
    let mut known = Known::<3>::new();
    if result.outcome == ProbeOutcome::Succeeded {
        known.add(Metric::ProbeDuration, result.duration_us);
    }
    known.add_known(Metric::ProbeValue, result.value);
    known.add(Metric::ProbeFailed, failed);
    sink(EntityRef::Probe(result.kind), known.as_slice());
}

#[cfg(test)]
pub(crate) mod tests;
