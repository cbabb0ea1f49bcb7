//! The Merkle tree over the log as it grew: roots of every 256 entries and above in memory, hashes below them from the
//! store when a proof needs them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_model::audit_log::{Digest, Tree, consistency_proof, leaf_hash, node_hash, root_of};
use tidemark_store::{Store, StoreError};

/// Level of the subtrees that are kept, and their leaves.
const BLOCK_LEVEL: u32 = 8;
const BLOCK: u64 = 1 << BLOCK_LEVEL;

/// The tree as far as the log was followed.
#[derive(Clone, Debug, Default)]
pub(super) struct GrownTree {
    size: u64,
    /// Roots of complete subtrees, from those of [`BLOCK`] leaves up.
    levels: Vec<Vec<Digest>>,
    /// Leaves behind the last complete block.
    tail: Vec<Digest>,
}

/// Part of a tree with the leaves that a question about it needs.
pub(super) struct View {
    tree: Arc<GrownTree>,
    blocks: BTreeMap<u64, Vec<Digest>>,
}

impl GrownTree {
    /// Adds the entry of that hash.
    pub(super) fn push(&mut self, entry: Digest) {
        self.size = self.size.saturating_add(1);
        self.tail.push(leaf_hash(entry.as_bytes()));
        if (self.tail.len() as u64) < BLOCK {
            return;
        }
        let Some(mut root) = folded(&std::mem::take(&mut self.tail)) else {
            return;
        };
        for level in 0.. {
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let Some(nodes) = self.levels.get_mut(level) else {
                return;
            };
            nodes.push(root);
            if !nodes.len().is_multiple_of(2) {
                return;
            }
            let Some([left, right]) = nodes.last_chunk() else {
                return;
            };
            root = node_hash(*left, *right);
        }
    }

    /// How many entries it has.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Whether the leaves below the complete block of `size` must come from the store.
    fn lacks(&self, size: u64) -> Option<u64> {
        let block = size >> BLOCK_LEVEL;
        (!size.is_multiple_of(BLOCK) && block < self.size >> BLOCK_LEVEL).then_some(block)
    }
}

impl View {
    /// What is needed of `tree` for roots and proofs of these sizes.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn of(
        tree: Arc<GrownTree>,
        store: &Store,
        sizes: &[u64],
    ) -> Result<Self, StoreError> {
        let mut blocks = BTreeMap::new();
        for block in sizes.iter().filter_map(|size| tree.lacks(*size)) {
            if blocks.contains_key(&block) {
                continue;
            }
            let first = block << BLOCK_LEVEL;
            let limit = u32::try_from(BLOCK).unwrap_or(u32::MAX);
            let rows = store.read().await?.audit_hashes(first, limit).await?;
            let leaves = rows.iter().map(|(_, hash)| leaf_hash(hash.as_bytes()));
            blocks.insert(block, leaves.collect());
        }
        Ok(Self { tree, blocks })
    }

    /// Root of the first `size` entries; `None` when there are fewer.
    pub(super) fn root(&self, size: u64) -> Option<Digest> {
        root_of(self, size)
    }

    /// The proof that the first `to` entries begin with the first `from`.
    pub(super) fn proof(&self, from: u64, to: u64) -> Option<Vec<Digest>> {
        consistency_proof(self, from, to)
    }
}

impl Tree for View {
    fn subtree(&self, level: u32, place: u64) -> Option<Digest> {
        if let Some(above) = level.checked_sub(BLOCK_LEVEL) {
            let nodes = self.tree.levels.get(usize::try_from(above).ok()?)?;
            return nodes.get(usize::try_from(place).ok()?).copied();
        }
        let first = place.checked_shl(level)?;
        let block = first >> BLOCK_LEVEL;
        let leaves = if block == self.tree.size >> BLOCK_LEVEL {
            &self.tree.tail
        } else {
            self.blocks.get(&block)?
        };
        let start = usize::try_from(first & (BLOCK - 1)).ok()?;
        folded(leaves.get(start..start + (1 << level))?)
    }
}

/// Root of a power of two of leaves.
fn folded(leaves: &[Digest]) -> Option<Digest> {
    let mut nodes = leaves.to_vec();
    while nodes.len() > 1 {
        let (pairs, _) = nodes.as_chunks::<2>();
        nodes = pairs
            .iter()
            .map(|[left, right]| node_hash(*left, *right))
            .collect();
    }
    nodes.pop()
}

#[cfg(test)]
mod tests {
    use tidemark_model::audit_log::{Frontier, verify_consistency};

    use super::*;

    #[test]
    fn roots_and_proofs_of_every_size_are_those_of_the_whole_tree() {
        let count: u64 = 1_300;
        let mut tree = GrownTree::default();
        let mut frontier = Frontier::default();
        let mut roots = vec![frontier.root()];
        let mut blocks: BTreeMap<u64, Vec<Digest>> = BTreeMap::new();
        for number in 0..count {
            let entry = leaf_hash(&number.to_be_bytes());
            tree.push(entry);
            frontier.push(entry);
            roots.push(frontier.root());
            let block = blocks.entry(number >> BLOCK_LEVEL).or_default();
            block.push(leaf_hash(entry.as_bytes()));
        }
        assert_eq!(tree.size(), count);
        let tree = Arc::new(tree);
        let view = View { tree, blocks };
        let at = |size: u64| (size, roots[usize::try_from(size).unwrap()]);
        for size in 0..=count {
            assert_eq!(view.root(size), Some(at(size).1), "{size}");
            if size > 0 {
                let proof = view.proof(size, count).unwrap();
                verify_consistency(at(size), at(count), &proof).unwrap();
            }
        }
        assert_eq!(view.root(count + 1), None);
    }
}
