//! The agent's durable state behind one small trait: atomic batches that are on disk when `commit` returns.

pub mod memory;
mod outbox;

pub(crate) use outbox::{Class, Counts, HeadError, Loaded, Outbox, shorten};
pub use outbox::{OutboxLimits, owner_write, unacknowledged};

/// A key and its new value; none removes it.
pub type Write = (String, Option<Vec<u8>>);

/// Why state cannot be kept; the agent stops, a restart takes up what is on disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk.
    #[error("the agent's state could not be {what}")]
    Disk {
        /// What was to be done.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process uses the directory.
    #[error("another process uses {}; is an agent running? (systemctl status mdfm-agent)", dir.display())]
    InUse {
        /// Which directory.
        dir: std::path::PathBuf,
    },
    /// Bytes of a record that was once whole have changed.
    #[error(
        "the agent's state is damaged at byte {at}; check the disk, then enrol again (mdfm-agent enrol --again): devices keep what they run"
    )]
    Damaged {
        /// Where the damage begins.
        at: u64,
    },
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
pub trait Store {
    /// Writes all or nothing; durable when it returns.
    fn commit(&mut self, writes: Vec<Write>) -> Result<(), StoreError>;
    /// The value of a key.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Every key that begins so, in order.
    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
}
