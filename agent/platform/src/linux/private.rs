//! Folders that only their owner may enter: permission bits.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::stat;

pub use crate::exposure::Exposure;

/// What an operator does about an [`Exposure`].
pub const REMEDY: &str = "make it 700";

/// Makes a folder, and those above it, that only its owner may enter. One that is there stays as it is.
///
/// # Errors
/// What the file system says.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Who but its owner may enter a folder; `None` when nobody may.
///
/// # Errors
/// When the folder cannot be asked.
pub fn exposure(folder: &Path) -> io::Result<Option<Exposure>> {
    let mode = stat(folder)?.st_mode & 0o777;
    Ok((mode & 0o077 != 0).then(|| Exposure::new(format!("mode {mode:o}"))))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_that_others_may_list_is_exposed() {
        let folder = tempfile::tempdir().unwrap();
        set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(exposure(folder.path()).unwrap(), None);
        set_permissions(folder.path(), Permissions::from_mode(0o750)).unwrap();
        let exposed = exposure(folder.path()).unwrap().unwrap();
        assert_eq!(exposed.to_string(), "mode 750");
        exposure(&folder.path().join("missing")).unwrap_err();
        let made = folder.path().join("a/b");
        make_folder(&made).unwrap();
        assert_eq!(exposure(&made).unwrap(), None);
        make_folder(&made).unwrap();
    }
}
