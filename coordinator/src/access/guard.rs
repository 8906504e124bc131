//! What is counted about callers and kept nowhere: attempts to sign in by address, requests, and when a session was last used.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mdfm_service::Bucket;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use mdfm_shared::network::{network, site};
use mdfm_shared::time::{MonotonicMs, UtcMillis};

use super::SessionPolicy;

/// Sign-ins tried from one network: so many at once, and one more each second. What was refused counts for nothing.
const TRIES_AT_ONCE: u64 = 60;
const TRIES_PER_SECOND: u64 = 1;

/// Callers of one table.
const CALLERS_MAX: usize = 10_000;
/// Networks of one IPv6 site that are counted apart; the others of that site are one.
const NETWORKS_OF_A_SITE_MAX: usize = 16;
/// Networks that found no place in a table share what so many have.
const OTHERS_SHARES: u64 = 16;
/// Networks of one gateway that are counted apart.
const NETWORKS_OF_A_GATEWAY_MAX: usize = 64;
/// So many times a second's share may come at once.
const AT_ONCE: u64 = 4;
/// One who calls too often is named in the audit log once in this time.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// A full table is looked through for rows that mean nothing any more as often as this.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Who is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Row {
    /// Somebody known.
    Name(String),
    Network(IpAddr),
    /// Networks of one IPv6 site beyond those that are counted apart.
    Site(IpAddr),
    /// Those who found no place.
    Others,
}

struct Calls {
    bucket: Bucket,
    told: Option<Instant>,
}

/// More requests than a caller may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// Whether this was last said a while ago.
    pub(crate) is_news: bool,
}

/// Buckets by caller, bounded. Rows whose bucket is full again make room: whoever calls seldom leaves nothing behind.
struct Table {
    max: usize,
    rows: HashMap<Row, Calls>,
    /// Rows of networks, by IPv6 site.
    sites: HashMap<IpAddr, usize>,
    swept: Option<Instant>,
}

impl Default for Table {
    fn default() -> Self {
        Self::of(CALLERS_MAX)
    }
}

impl Table {
    /// An empty table of `max` rows.
    fn of(max: usize) -> Self {
        Self { max, rows: HashMap::new(), sites: HashMap::new(), swept: None }
    }

    /// The row that an address is counted in.
    fn row_of(&mut self, address: IpAddr, now: Instant) -> Row {
        let (row, site) = (Row::Network(network(address)), site(address));
        if site.is_ipv4() || self.rows.contains_key(&row) {
            return row;
        }
        let has_place = |table: &Self| table.sites.get(&site).is_none_or(|n| *n < NETWORKS_OF_A_SITE_MAX);
        if !has_place(self) {
            // The networks that took the site's places may have gone.
            self.sweep(now);
        }
        if has_place(self) { row } else { Row::Site(site) }
    }

    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_EVERY) {
            return;
        }
        self.swept = Some(now);
        self.rows.retain(|_, calls| !calls.bucket.is_full(now));
        self.sites.clear();
        for row in self.rows.keys() {
            if let Row::Network(network) = row {
                *self.sites.entry(site(*network)).or_default() += 1;
            }
        }
    }

    /// Counts one call; `others` is how many shares those have together that find no place.
    fn count(&mut self, row: Row, bucket: impl Fn(u64) -> Bucket, others: u64, now: Instant) -> Result<(), TooMany> {
        if self.rows.len() >= self.max && !self.rows.contains_key(&row) {
            self.sweep(now);
        }
        let is_known = self.rows.len() < self.max || self.rows.contains_key(&row);
        let (row, shares) = if is_known { (row, 1) } else { (Row::Others, others) };
        let site = match &row {
            Row::Network(network) if !self.rows.contains_key(&row) => Some(site(*network)),
            _ => None,
        };
        site.into_iter().for_each(|site| *self.sites.entry(site).or_default() += 1);
        let calls = self.rows.entry(row).or_insert_with(|| Calls { bucket: bucket(shares), told: None });
        if calls.bucket.try_take(now) {
            return Ok(());
        }
        let is_news = calls.told.is_none_or(|told| now.saturating_duration_since(told) >= TOLD_EVERY);
        calls.told = if is_news { Some(now) } else { calls.told };
        Err(TooMany { is_news })
    }
}

