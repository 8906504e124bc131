//! What reads an audit log, whatever keeps it.

use super::{Checkpoint, Hash};

/// The audit log as far as messages need it.
pub trait LogSource {
    /// The newest signed checkpoint with its note.
    fn newest(&self) -> Option<(Checkpoint, String)>;
    /// The bytes of one entry.
    fn bytes_of(&self, index: u64) -> Option<Vec<u8>>;
    /// The proof that the entry stands in the log of that size.
    fn proof_of(&self, index: u64, size: u64) -> Option<Vec<Hash>>;
}
