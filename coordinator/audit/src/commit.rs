//! Where a group of records becomes durable (decision 0046).
//!
//! The embedded coordinator syncs its own segment file ([`LocalDisk`]). A cluster hands the very same frames to a store that several coordinators see;
//! the segment file is then a copy of it, written without a sync, and what a power cut takes from the copy is taken from the store again.

#[cfg(any(test, feature = "fixtures"))]
pub mod conformance;
#[cfg(any(test, feature = "fixtures"))]
mod memory;

use std::io;

use mdfm_shared::tlog::{Frontier, Hash};

#[cfg(any(test, feature = "fixtures"))]
pub use memory::MemoryCommit;

/// Times that a group whose answer was lost is looked for. The store waits between two of them.
pub(crate) const RESOLVED_MAX: usize = 20;

/// Records that become durable together, as they stand in a segment file.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    frontier: &'a Frontier,
    leaves: &'a [Hash],
    frames: &'a [u8],
}

impl<'a> Group<'a> {
    pub(crate) fn new(frontier: &'a Frontier, leaves: &'a [Hash], frames: &'a [u8]) -> Self {
        Self { frontier, leaves, frames }
    }

    /// Index of the first record.
    pub fn first(&self) -> u64 {
        self.frontier.size()
    }

    /// Number of records; one at least.
    pub fn count(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Root of the log before the group.
    pub fn before(&self) -> Hash {
        self.frontier.root()
    }

    /// Root of the log with it.
    pub fn root(&self) -> Hash {
        let mut frontier = self.frontier.clone();
        self.leaves.iter().for_each(|leaf| frontier.push(*leaf));
        frontier.root()
    }

    /// The frames, one behind the other.
    pub fn frames(&self) -> &'a [u8] {
        self.frames
    }

    /// The group on its own.
    pub fn to_chunk(&self) -> Chunk {
        Chunk {
            first: self.first(),
            count: self.count(),
            before: self.before(),
            root: self.root(),
            frames: self.frames.to_vec(),
        }
    }
}

/// A group as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Index of the first record.
    pub first: u64,
    /// Number of records.
    pub count: u64,
    /// Root of the log before the group.
    pub before: Hash,
    /// Root of the log with it.
    pub root: Hash,
    /// The frames, as in a segment file.
    pub frames: Vec<u8>,
}

impl Chunk {
    /// Index behind the last record.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.count)
    }
}

/// The end of the log that a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Number of records.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

/// Where groups become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the segment files of this directory: each append syncs them.
    Here,
    /// In a store that others see as well: the segment files are a copy.
    Elsewhere,
}

/// What a note says of a size of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// A checkpoint was signed.
    Signed,
    /// It was published, with the cosignatures that it needs.
    Published,
}

impl NoteKind {
    /// Its name in a store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Published => "published",
        }
    }
}

/// Whether a group of which that was not known stands in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does, and it is durable.
    Stands,
    /// The log ends before it, and this writer may still write.
    Before,
}

/// Why a group is not durable, or not known to be.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The answer was lost: the group may be durable or not.
    #[error("it is not known whether the records are durable: the answer of the store was lost")]
    Unsure(#[source] io::Error),
    /// Somebody else leads.
    #[error("another coordinator leads since epoch {epoch}; nothing was written")]
    Deposed {
        /// The epoch of now.
        epoch: u64,
    },
    /// The lease could not be renewed in time, so that another coordinator may take it.
    #[error("the lease of epoch {epoch} could not be renewed in time; nothing was written")]
    Lapsed {
        /// The epoch of this coordinator.
        epoch: u64,
    },
    /// The store holds less than was acknowledged.
    #[error(
        "the store lost records: it holds {found} entries, {held} were acknowledged; bring the right store back, nothing is decided until then"
    )]
    TailLost {
        /// Entries that this coordinator knows to have been durable.
        held: u64,
        /// Entries in the store.
        found: u64,
    },
    /// The store holds other records.
    #[error("the store holds another history from entry {at} on; nothing is decided until the right store is back")]
    Forked {
        /// Where it differs at the latest.
        at: u64,
    },
    /// Nothing was written.
    #[error("the store of the log cannot be used")]
    Io(#[source] io::Error),
}

/// Makes groups of records durable. One writer owns it; whoever wrote before cannot write any more once a newer one exists.
pub trait Commit: Send {
    /// Where groups become durable. Never changes.
    fn place(&self) -> Place;

    /// Makes a group durable that continues the log. With [`Place::Here`] the segment file does that, right after.
    ///
    /// # Errors
    /// [`CommitError::Unsure`] where the group may be durable or not: ask [`Self::resolve`]. After any other it is not.
    fn commit(&mut self, group: &Group<'_>) -> Result<(), CommitError>;

    /// Finds out what became of a group whose answer was lost; waits for the store as long as it sees fit.
    ///
    /// # Errors
    /// [`CommitError::Unsure`] where that is still not known; any other where the group is not durable and cannot become so.
    fn resolve(&mut self, group: &Group<'_>) -> Result<Standing, CommitError>;

    /// Stores a signed or published checkpoint of this size.
    ///
    /// # Errors
    /// The store cannot be written.
    fn note(&mut self, kind: NoteKind, size: u64, note: &str) -> Result<(), CommitError>;

    /// The end of the log in the store; `None` with [`Place::Here`].
    ///
    /// # Errors
    /// The store cannot be read.
    fn tail(&mut self) -> Result<Option<Tail>, CommitError>;

    /// The next groups that hold this record or later ones, in order, a bounded number of them; empty at the end, and always with [`Place::Here`].
    ///
    /// # Errors
    /// The store cannot be read.
    fn chunks(&mut self, from: u64) -> Result<Vec<Chunk>, CommitError>;
}

/// The embedded form: the segment files of the directory are the log, and each append syncs them.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

impl Commit for LocalDisk {
    fn place(&self) -> Place {
        Place::Here
    }
    fn commit(&mut self, _: &Group<'_>) -> Result<(), CommitError> {
        Ok(())
    }
    fn resolve(&mut self, _: &Group<'_>) -> Result<Standing, CommitError> {
        Ok(Standing::Before)
    }
    fn note(&mut self, _: NoteKind, _: u64, _: &str) -> Result<(), CommitError> {
        Ok(())
    }
    fn tail(&mut self) -> Result<Option<Tail>, CommitError> {
        Ok(None)
    }
    fn chunks(&mut self, _: u64) -> Result<Vec<Chunk>, CommitError> {
        Ok(Vec::new())
    }
}

/// Makes a group durable, and resolves an answer that was lost.
pub(crate) fn commit(store: &mut dyn Commit, group: &Group<'_>) -> Result<(), CommitError> {
    let mut outcome = store.commit(group);
    if let Err(lapsed @ CommitError::Lapsed { .. }) = outcome {
        return Err(lapsed);
    }
    for _ in 0..RESOLVED_MAX {
        let Err(CommitError::Unsure(cause)) = outcome else { return outcome };
        tracing::warn!(
            error = &cause as &dyn std::error::Error,
            first = group.first(),
            "the answer to an append was lost; looking for it"
        );
        outcome = match store.resolve(group) {
            Ok(Standing::Stands) => Ok(()),
            Ok(Standing::Before) => store.commit(group).map_err(|error| match error {
                // The first attempt may still be under way in the store.
                lapsed @ CommitError::Lapsed { .. } => CommitError::Unsure(io::Error::other(lapsed)),
                error => error,
            }),
            Err(error) => Err(error),
        };
    }
    outcome
}
