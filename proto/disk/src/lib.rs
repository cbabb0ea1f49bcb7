//! Files as what must survive a crash uses them: folders, whole reads, writes at a place, syncs, renames.
//!
//! Behind a trait, because what matters most cannot be had from a real disk when a test wants it: power that goes between
//! two writes, room that ends in the middle of one, a sync that fails.

mod replace;
mod system;

#[cfg(any(test, feature = "memory"))]
pub mod memory;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;

#[cfg(any(test, feature = "memory"))]
pub use memory::{Chance, Fault, MemoryDisk};
pub use replace::{replace_file, write_over};
pub use system::SystemDisk;

/// Folders and files. What is created, renamed or removed is durable once its folder is synced; what is written, once its
/// file is.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a folder and those above it; one that is there is no error.
    ///
    /// # Errors
    /// What the system says.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// The names in a folder, in no order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// The first `bytes_max` bytes of a file.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>>;

    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file or folder another name; a file of that name is replaced at once, as a crash sees it.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder with what is in it.
    ///
    /// # Errors
    /// What the system says.
    fn remove_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes what was created, renamed or removed in a folder durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Locks a file, which is made when there is none, until the answer is dropped or this process ends.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when it is locked already; else what the system says.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

/// An open file.
pub trait DiskFile: fmt::Debug + Send {
    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before; else what the system says.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Writes `bytes` from `offset` on.
    ///
    /// # Errors
    /// What the system says; some of the bytes may be written then.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or fills it up with zeros.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes the content durable.
    ///
    /// # Errors
    /// What the system says; what was written since the last sync may or may not be durable then, whatever is read.
    fn sync(&mut self) -> io::Result<()>;
}

/// A lock that is held.
pub trait Lock: fmt::Debug + Send + Sync {}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner alone: keys, tokens.
    Owner,
    /// Whoever may enter the folder.
    Folder,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// To be read; it must be there.
    Read,
    /// To be written; it must be there.
    Write,
    /// To be written; made when there is none, and else as it is.
    WriteOrMake,
    /// To be written; made for these readers, and an error when there is one, or a link of that name.
    Make(Access),
}
