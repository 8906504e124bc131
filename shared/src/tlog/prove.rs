//! Roots and proofs from the hashes of complete subtrees, wherever these are kept (RFC 6962 §2.1).

use std::convert::Infallible;

use super::{Hash, empty_root, node_hash};

/// Where the hashes of complete subtrees come from: memory, files, another host.
pub trait Nodes {
    /// Why a hash cannot be had.
    type Error;
    /// Hash of the complete subtree over entries `index · 2^level` up to `(index + 1) · 2^level`.
    ///
    /// # Errors
    /// The hash cannot be read.
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The largest power of two strictly below `n`, for n > 1.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// MTH of entries `from` to `to`, where the range is one that RFC 6962 splits off: aligned and not empty.
fn range<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let n = to - from;
    if n.is_power_of_two() {
        return nodes.node(n.trailing_zeros(), from >> n.trailing_zeros());
    }
    let k = split(n);
    Ok(node_hash(&range(nodes, from, from + k)?, &range(nodes, from + k, to)?))
}

/// Root over the first `size` entries.
///
/// # Errors
/// A hash cannot be read.
pub fn root_at<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 { Ok(empty_root()) } else { range(nodes, 0, size) }
}

/// Proof that entry `index` is in the tree of the first `size` entries, leaf side first (RFC 6962 §2.1.1); none if it cannot
/// be, because `index` is not below `size`.
///
/// # Errors
/// A hash cannot be read.
pub fn inclusion_proof<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Option<Vec<Hash>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let mut path = Vec::new();
    let (mut from, mut to) = (0, size);
    while to - from > 1 {
        let k = split(to - from);
        if index < from + k {
            path.push(range(nodes, from + k, to)?);
            to = from + k;
        } else {
            path.push(range(nodes, from, from + k)?);
            from += k;
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// Proof that the tree of the first `size` entries begins with the tree of the first `old` (RFC 6962 §2.1.2); none if `old` is
/// zero or above `size`.
///
/// # Errors
/// A hash cannot be read.
pub fn consistency_proof<N: Nodes>(nodes: &N, old: u64, size: u64) -> Result<Option<Vec<Hash>>, N::Error> {
    if old == 0 || old > size {
        return Ok(None);
    }
    let mut path = Vec::new();
    let (mut from, mut to) = (0, size);
    while old != to {
        let k = split(to - from);
        if old <= from + k {
            path.push(range(nodes, from + k, to)?);
            to = from + k;
        } else {
            path.push(range(nodes, from, from + k)?);
            from += k;
        }
    }
    if from > 0 {
        path.push(range(nodes, from, to)?);
    }
    path.reverse();
    Ok(Some(path))
}

/// The right edge of a growing tree: all that is needed to append and to know the root, one hash for each bit of the size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Hashes of the complete subtrees that the size is the sum of, the largest first.
    edge: Vec<Hash>,
}

impl Frontier {
    /// The edge of the first `size` entries.
    ///
    /// # Errors
    /// A hash cannot be read.
    pub fn of<N: Nodes>(nodes: &N, size: u64) -> Result<Self, N::Error> {
        let (mut edge, mut from) = (Vec::new(), 0);
        for level in (0..64).rev().filter(|bit| size >> bit & 1 == 1) {
            edge.push(nodes.node(level, from >> level)?);
            from += 1 << level;
        }
        Ok(Self { size, edge })
    }
    /// Appends the hash of an entry.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.edge.push(hash);
        self.size += 1;
    }
    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }
    /// Root over all entries.
    pub fn root(&self) -> Hash {
        let mut edge = self.edge.iter().rev();
        let Some(last) = edge.next() else { return empty_root() };
        edge.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// A result that cannot be an error.
pub(super) fn always<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
