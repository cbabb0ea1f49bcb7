//! Which process holds a socket: a cache from what rows name as their holder to processes, which outlives samples.
//!
//! Where rows name sockets (inodes), every one is known in a steady state and nothing is read but one `stat` for each
//! process that holds some; new ones are looked for where they most likely are, with a bound on the work of a sample.
//! Where rows name processes, those are looked up at once. What is not found stays without owner and is tried again.

mod earlier;
mod scan;
mod tags;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_model::sample::ProcessIdentity;
use tidemark_model::tcp::TcpState;
use tidemark_platform::process::{ProcessDescription, ProcessStart, Processes, START_CHECKS};
use tidemark_platform::{HolderKind, ReadError, SocketRow, tables};

use earlier::EarlierHolders;
use scan::ProcessList;
use tags::TagCounts;

/// How many descriptors are looked behind in one sample, at about 1.5 us each.
const DESCRIPTOR_READS_MAX: u32 = 65_536;
/// A socket that no process was found for is looked for again after at most this many samples.
const RETRY_SAMPLES_MAX: u8 = 64;
/// A socket that is older than its process by more than this was opened by an earlier process of that number. Clocks
/// are stepped by minutes after a boot, which moves the two times against each other.
const OLDER_THAN_PROCESS_MAX: Duration = Duration::from_mins(10);

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

/// Holders as rows name them, and the processes that these are.
#[derive(Debug)]
pub(super) struct OwnerCache {
    holders: HolderKind,
    earlier: EarlierHolders,
    processes: Processes,
    /// Whether processes that began since the sample did are known.
    is_renewed: bool,
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
    start: ProcessStart,
    /// How many of the known sockets are its.
    sockets: u32,
    /// Open descriptors at the start of the sample; 0 when the kernel does not count them.
    descriptors: u32,
    /// What was behind each descriptor when it was last looked behind.
    behind: Vec<u32>,
    tags: TagCounts,
    described: Option<Described>,
}

#[derive(Clone, Debug)]
struct Described {
    short_name: String,
    name: Arc<str>,
    executable: Option<Arc<str>>,
    service: Option<Arc<str>>,
    /// The service tag that `service` belongs to, and the version of service names that it was read from.
    service_of: (u32, u64),
}

impl Described {
    fn new(
        description: ProcessDescription,
        service: Option<String>,
        service_of: (u32, u64),
    ) -> Self {
        Self {
            short_name: description.short_name,
            name: description.name.into(),
            executable: description.executable.map(Arc::from),
            service: service.map(Arc::from),
            service_of,
        }
    }
}

impl OwnerCache {
    pub(super) fn open() -> Result<Self, ReadError> {
        Self::open_for(tables::HOLDER)
    }

