//! What a witness holds of a log: the newest checkpoint that it verified, which no later one may contradict.

use super::{Checkpoint, CheckpointFault, LogKey, Offered, verify_consistency};

/// A checkpoint that was verified, and the key that verifies the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCheckpoint {
    /// The key; the first one that was seen stays.
    pub key: LogKey,
    /// The signed note.
    pub note: String,
    /// What it says.
    pub checkpoint: Checkpoint,
}

/// Why a checkpoint is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a signed checkpoint.
    #[error("the controller offers a checkpoint of its audit log that cannot be believed: {0}")]
    Unsigned(#[from] CheckpointFault),
    /// The key is none.
    #[error("the controller offers a checkpoint of its audit log without a key")]
    NoKey,
    /// Signed by another key than the one that was seen first.
    #[error("the controller's audit log is signed by another key than before: {0}")]
    OtherKey(LogKey),
    /// Fewer entries than before.
    #[error(
        "the controller's audit log has {offered} entries, and had {held}: entries are missing"
    )]
    Smaller {
        /// How many it had.
        held: u64,
        /// How many it has.
        offered: u64,
    },
    /// Other entries than before.
    #[error(
        "the controller's audit log has other entries among its first {held} than before: it was rewritten"
    )]
    Rewritten {
        /// How many it had.
        held: u64,
    },
}

impl HeldCheckpoint {
    /// What is held once `offered` is taken, by one who holds `held`. `None` when that says nothing new.
    ///
    /// # Errors
    /// [`Refusal`]; what is held stays.
    pub fn take(held: Option<&Self>, offered: &Offered) -> Result<Option<Self>, Refusal> {
        let key: LogKey = offered.key.parse().map_err(|_| Refusal::NoKey)?;
        if let Some(held) = held
            && held.key != key
        {
            return Err(Refusal::OtherKey(key));
        }
        let checkpoint = Checkpoint::open(&offered.note, &key)?;
        let taken = Self {
            key,
            note: offered.note.clone(),
            checkpoint,
        };
        let Some(held) = held else {
            return Ok(Some(taken));
        };
        let (old, new) = (&held.checkpoint, &taken.checkpoint);
        if new.size < old.size {
            return Err(Refusal::Smaller {
                held: old.size,
                offered: new.size,
            });
        }
        if new.size == old.size {
            return if new.root == old.root {
                Ok(None)
            } else {
                Err(Refusal::Rewritten { held: old.size })
            };
        }
        verify_consistency((old.size, old.root), (new.size, new.root), &offered.proof)
            .map_err(|_| Refusal::Rewritten { held: old.size })?;
        Ok(Some(taken))
    }
}
