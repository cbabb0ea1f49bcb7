//! State files that survive a crash: written beside the old one, synced, renamed over it, and the folder synced.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner alone: keys, tokens.
    Owner,
    /// Whoever may enter the folder.
    Folder,
}

/// Replaces the file at `path` so that after a crash either the old or the new content is there, whole.
///
/// # Errors
/// What the file system says; the old content stays then.
pub fn replace_file(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path names no file"))?;
    let mut temporary_name = name.to_owned();
    temporary_name.push(".new");
    let temporary = folder.join(temporary_name);
    let written =
        write_synced(&temporary, content, access).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The leftover holds nothing that anybody reads; failing to remove it must not hide the first error.
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    sync_folder(folder)
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

fn write_synced(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(match access {
            Access::Owner => 0o600,
            Access::Folder => 0o644,
        });
    }
    #[cfg(not(unix))]
    let _: Access = access;
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes what was created in a folder, or moved into it, durable.
///
/// # Errors
/// What the file system says.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Makes what was created in a folder, or moved into it, durable.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn sync_folder(_folder: &Path) -> io::Result<()> {
    // NTFS journals the rename; a folder cannot be opened for syncing.
    Ok(())
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
