//! The file that a process runs, by way of `/proc/PID/exe`: the very one, also where another has taken its place since, or
//! where the process sees other files than the agent.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tidemark_model::audit::FactState;
use tidemark_model::sample::ProcessIdentity;

use super::dpkg::Dpkg;
use super::elf_notes;
use crate::audit_facts::{text, unknown};
pub use crate::image_facts::{ImageError, ImageFacts};

/// What the kernel appends to the path of a file that has no name any more.
const DELETED: &str = " (deleted)";
/// Where rpm keeps what it knows.
const RPM_FOLDERS: [&str; 2] = ["/usr/lib/sysimage/rpm", "/var/lib/rpm"];

/// Whether executables of this system have build ids.
pub const HAS_BUILD_IDS: bool = true;

/// An open executable.
#[derive(Debug)]
pub struct Image {
    file: File,
    identity: ImageIdentity,
    path: PathBuf,
}

/// Names the content of an executable, as far as can be told without reading it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageIdentity {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified: (i64, i64),
}

/// What a process runs.
///
/// # Errors
/// When it has ended, runs something else than it did when it was sampled, or may not be looked at.
pub fn of_process(process: &ProcessIdentity) -> Result<Image, ImageError> {
    let image = open(&process.pid.to_string())?;
    let sampled = process.executable.as_deref().map(without_mark);
    if sampled.is_some_and(|sampled| Path::new(sampled) != image.path) {
        return Err(ImageError::Gone);
    }
    Ok(image)
}

/// What this process runs.
///
/// # Errors
/// When it may not be read.
pub fn own() -> Result<Image, ImageError> {
    open("self")
}

fn open(process: &str) -> Result<Image, ImageError> {
    let link = format!("/proc/{process}/exe");
    let file = File::open(&link).map_err(gone_or_unreadable)?;
    let path = fs::read_link(&link).map_err(gone_or_unreadable)?;
    let found = file.metadata()?;
    Ok(Image {
        identity: identity(&found),
        path: without_mark(&path.to_string_lossy()).into(),
        file,
    })
}

fn gone_or_unreadable(error: io::Error) -> ImageError {
    let is_gone = error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::SRCH.raw_os_error());
    if is_gone {
        ImageError::Gone
    } else {
        ImageError::Unreadable(error)
    }
}

fn without_mark(path: &str) -> &str {
    path.strip_suffix(DELETED).unwrap_or(path)
}

fn identity(found: &fs::Metadata) -> ImageIdentity {
    ImageIdentity {
        device: found.dev(),
        inode: found.ino(),
        size_bytes: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
    }
}

impl Image {
    /// Names its content.
    #[must_use]
    pub fn identity(&self) -> ImageIdentity {
        self.identity.clone()
    }

    /// Its size.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.identity.size_bytes
    }

    /// Its bytes, from wherever they were read to last.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// What it states, itself or by its package. May read all lists of dpkg.
    #[must_use]
    pub fn facts(&self) -> ImageFacts {
        match elf_notes::read(&self.file) {
            Ok(notes) => ImageFacts {
                version: match notes.package_version {
                    Some(version) => text(Some(&version)),
                    None => self.version_of_package(),
                },
                build_id: Some(text(notes.build_id.as_deref())),
            },
            Err(error) => ImageFacts {
                version: self.version_of_package(),
                build_id: Some(unknown(&error)),
            },
        }
    }

    /// Packages are told by path, so the file at the path must be the one that runs.
    fn version_of_package(&self) -> FactState {
        let at_path = fs::metadata(&self.path).map(|found| identity(&found));
        if at_path.is_ok_and(|at_path| at_path == self.identity) {
            version_at(&self.path)
        } else {
            FactState::unknown("its file was replaced since it began, or is a container's")
        }
    }
}

/// Version of the package that owns the file at a path.
fn version_at(path: &Path) -> FactState {
    match Dpkg::of_system() {
        Some(dpkg) => match dpkg.version_of_owner(path) {
            Ok(version) => text(version.as_deref()),
            Err(error) => unknown(&error),
        },
        None if RPM_FOLDERS
            .iter()
            .any(|folder| fs::metadata(folder).is_ok()) =>
        {
            FactState::unknown("it states none, and what rpm knows is not read")
        }
        None => FactState::Absent,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Child, Command};

    use tidemark_model::Timestamp;

    use super::*;

    /// A process that ends when its test does.
    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    fn run(program: &Path) -> (Running, ProcessIdentity) {
        let child = Command::new(program).arg("60").spawn().unwrap();
        let process = ProcessIdentity {
            pid: child.id(),
            started_at: Timestamp::EPOCH,
            name: "sleep".into(),
            executable: Some(program.to_string_lossy().into()),
            service: None,
        };
        (Running(child), process)
    }

    fn copy_of_sleep(to: &Path, more: &[u8]) {
        let mut bytes = fs::read(fs::canonicalize("/bin/sleep").unwrap()).unwrap();
        bytes.extend(more);
        fs::write(to, bytes).unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_process_keeps_its_image_when_another_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().canonicalize().unwrap().join("server");
        copy_of_sleep(&program, b"");
        let (_old, old) = run(&program);
        let before = of_process(&old).unwrap();
        assert_eq!(
            before.facts().version,
            FactState::Absent,
            "no package owns it"
        );
        let next = folder.path().join("next");
        copy_of_sleep(&next, b"2");
        fs::rename(next, &program).unwrap();
        let after = of_process(&old).unwrap();
        assert_eq!(after.identity(), before.identity());
        assert!(
            matches!(after.facts().version, FactState::Unknown(_)),
            "the package at its path says nothing of it"
        );
        let (_new, new) = run(&program);
        assert_eq!(
            of_process(&new).unwrap().size_bytes(),
            before.size_bytes() + 1
        );
    }

    #[test]
    fn a_process_that_is_gone_or_runs_something_else_has_no_image() {
        let (running, process) = run(&fs::canonicalize("/bin/sleep").unwrap());
        assert!(of_process(&process).is_ok());
        let other = ProcessIdentity {
            executable: Some("/usr/sbin/nginx".into()),
            ..process.clone()
        };
        assert!(matches!(of_process(&other), Err(ImageError::Gone)));
        drop(running);
        assert!(matches!(of_process(&process), Err(ImageError::Gone)));
    }

    #[test]
    fn a_program_of_a_package_has_its_version() {
        let (_running, process) = run(&fs::canonicalize("/bin/sleep").unwrap());
        let version = of_process(&process).unwrap().facts().version;
        let listed = Dpkg::of_system().and_then(|dpkg| {
            let mut versions = dpkg.versions(&["coreutils"]).unwrap();
            versions.remove("coreutils")
        });
        assert!(
            listed.is_none() || version.text() == listed.as_deref(),
            "{version:?}, {listed:?}"
        );
    }
}
