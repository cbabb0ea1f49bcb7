//! State files that survive a crash: written beside the old one, synced, renamed over it, and the folder synced.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

pub use tidemark_disk::Access;
use tidemark_disk::{Disk as _, SystemDisk};

/// Replaces the file at `path` so that after a crash either the old or the new content is there, whole.
///
/// # Errors
/// What the file system says. The old content is there then, or, where the folder alone could not be synced, the new one.
pub fn replace_file(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    tidemark_disk::replace_file(&SystemDisk, path, content, access)
}

/// Makes a folder, and those above it, that only its owner may enter.
///
/// # Errors
/// What the file system says.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// Puts a program that was written to `part` in its place at `path`, for its owner alone to run. After a crash it is there whole,
/// or not at all.
///
/// # Errors
/// What the file system says; nothing is at `path` then that was not there before.
pub fn place_program(part: &Path, path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(part)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(fs::Permissions::from_mode(0o700))?;
    }
    file.sync_all()?;
    drop(file);
    fs::rename(part, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes what was created in a folder, or moved into it, durable.
///
/// # Errors
/// What the file system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    SystemDisk.sync_folder(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_file_is_for_its_owner_and_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        replace_file(&path, b"first, longer", Access::Owner).unwrap();
        replace_file(&path, b"second", Access::Owner).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_program_is_placed_whole_for_its_owner_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let (part, path) = (folder.path().join("1.part"), folder.path().join("agent"));
        fs::write(&part, b"#!/bin/sh").unwrap();
        place_program(&part, &path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(!fs::exists(&part).unwrap());
        place_program(&part, &path).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"#!/bin/sh");
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        replace_file(&path, b"old", Access::Folder).unwrap();
        fs::create_dir(folder.path().join("state.new")).unwrap();
        replace_file(&path, b"new", Access::Folder).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
