//! One pass over the sockets of one port space: everything a sample says of it is counted here, row by row.

use tidemark_model::Protocol;
use tidemark_model::sample::{DestinationSample, WatchGroupSample};
use tidemark_model::tcp::{StateCounts, TcpState};
use tidemark_platform::{Family, SocketRow};

use super::capacity::DynamicPorts;
use super::destinations::Destinations;
use super::holdings::Holdings;
use super::owners::{Holder, OwnerCache, OwnerIndex};
use super::port_set::PortSet;
use super::watch::{WatchCounts, WatchGroups};

/// Counts of one port space. Reused from sample to sample, so that a pass allocates nothing per row.
#[derive(Debug)]
pub(super) struct Census {
    protocol: Protocol,
    /// Dynamic ports held in any state but TIME_WAIT.
    strong: PortSet,
    /// Dynamic ports held by TIME_WAIT.
    time_wait: PortSet,
    /// Dynamic ports held by bound-but-unconnected sockets.
    bound: PortSet,
    /// Dynamic ports held in any state but bound and TIME_WAIT.
    beyond_bound: PortSet,
    /// Ports with a listener; what is connected on them came in.
    listening: PortSet,
    pub(super) states_v4: StateCounts,
    pub(super) states_v6: StateCounts,
    watch: WatchCounts,
    destinations: Destinations,
    pub(super) holdings: Holdings,
    unattributed: Vec<Unattributed>,
}

/// What rows are counted against.
#[derive(Debug)]
pub(super) struct Counting<'a> {
    pub(super) ports: &'a DynamicPorts,
    pub(super) groups: &'a WatchGroups,
    pub(super) owners: &'a mut OwnerCache,
}

/// A socket whose process has to be looked for first.
#[derive(Clone, Copy, Debug)]
struct Unattributed {
    holder: u32,
    state: TcpState,
    dynamic_port: Option<u16>,
}

/// Distinct ports of a port space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PortCounts {
    pub(super) strong: u32,
    pub(super) time_wait_only: u32,
    pub(super) bound_only: u32,
}

impl Census {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            strong: PortSet::new(),
            time_wait: PortSet::new(),
            bound: PortSet::new(),
            beyond_bound: PortSet::new(),
            listening: PortSet::new(),
            states_v4: StateCounts::default(),
            states_v6: StateCounts::default(),
            watch: WatchCounts::default(),
            destinations: Destinations::new(),
            holdings: Holdings::new(),
            unattributed: Vec::new(),
        }
    }

    pub(super) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(super) fn clear(&mut self) {
        for set in [
            &mut self.strong,
            &mut self.time_wait,
            &mut self.bound,
            &mut self.beyond_bound,
            &mut self.listening,
        ] {
            set.clear();
        }
        self.states_v4 = StateCounts::default();
        self.states_v6 = StateCounts::default();
        self.watch = WatchCounts::default();
        self.destinations.clear();
        self.holdings.clear();
        self.unattributed.clear();
        self.unattributed.shrink_to(1024);
    }

    /// Counts one socket.
    pub(super) fn count(&mut self, row: &SocketRow, counting: &mut Counting<'_>) {
        match row.family {
            Family::V4 => self.states_v4.count(row.state),
            Family::V6 => self.states_v6.count(row.state),
        }
        if row.state == TcpState::Listen {
            self.listening.insert(row.local_port);
        }
        if self.protocol == Protocol::Tcp {
            self.watch
                .count(counting.groups, row.remote_port, row.state);
        }
        let is_dynamic = counting.ports.contains(row.local_port);
        let dynamic_port = is_dynamic.then_some(row.local_port);
        if let Some(port) = dynamic_port {
            self.count_port(port, row);
        }
        match counting.owners.holder_of_row(row, dynamic_port) {
            Holder::Known(owner) => self.holdings.add(owner, row.state, dynamic_port),
            Holder::Nobody => {}
            Holder::Unknown => self.unattributed.push(Unattributed {
                holder: row.holder,
                state: row.state,
                dynamic_port,
            }),
        }
    }

    fn count_port(&mut self, port: u16, row: &SocketRow) {
        match row.state {
            TcpState::TimeWait => {
                self.time_wait.insert(port);
            }
            TcpState::Bound => {
                self.strong.insert(port);
                self.bound.insert(port);
            }
            TcpState::Established
            | TcpState::SynSent
            | TcpState::SynReceived
            | TcpState::FinWait1
            | TcpState::FinWait2
            | TcpState::Close
            | TcpState::CloseWait
            | TcpState::LastAck
            | TcpState::Listen
            | TcpState::Closing => {
                self.strong.insert(port);
                self.beyond_bound.insert(port);
            }
        }
        // The tables list listeners before connections.
        if row.remote_port != 0 && !self.listening.contains(port) {
            self.destinations.count(row);
        }
    }

    /// Sockets whose process has to be looked for.
    pub(super) fn unattributed(&self) -> impl Iterator<Item = u32> + '_ {
        self.unattributed.iter().map(|socket| socket.holder)
    }

    /// Counts the sockets whose process has been found meanwhile.
    pub(super) fn attribute(&mut self, owners: &mut OwnerCache) {
        for socket in &self.unattributed {
            if let Holder::Known(owner) = owners.holder_of(socket.holder) {
                self.holdings.add(owner, socket.state, socket.dynamic_port);
            }
        }
    }

    pub(super) fn port_counts(&self) -> PortCounts {
        PortCounts {
            strong: self.strong.len(),
            time_wait_only: self.time_wait.len_without(&[&self.strong]),
            bound_only: self
                .bound
                .len_without(&[&self.beyond_bound, &self.time_wait]),
        }
    }

    /// Dynamic ports in use that no known process holds.
    pub(super) fn ports_without_owner(&self, ports: &DynamicPorts) -> u32 {
        let in_use = |port| self.strong.contains(port) || self.time_wait.contains(port);
        let range = ports.range.first..=ports.range.last;
        let unowned = range.filter(|port| in_use(*port) && !self.holdings.is_held(*port));
        u32::try_from(unowned.count()).expect("there are 65,536 ports")
    }

    /// The busiest destinations, and the ports used towards all others.
    pub(super) fn destinations(&self, limit: usize) -> (Vec<DestinationSample>, u32) {
        let report = self.destinations.report(limit);
        (report.top, report.other_ports)
    }

    pub(super) fn watch_groups(&self, groups: &WatchGroups) -> Vec<WatchGroupSample> {
        match self.protocol {
            Protocol::Tcp => self.watch.report(groups),
            Protocol::Udp => Vec::new(),
        }
    }

    /// What one owner holds, in ports and sockets.
    pub(super) fn held_by(&self, owner: OwnerIndex) -> (u32, u32) {
        let counts = self.holdings.of(owner);
        (counts.ports, counts.sockets)
    }
}

#[cfg(test)]
mod tests;