/// Counts attempts to sign in by network; volatile, a restart forgives.
#[derive(Default)]
pub(crate) struct LoginGuard(Mutex<Table>);

impl LoginGuard {
    /// Whether this address may try once more. Addresses of one network count as one. What is refused is not counted, so that one who tries on
    /// and on keeps nobody of the network out for longer than a second.
    pub(crate) fn admits(&self, address: IpAddr, now: Instant) -> bool {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = table.row_of(address, now);
        let fresh = |shares: u64| Bucket::new(TRIES_PER_SECOND * shares, TRIES_AT_ONCE * shares, now);
        table.count(row, fresh, OTHERS_SHARES, now).is_ok()
    }
}

/// Requests by caller.
pub(crate) struct RequestRates {
    per_second: u64,
    callers: Mutex<Table>,
    /// Requests of each gateway by kind and network: whoever else has its key, in another network, spends nothing of its own.
    gateways: Mutex<HashMap<(&'static str, GatewayId), Table>>,
    /// Networks of strangers, apart, with a table for each class of requests: however many they are, they take no place of somebody known, and
    /// what they ask for in one class keeps nobody from another.
    strangers: Mutex<HashMap<&'static str, Table>>,
}

impl RequestRates {
    /// So many a second for each caller.
    pub(crate) fn new(per_second: u64) -> Self {
        Self { per_second, callers: Mutex::default(), gateways: Mutex::default(), strangers: Mutex::default() }
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
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.count(Row::Name(caller.to_owned()), |shares| self.bucket(part, shares, now), 1, now)
    }

    /// As [`Self::count_part`], for what a gateway asks for from a network.
    ///
    /// # Errors
    /// It is one too many.
    pub(crate) fn count_gateway(
        &self,
        kind: &'static str,
        gateway: &GatewayId,
        address: IpAddr,
        part: u64,
        now: Instant,
    ) -> Result<(), TooMany> {
        let mut gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        // Only certified gateways come so far: there are no more tables than are enrolled.
        let table = gateways.entry((kind, gateway.clone())).or_insert_with(|| Table::of(NETWORKS_OF_A_GATEWAY_MAX));
        let row = table.row_of(address, now);
        table.count(row, |shares| self.bucket(part, shares, now), 1, now)
    }

    /// As [`Self::count_part`], for the strangers of a network and a class of requests.
    ///
    /// # Errors
    /// It is one too many.
    pub(crate) fn count_strangers(
        &self,
        class: &'static str,
        address: IpAddr,
        part: u64,
        now: Instant,
    ) -> Result<(), TooMany> {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let table = strangers.entry(class).or_default();
        let row = table.row_of(address, now);
        table.count(row, |shares| self.bucket(part, shares, now), OTHERS_SHARES, now)
    }

    fn bucket(&self, part: u64, shares: u64, now: Instant) -> Bucket {
        let per_second = (self.per_second / part.max(1)).max(1).saturating_mul(shares);
        Bucket::new(per_second, per_second.saturating_mul(AT_ONCE), now)
    }
}

/// What is known of a session that was opened or used since this process started.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// When it was last used, by the clock of records.
    used_at: UtcMillis,
    /// The same by a clock that nobody sets back.
    used: MonotonicMs,
    /// When it was opened, or this process started, by that clock.
    opened: MonotonicMs,
    /// When its second factor was shown, by that clock; `None` if that was when it was opened.
    shown: Option<MonotonicMs>,
}

/// When each session was opened and last used; volatile, a restart counts as use. A session ends by the clock of records or by one that nobody sets
/// back, whichever is first: the clock of records stands still while somebody has set the machine's clock back.
pub(crate) struct Idle {
    seen: Mutex<BTreeMap<Digest, Seen>>,
    started: Moment,
}

/// One moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// The clock of records.
    pub(crate) now: UtcMillis,
    /// Time since the machine started.
    pub(crate) steady: MonotonicMs,
}

/// Sessions remembered before those that are over are forgotten.
const SESSIONS_MAX: usize = 10_000;

