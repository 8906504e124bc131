//! The reading side: entries, roots, proofs and tiles. Nothing is handed out that does not match its hash in the tree.

use std::sync::{Arc, RwLock};

use mdfm_shared::tlog::{
    Checkpoint, Hash, LogSource, ProofFile, TILE_WIDTH, TilePath, consistency_proof, inclusion_proof, push_to_bundle,
    root_at,
};

use super::{LogError, Shared};
use crate::disk::SharedDisk;
use crate::rows::RowReader;
use crate::segment::{Entry, FrameReader, Segment, log_name};

/// The reading side of a log, cheap to clone.
#[derive(Clone)]
pub struct LogReader {
    pub(crate) disk: SharedDisk,
    shared: Arc<RwLock<Shared>>,
}

impl LogReader {
    pub(super) fn new(disk: SharedDisk, shared: Arc<RwLock<Shared>>) -> Self {
        Self { disk, shared }
    }

    fn with<T>(&self, look: impl FnOnce(&Shared) -> T) -> Result<T, LogError> {
        Ok(look(&*self.shared.read().map_err(|_| LogError::Failed)?))
    }

    pub(crate) fn segments(&self) -> Result<Vec<Segment>, LogError> {
        self.with(|s| s.segments.clone())
    }

    pub(crate) fn rows(&self) -> Result<RowReader, LogError> {
        self.with(|s| s.rows.clone())
    }

    /// Entries that are durable.
    pub fn size(&self) -> u64 {
        self.with(|s| s.size).unwrap_or(0)
    }

    /// The newest published checkpoint: signed, and cosigned as it must be.
    pub fn published(&self) -> Option<(Checkpoint, String)> {
        self.with(|s| s.published.clone()).ok().flatten()
    }

    fn damaged(&self, segment: &Segment, position: u64, entry: u64) -> LogError {
        LogError::Damaged { file: self.disk.show(&log_name(segment.first)), position, entry }
    }

    /// What stands at a position; none beyond the end.
    ///
    /// # Errors
    /// The disk, or what stands there is not what the tree says.
    pub fn entry(&self, index: u64) -> Result<Option<Entry>, LogError> {
        let found = self.with(|s| {
            let i = s.segments.partition_point(|segment| segment.first + segment.count <= index);
            (s.segments.get(i).cloned(), s.rows.clone())
        })?;
        let (Some(segment), rows) = found else { return Ok(None) };
        let leaf = rows.hashes(0, index, 1)?[0];
        match segment.read(index)? {
            Some((entry, found)) if found == leaf => Ok(Some(entry)),
            _ => self.find(&segment, index, leaf).map(Some),
        }
    }

    /// Looks for an entry by counting frames, when the index of positions leads nowhere.
    fn find(&self, segment: &Segment, index: u64, leaf: Hash) -> Result<Entry, LogError> {
        let mut reader = FrameReader::new(&segment.file, 8, segment.bytes);
        for at in segment.first..=index {
            let position = reader.position();
            match reader.next()? {
                Some(Ok(frame)) if at == index && frame.leaf == leaf => return Ok(frame.to_entry()),
                Some(Ok(_)) if at < index => {}
                _ => return Err(self.damaged(segment, position, at)),
            }
        }
        Err(self.damaged(segment, segment.bytes, index))
    }

