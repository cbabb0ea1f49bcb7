//! Whether entries follow one another as they were written.

use super::{Checkpoint, Digest, Entry, Frontier};

/// Follows a log from its first entry on.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    tree: Frontier,
    last: Option<Digest>,
}

/// Where a log is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// Entries are missing.
    #[error("entry {expected} is missing: {found} comes in its place")]
    Missing {
        /// The place.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// An entry comes again, or too late.
    #[error("entry {found} is out of place: {expected} comes next")]
    OutOfPlace {
        /// The place.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Its content is not what it hashes to.
    #[error("entry {0} was altered: its content does not match its hash")]
    Altered(u64),
    /// It follows another entry than the one before it.
    #[error("entry {0} does not follow the entry before it: one of the two was replaced")]
    Unchained(u64),
    /// The log is shorter than a checkpoint of it.
    #[error("entries {} to {signed} are missing: a signed checkpoint counts {signed}", found + 1)]
    Truncated {
        /// How many there are.
        found: u64,
        /// How many were signed.
        signed: u64,
    },
    /// The entries are others than those that were signed.
    #[error(
        "entries 1 to {0} are not those that the checkpoint of that size signs: the log was rewritten"
    )]
    Rewritten(u64),
}

impl ChainFault {
    /// The first entry that it concerns.
    #[must_use]
    pub const fn seq(self) -> u64 {
        match self {
            Self::Missing { expected, .. } | Self::OutOfPlace { expected, .. } => expected,
            Self::Altered(seq) | Self::Unchained(seq) | Self::Rewritten(seq) => seq,
            Self::Truncated { found, .. } => found.saturating_add(1),
        }
    }
}

impl Chain {
    /// Takes the next entry.
    ///
    /// # Errors
    /// [`ChainFault`]; the entry is not taken then.
    pub fn take(&mut self, entry: &Entry) -> Result<(), ChainFault> {
        let (expected, found) = (self.size().saturating_add(1), entry.seq);
        if found > expected {
            return Err(ChainFault::Missing { expected, found });
        }
        if found < expected {
            return Err(ChainFault::OutOfPlace { expected, found });
        }
        if entry.computed_hash() != entry.hash {
            return Err(ChainFault::Altered(found));
        }
        if entry.prev != self.last.unwrap_or(Digest::ZERO) {
            return Err(ChainFault::Unchained(found));
        }
        self.tree.push(entry.hash);
        self.last = Some(entry.hash);
        Ok(())
    }

    /// How many entries it took.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Root of the tree over them.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// Hash of the last one; zeros without any.
    #[must_use]
    pub fn last(&self) -> Digest {
        self.last.unwrap_or(Digest::ZERO)
    }

    /// Holds what was taken so far against a checkpoint, whose size must have been reached exactly or not at all.
    ///
    /// # Errors
    /// [`ChainFault`].
    pub fn meets(&self, checkpoint: &Checkpoint) -> Result<(), ChainFault> {
        if self.size() < checkpoint.size {
            return Err(ChainFault::Truncated {
                found: self.size(),
                signed: checkpoint.size,
            });
        }
        if self.root() == checkpoint.root {
            Ok(())
        } else {
            Err(ChainFault::Rewritten(checkpoint.size))
        }
    }
}