    /// As [`OwnerCache::open`] for rows that name `holders`, whatever this system has.
    pub(super) fn open_for(holders: HolderKind) -> Result<Self, ReadError> {
        let processes = Processes::open()?;
        let list = ProcessList::new(&processes);
        Ok(Self {
            holders,
            earlier: EarlierHolders::new(),
            processes,
            is_renewed: false,
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
        self.renew();
        self.is_renewed = false;
        let checked = self.checked..self.checked.saturating_add(START_CHECKS);
        self.checked = if checked.end >= self.owners.len() {
            0
        } else {
            checked.end
        };
        let mut gone = false;
        for (index, slot) in self.owners.iter_mut().enumerate() {
            let Some(owner) = slot else { continue };
            owner.tags.clear();
            let descriptors = self.processes.descriptor_count(owner.process);
            let is_same = !checked.contains(&index)
                || self.processes.start(owner.process) == Some(owner.start);
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

    /// Who holds the socket of a row; also notes that a table listed it. `dynamic_port` is its local port when that is
    /// one of the dynamic ports.
    pub(super) fn holder_of_row(&mut self, row: &SocketRow, dynamic_port: Option<u16>) -> Holder {
        match (self.holders, row.holder) {
            (HolderKind::Socket, 0) => Holder::Nobody,
            (HolderKind::Socket, socket) => self.holder_of(socket),
            (HolderKind::Process, 0) => self.earlier_holder_of(row),
            (HolderKind::Process, process) => {
                let holder = self.holder_of(process);
                if let Holder::Known(index) = holder
                    && !self.note_row(index, row, dynamic_port)
                {
                    return Holder::Nobody;
                }
                holder
            }
        }
    }

    /// Notes a row of an owner for later; false when the owner cannot have opened the socket.
    fn note_row(&mut self, index: OwnerIndex, row: &SocketRow, dynamic_port: Option<u16>) -> bool {
        let Some(Some(owner)) = self.owners.get_mut(index.index()) else {
            return false;
        };
        // Where rows are dated, a start does not depend on when the host booted.
        let started = owner.start.at(Timestamp::EPOCH);
        let is_older =
            |created: Timestamp| created.saturating_add(OLDER_THAN_PROCESS_MAX) < started;
        if row.created.is_some_and(is_older) {
            return false;
        }
        owner.tags.count(row.service_tag);
        if dynamic_port.is_some() && row.remote_port != 0 {
            self.earlier.note(row, (owner.process, owner.start));
        }
        true
    }

    /// Who held a socket that nobody holds any more.
    fn earlier_holder_of(&mut self, row: &SocketRow) -> Holder {
        if row.state != TcpState::TimeWait {
            return Holder::Nobody;
        }
        let Some((process, start)) = self.earlier.find(row) else {
            return Holder::Nobody;
        };
        match self.holder_of(process) {
            Holder::Known(index) if self.is_started(index, start) => Holder::Known(index),
            Holder::Known(_) | Holder::Nobody | Holder::Unknown => Holder::Nobody,
        }
    }

    fn is_started(&self, index: OwnerIndex, start: ProcessStart) -> bool {
        let owner = self.owners.get(index.index()).and_then(Option::as_ref);
        owner.is_some_and(|owner| owner.start == start)
    }

    /// Who holds a socket; also notes that a table listed it.
    pub(super) fn holder_of(&mut self, holder: u32) -> Holder {
        if let Some(socket) = self.sockets.get_mut(&holder) {
            if socket.seen != self.sample {
                socket.seen = self.sample;
                self.seen += 1;
            }
            return Holder::Known(socket.owner);
        }
        let unresolved = self.unresolved.get_mut(&holder);
        let waits = unresolved.is_some_and(|unresolved| {
            unresolved.seen = self.sample;
            unresolved.wait_samples > 0
        });
        match self.holders {
            HolderKind::Socket if waits => Holder::Nobody,
            HolderKind::Socket => Holder::Unknown,
            HolderKind::Process => self.find_process(holder),
        }
    }

    /// Takes a process for an owner. Processes are listed once more in a sample for one that was never looked for; its
    /// number may be given away again at any time, so that looking for it is not put off.
    fn find_process(&mut self, process: u32) -> Holder {
        let mut found = self.slot_for(process);
        if found.is_none() && !self.is_renewed && !self.unresolved.contains_key(&process) {
            self.is_renewed = true;
            self.renew();
            found = self.slot_for(process);
        }
        let Some(index) = found else {
            self.give_up_on(std::iter::once(process));
            return Holder::Nobody;
        };
        self.adopt(&[process], index);
        Holder::Known(index)
    }

    fn renew(&mut self) {
        if let Err(error) = self.processes.renew() {
            tracing::warn!(%error, "cannot list processes; new ones stay without name");
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
        self.earlier.finish();
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
        let short_name = self.processes.short_name(owner.process)?;
        let before = owner.described.take();
        let tag = owner
            .tags
            .chosen(before.as_ref().map_or(0, |before| before.service_of.0));
        let service_of = (tag, self.processes.services_version());
        let described = match before {
            Some(before) if before.short_name == short_name && before.service_of == service_of => {
                before
            }
            Some(_) | None => {
                let description = self.processes.describe(owner.process)?;
                let service = self.processes.service(owner.process, tag);
                Described::new(description, service, service_of)
            }
        };
        owner.described = Some(described.clone());
        Some(ProcessIdentity {
            pid: owner.process,
            started_at: owner.start.at(booted_at),
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
        let start = self.processes.start(process)?;
        if let Some(index) = self.of_process(process)
            && let Some(Some(owner)) = self.owners.get(index.index())
            && owner.start == start
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
            start,
            sockets: 0,
            descriptors: self.processes.descriptor_count(process).unwrap_or(0),
            behind: Vec::new(),
            tags: TagCounts::default(),
            described: None,
        });
        self.by_process.insert(process, slot);
        Some(slot)
    }
}

/// Spreads inodes and process numbers, which the kernel hands out in ascending order: nobody else chooses them.
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
