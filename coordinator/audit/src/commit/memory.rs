//! A store in memory that several writers share, with the faults of a real one: lost answers, newer writers, a lost tail, no line.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mdfm_shared::tlog::{Frontier, Hash};

use super::{Chunk, Commit, CommitError, Group, NoteKind, Place, Standing, Tail};

/// Groups that one read returns at most.
const CHUNKS_MAX: usize = 8;

#[derive(Debug, Default)]
struct Inner {
    chunks: Vec<Chunk>,
    notes: BTreeMap<(NoteKind, u64), String>,
    epoch: u64,
    /// What becomes of the next append: its answer is lost, and it is stored or not.
    next_lost: Option<bool>,
    /// Calls that fail from now on, as without a line.
    away: usize,
}

impl Inner {
    fn tail(&self) -> Tail {
        let empty = Tail { size: 0, root: Frontier::default().root() };
        self.chunks.last().map_or(empty, |last| Tail { size: last.end(), root: last.root })
    }
}

/// One writer of a store; [`Self::lead`] makes another, and this one is deposed.
#[derive(Debug, Default)]
pub struct MemoryCommit {
    store: Arc<Mutex<Inner>>,
    epoch: u64,
}

fn lost() -> io::Error {
    io::Error::other("no line to the store")
}

impl MemoryCommit {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A newer writer of the same store: nobody else's append is taken from now on.
    #[must_use]
    pub fn lead(&self) -> Self {
        let mut inner = self.inner();
        inner.epoch += 1;
        Self { store: Arc::clone(&self.store), epoch: inner.epoch }
    }

    /// Another handle of this writer, as after a restart of its process.
    #[must_use]
    pub fn lead_again(&self) -> Self {
        Self { store: Arc::clone(&self.store), epoch: self.epoch }
    }

    /// Loses the answer to the next append, which is stored or not.
    pub fn lose_answer(&self, is_stored: bool) {
        self.inner().next_lost = Some(is_stored);
    }

    /// Loses the last groups, as a standby does that had not received them.
    pub fn lose_tail(&self, groups: usize) {
        let mut inner = self.inner();
        let left = inner.chunks.len().saturating_sub(groups);
        inner.chunks.truncate(left);
    }

    /// Makes this number of calls fail, as without a line.
    pub fn go_away(&self, calls: usize) {
        self.inner().away = calls;
    }

    /// All groups.
    pub fn all(&self) -> Vec<Chunk> {
        self.inner().chunks.clone()
    }

    /// The note of a size, if there is one.
    pub fn noted(&self, kind: NoteKind, size: u64) -> Option<String> {
        self.inner().notes.get(&(kind, size)).cloned()
    }

    /// The store, unless there is no line to it.
    fn reach(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.inner();
        if inner.away > 0 {
            inner.away -= 1;
            return Err(lost());
        }
        Ok(inner)
    }
}

/// What stands where a group was to stand.
fn judge(inner: &Inner, epoch: u64, group: &Group<'_>) -> Result<Standing, CommitError> {
    let Tail { size, root } = inner.tail();
    if inner.epoch != epoch {
        return Err(CommitError::Deposed { epoch: inner.epoch });
    }
    let (before, with): (Hash, Hash) = (group.before(), group.root());
    match size {
        size if size == group.first() + group.count() && root == with => Ok(Standing::Stands),
        size if size == group.first() && root == before => Ok(Standing::Before),
        size if size < group.first() => Err(CommitError::TailLost { held: group.first(), found: size }),
        _ => Err(CommitError::Forked { at: group.first() }),
    }
}

impl Commit for MemoryCommit {
    fn place(&self) -> Place {
        Place::Elsewhere
    }

    fn commit(&mut self, group: &Group<'_>) -> Result<(), CommitError> {
        let mut inner = self.reach().map_err(CommitError::Unsure)?;
        let fate = inner.next_lost.take();
        if fate == Some(false) {
            return Err(CommitError::Unsure(lost()));
        }
        match judge(&inner, self.epoch, group)? {
            Standing::Stands => return Err(CommitError::Forked { at: group.first() }),
            Standing::Before => inner.chunks.push(group.to_chunk()),
        }
        if fate.is_some() { Err(CommitError::Unsure(lost())) } else { Ok(()) }
    }

    fn resolve(&mut self, group: &Group<'_>) -> Result<Standing, CommitError> {
        let inner = self.reach().map_err(CommitError::Unsure)?;
        judge(&inner, self.epoch, group)
    }

    fn note(&mut self, kind: NoteKind, size: u64, note: &str) -> Result<(), CommitError> {
        let mut inner = self.reach().map_err(CommitError::Io)?;
        if inner.epoch != self.epoch {
            return Err(CommitError::Deposed { epoch: inner.epoch });
        }
        inner.notes.insert((kind, size), note.to_owned());
        Ok(())
    }

    fn tail(&mut self) -> Result<Option<Tail>, CommitError> {
        Ok(Some(self.reach().map_err(CommitError::Io)?.tail()))
    }

    fn chunks(&mut self, from: u64) -> Result<Vec<Chunk>, CommitError> {
        let inner = self.reach().map_err(CommitError::Io)?;
        Ok(inner.chunks.iter().filter(|chunk| chunk.end() > from).take(CHUNKS_MAX).cloned().collect())
    }
}
