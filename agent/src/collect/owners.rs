//! Which process holds a socket: a cache from socket inodes to processes that outlives samples.
//!
//! In a steady state every inode is known and nothing is read but one `stat` for each process that holds sockets.
//! New inodes are looked for where they most likely are, with a bound on the work of a sample; what is not found
//! stays without owner and is looked for again. Knows nothing of ports.

mod scan;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_model::sample::ProcessIdentity;
use tidemark_platform::ReadError;
use tidemark_platform::process::{ProcessDescription, Processes, ticks_to_ms};

use scan::ProcessList;

/// How many descriptors are looked behind in one sample, at about 1.5 us each.
const DESCRIPTOR_READS_MAX: u32 = 65_536;
/// How many owners have their start time compared in one sample: finds process numbers that were given away.
const IDENTITY_CHECKS: usize = 16;
/// A socket that no process was found for is looked for again after at most this many samples.
const RETRY_SAMPLES_MAX: u8 = 64;

/// Names an owner while it holds sockets; small, because there is one for each port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct OwnerIndex(u16);

impl OwnerIndex {
    /// No owner.
    pub(super) const NOBODY: Self = Self(u16::MAX);

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The owner at `index`; [`OwnerIndex::NOBODY`] when there cannot be so many.
    pub(super) fn from_index(index: usize) -> Self {
        u16::try_from(index).map_or(Self::NOBODY, Self)
    }
}

/// What is known of a socket's holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// This process.
    Known(OwnerIndex),
    /// It was looked for and not found: not every process may be looked at, and the kernel holds sockets too.
    Nobody,
    /// It has not been looked for.
    Unknown,
}

/// Socket inodes and the processes that hold them.
#[derive(Debug)]
pub(super) struct OwnerCache {
    processes: Processes,
    list: ProcessList,
    sockets: SocketMap,
    /// How many of `sockets` were seen in this sample.
    seen: usize,
    unresolved: HashMap<u32, Unresolved, InodeHash>,
    owners: Vec<Option<Owner>>,
    by_process: HashMap<u32, OwnerIndex>,
    sample: u16,
    checked: usize,
    reads_left: u32,
}

type InodeHash = BuildHasherDefault<InodeHasher>;
type SocketMap = HashMap<u32, KnownSocket, InodeHash>;
type Wanted = HashSet<u32, InodeHash>;

#[derive(Clone, Copy, Debug)]
struct KnownSocket {
    owner: OwnerIndex,
    /// The sample in which a table last listed it.
    seen: u16,
}

#[derive(Clone, Copy, Debug)]
struct Unresolved {
    seen: u16,
    attempts: u8,
    wait_samples: u8,
}

#[derive(Debug)]
struct Owner {
    process: u32,
    start_ticks: u64,
    /// How many of the known sockets are its.
    sockets: u32,
    /// Open descriptors at the start of the sample; 0 when the kernel does not count them.
    descriptors: u32,
    /// What was behind each descriptor when it was last looked behind.
    behind: Vec<u32>,
    described: Option<Described>,
}

#[derive(Clone, Debug)]
struct Described {
    name: Arc<str>,
    executable: Option<Arc<str>>,
    service: Option<Arc<str>>,
}

impl From<ProcessDescription> for Described {
    fn from(description: ProcessDescription) -> Self {
        Self {
            name: description.name.into(),
            executable: description.executable.map(Arc::from),
            service: description.service.map(Arc::from),
        }
    }
}

impl OwnerCache {
    pub(super) fn open() -> Result<Self, ReadError> {
        let processes = Processes::open()?;
        let list = ProcessList::new(&processes);
        Ok(Self {
            processes,
            list,
            sockets: SocketMap::default(),
            seen: 0,
            unresolved: HashMap::default(),
            owners: Vec::new(),
            by_process: HashMap::new(),
            sample: 0,
            checked: 0,
            reads_left: 0,
        })
    }

    /// Starts a sample: drops processes that have ended, and those that hold fewer descriptors than sockets are
    /// ascribed to them, which have passed sockets on.
    pub(super) fn begin(&mut self) {
        self.sample = self.sample.wrapping_add(1);
        self.seen = 0;
        self.reads_left = DESCRIPTOR_READS_MAX;
        self.list.expire();
        let checked = self.checked..self.checked + IDENTITY_CHECKS;
        self.checked = if checked.end >= self.owners.len() {
            0
        } else {
            checked.end
        };
        let mut gone = false;
        for (index, slot) in self.owners.iter_mut().enumerate() {
            let Some(owner) = slot else { continue };
            let descriptors = self.processes.descriptor_count(owner.process);
            let is_same = !checked.contains(&index)
                || self.processes.start_ticks(owner.process) == Some(owner.start_ticks);
            match descriptors {
                Some(0) if is_same && !self.list.counts_descriptors() => owner.descriptors = 0,
                Some(count) if is_same && count >= owner.sockets => owner.descriptors = count,
                Some(_) | None => {
                    gone = true;
                    self.by_process.remove(&owner.process);
                    *slot = None;
                }
            }
        }
        if gone {
            let owners = &self.owners;
            let lives =
                |socket: &KnownSocket| matches!(owners.get(socket.owner.index()), Some(Some(_)));
            self.sockets.retain(|_, socket| lives(socket));
        }
    }

