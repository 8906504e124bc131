//! Signing in as a pure decision: what is counted about guesses, and what follows from it. Nothing else asks for lock-outs or notes them.
//!
//! Who guesses must be bounded, and who is guessed at must get in. Both hold because guesses are counted by name *and* network, and because a
//! password together with a code of the second factor is looked at whatever strangers did: a guess of both at once succeeds so rarely (three
//! codes in a million, beside the password) that it needs no lock-out. What is refused in a lock-out is the answer to a password alone.
//!
//! Everything here is volatile and bounded; a restart forgives.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mdfm_shared::digest::Digest;
use mdfm_shared::time::MonotonicMs;

/// Wrong ones in a row before a row is locked.
const FAILURES_MAX: u32 = 5;
/// Time of the first lock-out; twice as long after each five more, four times over.
const LOCK_MS: u64 = 60_000;
const DOUBLINGS_MAX: u32 = 4;
/// Without a wrong one for so long a row is over.
const ROW_MS: u64 = 86_400_000;
/// Rows remembered; strangers can invent any number of names.
const ROWS_MAX: usize = 20_000;
/// Wrong passwords for one name from all unfamiliar networks together: at once, and the time after which one more may come.
const STRANGERS_MAX: u32 = 30;
const STRANGERS_REFILL_MS: u64 = 60_000;

/// What somebody gave beside the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factor {
    /// The account has no second factor.
    NotSetUp,
    /// Nothing.
    Missing,
    /// A code, or recovery code, that counts.
    Right,
    /// A code that was right and has been used.
    Used,
    Wrong,
}

/// One attempt, after password and code were compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    /// As claimed; there need not be such an account.
    pub(crate) name: &'a str,
    pub(crate) network: &'a str,
    /// Whether this person has signed in from this network before.
    pub(crate) is_familiar: bool,
    pub(crate) is_password: bool,
    pub(crate) factor: Factor,
}

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignIn {
    Opened,
    /// The password is right; a code is needed too.
    NeedsCode,
    /// Password and code are right; the code was used before.
    UsedCode,
    /// Password or code is wrong, or both must be given together for now; which of them cannot be told from outside.
    Wrong,
    /// As `Wrong`, and this row is locked because of it.
    Locks,
    /// This row is locked; nothing was counted.
    Locked,
}

/// Who is asked for password or code within a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InSession<'a> {
    /// The session has shown the second factor: its own row, which nobody outside of it reaches.
    Proven(Digest),
    /// All other sessions of the person together: more of them bring no more guesses.
    Unproven(&'a str),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    /// Wrong ones for a name from a network.
    Password(String, String),
    /// Wrong codes beside the right password; all unfamiliar networks are one.
    Code(String, Option<String>),
    Proven(Digest),
    Unproven(String),
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    at: MonotonicMs,
}

impl Count {
    fn lock_ms(self) -> u64 {
        match (self.failures / FAILURES_MAX).checked_sub(1) {
            Some(more) => LOCK_MS << more.min(DOUBLINGS_MAX),
            None => 0,
        }
    }

    fn is_locked(self, now: MonotonicMs) -> bool {
        now.since_ms(self.at) < self.lock_ms()
    }
}

/// Guesses of strangers that are left for a name.
#[derive(Debug, Clone, Copy)]
struct Budget {
    left: u32,
    at: MonotonicMs,
}

impl Budget {
    fn now(self, now: MonotonicMs) -> Self {
        let more = now.since_ms(self.at) / STRANGERS_REFILL_MS;
        if u64::from(self.left) + more >= u64::from(STRANGERS_MAX) {
            return Self { left: STRANGERS_MAX, at: now };
        }
        Self { left: self.left + u32::try_from(more).unwrap_or(0), at: self.at.plus_ms(more * STRANGERS_REFILL_MS) }
    }
}

#[derive(Debug, Default)]
struct Counts {
    rows: BTreeMap<Row, Count>,
    strangers: BTreeMap<String, Budget>,
}

impl Counts {
    fn is_locked(&self, row: &Row, now: MonotonicMs) -> bool {
        self.rows.get(row).is_some_and(|count| count.is_locked(now))
    }

