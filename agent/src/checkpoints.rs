//! The newest checkpoint of the controller's audit log that this host verified, kept on disk: a log that was cut or rewritten
//! contradicts it, and this host says so.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tidemark_model::Timestamp;
use tidemark_model::audit_log::{Checkpoint, HeldCheckpoint, LogKey, Offered, Reported};
use tidemark_runtime::Clock;

use crate::session::chain;
use crate::state_file::StateFile;

/// Name of the state file, beside the identity that it belongs to.
const FILE: &str = "audit-log";

/// What the host holds, as its status shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldStatus {
    /// Entries that the log had.
    pub size: u64,
    /// When the controller signed that.
    pub at_ms: Timestamp,
    /// Why the controller's log contradicts it; null when it does not.
    pub contradiction: Option<Contradiction>,
}

/// A checkpoint that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// Why.
    pub text: String,
    /// When it was offered first.
    pub at_ms: Timestamp,
}

/// The state as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    key: LogKey,
    note: String,
    contradiction: Option<Contradiction>,
}

/// What the host holds.
#[derive(Debug)]
pub struct CheckpointBook {
    file: Option<StateFile>,
    held: Option<HeldCheckpoint>,
    contradiction: Option<Contradiction>,
    clock: Clock,
}

impl CheckpointBook {
    /// What the host of the identity in `folder` holds.
    #[must_use]
    pub fn open(folder: &Path, clock: Clock) -> Self {
        let file = StateFile::new(folder, FILE);
        let found = file.read();
        for lost in &found.lost {
            tracing::warn!(path = %lost.path.display(), error = %chain(&lost.reason), "a generation of the audit log's checkpoint is lost");
        }
        let mut book = Self {
            file: Some(file),
            held: None,
            contradiction: None,
            clock,
        };
        for whole in &found.whole {
            let Ok(stored) = serde_json::from_slice::<Stored>(&whole.payload) else {
                continue;
            };
            let Stored {
                key,
                note,
                contradiction,
            } = stored;
            if let Ok(checkpoint) = Checkpoint::open(&note, &key) {
                book.contradiction = contradiction;
                book.held = Some(HeldCheckpoint {
                    key,
                    note,
                    checkpoint,
                });
                break;
            }
        }
        book
    }

    /// One for a host that keeps nothing.
    #[must_use]
    pub const fn none(clock: Clock) -> Self {
        Self {
            file: None,
            held: None,
            contradiction: None,
            clock,
        }
    }

    /// Forgets what the identity in `folder` held.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget(folder: &Path) -> std::io::Result<()> {
        StateFile::new(folder, FILE).remove()
    }

    /// Whether this host keeps checkpoints.
    pub(crate) const fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// What the controller is told.
    pub(crate) fn report(&self) -> Reported {
        Reported {
            note: self
                .held
                .as_ref()
                .map_or_else(String::new, |held| held.note.clone()),
            refused: self.contradiction.as_ref().map(|one| one.text.clone()),
        }
    }

    /// What the status shows; `None` when nothing was ever offered.
    #[must_use]
    pub fn status(&self) -> Option<HeldStatus> {
        let held = self.held.as_ref()?;
        Some(HeldStatus {
            size: held.checkpoint.size,
            at_ms: held.checkpoint.at,
            contradiction: self.contradiction.clone(),
        })
    }

    /// Takes what the controller offers, or refuses it, and keeps either before it is told. Says whether there is something
    /// to tell.
    pub(crate) fn take(&mut self, offered: &Offered) -> bool {
        match HeldCheckpoint::take(self.held.as_ref(), offered) {
            Ok(None) if self.contradiction.is_none() => false,
            Ok(taken) => {
                let held = taken.or_else(|| self.held.clone());
                if self.contradiction.is_some() {
                    tracing::info!(
                        "the controller's audit log agrees with what this host saw again"
                    );
                }
                self.keep(held, None)
            }
            Err(refusal) => {
                let text = refusal.to_string();
                tracing::error!(
                    refusal = text,
                    "the controller's audit log contradicts what this host saw: tell whoever looks after the controller"
                );
                let is_known = self
                    .contradiction
                    .as_ref()
                    .is_some_and(|one| one.text == text);
                if is_known || self.held.is_none() {
                    return true;
                }
                let contradiction = Contradiction {
                    text,
                    at_ms: self.clock.now(),
                };
                self.keep(self.held.clone(), Some(contradiction))
            }
        }
    }

    fn keep(&mut self, held: Option<HeldCheckpoint>, contradiction: Option<Contradiction>) -> bool {
        let (Some(file), Some(held)) = (&self.file, held) else {
            return false;
        };
        let stored = Stored {
            key: held.key.clone(),
            note: held.note.clone(),
            contradiction: contradiction.clone(),
        };
        let written = serde_json::to_vec(&stored)
            .map_err(std::io::Error::from)
            .and_then(|payload| file.write(&payload));
        if let Err(error) = written {
            // What is not on disk is not witnessed; the controller offers it again.
            tracing::warn!(error = %chain(&error), "the audit log's checkpoint cannot be kept");
            return false;
        }
        self.held = Some(held);
        self.contradiction = contradiction;
        true
    }
}

#[cfg(test)]
mod tests {
    use tidemark_model::audit_log::{Digest, LogSigner};

    use super::*;

    fn offered(size: u64, root: u8) -> Offered {
        let signer = LogSigner::from_seed("tidemark/test", [7; 32]).unwrap();
        let checkpoint = Checkpoint {
            origin: signer.key().name().to_owned(),
            size,
            root: Digest::from_bytes([root; 32]),
            at: Timestamp::from_unix_ms(7),
        };
        Offered {
            note: checkpoint.sign(&signer),
            key: signer.key().to_string(),
            proof: Vec::new(),
        }
    }

    #[test]
    fn what_was_verified_is_held_through_restarts_and_a_lost_generation() {
        let folder = tempfile::tempdir().unwrap();
        let clock = || Clock::manual(Timestamp::from_unix_ms(9));
        let mut book = CheckpointBook::open(folder.path(), clock());
        assert_eq!((book.status(), book.report().note), (None, String::new()));
        assert!(book.take(&offered(5, 1)));
        assert!(!book.take(&offered(5, 1)), "nothing new");
        let again = CheckpointBook::open(folder.path(), clock());
        assert_eq!(again.status().unwrap().size, 5);

        // Cut, and rewritten: refused, told, and remembered.
        for wrong in [offered(4, 1), offered(5, 2), offered(9, 3)] {
            assert!(book.take(&wrong));
            let again = CheckpointBook::open(folder.path(), clock());
            let status = again.status().unwrap();
            assert_eq!(status.size, 5);
            let why = status.contradiction.unwrap();
            assert_eq!(
                (Some(why.text), why.at_ms.unix_ms()),
                (again.report().refused, 9)
            );
        }
        std::fs::write(folder.path().join("audit-log.a"), []).unwrap();
        let left = CheckpointBook::open(folder.path(), clock());
        assert_eq!(left.status().unwrap().size, 5);

        // The right log is back.
        assert!(book.take(&offered(5, 1)));
        assert_eq!(book.status().unwrap().contradiction, None);
        CheckpointBook::forget(folder.path()).unwrap();
        assert_eq!(CheckpointBook::open(folder.path(), clock()).status(), None);
    }
}