    /// Who holds the socket; also notes that a table listed it.
    pub(super) fn holder_of(&mut self, inode: u32) -> Holder {
        if let Some(socket) = self.sockets.get_mut(&inode) {
            if socket.seen != self.sample {
                socket.seen = self.sample;
                self.seen += 1;
            }
            return Holder::Known(socket.owner);
        }
        match self.unresolved.get_mut(&inode) {
            Some(unresolved) => {
                unresolved.seen = self.sample;
                if unresolved.wait_samples > 0 {
                    Holder::Nobody
                } else {
                    Holder::Unknown
                }
            }
            None => Holder::Unknown,
        }
    }

    /// Ends a sample: forgets sockets that no table listed, and processes without sockets.
    pub(super) fn finish(&mut self) {
        let sample = self.sample;
        if self.seen < self.sockets.len() {
            let owners = &mut self.owners;
            self.sockets.retain(|_, socket| {
                let keep = socket.seen == sample;
                if !keep && let Some(Some(owner)) = owners.get_mut(socket.owner.index()) {
                    owner.sockets = owner.sockets.saturating_sub(1);
                }
                keep
            });
            if self.sockets.capacity() > 8 * self.sockets.len().max(128) {
                self.sockets.shrink_to_fit();
            }
        }
        self.unresolved.retain(|_, unresolved| {
            unresolved.wait_samples = unresolved.wait_samples.saturating_sub(1);
            unresolved.seen == sample
        });
        for slot in &mut self.owners {
            if let Some(owner) = slot.take_if(|owner| owner.sockets == 0) {
                self.by_process.remove(&owner.process);
            }
        }
    }

    /// The owner that is process `process`, when it holds sockets.
    pub(super) fn of_process(&self, process: u32) -> Option<OwnerIndex> {
        self.by_process.get(&process).copied()
    }

    /// Names an owner; `None` when its process has ended since.
    pub(super) fn identity(
        &mut self,
        index: OwnerIndex,
        booted_at: Timestamp,
    ) -> Option<ProcessIdentity> {
        let owner = self.owners.get_mut(index.index())?.as_mut()?;
        // The name changes when a process executes another program; the rest changes with it.
        let name = self.processes.short_name(owner.process)?;
        let described = match owner.described.take() {
            Some(described) if *described.name == *name => described,
            Some(_) | None => self.processes.describe(owner.process)?.into(),
        };
        owner.described = Some(described.clone());
        let since_boot = Duration::from_millis(ticks_to_ms(owner.start_ticks).unwrap_or(0));
        Some(ProcessIdentity {
            pid: owner.process,
            started_at: booted_at.saturating_add(since_boot),
            name: described.name,
            executable: described.executable,
            service: described.service,
        })
    }

    /// How many descriptors an owner has open; `None` when the kernel does not count them.
    pub(super) fn descriptors(&self, index: OwnerIndex) -> Option<u32> {
        let owner = self.owners.get(index.index())?.as_ref()?;
        (owner.descriptors > 0).then_some(owner.descriptors)
    }

    /// The slot of a process that holds sockets, made if need be; `None` when it has ended or there are too many.
    fn slot_for(&mut self, process: u32) -> Option<OwnerIndex> {
        let start_ticks = self.processes.start_ticks(process)?;
        if let Some(index) = self.of_process(process)
            && let Some(Some(owner)) = self.owners.get(index.index())
            && owner.start_ticks == start_ticks
        {
            return Some(index);
        }
        let free = self.owners.iter().position(Option::is_none);
        let index = free.unwrap_or(self.owners.len());
        let slot = OwnerIndex::from_index(index);
        if slot == OwnerIndex::NOBODY {
            return None;
        }
        if free.is_none() {
            self.owners.push(None);
        }
        *self.owners.get_mut(index)? = Some(Owner {
            process,
            start_ticks,
            sockets: 0,
            descriptors: self.processes.descriptor_count(process).unwrap_or(0),
            behind: Vec::new(),
            described: None,
        });
        self.by_process.insert(process, slot);
        Some(slot)
    }
}

/// Spreads inodes, which the kernel hands out in ascending order: nobody else chooses them.
#[derive(Debug, Default)]
struct InodeHasher(u64);

impl Hasher for InodeHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        let mixed = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests;
