//! Samples from the wire. Every field of a hostile sample is checked; nothing is taken in part.

use std::net::IpAddr;
use std::sync::Arc;

use tidemark_model::port::Protocol;
use tidemark_model::sample::{
    BoundScope, CountQuality, CounterRates, DestinationSample, LightCount, OwnerCounts,
    OwnerSample, PortSpaceSample, ProcessIdentity, WatchGroupSample,
};
use tidemark_model::tcp::{StateCounts, TcpState};
use tidemark_model::{PortRange, PortSpaceKey, Sample};

use crate::convert::names::NameReader;
use crate::convert::{ConvertError, at_most, list_at_most, time_from_wire};
use crate::v1;

mod host;

use host::{cost_from_wire, probe_from_wire, rates_from_wire};

/// Port spaces of one sample.
pub const PORT_SPACES_MAX: usize = 256;
/// Owners of one port space.
pub const OWNERS_MAX: usize = 4096;
/// Destinations of one port space.
pub const DESTINATIONS_MAX: usize = 4096;
/// Watch groups of one port space.
pub const WATCH_GROUPS_MAX: usize = 64;
/// Probe results of one sample.
pub const PROBES_MAX: usize = 64;
/// Bytes of a namespace's name (`NAME_MAX`: it is a file's name in `/run/netns`).
pub const NAMESPACE_BYTES_MAX: usize = 255;
/// Milliseconds between two samples of one process: a week, for hosts that were suspended.
pub const INTERVAL_MS_MAX: u32 = 7 * 24 * 3600 * 1000;

/// Ports that exist (65,535 and port 0).
const PORTS_MAX: u32 = 65_536;
/// Largest 64-bit count: databases have no unsigned integers.
const COUNT_MAX: u64 = i64::MAX as u64;

/// A sample from the wire, with its names looked up in `names`.
///
/// # Errors
/// At the first field that is missing, malformed or out of its limits.
pub fn sample_from_wire(sample: v1::Sample, names: &NameReader) -> Result<Sample, ConvertError> {
    list_at_most(
        "sample.port_spaces",
        sample.port_spaces.len(),
        PORT_SPACES_MAX,
    )?;
    list_at_most("sample.probes", sample.probes.len(), PROBES_MAX)?;
    ports("sample.interval_ms", sample.interval_ms, INTERVAL_MS_MAX)?;
    let port_spaces: Vec<_> = sample
        .port_spaces
        .into_iter()
        .map(|space| space_from_wire(space, names))
        .collect::<Result<_, _>>()?;
    if !port_spaces.is_sorted_by(|a, b| a.key < b.key) {
        return Err(ConvertError::Malformed {
            field: "sample.port_spaces",
            reason: "they are not in the order of their keys, each once",
        });
    }
    Ok(Sample {
        at: time_from_wire("sample.at_ms", sample.at_ms)?,
        booted_at: time_from_wire("sample.booted_at_ms", sample.booted_at_ms)?,
        interval_ms: sample.interval_ms,
        port_spaces,
        rates: sample.rates.map_or_else(
            || Ok(CounterRates::default()),
            |rates| rates_from_wire(&rates),
        )?,
        host_handles: count("sample.host_handles", sample.host_handles)?,
        probes: sample
            .probes
            .iter()
            .map(probe_from_wire)
            .collect::<Result<_, _>>()?,
        cost: cost_from_wire(sample.cost.as_ref())?,
    })
}

fn ports(field: &'static str, value: u32, limit: u32) -> Result<u32, ConvertError> {
    at_most(field, value.into(), limit.into())?;
    Ok(value)
}

fn port(field: &'static str, value: u32) -> Result<u16, ConvertError> {
    u16::try_from(value).map_err(|_| ConvertError::OutOfRange {
        field,
        value: value.into(),
        limit: u16::MAX.into(),
    })
}

fn count(field: &'static str, value: Option<u64>) -> Result<Option<u64>, ConvertError> {
    at_most(field, value.unwrap_or(0), COUNT_MAX)?;
    Ok(value)
}

fn space_from_wire(
    space: v1::PortSpace,
    names: &NameReader,
) -> Result<PortSpaceSample, ConvertError> {
    list_at_most("port_space.owners", space.owners.len(), OWNERS_MAX)?;
    list_at_most(
        "port_space.destinations",
        space.destinations.len(),
        DESTINATIONS_MAX,
    )?;
    list_at_most(
        "port_space.watch_groups",
        space.watch_groups.len(),
        WATCH_GROUPS_MAX,
    )?;
    let key = key_from_wire(&space, names)?;
    let range = range_from_wire(&space)?;
    check_ports(&space, range)?;
    Ok(PortSpaceSample {
        key,
        range,
        capacity: space.capacity,
        strong: space.strong,
        time_wait_only: space.time_wait_only,
        bound: space.bound,
        quality: quality_from_wire(&space),
        light: space.light.as_ref().map(light_from_wire).transpose()?,
        states_v4: states_from_wire("port_space.states_v4", &space.states_v4)?,
        states_v6: states_from_wire("port_space.states_v6", &space.states_v6)?,
        owners: space
            .owners
            .iter()
            .map(|owner| owner_from_wire(owner, names))
            .collect::<Result<_, _>>()?,
        owners_other: owner_counts_from_wire(
            "port_space.owners_other",
            space.owners_other.as_ref(),
        )?,
        ports_without_owner: ports(
            "port_space.ports_without_owner",
            space.ports_without_owner,
            PORTS_MAX,
        )?,
        destinations: space
            .destinations
            .iter()
            .map(destination_from_wire)
            .collect::<Result<_, _>>()?,
        destinations_other_ports: space.destinations_other_ports,
        watch_groups: space
            .watch_groups
            .iter()
            .map(|group| watch_group_from_wire(group, names))
            .collect::<Result<_, _>>()?,
    })
}

