//! What a host keeps of releases through restarts: what it has seen and staged, which its agent writes, and the switch, which its
//! supervisor writes. Never taken for empty when it is damaged.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tidemark_agent_core::upgrades::{SeenRelease, Staged, Switch};

use crate::state_file::StateFile;

/// What the agent keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    /// The highest release that was seen.
    pub(crate) seen: SeenRelease,
    /// The release that lies on disk for the supervisor to switch to.
    pub(crate) staged: Option<Staged>,
}

/// One of the two files.
#[derive(Clone, Debug)]
pub(crate) struct MemoryFile {
    file: StateFile,
    name: &'static str,
}

impl MemoryFile {
    /// What the agent keeps, in the agent's folder.
    pub(crate) fn of_agent(folder: &Path) -> Self {
        Self::new(folder, "upgrade-seen")
    }

    /// The switch, in the agent's folder.
    pub(crate) fn of_supervisor(folder: &Path) -> Self {
        Self::new(folder, "upgrade-switch")
    }

    fn new(folder: &Path, name: &'static str) -> Self {
        Self {
            file: StateFile::new(folder, name),
            name,
        }
    }

    /// What is kept; the default when nothing ever was.
    ///
    /// # Errors
    /// Why it is unknown, in a sentence with what to do.
    pub(crate) fn read<T: Default + for<'de> Deserialize<'de>>(&self) -> Result<T, String> {
        let found = self.file.read();
        if found.is_absent() {
            return Ok(T::default());
        }
        let newest = found.newest();
        newest
            .and_then(|stored| serde_json::from_slice(&stored.payload).ok())
            .ok_or_else(|| {
                format!(
                    "what it has seen of releases is unknown: {0}.a and {0}.b are damaged; restore them, or remove both to begin anew",
                    self.name
                )
            })
    }

    /// Keeps it, in both generations; it is durable when this returns.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn write(&self, kept: &impl Serialize) -> io::Result<()> {
        let payload = serde_json::to_vec(kept).map_err(io::Error::from)?;
        self.file.write_both(&payload)
    }
}

/// The switch as the supervisor left it.
pub(crate) fn switch_of(folder: &Path) -> Result<Switch, String> {
    MemoryFile::of_supervisor(folder).read()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_lost_generation_is_harmless_and_two_are_no_clean_slate() {
        let folder = tempfile::tempdir().unwrap();
        let memory = MemoryFile::of_agent(folder.path());
        assert_eq!(memory.read(), Ok(Kept::default()));
        let kept = Kept {
            seen: SeenRelease {
                release: 7,
                ..SeenRelease::default()
            },
            staged: None,
        };
        memory.write(&kept).unwrap();
        fs::write(folder.path().join("upgrade-seen.a"), [0; 64]).unwrap();
        assert_eq!(memory.read(), Ok(kept));
        fs::write(folder.path().join("upgrade-seen.b"), b"").unwrap();
        let why = memory.read::<Kept>().unwrap_err();
        assert!(why.contains("upgrade-seen.b are damaged"), "{why}");
    }
}
