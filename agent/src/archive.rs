//! ZIP files that the agent writes for people: new, whole or not at all, for their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A file in a ZIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) content: Vec<u8>,
}

/// Writes `parts` to a new file; one that is there already is not replaced.
///
/// # Errors
/// What the file system says; then there is no file.
pub(crate) fn write(path: &Path, parts: &[Part]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let written = write_zip(options.open(path)?, parts);
    if written.is_err() {
        // Half of it helps nobody.
        fs::remove_file(path).ok();
    }
    written
}

fn write_zip(file: File, parts: &[Part]) -> io::Result<()> {
    let mut zip = ZipWriter::new(io::BufWriter::new(file));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .unix_permissions(0o600);
    for part in parts {
        zip.start_file(part.name, options)?;
        zip.write_all(&part.content)?;
    }
    zip.finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()
}
