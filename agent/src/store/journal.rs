//! The store in sled: one tree, one atomic batch and one flush a commit.

use std::path::Path;

use super::{Store, StoreError, Write};

/// Memory that sled may use for its cache; the state of 256 devices is far smaller.
const CACHE_BYTES: u64 = 4 << 20;

/// State in a sled directory.
pub(crate) struct SledStore(sled::Db);

impl SledStore {
    /// Opens or makes the directory, recovering from any crash.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self(sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None).open()?))
    }
}

impl Store for SledStore {
    fn commit(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key.as_bytes(), value),
                None => batch.remove(key.as_bytes()),
            }
        }
        self.0.apply_batch(batch)?;
        self.0.flush()?;
        Ok(())
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(key)?.map(|v| v.to_vec()))
    }

    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.0
            .scan_prefix(prefix)
            .map(|entry| {
                let (key, value) = entry?;
                Ok((String::from_utf8_lossy(&key).into_owned(), value.to_vec()))
            })
            .collect()
    }
}
