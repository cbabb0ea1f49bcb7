//! Samples for the wire. `read` is the way back, with its limits.

use std::net::IpAddr;

use tidemark_model::port::Protocol;
use tidemark_model::sample::{
    AgentCost, BoundScope, CountQuality, CounterRates, DestinationSample, LightCount, OwnerCounts,
    OwnerSample, PortSpaceSample, ProbeKind, ProbeOutcome, ProbeResult, WatchGroupSample,
};
use tidemark_model::tcp::{StateCounts, TcpState};
use tidemark_model::{PortRange, Sample};

use super::names::NameWriter;
use crate::v1;

mod read;
#[cfg(test)]
pub(super) mod tests;

pub use read::{
    DESTINATIONS_MAX, INTERVAL_MS_MAX, NAMESPACE_BYTES_MAX, OWNERS_MAX, PORT_SPACES_MAX,
    PROBES_MAX, WATCH_GROUPS_MAX, sample_from_wire,
};

/// Stands for a name that does not fit even an empty table: the receiver refuses it with the name of its field.
const NO_NAME: u32 = 0;

/// A sample for the wire, with its names in `names`. Port spaces are put into the order of their keys.
#[must_use]
pub fn sample_to_wire(sample: &Sample, names: &mut NameWriter) -> v1::Sample {
    let mut spaces: Vec<&PortSpaceSample> = sample.port_spaces.iter().collect();
    spaces.sort_by(|a, b| a.key.cmp(&b.key));
    v1::Sample {
        at_ms: sample.at.unix_ms(),
        booted_at_ms: sample.booted_at.unix_ms(),
        interval_ms: sample.interval_ms,
        port_spaces: spaces
            .into_iter()
            .map(|space| space_to_wire(space, names))
            .collect(),
        rates: (sample.rates != CounterRates::default()).then(|| rates_to_wire(&sample.rates)),
        host_handles: sample.host_handles,
        probes: sample.probes.iter().map(probe_to_wire).collect(),
        cost: Some(cost_to_wire(&sample.cost)),
    }
}

/// Calls `rename` on every name number of a sample, in a fixed order.
pub(super) fn each_name(sample: &mut v1::Sample, mut rename: impl FnMut(&mut u32)) {
    for space in &mut sample.port_spaces {
        rename(&mut space.namespace);
        for owner in &mut space.owners {
            rename(&mut owner.name);
            rename(&mut owner.executable);
            rename(&mut owner.service);
        }
        for group in &mut space.watch_groups {
            rename(&mut group.name);
        }
    }
}

fn intern(names: &mut NameWriter, name: &str) -> u32 {
    names.intern(name).unwrap_or(NO_NAME)
}

fn space_to_wire(space: &PortSpaceSample, names: &mut NameWriter) -> v1::PortSpace {
    let PortRange { first, last } = space.range;
    v1::PortSpace {
        protocol: protocol_to_wire(space.key.protocol).into(),
        namespace: intern(names, &space.key.namespace),
        range_first: first.into(),
        range_last: last.into(),
        capacity: space.capacity,
        strong: space.strong,
        time_wait_only: space.time_wait_only,
        bound: space.bound,
        estimated: space.quality != CountQuality::Counted,
        light: space.light.map(light_to_wire),
        states_v4: states_to_wire(&space.states_v4),
        states_v6: states_to_wire(&space.states_v6),
        owners: space
            .owners
            .iter()
            .map(|owner| owner_to_wire(owner, names))
            .collect(),
        owners_other: Some(owner_counts_to_wire(&space.owners_other)),
        ports_without_owner: space.ports_without_owner,
        destinations: space.destinations.iter().map(destination_to_wire).collect(),
        destinations_other_ports: space.destinations_other_ports,
        watch_groups: space
            .watch_groups
            .iter()
            .map(|group| watch_group_to_wire(group, names))
            .collect(),
        bound_age_ms: match space.quality {
            CountQuality::Earlier { age_ms, .. } => Some(age_ms),
            CountQuality::Counted | CountQuality::Estimated => None,
        },
        bound_of_suspects: matches!(
            space.quality,
            CountQuality::Earlier {
                scope: BoundScope::Suspects,
                ..
            }
        ),
    }
}

const fn protocol_to_wire(protocol: Protocol) -> v1::Protocol {
    match protocol {
        Protocol::Tcp => v1::Protocol::Tcp,
        Protocol::Udp => v1::Protocol::Udp,
    }
}

