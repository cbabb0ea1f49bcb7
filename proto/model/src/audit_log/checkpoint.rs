//! Checkpoints (<https://c2sp.org/tlog-checkpoint>): how many entries a log has, and the root of the tree over them.

use data_encoding::BASE64;

use super::{Digest, LogKey, LogSigner, NoteFault};
use crate::Timestamp;

/// Largest signed checkpoint that is read, in bytes.
pub const NOTE_BYTES_MAX: usize = 4_096;
/// Name of the extension line that says when it was signed.
const TIME: &str = "time ";

/// Longest reason why a host refused a checkpoint, in characters.
pub const REFUSED_CHARS_MAX: usize = 300;

/// A checkpoint as a controller offers it to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The signed note.
    pub note: String,
    /// The text form of the key that signed it.
    pub key: String,
    /// That its log contains the one of the checkpoint that the host holds.
    pub proof: Vec<Digest>,
}

/// What a host tells of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The note that it holds; empty when it holds none.
    pub note: String,
    /// Why it refused a checkpoint of this controller, when it did.
    pub refused: Option<String>,
}

/// How a log stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries it had.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// When it was signed, on the controller's clock.
    pub at: Timestamp,
}

/// Why a checkpoint is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// Too large.
    #[error("it has {0} bytes; a checkpoint has {NOTE_BYTES_MAX} at most")]
    TooLarge(usize),
    /// Not a note, or not signed by the key.
    #[error(transparent)]
    Note(#[from] NoteFault),
    /// A signed text that is no checkpoint.
    #[error("it is signed, but is no checkpoint")]
    Malformed,
    /// Of another log.
    #[error("it is of another log")]
    OtherLog,
}

impl Checkpoint {
    /// The note that signs it; its origin is the signer's name.
    #[must_use]
    pub fn sign(&self, signer: &LogSigner) -> String {
        signer.sign(&self.text())
    }

    fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n{TIME}{}\n",
            self.origin,
            self.size,
            BASE64.encode(self.root.as_bytes()),
            self.at.unix_ms()
        )
    }

    /// The checkpoint of a note that the log's key signed.
    ///
    /// # Errors
    /// [`CheckpointFault`].
    pub fn open(note: &str, key: &LogKey) -> Result<Self, CheckpointFault> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(CheckpointFault::TooLarge(note.len()));
        }
        let text = key.open(note)?;
        let checkpoint = Self::parse(text).ok_or(CheckpointFault::Malformed)?;
        if checkpoint.origin != key.name() {
            return Err(CheckpointFault::OtherLog);
        }
        Ok(checkpoint)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let origin = lines.next().filter(|origin| !origin.is_empty())?.to_owned();
        let size = lines.next()?;
        let root = BASE64.decode(lines.next()?.as_bytes()).ok()?;
        let at = lines.find_map(|line| line.strip_prefix(TIME))?;
        let checkpoint = Self {
            origin,
            size: size.parse().ok()?,
            root: Digest::from_bytes(root.try_into().ok()?),
            at: Timestamp::from_unix_ms(at.parse().ok()?),
        };
        // One way of writing a number: no sign, no leading zeros.
        (checkpoint.size.to_string() == size).then_some(checkpoint)
    }
}
