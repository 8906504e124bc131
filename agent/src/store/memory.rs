//! A store in memory, for tests.

use std::collections::BTreeMap;

use super::{Store, StoreError, Write};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Memory(pub(crate) BTreeMap<String, Vec<u8>>);

impl Store for Memory {
    fn commit(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        for (key, value) in writes {
            match value {
                Some(value) => self.0.insert(key, value),
                None => self.0.remove(&key),
            };
        }
        Ok(())
    }
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(key).cloned())
    }
    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let all = self.0.iter().filter(|(k, _)| k.starts_with(prefix));
        Ok(all.map(|(k, v)| (k.clone(), v.clone())).collect())
    }
}
