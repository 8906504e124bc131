//! A growing Merkle tree that keeps every complete subtree's hash, so that any past size can be proved.

use super::{Hash, empty_root, leaf_hash, node_hash};

/// The tree over all entries so far; 64 bytes of memory an entry.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// `levels[l][i]` is the hash of the complete subtree over entries i·2^l to (i+1)·2^l.
    levels: Vec<Vec<Hash>>,
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
        match size {
            0 => Some(empty_root()),
            _ if size <= self.size() => Some(self.range(0, size)),
            _ => None,
        }
    }

    /// MTH of entries `from` to `to`, where the range is one that RFC 6962 splits off: aligned, not empty, inside the tree.
    fn range(&self, from: u64, to: u64) -> Hash {
        let n = to - from;
        if n.is_power_of_two() {
            let level = n.trailing_zeros();
            return self.levels[level as usize][(from >> level) as usize];
        }
        let k = split(n);
        node_hash(&self.range(from, from + k), &self.range(from + k, to))
    }

    /// Proof that entry `index` is in the tree of the first `size` entries, leaf side first (RFC 6962 §2.1.1); none if it is
    /// not.
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if index >= size || size > self.size() {
            return None;
        }
        let mut path = Vec::new();
        let (mut from, mut to) = (0, size);
        while to - from > 1 {
            let k = split(to - from);
            if index < from + k {
                path.push(self.range(from + k, to));
                to = from + k;
            } else {
                path.push(self.range(from, from + k));
                from += k;
            }
        }
        path.reverse();
        Some(path)
    }

    /// Proof that the tree of the first `size` entries begins with the tree of the first `old` (RFC 6962 §2.1.2); none if
    /// `old` is zero or above `size`, or `size` above the tree's.
    pub fn consistency(&self, old: u64, size: u64) -> Option<Vec<Hash>> {
        if old == 0 || old > size || size > self.size() {
            return None;
        }
        let mut path = Vec::new();
        let (mut from, mut to) = (0, size);
        while old != to {
            let k = split(to - from);
            if old <= from + k {
                path.push(self.range(from + k, to));
                to = from + k;
            } else {
                path.push(self.range(from, from + k));
                from += k;
            }
        }
        if from > 0 {
            path.push(self.range(from, to));
        }
        path.reverse();
        Some(path)
    }
}

/// The largest power of two strictly below `n`, for n > 1.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}
