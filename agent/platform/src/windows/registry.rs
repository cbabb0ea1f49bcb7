//! Values of the registry, read one at a time; keys of our own, written and removed.
#![expect(unsafe_code, reason = "the registry is asked through Win32")]

use std::ffi::OsStr;
use std::{io, ptr};

use windows_sys::Win32::Foundation::ERROR_FILE_NOT_FOUND;
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_QUERY_VALUE, KEY_SET_VALUE, REG_DWORD, REG_EXPAND_SZ,
    REG_OPTION_NON_VOLATILE, REG_SAM_FLAGS, REG_SZ, RRF_RT_REG_DWORD, RRF_RT_REG_SZ, RegCloseKey,
    RegCreateKeyExW, RegDeleteTreeW, RegDeleteValueW, RegEnumValueW, RegGetValueW, RegOpenKeyExW,
    RegSetValueExW,
};

use super::text::{from_wide, wide};
use crate::stored_setting::{StoredSetting, StoredValue};

/// Longest text that is read, in UTF-16 units.
const TEXT_UNITS_MAX: usize = 512;
/// Longest setting that is read, in UTF-16 units: 32 labels of the longest kind fit.
const SETTING_UNITS_MAX: usize = 16_384;
/// Most settings of a key that are read.
const SETTINGS_MAX: u32 = 256;
/// Longest name of a value, with its zero ("Registry Element Size Limits").
const NAME_UNITS_MAX: usize = 16_384;

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

/// Every value of a key under `HKEY_LOCAL_MACHINE`; none when there is no such key.
pub(super) fn settings(path: &str) -> Vec<StoredSetting> {
    let Ok(key) = Key::open(path, KEY_QUERY_VALUE) else {
        return Vec::new();
    };
    (0..SETTINGS_MAX)
        .map_while(|index| key.name_of(index))
        // The unnamed value of a key is no setting.
        .filter(|name| !name.is_empty())
        .map(|name| StoredSetting {
            value: key.setting(&name),
            name,
        })
        .collect()
}

/// Removes a value of a key under `HKEY_LOCAL_MACHINE`. Returns whether it was there.
pub(super) fn remove_value(path: &str, name: &str) -> io::Result<bool> {
    let key = match Key::open(path, KEY_SET_VALUE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let name = wide(name);
    // SAFETY: the key is open, and the name ends with a zero.
    let status = unsafe { RegDeleteValueW(key.0, name.as_ptr()) };
    if status == ERROR_FILE_NOT_FOUND {
        return Ok(false);
    }
    checked(status).map(|()| true)
}

/// A key under `HKEY_LOCAL_MACHINE`; closed when dropped.
#[derive(Debug)]
pub(super) struct Key(HKEY);

impl Key {
    /// Opens one that is there.
    fn open(path: &str, rights: REG_SAM_FLAGS) -> io::Result<Self> {
        let path = wide(path);
        let mut key: HKEY = ptr::null_mut();
        // SAFETY: the path ends with a zero, and `key` takes the handle.
        let status =
            unsafe { RegOpenKeyExW(HKEY_LOCAL_MACHINE, path.as_ptr(), 0, rights, &raw mut key) };
        checked(status).map(|()| Self(key))
    }

    /// Name of a value, counted from 0; `None` beyond the last one.
    fn name_of(&self, index: u32) -> Option<String> {
        let mut units = vec![0_u16; NAME_UNITS_MAX];
        let mut length = u32::try_from(units.len()).ok()?;
        // SAFETY: the key is open, `length` is that of the buffer; type and content are not asked for.
        let status = unsafe {
            RegEnumValueW(
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
        (status == 0).then(|| from_wide(&units))
    }

    fn setting(&self, name: &str) -> StoredValue {
        let name = wide(name);
        let mut units = vec![0_u16; SETTING_UNITS_MAX];
        let mut bytes = u32::try_from(size_of_val(units.as_slice())).unwrap_or(0);
        let mut kind = 0_u32;
        // SAFETY: the key is open, the name ends with a zero, and `bytes` is the size of the buffer.
        let status = unsafe {
            RegGetValueW(
                self.0,
                ptr::null(),
                name.as_ptr(),
                RRF_RT_REG_DWORD | RRF_RT_REG_SZ,
                &raw mut kind,
                units.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        match (status, units.as_slice()) {
            (0, [low, high, ..]) if kind == REG_DWORD => {
                StoredValue::Number(u32::from(*low) | (u32::from(*high) << 16))
            }
            (0, units) => StoredValue::Text(from_wide(units)),
            _ => StoredValue::Unreadable,
        }
    }

    /// Opens it, and makes it if it is not there.
    pub(super) fn create(path: &str) -> io::Result<Self> {
        let path = wide(path);
        let mut key: HKEY = ptr::null_mut();
        // SAFETY: the path ends with a zero; class, security and what became of the key are not asked for.
        let status = unsafe {
            RegCreateKeyExW(
                HKEY_LOCAL_MACHINE,
                path.as_ptr(),
                0,
                ptr::null(),
                REG_OPTION_NON_VOLATILE,
                KEY_SET_VALUE,
                ptr::null(),
                &raw mut key,
                ptr::null_mut(),
            )
        };
        checked(status).map(|()| Self(key))
    }

    /// Writes a text.
    pub(super) fn set_text(&self, name: &str, text: &str) -> io::Result<()> {
        let bytes: Vec<u8> = wide(text).into_iter().flat_map(u16::to_le_bytes).collect();
        self.set(name, REG_SZ, &bytes)
    }

    /// Writes a text in which Windows replaces variables as in `%SystemRoot%`.
    pub(super) fn set_expanded_text(&self, name: &str, text: &OsStr) -> io::Result<()> {
        let units = wide(text);
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        self.set(name, REG_EXPAND_SZ, &bytes)
    }

    /// Writes a number.
    pub(super) fn set_number(&self, name: &str, number: u32) -> io::Result<()> {
        self.set(name, REG_DWORD, &number.to_le_bytes())
    }

    fn set(&self, name: &str, kind: u32, bytes: &[u8]) -> io::Result<()> {
        let name = wide(name);
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        // SAFETY: the key is open, the name ends with a zero, and `length` is that of the bytes.
        let status =
            unsafe { RegSetValueExW(self.0, name.as_ptr(), 0, kind, bytes.as_ptr(), length) };
        checked(status)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: it is open, owned, and closed here alone.
        unsafe { RegCloseKey(self.0) };
    }
}

/// Removes a key under `HKEY_LOCAL_MACHINE` and what is below it; it is no error that it is not there.
pub(super) fn remove(path: &str) -> io::Result<()> {
    let path = wide(path);
    // SAFETY: the path ends with a zero.
    let status = unsafe { RegDeleteTreeW(HKEY_LOCAL_MACHINE, path.as_ptr()) };
    if status == ERROR_FILE_NOT_FOUND {
        return Ok(());
    }
    checked(status)
}

fn checked(status: u32) -> io::Result<()> {
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(status.cast_signed()))
    }
}
