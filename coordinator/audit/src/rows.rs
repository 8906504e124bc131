//! The Merkle tree's hashes on disk: one file a tile level, `tree/0` with every leaf hash, `tree/1` with the root of every 256
//! leaves, and so on; 32 bytes a hash. They follow from the segments, and are rebuilt from them when they do not lead to the
//! root that the checkpoint signs.

use std::io;

use mdfm_shared::tlog::{Hash, Nodes, TILE_HEIGHT, TILE_WIDTH, fold_complete};

use crate::disk::{Disk, SharedDisk, SharedFile};

const HASH_BYTES: u64 = 32;
/// Tile levels that 2^63 entries reach.
const LEVELS_MAX: usize = 8;

fn row_name(level: usize) -> String {
    format!("tree/{level}")
}

/// The rows, growing.
pub(crate) struct Rows {
    disk: SharedDisk,
    files: Vec<SharedFile>,
    /// Hashes in each row.
    counts: Vec<u64>,
    /// Of each row the hashes that make no full tile yet.
    open: Vec<Vec<Hash>>,
}

/// The rows for reading; any number of them.
#[derive(Clone)]
pub(crate) struct RowReader {
    pub(crate) files: Vec<SharedFile>,
}

fn open_row(disk: &dyn Disk, level: usize) -> io::Result<SharedFile> {
    match disk.open(&row_name(level)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let file = disk.create(&row_name(level))?;
            disk.sync_dir("tree")?;
            Ok(file)
        }
        opened => opened,
    }
}

impl Rows {
    /// The rows of a log of `size` entries; what stands beyond is forgotten. None if they are too short.
    pub(crate) fn open(disk: &SharedDisk, size: u64) -> io::Result<Option<Self>> {
        let mut rows = Self { disk: disk.clone(), files: Vec::new(), counts: Vec::new(), open: Vec::new() };
        for level in 0..LEVELS_MAX {
            let count = size >> (TILE_HEIGHT * level as u32);
            if count == 0 && level > 0 {
                break;
            }
            let file = open_row(&**disk, level)?;
            if file.len()? < count * HASH_BYTES {
                return Ok(None);
            }
            let open = read_hashes(&file, count - count % TILE_WIDTH, count % TILE_WIDTH)?;
            rows.files.push(file);
            rows.counts.push(count);
            rows.open.push(open);
        }
        Ok(Some(rows))
    }

    /// Empty rows, whatever there was.
    pub(crate) fn create(disk: &SharedDisk) -> io::Result<Self> {
        let file = disk.create(&row_name(0))?;
        disk.sync_dir("tree")?;
        Ok(Self { disk: disk.clone(), files: vec![file], counts: vec![0], open: vec![Vec::new()] })
    }

    /// Appends leaf hashes; durable only after [`Self::sync`].
    pub(crate) fn append(&mut self, leaves: &[Hash]) -> io::Result<()> {
        self.append_to(0, leaves)
    }

    fn append_to(&mut self, level: usize, hashes: &[Hash]) -> io::Result<()> {
        if hashes.is_empty() {
            return Ok(());
        }
        if self.files.len() == level {
            // Whatever an earlier life left there.
            let file = self.disk.create(&row_name(level))?;
            self.disk.sync_dir("tree")?;
            self.files.push(file);
            self.counts.push(0);
            self.open.push(Vec::new());
        }
        self.files[level].write_all_at(hashes.as_flattened(), self.counts[level] * HASH_BYTES)?;
        self.counts[level] += hashes.len() as u64;
        let mut above = Vec::new();
        for hash in hashes {
            let open = &mut self.open[level];
            open.push(*hash);
            if open.len() as u64 == TILE_WIDTH {
                above.push(fold_complete(open));
                open.clear();
            }
        }
        self.append_to(level + 1, &above)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|f| f.sync())
    }

    pub(crate) fn reader(&self) -> RowReader {
        RowReader { files: self.files.clone() }
    }
}

fn read_hashes(file: &SharedFile, from: u64, count: u64) -> io::Result<Vec<Hash>> {
    let mut hashes = vec![[0; 32]; usize::try_from(count).map_err(|_| io::ErrorKind::FileTooLarge)?];
    file.read_exact_at(hashes.as_flattened_mut(), from * HASH_BYTES)?;
    Ok(hashes)
}

impl RowReader {
    /// Hashes `from` and on of a tile level.
    pub(crate) fn hashes(&self, level: u32, from: u64, count: u64) -> io::Result<Vec<Hash>> {
        let file = self.files.get(level as usize).ok_or(io::ErrorKind::UnexpectedEof)?;
        read_hashes(file, from, count)
    }
}

impl Nodes for RowReader {
    type Error = io::Error;
    fn node(&self, level: u32, index: u64) -> io::Result<Hash> {
        let within = level % TILE_HEIGHT;
        Ok(fold_complete(&self.hashes(level / TILE_HEIGHT, index << within, 1 << within)?))
    }
}
