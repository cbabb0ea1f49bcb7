//! Ends one process: the one that was meant, or none.

use std::io;
use std::time::Duration;

use tidemark_model::Timestamp;
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER};
use windows_sys::Win32::System::Threading::{
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE,
};

use crate::remedy_facts::{RemedyError, Teller, tried};
use crate::windows::privilege;
use crate::windows::process::ProcessHandle;

/// What a process that is ended by this product ends with; it tells its end from others in event logs.
pub(super) const EXIT_CODE: u32 = 0xD0C;
/// How long a process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Times travel in milliseconds, of which the clock of processes has ten thousand parts.
const START_TOLERANCE_MS: u64 = 1;

/// A process that is the one that was meant, for as long as this is held.
#[derive(Debug)]
pub struct Target {
    pid: u32,
    handle: ProcessHandle,
}

/// The process of that number, start and image, which is the file name of its executable.
///
/// # Errors
/// [`RemedyError::NoSuchTarget`] when any of the three does not match; [`RemedyError::Unsafe`] when Windows protects it.
pub fn find(
    pid: u32,
    started_at: Timestamp,
    image: &str,
    booted_at: Timestamp,
) -> Result<Target, RemedyError> {
    let handle = hold(pid)?;
    let path = handle.image().ok_or_else(|| protected(pid))?;
    let name = path.rsplit('\\').next().unwrap_or(&path);
    if !name.eq_ignore_ascii_case(image) {
        return Err(RemedyError::NoSuchTarget(format!(
            "process {pid} is {name}, not {image}"
        )));
    }
    let start = handle.start().ok_or_else(|| protected(pid))?.at(booted_at);
    if start.ms_since(started_at).unsigned_abs() > START_TOLERANCE_MS {
        return Err(RemedyError::NoSuchTarget(format!(
            "process {pid} started at another time: it is another {image} than was meant"
        )));
    }
    Ok(Target { pid, handle })
}

/// Opens a process so that it can be ended. What is asked of it afterwards is of this process or of none.
pub(super) fn hold(pid: u32) -> Result<ProcessHandle, RemedyError> {
    // Without it the processes of the agent's own user can be ended, and no others.
    privilege::enable_debug().ok();
    let rights = PROCESS_TERMINATE | PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
    ProcessHandle::open(pid, rights).map_err(|error| {
        if is_code(&error, ERROR_INVALID_PARAMETER) {
            RemedyError::NoSuchTarget(format!("there is no process {pid}"))
        } else if is_code(&error, ERROR_ACCESS_DENIED) {
            protected(pid)
        } else {
            RemedyError::Failed(format!("process {pid} cannot be held: {error}"))
        }
    })
}

fn protected(pid: u32) -> RemedyError {
    RemedyError::Unsafe(format!(
        "Windows protects process {pid} from being ended, as it does with its own and with virus scanners; restart its \
         service, or the host"
    ))
}

/// Whether an error is the one of that number (`winerror.h`).
pub(super) fn is_code(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == Some(code.cast_signed())
}

impl Target {
    /// Ends it by force: Windows has no gentler way for a process without windows.
    ///
    /// # Errors
    /// [`RemedyError`] when it may not be ended, or is still there.
    pub fn end(self, tell: Teller<'_>) -> Result<(), RemedyError> {
        let ended = end(&self.handle, self.pid);
        tried(tell, "end the process by force", ended)
    }
}

/// Ends a process that is held, and waits until it is gone.
pub(super) fn end(handle: &ProcessHandle, pid: u32) -> Result<(), RemedyError> {
    if let Err(error) = handle.end(EXIT_CODE)
        // One that is ending already may not be ended.
        && !handle.ends_within(Duration::ZERO)
    {
        if is_code(&error, ERROR_ACCESS_DENIED) {
            return Err(protected(pid));
        }
        return Err(RemedyError::Failed(format!(
            "process {pid} cannot be ended: {error}"
        )));
    }
    if handle.ends_within(PATIENCE) {
        return Ok(());
    }
    Err(RemedyError::Failed(format!(
        "process {pid} is still there after {} s: a driver waits for something in its name, and only a restart of the host \
         ends it",
        PATIENCE.as_secs()
    )))
}
