//! Whether this is Wine: it lacks events, pids of sockets and netsh, and some of what it lacks ends the process.
#![expect(
    unsafe_code,
    reason = "Wine is known by a function that it alone exports"
)]

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::s;

use super::text::wide;

/// Wine's version, as in `8.0`; `None` on Windows.
pub(super) fn version() -> Option<&'static str> {
    static VERSION: OnceLock<Option<String>> = OnceLock::new();
    VERSION.get_or_init(ask).as_deref()
}

fn ask() -> Option<String> {
    let ntdll = wide("ntdll.dll");
    // SAFETY: the name ends with a zero, and ntdll is in every process for as long as it lives.
    let function = unsafe {
        let module = GetModuleHandleW(ntdll.as_ptr());
        GetProcAddress(module, s!("wine_get_version"))?
    };
    // SAFETY: Wine exports it with this signature since 2008 (`dlls/ntdll/version.c`).
    let function = unsafe {
        std::mem::transmute::<
            unsafe extern "system" fn() -> isize,
            unsafe extern "C" fn() -> *const c_char,
        >(function)
    };
    // SAFETY: it takes nothing and returns a static text that ends with a zero.
    let version = unsafe { CStr::from_ptr(function()) };
    Some(version.to_string_lossy().into_owned())
}
