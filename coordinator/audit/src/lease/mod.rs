//! Which of several coordinators may write: one holds a lease in the store, and each lease begins a term. Pure: time and answers in, questions out.
//!
//! Two things keep two writers apart. The store refuses each group of an older term, whatever any clock says: that is the fence, and the log is safe by
//! it alone. The lease is for what no fence reaches: answers and messages. A holder decides only for a part of the lease ([`Timing::lead_ms`]), counted by
//! its own clock from the moment at which it *began* its last successful renewal; the store counts the whole lease from the moment at which it carried the
//! renewal out, which is later. So a holder that hears nothing stops before anybody else can begin, as long as no clock of a running machine is fast or
//! slow by more than [`CLOCK_RATE_PERCENT`].

use mdfm_shared::time::MonotonicMs;

/// How much the rate of a clock may be wrong, in percent: a thousand times what a quartz shows.
pub const CLOCK_RATE_PERCENT: u64 = 10;

/// What groups are fenced by. Besides the epoch a random name, because a store that lost a takeover would give the same epoch out twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Grows with each takeover.
    pub epoch: i64,
    /// A random UUID.
    pub name: String,
}

/// A lease in a store that several coordinators see, by the store's own clock.
pub trait Lease: Send {
    /// Why the store did not answer.
    type Error: std::error::Error + 'static;

    /// Begins a term where no lease is held; `None` where one is.
    ///
    /// # Errors
    /// The store did not answer: the lease may be taken, by a term that nobody knows. It runs out.
    fn take(&mut self) -> Result<Option<Term>, Self::Error>;

    /// Lets the lease of a term begin again; `false` where another term has begun.
    ///
    /// # Errors
    /// The store did not answer.
    fn renew(&mut self, term: &Term) -> Result<bool, Self::Error>;

    /// Ends the lease of a term at once, so that another one can begin.
    ///
    /// # Errors
    /// The store did not answer: the lease runs out.
    fn give_up(&mut self, term: &Term) -> Result<(), Self::Error>;
}

/// The times of a lease, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long the store holds a lease after it was taken or renewed.
    pub lease_ms: u64,
    /// How long its holder decides after it began to take or renew it.
    pub lead_ms: u64,
    /// From one renewal to the next.
    pub renew_every_ms: u64,
    /// From one attempt to take it to the next.
    pub take_every_ms: u64,
}

impl Timing {
    /// The times for a lease of this length: the holder decides for seven tenths of it, and renews it five times in it.
    pub fn of_lease(lease_ms: u64) -> Self {
        Self {
            lease_ms,
            lead_ms: lease_ms * 7 / 10,
            renew_every_ms: (lease_ms / 5).max(1),
            take_every_ms: (lease_ms / 10).max(1),
        }
    }

    /// Whether a holder stops before the store lets go of its lease, however wrong both clocks may be.
    pub fn is_safe(&self) -> bool {
        // Its clock is slow, and the store's is fast.
        self.lead_ms * (100 + CLOCK_RATE_PERCENT) < self.lease_ms * (100 - CLOCK_RATE_PERCENT)
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::of_lease(5_000)
    }
}

/// What the store is asked for. One question at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// [`Lease::take`].
    Take,
    /// [`Lease::renew`].
    Renew(Term),
    /// [`Lease::give_up`].
    GiveUp(Term),
}

/// What it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Take`].
    Taken(Option<Term>),
    /// To [`Question::Renew`].
    Renewed(bool),
    /// To [`Question::GiveUp`].
    GivenUp,
    /// Nothing, in time.
    Lost,
}

/// Whether this coordinator decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Another one may lead.
    Follows,
    /// It may decide.
    Leads(Term),
    /// It led, and could not renew its lease: it must not decide. It may again as soon as a renewal of the same term succeeds.
    Lapsed(Term),
    /// It does not take part any more.
    Ended,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask the store, and give the answer to [`Candidate::answer`].
    Ask(Question),
    /// Nothing before this time.
    Wait(MonotonicMs),
    /// Nothing any more.
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    Follower,
    Holder { term: Term, until: MonotonicMs },
    Ended,
}

/// One coordinator that leads where it may.
#[derive(Debug, Clone)]
pub struct Candidate {
    timing: Timing,
    role: Role,
    /// When the store is asked again.
    next_at: MonotonicMs,
    /// When the question began that is under way.
    asked_at: Option<MonotonicMs>,
    is_stopping: bool,
}

impl Candidate {
    /// A coordinator that follows, and asks at once whether it may lead.
    pub fn new(timing: Timing, now: MonotonicMs) -> Self {
        Self { timing, role: Role::Follower, next_at: now, asked_at: None, is_stopping: false }
    }

    /// Whether it decides at this time. To be asked before each decision, and before each answer that nothing else keeps from being stale.
    pub fn standing(&self, now: MonotonicMs) -> Standing {
        match &self.role {
            Role::Follower => Standing::Follows,
            Role::Holder { term, until } if now < *until && !self.is_stopping => Standing::Leads(term.clone()),
            Role::Holder { term, .. } => Standing::Lapsed(term.clone()),
            Role::Ended => Standing::Ended,
        }
    }

    /// What is to be done at this time.
    pub fn next(&mut self, now: MonotonicMs) -> Next {
        let question = match &self.role {
            Role::Ended => return Next::End,
            // The answer comes first.
            _ if self.asked_at.is_some() => return Next::Wait(now.plus_ms(self.timing.take_every_ms)),
            Role::Holder { term, .. } if self.is_stopping => Question::GiveUp(term.clone()),
            Role::Follower if self.is_stopping => {
                self.role = Role::Ended;
                return Next::End;
            }
            _ if now < self.next_at => return Next::Wait(self.next_at),
            Role::Holder { term, .. } => Question::Renew(term.clone()),
            Role::Follower => Question::Take,
        };
        self.asked_at = Some(now);
        Next::Ask(question)
    }

    /// The store answered, or did not. What an answer permits counts from when its question began.
    pub fn answer(&mut self, now: MonotonicMs, answer: Answer) {
        let Some(asked_at) = self.asked_at.take() else { return };
        let until = asked_at.plus_ms(self.timing.lead_ms);
        let renew_at = asked_at.plus_ms(self.timing.renew_every_ms).max(now);
        match (&mut self.role, answer) {
            (Role::Follower, Answer::Taken(Some(term))) => {
                self.role = Role::Holder { term, until };
                self.next_at = renew_at;
            }
            (Role::Holder { until: held, .. }, Answer::Renewed(true)) => {
                *held = until;
                self.next_at = renew_at;
            }
            (Role::Holder { .. }, Answer::Renewed(false)) => self.follow(now),
            (Role::Holder { .. }, Answer::GivenUp) => self.role = Role::Ended,
            // It runs out.
            (Role::Holder { .. }, Answer::Lost) if self.is_stopping => self.role = Role::Ended,
            _ => self.next_at = now.plus_ms(self.timing.take_every_ms),
        }
    }

    /// The store refused a group of this term: another one has begun.
    pub fn deposed(&mut self, now: MonotonicMs, term: &Term) {
        if matches!(&self.role, Role::Holder { term: held, .. } if held == term) {
            self.follow(now);
        }
    }

    /// It is to end: from now on it decides nothing, and its lease is given up.
    pub fn stop(&mut self) {
        self.is_stopping = true;
    }

    fn follow(&mut self, now: MonotonicMs) {
        self.role = Role::Follower;
        self.next_at = now.plus_ms(self.timing.take_every_ms);
    }
}

#[cfg(test)]
mod tests;
