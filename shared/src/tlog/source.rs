//! What reads and what writes an audit log, whatever keeps it.

use std::collections::BTreeSet;

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

/// The audit log as far as decisions become durable in it.
pub trait LogWriter {
    /// Why it cannot be written.
    type Error;
    /// Makes entries durable, in order; after an error it is not known which of them are.
    ///
    /// # Errors
    /// The disk.
    fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), Self::Error>;
    /// Signs a checkpoint over all entries; the one of before if there are no others.
    ///
    /// # Errors
    /// The key or the disk.
    fn sign(&mut self) -> Result<(Checkpoint, String), Self::Error>;
    /// Makes a signed checkpoint the one that is shown, unless a newer one is shown already.
    ///
    /// # Errors
    /// It is not of this log, or the disk.
    fn publish(&mut self, note: &str) -> Result<(), Self::Error>;
    /// The newest published checkpoint with its note.
    fn published(&self) -> Option<(Checkpoint, String)>;
    /// Takes the payload of entries away; their place in the tree stays.
    ///
    /// # Errors
    /// The disk.
    fn dispose(&mut self, entries: &BTreeSet<u64>) -> Result<(), Self::Error>;
}
