//! Limits of the .NET Framework: `connectionManagement` in `machine.config`, the file as it was before kept beside it.
#![expect(
    unsafe_code,
    reason = "a file is replaced, with its access list, through kernel32"
)]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::ptr;

use windows_sys::Win32::Storage::FileSystem::ReplaceFileW;

use crate::remedy_facts::{DotnetLimit, RemedyError};
use crate::windows::program::system_folder;
use crate::windows::text::wide;
use crate::windows_data::machine_config::{connection_limits, with_limit, without_limit};

/// The frameworks of 32 and 64 bits; since version 4.5 every one is installed in this place.
const FILES: [&str; 2] = [
    r"Microsoft.NET\Framework\v4.0.30319\Config\machine.config",
    r"Microsoft.NET\Framework64\v4.0.30319\Config\machine.config",
];
/// The file as it was before it was changed for the first time.
const KEPT: &str = "config.before-tidemark";
const WRITTEN: &str = "config.tidemark-new";
/// Largest file that is read; a shipped one has 35 KiB.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The limits of this host, of each framework that it has.
///
/// # Errors
/// [`RemedyError::NoSuchTarget`] when it has none; [`RemedyError::Unsafe`] when a file is not understood.
pub fn limits() -> Result<Vec<DotnetLimit>, RemedyError> {
    let system = system_folder();
    let windows = system.parent().unwrap_or(&system);
    let mut found = Vec::new();
    for file in FILES {
        let path = windows.join(file);
        let Some(bytes) = read(&path)? else {
            continue;
        };
        let limits = connection_limits(&bytes).map_err(|error| foreign(&path, &error))?;
        let every = limits.into_iter().find(|limit| limit.address == "*");
        found.push(DotnetLimit {
            file: path.display().to_string(),
            before: every.map(|limit| limit.connections),
        });
    }
    if found.is_empty() {
        return Err(RemedyError::NoSuchTarget(
            "the host has no .NET Framework 4".to_owned(),
        ));
    }
    Ok(found)
}

/// Sets a limit. Applications of ASP.NET start anew; others take it at their next start.
///
/// # Errors
/// When the file is not understood, or cannot be written: it is as it was then.
pub fn set_limit(limit: &DotnetLimit, connections: u32) -> Result<(), RemedyError> {
    write_limit(&limit.file, Some(connections))
}

/// Puts back a limit; `None` when there was none.
///
/// # Errors
/// As [`set_limit`].
pub fn restore_limit(file: &str, connections: Option<u32>) -> Result<(), RemedyError> {
    write_limit(file, connections)
}

fn write_limit(file: &str, connections: Option<u32>) -> Result<(), RemedyError> {
    let path = PathBuf::from(file);
    let missing = || RemedyError::Failed(format!("{} is gone", path.display()));
    let bytes = read(&path)?.ok_or_else(missing)?;
    let edited = match connections {
        Some(connections) => with_limit(&bytes, connections),
        None => without_limit(&bytes),
    };
    let edited = edited.map_err(|error| foreign(&path, &error))?;
    let failed = |error: io::Error| {
        RemedyError::Failed(format!("{} cannot be written: {error}", path.display()))
    };
    keep(&path.with_extension(KEPT), &bytes).map_err(failed)?;
    let beside = path.with_extension(WRITTEN);
    write(&beside, &edited)
        .and_then(|()| replace(&path, &beside))
        .map_err(failed)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, RemedyError> {
    let unreadable = |error: io::Error| {
        RemedyError::Failed(format!("{} cannot be read: {error}", path.display()))
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            let text = format!("{} has {} bytes", path.display(), metadata.len());
            return Err(RemedyError::Unsafe(text));
        }
        Ok(_) => {}
    }
    fs::read(path).map(Some).map_err(unreadable)
}

/// The first one stays.
fn keep(kept: &Path, bytes: &[u8]) -> io::Result<()> {
    match File::create_new(kept) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => {
            let mut file = created?;
            file.write_all(bytes)?;
            file.sync_all()
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts one file in the place of another, whose access list and attributes it takes over.
fn replace(path: &Path, new: &Path) -> io::Result<()> {
    let (path, new) = (wide(path), wide(new));
    // SAFETY: both paths end with a zero; there is no other backup, and the reserved pointers are null.
    let succeeded = unsafe {
        ReplaceFileW(
            path.as_ptr(),
            new.as_ptr(),
            ptr::null(),
            0,
            ptr::null(),
            ptr::null(),
        )
    };
    if succeeded == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn foreign(path: &Path, error: &dyn std::error::Error) -> RemedyError {
    RemedyError::Unsafe(format!("{}: {error}", path.display()))
}
