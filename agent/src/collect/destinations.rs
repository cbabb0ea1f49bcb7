//! How many local ports are used towards each remote endpoint, from each local address.
//!
//! A hash table of its own: 44 bytes a destination and no key twice, because a proxy may have as many destinations
//! as sockets.

use std::hash::{BuildHasher as _, RandomState};

use tidemark_model::sample::DestinationSample;
use tidemark_model::tcp::TcpState;
use tidemark_platform::{Address, SocketRow};

use super::top::greatest;

/// Beyond this many destinations new ones are counted together only: 7 MB of memory.
const DESTINATIONS_MAX: usize = 131_072;
/// Slots of an empty table.
const SLOTS_MIN: usize = 64;
/// A slot without a destination.
const EMPTY: u32 = u32::MAX;

/// Occupancy by destination.
#[derive(Clone, Debug)]
pub(super) struct Destinations {
    entries: Vec<Destination>,
    /// Positions in `entries`; at most half of them are taken.
    slots: Vec<u32>,
    /// Keeps remote peers from choosing addresses that collide.
    seed: u64,
    /// Ports of all destinations, those beyond the limit included.
    ports: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Destination {
    ports: u32,
    time_wait: u32,
    remote_port: u16,
    remote: Address,
    local: Address,
}

/// What a pass over the destinations found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DestinationReport {
    pub(super) top: Vec<DestinationSample>,
    pub(super) other_ports: u32,
}

