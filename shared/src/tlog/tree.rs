//! A growing Merkle tree in memory that keeps every complete subtree's hash, so that any past size can be proved.

use std::convert::Infallible;

use super::prove::always;
use super::{Hash, Nodes, consistency_proof, empty_root, inclusion_proof, leaf_hash, node_hash, root_at};

/// The tree over all entries so far; 64 bytes of memory an entry.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// `levels[l][i]` is the hash of the complete subtree over entries i·2^l to (i+1)·2^l.
    levels: Vec<Vec<Hash>>,
}

impl Nodes for Tree {
    type Error = Infallible;
    fn node(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
        Ok(self.levels[level as usize][index as usize])
    }
}

impl Tree {
    /// Appends an entry.
    pub fn push(&mut self, entry: &[u8]) {
        self.push_leaf(leaf_hash(entry));
    }

    /// Appends an entry of which only the leaf hash is known.
    pub fn push_leaf(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            if row.len() % 2 == 1 {
                return;
            }
            hash = node_hash(&row[row.len() - 2], &row[row.len() - 1]);
        }
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |row| row.len() as u64)
    }

    /// Root over all entries.
    pub fn root(&self) -> Hash {
        self.root_at(self.size()).unwrap_or_else(empty_root)
    }

    /// Root over the first `size` entries; none if there are fewer.
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        (size <= self.size()).then(|| always(root_at(self, size)))
    }

    /// See [`inclusion_proof`]; none too if the tree is smaller than `size`.
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if size > self.size() { None } else { always(inclusion_proof(self, index, size)) }
    }

    /// See [`consistency_proof`]; none too if the tree is smaller than `size`.
    pub fn consistency(&self, old: u64, size: u64) -> Option<Vec<Hash>> {
        if size > self.size() { None } else { always(consistency_proof(self, old, size)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Frontier;
    use super::*;

    #[test]
    fn the_right_edge_knows_every_root() {
        let (mut tree, mut grown) = (Tree::default(), Frontier::default());
        assert_eq!(grown.root(), tree.root());
        for i in 0..300_u32 {
            tree.push(&i.to_be_bytes());
            grown.push(leaf_hash(&i.to_be_bytes()));
            assert_eq!(grown.root(), tree.root(), "{i}");
            assert_eq!(always(Frontier::of(&tree, tree.size())), grown);
        }
    }
}
