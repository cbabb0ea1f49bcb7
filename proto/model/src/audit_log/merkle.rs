//! The Merkle tree of RFC 6962 over the hashes of entries: roots, and proofs that a tree grew from a smaller one.

use std::collections::VecDeque;

use sha2::{Digest as _, Sha256};

use super::Digest;

/// Most hashes of a proof: two for each level of a tree of 2^63 entries, and one.
pub const PROOF_HASHES_MAX: usize = 127;

/// A proof that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the larger tree does not contain the smaller one")]
pub struct InvalidProof;

/// Hash of a leaf.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(leaf);
    Digest(hasher.finalize().into())
}

/// Hash of a node with two subtrees.
#[must_use]
pub fn node_hash(left: Digest, right: Digest) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    Digest(hasher.finalize().into())
}

/// A tree that only grows, of which only what its root needs is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, the largest first: one for each bit of the size.
    peaks: Vec<Digest>,
}

impl Frontier {
    /// Adds the entry of that hash.
    pub fn push(&mut self, entry: Digest) {
        let mut hash = leaf_hash(entry.as_bytes());
        let mut rest = self.size;
        while rest & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(left, hash);
            }
            rest >>= 1;
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// How many entries it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev().copied();
        match peaks.next() {
            Some(last) => peaks.fold(last, |right, left| node_hash(left, right)),
            None => Digest(Sha256::digest([]).into()),
        }
    }
}

/// Roots of complete subtrees: of level 0 are leaves, and the one of level `l` and place `p` covers the `2^l` leaves
/// from `p * 2^l` on.
pub trait Tree {
    /// The root of one of them; `None` when it is not complete, or not at hand.
    fn subtree(&self, level: u32, place: u64) -> Option<Digest>;
}

/// Root of the first `size` leaves; `None` when a subtree is not at hand.
#[must_use]
pub fn root_of(tree: &impl Tree, size: u64) -> Option<Digest> {
    if size == 0 {
        return Some(Digest(Sha256::digest([]).into()));
    }
    range_root(tree, 0, size)
}

/// Root of the leaves from `start` on, `length` of them: `start` is a multiple of the smallest power of two that holds
/// them.
fn range_root(tree: &impl Tree, start: u64, length: u64) -> Option<Digest> {
    if length.is_power_of_two() {
        let level = length.trailing_zeros();
        return tree.subtree(level, start >> level);
    }
    let left = left_length(length);
    let (one, other) = (
        range_root(tree, start, left)?,
        range_root(tree, start + left, length - left)?,
    );
    Some(node_hash(one, other))
}

/// The largest power of two below `length`, which is 2 or more.
const fn left_length(length: u64) -> u64 {
    1 << (u64::BITS - 1 - (length - 1).leading_zeros())
}

/// The proof that the tree of size `to` contains the one of size `from` (RFC 6962, section 2.1.2); `None` when `from` is 0
/// or larger than `to`, or a subtree is not at hand.
#[must_use]
pub fn consistency_proof(tree: &impl Tree, from: u64, to: u64) -> Option<Vec<Digest>> {
    if from == 0 || from > to {
        return None;
    }
    let mut proof = VecDeque::new();
    let (mut start, mut old, mut new) = (0, from, to);
    // From the root down along the edge of the smaller tree; what is beside the way goes in front.
    let mut is_whole_old = true;
    while old != new {
        let left = left_length(new);
        if old <= left {
            proof.push_front(range_root(tree, start + left, new - left)?);
            new = left;
        } else {
            proof.push_front(range_root(tree, start, left)?);
            start += left;
            old -= left;
            new -= left;
            is_whole_old = false;
        }
    }
    if !is_whole_old {
        proof.push_front(range_root(tree, start, new)?);
    }
    Some(proof.into())
}

/// Whether the tree `(size, root)` of `to` contains the one of `from` by that proof (RFC 9162, section 2.1.4.2).
///
/// # Errors
/// [`InvalidProof`].
pub fn verify_consistency(
    (from, old_root): (u64, Digest),
    (to, new_root): (u64, Digest),
    proof: &[Digest],
) -> Result<(), InvalidProof> {
    if from > to || proof.len() > PROOF_HASHES_MAX {
        return Err(InvalidProof);
    }
    if from == to {
        return holds(old_root == new_root && proof.is_empty());
    }
    if from == 0 {
        return holds(proof.is_empty());
    }
    let mut rest = proof.iter().copied();
    let mut inner = from - 1;
    let mut outer = to - 1;
    while inner & 1 == 1 {
        inner >>= 1;
        outer >>= 1;
    }
    let first = if from.is_power_of_two() {
        old_root
    } else {
        rest.next().ok_or(InvalidProof)?
    };
    let (mut old, mut new) = (first, first);
    for hash in rest {
        if outer == 0 {
            return Err(InvalidProof);
        }
        if inner & 1 == 1 || inner == outer {
            old = node_hash(hash, old);
            new = node_hash(hash, new);
            while inner & 1 == 0 && inner != 0 {
                inner >>= 1;
                outer >>= 1;
            }
        } else {
            new = node_hash(new, hash);
        }
        inner >>= 1;
        outer >>= 1;
    }
    holds(outer == 0 && old == old_root && new == new_root)
}

const fn holds(does: bool) -> Result<(), InvalidProof> {
    if does { Ok(()) } else { Err(InvalidProof) }
}
