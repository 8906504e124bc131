//! The shell of the lease: a thread of its own that asks the store what [`Candidate`] wants to know, so that whoever decides may be busy.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mdfm_audit::commit::CommitError;
use mdfm_audit::lease::{Answer, Candidate, Lease, Next, Question, Standing, Term, Timing};
use mdfm_shared::time::MonotonicMs;
use nix::time::{ClockId, clock_gettime};

/// Longest rest of the thread: it sees within this time that it is to end.
const REST_MS: u64 = 250;

/// Whether this coordinator leads. Everybody who decides, answers or writes asks it; it ends with its last handle, and its lease with it.
pub struct Leadership {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    candidate: Mutex<Candidate>,
    /// Something may have changed.
    changed: Condvar,
}

/// Time since the machine started, suspend included: a laptop that was closed has lost its lease.
fn now() -> MonotonicMs {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has CLOCK_BOOTTIME since 2.6.39");
    let ms = i128::from(time.tv_sec()) * 1_000 + i128::from(time.tv_nsec()) / 1_000_000;
    MonotonicMs(u64::try_from(ms).unwrap_or(0))
}

fn ask(lease: &mut impl Lease, question: &Question) -> Answer {
    let answer = match question {
        Question::Take => lease.take().map(Answer::Taken),
        Question::Renew(term) => lease.renew(term).map(Answer::Renewed),
        Question::GiveUp(term) => lease.give_up(term).map(|()| Answer::GivenUp),
    };
    answer.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "the lease could not be asked for");
        Answer::Lost
    })
}

impl Shared {
    fn candidate(&self) -> MutexGuard<'_, Candidate> {
        self.candidate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, lease: &mut impl Lease) {
        let mut before = Standing::Follows;
        loop {
            let next = self.candidate().next(now());
            match next {
                Next::End => return,
                Next::Wait(at) => {
                    let rest = Duration::from_millis(at.since_ms(now()).clamp(1, REST_MS));
                    let candidate = self.candidate();
                    drop(self.changed.wait_timeout(candidate, rest).unwrap_or_else(PoisonError::into_inner));
                }
                Next::Ask(question) => {
                    let answer = ask(lease, &question);
                    self.candidate().answer(now(), answer);
                    self.changed.notify_all();
                }
            }
            let standing = self.candidate().standing(now());
            if standing != before {
                report(&standing);
                before = standing;
            }
        }
    }
}

fn report(standing: &Standing) {
    match standing {
        Standing::Follows => tracing::warn!("another coordinator leads; this one follows"),
        Standing::Leads(term) => tracing::info!(epoch = term.epoch, "this coordinator leads"),
        Standing::Lapsed(term) => {
            tracing::warn!(epoch = term.epoch, "the lease could not be renewed; nothing is decided until it is")
        }
        Standing::Ended => tracing::info!("this coordinator leads no more"),
    }
}

impl Leadership {
    /// Begins to ask for the lease.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(mut lease: impl Lease + 'static, timing: Timing) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { candidate: Mutex::new(Candidate::new(timing, now())), changed: Condvar::new() });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("lease".into()).spawn(move || own.work(&mut lease))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whether this coordinator decides now.
    pub fn standing(&self) -> Standing {
        self.shared.candidate().standing(now())
    }

    /// Whether groups of this term may be written now.
    ///
    /// # Errors
    /// [`CommitError::Lapsed`] where its lease was not renewed in time, [`CommitError::Deposed`] where it leads no more.
    pub fn check(&self, term: &Term) -> Result<(), CommitError> {
        let epoch = |term: &Term| u64::try_from(term.epoch).unwrap_or(0);
        match self.standing() {
            Standing::Leads(held) if held == *term => Ok(()),
            Standing::Lapsed(held) if held == *term => Err(CommitError::Lapsed { epoch: epoch(term) }),
            Standing::Leads(held) | Standing::Lapsed(held) => Err(CommitError::Deposed { epoch: epoch(&held) }),
            Standing::Follows | Standing::Ended => Err(CommitError::Lapsed { epoch: epoch(term) }),
        }
    }

    /// The store refused a group of this term.
    pub fn deposed(&self, term: &Term) {
        self.shared.candidate().deposed(now(), term);
        self.shared.changed.notify_all();
    }

    /// Waits until this coordinator leads; `None` if it does not within this time.
    pub fn wait(&self, within: Duration) -> Option<Term> {
        let until = now().plus_ms(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
        let mut candidate = self.shared.candidate();
        loop {
            let at = now();
            if let Standing::Leads(term) = candidate.standing(at) {
                return Some(term);
            }
            if at >= until {
                return None;
            }
            let rest = Duration::from_millis(until.since_ms(at).clamp(1, REST_MS));
            candidate = self.shared.changed.wait_timeout(candidate, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.shared.candidate().stop();
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