    /// Counts one more in a row; returns whether the row is locked because of it.
    fn note(&mut self, row: Row, now: MonotonicMs) -> bool {
        if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(&row) {
            // What is locked stays so: otherwise a crowd of invented names would set free the one.
            self.rows.retain(|_, count| count.is_locked(now));
            if self.rows.len() >= ROWS_MAX
                && let Some(first) = self.rows.iter().min_by_key(|(_, c)| c.at).map(|(row, _)| row.clone())
            {
                self.rows.remove(&first);
            }
        }
        let count = self.rows.entry(row).or_insert(Count { failures: 0, at: now });
        if now.since_ms(count.at) >= ROW_MS {
            count.failures = 0;
        }
        *count = Count { failures: count.failures.saturating_add(1), at: now };
        count.is_locked(now)
    }

    fn strangers_left(&self, name: &str, now: MonotonicMs) -> u32 {
        self.strangers.get(name).map_or(STRANGERS_MAX, |budget| budget.now(now).left)
    }

    /// Takes one guess of strangers; returns whether it was the last.
    fn take_stranger(&mut self, name: &str, now: MonotonicMs) -> bool {
        if self.strangers.len() >= ROWS_MAX && !self.strangers.contains_key(name) {
            self.strangers.retain(|_, budget| budget.now(now).left < STRANGERS_MAX);
            if self.strangers.len() >= ROWS_MAX
                && let Some(first) = self.strangers.iter().max_by_key(|(_, b)| b.left).map(|(name, _)| name.clone())
            {
                self.strangers.remove(&first);
            }
        }
        let fresh = Budget { left: STRANGERS_MAX, at: now };
        let budget = self.strangers.entry(name.to_owned()).or_insert(fresh);
        *budget = budget.now(now);
        let was_last = budget.left == 1;
        budget.left = budget.left.saturating_sub(1);
        was_last
    }

    fn sign_in(&mut self, now: MonotonicMs, attempt: &Attempt<'_>) -> SignIn {
        let Attempt { name, network, is_familiar, is_password, factor } = *attempt;
        let row = Row::Password(name.to_owned(), network.to_owned());
        let codes = Row::Code(name.to_owned(), is_familiar.then(|| network.to_owned()));
        let is_locked = self.is_locked(&row, now);
        // Only who has the password makes this row: nothing may show that it is locked.
        let codes_locked = self.is_locked(&codes, now);
        let is_answered = !is_locked && (is_familiar || self.strangers_left(name, now) > 0);
        match (is_password, factor) {
            (true, Factor::Right) if !codes_locked => {
                self.rows.remove(&row);
                return SignIn::Opened;
            }
            (true, Factor::NotSetUp) if is_answered => {
                self.rows.remove(&row);
                return SignIn::Opened;
            }
            (true, Factor::Missing) if is_answered => return SignIn::NeedsCode,
            (true, Factor::Used) if is_answered && !codes_locked => return SignIn::UsedCode,
            // A right password is no guess, whatever it is answered.
            (true, Factor::NotSetUp | Factor::Missing | Factor::Used | Factor::Right) => {
                return if is_locked { SignIn::Locked } else { SignIn::Wrong };
            }
            (true, Factor::Wrong) if !codes_locked => _ = self.note(codes, now),
            (true, Factor::Wrong) | (false, _) => {}
        }
        if is_locked {
            return SignIn::Locked;
        }
        let was_last = !is_familiar && self.take_stranger(name, now);
        let locks = self.note(row, now);
        if locks || was_last { SignIn::Locks } else { SignIn::Wrong }
    }

    fn in_session(&mut self, now: MonotonicMs, who: InSession<'_>, shown: Factor) -> SignIn {
        let row = match who {
            InSession::Proven(session) => Row::Proven(session),
            InSession::Unproven(user) => Row::Unproven(user.to_owned()),
        };
        if self.is_locked(&row, now) {
            return SignIn::Locked;
        }
        match shown {
            Factor::Right => {
                self.rows.remove(&row);
                SignIn::Opened
            }
            // The password was right: that ends no row of wrong codes, and begins none.
            Factor::NotSetUp => SignIn::Opened,
            Factor::Used => SignIn::UsedCode,
            Factor::Missing => SignIn::NeedsCode,
            Factor::Wrong if self.note(row, now) => SignIn::Locks,
            Factor::Wrong => SignIn::Wrong,
        }
    }
}

