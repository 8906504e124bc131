//! What every store of groups must do. [`MemoryCommit`](super::MemoryCommit) is asked here, PostgreSQL by its own crate.

use std::path::{Path, PathBuf};

use mdfm_shared::sign::SecretKey;
use mdfm_shared::tlog::NoteSigner;

use super::{Chunk, Commit, CommitError};
use crate::{AuditLog, LogError, Options};

/// Small enough that a few groups fill several files.
const OPTIONS: Options = Options { segment_bytes: 600, reserve_bytes: 0 };
/// Records of each group.
const GROUPS: [u64; 9] = [1, 3, 20, 1, 9, 30, 2, 25, 8];

/// One empty store, and what may happen to it.
pub trait Stores {
    /// A new writer; whoever wrote before is deposed.
    fn lead(&mut self) -> Box<dyn Commit>;
    /// Loses the answer to the next append of the newest writer, which is stored or not.
    fn lose_answer(&mut self, is_stored: bool);
    /// Loses the last groups.
    fn lose_tail(&mut self, groups: usize);
    /// All groups.
    fn all(&mut self) -> Vec<Chunk>;
}

/// Asks everything of a kind of store, in directories below `dir`; `make` returns an empty store each time.
///
/// # Panics
/// The store does not do what it must.
pub fn check(dir: &Path, make: &mut dyn FnMut() -> Box<dyn Stores>) {
    let _ = std::fs::remove_dir_all(dir);
    let checks: [(&str, Check); 6] = [
        ("frames are the same as in the embedded form", same_frames),
        ("an answer that was lost is resolved", lost_answers),
        ("a deposed writer writes nothing", deposed),
        ("a lost tail is found", lost_tail),
        ("another history is found", forked),
        ("a group that does not continue is not taken", strange_groups),
    ];
    for (n, (name, check)) in checks.into_iter().enumerate() {
        let dir = dir.join(n.to_string());
        std::fs::create_dir_all(&dir).expect("makes the directory");
        tracing::info!("{name}");
        check(&dir, &mut *make());
    }
    let _ = std::fs::remove_dir_all(dir);
}

type Check = fn(&Path, &mut dyn Stores);

fn open(dir: PathBuf, store: Box<dyn Commit>) -> Result<AuditLog, LogError> {
    let signer = NoteSigner::new("log.example", SecretKey::from_seed([1; 32])).expect("a good name");
    AuditLog::open_with(&dir, signer, OPTIONS, store)
}

fn opened(dir: PathBuf, store: Box<dyn Commit>) -> AuditLog {
    open(dir, store).expect("opens")
}

fn group(first: u64, count: u64) -> Vec<Vec<u8>> {
    let entry = |i: u64| format!("entry number {i}{}", ".".repeat((i % 7) as usize * 9)).into_bytes();
    (first..first + count).map(entry).collect()
}

fn append_all(log: &mut AuditLog) {
    for count in GROUPS {
        let first = log.reader().size();
        log.append(&group(first, count)).expect("appends");
    }
}

/// The segment files, in order.
fn segments(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("a file").path()).collect();
    names.retain(|path| path.extension().is_some_and(|e| e == "log"));
    names.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read(&path).expect("reads"))
    };
    names.into_iter().map(read).collect()
}

/// Whether the groups stand one behind the other, each once.
fn is_whole(groups: &[Chunk]) -> bool {
    groups.first().is_none_or(|group| group.first == 0)
        && groups.windows(2).all(|two| two[1].first == two[0].end() && two[1].before == two[0].root)
}

fn same_frames(dir: &Path, stores: &mut dyn Stores) {
    let mut embedded = opened(dir.join("embedded"), Box::new(super::LocalDisk));
    let mut copy = opened(dir.join("copy"), stores.lead());
    append_all(&mut embedded);
    append_all(&mut copy);
    assert_eq!(embedded.root(), copy.root());
    assert!(segments(&dir.join("embedded")).len() > 2, "several files");
    assert_eq!(segments(&dir.join("embedded")), segments(&dir.join("copy")), "byte for byte");
    let frames: Vec<u8> = stores.all().into_iter().flat_map(|chunk| chunk.frames).collect();
    let of_files: Vec<u8> =
        segments(&dir.join("copy")).into_iter().flat_map(|(_, bytes)| bytes[8..].to_vec()).collect();
    assert!(frames == of_files, "the store holds the frames of the files");
    assert!(is_whole(&stores.all()));
    // A node that has nothing takes everything, and so does one whose disk was restored.
    drop(copy);
    let other = opened(dir.join("other"), stores.lead());
    assert_eq!(other.root(), embedded.root());
    assert_eq!(segments(&dir.join("embedded")), segments(&dir.join("other")));
    let newest = segments(&dir.join("copy")).pop().expect("a file").0;
    std::fs::remove_file(dir.join("copy").join(newest)).expect("removes");
    let healed = opened(dir.join("copy"), stores.lead());
    assert_eq!(healed.root(), embedded.root());
    assert_eq!(segments(&dir.join("embedded")), segments(&dir.join("copy")));
}

