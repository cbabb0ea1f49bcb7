//! What this host accepted of operators' statements about its keys, kept beside the journal: read anew whenever the policy
//! is, so that it holds at once, and never taken for empty when it cannot be read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemark_agent_core::actions::KeyChanges;
use tidemark_agent_core::actions::keys::KeyRecord;
use tidemark_runtime::durable::{self, Access};

use super::line;

/// Largest file that is read; what can be kept stays below.
const READ_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The file, and what could not be written to it.
#[derive(Clone, Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    /// What holds although the file system would not keep it: a revocation holds at once in any case.
    unkept: Arc<Mutex<Option<KeyChanges>>>,
}

impl KeyFile {
    /// That of an agent whose folder this is.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            path: folder.join("keys.accepted"),
            unkept: Arc::default(),
        }
    }

    /// What was accepted; nothing when there is no file.
    ///
    /// # Errors
    /// Why it is unknown, in a sentence: then no key may be believed.
    pub(crate) fn read(&self) -> Result<KeyChanges, String> {
        if let Some(changes) = self.lock().as_ref() {
            return Ok(changes.clone());
        }
        let unknown = |why: &str| {
            format!(
                "what became of its keys is unknown, since {} {why}; restore it, or remove it to believe every key that is listed",
                self.path.display()
            )
        };
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(KeyChanges::default());
            }
            Err(error) => return Err(unknown(&format!("cannot be read ({error})"))),
            Ok(metadata) if metadata.len() > READ_BYTES_MAX => {
                return Err(unknown("is larger than it can be"));
            }
            Ok(_) => {}
        }
        let text =
            fs::read(&self.path).map_err(|error| unknown(&format!("cannot be read ({error})")))?;
        records_of(&text)
            .and_then(KeyChanges::from_records)
            .ok_or_else(|| unknown("is damaged"))
    }

    /// Keeps what holds from now on; it is durable when this returns.
    ///
    /// # Errors
    /// What the file system says; the file is as before.
    pub(crate) fn keep(&self, changes: &KeyChanges) -> io::Result<()> {
        let mut text = String::new();
        for record in changes.records() {
            text.push_str(&line::of(&record)?);
        }
        durable::replace_file(&self.path, text.as_bytes(), Access::Owner)?;
        *self.lock() = None;
        Ok(())
    }

    /// Lets it hold in this process alone, until [`keep_what_waits`](Self::keep_what_waits) can write it.
    pub(crate) fn hold_unkept(&self, changes: KeyChanges) {
        *self.lock() = Some(changes);
    }

    /// Writes what could not be written before.
    ///
    /// # Errors
    /// What the file system says; it waits on.
    pub(crate) fn keep_what_waits(&self) -> io::Result<()> {
        let waiting = self.lock().clone();
        waiting.map_or(Ok(()), |changes| self.keep(&changes))
    }

    fn lock(&self) -> MutexGuard<'_, Option<KeyChanges>> {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The records, each behind its checksum; `None` when a line is not whole.
fn records_of(text: &[u8]) -> Option<Vec<KeyRecord>> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines
        .map(|line| line::read(line.strip_suffix(b"\n")?))
        .collect()
}

#[cfg(test)]
mod tests {
    use tidemark_agent_core::actions::keys::Revoked;
    use tidemark_model::Timestamp;
    use tidemark_model::signing::PrivateKey;

    use super::*;

    fn changes() -> KeyChanges {
        let key = PrivateKey::from_seed([1; 32]).public();
        let mut changes = KeyChanges::default();
        changes.revoke(Revoked {
            key,
            since_ms: None,
            by: key.id(),
            reason: "lost".to_owned(),
            at_ms: Timestamp::from_unix_ms(5),
        });
        changes
    }

    #[test]
    fn what_was_accepted_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::in_folder(folder.path());
        assert_eq!(file.read(), Ok(KeyChanges::default()));
        file.keep(&changes()).unwrap();
        assert_eq!(KeyFile::in_folder(folder.path()).read(), Ok(changes()));
    }

    #[test]
    fn damage_anywhere_is_never_taken_for_fewer_revocations() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::in_folder(folder.path());
        file.keep(&changes()).unwrap();
        let whole = fs::read(&file.path).unwrap();
        for at in 0..whole.len() {
            fs::write(&file.path, whole.get(..at).unwrap()).unwrap();
            assert!(file.read().is_err(), "cut at {at}");
            let mut flipped = whole.clone();
            *flipped.get_mut(at).unwrap() ^= 1;
            fs::write(&file.path, &flipped).unwrap();
            assert_ne!(file.read(), Ok(KeyChanges::default()), "flipped at {at}");
            let why = file.read();
            assert!(
                why.is_err() || why == Ok(changes()),
                "flipped at {at}: {why:?}"
            );
        }
    }

    #[test]
    fn a_revocation_that_cannot_be_written_holds_and_is_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::in_folder(&folder.path().join("gone"));
        // The desk takes it; the hands look before they begin.
        let of_hands = file.clone();
        file.keep(&changes()).unwrap_err();
        file.hold_unkept(changes());
        assert_eq!(of_hands.read(), Ok(changes()));
        file.keep_what_waits().unwrap_err();
        fs::create_dir(folder.path().join("gone")).unwrap();
        file.keep_what_waits().unwrap();
        let again = KeyFile::in_folder(&folder.path().join("gone"));
        assert_eq!(again.read(), Ok(changes()));
    }
}