const fn light_to_wire(light: LightCount) -> v1::LightCount {
    v1::LightCount {
        min: light.min,
        max: light.max,
        last: light.last,
        counts: light.counts,
    }
}

fn states_to_wire(states: &StateCounts) -> Vec<u32> {
    let occupied = states
        .occupied()
        .last()
        .map_or(0, |(state, _)| state.index() + 1);
    TcpState::ALL
        .into_iter()
        .take(occupied)
        .map(|state| states.get(state))
        .collect()
}

const fn owner_counts_to_wire(counts: &OwnerCounts) -> v1::OwnerCounts {
    v1::OwnerCounts {
        ports: counts.ports,
        bound: counts.bound,
        close_wait: counts.close_wait,
        sockets: counts.sockets,
    }
}

fn owner_to_wire(owner: &OwnerSample, names: &mut NameWriter) -> v1::Owner {
    let process = &owner.process;
    v1::Owner {
        pid: process.pid,
        started_at_ms: process.started_at.unix_ms(),
        name: intern(names, &process.name),
        executable: process
            .executable
            .as_deref()
            .map_or(NO_NAME, |name| intern(names, name)),
        service: process
            .service
            .as_deref()
            .map_or(NO_NAME, |name| intern(names, name)),
        counts: Some(owner_counts_to_wire(&owner.counts)),
        handles: owner.handles,
    }
}

fn address_to_wire(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn destination_to_wire(destination: &DestinationSample) -> v1::Destination {
    v1::Destination {
        local_address: address_to_wire(destination.local_address),
        remote_address: address_to_wire(destination.remote_address),
        remote_port: destination.remote_port.into(),
        ports: destination.ports,
        time_wait: destination.time_wait,
    }
}

fn watch_group_to_wire(group: &WatchGroupSample, names: &mut NameWriter) -> v1::WatchGroup {
    v1::WatchGroup {
        name: intern(names, &group.name),
        connections: group.connections,
        time_wait: group.time_wait,
    }
}

const fn rates_to_wire(rates: &CounterRates) -> v1::CounterRates {
    v1::CounterRates {
        tcp_active_opens: rates.tcp_active_opens,
        tcp_passive_opens: rates.tcp_passive_opens,
        tcp_attempt_fails: rates.tcp_attempt_fails,
        tcp_estab_resets: rates.tcp_estab_resets,
        tcp_in_segs: rates.tcp_in_segs,
        tcp_out_segs: rates.tcp_out_segs,
        tcp_retrans_segs: rates.tcp_retrans_segs,
        tcp_out_rsts: rates.tcp_out_rsts,
        tcp_time_wait_overflow: rates.tcp_time_wait_overflow,
        udp_in_datagrams: rates.udp_in_datagrams,
        udp_out_datagrams: rates.udp_out_datagrams,
        udp_in_errors: rates.udp_in_errors,
    }
}

fn probe_to_wire(probe: &ProbeResult) -> v1::Probe {
    let kind = match probe.kind {
        ProbeKind::BindTcpV4 => v1::ProbeKind::BindTcpV4,
        ProbeKind::BindTcpV6 => v1::ProbeKind::BindTcpV6,
        ProbeKind::BindUdp => v1::ProbeKind::BindUdp,
        ProbeKind::BindBurst => v1::ProbeKind::BindBurst,
        ProbeKind::ConnectLoopback => v1::ProbeKind::ConnectLoopback,
        ProbeKind::LocalhostOrder => v1::ProbeKind::LocalhostOrder,
    };
    let (outcome, error_code) = match probe.outcome {
        ProbeOutcome::Succeeded => (v1::ProbeOutcome::Succeeded, 0),
        ProbeOutcome::Exhausted => (v1::ProbeOutcome::Exhausted, 0),
        ProbeOutcome::Unsupported => (v1::ProbeOutcome::Unsupported, 0),
        ProbeOutcome::Failed(code) => (v1::ProbeOutcome::Failed, code),
    };
    v1::Probe {
        kind: kind.into(),
        duration_us: probe.duration_us,
        value: probe.value,
        outcome: outcome.into(),
        error_code,
    }
}

const fn cost_to_wire(cost: &AgentCost) -> v1::AgentCost {
    v1::AgentCost {
        cpu_us: cost.cpu_us,
        resident_bytes: cost.resident_bytes,
        collect_us: cost.collect_us,
        own_ports: cost.own_ports,
        own_sockets: cost.own_sockets,
    }
}
