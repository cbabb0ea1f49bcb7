//! Security identifiers: whom a private folder may be open to.
#![expect(
    unsafe_code,
    reason = "security identifiers are compared through Win32"
)]

use std::io;
use std::ptr;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::ConvertSidToStringSidW;
use windows_sys::Win32::Security::{
    EqualSid, GetTokenInformation, IsWellKnownSid, PSID, TOKEN_QUERY, TOKEN_USER,
    TokenUser as TokenUserClass, WinBuiltinAdministratorsSid, WinCreatorOwnerRightsSid,
    WinCreatorOwnerSid, WinLocalSystemSid,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::super::text::from_wide;

/// Room for a `TOKEN_USER` and the longest identifier (68 bytes, `SECURITY_MAX_SID_SIZE`), in words.
const TOKEN_USER_WORDS: usize = 12;
/// Longest identifier as text.
const TEXT_UNITS_MAX: usize = 256;

/// The user whom this process runs as.
pub(super) struct TokenUser {
    /// A `TOKEN_USER`, which points into itself; words, so that it is aligned.
    memory: Box<[u64; TOKEN_USER_WORDS]>,
}

impl TokenUser {
    pub(super) fn of_this_process() -> io::Result<Self> {
        let mut token: HANDLE = ptr::null_mut();
        // SAFETY: the pseudo handle needs no closing, and the token is closed below.
        if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) } == 0 {
            return Err(io::Error::last_os_error());
        }
        let mut memory = Box::new([0_u64; TOKEN_USER_WORDS]);
        let mut bytes = u32::try_from(size_of_val(&*memory)).unwrap_or(0);
        // SAFETY: the memory has `bytes` bytes; the token is open, and closed once.
        let (succeeded, error) = unsafe {
            let succeeded = GetTokenInformation(
                token,
                TokenUserClass,
                memory.as_mut_ptr().cast(),
                bytes,
                &raw mut bytes,
            );
            let error = io::Error::last_os_error();
            CloseHandle(token);
            (succeeded, error)
        };
        if succeeded == 0 {
            return Err(error);
        }
        Ok(Self { memory })
    }

    const fn sid(&self) -> PSID {
        // SAFETY: Windows filled the memory with a TOKEN_USER, for which it is large and aligned enough.
        unsafe { (*self.memory.as_ptr().cast::<TOKEN_USER>()).User.Sid }
    }
}

/// Whether an identifier is that of the system, its administrators, a folder's owner, or the user of this process.
pub(super) fn is_trusted(sid: PSID, user: &TokenUser) -> bool {
    const TRUSTED: [i32; 4] = [
        WinLocalSystemSid,
        WinBuiltinAdministratorsSid,
        WinCreatorOwnerSid,
        WinCreatorOwnerRightsSid,
    ];
    if sid.is_null() {
        return false;
    }
    // SAFETY: both identifiers are whole, and live as long as the descriptor and the token they were read from.
    unsafe {
        EqualSid(sid, user.sid()) != 0
            || TRUSTED.iter().any(|known| IsWellKnownSid(sid, *known) != 0)
    }
}

/// An identifier as text, as in `S-1-1-0`.
pub(super) fn text_of(sid: PSID) -> String {
    let mut text = ptr::null_mut();
    // SAFETY: the identifier is whole or null, which is refused.
    if unsafe { ConvertSidToStringSidW(sid, &raw mut text) } == 0 {
        return "an unknown user".to_owned();
    }
    let mut units = [0_u16; TEXT_UNITS_MAX];
    for (index, unit) in units.iter_mut().enumerate() {
        // SAFETY: Windows ends the text with a zero, and nothing behind it is read.
        *unit = unsafe { *text.add(index) };
        if *unit == 0 {
            break;
        }
    }
    // SAFETY: Windows allocated it with LocalAlloc, and it is not used any more.
    unsafe { LocalFree(text.cast()) };
    from_wide(&units)
}
