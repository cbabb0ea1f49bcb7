//! Who held connections before they went to TIME_WAIT, where the system forgets it.
//!
//! Remembers every connection that the tables listed with its holder, for as long as they list it in any state.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};

use tidemark_platform::SocketRow;
use tidemark_platform::process::ProcessStart;

/// How many connections are remembered: as many as there are ports, in 3 MB. Of those beyond, the holder is unknown
/// once they are in TIME_WAIT.
const CONNECTIONS_MAX: usize = 65_536;
/// A connection that was not listed in so many samples is gone.
const SAMPLES_UNSEEN_MAX: u16 = 2;

/// A process: its number and when it started.
type Process = (u32, ProcessStart);

/// Connections and the processes that were last seen to hold them.
#[derive(Debug)]
pub(super) struct EarlierHolders {
    /// By a keyed hash of addresses and ports: remote peers cannot choose those that collide.
    connections: HashMap<u64, Earlier, BuildHasherDefault<AsIs>>,
    key: RandomState,
    sample: u16,
}

#[derive(Clone, Copy, Debug)]
struct Earlier {
    process: Process,
    seen: u16,
}

impl EarlierHolders {
    pub(super) fn new() -> Self {
        Self {
            connections: HashMap::default(),
            key: RandomState::new(),
            sample: 0,
        }
    }

    /// Remembers who holds the connection of a row.
    pub(super) fn note(&mut self, row: &SocketRow, process: Process) {
        let connection = self.hash(row);
        let has_room = self.connections.len() < CONNECTIONS_MAX;
        let seen = self.sample;
        let earlier = Earlier { process, seen };
        if has_room || self.connections.contains_key(&connection) {
            self.connections.insert(connection, earlier);
        }
    }

    /// Who held the connection of a row that has no holder; it is remembered further.
    pub(super) fn find(&mut self, row: &SocketRow) -> Option<Process> {
        let earlier = self.connections.get_mut(&self.hash(row))?;
        earlier.seen = self.sample;
        Some(earlier.process)
    }

    /// Ends a sample: forgets connections that are gone.
    pub(super) fn finish(&mut self) {
        self.sample = self.sample.wrapping_add(1);
        let sample = self.sample;
        let is_recent = |earlier: &Earlier| sample.wrapping_sub(earlier.seen) <= SAMPLES_UNSEEN_MAX;
        self.connections.retain(|_, earlier| is_recent(earlier));
        if self.connections.capacity() > 8 * self.connections.len().max(128) {
            self.connections.shrink_to_fit();
        }
    }

    fn hash(&self, row: &SocketRow) -> u64 {
        let ends = (row.local_port, row.remote_port);
        self.key
            .hash_one((row.local.octets(), row.remote.octets(), ends))
    }
}

/// The key is a hash already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
