//! The scrub: reads everything that is stored and names what is no longer what was written.

use std::io;
use std::ops::ControlFlow;

use mdfm_shared::tlog::{Hash, TILE_HEIGHT, TILE_WIDTH, fold_complete};

use crate::log::{LogError, LogReader};
use crate::rows::RowReader;
use crate::search::Full;
use crate::segment::{FrameReader, Segment, index_name, log_name, terms_name};

/// Hashes compared at once.
const HASHES_AT_ONCE: u64 = 4_096;

/// Something that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Where in it, in bytes.
    pub position: u64,
    /// The first entry concerned.
    pub entry: u64,
    /// What is wrong, in words.
    pub what: &'static str,
    /// Whether the file follows from the segments: it may be removed, and is rebuilt at the next start.
    pub derived: bool,
}

/// What one pass over the store found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scrub {
    /// Entries read.
    pub entries: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong; empty for a good store.
    pub findings: Vec<Finding>,
}

impl LogReader {
    /// Reads every segment, index and row of the log as it is now and compares them with each other and with the root that the
    /// published checkpoint signs. `pace` is told the bytes read since it was last asked, and may wait or end the pass.
    ///
    /// # Errors
    /// The disk.
    pub fn scrub(&self, mut pace: impl FnMut(u64) -> ControlFlow<()>) -> Result<Scrub, LogError> {
        let mut found = Scrub::default();
        let (segments, rows, size) = (self.segments()?, self.rows()?, self.size());
        for segment in &segments {
            let before = found.bytes;
            self.scrub_segment(segment, size, &mut found)?;
            let terms = terms_name(segment.first);
            if self.disk.open(&terms).is_ok() && !Full::is_whole(&*self.disk, &terms)? {
                let (file, what) = (self.disk.show(&terms), "the search index does not match its checksum");
                found.findings.push(Finding { file, position: 0, entry: segment.first, what, derived: true });
            }
            if pace(found.bytes - before).is_break() {
                return Ok(found);
            }
        }
        for level in 0.. {
            let full = size >> (TILE_HEIGHT * (level + 1));
            if full == 0 {
                break;
            }
            for tile in 0..full {
                let below = rows.hashes(level, tile * TILE_WIDTH, TILE_WIDTH)?;
                if rows.hashes(level + 1, tile, 1)?[0] != fold_complete(&below) {
                    let file = self.disk.show(&format!("tree/{}", level + 1));
                    let entry = (tile * TILE_WIDTH) << (TILE_HEIGHT * level);
                    let what = "a hash is not that of the tile below";
                    found.findings.push(Finding { file, position: tile * 32, entry, what, derived: true });
                }
            }
            found.bytes += full * TILE_WIDTH * 32;
            if pace(full * TILE_WIDTH * 32).is_break() {
                return Ok(found);
            }
        }
        if let Some((checkpoint, _)) = self.published()
            && self.root_at(checkpoint.size)? != Some(checkpoint.root)
            && found.findings.is_empty()
        {
            let file = self.disk.show("published");
            let what = "the entries do not lead to the root that the checkpoint signs";
            found.findings.push(Finding { file, position: 0, entry: checkpoint.size, what, derived: false });
        }
        Ok(found)
    }

    fn scrub_segment(&self, segment: &Segment, size: u64, found: &mut Scrub) -> Result<(), LogError> {
        let rows = self.rows()?;
        let end = (segment.first + segment.count).min(size);
        let mut reader = FrameReader::new(&segment.file, 8, segment.bytes);
        let mut leaves: Vec<Hash> = Vec::new();
        let mut leaves_from = segment.first;
        let mut magic = [0; 8];
        segment.file.read_exact_at(&mut magic, 0)?;
        let finding = |name: String, position, entry, what| {
            let derived = !name.ends_with(".log");
            Finding { file: self.disk.show(&name), position, entry, what, derived }
        };
        if &magic != crate::segment::SEGMENT_MAGIC {
            found.findings.push(finding(log_name(segment.first), 0, segment.first, "the file's first bytes"));
        }
        for entry in segment.first..end {
            if leaves.len() as u64 <= entry - leaves_from {
                leaves_from = entry;
                leaves = rows.hashes(0, entry, (end - entry).min(HASHES_AT_ONCE))?;
            }
            let leaf = leaves[(entry - leaves_from) as usize];
            let position = reader.position();
            if read_span(segment, entry)? != position {
                let what = "the index points elsewhere";
                let at = (entry - segment.first) * 4;
                found.findings.push(finding(index_name(segment.first), at, entry, what));
            }
            match reader.next()? {
                Some(Ok(frame)) if frame.leaf == leaf => {}
                Some(Ok(frame)) if row_is_wrong(&rows, entry, frame.leaf, size)? => {
                    let what = "a leaf hash is not that of its entry";
                    found.findings.push(finding("tree/0".into(), entry * 32, entry, what));
                }
                Some(Ok(_)) => {
                    let what = "the entry is not the one that the tree holds";
                    found.findings.push(finding(log_name(segment.first), position, entry, what));
                }
                Some(Err(_)) | None => {
                    // Where the next frame starts only the index knows.
                    let what = "the entry does not match its checksum";
                    found.findings.push(finding(log_name(segment.first), position, entry, what));
                    let next = read_span_end(segment, entry)?;
                    reader = FrameReader::new(&segment.file, next, segment.bytes);
                }
            }
            found.entries += 1;
        }
        found.bytes += segment.bytes;
        Ok(())
    }
}

/// Whether a leaf hash that differs from its entry's is the one at fault: with the entry's own, the tile above fits.
fn row_is_wrong(rows: &RowReader, entry: u64, leaf: Hash, size: u64) -> io::Result<bool> {
    let tile = entry / TILE_WIDTH;
    if (tile + 1) * TILE_WIDTH > size {
        return Ok(false);
    }
    let mut hashes = rows.hashes(0, tile * TILE_WIDTH, TILE_WIDTH)?;
    hashes[(entry % TILE_WIDTH) as usize] = leaf;
    Ok(fold_complete(&hashes) == rows.hashes(1, tile, 1)?[0])
}

fn read_span(segment: &Segment, entry: u64) -> io::Result<u64> {
    Ok(segment.span(entry)?.0)
}
fn read_span_end(segment: &Segment, entry: u64) -> io::Result<u64> {
    Ok(segment.span(entry)?.1)
}
