//! Restarts the host in an orderly way.
#![expect(unsafe_code, reason = "a restart is asked for through advapi32")]

use std::io;
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_SHUTDOWN_IN_PROGRESS, ERROR_SHUTDOWN_IS_SCHEDULED,
    ERROR_SHUTDOWN_USERS_LOGGED_ON,
};
use windows_sys::Win32::System::Shutdown::{
    InitiateShutdownW, SHTDN_REASON_FLAG_PLANNED, SHTDN_REASON_MAJOR_OPERATINGSYSTEM,
    SHTDN_REASON_MINOR_NETWORK_CONNECTIVITY, SHUTDOWN_FORCE_OTHERS, SHUTDOWN_FORCE_SELF,
    SHUTDOWN_RESTART,
};

use crate::remedy_facts::RemedyError;
use crate::windows::text::wide;
use crate::windows::{privilege, wine};

/// What event 1074 keeps: 0x80020014, planned, operating system, network connectivity.
const REASON: u32 = SHTDN_REASON_FLAG_PLANNED
    | SHTDN_REASON_MAJOR_OPERATINGSYSTEM
    | SHTDN_REASON_MINOR_NETWORK_CONNECTIVITY;

/// What restarts this host, without asking it to.
///
/// # Errors
/// [`RemedyError::Unsupported`] where there is no host to restart; [`RemedyError::Unsafe`] when the agent may not.
pub fn look() -> Result<&'static str, RemedyError> {
    if wine::version().is_some() {
        return Err(RemedyError::Unsupported("Wine restarts no host".to_owned()));
    }
    privilege::enable_shutdown().map_err(|error| {
        RemedyError::Unsafe(format!(
            "the agent lacks the right to restart the host (SeShutdownPrivilege): {error}; let it run as LocalSystem"
        ))
    })?;
    Ok(
        "Windows, after a warning, with reason 0x80020014 (planned, network connectivity) in event 1074",
    )
}

/// Asks the system to restart after `grace`, and tells those who are logged on why. Without `force` Windows refuses while
/// somebody is logged on.
///
/// # Errors
/// When it refuses.
pub fn begin(grace: Duration, reason: &str, force: bool) -> Result<(), RemedyError> {
    look()?;
    let message = wide(reason);
    let grace_s = u32::try_from(grace.as_secs()).unwrap_or(u32::MAX);
    let flags = if force {
        SHUTDOWN_RESTART | SHUTDOWN_FORCE_OTHERS | SHUTDOWN_FORCE_SELF
    } else {
        SHUTDOWN_RESTART
    };
    // SAFETY: null is this host, and the message ends with a zero and is only read.
    let code = unsafe { InitiateShutdownW(ptr::null(), message.as_ptr(), grace_s, flags, REASON) };
    match code {
        0 => Ok(()),
        code => Err(RemedyError::Failed(refusal(code))),
    }
}

fn refusal(code: u32) -> String {
    match code {
        ERROR_SHUTDOWN_IS_SCHEDULED => {
            "a restart is scheduled already (1190); `shutdown /a` would cancel it".to_owned()
        }
        ERROR_SHUTDOWN_IN_PROGRESS => "the host is shutting down already (1115)".to_owned(),
        ERROR_SHUTDOWN_USERS_LOGGED_ON => {
            "somebody is logged on (1191); order it with `force`, or have them log off".to_owned()
        }
        ERROR_ACCESS_DENIED => {
            "Windows does not let the agent restart the host (5); let it run as LocalSystem"
                .to_owned()
        }
        code => {
            let error = io::Error::from_raw_os_error(code.cast_signed());
            format!("Windows refuses the restart ({code}): {error}")
        }
    }
}
