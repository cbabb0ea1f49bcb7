//! Handles of the log service and of its signal, each closed once.

use std::ptr;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
use windows_sys::Win32::System::EventLog::{EVT_HANDLE, EvtClose};
use windows_sys::Win32::System::Threading::{CreateEventW, ResetEvent};

/// A handle of the log service.
#[derive(Debug)]
pub(super) struct LogHandle(EVT_HANDLE);

impl LogHandle {
    /// Owns the handle; `None` for the null handle of a call that failed.
    pub(super) const fn new(handle: EVT_HANDLE) -> Option<Self> {
        if handle == 0 {
            None
        } else {
            Some(Self(handle))
        }
    }

    pub(super) const fn get(&self) -> EVT_HANDLE {
        self.0
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        // SAFETY: it is open, owned, and closed here alone.
        unsafe { EvtClose(self.0) };
    }
}

/// An event object that stays set until it is reset.
#[derive(Debug)]
pub(super) struct Signal(HANDLE);

// SAFETY: a handle of an event object may be used by any thread of the process.
unsafe impl Send for Signal {}

impl Signal {
    /// A signal that is not set; `None` when the system gives none.
    pub(super) fn new() -> Option<Self> {
        // SAFETY: it takes no name and the default security; 1 asks for a manual reset, 0 for not being set.
        let handle = unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) };
        (!handle.is_null()).then_some(Self(handle))
    }

    pub(super) const fn get(&self) -> HANDLE {
        self.0
    }

    pub(super) fn reset(&self) {
        // SAFETY: it is open; resetting cannot fail then.
        unsafe { ResetEvent(self.0) };
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // SAFETY: it is open, owned, and closed here alone.
        unsafe { CloseHandle(self.0) };
    }
}
