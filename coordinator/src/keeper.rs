//! Keeps the state, so that a start need not fold the whole log; in a thread of its own, so that nobody waits for it (decision 0045).
//!
//! The deciding thread says how long the log is, and no more. The keeper takes the state that was kept last, folds the records that the log holds
//! since, and keeps what comes out: the very bytes that the deciding thread's state would have at that size. Between two of them memory holds nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use mdfm_audit::LogReader;
use mdfm_coordinator_core::State;
use mdfm_shared::record::AuditRecord;
use mdfm_shared::tlog::Hash;

use crate::store::{Kept, ReadModel};

/// After each time the keeper rests this many times as long: it takes a fifth of one processor at most.
const REST_FACTOR: u32 = 4;

/// The keeper. It ends with this handle.
pub(crate) struct Keeper {
    /// `None` once it has ended.
    sizes: Option<SyncSender<u64>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// Where a copy of the state comes from, without the state's lock.
#[derive(Clone)]
pub(crate) struct Copies(Arc<Shared>);

impl Copies {
    /// The state at the end of the log as it is now, folded from what was kept last: for whoever looks at all of it and takes time.
    ///
    /// # Errors
    /// The log cannot be read or replayed.
    pub(crate) fn newest(&self) -> anyhow::Result<State> {
        let kept = self.0.read_model().load();
        fold(&self.0.log, kept, self.0.log.size(), &|| false)?.context("folding the log")
    }
}

struct Shared {
    log: LogReader,
    read_model: Mutex<ReadModel>,
    /// Whether it waits for a size: it neither works nor rests.
    is_free: AtomicBool,
    is_ending: AtomicBool,
}

impl Shared {
    fn read_model(&self) -> MutexGuard<'_, ReadModel> {
        self.read_model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// The state at a size of the log.
    fn keep(&self, size: u64) -> anyhow::Result<()> {
        let kept = self.read_model().load();
        let is_ending = || self.is_ending();
        let Some(state) = fold(&self.log, kept, size, &is_ending)? else { return Ok(()) };
        let root = self.log.root_at(size)?.context("the log has no root at this size")?;
        let state = state.to_snapshot()?;
        self.read_model().save(&Kept { size, root, state }, &is_ending)?;
        Ok(())
    }

    fn work(&self, sizes: &Receiver<u64>) {
        let mut rest = Duration::ZERO;
        loop {
            match sizes.recv_timeout(rest) {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
                // It is not free while it rests: nothing comes then.
                Ok(_) => continue,
            }
            self.is_free.store(true, Ordering::Relaxed);
            let Ok(size) = sizes.recv() else { return };
            let begun = Instant::now();
            if let Err(error) = self.keep(size) {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the state cannot be kept; the next start replays more of the log"
                );
            }
            rest = begun.elapsed().saturating_mul(REST_FACTOR);
        }
    }
}

