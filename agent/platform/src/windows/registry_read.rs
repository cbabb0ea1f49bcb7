//! Values of the registry for the audit: one that is not there is told from one that cannot be read. Keys below a key.
#![expect(unsafe_code, reason = "the registry is asked through Win32")]

use std::{io, ptr};

use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_NO_MORE_ITEMS};
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_ENUMERATE_SUB_KEYS, REG_ROUTINE_FLAGS, RRF_RT_REG_DWORD,
    RRF_RT_REG_MULTI_SZ, RRF_RT_REG_SZ, RegCloseKey, RegEnumKeyExW, RegGetValueW, RegOpenKeyExW,
};

use super::text::{from_wide, wide};

/// Longest value that is read, in bytes.
const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Longest name of a key, with its zero ("Registry Element Size Limits").
const NAME_UNITS_MAX: usize = 256;
/// Keys below a key that are read.
const KEYS_MAX: u32 = 1_024;

/// A number under `HKEY_LOCAL_MACHINE`; `None` when it is not set.
pub(super) fn number(key: &str, value: &str) -> io::Result<Option<u32>> {
    let bytes = read(key, value, RRF_RT_REG_DWORD)?;
    Ok(bytes.and_then(|bytes| Some(u32::from_le_bytes(*bytes.first_chunk()?))))
}

/// A text under `HKEY_LOCAL_MACHINE`; `None` when it is not set.
pub(super) fn text(key: &str, value: &str) -> io::Result<Option<String>> {
    let bytes = read(key, value, RRF_RT_REG_SZ)?;
    Ok(bytes.map(|bytes| {
        let units = bytes.as_chunks().0.iter();
        from_wide(
            &units
                .map(|pair| u16::from_le_bytes(*pair))
                .collect::<Vec<_>>(),
        )
    }))
}

/// A list of texts under `HKEY_LOCAL_MACHINE` as its bytes; `None` when it is not set.
pub(super) fn multi_text(key: &str, value: &str) -> io::Result<Option<Vec<u8>>> {
    read(key, value, RRF_RT_REG_MULTI_SZ)
}

fn read(key: &str, value: &str, kind: REG_ROUTINE_FLAGS) -> io::Result<Option<Vec<u8>>> {
    let (key, value) = (wide(key), wide(value));
    let mut buffer = vec![0_u8; VALUE_BYTES_MAX];
    let mut bytes = u32::try_from(buffer.len()).map_err(io::Error::other)?;
    // SAFETY: both names end with a zero, and `bytes` is the size of the buffer.
    let status = unsafe {
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            key.as_ptr(),
            value.as_ptr(),
            kind,
            ptr::null_mut(),
            buffer.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    match status {
        0 => {
            buffer.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
            Ok(Some(buffer))
        }
        ERROR_FILE_NOT_FOUND => Ok(None),
        status => Err(io::Error::from_raw_os_error(status.cast_signed())),
    }
}

/// Names of the keys below one under `HKEY_LOCAL_MACHINE`, the first 1,024.
pub(super) fn keys_below(path: &str) -> io::Result<Vec<String>> {
    let key = Parent::open(path)?;
    let mut names = Vec::new();
    for index in 0..KEYS_MAX {
        match key.name_below(index)? {
            Some(name) => names.push(name),
            None => break,
        }
    }
    Ok(names)
}

/// An open key; closed when dropped.
struct Parent(HKEY);

impl Parent {
    fn open(path: &str) -> io::Result<Self> {
        let path = wide(path);
        let mut key: HKEY = ptr::null_mut();
        // SAFETY: the path ends with a zero, and `key` takes the handle.
        let status = unsafe {
            RegOpenKeyExW(
                HKEY_LOCAL_MACHINE,
                path.as_ptr(),
                0,
                KEY_ENUMERATE_SUB_KEYS,
                &raw mut key,
            )
        };
        match status {
            0 => Ok(Self(key)),
            status => Err(io::Error::from_raw_os_error(status.cast_signed())),
        }
    }

    fn name_below(&self, index: u32) -> io::Result<Option<String>> {
        let mut units = [0_u16; NAME_UNITS_MAX];
        let mut length = u32::try_from(units.len()).map_err(io::Error::other)?;
        // SAFETY: the key is open, `length` is that of the buffer; class and time are not asked for.
        let status = unsafe {
            RegEnumKeyExW(
                self.0,
                index,
                units.as_mut_ptr(),
                &raw mut length,
                ptr::null(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        match status {
            0 => Ok(Some(from_wide(&units))),
            ERROR_NO_MORE_ITEMS => Ok(None),
            status => Err(io::Error::from_raw_os_error(status.cast_signed())),
        }
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // SAFETY: it is open, owned, and closed here alone.
        unsafe { RegCloseKey(self.0) };
    }
}
