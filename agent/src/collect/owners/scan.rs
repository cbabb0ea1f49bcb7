//! Looking for the processes that hold new sockets.

use std::cmp::Reverse;
use std::collections::HashMap;

use tidemark_platform::process::{Descriptor, DescriptorVisitor, Processes};

use super::{
    KnownSocket, OwnerCache, OwnerIndex, RETRY_SAMPLES_MAX, SocketMap, Unresolved, Wanted,
};

/// What was behind this descriptor is not known.
const NOTHING: u32 = 0;
/// Behind this descriptor was no socket that was looked for.
const NOT_WANTED: u32 = u32::MAX;
/// Descriptors above this number are looked behind each time; processes number them from 0 without gaps.
const REMEMBERED_DESCRIPTORS: usize = 1 << 20;
/// How many processes are considered in one sample.
const PROCESSES_MAX: usize = 65_536;

/// Every process with its number of descriptors, as of the last sample that had to look.
#[derive(Debug)]
pub(super) struct ProcessList {
    known: HashMap<u32, Listed>,
    /// The processes of this sample, likeliest first; `None` until they are needed.
    ranked: Option<Vec<u32>>,
    counts_descriptors: bool,
}

#[derive(Clone, Copy, Debug)]
struct Listed {
    descriptors: u32,
    is_present: bool,
}

/// How likely a process holds a socket that appeared since the last sample; lesser is likelier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Likelihood {
    /// Its number of descriptors changed, by how much.
    Changed(Reverse<u32>),
    /// It holds other sockets.
    HoldsSockets,
    /// Nothing speaks for it.
    Other,
}

impl ProcessList {
    pub(super) fn new(processes: &Processes) -> Self {
        let own = processes.descriptor_count(std::process::id());
        Self {
            known: HashMap::new(),
            ranked: None,
            counts_descriptors: own.is_some_and(|count| count > 0),
        }
    }

    /// Whether this kernel counts descriptors without listing them (6.2 and later).
    pub(super) const fn counts_descriptors(&self) -> bool {
        self.counts_descriptors
    }

    /// What was listed is of a sample ago.
    pub(super) fn expire(&mut self) {
        self.ranked = None;
    }

    /// Lists processes and ranks them; those that have no descriptors (kernel threads) are left out.
    fn rank(&mut self, processes: &mut Processes, holds_sockets: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut numbers = Vec::new();
        let listed = processes.list(|process| {
            if numbers.len() < PROCESSES_MAX {
                numbers.push(process);
            }
        });
        if let Err(error) = listed {
            tracing::warn!(%error, "cannot list processes; new sockets stay without owner");
        }
        for known in self.known.values_mut() {
            known.is_present = false;
        }
        let mut ranked = Vec::with_capacity(numbers.len());
        for process in numbers {
            let Some(descriptors) = processes.descriptor_count(process) else {
                continue;
            };
            if descriptors == 0 && self.counts_descriptors {
                continue;
            }
            let before = self.known.insert(
                process,
                Listed {
                    descriptors,
                    is_present: true,
                },
            );
            let likelihood = match before {
                Some(before) if before.descriptors == descriptors => {
                    if holds_sockets(process) {
                        Likelihood::HoldsSockets
                    } else {
                        Likelihood::Other
                    }
                }
                Some(before) => {
                    Likelihood::Changed(Reverse(before.descriptors.abs_diff(descriptors)))
                }
                None => Likelihood::Changed(Reverse(descriptors)),
            };
            ranked.push((likelihood, process));
        }
        self.known.retain(|_, known| known.is_present);
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, process)| process).collect()
    }
}

/// Which descriptors are looked behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Those behind which a socket was that is gone: systems hand out the lowest free number, so that new sockets are
    /// where old ones were. Nothing is listed.
    Replaced,
    /// Those as well with nothing remembered.
    Fresh,
    /// Those as well that were something else when last looked behind.
    Remembered,
}

impl OwnerCache {
    /// Looks for the processes that hold the sockets `wanted`; afterwards [`OwnerCache::holder_of`] knows those it
    /// found. Stops when all are found or the work of this sample is used up.
    pub(in super::super) fn resolve(&mut self, wanted: impl Iterator<Item = u32>) {
        let mut wanted: Wanted = wanted.collect();
        if wanted.is_empty() {
            return;
        }
        let ranked = match self.list.ranked.take() {
            Some(ranked) => ranked,
            None => {
                let by_process = &self.by_process;
                let holds_sockets = |process| by_process.contains_key(&process);
                self.list.rank(&mut self.processes, holds_sockets)
            }
        };
        for pass in [Pass::Replaced, Pass::Fresh, Pass::Remembered] {
            for &process in &ranked {
                if wanted.is_empty() || self.reads_left == 0 {
                    break;
                }
                // Of other processes nothing is remembered: the pass in between looks behind everything.
                if pass == Pass::Fresh || self.of_process(process).is_some() {
                    self.scan(process, pass, &mut wanted);
                }
            }
        }
        self.list.ranked = Some(ranked);
        if self.reads_left > 0 {
            self.give_up_on(wanted);
        }
    }

