//! The log as a whole: start-up check and recovery, append, proofs, checkpoints, disposal.

mod reader;
mod recover;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, RwLock};

use mdfm_shared::limits::LOG_ENTRY_BYTES_MAX;
use mdfm_shared::tlog::{Checkpoint, Frontier, Hash, LogWriter, NoteError, NoteSigner, leaf_hash};

use crate::commit::{self, Chunk, Commit, CommitError, Group, LocalDisk, NoteKind, Place, Tail};
use crate::disk::{RealDisk, SharedDisk, remove_if_there, replace};
use crate::rows::{RowReader, Rows};
use crate::segment::{
    FrameReader, SEGMENT_MAGIC, Segment, begins_append, frames_of, index_name, log_name, push_disposed, push_frame,
    terms_name,
};

pub use reader::LogReader;

const CHECKPOINT: &str = "checkpoint";
/// The newest checkpoint with the cosignatures that it needs.
const PUBLISHED: &str = "published";

/// Sizes that tests choose smaller.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// A new segment file is begun above this size in bytes.
    pub segment_bytes: u64,
    /// Below this many free bytes nothing new is taken.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, reserve_bytes: 64 << 20 }
    }
}

/// Why a log is not usable, or an entry not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk.
    #[error("reading or writing the audit log failed")]
    Io(#[from] io::Error),
    /// A file is not what was written.
    #[error(
        "audit log is damaged: {file} at byte {position} (entry {entry}); restore that file from a backup, nothing was changed"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        position: u64,
        /// The first entry that is not good.
        entry: u64,
    },
    /// Entries are missing.
    #[error(
        "audit log holds {found} entries, its own signed checkpoint says {signed}; entries are missing, restore from a backup"
    )]
    Truncated {
        /// Entries that the checkpoint signs.
        signed: u64,
        /// Entries found.
        found: u64,
    },
    /// The entries lead to another root.
    #[error("audit log does not lead to the root that its own checkpoint signed at size {0}: history was altered")]
    Altered(u64),
    /// The stored checkpoint is not the log's.
    #[error("the stored checkpoint is not valid")]
    Checkpoint(#[from] NoteError),
    /// More than an entry may have.
    #[error("a record of {0} bytes is no log entry: it must have 1 to {LOG_ENTRY_BYTES_MAX}")]
    EntrySize(usize),
    /// The store in which groups become durable.
    #[error("the records cannot be made durable")]
    Commit(#[from] CommitError),
    /// A group from the store does not continue this copy of the log.
    #[error("the group of entries from {first} on does not continue the log of {size} entries; nothing was taken")]
    Strange {
        /// The group's first entry.
        first: u64,
        /// Entries of this log.
        size: u64,
    },
    /// An earlier write failed half-way.
    #[error("an earlier write failed; the log must be opened again")]
    Failed,
}

pub(crate) struct Shared {
    pub(crate) segments: Vec<Segment>,
    pub(crate) rows: RowReader,
    pub(crate) size: u64,
    pub(crate) published: Option<(Checkpoint, String)>,
}

/// The writing side; one a directory.
pub struct AuditLog {
    disk: SharedDisk,
    options: Options,
    signer: NoteSigner,
    active: Segment,
    rows: Rows,
    frontier: Frontier,
    signed: Option<(Checkpoint, String)>,
    failed: bool,
    shared: Arc<RwLock<Shared>>,
    store: Box<dyn Commit>,
}

impl AuditLog {
    /// Opens the log in a directory, which is made when it is missing, and checks it: every file begins and ends as it must,
    /// the files join, the tree leads to the root that the checkpoint signs, and every entry after the checkpoint is whole.
    ///
    /// A torn end that was never acknowledged is cut off. Any other damage refuses to open.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn open(dir: &Path, signer: NoteSigner, options: Options) -> Result<Self, LogError> {
        Self::open_with(dir, signer, options, Box::new(LocalDisk))
    }

    /// As [`Self::open`], of a log whose groups become durable in `store`. What the store holds beyond this directory is taken from it.
    ///
    /// # Errors
    /// See [`LogError`]; also where this directory knows of more than the store holds, or of something else.
    pub fn open_with(
        dir: &Path,
        signer: NoteSigner,
        options: Options,
        store: Box<dyn Commit>,
    ) -> Result<Self, LogError> {
        std::fs::create_dir_all(dir)?;
        Self::open_on(Arc::new(RealDisk(dir.to_owned())), signer, options, store)
    }

    /// Appends entries and gives the index of the first; durable when this returns. After an error the log must be opened
    /// again: what reached the disk is not known.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn append(&mut self, entries: &[impl AsRef<[u8]>]) -> Result<u64, LogError> {
        let first = self.frontier.size();
        if self.failed {
            return Err(LogError::Failed);
        }
        if let Some(bad) = entries.iter().map(|e| e.as_ref().len()).find(|n| *n == 0 || *n > LOG_ENTRY_BYTES_MAX) {
            return Err(LogError::EntrySize(bad));
        }
        if entries.is_empty() {
            return Ok(first);
        }
        self.failed = true;
        let bytes = entries.iter().map(|e| e.as_ref().len() + 12).sum();
        let mut frames = Vec::with_capacity(bytes);
        let mut starts = Vec::with_capacity(entries.len());
        let mut leaves = Vec::with_capacity(entries.len());
        for entry in entries.iter().map(AsRef::as_ref) {
            starts.push(frames.len() as u64);
            let leaf = leaf_hash(entry);
            push_frame(&mut frames, entry, &leaf, leaves.is_empty());
            leaves.push(leaf);
        }
        let committed = commit::commit(&mut *self.store, &Group::new(&self.frontier, &leaves, &frames));
        // Then nothing was sent: the log is as it was.
        self.failed = !matches!(committed, Ok(()) | Err(CommitError::Lapsed { .. }));
        committed?;
        self.failed = true;
        self.write(&frames, &starts, &leaves)?;
        self.failed = false;
        Ok(first)
    }

    /// Takes a group that became durable in the store into this copy of the log, if it continues what is here.
    ///
    /// # Errors
    /// [`LogError::Strange`] where it does not, or is damaged; nothing was taken then. Any other: the log must be opened again.
    pub fn take(&mut self, chunk: &Chunk) -> Result<(), LogError> {
        if self.failed {
            return Err(LogError::Failed);
        }
        let size = self.frontier.size();
        let strange = || LogError::Strange { first: chunk.first, size };
        let (starts, leaves) = frames_of(&chunk.frames).ok_or_else(strange)?;
        let group = Group::new(&self.frontier, &leaves, &chunk.frames);
        let continues = (chunk.first, chunk.before) == (size, group.before());
        if leaves.is_empty() || !continues || chunk.count != group.count() || chunk.root != group.root() {
            return Err(strange());
        }
        self.failed = true;
        self.write(&chunk.frames, &starts, &leaves)?;
        self.failed = false;
        Ok(())
    }

    /// Takes everything that the store holds beyond this copy of the log.
    ///
    /// # Errors
    /// The store lost what is here, or holds something else; or it cannot be read.
    pub fn catch_up(&mut self) -> Result<(), LogError> {
        let Some(Tail { size: found, root }) = self.store.tail()? else { return Ok(()) };
        let held = self.frontier.size();
        if found < held {
            return Err(CommitError::TailLost { held, found }.into());
        }
        if found == held && root != self.frontier.root() {
            return Err(CommitError::Forked { at: held }.into());
        }
        while self.frontier.size() < found {
            let chunks = self.store.chunks(self.frontier.size())?;
            if chunks.is_empty() {
                return Err(CommitError::TailLost { held: found, found: self.frontier.size() }.into());
            }
            for chunk in &chunks {
                let taken = if chunk.first < self.frontier.size() { self.complete(chunk) } else { self.take(chunk) };
                taken.map_err(|error| match error {
                    LogError::Strange { first, .. } => CommitError::Forked { at: first }.into(),
                    error => error,
                })?;
            }
        }
        Ok(())
    }

    /// Takes the rest of a group of which a power cut left a part in this copy.
    fn complete(&mut self, chunk: &Chunk) -> Result<(), LogError> {
        let size = self.frontier.size();
        let strange = || LogError::Strange { first: chunk.first, size };
        let (starts, leaves) = frames_of(&chunk.frames).ok_or_else(strange)?;
        let held = usize::try_from(size - chunk.first).map_err(|_| strange())?;
        if leaves.len() <= held || leaves.len() as u64 != chunk.count {
            return Err(strange());
        }
        let known = self.rows.reader().hashes(0, chunk.first, held as u64)?;
        let from = usize::try_from(starts[held]).map_err(|_| strange())?;
        let (frames, rest) = (&chunk.frames[from..], &leaves[held..]);
        if known != leaves[..held] || Group::new(&self.frontier, rest, frames).root() != chunk.root {
            return Err(strange());
        }
        let starts: Vec<u64> = starts[held..].iter().map(|start| start - starts[held]).collect();
        self.failed = true;
        self.write(frames, &starts, rest)?;
        self.failed = false;
        Ok(())
    }

    /// Writes a group to the segment file and lets readers see it.
    fn write(&mut self, frames: &[u8], starts: &[u64], leaves: &[Hash]) -> Result<(), LogError> {
        if self.active.bytes >= self.options.segment_bytes && begins_append(frames) {
            self.begin_segment()?;
        }
        let mut offsets = Vec::with_capacity(starts.len() * 4);
        for start in starts {
            let at = self.active.bytes + start;
            let at = u32::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
            offsets.extend_from_slice(&at.to_be_bytes());
        }
        self.active.append(frames, &offsets, leaves.len() as u64, self.store.place())?;
        self.rows.append(leaves)?;
        leaves.iter().for_each(|leaf| self.frontier.push(*leaf));
        self.share();
        Ok(())
    }

    /// Whether there is room for what may follow; ask before deciding anything.
    ///
    /// # Errors
    /// The disk cannot be asked.
    pub fn has_room(&self) -> Result<bool, LogError> {
        Ok(self.disk.free_bytes()? >= self.options.reserve_bytes)
    }

    /// Bytes that may still be written to the log's disk.
    ///
    /// # Errors
    /// The disk cannot be asked.
    pub fn free_bytes(&self) -> Result<u64, LogError> {
        Ok(self.disk.free_bytes()?)
    }

    fn begin_segment(&mut self) -> Result<(), LogError> {
        self.sync_copy()?;
        self.active.index.sync()?;
        let next = Segment::create(&*self.disk, self.frontier.size())?;
        self.active = next;
        self.write_shared(|shared, active| shared.segments.push(active))
    }

    /// Syncs what is only written: of a copy, whatever stands behind the last checkpoint or in the last file may be lost, and no more.
    fn sync_copy(&self) -> Result<(), LogError> {
        match self.store.place() {
            Place::Here => Ok(()),
            Place::Elsewhere => Ok(self.active.file.sync()?),
        }
    }

    fn write_shared(&self, change: impl FnOnce(&mut Shared, Segment)) -> Result<(), LogError> {
        let mut shared = self.shared.write().map_err(|_| LogError::Failed)?;
        change(&mut shared, self.active.clone());
        Ok(())
    }

    /// Lets readers see what is durable now.
    fn share(&self) {
        let (rows, size) = (self.rows.reader(), self.frontier.size());
        let _ = self.write_shared(|shared, active| {
            if let Some(last) = shared.segments.last_mut() {
                *last = active;
            }
            (shared.rows, shared.size) = (rows, size);
        });
    }

    /// Signs the newest size and root, unless that is done, and stores the note. Everything that it covers is durable first.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn sign_checkpoint(&mut self) -> Result<(Checkpoint, String), LogError> {
        let size = self.frontier.size();
        if let Some(signed) = self.signed.as_ref().filter(|(c, _)| c.size == size) {
            return Ok(signed.clone());
        }
        self.sync_copy()?;
        self.active.index.sync()?;
        self.rows.sync()?;
        let origin = self.signer.key().name().to_owned();
        let checkpoint = Checkpoint { origin, size, root: self.frontier.root() };
        let note = checkpoint.sign(&self.signer)?;
        self.store.note(NoteKind::Signed, size, &note)?;
        replace(&*self.disk, CHECKPOINT, note.as_bytes())?;
        self.signed = Some((checkpoint.clone(), note.clone()));
        Ok((checkpoint, note))
    }

    /// Lets everybody see a checkpoint: one of this log that it signed, with the cosignatures that it needs.
    ///
    /// # Errors
    /// It is not of this log, or older than the one published before.
    pub fn publish(&mut self, note: &str) -> Result<(), LogError> {
        let checkpoint = Checkpoint::open(note.as_bytes(), self.signer.key())?;
        let reader = self.reader();
        if checkpoint.size > self.frontier.size() || reader.root_at(checkpoint.size)? != Some(checkpoint.root) {
            return Err(LogError::Altered(checkpoint.size));
        }
        if reader.published().is_some_and(|(held, _)| held.size > checkpoint.size) {
            return Ok(());
        }
        self.store.note(NoteKind::Published, checkpoint.size, note)?;
        replace(&*self.disk, PUBLISHED, note.as_bytes())?;
        self.write_shared(|shared, _| shared.published = Some((checkpoint, note.to_owned())))
    }

    /// The newest checkpoint that this log signed.
    pub fn signed(&self) -> Option<&(Checkpoint, String)> {
        self.signed.as_ref()
    }

    /// Takes the payload of entries away; their hashes stay, and with them every root and proof. The record that orders this
    /// must stand in the log before. May be repeated after a cut.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn dispose(&mut self, entries: &BTreeSet<u64>) -> Result<(), LogError> {
        if entries.last().is_some_and(|last| *last >= self.active.first) {
            self.failed = true;
            self.begin_segment()?;
            self.failed = false;
        }
        let segments = self.reader().segments()?;
        for (i, segment) in segments.iter().enumerate() {
            let within: BTreeSet<u64> = entries.range(segment.first..segment.first + segment.count).copied().collect();
            if within.is_empty() {
                continue;
            }
            let rewritten = self.rewrite(segment, &within)?;
            self.write_shared(|shared, _| shared.segments[i] = rewritten)?;
        }
        Ok(())
    }

    fn rewrite(&self, old: &Segment, disposed: &BTreeSet<u64>) -> Result<Segment, LogError> {
        let mut frames = SEGMENT_MAGIC.to_vec();
        let mut reader = FrameReader::new(&old.file, 8, old.bytes);
        let mut entry = old.first;
        loop {
            let position = reader.position();
            match reader.next()? {
                None => break,
                Some(Err(_)) => {
                    return Err(LogError::Damaged { file: self.disk.show(&log_name(old.first)), position, entry });
                }
                Some(Ok(frame)) => {
                    if frame.disposed || disposed.contains(&entry) {
                        push_disposed(&mut frames, &frame.leaf, frame.first_of_append);
                    } else {
                        push_frame(&mut frames, frame.payload, &frame.leaf, frame.first_of_append);
                    }
                    entry += 1;
                }
            }
        }
        let name = log_name(old.first);
        // Index and search index are of the old file: they go first, and are rebuilt.
        remove_if_there(&*self.disk, &index_name(old.first))?;
        remove_if_there(&*self.disk, &terms_name(old.first))?;
        self.disk.sync_dir("")?;
        replace(&*self.disk, &name, &frames)?;
        let damaged = || LogError::Damaged { file: self.disk.show(&name), position: 0, entry: old.first };
        let (segment, damage) = Segment::open_scanning(&*self.disk, old.first)?.ok_or_else(damaged)?;
        if damage.is_none() && segment.count == old.count { Ok(segment) } else { Err(damaged()) }
    }

    /// The reading side.
    pub fn reader(&self) -> LogReader {
        LogReader::new(self.disk.clone(), Arc::clone(&self.shared))
    }

    /// The root over everything appended.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }
}

impl LogWriter for AuditLog {
    type Error = LogError;
    fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), LogError> {
        Self::append(self, entries).map(drop)
    }
    fn sign(&mut self) -> Result<(Checkpoint, String), LogError> {
        self.sign_checkpoint()
    }
    fn publish(&mut self, note: &str) -> Result<(), LogError> {
        Self::publish(self, note)
    }
    fn published(&self) -> Option<(Checkpoint, String)> {
        self.reader().published()
    }
    fn dispose(&mut self, entries: &BTreeSet<u64>) -> Result<(), LogError> {
        Self::dispose(self, entries)
    }
}

#[cfg(test)]
pub(crate) mod tests;