    /// Reads entries in order, from one position up to another or the end of the log.
    ///
    /// # Errors
    /// The disk, damage, or what `each` returns.
    pub fn each<E: From<LogError>>(
        &self,
        from: u64,
        to: u64,
        mut each: impl FnMut(u64, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (segments, rows, size) = self.with(|s| (s.segments.clone(), s.rows.clone(), s.size)).map_err(E::from)?;
        let to = to.min(size);
        let mut index = from;
        let mut leaves: Vec<Hash> = Vec::new();
        let mut leaves_from = from;
        for segment in segments.iter().filter(|s| s.first + s.count > from && s.first < to) {
            let start = segment.span(index).map_err(LogError::from)?.0;
            let mut reader = FrameReader::new(&segment.file, start, segment.bytes);
            while index < to {
                let position = reader.position();
                if leaves.len() as u64 <= index - leaves_from {
                    leaves_from = index;
                    leaves = rows.hashes(0, index, (to - index).min(4_096)).map_err(LogError::from)?;
                }
                let leaf = leaves[(index - leaves_from) as usize];
                match reader.next().map_err(LogError::from)? {
                    None => break,
                    Some(Ok(frame)) if frame.leaf == leaf => {
                        each(index, (!frame.disposed).then_some(frame.payload))?;
                    }
                    Some(_) => return Err(self.damaged(segment, position, index).into()),
                }
                index += 1;
            }
        }
        Ok(())
    }

    /// Root over the first `size` entries; none if there are fewer.
    ///
    /// # Errors
    /// The disk.
    pub fn root_at(&self, size: u64) -> Result<Option<Hash>, LogError> {
        let (rows, held) = self.with(|s| (s.rows.clone(), s.size))?;
        if size > held { Ok(None) } else { Ok(Some(root_at(&rows, size)?)) }
    }

    /// Proof that an entry stands in the log of a size; none if it does not.
    ///
    /// # Errors
    /// The disk.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Option<Vec<Hash>>, LogError> {
        let (rows, held) = self.with(|s| (s.rows.clone(), s.size))?;
        if size > held { Ok(None) } else { Ok(inclusion_proof(&rows, index, size)?) }
    }

    /// Proof that the log of one size continues the log of another; none if there was no such log.
    ///
    /// # Errors
    /// The disk.
    pub fn consistency(&self, old: u64, size: u64) -> Result<Option<Vec<Hash>>, LogError> {
        let (rows, held) = self.with(|s| (s.rows.clone(), s.size))?;
        if size > held { Ok(None) } else { Ok(consistency_proof(&rows, old, size)?) }
    }

    /// The proof file of an entry under the published checkpoint; none while there is none that covers it.
    ///
    /// # Errors
    /// The disk.
    pub fn proof_file(&self, index: u64) -> Result<Option<ProofFile>, LogError> {
        let Some((checkpoint, note)) = self.published() else { return Ok(None) };
        let hashes = self.inclusion(index, checkpoint.size)?;
        Ok(hashes.map(|hashes| ProofFile { index, hashes, checkpoint: note }))
    }

    /// A static resource (C2SP tlog-tiles) of the log under the published checkpoint; none if it has no such one, or an entry
    /// in the bundle was disposed of.
    ///
    /// # Errors
    /// The disk, or damage.
    pub fn tile(&self, path: TilePath) -> Result<Option<Vec<u8>>, LogError> {
        if !self.published().is_some_and(|(c, _)| path.exists(c.size)) {
            return Ok(None);
        }
        match path {
            TilePath::Hashes { level, index, width } => {
                Ok(Some(self.rows()?.hashes(level, index * TILE_WIDTH, width)?.concat()))
            }
            TilePath::Entries { index, width } => {
                let from = index * TILE_WIDTH;
                let (mut bundle, mut whole) = (Vec::new(), true);
                self.each(from, from + width, |_, entry| {
                    match entry {
                        Some(entry) => push_to_bundle(&mut bundle, entry),
                        None => whole = false,
                    }
                    Ok::<(), LogError>(())
                })?;
                Ok(whole.then_some(bundle))
            }
        }
    }
}

impl LogSource for LogReader {
    fn newest(&self) -> Option<(Checkpoint, String)> {
        self.published()
    }
    fn bytes_of(&self, index: u64) -> Option<Vec<u8>> {
        self.entry(index).ok().flatten().and_then(Entry::bytes)
    }
    fn proof_of(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        self.inclusion(index, size).ok().flatten()
    }
}