impl Destinations {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            slots: vec![EMPTY; SLOTS_MIN],
            seed: RandomState::new().hash_one(0),
            ports: 0,
        }
    }

    /// Counts one connection from a dynamic port. The kernel lets no two sockets have the same four addresses and
    /// ports, so that connections are distinct ports.
    pub(super) fn count(&mut self, row: &SocketRow) {
        self.ports = self.ports.saturating_add(1);
        let slot = self.slot_of(row);
        let Some(position) = self.slots.get_mut(slot) else {
            return;
        };
        if *position == EMPTY {
            if self.entries.len() >= DESTINATIONS_MAX {
                return;
            }
            *position = u32::try_from(self.entries.len()).expect("there are at most 131,072");
            self.entries.push(Destination {
                ports: 0,
                time_wait: 0,
                remote_port: row.remote_port,
                remote: row.remote,
                local: row.local,
            });
        }
        let position = *position as usize;
        if let Some(entry) = self.entries.get_mut(position) {
            entry.ports = entry.ports.saturating_add(1);
            if row.state == TcpState::TimeWait {
                entry.time_wait = entry.time_wait.saturating_add(1);
            }
        }
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        }
    }

    /// Forgets everything, and gives back the memory of a table that was mostly empty.
    pub(super) fn clear(&mut self) {
        let slots = (self.entries.len() * 4).next_power_of_two().max(SLOTS_MIN);
        if slots < self.slots.len() {
            self.slots.truncate(slots);
            self.slots.shrink_to_fit();
            self.entries.shrink_to(slots);
        }
        self.entries.clear();
        self.slots.fill(EMPTY);
        self.ports = 0;
    }

    pub(super) fn report(&self, limit: usize) -> DestinationReport {
        let top = greatest(self.entries.iter().copied(), limit);
        let named = top
            .iter()
            .fold(0_u32, |sum, entry| sum.saturating_add(entry.ports));
        DestinationReport {
            top: top.into_iter().map(DestinationSample::from).collect(),
            other_ports: self.ports.saturating_sub(named),
        }
    }

    /// The slot of a row's destination, or the empty one where it belongs.
    fn slot_of(&self, row: &SocketRow) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = usize::try_from(self.hash(row.remote, row.remote_port, row.local))
            .unwrap_or_default()
            & mask;
        loop {
            let position = self.slots.get(slot).copied().unwrap_or(EMPTY);
            let Some(entry) = self.entries.get(position as usize) else {
                return slot;
            };
            if entry.remote == row.remote
                && entry.remote_port == row.remote_port
                && entry.local == row.local
            {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn hash(&self, remote: Address, remote_port: u16, local: Address) -> u64 {
        let remote = u128::from_ne_bytes(remote.octets());
        let local = u128::from_ne_bytes(local.octets());
        let mixed = fold(
            low(remote) ^ self.seed,
            high(remote) ^ u64::from(remote_port),
        );
        fold(mixed ^ low(local), high(local) ^ self.seed.rotate_left(32))
    }

    fn grow(&mut self) {
        let mut slots = vec![EMPTY; self.slots.len() * 2];
        let mask = slots.len() - 1;
        for (position, entry) in (0_u32..).zip(&self.entries) {
            let hash = self.hash(entry.remote, entry.remote_port, entry.local);
            let mut slot = usize::try_from(hash).unwrap_or_default() & mask;
            while slots.get(slot).is_some_and(|taken| *taken != EMPTY) {
                slot = (slot + 1) & mask;
            }
            if let Some(empty) = slots.get_mut(slot) {
                *empty = position;
            }
        }
        self.slots = slots;
    }
}

impl From<Destination> for DestinationSample {
    fn from(entry: Destination) -> Self {
        Self {
            local_address: entry.local.ip(),
            remote_address: entry.remote.ip(),
            remote_port: entry.remote_port,
            ports: entry.ports,
            time_wait: entry.time_wait,
        }
    }
}

/// Folded multiplication: both halves of the product depend on every bit of both factors.
fn fold(a: u64, b: u64) -> u64 {
    /// Digits of pi, so that a zero factor does not erase the other.
    const ODD: u64 = 0x2437_9ddc_6c1a_5b8f;
    let product = u128::from(a ^ ODD) * u128::from(b ^ ODD.rotate_left(17));
    low(product) ^ high(product)
}

const fn low(value: u128) -> u64 {
    value as u64
}

const fn high(value: u128) -> u64 {
    low(value >> 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;
    use tidemark_platform::Family;

    use super::*;

    fn row(remote: u32, remote_port: u16, state: TcpState) -> SocketRow {
        SocketRow {
            family: Family::V4,
            state,
            local_port: 40_000,
            remote_port,
            local: Ipv4Addr::LOCALHOST.into(),
            remote: Ipv4Addr::from_bits(remote).into(),
            holder: 1,
            service_tag: 0,
            created: None,
        }
    }

    #[test]
    fn the_busiest_destination_comes_first_and_the_rest_is_summed() {
        let mut destinations = Destinations::new();
        for (remote, connections) in [(1, 3), (2, 7), (3, 1), (4, 1)] {
            for _ in 0..connections {
                destinations.count(&row(remote, 443, TcpState::Established));
            }
        }
        destinations.count(&row(2, 443, TcpState::TimeWait));
        let report = destinations.report(2);
        assert_eq!(report.top[0].remote_address, Ipv4Addr::from_bits(2));
        assert_eq!((report.top[0].ports, report.top[0].time_wait), (8, 1));
        assert_eq!(report.top[1].ports, 3);
        assert_eq!(report.other_ports, 2);
        destinations.clear();
        assert_eq!(destinations.report(2), DestinationReport::default());
    }

    proptest! {
        #[test]
        fn counts_equal_those_of_a_plain_map(keys in prop::collection::vec((0_u32..300, 0_u16..3), 0..2_000)) {
            let mut destinations = Destinations::new();
            let mut expected = BTreeMap::new();
            for (remote, port) in &keys {
                destinations.count(&row(*remote, *port, TcpState::Established));
                *expected.entry((*remote, *port)).or_insert(0_u32) += 1;
            }
            let report = destinations.report(usize::from(u16::MAX));
            prop_assert_eq!(report.top.len(), expected.len());
            prop_assert_eq!(report.other_ports, 0);
            for seen in report.top {
                let remote = match seen.remote_address {
                    std::net::IpAddr::V4(v4) => v4.to_bits(),
                    std::net::IpAddr::V6(_) => u32::MAX,
                };
                prop_assert_eq!(Some(&seen.ports), expected.get(&(remote, seen.remote_port)));
            }
        }
    }
}
