//! Which process holds how much of one port space: distinct ports, not sockets.

use std::collections::HashMap;

use tidemark_model::sample::OwnerCounts;
use tidemark_model::tcp::TcpState;

use super::owners::OwnerIndex;
use super::port_set::PortSet;

/// What owners hold of one port space.
///
/// Nearly every port has one holder, which is kept in an array by port. Further holders of a port (ports reused
/// towards other destinations, `SO_REUSEPORT`) are kept in a map.
#[derive(Debug)]
pub(super) struct Holdings {
    first_holder: Box<[OwnerIndex]>,
    /// Ports that their first holder holds by more than a bound socket.
    beyond_bound: PortSet,
    /// Further holders, and whether they hold the port by more than a bound socket.
    further: HashMap<(OwnerIndex, u16), bool>,
    by_owner: Vec<Held>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    ports: u32,
    ports_beyond_bound: u32,
    close_wait: u32,
    sockets: u32,
}

impl From<Held> for OwnerCounts {
    fn from(held: Held) -> Self {
        Self {
            ports: held.ports,
            bound: held.ports.saturating_sub(held.ports_beyond_bound),
            close_wait: held.close_wait,
            sockets: held.sockets,
        }
    }
}

impl Holdings {
    pub(super) fn new() -> Self {
        Self {
            first_holder: vec![OwnerIndex::NOBODY; 1 << 16].into_boxed_slice(),
            beyond_bound: PortSet::new(),
            further: HashMap::new(),
            by_owner: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.first_holder.fill(OwnerIndex::NOBODY);
        self.beyond_bound.clear();
        self.further.clear();
        self.further.shrink_to(1024);
        self.by_owner.clear();
    }

    /// Counts a socket of `owner`; `dynamic_port` is its local port when that is one of the dynamic ports.
    pub(super) fn add(&mut self, owner: OwnerIndex, state: TcpState, dynamic_port: Option<u16>) {
        let index = owner.index();
        if index >= self.by_owner.len() {
            self.by_owner.resize(index + 1, Held::default());
        }
        let (new_port, new_beyond) = match dynamic_port {
            Some(port) => self.hold(owner, port, state != TcpState::Bound),
            None => (false, false),
        };
        if let Some(held) = self.by_owner.get_mut(index) {
            held.sockets = held.sockets.saturating_add(1);
            held.close_wait = held
                .close_wait
                .saturating_add((state == TcpState::CloseWait).into());
            held.ports = held.ports.saturating_add(new_port.into());
            held.ports_beyond_bound = held.ports_beyond_bound.saturating_add(new_beyond.into());
        }
    }

    /// Notes that `owner` holds `port`; says whether the port is new to it, and whether holding it by more than a
    /// bound socket is.
    fn hold(&mut self, owner: OwnerIndex, port: u16, beyond_bound: bool) -> (bool, bool) {
        let Some(first) = self.first_holder.get_mut(usize::from(port)) else {
            return (false, false);
        };
        if *first == OwnerIndex::NOBODY {
            *first = owner;
            return (true, beyond_bound && self.beyond_bound.insert(port));
        }
        if *first == owner {
            return (false, beyond_bound && self.beyond_bound.insert(port));
        }
        let mut new_port = false;
        let known = self.further.entry((owner, port)).or_insert_with(|| {
            new_port = true;
            false
        });
        let new_beyond = beyond_bound && !*known;
        *known |= beyond_bound;
        (new_port, new_beyond)
    }

    /// Whether any known process holds the port.
    pub(super) fn is_held(&self, port: u16) -> bool {
        let first = self.first_holder.get(usize::from(port));
        first.is_some_and(|holder| *holder != OwnerIndex::NOBODY)
    }

    /// Owners that hold sockets, with what they hold.
    pub(super) fn owners(&self) -> impl Iterator<Item = (OwnerIndex, OwnerCounts)> + '_ {
        let held = self.by_owner.iter().enumerate();
        held.filter(|(_, held)| held.sockets > 0)
            .map(|(index, held)| (OwnerIndex::from_index(index), (*held).into()))
    }

    /// What one owner holds.
    pub(super) fn of(&self, owner: OwnerIndex) -> OwnerCounts {
        let held = self.by_owner.get(owner.index());
        held.copied().unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_counted_once_for_each_holder_and_bound_means_bound_alone() {
        let (a, b) = (OwnerIndex::from_index(0), OwnerIndex::from_index(3));
        let mut holdings = Holdings::new();
        holdings.add(a, TcpState::Bound, Some(40_000));
        holdings.add(a, TcpState::Established, Some(40_000));
        holdings.add(a, TcpState::Bound, Some(40_001));
        holdings.add(a, TcpState::CloseWait, None);
        holdings.add(b, TcpState::Bound, Some(40_000));
        holdings.add(b, TcpState::Bound, Some(40_000));
        holdings.add(b, TcpState::Established, Some(40_001));
        let counts = |ports, bound, close_wait, sockets| OwnerCounts {
            ports,
            bound,
            close_wait,
            sockets,
        };
        assert_eq!(holdings.of(a), counts(2, 1, 1, 4));
        assert_eq!(holdings.of(b), counts(2, 1, 0, 3));
        assert_eq!(holdings.owners().count(), 2);
        assert!(holdings.is_held(40_001) && !holdings.is_held(40_002));
        holdings.clear();
        assert_eq!(holdings.of(a), OwnerCounts::default());
    }
}
