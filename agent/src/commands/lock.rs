//! One agent a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};
use tidemark_platform::private;

const FILE_NAME: &str = "agent.lock";
const SUPERVISOR_FILE_NAME: &str = "supervisor.lock";

/// The lock on a data folder, for as long as it lives.
#[derive(Debug)]
pub(super) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the folder, which is made if it is not there.
    pub(super) fn take(data_dir: &Path) -> anyhow::Result<Self> {
        Self::take_file(data_dir, FILE_NAME)
    }

    /// Takes the folder for the one that starts agents in it.
    pub(super) fn take_as_supervisor(data_dir: &Path) -> anyhow::Result<Self> {
        Self::take_file(data_dir, SUPERVISOR_FILE_NAME)
    }

    fn take_file(data_dir: &Path, name: &str) -> anyhow::Result<Self> {
        private::make_folder(data_dir)
            .with_context(|| format!("the data folder {} cannot be made", data_dir.display()))?;
        let path = data_dir.join(name);
        let file = OpenOptions::new()
            .create(true)
            // Windows locks no file that is open for appending alone.
            .read(true)
            .append(true)
            .open(&path)
            .with_context(|| {
                format!(
                    "{} cannot be opened; run it as root, or set --data-dir",
                    path.display()
                )
            })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another agent uses {}: stop it first, or set another --data-dir",
                data_dir.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", path.display()))
            }
        }
    }

    /// Whether an agent holds the folder.
    pub(super) fn is_taken(data_dir: &Path) -> bool {
        File::open(data_dir.join(FILE_NAME))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}
