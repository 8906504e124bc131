//! The agent's durable state behind one small trait: atomic batches that are on disk when `commit` returns.

mod journal;
#[cfg(test)]
pub(crate) mod memory;
mod outbox;

use std::path::Path;

pub(crate) use journal::SledStore;
pub(crate) use outbox::Outbox;

/// A key and its new value; none removes it.
pub(crate) type Write = (String, Option<Vec<u8>>);

/// Why state cannot be kept; the agent stops, a restart takes up what is on disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the agent's state directory cannot be read or written")]
    Sled(#[from] sled::Error),
    #[error("the agent's state holds {key}, which does not decode; it was not written by this version")]
    Decode { key: String },
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

/// Replaces a small file so that after any crash it holds the old or the new bytes. Readable by the owner alone.
pub(crate) fn atomic_write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt;
    let dir = path.parent().ok_or_else(|| std::io::Error::other("a file needs a directory"))?;
    let temporary = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    std::fs::File::open(dir)?.sync_all()
}
