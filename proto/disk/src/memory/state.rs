//! Names, files and faults of a disk in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::super::Opening;
use super::inode::Inode;
use super::{Chance, Fault};

/// `EIO` and `EMFILE`, as Linux numbers them.
const EIO: i32 = 5;
const EMFILE: i32 = 24;

/// A change of names.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Make(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

type Names = BTreeMap<PathBuf, u64>;

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) steps: u64,
    pub(super) plan: BTreeMap<u64, Fault>,
    /// From a step on.
    pub(super) lasting: Option<(u64, Fault)>,
    pub(super) room: Option<u64>,
    pub(super) is_on: bool,
    /// Counts the processes that had files open.
    pub(super) process: u64,
    names: Names,
    durable_names: Names,
    /// Since the last sync of a folder.
    pending: Vec<NameChange>,
    folders: BTreeSet<PathBuf>,
    inodes: BTreeMap<u64, Inode>,
    locks: BTreeSet<PathBuf>,
    last_inode: u64,
    chance: Chance,
}

/// A call that could fail, with what is to go wrong in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step(Option<Fault>);

impl Step {
    fn fails_by(self, faults: &[Fault]) -> io::Result<()> {
        match self.0.filter(|fault| faults.contains(fault)) {
            None => Ok(()),
            Some(Fault::PowerCut) => Err(no_power()),
            Some(Fault::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Medium) => Err(io::Error::from_raw_os_error(EIO)),
            Some(Fault::Busy) => Err(io::Error::from_raw_os_error(EMFILE)),
        }
    }

    pub(super) fn to_read(self) -> io::Result<()> {
        self.fails_by(&[Fault::PowerCut, Fault::Medium, Fault::Busy])
    }

    pub(super) fn to_open(self) -> io::Result<()> {
        self.fails_by(&[Fault::Busy])
    }

    pub(super) fn to_change(self) -> io::Result<()> {
        self.fails_by(&[Fault::PowerCut, Fault::Medium, Fault::NoSpace])
    }

    /// What refuses a change before anything of it is done.
    fn to_begin(self) -> io::Result<()> {
        self.fails_by(&[Fault::Medium, Fault::NoSpace])
    }

    /// What comes to light when the change is done.
    fn to_end(self) -> io::Result<()> {
        self.fails_by(&[Fault::PowerCut])
    }
}

