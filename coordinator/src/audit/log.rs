//! The log as a whole: recovery, append, proofs and checkpoints.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use mdfm_service::atomic_write;
use mdfm_shared::limits::LOG_ENTRY_BYTES_MAX;
use mdfm_shared::tlog::{Checkpoint, Hash, NoteError, NoteSigner, Tree};

use super::segment::{self, Segment};
use crate::domain::dispatch::LogSource;

/// Why a log is not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("reading or writing the audit log failed")]
    Io(#[from] io::Error),
    #[error("audit log is damaged at entry {index} ({path}); restore it from a backup, nothing was changed")]
    Damaged { index: u64, path: String },
    #[error(
        "audit log holds {found} entries, its own signed checkpoint says {signed}; entries are missing, restore from a backup"
    )]
    Truncated { signed: u64, found: u64 },
    #[error("audit log does not lead to the root that its own checkpoint signed at size {0}: history was altered")]
    Altered(u64),
    #[error("the stored checkpoint is not valid")]
    Checkpoint(#[from] NoteError),
    #[error("a record of {0} bytes is larger than one log entry may be ({LOG_ENTRY_BYTES_MAX})")]
    EntryTooLarge(usize),
    #[error("entry {index} cannot be replayed")]
    Replay { index: u64, source: super::super::domain::state::ReplayError },
}

struct Shared {
    segments: Vec<Segment>,
    tree: Tree,
    checkpoint: Option<(Checkpoint, String)>,
}

/// The writing side; one per process.
pub(crate) struct AuditLog {
    dir: PathBuf,
    signer: NoteSigner,
    shared: Arc<RwLock<Shared>>,
}

/// The reading side, cheap to clone.
#[derive(Clone)]
pub(crate) struct LogReader(Arc<RwLock<Shared>>);

fn lock_failed<T>(_: T) -> io::Error {
    io::Error::other("the log's lock is poisoned: an earlier write failed half-way")
}

impl AuditLog {
    /// Opens the log in `dir`, replaying every entry through `each`.
    ///
    /// A torn tail that no checkpoint covers is cut off: it was never acknowledged. Any other damage refuses to open.
    pub(crate) fn open(
        dir: &Path,
        signer: NoteSigner,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), LogError>,
    ) -> Result<Self, LogError> {
        fs::create_dir_all(dir)?;
        let checkpoint_path = dir.join("checkpoint");
        let signed = match fs::read(&checkpoint_path) {
            Ok(note) => Some((Checkpoint::open(&note, signer.key())?, String::from_utf8_lossy(&note).into_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e.into()),
        };
        let signed_size = signed.as_ref().map_or(0, |(c, _)| c.size);
        let mut tree = Tree::default();
        let mut segments: Vec<Segment> = Vec::new();
        let files = segment::list(dir)?;
        for (i, (first, path)) in files.iter().enumerate() {
            let damaged = |index| LogError::Damaged { index, path: path.display().to_string() };
            if *first != tree.size() {
                return Err(damaged(tree.size()));
            }
            let (mut segment, damage) = Segment::scan(path, *first, |index, entry| {
                each(index, entry)?;
                tree.push(entry);
                Ok::<(), LogError>(())
            })?;
            if let Some(damage) = damage {
                if i + 1 < files.len() || tree.size() < signed_size {
                    return Err(damaged(tree.size()));
                }
                tracing::warn!(entry = tree.size(), "cutting off the torn, never acknowledged tail of the audit log");
                segment.truncate(damage)?;
            }
            segments.push(segment);
        }
        if tree.size() < signed_size {
            return Err(LogError::Truncated { signed: signed_size, found: tree.size() });
        }
        if let Some((checkpoint, _)) = &signed
            && tree.root_at(checkpoint.size) != Some(checkpoint.root)
        {
            return Err(LogError::Altered(checkpoint.size));
        }
        if segments.is_empty() {
            segments.push(Segment::create(dir, 0)?);
        }
        let shared = Arc::new(RwLock::new(Shared { segments, tree, checkpoint: signed }));
        Ok(Self { dir: dir.to_owned(), signer, shared })
    }

    /// Appends entries; durable when this returns. An error leaves the log unusable: the process must stop and recover.
    pub(crate) fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), LogError> {
        if let Some(large) = entries.iter().find(|e| e.len() > LOG_ENTRY_BYTES_MAX) {
            return Err(LogError::EntryTooLarge(large.len()));
        }
        let mut shared = self.shared.write().map_err(lock_failed)?;
        let size = shared.tree.size();
        if shared.segments.last().is_none_or(Segment::is_full) {
            let next = Segment::create(&self.dir, size)?;
            shared.segments.push(next);
        }
        if let Some(last) = shared.segments.last_mut() {
            last.append(entries)?;
        }
        entries.iter().for_each(|e| shared.tree.push(e));
        Ok(())
    }

    /// Signs the newest size and root, unless that is done, and stores the note.
    pub(crate) fn sign_checkpoint(&mut self) -> Result<(Checkpoint, String), LogError> {
        let mut shared = self.shared.write().map_err(lock_failed)?;
        if let Some((checkpoint, note)) = &shared.checkpoint
            && checkpoint.size == shared.tree.size()
        {
            return Ok((checkpoint.clone(), note.clone()));
        }
        let origin = self.signer.key().name().to_owned();
        let checkpoint = Checkpoint { origin, size: shared.tree.size(), root: shared.tree.root() };
        let note = checkpoint.sign(&self.signer)?;
        atomic_write(&self.dir.join("checkpoint"), note.as_bytes())?;
        shared.checkpoint = Some((checkpoint.clone(), note.clone()));
        Ok((checkpoint, note))
    }

    pub(crate) fn reader(&self) -> LogReader {
        LogReader(Arc::clone(&self.shared))
    }
}

