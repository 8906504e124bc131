//! The Merkle log's mathematics and texts: RFC 6962 hashes and proofs, C2SP signed notes,
//! checkpoints, cosignatures, tiles and proof files. No storage.

mod checkpoint;
mod cosign;
mod note;
mod proof;
mod proof_file;
mod prove;
mod source;
mod tile;
mod tree;

pub use checkpoint::Checkpoint;
pub use cosign::{Cosigner, WitnessKey, WitnessPolicy};
pub use note::{NoteError, NoteKey, NoteSigner};
pub use proof::{ProofError, verify_consistency, verify_inclusion};
pub use proof_file::{ProofFile, ProofFileError};
pub use prove::{Frontier, Nodes, consistency_proof, inclusion_proof, root_at};
pub use source::{LogSource, LogWriter};
pub use tile::{TILE_HEIGHT, TILE_WIDTH, TilePath, entries_of_bundle, fold_complete, push_to_bundle, tiles_between};
pub use tree::Tree;

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash of the tree.
pub type Hash = [u8; 32];

/// Hash of an entry: SHA-256(0x00 ‖ entry) (RFC 6962 §2.1).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// Hash of an inner node: SHA-256(0x01 ‖ left ‖ right) (RFC 6962 §2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Sha256::digest(b"").into()
}
