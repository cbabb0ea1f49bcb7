//! How a repaired SQLite file takes the place of the damaged one, which is kept beside it: with a write-ahead log that takes
//! several steps, and a crash after any of them leaves both files whole and no database that could be served meanwhile.
//!
//! 1. The damaged file and its log get a second name each.
//! 2. A note takes the place of the damaged file, at once. A controller refuses it, and a repair finds by it what it repairs.
//! 3. The log's first name is removed: SQLite would read it into whatever file is there.
//! 4. The repaired file takes the place of the note, at once.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tidemark_model::Timestamp;
use tidemark_runtime::durable::{self, Access};
use tidemark_store::REPAIR_NOTE;

use super::draft::{Draft, folder_of};
use super::files;

/// What stands between a file's name and when it was found damaged.
const DAMAGED: &str = ".damaged-";
/// What SQLite keeps beside a file and cannot make anew.
const LOG: &str = "-wal";
/// What it can.
const INDEX: &str = "-shm";
/// Largest note that is read.
const NOTE_BYTES_MAX: u64 = 4_096;

/// A damaged database, and where it is kept.
#[derive(Debug)]
pub(super) struct Damaged {
    /// The database's place.
    place: PathBuf,
    /// Where it is kept, or will be.
    kept: PathBuf,
    is_aside: bool,
}

impl Damaged {
    /// The damaged database at `place`, or the one that a repair which was cut off has put aside.
    pub(super) fn find(place: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let mut damaged = Self {
            place: place.to_owned(),
            kept: free(&beside(place, &format!("{DAMAGED}{}", files::stamp(now))))?,
            is_aside: false,
        };
        let beginning =
            beginning(place).with_context(|| format!("{} cannot be read", place.display()))?;
        if beginning != REPAIR_NOTE {
            return Ok(damaged);
        }
        let note = files::read_small(place, NOTE_BYTES_MAX)?;
        let note = String::from_utf8_lossy(&note);
        let name = note
            .strip_prefix(REPAIR_NOTE_TEXT)
            .unwrap_or_default()
            .trim();
        damaged.kept = folder_of(place).join(name);
        damaged.is_aside = true;
        let is_name = name.contains(DAMAGED) && !name.contains(['/', '\\']);
        ensure!(
            is_name && std::fs::exists(&damaged.kept)?,
            "{} says that it is being repaired, and not of what: move the file whose name goes on with {DAMAGED} in its place, with \
             its {LOG}, and repair that",
            place.display()
        );
        Ok(damaged)
    }

    /// What is read.
    pub(super) fn source(&self) -> &Path {
        if self.is_aside {
            &self.kept
        } else {
            &self.place
        }
    }

    /// Where it is kept at the end.
    pub(super) fn kept(&self) -> &Path {
        &self.kept
    }

    /// Puts it aside and the repaired file in its place.
    pub(super) fn give_way(&self, repaired: &Draft) -> anyhow::Result<()> {
        let (place, folder) = (&self.place, folder_of(&self.place));
        if !self.is_aside {
            for ending in [LOG, ""] {
                let (from, to) = (beside(place, ending), beside(&self.kept, ending));
                // A log that nothing is in is none.
                let has_content = std::fs::metadata(&from).is_ok_and(|file| file.len() > 0);
                if has_content {
                    std::fs::hard_link(&from, &to).with_context(|| {
                        format!("cannot keep {} as {}", from.display(), to.display())
                    })?;
                }
            }
            durable::sync_folder(folder)?;
            let name = self.kept.file_name().unwrap_or_default().to_string_lossy();
            let note = format!("{REPAIR_NOTE_TEXT}{name}\n");
            durable::replace_file(place, note.as_bytes(), Access::Owner)
                .with_context(|| format!("cannot write {}", place.display()))?;
        }
        for ending in [LOG, INDEX] {
            let path = beside(place, ending);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                Ok(()) | Err(_) => {}
            }
        }
        durable::sync_folder(folder)?;
        repaired.put_in_place(place)
    }
}

/// The note's first words.
const REPAIR_NOTE_TEXT: &str = match std::str::from_utf8(REPAIR_NOTE) {
    Ok(text) => text,
    Err(_) => panic!("the note is text"),
};

/// As many bytes of a file as a note begins with.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(REPAIR_NOTE.len() as u64)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A name that is not taken, of that one and those with a number behind it.
fn free(path: &Path) -> io::Result<PathBuf> {
    let (mut name, mut number) = (path.to_owned(), 1);
    while std::fs::exists(&name)? {
        number += 1;
        name = beside(path, &format!("-{number}"));
    }
    Ok(name)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    #[test]
    fn wherever_it_is_cut_off_the_damaged_file_and_its_log_are_whole_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("tidemark.db");
        std::fs::write(&place, "damaged").unwrap();
        std::fs::write(beside(&place, LOG), "log").unwrap();
        let first = Damaged::find(&place, NOW).unwrap();
        assert_eq!(first.source(), place);
        // There is nothing to put in its place: it ends before its last step.
        let missing = Draft::of(&place, ".repairing");
        first.give_way(&missing).unwrap_err();
        let later = Timestamp::from_unix_ms(NOW.unix_ms() + 60_000);
        for _ in 0..2 {
            let again = Damaged::find(&place, later).unwrap();
            assert_eq!(again.source(), first.kept());
            assert_eq!(std::fs::read(again.source()).unwrap(), b"damaged");
            assert_eq!(std::fs::read(beside(again.source(), LOG)).unwrap(), b"log");
            again.give_way(&missing).unwrap_err();
        }
        std::fs::write(&missing.file, "repaired").unwrap();
        Damaged::find(&place, later)
            .unwrap()
            .give_way(&missing)
            .unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"repaired");
        assert!(!std::fs::exists(beside(&place, LOG)).unwrap());
        assert_eq!(std::fs::read(first.kept()).unwrap(), b"damaged");
    }

    #[test]
    fn a_note_that_names_nothing_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("tidemark.db");
        for name in ["", "../x.damaged-1", "tidemark.db.damaged-1"] {
            std::fs::write(&place, format!("{REPAIR_NOTE_TEXT}{name}\n")).unwrap();
            let refused = Damaged::find(&place, NOW).unwrap_err().to_string();
            assert!(refused.contains("move the file"), "{refused}");
        }
    }
}