impl LogReader {
    pub(crate) fn size(&self) -> u64 {
        self.0.read().map_or(0, |s| s.tree.size())
    }
    /// The newest signed checkpoint.
    pub(crate) fn checkpoint(&self) -> Option<(Checkpoint, String)> {
        self.0.read().ok()?.checkpoint.clone()
    }
    /// The bytes of one entry.
    pub(crate) fn entry(&self, index: u64) -> Result<Option<Vec<u8>>, LogError> {
        let shared = self.0.read().map_err(lock_failed)?;
        let i = shared.segments.partition_point(|s| s.first() + s.len() <= index);
        shared.segments.get(i).map_or(Ok(None), |s| s.read(index)).map_err(Into::into)
    }
    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        self.0.read().ok()?.tree.inclusion(index, size)
    }
    pub(crate) fn consistency(&self, old: u64, size: u64) -> Option<Vec<Hash>> {
        self.0.read().ok()?.tree.consistency(old, size)
    }
}

impl LogSource for LogReader {
    fn newest(&self) -> Option<(Checkpoint, String)> {
        self.checkpoint()
    }
    fn bytes_of(&self, index: u64) -> Option<Vec<u8>> {
        self.entry(index).ok().flatten()
    }
    fn proof_of(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        self.inclusion(index, size)
    }
}

#[cfg(test)]
mod tests {
    use mdfm_shared::sign::SecretKey;

    use super::*;

    fn signer() -> NoteSigner {
        NoteSigner::new("log.example", SecretKey::from_seed([1; 32])).expect("good name")
    }
    struct Dir(PathBuf);
    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
    fn dir(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("mdfm-log-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        Dir(dir)
    }
    fn open(dir: &Path) -> Result<(AuditLog, Vec<Vec<u8>>), LogError> {
        let mut seen = Vec::new();
        let log = AuditLog::open(dir, signer(), |_, e| {
            seen.push(e.to_vec());
            Ok(())
        })?;
        Ok((log, seen))
    }
    fn entries(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
        range.map(|i| format!("entry number {i}").into_bytes()).collect()
    }
    fn filled(dir: &Path, n: u32) -> PathBuf {
        let (mut log, _) = open(dir).expect("opens");
        log.append(&entries(0..n)).expect("appends");
        segment::list(dir).expect("lists")[0].1.clone()
    }

    #[test]
    fn p11_10c_what_was_appended_is_there_after_a_restart() {
        let dir = dir("restart");
        filled(&dir.0, 5);
        let (mut log, seen) = open(&dir.0).expect("opens");
        assert_eq!(seen, entries(0..5));
        let first = log.sign_checkpoint().expect("signs");
        assert_eq!(log.sign_checkpoint().expect("signs").1, first.1, "one size, one checkpoint");
        log.append(&entries(5..9)).expect("appends");
        let reader = log.reader();
        assert_eq!(reader.entry(7).expect("reads"), Some(b"entry number 7".to_vec()));
        assert_eq!(reader.entry(9).expect("reads"), None);
        drop(log);
        assert_eq!(open(&dir.0).expect("opens").1, entries(0..9));
    }

    #[test]
    fn a_cut_at_any_byte_of_the_tail_keeps_every_whole_entry() {
        let dir = dir("cut");
        let path = filled(&dir.0, 3);
        let whole = fs::read(&path).expect("reads");
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).expect("writes");
            let (mut log, seen) = open(&dir.0).expect("opens");
            let frame = FRAME_BYTES;
            assert_eq!(seen.len(), cut.saturating_sub(8) / frame, "cut at {cut}");
            log.append(&entries(7..8)).expect("goes on");
            drop(log);
            assert_eq!(open(&dir.0).expect("opens").1.last(), entries(7..8).last());
        }
    }
    const FRAME_BYTES: usize = 12 + "entry number 0".len();

    #[test]
    fn p11_10a_any_flipped_byte_under_a_checkpoint_is_found() {
        let dir = dir("flip");
        let path = filled(&dir.0, 4);
        let (mut log, _) = open(&dir.0).expect("opens");
        log.sign_checkpoint().expect("signs");
        drop(log);
        let good = fs::read(&path).expect("reads");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).expect("writes");
            let error = open(&dir.0).err().expect("must be refused");
            let index = at.saturating_sub(8) / FRAME_BYTES;
            assert!(matches!(error, LogError::Damaged { index: i, .. } if i == index as u64), "byte {at}: {error:?}");
        }
    }

    #[test]
    fn att_12_a_shorter_or_rewritten_log_is_refused() {
        let dir = dir("rewrite");
        let path = filled(&dir.0, 4);
        let (mut log, _) = open(&dir.0).expect("opens");
        log.sign_checkpoint().expect("signs");
        drop(log);
        let good = fs::read(&path).expect("reads");
        fs::write(&path, &good[..8 + 3 * FRAME_BYTES]).expect("writes");
        assert!(matches!(open(&dir.0).err(), Some(LogError::Truncated { signed: 4, found: 3 })));
        let mut swapped = good[..8].to_vec();
        for i in [1, 0, 2, 3] {
            swapped.extend_from_slice(&good[8 + i * FRAME_BYTES..8 + (i + 1) * FRAME_BYTES]);
        }
        fs::write(&path, &swapped).expect("writes");
        assert!(matches!(open(&dir.0).err(), Some(LogError::Altered(4))));
    }
}