    /// Everything was looked at: waits ever longer before looking for these again.
    pub(super) fn give_up_on(&mut self, wanted: impl IntoIterator<Item = u32>) {
        for holder in wanted {
            let unresolved = self.unresolved.entry(holder).or_insert(Unresolved {
                seen: self.sample,
                attempts: 0,
                wait_samples: 0,
            });
            let wait = 1_u8.checked_shl(u32::from(unresolved.attempts));
            unresolved.wait_samples = wait.unwrap_or(u8::MAX).clamp(1, RETRY_SAMPLES_MAX);
            unresolved.attempts = unresolved.attempts.saturating_add(1).min(7);
        }
    }

    fn scan(&mut self, process: u32, pass: Pass, wanted: &mut Wanted) {
        let known_owner = self.of_process(process);
        let remembered = known_owner
            .and_then(|index| self.owners.get_mut(index.index())?.as_mut())
            .map(|owner| std::mem::take(&mut owner.behind));
        let behind = remembered.unwrap_or_default();
        let numbers = 0..u32::try_from(behind.len()).unwrap_or(u32::MAX);
        let mut scan = Scan {
            owner: known_owner.unwrap_or(OwnerIndex::NOBODY),
            behind,
            found: Vec::new(),
            sockets: &self.sockets,
            wanted,
            reads_left: &mut self.reads_left,
            pass,
            sample: self.sample,
        };
        // A process that ended or may not be looked at holds nothing that can be named.
        let outcome = match pass {
            Pass::Replaced => self
                .processes
                .descriptors_among(process, numbers, &mut scan),
            Pass::Fresh | Pass::Remembered => self.processes.descriptors(process, &mut scan),
        };
        let Scan { behind, found, .. } = scan;
        if outcome.is_err() && found.is_empty() {
            return;
        }
        let index = if found.is_empty() {
            known_owner
        } else {
            self.slot_for(process)
        };
        let Some(index) = index else { return };
        self.adopt(&found, index);
        if let Some(Some(owner)) = self.owners.get_mut(index.index()) {
            owner.behind = behind;
        }
    }

    /// Ascribes what rows name as holders to an owner.
    pub(super) fn adopt(&mut self, holders: &[u32], owner: OwnerIndex) {
        let mut adopted: u32 = 0;
        for &holder in holders {
            let seen = self.sample;
            self.unresolved.remove(&holder);
            if self
                .sockets
                .insert(holder, KnownSocket { owner, seen })
                .is_none()
            {
                self.seen += 1;
                adopted += 1;
            }
        }
        if let Some(Some(owner)) = self.owners.get_mut(owner.index()) {
            owner.sockets = owner.sockets.saturating_add(adopted);
        }
    }
}

/// One process being looked at.
struct Scan<'a> {
    owner: OwnerIndex,
    behind: Vec<u32>,
    found: Vec<u32>,
    sockets: &'a SocketMap,
    wanted: &'a mut Wanted,
    reads_left: &'a mut u32,
    pass: Pass,
    sample: u16,
}

impl Scan<'_> {
    fn is_current(&self, inode: u32) -> bool {
        let socket = self.sockets.get(&inode);
        socket.is_some_and(|socket| socket.owner == self.owner && socket.seen == self.sample)
    }

    fn remember(&mut self, descriptor: usize, behind: u32) {
        if descriptor >= REMEMBERED_DESCRIPTORS {
            return;
        }
        if descriptor >= self.behind.len() {
            self.behind.resize(descriptor + 1, NOTHING);
        }
        if let Some(remembered) = self.behind.get_mut(descriptor) {
            *remembered = behind;
        }
    }
}

impl DescriptorVisitor for Scan<'_> {
    fn is_done(&self) -> bool {
        self.wanted.is_empty() || *self.reads_left == 0
    }

    fn wants(&mut self, descriptor: u32) -> bool {
        let remembered = self.behind.get(descriptor as usize).copied();
        let skip = match remembered {
            None | Some(NOTHING) => self.pass == Pass::Replaced,
            Some(NOT_WANTED) => self.pass != Pass::Remembered,
            Some(inode) => self.is_current(inode),
        };
        if skip {
            return false;
        }
        *self.reads_left = self.reads_left.saturating_sub(1);
        if remembered.is_some() {
            // It may have closed without a successor.
            self.remember(descriptor as usize, NOTHING);
        }
        true
    }

    fn found(&mut self, descriptor: u32, behind: Descriptor) {
        let remembered = match behind {
            Descriptor::Socket(inode) if self.wanted.remove(&inode) => {
                self.found.push(inode);
                inode
            }
            Descriptor::Socket(inode) if self.is_current(inode) => inode,
            Descriptor::Socket(_) | Descriptor::Other => NOT_WANTED,
        };
        self.remember(descriptor as usize, remembered);
    }
}
