//! Privileges that administrators have and have to ask for.
#![expect(unsafe_code, reason = "privileges are switched on through advapi32")]

use std::io;
use std::ptr;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, LUID};
use windows_sys::Win32::Security::{
    AdjustTokenPrivileges, LUID_AND_ATTRIBUTES, LookupPrivilegeValueW, SE_PRIVILEGE_ENABLED,
    TOKEN_ADJUST_PRIVILEGES, TOKEN_PRIVILEGES, TOKEN_QUERY,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::text::wide;

/// Switches `SeDebugPrivilege` on for this process, where it has it. Without it the processes of the agent's own user
/// can be looked into, and no others.
///
/// # Errors
/// When the process does not have it.
pub(super) fn enable_debug() -> io::Result<()> {
    enable("SeDebugPrivilege")
}

/// Switches `SeShutdownPrivilege` on for this process, where it has it.
///
/// # Errors
/// When the process does not have it: then it may not restart the host.
pub(super) fn enable_shutdown() -> io::Result<()> {
    enable("SeShutdownPrivilege")
}

fn enable(name: &str) -> io::Result<()> {
    let name = wide(name);
    let mut privilege = LUID::default();
    // SAFETY: null is this host, the name ends with a zero, and the number is written whole.
    if unsafe { LookupPrivilegeValueW(ptr::null(), name.as_ptr(), &raw mut privilege) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let wanted = TOKEN_PRIVILEGES {
        PrivilegeCount: 1,
        Privileges: [LUID_AND_ATTRIBUTES {
            Luid: privilege,
            Attributes: SE_PRIVILEGE_ENABLED,
        }],
    };
    let rights = TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY;
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: the pseudo handle needs no closing, and the token is closed below.
    if unsafe { OpenProcessToken(GetCurrentProcess(), rights, &raw mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the token is open, and closed once; what was before is not asked for.
    let error = unsafe {
        AdjustTokenPrivileges(
            token,
            0,
            &raw const wanted,
            0,
            ptr::null_mut(),
            ptr::null_mut(),
        );
        // Success is told with an error, too, when the process does not have the privilege.
        let error = io::Error::last_os_error();
        CloseHandle(token);
        error
    };
    if error.raw_os_error() == Some(0) {
        Ok(())
    } else {
        Err(error)
    }
}
