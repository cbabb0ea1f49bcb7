//! A disk in memory, for tests: it knows what is durable, and fails at the step that a test names.
//!
//! What a power cut leaves is what a journaled file system promises and no more: of what was created, renamed and removed
//! since the last sync of a folder, the first so many; of what was written to a file since its last sync, the first so
//! many writes, the last of them torn, or the length without the bytes. Which of it, the seed says.

mod chance;
mod inode;
mod state;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, Lock, Opening};
pub use chance::Chance;
use state::{NameChange, State, Step};

/// What goes wrong at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Power goes while the step is under way.
    PowerCut,
    /// There is no room: a write may get a part of its bytes in.
    NoSpace,
    /// The medium fails (`EIO`). After a sync that failed so, what was written since the last one is read and not durable.
    Medium,
    /// Too many files are open (`EMFILE`): nothing is opened or read for now.
    Busy,
}

/// A disk. Clones are the same one.
#[derive(Clone)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
    /// The process that it is for; none of a test's own.
    process: Option<u64>,
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDisk").finish_non_exhaustive()
    }
}

impl MemoryDisk {
    /// An empty one; `seed` decides what power cuts leave and how much of a write fits.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(seed))),
            process: None,
        }
    }

    /// The disk for the process that runs now: once it has ended, by [`MemoryDisk::end_process`] or without power, it can do
    /// nothing to the disk any more.
    #[must_use]
    pub fn for_process(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            process: Some(self.state().process),
        }
    }

    /// Calls so far that could have failed, reads included.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state().steps
    }

    /// Has the step `step` fail; the first one is 0.
    pub fn fail_at(&self, step: u64, fault: Fault) {
        self.state().plan.insert(step, fault);
    }

    /// Has every step from `step` on fail, until [`MemoryDisk::mend`].
    pub fn fail_from(&self, step: u64, fault: Fault) {
        self.state().lasting = Some((step, fault));
    }

    /// Has one of the next steps fail, in one way or another.
    pub fn fail_soon(&self, chance: &mut Chance) {
        let faults = [Fault::PowerCut, Fault::NoSpace, Fault::Medium, Fault::Busy];
        self.fail_at(self.soon(chance), faults[chance.index(faults.len())]);
    }

    /// Has all steps from one of the next on fail, until [`MemoryDisk::mend`].
    pub fn fail_from_soon_on(&self, chance: &mut Chance) {
        let faults = [Fault::NoSpace, Fault::Medium, Fault::Busy];
        self.fail_from(self.soon(chance), faults[chance.index(faults.len())]);
    }

    fn soon(&self, chance: &mut Chance) -> u64 {
        self.steps() + chance.between(0, 12)
    }

    /// Takes back all faults that are still to come.
    pub fn mend(&self) {
        let mut state = self.state();
        state.plan.clear();
        state.lasting = None;
    }

    /// Limits the bytes of all files together.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// Whether there is power.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.state().is_on
    }

    /// Takes the power away, now.
    pub fn cut_power(&self) {
        self.state().is_on = false;
    }

    /// Gives the power back. What was open is closed, and what was not durable may be gone.
    pub fn power_up(&self) {
        self.state().power_up();
    }

    /// Ends the process that had files open: they are closed and its locks are gone, and what it wrote stays.
    pub fn end_process(&self) {
        self.state().end_process();
    }

    /// All files, ascending.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().files()
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state().used()
    }

    /// This disk as it would be if power had gone and come back now.
    #[must_use]
    pub fn image(&self) -> Self {
        let mut state = self.state().clone();
        state.power_up();
        Self {
            state: Arc::new(Mutex::new(state)),
            process: None,
        }
    }

    /// Puts everything back to what `image` holds, as the restore of a machine's snapshot does.
    pub fn restore(&self, image: &Self) {
        let image = image.state().clone();
        self.state().restore(image);
    }

    fn step(&self) -> io::Result<Step> {
        let mut state = self.state();
        match self.process {
            Some(process) => state.step_of(process),
            None => state.step(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?.to_change()?;
        self.state().make_folder(folder);
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.step()?.to_read()?;
        self.state().list(folder)
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.step()?.to_read()?;
        let most = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let state = self.state();
        let bytes = state.inode(path)?.bytes();
        Ok(bytes.get(..most).unwrap_or(bytes).to_vec())
    }

    fn open(&self, path: &Path, opening: Opening) -> io::Result<Box<dyn DiskFile>> {
        let step = self.step()?;
        step.to_open()?;
        let inode = self.state().open(path, opening, step)?;
        let process = self.state().process;
        Ok(Box::new(OpenFile {
            disk: self.clone(),
            inode,
            process,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let step = self.step()?;
        let change = NameChange::Rename(from.to_owned(), to.to_owned());
        self.state().change_names(change, step)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let step = self.step()?;
        let change = NameChange::Remove(path.to_owned());
        self.state().change_names(change, step)
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        let step = self.step()?;
        self.state().remove_folder(folder, step)
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        self.step()?.to_change()?;
        self.state().sync_names();
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.step()?.to_read()?;
        let process = self.state().lock(path)?;
        Ok(Box::new(Held {
            disk: self.clone(),
            path: path.to_owned(),
            process,
        }))
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: MemoryDisk,
    inode: u64,
    /// Of the process that opened it.
    process: u64,
}

impl DiskFile for OpenFile {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step_of(self.process)?.to_read()?;
        state.open_inode(self.inode)?.read_at(offset, into)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let step = state.step_of(self.process)?;
        state.write_at(self.inode, offset, bytes, step)
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let step = state.step_of(self.process)?;
        state.set_len(self.inode, bytes, step)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let step = state.step_of(self.process)?;
        state.sync(self.inode, step)
    }
}

#[derive(Debug)]
struct Held {
    disk: MemoryDisk,
    path: PathBuf,
    process: u64,
}

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.state().unlock(&self.path, self.process);
    }
}

#[cfg(test)]
mod tests;
