//! What is counted about callers and kept nowhere: attempts to sign in by address, requests, and when a session was last used.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mdfm_service::{Bucket, network};
use mdfm_shared::digest::Digest;
use mdfm_shared::time::UtcMillis;

/// Addresses remembered.
const ADDRESSES_MAX: usize = 10_000;
/// Sign-ins from one network within [`TRIES_MS`] that are checked beside each other; those beyond it one after the other.
const TRIES_UNSUSPECTED: u32 = 5;
/// Sign-ins tried from one network within [`TRIES_MS`].
const TRIES_PER_ADDRESS_MAX: u32 = 60;
const TRIES_MS: u64 = 60_000;

/// Counts attempts to sign in by network; volatile, a restart forgives.
#[derive(Default)]
pub(crate) struct LoginGuard {
    addresses: Mutex<BTreeMap<String, (u32, UtcMillis)>>,
}

impl LoginGuard {
    /// Whether the network has tried more sign-ins than it may without waiting for its turn: whoever guesses takes one place to check passwords, and
    /// leaves the others to people.
    pub(crate) fn is_suspect(&self, address: IpAddr, now: UtcMillis) -> bool {
        let counts = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let held = counts.get(&network(address).to_string());
        held.is_some_and(|(n, at)| *n > TRIES_UNSUSPECTED && now.since_ms(*at) < TRIES_MS)
    }

    /// Whether this address may try once more. Addresses of one network count as one.
    pub(crate) fn admits(&self, address: IpAddr, now: UtcMillis) -> bool {
        let mut counts = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut counts, &network(address).to_string(), now) <= TRIES_PER_ADDRESS_MAX
    }
}

/// One more attempt from this address, whose count begins again when none came for a minute.
fn count(counts: &mut BTreeMap<String, (u32, UtcMillis)>, address: &str, now: UtcMillis) -> u32 {
    if counts.len() >= ADDRESSES_MAX {
        counts.retain(|_, (_, at)| now.since_ms(*at) < TRIES_MS);
    }
    let (n, at) = counts.entry(address.to_owned()).or_insert((0, now));
    if now.since_ms(*at) >= TRIES_MS {
        *n = 0;
    }
    *n = n.saturating_add(1);
    *at = now;
    *n
}

/// Callers whose requests are counted; beyond it those are forgotten who have not called for a while, and new ones count as one.
const CALLERS_MAX: usize = 10_000;
const OTHERS: &str = "others";
/// So many times a second's share may come at once.
const AT_ONCE: u64 = 4;
/// One who calls too often is told so in the audit log once in this time.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Requests by caller.
pub(crate) struct RequestRates {
    per_second: u64,
    callers: Mutex<HashMap<String, Calls>>,
    /// Networks of strangers, apart: however many they are, they take no place of somebody known.
    strangers: Mutex<HashMap<String, Calls>>,
}

struct Calls {
    bucket: Bucket,
    last: Instant,
    told: Option<Instant>,
}

/// More requests than a caller may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// Whether nobody was told of it lately.
    pub(crate) is_news: bool,
}

