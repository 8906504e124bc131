//! Verification of inclusion and consistency proofs (RFC 9162 §2.1.3.2 and §2.1.4.2).

use super::{Hash, node_hash};

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Index or sizes that no proof can be about.
    #[error("index or size out of range")]
    Range,
    /// Too few or too many hashes.
    #[error("proof has the wrong length")]
    Length,
    /// The hashes lead to another root.
    #[error("proof leads to another root")]
    Root,
}

/// Checks that the entry with `leaf` hash is at `index` of the tree of `size` entries with `root`.
///
/// # Errors
/// See [`ProofError`].
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, path: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let (mut fn_, mut sn) = (index, size - 1);
    let mut r = *leaf;
    for p in path {
        if sn == 0 {
            return Err(ProofError::Length);
        }
        if fn_ & 1 == 1 || fn_ == sn {
            r = node_hash(p, &r);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            r = node_hash(&r, p);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    match (sn, r == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}

/// Checks that the tree of `new` entries with `new_root` begins with the tree of `old` entries with `old_root`.
///
/// # Errors
/// See [`ProofError`]; an `old` of zero is out of range here, callers decide what an empty past means.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    if old == 0 || old > new {
        return Err(ProofError::Range);
    }
    if old == new {
        return match (proof.is_empty(), old_root == new_root) {
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::Root),
            (false, _) => Err(ProofError::Length),
        };
    }
    let (mut fn_, mut sn) = (old - 1, new - 1);
    while fn_ & 1 == 1 {
        fn_ >>= 1;
        sn >>= 1;
    }
    let (first, rest) =
        if old.is_power_of_two() { (old_root, proof) } else { proof.split_first().ok_or(ProofError::Length)? };
    if proof.is_empty() {
        return Err(ProofError::Length);
    }
    let (mut fr, mut sr) = (*first, *first);
    for c in rest {
        if sn == 0 {
            return Err(ProofError::Length);
        }
        if fn_ & 1 == 1 || fn_ == sn {
            fr = node_hash(c, &fr);
            sr = node_hash(c, &sr);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            sr = node_hash(&sr, c);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    match (sn, fr == *old_root && sr == *new_root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Tree, leaf_hash};
    use super::*;

    fn hexed(text: &str) -> Hash {
        hex::decode(text).expect("hex").try_into().expect("32 bytes")
    }

    const ENTRIES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn classic() -> Tree {
        let mut tree = Tree::default();
        for entry in ENTRIES {
            tree.push(&hex::decode(entry).expect("hex"));
        }
        tree
    }
    fn short(proof: Option<Vec<Hash>>) -> Vec<String> {
        proof.expect("in range").iter().map(|h| hex::encode(&h[..4])).collect()
    }

    #[test]
    fn hashes_are_those_of_rfc_6962() {
        assert_eq!(leaf_hash(b"L123456"), hexed("395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"));
        let tree = classic();
        for (size, root) in ROOTS.iter().enumerate() {
            assert_eq!(tree.root_at(size as u64), Some(hexed(root)), "size {size}");
        }
        assert_eq!(tree.root_at(9), None);
    }

    #[test]
    fn proofs_of_the_classic_tree_are_the_published_ones() {
        let tree = classic();
        assert_eq!(short(tree.inclusion(0, 8)), ["96a296d2", "5f083f0a", "6b47aaf2"]);
        assert_eq!(short(tree.inclusion(5, 8)), ["bc1a0643", "ca854ea1", "d37ee418"]);
        assert_eq!(short(tree.inclusion(2, 3)), ["fac54203"]);
        assert_eq!(short(tree.inclusion(1, 5)), ["6e340b9c", "5f083f0a", "bc1a0643"]);
        assert_eq!(short(tree.consistency(1, 8)), ["96a296d2", "5f083f0a", "6b47aaf2"]);
        assert_eq!(short(tree.consistency(6, 8)), ["0ebc5d34", "ca854ea1", "d37ee418"]);
        assert_eq!(short(tree.consistency(2, 5)), ["5f083f0a", "bc1a0643"]);
        assert_eq!(short(tree.consistency(4, 8)), ["6b47aaf2"]);
        assert_eq!(short(tree.consistency(3, 7)), ["0298d122", "07506a85", "fac54203", "837dbb15"]);
    }

    #[test]
    fn every_proof_holds_and_no_altered_one_does() {
        let mut tree = Tree::default();
        let mut leaves = Vec::new();
        for i in 0..100 {
            let entry = format!("leaf {i}");
            tree.push(entry.as_bytes());
            leaves.push(leaf_hash(entry.as_bytes()));
        }
        for size in 1..=100_u64 {
            let root = tree.root_at(size).expect("in range");
            for index in 0..size {
                let mut proof = tree.inclusion(index, size).expect("in range");
                let leaf = &leaves[index as usize];
                assert_eq!(verify_inclusion(index, size, leaf, &proof, &root), Ok(()));
                if size % 9 == 0 {
                    for i in 0..proof.len() {
                        proof[i][0] ^= 1;
                        assert!(verify_inclusion(index, size, leaf, &proof, &root).is_err());
                        proof[i][0] ^= 1;
                    }
                    assert!(verify_inclusion(index ^ 1, size, leaf, &proof, &root).is_err() || size == 1);
                    proof.push([0; 32]);
                    assert_eq!(verify_inclusion(index, size, leaf, &proof, &root), Err(ProofError::Length));
                }
            }
            for old in 1..=size {
                let old_root = tree.root_at(old).expect("in range");
                let mut proof = tree.consistency(old, size).expect("in range");
                assert_eq!(verify_consistency(old, size, &proof, &old_root, &root), Ok(()));
                for i in 0..proof.len() {
                    proof[i][0] ^= 1;
                    assert!(verify_consistency(old, size, &proof, &old_root, &root).is_err());
                    proof[i][0] ^= 1;
                }
                proof.push([0; 32]);
                assert!(verify_consistency(old, size, &proof, &old_root, &root).is_err());
            }
        }
        assert_eq!(verify_consistency(0, 5, &[], &ROOTS.map(hexed)[0], &[0; 32]), Err(ProofError::Range));
    }
}
