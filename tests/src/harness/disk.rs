//! A small disk that only one program sees, and what fills it. It goes with the program.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::Pid;
use tokio::process::Command;

use super::process::wrapping;

/// Mounts a tmpfs of size $1 at $2, then becomes the program.
const MOUNT: &str = r#"mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@""#;

/// The same program with a disk of `size` (as in `4m`) at `folder`, in a mount namespace of its own.
///
/// # Errors
/// When the folder cannot be made.
pub fn on_small_disk(command: &Command, folder: &Path, size: &str) -> anyhow::Result<Command> {
    fs::create_dir_all(folder)?;
    let mut wrapper = Command::new("unshare");
    wrapper
        .args(["--mount", "sh", "-c", MOUNT, "sh", size])
        .arg(folder);
    Ok(wrapping(wrapper, command))
}

/// The path by which others reach what the process `pid` calls `path`.
#[must_use]
pub fn seen_by(pid: Pid, path: &Path) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", pid.as_raw_pid()));
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// What takes up the rest of a disk until it is dropped.
#[derive(Debug)]
pub struct Filler {
    path: PathBuf,
}

impl Filler {
    /// Fills the disk of `folder` to the last byte.
    ///
    /// # Errors
    /// When it cannot be written for another reason than being full.
    pub fn fill(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("filler");
        let mut file = File::create(&path)?;
        let mut bytes = 64 * 1024;
        while bytes > 0 {
            match file.write(&vec![1; bytes]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => bytes /= 2,
                Err(error) => return Err(error).context("the disk cannot be filled"),
            }
        }
        Ok(Self { path })
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        // The disk may be gone with the program.
        fs::remove_file(&self.path).ok();
    }
}
