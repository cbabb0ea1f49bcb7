//! Values of the registry, read one at a time.
#![expect(unsafe_code, reason = "the registry is asked through Win32")]

use std::ptr;

use windows_sys::Win32::System::Registry::{
    HKEY_LOCAL_MACHINE, RRF_RT_REG_DWORD, RRF_RT_REG_SZ, RegGetValueW,
};

use super::text::{from_wide, wide};

/// Longest text that is read, in UTF-16 units.
const TEXT_UNITS_MAX: usize = 512;

/// A number under `HKEY_LOCAL_MACHINE`; `None` when there is none.
pub(super) fn number(key: &str, value: &str) -> Option<u32> {
    let (key, value) = (wide(key), wide(value));
    let mut number = 0_u32;
    let mut bytes = 4_u32;
    // SAFETY: both names end with a zero; the buffer takes the 4 bytes that a DWORD has and `bytes` says so.
    let status = unsafe {
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            key.as_ptr(),
            value.as_ptr(),
            RRF_RT_REG_DWORD,
            ptr::null_mut(),
            ptr::from_mut(&mut number).cast(),
            &raw mut bytes,
        )
    };
    (status == 0).then_some(number)
}

/// A text under `HKEY_LOCAL_MACHINE`; `None` when there is none, or an unreasonably long one.
pub(super) fn text(key: &str, value: &str) -> Option<String> {
    let (key, value) = (wide(key), wide(value));
    let mut units = [0_u16; TEXT_UNITS_MAX];
    let mut bytes = u32::try_from(size_of_val(&units)).ok()?;
    // SAFETY: both names end with a zero, and `bytes` is the size of the buffer.
    let status = unsafe {
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            key.as_ptr(),
            value.as_ptr(),
            RRF_RT_REG_SZ,
            ptr::null_mut(),
            units.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    (status == 0).then(|| from_wide(&units))
}
