//! A store in memory, for tests and rehearsals. Its power can be cut at any commit.

use std::collections::BTreeMap;

use super::{Store, StoreError, Write};

/// What became of the batch that was being written when the power was cut. There is nothing between: batches are atomic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastBatch {
    /// It reached the disk.
    Kept,
    /// It did not.
    Lost,
}

/// Keys and values in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    pub(crate) content: BTreeMap<String, Vec<u8>>,
    /// Batches until the power is cut, and what becomes of the last one.
    cut: Option<(u32, LastBatch)>,
    is_off: bool,
}

impl Memory {
    /// Cuts the power at the `n`-th commit from now, 0 for the next.
    pub fn cut_at(&mut self, n: u32, last: LastBatch) {
        self.cut = Some((n, last));
    }
    /// The same disk with the power on again.
    #[must_use]
    pub fn powered(mut self) -> Self {
        self.cut = None;
        self.is_off = false;
        self
    }
}

impl Store for Memory {
    fn commit(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        if self.is_off {
            return Err(StoreError::Cut);
        }
        let last = match &mut self.cut {
            Some((0, last)) => Some(*last),
            Some((n, _)) => {
                *n -= 1;
                None
            }
            None => None,
        };
        self.is_off = last.is_some();
        if last != Some(LastBatch::Lost) {
            for (key, value) in writes {
                match value {
                    Some(value) => self.content.insert(key, value),
                    None => self.content.remove(&key),
                };
            }
        }
        if self.is_off { Err(StoreError::Cut) } else { Ok(()) }
    }
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.content.get(key).cloned())
    }
    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let all = self.content.iter().filter(|(k, _)| k.starts_with(prefix));
        Ok(all.map(|(k, v)| (k.clone(), v.clone())).collect())
    }
}