fn lost_answers(dir: &Path, stores: &mut dyn Stores) {
    let mut log = opened(dir.join("copy"), stores.lead());
    log.append(&group(0, 2)).expect("appends");
    for is_stored in [true, false, true, false] {
        let size = log.reader().size();
        stores.lose_answer(is_stored);
        assert_eq!(log.append(&group(size, 3)).expect("is resolved"), size, "stored: {is_stored}");
        assert_eq!(log.reader().size(), size + 3);
        log.append(&group(size + 3, 1)).expect("goes on");
        let all = stores.all();
        assert!(is_whole(&all) && all.last().is_some_and(|chunk| chunk.end() == size + 4), "stored: {is_stored}");
    }
    assert_eq!(opened(dir.join("other"), stores.lead()).root(), log.root());
}

fn deposed(dir: &Path, stores: &mut dyn Stores) {
    let mut first = opened(dir.join("first"), stores.lead());
    append_all(&mut first);
    let size = first.reader().size();
    let mut second = opened(dir.join("second"), stores.lead());
    let refused = first.append(&group(size, 5)).expect_err("deposed");
    assert!(matches!(refused, LogError::Commit(CommitError::Deposed { .. })), "{refused:?}");
    assert!(first.append(&group(size, 5)).is_err(), "it must be opened again");
    assert_eq!((first.reader().size(), stores.all().last().map(Chunk::end)), (size, Some(size)), "nothing was written");
    // It hears of it only when its answer was lost as well.
    let mut third = opened(dir.join("third"), stores.lead());
    assert!(second.append(&group(size, 1)).is_err());
    stores.lose_answer(true);
    third.append(&group(size, 4)).expect("is resolved");
    drop(first);
    let first = opened(dir.join("first"), stores.lead());
    assert_eq!(first.root(), third.root());
}

fn lost_tail(dir: &Path, stores: &mut dyn Stores) {
    let mut log = opened(dir.join("copy"), stores.lead());
    append_all(&mut log);
    let size = log.reader().size();
    stores.lose_tail(2);
    let left = stores.all().last().map_or(0, Chunk::end);
    let refused = log.append(&group(size, 5)).expect_err("the tail is lost");
    let names = |error: &LogError| matches!(error, LogError::Commit(CommitError::TailLost { held, found }) if (*held, *found) == (size, left));
    assert!(names(&refused), "{refused:?}");
    drop(log);
    let refused = open(dir.join("copy"), stores.lead()).err().expect("the directory remembers");
    assert!(names(&refused), "{refused:?}");
    assert_eq!(stores.all().last().map_or(0, Chunk::end), left, "nothing was written");
}

fn forked(dir: &Path, stores: &mut dyn Stores) {
    let mut log = opened(dir.join("copy"), stores.lead());
    append_all(&mut log);
    stores.lose_tail(1);
    // Another node that has nothing goes on with other records.
    let mut other = opened(dir.join("other"), stores.lead());
    let size = other.reader().size();
    other.append(&group(size + 1_000, 8)).expect("appends");
    drop(log);
    let refused = open(dir.join("copy"), stores.lead()).err().expect("the directory remembers");
    assert!(matches!(refused, LogError::Commit(CommitError::Forked { .. })), "{refused:?}");
    // Also where the other history is longer: its groups do not continue what is here.
    let mut other = opened(dir.join("longer"), stores.lead());
    let size = other.reader().size();
    other.append(&group(size, 8)).expect("appends");
    let refused = open(dir.join("copy"), stores.lead()).err().expect("the directory remembers");
    assert!(
        matches!(refused, LogError::Commit(CommitError::Forked { .. } | CommitError::TailLost { .. })),
        "{refused:?}"
    );
}

fn strange_groups(dir: &Path, stores: &mut dyn Stores) {
    let mut log = opened(dir.join("copy"), stores.lead());
    append_all(&mut log);
    let all = stores.all();
    let mut copy = opened(dir.join("follower"), Box::new(super::LocalDisk));
    let is_strange = |taken: Result<(), LogError>| matches!(taken, Err(LogError::Strange { .. }));
    assert!(is_strange(copy.take(&all[1])), "a gap");
    copy.take(&all[0]).expect("continues");
    assert!(is_strange(copy.take(&all[0])), "twice");
    let good = &all[1];
    for at in 0..good.frames.len() {
        let mut bad = good.clone();
        bad.frames[at] ^= 1;
        assert!(is_strange(copy.take(&bad)), "byte {at}");
    }
    let cut = good.frames[..good.frames.len() - 1].to_vec();
    let twice = [good.frames.clone(), good.frames.clone()].concat();
    for frames in [cut, twice, Vec::new()] {
        assert!(is_strange(copy.take(&Chunk { frames, ..good.clone() })));
    }
    assert!(is_strange(copy.take(&Chunk { root: [0; 32], ..good.clone() })));
    assert!(is_strange(copy.take(&Chunk { before: [0; 32], ..good.clone() })));
    assert!(is_strange(copy.take(&Chunk { count: good.count + 1, ..good.clone() })));
    for chunk in &all[1..] {
        copy.take(chunk).expect("continues");
    }
    assert_eq!(copy.root(), log.root());
    assert_eq!(segments(&dir.join("follower")), segments(&dir.join("copy")));
}
