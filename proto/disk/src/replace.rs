//! Files that are whole after a crash: written beside the old one, synced, renamed over it, and the folder synced.

use std::io;
use std::path::Path;

use super::{Access, Disk, Opening};

/// Replaces the file at `path` so that after a crash either the old or the new content is there, whole.
///
/// # Errors
/// What the system says. The old content is there then, or, where the folder alone could not be synced, the new one.
pub fn replace_file(
    disk: &dyn Disk,
    path: &Path,
    content: &[u8],
    access: Access,
) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path names no file"))?;
    let mut temporary_name = name.to_owned();
    temporary_name.push(".new");
    write_over(disk, &folder.join(temporary_name), path, content, access)?;
    disk.sync_folder(folder)
}

/// Puts `content` into the place of the file at `path`, whole as a crash sees it, and leaves the folder still to be synced. It is
/// written to `temporary` first; a leftover of that name goes.
///
/// # Errors
/// What the system says; the old content stays then.
pub fn write_over(
    disk: &dyn Disk,
    temporary: &Path,
    path: &Path,
    content: &[u8],
    access: Access,
) -> io::Result<()> {
    let written =
        write_synced(disk, temporary, content, access).and_then(|()| disk.rename(temporary, path));
    if written.is_err() {
        // The leftover holds nothing that anybody reads; failing to remove it must not hide the first error.
        disk.remove_file(temporary).ok();
    }
    written
}

fn write_synced(disk: &dyn Disk, path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = disk.open(path, Opening::Make(access))?;
    file.write_at(0, content)?;
    file.sync()
}

#[cfg(test)]
mod tests {
    use super::super::{Fault, MemoryDisk};
    use super::*;

    const PATH: &str = "/folder/state";

    fn content(disk: &MemoryDisk) -> Vec<u8> {
        disk.read(Path::new(PATH), u64::MAX).unwrap()
    }

    fn with_old_content(seed: u64) -> MemoryDisk {
        let disk = MemoryDisk::new(seed);
        disk.make_folder(Path::new("/folder")).unwrap();
        replace_file(&disk, Path::new(PATH), b"old, and longer", Access::Owner).unwrap();
        disk
    }

    fn replace(disk: &MemoryDisk) -> io::Result<()> {
        replace_file(disk, Path::new(PATH), b"new", Access::Owner)
    }

    fn steps() -> u64 {
        let disk = with_old_content(0);
        let before = disk.steps();
        replace(&disk).unwrap();
        disk.steps() - before
    }

    #[test]
    fn whichever_step_fails_the_content_is_the_old_or_the_new_one() {
        for fault in [Fault::PowerCut, Fault::NoSpace, Fault::Medium, Fault::Busy] {
            for (step, seed) in (0..steps()).flat_map(|step| (0..8).map(move |seed| (step, seed))) {
                let disk = with_old_content(seed);
                disk.fail_at(disk.steps() + step, fault);
                let replaced = replace(&disk);
                disk.cut_power();
                disk.power_up();
                let content = content(&disk);
                let is_new = content == b"new";
                assert!(
                    is_new || content == b"old, and longer",
                    "{fault:?} at {step}"
                );
                assert!(
                    is_new || replaced.is_err(),
                    "{fault:?} at {step}: it said that it is durable"
                );
            }
        }
    }

    #[test]
    fn what_a_crash_left_beside_it_is_no_hindrance() {
        let disk = with_old_content(1);
        disk.open(Path::new("/folder/state.new"), Opening::WriteOrMake)
            .unwrap();
        replace(&disk).unwrap();
        assert_eq!(content(&disk), b"new");
        assert_eq!(disk.files(), [Path::new(PATH)]);
    }
}