fn no_power() -> io::Error {
    io::Error::other("there is no power")
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            steps: 0,
            plan: BTreeMap::new(),
            lasting: None,
            room: None,
            is_on: true,
            process: 0,
            names: Names::new(),
            durable_names: Names::new(),
            pending: Vec::new(),
            folders: BTreeSet::new(),
            inodes: BTreeMap::new(),
            locks: BTreeSet::new(),
            last_inode: 0,
            chance: Chance::new(seed),
        }
    }

    /// Counts a step, and says what is to go wrong in it.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        if !self.is_on {
            return Err(no_power());
        }
        let planned = self.plan.remove(&self.steps);
        self.steps += 1;
        let lasting = self.lasting.filter(|(from, _)| *from < self.steps);
        let fault = planned.or(lasting.map(|(_, fault)| fault));
        if fault == Some(Fault::PowerCut) {
            self.is_on = false;
        }
        Ok(Step(fault))
    }

    /// As [`State::step`], for a file that was opened by that process.
    pub(super) fn step_of(&mut self, process: u64) -> io::Result<Step> {
        if process != self.process {
            return Err(io::Error::other("the process that had it open has ended"));
        }
        self.step()
    }

    pub(super) fn make_folder(&mut self, folder: &Path) {
        self.folders
            .extend(folder.ancestors().map(Path::to_path_buf));
    }

    pub(super) fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        if !self.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let paths = self.names.keys().chain(&self.folders);
        Ok(paths
            .filter(|path| path.parent() == Some(folder))
            .filter_map(|path| Some(path.file_name()?.to_owned()))
            .collect())
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.names.keys().cloned().collect()
    }

    pub(super) fn inode(&self, path: &Path) -> io::Result<&Inode> {
        self.names
            .get(path)
            .and_then(|inode| self.inodes.get(inode))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn open_inode(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.inodes
            .get_mut(&inode)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn open(&mut self, path: &Path, opening: Opening, step: Step) -> io::Result<u64> {
        let found = self.names.get(path).copied();
        match (found, opening) {
            (None, Opening::Read | Opening::Write) => Err(io::ErrorKind::NotFound.into()),
            (Some(_), Opening::Make(_)) => Err(io::ErrorKind::AlreadyExists.into()),
            (None, Opening::WriteOrMake | Opening::Make(_)) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                if !self.folders.contains(folder) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                step.to_begin()?;
                self.last_inode += 1;
                let inode = self.last_inode;
                self.inodes.insert(inode, Inode::default());
                self.change_names(NameChange::Make(path.to_owned(), inode), step)?;
                Ok(inode)
            }
            (Some(inode), Opening::Read | Opening::Write | Opening::WriteOrMake) => {
                step.to_end()?;
                Ok(inode)
            }
        }
    }

    pub(super) fn write_at(
        &mut self,
        inode: u64,
        offset: u64,
        bytes: &[u8],
        step: Step,
    ) -> io::Result<()> {
        let fits = self.room_for(bytes.len());
        let begun = step.to_begin();
        let written = if begun.is_err() {
            self.chance.index(bytes.len() + 1)
        } else {
            fits
        };
        let taken = bytes.get(..written).unwrap_or(bytes);
        self.open_inode(inode)?.write_at(offset, taken)?;
        begun?;
        step.to_end()?;
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Bytes of all files together.
    pub(super) fn used(&self) -> u64 {
        let inodes = self
            .names
            .values()
            .filter_map(|inode| self.inodes.get(inode));
        inodes.map(|inode| inode.bytes().len() as u64).sum()
    }

    /// How many of so many more bytes fit.
    fn room_for(&self, bytes: usize) -> usize {
        let Some(room) = self.room else { return bytes };
        let room = room.saturating_sub(self.used());
        usize::try_from(room).unwrap_or(usize::MAX).min(bytes)
    }

    pub(super) fn set_len(&mut self, inode: u64, bytes: u64, step: Step) -> io::Result<()> {
        step.to_begin()?;
        self.open_inode(inode)?.set_len(bytes)?;
        step.to_end()
    }

    pub(super) fn sync(&mut self, inode: u64, step: Step) -> io::Result<()> {
        let synced = step.to_change();
        let inode = self.open_inode(inode)?;
        match (&synced, step.0) {
            (Ok(()), _) => inode.sync(),
            (Err(_), Some(Fault::PowerCut)) => {}
            (Err(_), _) => inode.fail_sync(),
        }
        synced
    }

    pub(super) fn change_names(&mut self, change: NameChange, step: Step) -> io::Result<()> {
        step.to_begin()?;
        if !change.apply(&mut self.names) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.pending.push(change);
        step.to_end()
    }

    pub(super) fn remove_folder(&mut self, folder: &Path, step: Step) -> io::Result<()> {
        if !self.folders.remove(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside: Vec<PathBuf> = self
            .names
            .keys()
            .filter(|path| path.starts_with(folder))
            .cloned()
            .collect();
        inside
            .into_iter()
            .try_for_each(|path| self.change_names(NameChange::Remove(path), step))
    }

    pub(super) fn sync_names(&mut self) {
        self.durable_names.clone_from(&self.names);
        self.pending.clear();
    }

    pub(super) fn lock(&mut self, path: &Path) -> io::Result<u64> {
        if self.locks.insert(path.to_owned()) {
            return Ok(self.process);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    pub(super) fn unlock(&mut self, path: &Path, process: u64) {
        if process == self.process {
            self.locks.remove(path);
        }
    }

    pub(super) fn end_process(&mut self) {
        self.process += 1;
        self.locks.clear();
    }

    pub(super) fn power_up(&mut self) {
        let kept = self.chance.index(self.pending.len() + 1);
        let mut names = std::mem::take(&mut self.durable_names);
        for change in std::mem::take(&mut self.pending).iter().take(kept) {
            change.apply(&mut names);
        }
        self.names.clone_from(&names);
        self.durable_names = names;
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|inode, _| named.contains(inode));
        for inode in self.inodes.values_mut() {
            inode.lose_power(&mut self.chance);
        }
        self.end_process();
        self.is_on = true;
    }

    /// Everything but the faults, the room and the chance.
    pub(super) fn restore(&mut self, image: Self) {
        self.end_process();
        self.names = image.names;
        self.durable_names = image.durable_names;
        self.pending = image.pending;
        self.folders = image.folders;
        self.inodes = image.inodes;
        self.last_inode = image.last_inode;
        self.is_on = true;
    }
}

impl NameChange {
    /// Says whether the name that it changes is there.
    fn apply(&self, names: &mut Names) -> bool {
        match self {
            Self::Make(path, inode) => {
                names.insert(path.clone(), *inode);
                true
            }
            Self::Remove(path) => names.remove(path).is_some(),
            Self::Rename(from, to) => match names.remove(from) {
                Some(inode) => {
                    names.insert(to.clone(), inode);
                    true
                }
                None => false,
            },
        }
    }
}
