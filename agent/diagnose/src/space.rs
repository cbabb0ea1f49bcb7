//! One port space over the window of samples, and what rules ask of it.

use std::net::IpAddr;
use std::time::Duration;

use tidemark_model::forecast::{Forecast, Road};
use tidemark_model::sample::{
    DestinationSample, OwnerSample, PortSpaceSample, ProbeKind, ProbeOutcome, ProcessIdentity,
};
use tidemark_model::tcp::TcpState;
use tidemark_model::{PortSpaceKey, Protocol, Sample, Timestamp};

use crate::evidence::share;
use crate::series::{Growth, Series};
use crate::situation::Situation;

/// Rounds of probes that must fail in a row (rule 1).
pub(crate) const ROUNDS_CONFIRMING: usize = 2;

/// One port space.
pub(crate) struct SpaceView<'a> {
    pub(crate) key: &'a PortSpaceKey,
    pub(crate) newest: &'a PortSpaceSample,
    pub(crate) at: Timestamp,
    /// Oldest first; the newest is the last.
    pub(crate) history: Vec<(Timestamp, &'a PortSpaceSample)>,
    pub(crate) trend: Option<&'a Forecast>,
    /// What the probes of this protocol found, round by round, oldest first; `true` where no port was to be had.
    refused: Vec<bool>,
}

/// Whether applications are refused ports, by the probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As many rounds in a row as confirm it.
    Confirmed,
    /// The newest round, the only one.
    Once,
    /// The newest round found a port.
    No,
    /// No probe ran.
    Unknown,
}

/// The port spaces of the newest sample.
pub(crate) fn views<'a>(situation: &'a Situation, samples: &[&'a Sample]) -> Vec<SpaceView<'a>> {
    let Some(newest) = samples.last() else {
        return Vec::new();
    };
    let view = |space: &'a PortSpaceSample| {
        let history = samples
            .iter()
            .filter_map(|sample| Some((sample.at, find(sample, &space.key)?)));
        SpaceView {
            key: &space.key,
            newest: space,
            at: newest.at,
            history: history.collect(),
            trend: situation.trends.get(&space.key),
            refused: if space.key == PortSpaceKey::own(space.key.protocol) {
                refused_rounds(space.key.protocol, samples)
            } else {
                // Probes run in the agent's own namespace.
                Vec::new()
            },
        }
    };
    let mut views: Vec<SpaceView<'a>> = newest.port_spaces.iter().map(view).collect();
    views.sort_by_key(|space| space.key);
    views.dedup_by_key(|space| space.key);
    views
}

fn find<'a>(sample: &'a Sample, key: &PortSpaceKey) -> Option<&'a PortSpaceSample> {
    sample.port_spaces.iter().find(|space| space.key == *key)
}

fn refused_rounds(protocol: Protocol, samples: &[&Sample]) -> Vec<bool> {
    let kind = match protocol {
        Protocol::Tcp => ProbeKind::BindTcpV4,
        Protocol::Udp => ProbeKind::BindUdp,
    };
    let outcomes = samples
        .iter()
        .filter_map(|sample| sample.probes.iter().find(|probe| probe.kind == kind));
    outcomes
        .filter(|probe| probe.outcome != ProbeOutcome::Unsupported)
        .map(|probe| probe.outcome == ProbeOutcome::Exhausted)
        .collect()
}

impl<'a> SpaceView<'a> {
    pub(crate) fn is_tcp(&self) -> bool {
        self.key.protocol == Protocol::Tcp
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.newest.capacity
    }

    /// In use over capacity.
    pub(crate) fn level(&self) -> f64 {
        share(self.newest.in_use(), self.newest.capacity)
    }

    /// Strong over capacity.
    pub(crate) fn strong_level(&self) -> f64 {
        share(self.newest.strong, self.newest.capacity)
    }

    pub(crate) fn series(&self, value: impl Fn(&PortSpaceSample) -> u32) -> Series {
        let points = self.history.iter();
        points
            .map(|(at, space)| (*at, f64::from(value(space))))
            .collect()
    }

    /// A number of one process over the time that it is listed.
    pub(crate) fn owner_series(
        &self,
        process: &ProcessIdentity,
        value: impl Fn(&OwnerSample) -> u32,
    ) -> Series {
        let points = self.history.iter();
        points
            .filter_map(|(at, space)| {
                let mut owners = space.owners.iter();
                let owner = owners.find(|owner| is_same(&owner.process, process))?;
                Some((*at, f64::from(value(owner))))
            })
            .collect()
    }

    /// Sockets of that state over both families, in the newest sample.
    pub(crate) fn sockets(&self, state: TcpState) -> u32 {
        sockets(self.newest, state)
    }

    /// Whether probes were refused a port.
    pub(crate) fn refusal(&self) -> Refusal {
        let in_a_row = self.refused.iter().rev().take_while(|failed| **failed);
        match (in_a_row.count(), self.refused.len()) {
            (_, 0) => Refusal::Unknown,
            (0, _) => Refusal::No,
            (failed, _) if failed >= ROUNDS_CONFIRMING => Refusal::Confirmed,
            (_, 1) => Refusal::Once,
            // It succeeded right before: one failure confirms nothing.
            (_, _) => Refusal::No,
        }
    }

