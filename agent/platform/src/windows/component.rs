//! The Component Object Model on a thread: what speaks WMI has to join it first.
//!
//! The `wmi` crate does so itself, but not for targets that start on Windows 7, as ours does.
#![expect(unsafe_code, reason = "COM is joined through ole32")]

use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::RPC_E_TOO_LATE;
use windows_sys::Win32::System::Com::{
    COINIT_MULTITHREADED, CoInitializeEx, CoInitializeSecurity, CoUninitialize, EOAC_NONE,
    RPC_C_AUTHN_LEVEL_DEFAULT, RPC_C_IMP_LEVEL_IMPERSONATE,
};

/// Membership of this thread, which ends when it is dropped: after everything that came of it.
#[derive(Debug)]
pub(super) struct Membership {
    /// It must not leave the thread.
    _thread: PhantomData<*const ()>,
}

impl Membership {
    /// Joins.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn join() -> io::Result<Self> {
        // SAFETY: the reserved pointer is null; it is left again when the membership is dropped, on this thread.
        let joined = unsafe { CoInitializeEx(ptr::null(), COINIT_MULTITHREADED.cast_unsigned()) };
        checked(joined)?;
        let membership = Self {
            _thread: PhantomData,
        };
        secure()?;
        Ok(membership)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // SAFETY: this thread has joined, once for this membership.
        unsafe { CoUninitialize() };
    }
}

/// Sets once for the process whom answers are taken from and what they may do: as COM does by itself, and WMI acts for the
/// one who asks. Somebody else may have set it before.
fn secure() -> io::Result<()> {
    static SECURED: OnceLock<i32> = OnceLock::new();
    const CHOSEN_BY_COM: i32 = -1;
    let code = *SECURED.get_or_init(|| {
        // SAFETY: nothing is passed by pointer: no descriptor, no services, no list, no reserved values.
        unsafe {
            CoInitializeSecurity(
                ptr::null_mut(),
                CHOSEN_BY_COM,
                ptr::null(),
                ptr::null(),
                RPC_C_AUTHN_LEVEL_DEFAULT,
                RPC_C_IMP_LEVEL_IMPERSONATE,
                ptr::null(),
                EOAC_NONE.cast_unsigned(),
                ptr::null(),
            )
        }
    });
    if code == RPC_E_TOO_LATE {
        return Ok(());
    }
    checked(code)
}

fn checked(code: i32) -> io::Result<()> {
    if code < 0 {
        Err(io::Error::from_raw_os_error(code))
    } else {
        Ok(())
    }
}