impl Idle {
    pub(crate) fn new(started: Moment) -> Self {
        Self { seen: Mutex::default(), started }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session was opened.
    pub(crate) fn opened(&self, session: Digest, at: Moment, policy: &SessionPolicy) {
        let mut all = self.lock();
        forget(&mut all, at, policy);
        all.insert(session, Seen { used_at: at.now, used: at.steady, opened: at.steady, shown: None });
    }

    /// The second factor was shown in a session.
    pub(crate) fn shown(&self, session: Digest, steady: MonotonicMs) {
        if let Some(seen) = self.lock().get_mut(&session) {
            seen.shown = Some(steady);
        }
    }

    /// What is known of a session that was opened at `opened`.
    fn known(&self, seen: Option<&Seen>, opened: UtcMillis) -> Seen {
        let Moment { now, steady } = self.started;
        seen.copied().unwrap_or(Seen { used_at: opened.max(now), used: steady, opened: steady, shown: None })
    }

    /// Whether a session is used often enough still; that it is asked about is no use of it. Returns how long ago its second factor was shown, in
    /// milliseconds of the clock that nobody sets back; `None` if the session is over.
    pub(crate) fn is_live(
        &self,
        session: Digest,
        opened: UtcMillis,
        at: Moment,
        policy: &SessionPolicy,
    ) -> Option<u64> {
        self.known(self.lock().get(&session), opened).live(at, policy)
    }

    /// For how long a session opened at `opened` was not used, in milliseconds; asking is no use of it.
    pub(crate) fn unused_ms(&self, session: Digest, opened: UtcMillis, at: Moment) -> u64 {
        self.known(self.lock().get(&session), opened).unused_ms(at)
    }

    /// Notes that a session opened at `opened` is used. Returns what [`Self::is_live`] does.
    pub(crate) fn touch(&self, session: Digest, opened: UtcMillis, at: Moment, policy: &SessionPolicy) -> Option<u64> {
        let mut all = self.lock();
        let seen = self.known(all.get(&session), opened);
        let Some(shown_ms) = seen.live(at, policy) else {
            // Kept, so that it stays over.
            all.insert(session, seen);
            return None;
        };
        forget(&mut all, at, policy);
        all.insert(session, Seen { used_at: at.now, used: at.steady, ..seen });
        Some(shown_ms)
    }
}

/// Makes room in a full table.
fn forget(all: &mut BTreeMap<Digest, Seen>, at: Moment, policy: &SessionPolicy) {
    if all.len() >= SESSIONS_MAX {
        all.retain(|_, seen| seen.live(at, policy).is_some());
    }
}

impl Seen {
    fn unused_ms(&self, Moment { now, steady }: Moment) -> u64 {
        now.since_ms(self.used_at).max(steady.since_ms(self.used))
    }

