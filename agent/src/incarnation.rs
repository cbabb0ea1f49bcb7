//! The newest incarnation of its fleet that this host has seen, kept on disk: each restore of the controller's database begins
//! one. A controller of an older one runs on a copy that was left behind, and nothing is taken from it.

use std::io;
use std::path::Path;

use crate::session::chain;
use crate::state_file::StateFile;

/// Name of the state file, beside the identity that it belongs to.
const FILE: &str = "incarnation";

/// What a controller is of that does not say: no database was ever restored.
const FIRST: u64 = 1;

/// The controller is of an incarnation that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the controller runs on a database of incarnation {told}, and this host has seen {seen}: its database was restored since, so \
     that this one is a copy that was left behind; stop it, or, if it is the right one, run `tidemark-controller restore \
     --in-place` there"
)]
pub struct LeftBehind {
    /// What the controller says.
    pub told: u64,
    /// What this host has seen.
    pub seen: u64,
}

/// Why nothing is taken from a controller.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It is of an incarnation that is over.
    #[error(transparent)]
    LeftBehind(#[from] LeftBehind),
    /// What this host has seen cannot be read now, so that no controller can be held against it.
    #[error("which incarnation of the fleet this host has seen cannot be read now")]
    Unknown(#[source] io::Error),
}

/// What the host has seen.
#[derive(Debug)]
pub struct IncarnationBook {
    file: Option<StateFile>,
    /// `None` while it is unknown.
    seen: Option<u64>,
}

impl IncarnationBook {
    /// What the host of the identity in `folder` has seen.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        Self::of(StateFile::new(folder, FILE))
    }

    fn of(file: StateFile) -> Self {
        let seen = Self::read(&file)
            .inspect_err(|error| tracing::warn!(error = %chain(error), "the fleet's incarnation cannot be read now"))
            .ok();
        Self {
            file: Some(file),
            seen,
        }
    }

    fn read(file: &StateFile) -> io::Result<u64> {
        let found = file.read().certain()?;
        for lost in &found.lost {
            tracing::warn!(path = %lost.path.display(), error = %chain(&lost.reason), "a generation of the fleet's incarnation is lost");
        }
        let read = |payload: &[u8]| std::str::from_utf8(payload).ok()?.parse().ok();
        let seen = found.whole.iter().find_map(|whole| read(&whole.payload));
        Ok(seen.unwrap_or(FIRST))
    }

    /// One for a host that keeps nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            file: None,
            seen: Some(FIRST),
        }
    }

    /// Forgets what the identity in `folder` has seen.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget(folder: &Path) -> io::Result<()> {
        StateFile::new(folder, FILE).remove()
    }

    /// Takes what a controller says it is of, and keeps it before anything of it is obeyed. 0 comes from one that does not say.
    ///
    /// # Errors
    /// [`NotTaken`] when the host has seen a later one, or what it has seen cannot be read.
    pub fn take(&mut self, told: u64) -> Result<(), NotTaken> {
        let told = told.max(FIRST);
        let seen = match (self.seen, &self.file) {
            (Some(seen), _) => seen,
            (None, Some(file)) => Self::read(file).map_err(NotTaken::Unknown)?,
            (None, None) => FIRST,
        };
        self.seen = Some(seen);
        if told < seen {
            return Err(LeftBehind { told, seen }.into());
        }
        if told == seen {
            return Ok(());
        }
        tracing::info!(
            incarnation = told,
            "the controller's database was restored: a new incarnation of the fleet"
        );
        self.seen = Some(told);
        let written = self
            .file
            .as_ref()
            .map_or(Ok(()), |file| file.write(told.to_string().as_bytes()));
        if let Err(error) = written {
            // It is known until the next start, and told again with the next session.
            tracing::warn!(error = %chain(&error), "the fleet's incarnation cannot be kept");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidemark_disk::{Disk as _, Fault, MemoryDisk};

    use super::*;

    #[test]
    fn an_incarnation_that_is_over_stays_over_through_restarts_and_a_lost_generation() {
        let folder = tempfile::tempdir().unwrap();
        let open = || IncarnationBook::open(folder.path());
        // A controller that does not say is of the first.
        open().take(0).unwrap();
        open().take(1).unwrap();
        open().take(7).unwrap();
        open().take(9).unwrap();
        for told in [0, 1, 7, 8] {
            let NotTaken::LeftBehind(refused) = open().take(told).unwrap_err() else {
                panic!("it can be read");
            };
            assert_eq!((refused.told, refused.seen), (told.max(1), 9));
        }
        let slot = |name: &str| folder.path().join(name);
        for name in ["incarnation.a", "incarnation.b"] {
            let whole = std::fs::read(slot(name)).unwrap();
            std::fs::write(slot(name), []).unwrap();
            open().take(6).unwrap_err();
            std::fs::write(slot(name), whole).unwrap();
        }
        IncarnationBook::forget(folder.path()).unwrap();
        open().take(1).unwrap();
    }

    #[test]
    fn a_book_that_cannot_be_read_for_a_moment_lets_no_controller_pass_that_is_over() {
        let disk = MemoryDisk::new(1);
        disk.make_folder(Path::new("/s")).unwrap();
        let file = StateFile::on(Arc::new(disk.clone()), Path::new("/s"), FILE);
        IncarnationBook::of(file.clone()).take(9).unwrap();
        disk.fail_from(disk.steps(), Fault::Busy);
        let mut book = IncarnationBook::of(file);
        assert!(matches!(book.take(8), Err(NotTaken::Unknown(_))));
        disk.mend();
        assert!(matches!(book.take(8), Err(NotTaken::LeftBehind(_))));
        book.take(9).unwrap();
    }
}
