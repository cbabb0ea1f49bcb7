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

/// Who but the superuser and this process's user may have written a file: by its own bits, or by those of its folder.
/// `None` when nobody may.
///
/// # Errors
/// When the file or its folder cannot be asked.
pub fn meddlers(file: &Path) -> io::Result<Option<Exposure>> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    let own = rustix::process::geteuid().as_raw();
    for path in std::iter::once(file).chain(folder) {
        let asked = stat(path)?;
        let shown = path.display();
        if asked.st_uid != 0 && asked.st_uid != own {
            let owner = asked.st_uid;
            return Ok(Some(Exposure::new(format!(
                "{shown} belongs to user {owner}"
            ))));
        }
        let mode = asked.st_mode & 0o7777;
        // In a sticky folder (/tmp) others cannot replace what is not theirs.
        let is_sticky = path != file && mode & 0o1000 != 0;
        if mode & 0o022 != 0 && !is_sticky {
            return Ok(Some(Exposure::new(format!("{shown} has mode {mode:o}"))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_others_may_write_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        std::fs::write(&file, "").unwrap();
        let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
        mode(folder.path(), 0o755);
        mode(&file, 0o644);
        assert_eq!(meddlers(&file).unwrap(), None);
        mode(&file, 0o664);
        assert!(
            meddlers(&file)
                .unwrap()
                .unwrap()
                .to_string()
                .ends_with("mode 664")
        );
        mode(&file, 0o644);
        mode(folder.path(), 0o777);
        assert!(meddlers(&file).unwrap().is_some());
        mode(folder.path(), 0o1777);
        assert_eq!(meddlers(&file).unwrap(), None);
        meddlers(&folder.path().join("missing")).unwrap_err();
    }

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