    /// Whether at least one round was refused, and the newest was.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.refusal(), Refusal::Confirmed | Refusal::Once)
    }

    /// The process that holds most by `value`, with how much; `None` when none holds any.
    pub(crate) fn top_owner(
        &self,
        value: impl Fn(&OwnerSample) -> u32,
    ) -> Option<(&'a OwnerSample, u32)> {
        let owners = self.newest.owners.iter().map(|owner| (owner, value(owner)));
        owners
            .filter(|(_, held)| *held > 0)
            // The first of equals, whatever the order that they came in.
            .max_by_key(|(owner, held)| {
                (
                    *held,
                    std::cmp::Reverse((owner.process.name.clone(), owner.process.pid)),
                )
            })
    }

    /// The five processes that hold most ports.
    pub(crate) fn top_owners_sentence(&self) -> Option<String> {
        let mut owners: Vec<&OwnerSample> = self.newest.owners.iter().collect();
        owners.sort_by_key(|owner| {
            let process = &owner.process;
            (
                std::cmp::Reverse(owner.counts.ports),
                &process.name,
                process.pid,
            )
        });
        let named: Vec<String> = owners
            .iter()
            .filter(|owner| owner.counts.ports > 0)
            .take(5)
            .map(|owner| {
                let ports = crate::evidence::grouped(owner.counts.ports);
                format!("{} {ports}", crate::evidence::process(&owner.process))
            })
            .collect();
        (!named.is_empty()).then(|| format!("Most ports are held by {}.", named.join(", ")))
    }

    /// Remote endpoints, whatever the local address, with ports and TIME_WAIT; most first.
    pub(crate) fn destinations(&self) -> Vec<DestinationSample> {
        merged_destinations(self.newest)
    }

    /// Growth of `series`, or what the detector knows of the whole port space when the window is too short.
    pub(crate) fn growth_or_trend(
        &self,
        series: &Series,
        rate_min: f64,
        needed: Duration,
        culprit: &str,
    ) -> Growth {
        match (series.growth(rate_min, needed), self.trend) {
            (Growth::Unknown | Growth::Glimpsed(_), Some(trend))
                if trend.road == Some(Road::Leak) && trend.culprit.as_deref() == Some(culprit) =>
            {
                Growth::Measured(trend.floor_ports_per_hour.unwrap_or(0.0) / 60.0)
            }
            (growth, _) => growth,
        }
    }

    /// Minutes until no port is left at that rate; `None` when it never comes.
    pub(crate) fn minutes_left(&self, ports_per_minute: f64) -> Option<f64> {
        let is_rising = ports_per_minute > 0.0;
        is_rising.then(|| f64::from(self.newest.headroom()) / ports_per_minute)
    }
}

/// Sockets of that state over both families.
pub(crate) fn sockets(space: &PortSpaceSample, state: TcpState) -> u32 {
    let v6 = space.states_v6.get(state);
    space.states_v4.get(state).saturating_add(v6)
}

pub(crate) fn is_same(one: &ProcessIdentity, other: &ProcessIdentity) -> bool {
    one.pid == other.pid && one.started_at == other.started_at
}

/// Remote endpoints of a sample, whatever the local address; most ports first.
pub(crate) fn merged_destinations(space: &PortSpaceSample) -> Vec<DestinationSample> {
    let mut merged: Vec<DestinationSample> = Vec::new();
    for destination in &space.destinations {
        let place = |to: &DestinationSample| (to.remote_address, to.remote_port);
        match merged.iter_mut().find(|to| place(to) == place(destination)) {
            Some(known) => {
                known.ports = known.ports.saturating_add(destination.ports);
                known.time_wait = known.time_wait.saturating_add(destination.time_wait);
                known.local_address = known.local_address.min(destination.local_address);
            }
            None => merged.push(destination.clone()),
        }
    }
    merged.sort_by_key(|to| {
        (
            std::cmp::Reverse(to.ports),
            to.remote_address,
            to.remote_port,
        )
    });
    merged
}

/// Whether both ends are this host.
pub(crate) fn is_self(destination: &DestinationSample) -> bool {
    destination.local_address == destination.remote_address
        || is_loopback(destination.remote_address)
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_loopback()
                || address
                    .to_ipv4_mapped()
                    .is_some_and(|mapped| mapped.is_loopback())
        }
    }
}

/// Whether one process holds most of something.
pub(crate) enum Dominance<'a> {
    /// It does; with how much.
    One(&'a OwnerSample, u32),
    /// Not among the processes that the agent sees, which are not all.
    Unseen,
    /// None does.
    Nobody,
}

impl<'a> SpaceView<'a> {
    /// The process that holds at least `share_min` of `total`.
    pub(crate) fn dominant(
        &self,
        situation: &Situation,
        total: u32,
        share_min: f64,
        value: impl Fn(&OwnerSample) -> u32,
    ) -> Dominance<'a> {
        let top = self.top_owner(value);
        match top {
            Some((owner, held)) if share(held, total) >= share_min => Dominance::One(owner, held),
            _ if self.hides_owners(situation) => Dominance::Unseen,
            _ => Dominance::Nobody,
        }
    }

    /// Whether ports may belong to processes that the agent may not see.
    fn hides_owners(&self, situation: &Situation) -> bool {
        let hidden = self
            .newest
            .ports_without_owner
            .saturating_sub(self.newest.time_wait_only);
        hidden > 0 && !situation.can_see(tidemark_model::host::Capability::AllOwners)
    }
}
