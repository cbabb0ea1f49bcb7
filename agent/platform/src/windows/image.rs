//! The file that a process runs, by its path: Windows keeps a running image from being written, but it may be renamed and
//! another put into its place, so the file must be older than the process.

use std::fs::{File, Metadata};
use std::os::windows::fs::MetadataExt as _;
use std::{env, io, process};

use tidemark_model::Timestamp;
use tidemark_model::sample::ProcessIdentity;
use windows_sys::Win32::System::Threading::PROCESS_QUERY_LIMITED_INFORMATION;

use super::process::ProcessHandle;
use crate::audit_facts::{text, unknown};
pub use crate::image_facts::{ImageError, ImageFacts};
use crate::windows_data::{file_time, version_resource};

/// Whether executables of this system have build ids.
pub const HAS_BUILD_IDS: bool = false;

/// An open executable.
#[derive(Debug)]
pub struct Image {
    file: File,
    identity: ImageIdentity,
}

/// Names the content of an executable, as far as can be told without reading it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageIdentity {
    path: String,
    size_bytes: u64,
    /// As `FILETIME`s.
    created: u64,
    written: u64,
}

/// What a process runs.
///
/// # Errors
/// When it has ended, its file may be another by now, or may not be looked at.
pub fn of_process(process: &ProcessIdentity) -> Result<Image, ImageError> {
    let handle = ProcessHandle::open(process.pid, PROCESS_QUERY_LIMITED_INFORMATION)
        .map_err(gone_or_unreadable)?;
    let started = handle.start().map(|start| start.at(Timestamp::EPOCH));
    if started != Some(process.started_at) {
        return Err(ImageError::Gone);
    }
    let path = handle
        .image()
        .or_else(|| process.executable.as_deref().map(str::to_owned));
    let path = path.ok_or_else(|| io::Error::other("Windows does not tell where it is"))?;
    open(path, process.started_at)
}

/// What this process runs.
///
/// # Errors
/// When it may not be read.
pub fn own() -> Result<Image, ImageError> {
    let handle = ProcessHandle::open(process::id(), PROCESS_QUERY_LIMITED_INFORMATION)?;
    let started = handle.start().map(|start| start.at(Timestamp::EPOCH));
    let path = env::current_exe()?.to_string_lossy().into_owned();
    open(path, started.unwrap_or(Timestamp::EPOCH))
}

fn gone_or_unreadable(error: io::Error) -> ImageError {
    /// `ERROR_INVALID_PARAMETER`: there is no process of that number.
    const NONE: i32 = 87;
    if error.raw_os_error() == Some(NONE) {
        ImageError::Gone
    } else {
        ImageError::Unreadable(error)
    }
}

fn open(path: String, started_at: Timestamp) -> Result<Image, ImageError> {
    let file = File::open(&path)?;
    let found = file.metadata()?;
    if newest_time(&found) > Some(started_at) {
        return Err(ImageError::Replaced);
    }
    let identity = ImageIdentity {
        path,
        size_bytes: found.file_size(),
        created: found.creation_time(),
        written: found.last_write_time(),
    };
    Ok(Image { file, identity })
}

/// When the file was created here or written, whichever is later: a copy keeps when it was written.
fn newest_time(found: &Metadata) -> Option<Timestamp> {
    file_time::timestamp(found.creation_time().max(found.last_write_time()))
}

impl Image {
    /// Names its content.
    #[must_use]
    pub fn identity(&self) -> ImageIdentity {
        self.identity.clone()
    }

    /// Its size.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.identity.size_bytes
    }

    /// Its bytes, from wherever they were read to last.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// What it states in its version resource.
    #[must_use]
    pub fn facts(&self) -> ImageFacts {
        ImageFacts {
            version: match version_resource::in_image(&self.file) {
                Ok(version) => text(version.as_deref()),
                Err(error) => unknown(&error),
            },
            build_id: None,
        }
    }
}
