//! Which package of Debian's kind a file belongs to, and versions of packages: the lists that dpkg keeps, read as they are.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of lists that are read for one question; a server has some 20 MB.
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes that one list of files may have.
const LIST_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Where files stand whose packages name them as they were before `/bin` became `/usr/bin` (UsrMerge).
const MERGED: &str = "/usr";

/// dpkg's folder.
#[derive(Clone, Debug)]
pub(super) struct Dpkg(PathBuf);

impl Dpkg {
    /// That of this system; `None` when it has none.
    pub(super) fn of_system() -> Option<Self> {
        Self::in_folder(Path::new("/var/lib/dpkg"))
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        let is_there = fs::metadata(folder.join("status")).is_ok();
        is_there.then(|| Self(folder.to_owned()))
    }

    /// Version of the package that put that file there; `None` when none did.
    ///
    /// # Errors
    /// When the lists cannot be read, or are longer than they should be.
    pub(super) fn version_of_owner(&self, path: &Path) -> io::Result<Option<String>> {
        let Some(package) = self.owner(path)? else {
            return Ok(None);
        };
        Ok(self.versions(&[&package])?.remove(&package))
    }

    /// Versions of those packages that are installed. A package may be named with its architecture, as in `libc6:amd64`.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub(super) fn versions(&self, packages: &[&str]) -> io::Result<BTreeMap<String, String>> {
        let status = BufReader::new(File::open(self.0.join("status"))?.take(BYTES_MAX));
        versions_in(status, packages)
    }

    /// The package of a file, as its list is called.
    fn owner(&self, path: &Path) -> io::Result<Option<String>> {
        let before_merge = path
            .strip_prefix(MERGED)
            .ok()
            .map(|rest| Path::new("/").join(rest));
        let names: Vec<&[u8]> = [Some(path), before_merge.as_deref()]
            .into_iter()
            .flatten()
            .map(|path| path.as_os_str().as_encoded_bytes())
            .collect();
        let mut left = BYTES_MAX;
        let mut list = Vec::new();
        for entry in fs::read_dir(self.0.join("info"))? {
            let file = entry?.path();
            let package = file.file_name().and_then(|name| name.to_str());
            let Some(package) = package.and_then(|name| name.strip_suffix(".list")) else {
                continue;
            };
            list.clear();
            let read = File::open(&file)?
                .take(LIST_BYTES_MAX.min(left))
                .read_to_end(&mut list)?;
            left = left.saturating_sub(read as u64);
            if left == 0 {
                return Err(io::Error::other("dpkg's lists are longer than is read"));
            }
            if list
                .split(|byte| *byte == b'\n')
                .any(|line| names.contains(&line))
            {
                return Ok(Some(package.to_owned()));
            }
        }
        Ok(None)
    }
}

/// Versions of those packages in the list of what is installed.
pub(super) fn versions_in(
    status: impl BufRead,
    packages: &[&str],
) -> io::Result<BTreeMap<String, String>> {
    let mut versions = BTreeMap::new();
    let mut stanza = Stanza::default();
    for line in status.split(b'\n') {
        let line = line?;
        if line.is_empty() {
            std::mem::take(&mut stanza).note(packages, &mut versions);
        } else {
            stanza.take(&line);
        }
    }
    stanza.note(packages, &mut versions);
    Ok(versions)
}

/// What is wanted of one package's lines.
#[derive(Default)]
struct Stanza {
    package: String,
    architecture: String,
    version: String,
    is_installed: bool,
}

impl Stanza {
    fn take(&mut self, line: &[u8]) {
        let text = |rest: &[u8]| String::from_utf8_lossy(rest).trim().to_owned();
        if let Some(rest) = line.strip_prefix(b"Package:") {
            self.package = text(rest);
        } else if let Some(rest) = line.strip_prefix(b"Architecture:") {
            self.architecture = text(rest);
        } else if let Some(rest) = line.strip_prefix(b"Version:") {
            self.version = text(rest);
        } else if let Some(rest) = line.strip_prefix(b"Status:") {
            // What was removed keeps its version as long as its configuration is there.
            self.is_installed = !text(rest).ends_with("config-files");
        }
    }

    fn note(self, packages: &[&str], versions: &mut BTreeMap<String, String>) {
        if !self.is_installed || self.version.is_empty() {
            return;
        }
        let qualified = format!("{}:{}", self.package, self.architecture);
        let wanted = packages
            .iter()
            .find(|name| **name == self.package || **name == qualified);
        if let Some(name) = wanted {
            versions.insert((*name).to_owned(), self.version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: nginx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.22.1-9\n\n\
        Package: libx\nStatus: install ok installed\nArchitecture: i386\nVersion: 1\n\n\
        Package: libx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2\nDescription: x\n Version: 9\n\n\
        Package: falcon-sensor\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 7.0\n";

    fn dpkg(folder: &Path) -> Dpkg {
        fs::create_dir(folder.join("info")).unwrap();
        fs::write(folder.join("status"), STATUS).unwrap();
        let list =
            |name: &str, lines: &str| fs::write(folder.join("info").join(name), lines).unwrap();
        list("nginx.list", "/.\n/usr/sbin/nginx\n/usr/sbin\n");
        list("libx:amd64.list", "/bin/x\n");
        list("libx:i386.list", "/bin/x32\n");
        list("nginx.md5sums", "/usr/sbin/nginx2\n");
        Dpkg::in_folder(folder).unwrap()
    }

    #[test]
    fn a_file_has_the_version_of_the_package_that_lists_it() {
        let folder = tempfile::tempdir().unwrap();
        let dpkg = dpkg(folder.path());
        let version = |path: &str| dpkg.version_of_owner(Path::new(path)).unwrap();
        assert_eq!(version("/usr/sbin/nginx").as_deref(), Some("1:1.22.1-9"));
        assert_eq!(
            version("/usr/bin/x").as_deref(),
            Some("2"),
            "listed as /bin/x"
        );
        assert_eq!(version("/usr/bin/x32").as_deref(), Some("1"));
        assert_eq!(version("/usr/sbin/ngin"), None);
        assert_eq!(version("/usr/sbin/nginx2"), None);
    }

    #[test]
    fn a_package_that_was_removed_has_no_version() {
        let folder = tempfile::tempdir().unwrap();
        let versions = dpkg(folder.path())
            .versions(&["falcon-sensor", "nginx"])
            .unwrap();
        let names: Vec<&String> = versions.keys().collect();
        assert_eq!(names, ["nginx"]);
        assert!(Dpkg::in_folder(&folder.path().join("info")).is_none());
    }
}