fn key_from_wire(space: &v1::PortSpace, names: &NameReader) -> Result<PortSpaceKey, ConvertError> {
    let protocol = match v1::Protocol::try_from(space.protocol) {
        Ok(v1::Protocol::Tcp) => Protocol::Tcp,
        Ok(v1::Protocol::Udp) => Protocol::Udp,
        Ok(v1::Protocol::Unspecified) | Err(_) => {
            return Err(ConvertError::Malformed {
                field: "port_space.protocol",
                reason: "it is neither TCP nor UDP",
            });
        }
    };
    let namespace: Arc<str> = names.required("port_space.namespace", space.namespace)?;
    list_at_most(
        "port_space.namespace bytes",
        namespace.len(),
        NAMESPACE_BYTES_MAX,
    )?;
    Ok(PortSpaceKey {
        protocol,
        namespace,
    })
}

const fn quality_from_wire(space: &v1::PortSpace) -> CountQuality {
    match (space.bound_age_ms, space.estimated) {
        (Some(age_ms), _) => CountQuality::Earlier {
            age_ms,
            scope: if space.bound_of_suspects {
                BoundScope::Suspects
            } else {
                BoundScope::AllProcesses
            },
        },
        (None, true) => CountQuality::Estimated,
        (None, false) => CountQuality::Counted,
    }
}

fn range_from_wire(space: &v1::PortSpace) -> Result<PortRange, ConvertError> {
    let first = port("port_space.range_first", space.range_first)?;
    let last = port("port_space.range_last", space.range_last)?;
    PortRange::new(first, last).ok_or(ConvertError::Malformed {
        field: "port_space.range_first",
        reason: "it is above range_last",
    })
}

/// Counted ports fit the range, reserved ones included: programs may bind those by number. An estimate is an upper bound
/// and may lie above.
fn check_ports(space: &v1::PortSpace, range: PortRange) -> Result<(), ConvertError> {
    let limit = if space.estimated {
        PORTS_MAX
    } else {
        range.size()
    };
    ports("port_space.capacity", space.capacity, range.size())?;
    ports("port_space.strong", space.strong, limit)?;
    ports(
        "port_space.time_wait_only",
        space.time_wait_only,
        limit - space.strong,
    )?;
    ports("port_space.bound", space.bound.unwrap_or(0), space.strong)?;
    Ok(())
}

fn light_from_wire(light: &v1::LightCount) -> Result<LightCount, ConvertError> {
    ports("light.max", light.max, PORTS_MAX)?;
    ports("light.last", light.last, light.max)?;
    ports("light.min", light.min, light.last)?;
    Ok(LightCount {
        min: light.min,
        max: light.max,
        last: light.last,
        counts: light.counts,
    })
}

fn states_from_wire(field: &'static str, states: &[u32]) -> Result<StateCounts, ConvertError> {
    list_at_most(field, states.len(), TcpState::ALL.len())?;
    let mut counts = StateCounts::default();
    for (state, sockets) in TcpState::ALL.into_iter().zip(states) {
        counts.set(state, *sockets);
    }
    Ok(counts)
}

fn owner_counts_from_wire(
    field: &'static str,
    counts: Option<&v1::OwnerCounts>,
) -> Result<OwnerCounts, ConvertError> {
    let counts = counts.ok_or(ConvertError::Missing { field })?;
    Ok(OwnerCounts {
        ports: counts.ports,
        bound: ports("owner_counts.bound", counts.bound, counts.ports)?,
        close_wait: counts.close_wait,
        sockets: counts.sockets,
    })
}

fn owner_from_wire(owner: &v1::Owner, names: &NameReader) -> Result<OwnerSample, ConvertError> {
    let counts = owner_counts_from_wire("owner.counts", owner.counts.as_ref())?;
    ports("owner.counts.ports", counts.ports, PORTS_MAX)?;
    Ok(OwnerSample {
        process: ProcessIdentity {
            pid: owner.pid,
            started_at: time_from_wire("owner.started_at_ms", owner.started_at_ms)?,
            name: names.required("owner.name", owner.name)?,
            executable: names.optional("owner.executable", owner.executable)?,
            service: names.optional("owner.service", owner.service)?,
        },
        counts,
        handles: owner.handles,
    })
}

fn address_from_wire(field: &'static str, octets: &[u8]) -> Result<IpAddr, ConvertError> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Ok(IpAddr::from(octets));
    }
    <[u8; 16]>::try_from(octets)
        .map(IpAddr::from)
        .map_err(|_| ConvertError::Malformed {
            field,
            reason: "an address has 4 or 16 bytes",
        })
}

fn destination_from_wire(destination: &v1::Destination) -> Result<DestinationSample, ConvertError> {
    let ports_used = ports("destination.ports", destination.ports, PORTS_MAX)?;
    Ok(DestinationSample {
        local_address: address_from_wire("destination.local_address", &destination.local_address)?,
        remote_address: address_from_wire(
            "destination.remote_address",
            &destination.remote_address,
        )?,
        remote_port: port("destination.remote_port", destination.remote_port)?,
        ports: ports_used,
        time_wait: ports("destination.time_wait", destination.time_wait, ports_used)?,
    })
}

fn watch_group_from_wire(
    group: &v1::WatchGroup,
    names: &NameReader,
) -> Result<WatchGroupSample, ConvertError> {
    Ok(WatchGroupSample {
        name: names.required("watch_group.name", group.name)?,
        connections: group.connections,
        time_wait: group.time_wait,
    })
}