    fn live(&self, at: Moment, policy: &SessionPolicy) -> Option<u64> {
        let steady = at.steady;
        let is_live = self.unused_ms(at) < policy.idle_ms && steady.since_ms(self.opened) < policy.session_ms;
        is_live.then(|| steady.since_ms(self.shown.unwrap_or(self.opened)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::SecondFactorPolicy;
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
        let kept = || rates.callers.lock().expect("whole").rows.len();
        let passed = (0..CALLERS_MAX * 2).filter(|n| rates.count(&n.to_string(), start).is_ok()).count();
        assert_eq!((passed, kept()), (CALLERS_MAX - 2 + 40, CALLERS_MAX + 1), "a crowd of names is one caller");
        let stranger = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(rates.count_strangers("public", stranger, 1, start), Ok(()), "strangers are counted apart");
        assert_eq!(rates.count("one more", start + Duration::from_secs(3_600)), Ok(()));
        assert_eq!(kept(), 1, "who has gone is forgotten");
    }

    /// The sample: one try in 45 seconds kept everybody of a network out for ever.
    #[test]
    fn sec_7_refused_tries_keep_nobody_out() {
        let (guard, start) = (LoginGuard::default(), Instant::now());
        let address = IpAddr::from([127, 7, 7, 7]);
        assert_eq!((0..75).filter(|_| guard.admits(address, start)).count() as u64, TRIES_AT_ONCE);
        for n in 1..100 {
            let now = start + Duration::from_secs(45 * n);
            assert!(guard.admits(address, now) && guard.admits(address, now), "the stranger, and then somebody else");
        }
        let flood = (0..60_000_u64).filter(|n| guard.admits(address, start + Duration::from_millis(10_000_000 + n)));
        assert!((119..=120).contains(&flood.count()), "60 at once, and one a second");
        assert!(guard.admits(IpAddr::from([127, 7, 7, 8]), start), "another network");
    }

    #[test]
    fn p11_300d_an_address_that_tries_and_tries_is_not_heard() {
        let (guard, t) = (LoginGuard::default(), Instant::now());
        let ip = |last: u8| IpAddr::from([10, 0, 0, last]);
        assert!((0..TRIES_AT_ONCE).all(|_| guard.admits(ip(9), t)));
        assert!(!guard.admits(ip(9), t));
        assert!(guard.admits(ip(8), t));
        assert!(guard.admits(ip(9), t + Duration::from_secs(1)));
    }

    #[test]
    fn sec_20_sign_in_tries_are_counted_by_ipv6_network() {
        let (guard, t) = (LoginGuard::default(), Instant::now());
        let of = |net: u128, host: u128| IpAddr::from(((0x2001_0db8_u128 << 96) | (net << 64) | host).to_be_bytes());
        let admitted = |from: &dyn Fn(u128) -> IpAddr| (0..10_000).filter(|n| guard.admits(from(*n), t)).count() as u64;
        assert_eq!(admitted(&|host| of(1, host)), TRIES_AT_ONCE, "a fresh address for each try is the same network");
        assert!(guard.admits(of(2, 0), t), "another network may try");
        let most = NETWORKS_OF_A_SITE_MAX as u64 + TRIES_AT_ONCE;
        assert!(admitted(&|net| of(net + 3, 0)) <= most, "a fresh network for each try is the same site");
        assert!(guard.admits("::ffff:192.0.2.1".parse().expect("an address"), t));
        assert!((1..TRIES_AT_ONCE).all(|_| guard.admits(IpAddr::from([192, 0, 2, 1]), t)));
        assert!(!guard.admits(IpAddr::from([192, 0, 2, 1]), t), "IPv4 in IPv6 is the same client");
    }

    /// The sample: 3,333 networks with three requests each, and nobody unknown signed in, enrolled or asked for health any more.
    #[test]
    fn sec_1_a_crowd_of_networks_is_not_everybody() {
        let (rates, start) = (RequestRates::new(50), Instant::now());
        let ip = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        let classes = [("public", 1), ("sign-in", 5), ("enrolment", 25), ("unknown", 25)];
        for n in 0..3_333 {
            let now = start + Duration::from_millis(u64::from(n) * 7);
            classes.iter().for_each(|(class, part)| _ = rates.count_strangers(class, ip(n), *part, now));
        }
        // A crowd that fills the table of one class within a moment, and goes on in that class.
        let now = start + Duration::from_secs(24);
        (0..40_000).for_each(|n| _ = rates.count_strangers("unknown", ip(n), 25, now));
        for (class, part) in classes {
            let heard = (0..8).filter(|n| rates.count_strangers(class, ip(900_000 + n), part, now).is_ok()).count();
            assert_eq!(heard, if class == "unknown" { 0 } else { 8 }, "{class}");
        }
        let soon = now + Duration::from_secs(1);
        assert_eq!(rates.count_strangers("unknown", ip(900_100), 25, soon), Ok(()), "who calls seldom makes room");
        let tables = rates.strangers.lock().expect("whole");
        assert!(tables.values().all(|table| table.rows.len() <= CALLERS_MAX + 1));
    }

    /// The sample: with a copy of its key, one more network spent the requests of a gateway, and its MQTT over WebSocket was refused.
    #[test]
    fn sec_23_a_copy_of_its_key_spends_no_requests_of_a_gateway() {
        let (rates, now) = (RequestRates::new(10), Instant::now());
        let gateway: GatewayId = "GW-1".parse().expect("an id");
        let ip = |n: u16| IpAddr::from((0x0a00_0000 + u32::from(n)).to_be_bytes());
        let heard = |kind, n| rates.count_gateway(kind, &gateway, ip(n), 2, now).is_ok();
        assert_eq!((0..100).filter(|_| heard("gateway", 1)).count(), 20);
        assert!(heard("mqtt", 1), "requests leave the connections of their own network theirs");
        assert_eq!((0..100).filter(|_| heard("mqtt", 1)).count(), 19);
        assert!(heard("gateway", 2) && heard("mqtt", 2), "and those of another network everything");
        assert_eq!((3..2_000).filter(|n| heard("gateway", *n)).count(), NETWORKS_OF_A_GATEWAY_MAX - 2 + 20);
        let tables = rates.gateways.lock().expect("whole");
        assert!(tables.values().all(|table| table.rows.len() <= NETWORKS_OF_A_GATEWAY_MAX + 1));
    }

    #[test]
    fn sec_1_networks_of_one_ipv6_site_are_one_beyond_a_few() {
        let (rates, now) = (RequestRates::new(50), Instant::now());
        let of =
            |site: u128, net: u128| IpAddr::from(((0x2001_0db8_u128 << 96) | (site << 80) | (net << 64)).to_be_bytes());
        let heard = (0..5_000).filter(|net| rates.count_strangers("enrolment", of(1, *net), 25, now).is_ok()).count();
        assert_eq!(heard, NETWORKS_OF_A_SITE_MAX + 8);
        assert_eq!(rates.strangers.lock().expect("whole")["enrolment"].rows.len(), NETWORKS_OF_A_SITE_MAX + 1);
        assert_eq!(rates.count_strangers("enrolment", of(2, 0), 25, now), Ok(()), "another site");
        // The networks of a site that have gone leave their places to others, however few rows the table has.
        let later = now + Duration::from_secs(3_600);
        let heard = |net| (0..8).filter(|_| rates.count_strangers("enrolment", of(1, net), 25, later).is_ok()).count();
        let rows = 0x10_000..0x10_000 + NETWORKS_OF_A_SITE_MAX as u128;
        assert_eq!(rows.map(heard).sum::<usize>(), NETWORKS_OF_A_SITE_MAX * 8);
    }

    #[test]
    fn p11_10d_a_session_that_nobody_uses_is_over() {
        let (t, session) = (UtcMillis(1_000_000), Digest::of(b"a session"));
        let at = |ms| Moment { now: t.plus_ms(ms), steady: MonotonicMs(7).plus_ms(ms) };
        let (idle, policy) = (Idle::new(at(0)), policy(10_000));
        assert!(idle.touch(session, t, at(999), &policy).is_some());
        assert!(idle.touch(session, t, at(1_998), &policy).is_some());
        assert!(idle.touch(session, t, at(2_998), &policy).is_none());
        assert!(idle.touch(session, t, at(2_999), &policy).is_none(), "and stays so");
    }

    fn policy(session_ms: u64) -> SessionPolicy {
        SessionPolicy { second_factor: SecondFactorPolicy::Required, session_ms, idle_ms: 1_000, step_up_ms: 500 }
    }

    /// The sample: while the clock of the machine stood behind the newest record, no session and no second factor that was shown ended.
    #[test]
    fn sec_11_sessions_end_while_the_clock_stands_behind() {
        let (t, policy) = (UtcMillis(1_000_000), policy(10_000));
        // The clock of records stands still all the time.
        let at = |ms| Moment { now: t, steady: MonotonicMs(7).plus_ms(ms) };
        let idle = Idle::new(at(0));
        let [unused, used, old] = [b"unused", b"used  ", b"old   "].map(|name| Digest::of(name));
        idle.opened(unused, at(5_000), &policy);
        idle.opened(used, at(5_000), &policy);
        assert!(idle.is_live(old, UtcMillis(1), at(999), &policy).is_some(), "a restart counts as use");
        assert!(idle.is_live(old, UtcMillis(1), at(1_000), &policy).is_none());
        assert!(idle.is_live(unused, t, at(5_999), &policy).is_some());
        assert!(idle.touch(unused, t, at(6_000), &policy).is_none(), "nobody used it");
        for ms in (5_900..14_900).step_by(900) {
            assert_eq!(idle.touch(used, t, at(ms), &policy), Some(ms - 5_000), "since it was opened with a code");
        }
        assert_eq!(
            (idle.unused_ms(used, t, at(14_950)), idle.unused_ms(used, t, at(14_950))),
            (950, 950),
            "a look is no use"
        );
        assert!(idle.touch(used, t, at(15_000), &policy).is_none(), "it ends, however much it is used");
        idle.opened(used, at(20_000), &policy);
        idle.shown(used, MonotonicMs(7).plus_ms(20_700));
        assert_eq!(idle.touch(used, t, at(20_800), &policy), Some(100));
    }
}
