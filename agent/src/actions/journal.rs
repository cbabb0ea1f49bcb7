//! The journal of actions on disk: one line a record, durable before anything follows from it.
//!
//! A torn last line was never durable, so nothing followed from it. Damage elsewhere means that something may have been
//! forgotten: the journal is set aside and orders made before that moment are refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tidemark_agent_core::actions::{JournalRecord, Ledger};
use tidemark_model::Timestamp;
use tidemark_runtime::durable::{self, Access};

/// From this size on the journal is written anew when something in it may go.
const COMPACT_BYTES: u64 = 1024 * 1024;
/// Largest journal that is read: the ledger's limit of actions, with their largest orders and reports, stays below.
const READ_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The open journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
}

/// What opening the journal came upon.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole journal.
    Whole,
    /// None: this is the first start, or somebody removed it.
    Missing,
    /// A damaged one, which was set aside there.
    Damaged(PathBuf),
}

/// The journal of an agent whose folder this is.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join("actions.journal")
}

impl Journal {
    /// Opens the journal at `path` and rebuilds the ledger. Without a whole journal the ledger's floor is `now`.
    ///
    /// # Errors
    /// What the file system says; then nothing may be done, since nothing could be remembered.
    pub(super) fn open(path: &Path, now: Timestamp) -> io::Result<(Self, Ledger, Found)> {
        let mut ledger = Ledger::default();
        let found = match read(path)? {
            None => Found::Missing,
            Some(text) if replay(&text, &mut ledger) => Found::Whole,
            Some(_) => {
                // What can still be read is kept: it may only widen what is refused.
                let aside = path.with_extension(format!("damaged-{}", now.unix_ms()));
                fs::rename(path, &aside)?;
                Found::Damaged(aside)
            }
        };
        if found != Found::Whole {
            ledger.apply(JournalRecord::Floor { at_ms: now });
        }
        ledger.prune(now);
        let journal = Self::write_anew(path, &ledger)?;
        Ok((journal, ledger, found))
    }

    /// What a journal says at the moment, for whoever only looks; nothing when there is none.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn look(path: &Path) -> io::Result<Ledger> {
        let mut ledger = Ledger::default();
        if let Some(text) = read(path)? {
            replay(&text, &mut ledger);
        }
        Ok(ledger)
    }

    /// Adds a record; it is durable when this returns.
    ///
    /// # Errors
    /// What the file system says; the record does not count then, even if a part of it was written.
    pub(super) fn append(&mut self, record: &JournalRecord) -> io::Result<()> {
        let line = line_of(record)?;
        let appended = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data());
        match appended {
            Ok(()) => {
                self.bytes = self.bytes.saturating_add(line.len() as u64);
                Ok(())
            }
            Err(error) => {
                // A part of a line in the middle would read as damage.
                self.file.set_len(self.bytes)?;
                Err(error)
            }
        }
    }

    /// Writes the journal anew when it has grown large and the ledger forgot something.
    ///
    /// # Errors
    /// What the file system says; the old journal stays.
    pub(super) fn compact(&mut self, ledger: &Ledger) -> io::Result<()> {
        if self.bytes >= COMPACT_BYTES {
            *self = Self::write_anew(&self.path, ledger)?;
        }
        Ok(())
    }

    fn write_anew(path: &Path, ledger: &Ledger) -> io::Result<Self> {
        let mut content = String::new();
        for record in ledger.records() {
            content.push_str(&line_of(&record)?);
        }
        durable::replace_file(path, content.as_bytes(), Access::Owner)?;
        Ok(Self {
            path: path.to_owned(),
            file: OpenOptions::new().append(true).open(path)?,
            bytes: content.len() as u64,
        })
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > READ_BYTES_MAX {
        let text = format!("{} is larger than any journal", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    fs::read(path).map(Some)
}

/// A checksum and the record's JSON, which has no line breaks.
fn line_of(record: &JournalRecord) -> io::Result<String> {
    let json = serde_json::to_string(record)?;
    Ok(format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())))
}

/// Applies every line; whether all were whole, but for a torn last one. A journal is never without a whole first line,
/// its floor, which it is made with: one that is has lost everything.
fn replay(text: &[u8], ledger: &mut Ledger) -> bool {
    let mut is_whole = text.contains(&b'\n');
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else {
            break;
        };
        match record_of(line) {
            Some(record) => ledger.apply(record),
            None => is_whole = false,
        }
    }
    is_whole
}

fn record_of(line: &[u8]) -> Option<JournalRecord> {
    let (sum, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    if crc32c::crc32c(json.as_bytes()) != sum {
        return None;
    }
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests;