/// The counts of one coordinator.
#[derive(Default)]
pub(crate) struct SignIns(Mutex<Counts>);

impl SignIns {
    /// Decides about one attempt to sign in, and counts it.
    pub(crate) fn sign_in(&self, now: MonotonicMs, attempt: &Attempt<'_>) -> SignIn {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).sign_in(now, attempt)
    }

    /// Decides about a password or code that was asked for within a session, and counts it. A right password alone is [`Factor::NotSetUp`].
    pub(crate) fn in_session(&self, now: MonotonicMs, who: InSession<'_>, shown: Factor) -> SignIn {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).in_session(now, who, shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: MonotonicMs = MonotonicMs(1_000_000);

    fn attempt<'a>(network: &'a str, is_familiar: bool, is_password: bool, factor: Factor) -> Attempt<'a> {
        Attempt { name: "qa", network, is_familiar, is_password, factor }
    }

    fn guess(network: &str) -> Attempt<'_> {
        attempt(network, false, false, Factor::Missing)
    }

    #[test]
    fn sec_7_what_an_attempt_is_answered_in_each_state() {
        use Factor::{Missing, NotSetUp, Right, Used, Wrong};
        // What is given; the answer at first, to a locked network, and when strangers have used up their guesses.
        let table = [
            ((true, Right), SignIn::Opened, SignIn::Opened, SignIn::Opened),
            ((true, NotSetUp), SignIn::Opened, SignIn::Locked, SignIn::Wrong),
            ((true, Missing), SignIn::NeedsCode, SignIn::Locked, SignIn::Wrong),
            ((true, Used), SignIn::UsedCode, SignIn::Locked, SignIn::Wrong),
            ((true, Wrong), SignIn::Wrong, SignIn::Locked, SignIn::Wrong),
            ((false, Missing), SignIn::Wrong, SignIn::Locked, SignIn::Wrong),
            ((false, Right), SignIn::Wrong, SignIn::Locked, SignIn::Wrong),
            ((false, Wrong), SignIn::Wrong, SignIn::Locked, SignIn::Wrong),
        ];
        for ((is_password, factor), first, locked, exhausted) in table {
            let what = format!("{is_password} {factor:?}");
            let mine = attempt("10.0.0.9", false, is_password, factor);
            assert_eq!(Counts::default().sign_in(T, &mine), first, "{what}");
            let mut counts = Counts::default();
            (0..FAILURES_MAX).for_each(|_| _ = counts.sign_in(T, &guess("10.0.0.9")));
            assert_eq!(counts.sign_in(T, &mine), locked, "{what}, locked");
            let mut counts = Counts::default();
            (0..STRANGERS_MAX).for_each(|n| _ = counts.sign_in(T, &guess(&format!("10.1.0.{n}"))));
            assert_eq!(counts.sign_in(T, &mine), exhausted, "{what}, exhausted");
            // Whoever signed in from this network before does not notice the strangers at all.
            let home = attempt("10.0.0.9", true, is_password, factor);
            assert_eq!(counts.sign_in(T, &home), first, "{what}, familiar");
        }
    }

    #[test]
    fn sec_7_five_wrong_lock_a_name_for_one_network_alone() {
        let mut counts = Counts::default();
        for n in 1..=FAILURES_MAX {
            let expected = if n == FAILURES_MAX { SignIn::Locks } else { SignIn::Wrong };
            assert_eq!(counts.sign_in(T, &guess("10.0.0.9")), expected);
        }
        let other = attempt("10.0.0.8", false, true, Factor::Missing);
        assert_eq!(counts.sign_in(T, &other), SignIn::NeedsCode, "another network");
        let other = Attempt { name: "clinical", ..attempt("10.0.0.9", false, true, Factor::Missing) };
        assert_eq!(counts.sign_in(T, &other), SignIn::NeedsCode, "another name");
        let later = T.plus_ms(LOCK_MS);
        assert_eq!(counts.sign_in(later, &attempt("10.0.0.9", false, true, Factor::Missing)), SignIn::NeedsCode);
    }

    /// Passwords that are answered are bounded, over however many networks they come.
    #[test]
    fn sec_7_guesses_over_many_networks_are_bounded_in_a_day() {
        let (mut counts, mut answered) = (Counts::default(), 0);
        for second in 0..86_400_u64 {
            let now = T.plus_ms(second * 1_000);
            for n in 0..3 {
                let network = format!("10.{}.{}.{n}", second / 256 % 256, second % 256);
                answered += u32::from(counts.strangers_left("qa", now) > 0);
                counts.sign_in(now, &guess(&network));
            }
        }
        let most = STRANGERS_MAX + 86_400_000 / STRANGERS_REFILL_MS as u32 + 1;
        assert!(answered <= most, "{answered} of at most {most}");
        assert!(counts.rows.len() <= ROWS_MAX, "{} rows", counts.rows.len());
        let owner = attempt("192.0.2.1", false, true, Factor::Right);
        assert_eq!(counts.sign_in(T.plus_ms(86_400_000), &owner), SignIn::Opened, "the owner, from anywhere");
    }

    /// Who has the password and guesses codes gets a few dozen guesses a day, from all networks together, and learns nothing of the lock.
    #[test]
    fn sec_7_codes_beside_a_stolen_password_are_bounded() {
        let (mut counts, mut looked_at) = (Counts::default(), 0);
        let row = Row::Code("qa".into(), None);
        for second in 0..86_400_u64 {
            let now = T.plus_ms(second * 1_000);
            looked_at += u32::from(!counts.is_locked(&row, now));
            let answer = counts.sign_in(now, &attempt(&format!("10.0.{second}"), false, true, Factor::Wrong));
            assert!(matches!(answer, SignIn::Wrong | SignIn::Locks), "{answer:?}");
        }
        assert!((90..=130).contains(&looked_at), "{looked_at} codes in a day");
        let home = attempt("192.0.2.1", true, true, Factor::Right);
        assert_eq!(counts.sign_in(T.plus_ms(86_400_000), &home), SignIn::Opened, "the owner, from a familiar network");
    }

    #[test]
    fn sec_7_a_right_password_never_counts() {
        let mut counts = Counts::default();
        for factor in [Factor::NotSetUp, Factor::Missing, Factor::Used] {
            for n in 0..100 {
                counts.sign_in(T.plus_ms(n), &attempt("10.0.0.9", n % 2 == 0, true, factor));
            }
        }
        assert!(counts.rows.is_empty() && counts.strangers.is_empty());
    }

    #[test]
    fn sec_7_no_stranger_reaches_a_session_that_showed_both() {
        let mut counts = Counts::default();
        let proven = InSession::Proven(Digest::of(b"session"));
        (0..1_000_u64).for_each(|n| _ = counts.sign_in(T, &guess(&format!("10.0.{n}"))));
        (0..10).for_each(|_| _ = counts.in_session(T, InSession::Unproven("qa"), Factor::Wrong));
        assert_eq!(counts.in_session(T, InSession::Unproven("qa"), Factor::Right), SignIn::Locked);
        assert_eq!(counts.in_session(T, proven, Factor::Right), SignIn::Opened);
        // Its own failures count, whatever right passwords come between them.
        for n in 1..=FAILURES_MAX {
            let expected = if n == FAILURES_MAX { SignIn::Locks } else { SignIn::Wrong };
            assert_eq!(counts.in_session(T, proven, Factor::Wrong), expected);
            let password = counts.in_session(T, proven, Factor::NotSetUp);
            assert_eq!(password, if n == FAILURES_MAX { SignIn::Locked } else { SignIn::Opened });
        }
        assert_eq!(counts.in_session(T.plus_ms(LOCK_MS), proven, Factor::Right), SignIn::Opened);
    }

    #[test]
    fn p11_300d_invented_names_do_not_set_a_locked_one_free() {
        let mut counts = Counts::default();
        (0..FAILURES_MAX).for_each(|_| _ = counts.sign_in(T, &guess("10.0.0.9")));
        for n in 0..2 * ROWS_MAX {
            let name = format!("made-up-{n}");
            counts.sign_in(T, &Attempt { name: &name, ..guess("10.0.0.9") });
        }
        assert!(counts.is_locked(&Row::Password("qa".into(), "10.0.0.9".into()), T));
        assert!(counts.rows.len() <= ROWS_MAX && counts.strangers.len() <= ROWS_MAX);
    }
}
