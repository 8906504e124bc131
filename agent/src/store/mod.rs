//! The agent's durable state behind one small trait: atomic batches that are on disk when `commit` returns.

mod journal;
pub(crate) mod memory;
mod outbox;

pub(crate) use journal::SledStore;
pub(crate) use outbox::Outbox;

/// A key and its new value; none removes it.
pub(crate) type Write = (String, Option<Vec<u8>>);

/// Why state cannot be kept; the agent stops, a restart takes up what is on disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Disk or database.
    #[error("the agent's state directory cannot be read or written")]
    Sled(#[from] sled::Error),
    /// Something else than this version writes.
    #[error("the agent's state holds {key}, which does not decode; it was not written by this version")]
    Decode {
        /// Under which key.
        key: String,
    },
    /// A rehearsed power cut.
    #[error("the power was cut while state was being written")]
    Cut,
}

/// Durable keys and values.
pub(crate) trait Store {
    /// Writes all or nothing; durable when it returns.
    fn commit(&mut self, writes: Vec<Write>) -> Result<(), StoreError>;
    /// The value of a key.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Every key that begins so, in order.
    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
}
