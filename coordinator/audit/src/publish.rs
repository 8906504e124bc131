//! The log as static files (C2SP tlog-tiles): checkpoint, tiles of hashes, bundles of entries, for any web server or medium.

use std::path::Path;

use mdfm_shared::tlog::{TilePath, tiles_between};

use crate::disk::{Disk, RealDisk, read_all, replace};
use crate::log::{LogError, LogReader};

const CHECKPOINT: &str = "checkpoint";

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Size of the log that the directory shows now.
    pub size: u64,
    /// Files written.
    pub files: u64,
}

impl LogReader {
    /// Writes into a directory what it lacks of the log under the published checkpoint, the checkpoint last: whoever reads
    /// meanwhile finds everything that the checkpoint there speaks of. Bundles with disposed entries are left out.
    ///
    /// # Errors
    /// The disk, or damage.
    pub fn publish_to(&self, dir: &Path) -> Result<Published, LogError> {
        let Some((checkpoint, note)) = self.published() else { return Ok(Published::default()) };
        std::fs::create_dir_all(dir)?;
        let disk = RealDisk(dir.to_owned());
        let known = read_all(&disk, CHECKPOINT)?
            .and_then(|note| String::from_utf8(note).ok()?.lines().nth(1)?.parse().ok())
            .filter(|known: &u64| *known <= checkpoint.size)
            .unwrap_or(0);
        let mut files = 0;
        for path in tiles_between(known, checkpoint.size) {
            let Some(bytes) = self.tile(path)? else { continue };
            let file = disk.create(&path.to_string())?;
            file.write_all_at(&bytes, 0)?;
            files += 1;
            // The partial one before says nothing that this one does not.
            let (level, index) = match path {
                TilePath::Hashes { level, index, .. } => (Some(level), index),
                TilePath::Entries { index, .. } => (None, index),
            };
            let shift = 8 * level.unwrap_or(0);
            let before = (known >> shift).saturating_sub(index * 256).min(255);
            if before > 0 {
                let old = match level {
                    Some(level) => TilePath::Hashes { level, index, width: before },
                    None => TilePath::Entries { index, width: before },
                };
                if old != path {
                    crate::disk::remove_if_there(&disk, &old.to_string())?;
                }
            }
        }
        replace(&disk, CHECKPOINT, note.as_bytes())?;
        Ok(Published { size: checkpoint.size, files })
    }
}
