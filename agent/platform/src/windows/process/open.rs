//! One process, held open: as long as it is, its number is given to no other.
#![expect(unsafe_code, reason = "processes are opened through Win32")]

use std::io;
use std::time::Duration;

use windows_sys::Win32::Foundation::{CloseHandle, FILETIME, HANDLE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_ACCESS_RIGHTS, PROCESS_NAME_WIN32,
    QueryFullProcessImageNameW, TerminateProcess, WaitForSingleObject,
};

use super::ProcessStart;
use crate::windows::own::working_set;
use crate::windows::text::from_wide;

/// Longest path of an image, in UTF-16 units (`UNICODE_STRING`).
const PATH_UNITS_MAX: usize = 32_768;

/// An open process; closed when dropped.
#[derive(Debug)]
pub(in crate::windows) struct ProcessHandle(HANDLE);

// SAFETY: the handle of a process may be used and closed on any thread, and is closed here alone.
unsafe impl Send for ProcessHandle {}

impl ProcessHandle {
    /// Opens the process of that number.
    ///
    /// # Errors
    /// What Windows says: 87 when there is none, 5 when it may not be opened.
    pub(in crate::windows) fn open(
        process: u32,
        rights: PROCESS_ACCESS_RIGHTS,
    ) -> io::Result<Self> {
        const NOT_INHERITED: i32 = 0;
        // SAFETY: asks for a handle, which is closed when it is dropped.
        let handle = unsafe { OpenProcess(rights, NOT_INHERITED, process) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(handle))
    }

    /// When it started; `None` when that may not be asked.
    pub(in crate::windows) fn start(&self) -> Option<ProcessStart> {
        let [mut created, mut exited, mut kernel, mut user] = [FILETIME::default(); 4];
        // SAFETY: the handle is open, and the four times are written whole or not at all.
        let succeeded = unsafe {
            GetProcessTimes(
                self.0,
                &raw mut created,
                &raw mut exited,
                &raw mut kernel,
                &raw mut user,
            )
        };
        let units = (u64::from(created.dwHighDateTime) << 32) | u64::from(created.dwLowDateTime);
        (succeeded != 0).then_some(ProcessStart(units))
    }

    /// Absolute path of its image; `None` when that may not be asked.
    pub(in crate::windows) fn image(&self) -> Option<String> {
        let mut units = vec![0_u16; PATH_UNITS_MAX];
        let mut length = u32::try_from(units.len()).ok()?;
        // SAFETY: the handle is open, and the buffer has `length` units.
        let succeeded = unsafe {
            QueryFullProcessImageNameW(
                self.0,
                PROCESS_NAME_WIN32,
                units.as_mut_ptr(),
                &raw mut length,
            )
        };
        (succeeded != 0).then(|| from_wide(&units))
    }

    /// Its resident memory in bytes; `None` when that may not be asked.
    pub(in crate::windows) fn resident_bytes(&self) -> Option<u64> {
        working_set(self.0)
    }

    /// Ends it at once; it may still be there when this returns.
    ///
    /// # Errors
    /// What Windows says: 5 also when it is ending already.
    pub(in crate::windows) fn end(&self, exit_code: u32) -> io::Result<()> {
        // SAFETY: the handle is open.
        if unsafe { TerminateProcess(self.0, exit_code) } == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Waits for its end; whether it came.
    pub(in crate::windows) fn ends_within(&self, patience: Duration) -> bool {
        let patience_ms = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX - 1);
        // SAFETY: the handle is open.
        unsafe { WaitForSingleObject(self.0, patience_ms) == WAIT_OBJECT_0 }
    }
}

impl Drop for ProcessHandle {
    fn drop(&mut self) {
        // SAFETY: the handle is open and nobody else has it.
        unsafe { CloseHandle(self.0) };
    }
}
