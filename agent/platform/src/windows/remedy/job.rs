//! A program and whatever it starts, held together by a job object, so that they can be ended together.
#![expect(unsafe_code, reason = "job objects are Win32's")]

use std::io;
use std::os::windows::io::AsRawHandle as _;
use std::process::Child;
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, NTSTATUS, WAIT_OBJECT_0};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, TerminateJobObject,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Threading::WaitForSingleObject;
use windows_sys::{s, w};

use super::process::EXIT_CODE;
use crate::windows::process::error_of;

/// A job; what is in it lives on when this is dropped.
pub(super) struct Job(HANDLE);

impl Job {
    /// An empty one.
    ///
    /// # Errors
    /// What Windows says.
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: null is no security of its own and no name.
        let job = unsafe { CreateJobObjectW(ptr::null(), ptr::null()) };
        if job.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(job))
    }

    /// Takes a program in that was started suspended, and lets it run.
    ///
    /// # Errors
    /// What Windows says; it is still suspended then.
    pub(super) fn take(&self, child: &Child) -> io::Result<()> {
        // SAFETY: the job and the child's handle are open.
        if unsafe { AssignProcessToJobObject(self.0, child.as_raw_handle()) } == 0 {
            return Err(io::Error::last_os_error());
        }
        resume(child)
    }

    /// Waits for the end of the program itself; whether it came.
    pub(super) fn ends_within(&self, child: &Child, patience: Duration) -> bool {
        let patience_ms = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX - 1);
        // SAFETY: the child's handle is open while it is borrowed.
        unsafe { WaitForSingleObject(child.as_raw_handle(), patience_ms) == WAIT_OBJECT_0 }
    }

    /// Ends everything in it.
    pub(super) fn end(&self) {
        // SAFETY: the job is open. One that is empty by then is what is wanted.
        unsafe { TerminateJobObject(self.0, EXIT_CODE) };
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: the handle is open and nobody else has it.
        unsafe { CloseHandle(self.0) };
    }
}

/// Lets a suspended process run. The standard library keeps the handle of its thread to itself, so that the whole process
/// is resumed, by a function that ntdll exports since Windows XP.
fn resume(child: &Child) -> io::Result<()> {
    // SAFETY: the name ends with a zero, and ntdll is in every process for as long as it lives.
    let function =
        unsafe { GetProcAddress(GetModuleHandleW(w!("ntdll.dll")), s!("NtResumeProcess")) };
    let Some(function) = function else {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    };
    // SAFETY: that is its signature in every version (`NTSYSAPI NTSTATUS NTAPI NtResumeProcess(HANDLE)`).
    let function = unsafe {
        std::mem::transmute::<
            unsafe extern "system" fn() -> isize,
            unsafe extern "system" fn(HANDLE) -> NTSTATUS,
        >(function)
    };
    // SAFETY: the child's handle is open, and has every right to its process.
    match unsafe { function(child.as_raw_handle()) } {
        0.. => Ok(()),
        status => Err(io::Error::from_raw_os_error(error_of(status))),
    }
}
