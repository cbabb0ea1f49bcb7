//! The volume that a folder is on.
#![expect(unsafe_code, reason = "volumes are asked through Win32")]

use std::io;
use std::path::Path;
use std::ptr;

use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;

use super::text::wide;
use crate::nearest::nearest_folder;

/// Size in bytes of the volume that `path` is on, or will be on, as far as quotas let this process use it: the nearest
/// folder above it that exists is asked.
///
/// # Errors
/// What the system says about that folder.
pub fn size_bytes(path: &Path) -> io::Result<u64> {
    let folder = wide(nearest_folder(path));
    let mut total = 0_u64;
    // SAFETY: the path ends with a zero; the two numbers that are not wanted may be null.
    let succeeded = unsafe {
        GetDiskFreeSpaceExW(
            folder.as_ptr(),
            ptr::null_mut(),
            &raw mut total,
            ptr::null_mut(),
        )
    };
    if succeeded == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(total)
    }
}