/// The state at a size of the log: what was kept, if that is of this log and not longer, and the records from there on. `None` if `is_ending` ends it.
///
/// # Errors
/// The log cannot be read or replayed.
pub(crate) fn fold(
    log: &LogReader,
    kept: Option<Kept>,
    size: u64,
    is_ending: &dyn Fn() -> bool,
) -> anyhow::Result<Option<State>> {
    let is_of_log = |kept: &Kept| kept.size <= size && log.root_at(kept.size).is_ok_and(|root| root == Some(kept.root));
    let mut state = match kept.filter(is_of_log).map(|kept| State::from_snapshot(&kept.state)) {
        Some(Ok(state)) => state,
        Some(Err(error)) => {
            tracing::warn!(%error, "the kept state cannot be read; replaying the whole log");
            State::default()
        }
        None => State::default(),
    };
    let from = state.log_size;
    let mut has_ended = false;
    log.each(from, size, |index, entry| -> anyhow::Result<()> {
        has_ended = has_ended || is_ending();
        match entry {
            _ if has_ended => Ok(()),
            Some(entry) => {
                let replay = || format!("entry {index} of the audit log cannot be replayed");
                state.apply(&AuditRecord::from_bytes(entry).with_context(replay)?).with_context(replay)
            }
            // Nothing is disposed of that the state rests on.
            None => {
                state.log_size += 1;
                Ok(())
            }
        }
    })?;
    Ok(Some(state).filter(|_| !has_ended))
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn start(log: LogReader, read_model: ReadModel) -> std::io::Result<Self> {
        let (sizes, queue) = sync_channel(1);
        let (is_free, is_ending) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(Shared { log, read_model: Mutex::new(read_model), is_free, is_ending });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("keeper".into()).spawn(move || own.work(&queue))?;
        Ok(Self { sizes: Some(sizes), thread: Some(thread), shared })
    }

    /// Copies of the state.
    pub(crate) fn copies(&self) -> Copies {
        Copies(Arc::clone(&self.shared))
    }

    /// Lets the state at this size of the log be kept; `false` if the keeper works or rests: ask again later.
    pub(crate) fn keep(&self, size: u64) -> bool {
        let Some(sizes) = &self.sizes else { return false };
        self.shared.is_free.swap(false, Ordering::Relaxed) && sizes.try_send(size).is_ok()
    }

    /// Ends the thread, and keeps the deciding thread's own state at the end of the log: nobody waits for that thread any more.
    pub(crate) fn close(&mut self, state: &State, root: Hash) {
        self.end();
        let kept = state.to_snapshot().map_err(std::io::Error::other).and_then(|bytes| {
            let kept = Kept { size: state.log_size, root, state: bytes };
            self.shared.read_model().save(&kept, &|| false)
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "the state cannot be kept; the next start replays the log instead");
        }
    }

    fn end(&mut self) {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        drop(self.sizes.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdfm_audit::{AuditLog, Options};
    use mdfm_coordinator_core::fixture::example;
    use mdfm_shared::sign::SecretKey;
    use mdfm_shared::tlog::NoteSigner;

    fn until_free(keeper: &Keeper) {
        let begun = Instant::now();
        while !keeper.shared.is_free.load(Ordering::Relaxed) {
            assert!(begun.elapsed() < Duration::from_secs(60), "it rests for ever");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_is_kept_beside_is_what_the_deciding_thread_has() {
        let dir = std::env::temp_dir().join(format!("mdfm-keeper-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let signer = NoteSigner::new("log.example", SecretKey::from_seed([7; 32])).expect("a name");
        let mut log = AuditLog::open(&dir.join("log"), signer, Options::default()).expect("opens");
        let model = || ReadModel::open(&dir.join("model")).expect("opens");
        let keeper = Keeper::start(log.reader(), model()).expect("starts");
        let (_, records) = example();
        let mut live = State::default();
        let parts = records.chunks(records.len().div_ceil(3));
        for part in parts {
            log.append(part).expect("appends");
            part.iter().for_each(|r| live.apply(&AuditRecord::from_bytes(r).expect("a record")).expect("applies"));
            let copy = keeper.copies().newest().expect("folds");
            assert!(copy.to_snapshot().expect("bytes") == live.to_snapshot().expect("bytes"), "beyond what is kept");
            until_free(&keeper);
            assert!(keeper.keep(live.log_size));
            assert!(!keeper.keep(live.log_size), "it works, or it rests");
            until_free(&keeper);
            let kept = keeper.shared.read_model().load().expect("kept");
            assert_eq!((kept.size, kept.root), (live.log_size, log.root()));
            assert!(kept.state == live.to_snapshot().expect("bytes"), "the same bytes at {}", kept.size);
        }
        // A state of the future, or of another log, is not begun from.
        let size = live.log_size;
        let kept = keeper.shared.read_model().load();
        let of_other = kept.clone().map(|kept| Kept { root: [9; 32], ..kept });
        for (kept, size) in [(kept, size - 2), (of_other, size)] {
            let state = fold(&log.reader(), kept, size, &|| false).expect("folds").expect("to the end");
            assert_eq!(state.log_size, size);
        }
        assert!(fold(&log.reader(), None, size, &|| true).expect("folds").is_none(), "the end does not wait");
        // What is not in the log is not kept, whoever asks for it.
        until_free(&keeper);
        assert!(keeper.keep(size + 1));
        until_free(&keeper);
        let kept = keeper.shared.read_model().load().map(|kept| (kept.size, kept.root));
        assert_eq!(kept, Some((size, log.root())), "never ahead of the log");
        drop(keeper);
        assert_eq!(model().load().map(|kept| kept.size), Some(size), "it is there after the end");
        let _ = std::fs::remove_dir_all(&dir);
    }
}
