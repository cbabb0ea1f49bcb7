//! The versions of the agent on this host's disk: `versions/<release>/tidemark-agent`, each put there whole.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tidemark_agent_core::upgrades::Staged;
use tidemark_model::release::FileDigest;
use tidemark_platform::private;
use tidemark_runtime::durable;

/// Bytes hashed at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// The folder of all versions.
#[derive(Clone, Debug)]
pub(crate) struct Versions {
    folder: PathBuf,
}

/// A file on its way to the disk.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    file: File,
}

impl Versions {
    /// Those of an agent whose folder this is.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.join("versions"),
        }
    }

    /// The program of a release.
    pub(crate) fn program(&self, release: u32) -> PathBuf {
        let name = format!("tidemark-agent{}", std::env::consts::EXE_SUFFIX);
        self.folder.join(release.to_string()).join(name)
    }

    /// Begins to write the file of a release, in place of what was begun before.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn begin(&self, release: u32) -> io::Result<Part> {
        private::make_folder(&self.folder)?;
        let path = self.folder.join(format!("{release}.part"));
        let file = File::create(&path)?;
        Ok(Part { path, file })
    }

    /// Puts a whole file in its place; it is durable when this returns.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn finish(&self, release: u32, part: Part) -> io::Result<()> {
        let Part { path, file } = part;
        drop(file);
        let program = self.program(release);
        if let Some(folder) = program.parent() {
            private::make_folder(folder)?;
        }
        durable::place_program(&path, &program)
    }

    /// Whether the program of a version is the one that was signed. One that cannot be read is not.
    pub(crate) fn is_whole(&self, version: &Staged) -> bool {
        digest_of(&self.program(version.release)).is_ok_and(|found| found == version.sha256)
    }

    /// Removes what no version up to `current` needs any more. What stays behind costs space and nothing else.
    pub(crate) fn clean(&self, current: u32, is_needed: impl Fn(u32) -> bool) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let Some(release) = stem.and_then(|stem| stem.parse::<u32>().ok()) else {
                continue;
            };
            if release > current || is_needed(release) {
                continue;
            }
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "a former version cannot be removed");
            }
        }
    }
}

impl Part {
    /// Writes the next bytes.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Throws away what was written.
    pub(crate) fn discard(self) {
        let Self { path, file } = self;
        drop(file);
        // It is never run, and the next one is written over it.
        fs::remove_file(path).ok();
    }
}

/// What a file hashes to.
///
/// # Errors
/// What the file system says.
pub(crate) fn digest_of(path: &Path) -> io::Result<FileDigest> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let read = file.read(&mut block)?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(FileDigest::from_bytes(hasher.finalize().into()));
        };
        hasher.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use tidemark_model::release::ManifestDigest;

    use super::*;

    fn version(release: u32, content: &[u8]) -> Staged {
        Staged {
            release,
            version: "1".to_owned(),
            manifest: ManifestDigest::of_bytes(b"m"),
            sha256: FileDigest::of_bytes(content),
            floor: 0,
        }
    }

    fn put(versions: &Versions, release: u32, content: &[u8]) {
        let mut part = versions.begin(release).unwrap();
        part.write(content).unwrap();
        versions.finish(release, part).unwrap();
    }

    #[test]
    fn only_the_signed_file_is_whole_and_only_what_is_needed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let versions = Versions::in_folder(folder.path());
        for release in 1..=4 {
            put(&versions, release, &release.to_be_bytes());
        }
        let two = version(2, &2_u32.to_be_bytes());
        assert!(versions.is_whole(&two));
        fs::write(versions.program(2), b"another").unwrap();
        assert!(!versions.is_whole(&two));
        assert!(!versions.is_whole(&version(9, b"")), "it is not there");
        versions.begin(1).unwrap();
        versions.clean(3, |release| release == 2 || release == 3);
        let mut left: Vec<_> = fs::read_dir(folder.path().join("versions"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["2", "3", "4"], "4 is on its way");
    }
}
