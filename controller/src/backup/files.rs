//! Files of a backup: copied durably, for their owner alone, and known by their checksum.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidemark_model::Timestamp;

const BUFFER_BYTES: usize = 1024 * 1024;

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileFacts {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

impl FileFacts {
    /// Reads the whole file.
    pub(super) fn of(path: &Path) -> anyhow::Result<Self> {
        Ok(read_through(File::open(path)?, |_| Ok(()))?)
    }
}

/// Reads a file to its end and hands each piece of it to `take`.
fn read_through(
    mut file: File,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<FileFacts> {
    let (mut bytes, mut hasher) = (0_u64, Sha256::new());
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            break;
        };
        take(piece)?;
        bytes = bytes.saturating_add(piece.len() as u64);
        hasher.update(piece);
    }
    Ok(FileFacts {
        bytes,
        sha256: HEXLOWER.encode(&hasher.finalize()),
    })
}

/// Copies a file to a place where there is none, for its owner alone, and makes it durable; answers what was copied.
pub(super) fn copy(from: &Path, to: &Path) -> anyhow::Result<FileFacts> {
    let copied = || -> io::Result<FileFacts> {
        let source = File::open(from)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut target = options.open(to)?;
        let facts = read_through(source, |piece| target.write_all(piece))?;
        target.sync_all()?;
        Ok(facts)
    };
    copied().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Reads a file that must be small.
pub(super) fn read_small(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = File::open(path)?;
    file.take(bytes_max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        bail!("{} has more than {bytes_max} bytes", path.display());
    }
    Ok(content)
}

/// Names of the files in a folder, in order; none when there is no such folder.
pub(super) fn names_in(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", folder.display()));
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// An instant for people, to the second.
pub(super) fn when(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.unix_ms() / 1_000 * 1_000)
        .map_or_else(|_| at.unix_ms().to_string(), |at| at.to_string())
}

/// An instant as part of a file's name, in the order of time.
pub(super) fn stamp(at: Timestamp) -> String {
    when(at).replace(['-', ':'], "")
}
