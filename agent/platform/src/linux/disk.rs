//! The file system that a folder is on.

use std::io;
use std::path::Path;

use rustix::fs::statvfs;

use crate::nearest::nearest_folder;

/// Size in bytes of the file system that `path` is on, or will be on: the nearest folder above it that exists is asked.
///
/// # Errors
/// What the system says about that folder.
pub fn size_bytes(path: &Path) -> io::Result<u64> {
    let disk = statvfs(nearest_folder(path))?;
    Ok(disk.f_blocks.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_to_be_made_is_on_the_disk_of_the_folder_above() {
        let folder = tempfile::tempdir().unwrap();
        let size = size_bytes(folder.path()).unwrap();
        assert!(size > 1024 * 1024, "{size}");
        assert_eq!(size_bytes(&folder.path().join("a/b")).unwrap(), size);
    }
}
