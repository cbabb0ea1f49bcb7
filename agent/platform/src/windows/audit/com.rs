//! The Component Object Model on the thread that asks WMI: the `wmi` crate does not join it on targets that start on
//! Windows 7, as ours does.
#![expect(unsafe_code, reason = "COM is joined through ole32")]

use std::io;
use std::marker::PhantomData;
use std::ptr;

use windows_sys::Win32::System::Com::{COINIT_MULTITHREADED, CoInitializeEx, CoUninitialize};

/// This thread's part in COM, which ends when it is dropped: after everything that came of it.
#[derive(Debug)]
pub(super) struct Joined {
    /// It must not leave the thread.
    _thread: PhantomData<*const ()>,
}

impl Joined {
    /// Joins.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn join() -> io::Result<Self> {
        // SAFETY: the reserved pointer is null; it is left again when this is dropped, on this thread.
        let code = unsafe { CoInitializeEx(ptr::null(), COINIT_MULTITHREADED.cast_unsigned()) };
        if code < 0 {
            return Err(io::Error::from_raw_os_error(code));
        }
        Ok(Self {
            _thread: PhantomData,
        })
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        // SAFETY: this thread has joined, once for this value.
        unsafe { CoUninitialize() };
    }
}
