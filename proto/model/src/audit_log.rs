//! The audit log: who did what, chained entry by entry, under a Merkle tree whose signed checkpoints every host keeps.
//!
//! Not to be taken for an [audit](crate::audit), which is a reading of a host's configuration.

mod chain;
mod checkpoint;
mod deed;
mod entry;
mod held;
mod merkle;
mod note;
#[cfg(test)]
mod tests;

pub use chain::{Chain, ChainFault};
pub use checkpoint::{
    Checkpoint, CheckpointFault, NOTE_BYTES_MAX, Offered, REFUSED_CHARS_MAX, Reported,
};
pub use deed::{Deed, Outcome};
pub use entry::{Doer, DoerKind, Entry, LINE_BYTES_MAX, LineFault, NewEntry, Subject};
pub use held::{HeldCheckpoint, Refusal};
pub use merkle::{
    Frontier, InvalidProof, PROOF_HASHES_MAX, Tree, consistency_proof, leaf_hash, node_hash,
    root_of, verify_consistency,
};
pub use note::{InvalidLogKey, LogKey, LogSigner, NoteFault};

use crate::by_text::hex_id;

/// 32 bytes of SHA-256. Text form: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A text that is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 lower-case hexadecimal digits")]
pub struct InvalidDigest;

hex_id!(Digest, 32, InvalidDigest);

impl Digest {
    /// What the first entry follows.
    pub const ZERO: Self = Self([0; 32]);
}
