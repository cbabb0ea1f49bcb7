//! Watch groups: connections counted by remote port.

use std::sync::Arc;

use tidemark_model::sample::WatchGroupSample;
use tidemark_model::tcp::TcpState;
use tidemark_model::watch::WatchGroup;

use super::port_set::PortSet;

/// How many groups there may be: one bit each.
pub(super) const GROUPS_MAX: usize = 32;

/// The groups, arranged so that a port in none of them costs one bit test.
#[derive(Clone, Debug)]
pub(super) struct WatchGroups {
    names: Vec<Arc<str>>,
    watched: PortSet,
    /// A watched port and its groups as bits; ordered by port.
    groups_of_port: Vec<(u16, u32)>,
}

impl WatchGroups {
    /// Of `groups` the first [`GROUPS_MAX`].
    pub(super) fn new(groups: &[WatchGroup]) -> Self {
        let groups = groups.get(..GROUPS_MAX).unwrap_or(groups);
        let mut watched = PortSet::new();
        let mut groups_of_port: Vec<(u16, u32)> = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            for &port in &group.remote_ports {
                if watched.insert(port) {
                    groups_of_port.push((port, 0));
                }
                for (known, bits) in &mut groups_of_port {
                    if *known == port {
                        *bits |= 1 << index;
                    }
                }
            }
        }
        groups_of_port.sort_unstable();
        Self {
            names: groups.iter().map(|group| group.name.clone()).collect(),
            watched,
            groups_of_port,
        }
    }

    fn groups_of(&self, port: u16) -> u32 {
        let found = self
            .groups_of_port
            .binary_search_by_key(&port, |entry| entry.0);
        found
            .ok()
            .and_then(|at| self.groups_of_port.get(at))
            .map_or(0, |entry| entry.1)
    }
}

/// Connections of each group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WatchCounts {
    connections: [u32; GROUPS_MAX],
    time_wait: [u32; GROUPS_MAX],
}

impl WatchCounts {
    pub(super) fn count(&mut self, groups: &WatchGroups, remote_port: u16, state: TcpState) {
        if !groups.watched.contains(remote_port) {
            return;
        }
        let counts = if state == TcpState::TimeWait {
            &mut self.time_wait
        } else {
            &mut self.connections
        };
        let member_of = groups.groups_of(remote_port);
        for (index, count) in counts.iter_mut().enumerate() {
            *count = count.saturating_add(member_of >> index & 1);
        }
    }

    pub(super) fn report(&self, groups: &WatchGroups) -> Vec<WatchGroupSample> {
        let counts = self.connections.iter().zip(&self.time_wait);
        let named = groups.names.iter().zip(counts);
        named
            .map(|(name, (connections, time_wait))| WatchGroupSample {
                name: name.clone(),
                connections: *connections,
                time_wait: *time_wait,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_belong_to_several_groups_and_time_wait_is_apart() {
        let group = |name: &str, remote_ports: &[u16]| WatchGroup {
            name: name.into(),
            remote_ports: remote_ports.to_vec(),
        };
        let groups = WatchGroups::new(&[group("web", &[80, 443]), group("tls", &[443, 443, 993])]);
        let mut counts = WatchCounts::default();
        for (port, state) in [
            (443, TcpState::Established),
            (443, TcpState::TimeWait),
            (80, TcpState::SynSent),
            (22, TcpState::Established),
        ] {
            counts.count(&groups, port, state);
        }
        let report = counts.report(&groups);
        let seen: Vec<_> = report
            .iter()
            .map(|g| (&*g.name, g.connections, g.time_wait))
            .collect();
        assert_eq!(seen, [("web", 2, 1), ("tls", 1, 1)]);
    }
}