impl RequestRates {
    /// So many a second for each caller.
    pub(crate) fn new(per_second: u64) -> Self {
        Self { per_second, callers: Mutex::default(), strangers: Mutex::default() }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// It is one too many.
    pub(crate) fn count(&self, caller: &str, now: Instant) -> Result<(), TooMany> {
        self.count_part(caller, 1, now)
    }

    /// As [`Self::count`], with one in `part` of what callers may do.
    ///
    /// # Errors
    /// It is one too many.
    pub(crate) fn count_part(&self, caller: &str, part: u64, now: Instant) -> Result<(), TooMany> {
        self.count_in(&self.callers, caller, part, now)
    }

    /// As [`Self::count_part`], for the strangers of a network.
    ///
    /// # Errors
    /// It is one too many.
    pub(crate) fn count_strangers(&self, network: &str, part: u64, now: Instant) -> Result<(), TooMany> {
        self.count_in(&self.strangers, network, part, now)
    }

    fn count_in(
        &self,
        callers: &Mutex<HashMap<String, Calls>>,
        caller: &str,
        part: u64,
        now: Instant,
    ) -> Result<(), TooMany> {
        let per_second = (self.per_second / part.max(1)).max(1);
        let mut callers = callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= CALLERS_MAX && !callers.contains_key(caller) {
            // Whoever has been quiet for so long has a full bucket again, and nothing that was told of them lately.
            callers.retain(|_, calls| now.saturating_duration_since(calls.last) < TOLD_EVERY);
        }
        let is_known = callers.len() < CALLERS_MAX || callers.contains_key(caller);
        let caller = if is_known { caller } else { OTHERS };
        let most = per_second.saturating_mul(AT_ONCE);
        let fresh = || Calls { bucket: Bucket::new(per_second, most, now), last: now, told: None };
        let calls = callers.entry(caller.to_owned()).or_insert_with(fresh);
        calls.last = now;
        if calls.bucket.try_take(now) {
            return Ok(());
        }
        let is_news = calls.told.is_none_or(|told| now.saturating_duration_since(told) >= TOLD_EVERY);
        calls.told = if is_news { Some(now) } else { calls.told };
        Err(TooMany { is_news })
    }
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

    /// Whether a session is used often enough still; that it is asked about is no use of it.
    pub(crate) fn is_live(&self, session: Digest, opened: UtcMillis, now: UtcMillis, idle_ms: u64) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        now.since_ms(last.get(&session).copied().unwrap_or(opened.max(self.started))) < idle_ms
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
    fn att_15_who_asks_too_often_waits_and_nobody_else_does() {
        let (rates, start) = (RequestRates::new(10), Instant::now());
        let passed = |caller: &str, at: Instant| (0..100).filter(|_| rates.count(caller, at).is_ok()).count();
        assert_eq!(passed("user-a", start), 40, "four seconds' share at once");
        assert_eq!(rates.count("user-a", start), Err(TooMany { is_news: false }), "told once");
        assert_eq!(rates.count("user-b", start), Ok(()), "another caller has a share of their own");
        assert_eq!(passed("user-a", start + Duration::from_secs(1)), 10);
        assert_eq!(passed("user-a", start + Duration::from_secs(61)), 40);
        let kept = || rates.callers.lock().expect("whole").len();
        let passed = (0..CALLERS_MAX * 2).filter(|n| rates.count(&n.to_string(), start).is_ok()).count();
        assert_eq!((passed, kept()), (CALLERS_MAX - 2 + 40, CALLERS_MAX + 1), "a crowd of names is one caller");
        assert_eq!(rates.count_strangers("10.0.0.1", 1, start), Ok(()), "strangers are counted apart");
        assert_eq!(rates.count("one more", start + Duration::from_secs(3_600)), Ok(()));
        assert_eq!(kept(), 1, "who has gone is forgotten");
    }

    #[test]
    fn p11_300d_an_address_that_tries_and_tries_is_not_heard() {
        let guard = LoginGuard::default();
        let t = UtcMillis(1_000_000);
        let ip = |last: u8| IpAddr::from([10, 0, 0, last]);
        assert!((0..TRIES_PER_ADDRESS_MAX).all(|_| guard.admits(ip(9), t)));
        assert!(!guard.admits(ip(9), t));
        assert!(guard.admits(ip(8), t));
        assert!(guard.is_suspect(ip(9), t) && !guard.is_suspect(ip(8), t));
        assert!(guard.admits(ip(9), t.plus_ms(TRIES_MS)));
    }

    #[test]
    fn sec_20_sign_in_tries_are_counted_by_ipv6_network() {
        let (guard, t) = (LoginGuard::default(), UtcMillis(1_000_000));
        let of = |net: u128, host: u128| IpAddr::from(((0x2001_0db8_u128 << 96) | (net << 64) | host).to_be_bytes());
        let admitted = (0..1_000).filter(|host| guard.admits(of(1, *host), t)).count();
        assert_eq!(admitted, TRIES_PER_ADDRESS_MAX as usize, "a fresh address for each try is the same network");
        assert!(guard.admits(of(2, 0), t), "another network may try");
        assert!(guard.admits("::ffff:192.0.2.1".parse().expect("an address"), t));
        assert!((1..TRIES_PER_ADDRESS_MAX).all(|_| guard.admits(IpAddr::from([192, 0, 2, 1]), t)));
        assert!(!guard.admits(IpAddr::from([192, 0, 2, 1]), t), "IPv4 in IPv6 is the same client");
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
