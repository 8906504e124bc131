//! The state as it was at some size of the log, kept so that a start need not replay everything. It follows from the log: when
//! it is missing, older, of another version or damaged, the log is replayed instead.

use std::io;
use std::path::Path;

use mdfm_shared::digest::Digest;
use mdfm_shared::tlog::Hash;
use serde::{Deserialize, Serialize};

use super::open_or_anew;

/// Bytes of one value in the store.
const CHUNK_BYTES: usize = 1 << 20;
/// Grows with every change of the state's form.
const FORMAT: u32 = 12;
const HEAD: &[u8] = b"head";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    format: u32,
    program: String,
    size: u64,
    root: Digest,
    sha256: Digest,
    chunks: u32,
    /// Alternates, so that the one before stays whole until this one is.
    generation: u32,
}

/// A state and the log that it is the fold of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) state: Vec<u8>,
}

/// The store.
pub(crate) struct ReadModel {
    db: sled::Db,
}

fn key(generation: u32, chunk: u32) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&generation.to_be_bytes());
    key[4..].copy_from_slice(&chunk.to_be_bytes());
    key
}

impl ReadModel {
    /// Opens the store, or makes a new one where it cannot be read: nothing in it is needed.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let db = open_or_anew(dir)?;
        Ok(Self { db })
    }

    fn head(&self) -> Option<Head> {
        serde_json::from_slice(&self.db.get(HEAD).ok()??).ok()
    }

    /// What was kept, if all of it is there and this program wrote it.
    pub(crate) fn load(&self) -> Option<Kept> {
        let head = self.head()?;
        if head.format != FORMAT || head.program != env!("CARGO_PKG_VERSION") {
            return None;
        }
        let mut state = Vec::new();
        for chunk in 0..head.chunks {
            state.extend_from_slice(&self.db.get(key(head.generation, chunk)).ok()??);
        }
        (Digest::of(&state) == head.sha256).then_some(Kept { size: head.size, root: head.root.0, state })
    }

    /// Keeps a state instead of the one before, which stays whole until this one is. With `is_ending` it may be ended between two pieces: then the
    /// one before stays.
    pub(crate) fn save(&self, kept: &Kept, is_ending: &dyn Fn() -> bool) -> io::Result<()> {
        let before = self.head();
        let generation = before.as_ref().map_or(0, |h| h.generation.wrapping_add(1));
        // Pieces of one that was not finished.
        for stale in self.db.scan_prefix(generation.to_be_bytes()).keys() {
            self.db.remove(stale.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        let mut chunks = 0;
        for bytes in kept.state.chunks(CHUNK_BYTES) {
            if is_ending() {
                return Ok(());
            }
            self.db.insert(key(generation, chunks), bytes).map_err(io::Error::other)?;
            chunks += 1;
        }
        self.db.flush().map_err(io::Error::other)?;
        let head = Head {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            size: kept.size,
            root: Digest(kept.root),
            sha256: Digest::of(&kept.state),
            chunks,
            generation,
        };
        self.db.insert(HEAD, serde_json::to_vec(&head)?).map_err(io::Error::other)?;
        self.db.flush().map_err(io::Error::other)?;
        for chunk in 0..before.as_ref().map_or(0, |h| h.chunks) {
            let old = before.as_ref().map_or(0, |h| h.generation);
            self.db.remove(key(old, chunk)).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_half_kept_leaves_the_one_before() {
        let dir = std::env::temp_dir().join(format!("mdfm-read-model-half-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let first = Kept { size: 5, root: [1; 32], state: vec![7; 2 * CHUNK_BYTES] };
        ReadModel::open(&dir).expect("opens").save(&first, &|| false).expect("saves");
        let second = Kept { size: 9, root: [2; 32], state: vec![8; 4 * CHUNK_BYTES] };
        for pieces in 0..4 {
            let model = ReadModel::open(&dir).expect("opens");
            let left = std::cell::Cell::<u32>::new(pieces);
            let ends = || left.replace(left.get().saturating_sub(1)) == 0;
            model.save(&second, &ends).expect("ends");
            drop(model);
            assert_eq!(ReadModel::open(&dir).expect("opens").load(), Some(first.clone()), "{pieces} pieces");
        }
        let third = Kept { size: 11, root: [3; 32], state: b"small".to_vec() };
        let model = ReadModel::open(&dir).expect("opens");
        model.save(&third, &|| false).expect("saves");
        assert_eq!((model.load(), model.db.len()), (Some(third), 2), "nothing is left of what was not finished");
        drop(model);
        let _ = std::fs::remove_dir_all(&dir);
    }

    #[test]
    fn a_read_model_gives_back_what_was_kept_or_nothing() {
        let dir = std::env::temp_dir().join(format!("mdfm-read-model-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let model = ReadModel::open(&dir).expect("opens");
        assert_eq!(model.load(), None);
        let first = Kept { size: 5, root: [1; 32], state: vec![7; 3 * CHUNK_BYTES + 5] };
        model.save(&first, &|| false).expect("saves");
        assert_eq!(model.load(), Some(first.clone()));
        let second = Kept { size: 9, root: [2; 32], state: b"small".to_vec() };
        model.save(&second, &|| false).expect("saves");
        assert_eq!(model.load(), Some(second));
        assert_eq!(model.db.len(), 2, "what was before is gone");
        model.db.insert(key(1, 0), b"smell").expect("inserts");
        assert_eq!(model.load(), None, "damaged");
        model.save(&first, &|| false).expect("saves");
        drop(model);
        for file in ["conf", "db"] {
            std::fs::write(dir.join(file), b"no store at all").expect("writes");
        }
        let model = ReadModel::open(&dir).expect("is made anew");
        assert_eq!(model.load(), None);
        drop(model);
        let _ = std::fs::remove_dir_all(&dir);
        let _ = std::fs::remove_dir_all(dir.with_extension("damaged"));
    }
}
