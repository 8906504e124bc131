//! What is counted about callers and kept nowhere: wrong passwords, and when a session was last used.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mdfm_shared::digest::Digest;
use mdfm_shared::time::UtcMillis;

/// Wrong passwords in a row before a name is locked.
const FAILURES_MAX: u32 = 5;
/// For how long it is locked.
const LOCK_MS: u64 = 60_000;
/// Names remembered; strangers can invent any number.
const NAMES_MAX: usize = 10_000;
/// Sign-ins tried from one address within [`LOCK_MS`].
const TRIES_PER_ADDRESS_MAX: u32 = 60;

/// Counts wrong passwords by name, and tries by address; volatile, a restart forgives.
#[derive(Default)]
pub(crate) struct LoginGuard {
    names: Mutex<BTreeMap<String, (u32, UtcMillis)>>,
    addresses: Mutex<BTreeMap<String, (u32, UtcMillis)>>,
}

impl LoginGuard {
    /// Whether the name is locked now.
    pub(crate) fn is_locked(&self, name: &str, now: UtcMillis) -> bool {
        let counts = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(name).is_some_and(|(n, at)| *n >= FAILURES_MAX && now.since_ms(*at) < LOCK_MS)
    }

    /// Notes the outcome of a try; gives whether it was the one that locked the name.
    pub(crate) fn note(&self, name: &str, now: UtcMillis, succeeded: bool) -> bool {
        let mut counts = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded {
            counts.remove(name);
            return false;
        }
        let n = count(&mut counts, name, now);
        n == FAILURES_MAX
    }

    /// Whether this address may try once more.
    pub(crate) fn admits(&self, address: &str, now: UtcMillis) -> bool {
        let mut counts = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut counts, address, now) <= TRIES_PER_ADDRESS_MAX
    }
}

/// One more in the row of this name, which ends when nothing came for a while.
fn count(counts: &mut BTreeMap<String, (u32, UtcMillis)>, name: &str, now: UtcMillis) -> u32 {
    if counts.len() >= NAMES_MAX {
        // Who is locked stays so: otherwise a crowd of invented names would set free the one.
        counts.retain(|_, (n, at)| *n >= FAILURES_MAX && now.since_ms(*at) < LOCK_MS);
    }
    let (n, at) = counts.entry(name.to_owned()).or_insert((0, now));
    if now.since_ms(*at) >= LOCK_MS {
        *n = 0;
    }
    *n += 1;
    *at = now;
    *n
}

/// When each session was last used; volatile, a restart counts as use.
pub(crate) struct Idle {
    last: Mutex<BTreeMap<Digest, UtcMillis>>,
    started: UtcMillis,
}

/// Sessions remembered before those that are over are forgotten.
const SESSIONS_MAX: usize = 10_000;

impl Idle {
    pub(crate) fn new(started: UtcMillis) -> Self {
        Self { last: Mutex::default(), started }
    }

    /// Notes that a session opened at `opened` is used; false if it was not for longer than `idle_ms`.
    pub(crate) fn touch(&self, session: Digest, opened: UtcMillis, now: UtcMillis, idle_ms: u64) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.get(&session).copied().unwrap_or(opened.max(self.started));
        if now.since_ms(before) >= idle_ms {
            last.remove(&session);
            return false;
        }
        if last.len() >= SESSIONS_MAX {
            last.retain(|_, at| now.since_ms(*at) < idle_ms);
        }
        last.insert(session, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p11_300d_five_wrong_passwords_lock_a_name_for_a_minute() {
        let guard = LoginGuard::default();
        let t = UtcMillis(1_000_000);
        for n in 1..=FAILURES_MAX {
            assert!(!guard.is_locked("user-a", t));
            assert_eq!(guard.note("user-a", t, false), n == FAILURES_MAX, "the lock is told once");
        }
        assert!(guard.is_locked("user-a", t.plus_ms(LOCK_MS - 1)));
        assert!(!guard.is_locked("user-b", t));
        assert!(!guard.is_locked("user-a", t.plus_ms(LOCK_MS)));
        guard.note("user-a", t, true);
        assert!(!guard.is_locked("user-a", t));
    }

    #[test]
    fn p11_300d_invented_names_do_not_set_a_locked_one_free() {
        let guard = LoginGuard::default();
        let t = UtcMillis(1_000_000);
        (0..FAILURES_MAX).for_each(|_| _ = guard.note("user-a", t, false));
        (0..2 * NAMES_MAX).for_each(|n| _ = guard.note(&format!("made-up-{n}"), t, false));
        assert!(guard.is_locked("user-a", t));
    }

    #[test]
    fn p11_300d_an_address_that_tries_and_tries_is_not_heard() {
        let guard = LoginGuard::default();
        let t = UtcMillis(1_000_000);
        assert!((0..TRIES_PER_ADDRESS_MAX).all(|_| guard.admits("10.0.0.9", t)));
        assert!(!guard.admits("10.0.0.9", t));
        assert!(guard.admits("10.0.0.8", t));
        assert!(guard.admits("10.0.0.9", t.plus_ms(LOCK_MS)));
    }

    #[test]
    fn p11_10d_a_session_that_nobody_uses_is_over() {
        let (t, session) = (UtcMillis(1_000_000), Digest::of(b"a session"));
        let idle = Idle::new(t);
        assert!(idle.touch(session, t, t.plus_ms(999), 1_000));
        assert!(idle.touch(session, t, t.plus_ms(1_998), 1_000));
        assert!(!idle.touch(session, t, t.plus_ms(2_998), 1_000));
        assert!(!idle.touch(session, t, t.plus_ms(2_999), 1_000), "and stays so");
    }
}
