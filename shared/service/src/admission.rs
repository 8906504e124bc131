//! Who may hold a connection, by network, pure: time comes in, a decision goes out. Every listener that strangers can reach uses [`Connections`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use mdfm_shared::network::{network, site};

use crate::Bucket;

/// Rates remembered; beyond it those are forgotten that are full again, and all of them if that makes no room.
const RATES_MAX: usize = 65_536;
/// Addresses remembered from which a peer has shown who it is.
const KNOWN_MAX: usize = 1_024;
/// How many times the rate of one address all addresses of one IPv6 network have together, where addresses are counted.
const NEIGHBOURS: u64 = 2;
/// A site that holds more than one in this number of the places for strangers closes its own connections first.
const SHARES: usize = 64;

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Open connections of one network.
    pub open_max: usize,
    /// Of them, connections whose peer has not been authenticated.
    pub strangers_max: usize,
    /// New connections of one network, or of one address, a second; four times as many at once.
    pub per_second: u64,
    /// By what they are counted.
    pub rate_of: RateOf,
    /// Connections of all networks whose peer has not been authenticated. Above it one of those is closed that have shown least.
    pub all_strangers_max: usize,
    /// Connections of all networks that people hold; the rest of the places is for client certificates.
    pub all_people_max: usize,
}

/// By what new connections are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateOf {
    /// By network: for listeners of the internet, where one client has many addresses.
    Network,
    /// By address, and by network twice as many: for listeners of a site, where strangers and known peers are of one network. Whoever uses one address
    /// leaves its neighbours half of the network's; whoever uses many takes what its network has, but for the addresses from which
    /// a peer has shown who it is: these are counted apart.
    Address,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its network holds as many as it may, and every one of them has shown who it is.
    Full,
    /// Its network connects too fast.
    TooFast,
}

/// What the peer of a connection has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet.
    Stranger,
    /// A session of a person, or a token of theirs.
    Person,
    /// A client certificate.
    Certified,
}

/// How far a stranger has come; who has come less far is closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not a byte yet.
    Silent,
    /// In its handshake.
    Shaking,
    /// Waits with nothing to answer.
    Idle,
    /// Has sent the head of a request that is not answered yet.
    Asking,
}

/// The connections of one network.
#[derive(Default)]
struct Network {
    /// Those whose peer has shown who it is.
    known: usize,
    /// The others, by address.
    strangers: Strangers<()>,
    /// How many they are.
    waiting: usize,
}

/// A connection that was let in.
#[derive(Debug)]
pub struct Held {
    number: u64,
    address: IpAddr,
    standing: Standing,
    stage: Stage,
}

impl Held {
    /// What its peer has shown.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }
}

/// Strangers by site, or by address, the oldest of each first.
struct Strangers<T> {
    sites: HashMap<IpAddr, BTreeMap<u64, T>>,
    /// Sites by how many they have, and among equals the one whose oldest came first.
    order: BTreeSet<(usize, Reverse<u64>, IpAddr)>,
}

impl<T> Default for Strangers<T> {
    fn default() -> Self {
        Self { sites: HashMap::new(), order: BTreeSet::new() }
    }
}

impl<T> Strangers<T> {
    fn change<R>(&mut self, site: IpAddr, change: impl FnOnce(&mut BTreeMap<u64, T>) -> R) -> R {
        let place = |held: &BTreeMap<u64, T>| held.keys().next().map(|first| (held.len(), Reverse(*first), site));
        let held = self.sites.entry(site).or_default();
        place(held).map(|before| self.order.remove(&before));
        let done = change(held);
        match place(held) {
            Some(after) => _ = self.order.insert(after),
            None => _ = self.sites.remove(&site),
        }
        done
    }

    /// The site that has the most, and how many it has.
    fn most(&self) -> Option<(usize, IpAddr)> {
        self.order.last().map(|(count, _, site)| (*count, *site))
    }
}

/// Whose new connections are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Counted {
    Address(IpAddr),
    Network(IpAddr),
}

/// The open connections of one listener. `T` is what closes a connection.
pub struct Connections<T> {
    limits: ConnectionLimits,
    /// Those with open connections.
    networks: HashMap<IpAddr, Network>,
    rates: HashMap<Counted, Bucket>,
    /// Addresses from which a peer has shown who it is, the newest last; for [`RateOf::Address`].
    known: VecDeque<IpAddr>,
    /// By [`Stage`], those first that have come less far; each with its address.
    strangers: [Strangers<(IpAddr, T)>; 4],
    /// Of all stages.
    all: Strangers<()>,
    waiting: usize,
    people: usize,
    last_number: u64,
}

impl<T> Connections<T> {
    /// No connections yet.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Self {
        let strangers = std::array::from_fn(|_| Strangers::default());
        let all = Strangers::default();
        let (networks, rates) = (HashMap::new(), HashMap::new());
        let known = VecDeque::new();
        Self { limits, networks, rates, known, strangers, all, waiting: 0, people: 0, last_number: 0 }
    }

    /// Admits a stranger. Returns its place, and what closes another stranger if there are too many. Where its network holds as many as it may, that is
    /// one of this network: of the address with the most, the oldest of those that have come least far. Where one site holds more than its share, it is one of that site, whatever they ask
    /// for; otherwise one that has come least far, of the site with the most of those. So nobody is kept out by connections that show nothing, and
    /// whoever opens many closes their own.
    ///
    /// # Errors
    /// Its network has too many connections of known peers, or makes connections too fast.
    pub fn enter(&mut self, now: Instant, address: IpAddr, closer: T) -> Result<(Held, Option<T>), Refused> {
        let ConnectionLimits { open_max, strangers_max, all_strangers_max, .. } = self.limits;
        let address = address.to_canonical();
        let network = network(address);
        let (known, waiting) = self.networks.get(&network).map_or((0, 0), |n| (n.known, n.waiting));
        if known >= open_max {
            return Err(Refused::Full);
        }
        if !self.takes(now, address) {
            return Err(Refused::TooFast);
        }
        let is_crowded = waiting > 0 && (waiting >= strangers_max || known + waiting >= open_max);
        let evicted = if is_crowded {
            self.evict_of(network)
        } else if self.waiting >= all_strangers_max {
            self.evict()
        } else {
            None
        };
        self.waiting += 1;
        self.last_number += 1;
        let held = Held { number: self.last_number, address, standing: Standing::Stranger, stage: Stage::Silent };
        let counted = self.networks.entry(network).or_default();
        counted.waiting += 1;
        counted.strangers.change(address, |at| at.insert(held.number, ()));
        self.of(&held).change(site(address), |at| at.insert(held.number, (address, closer)));
        self.all.change(site(address), |at| at.insert(held.number, ()));
        Ok((held, evicted))
    }

    /// Counts a connection; returns whether it comes slowly enough.
    fn takes(&mut self, now: Instant, address: IpAddr) -> bool {
        let ConnectionLimits { per_second, rate_of, .. } = self.limits;
        let (own, all) = (Counted::Address(address), Counted::Network(network(address)));
        if rate_of == RateOf::Network {
            return self.rate(all, per_second, now).try_take(now);
        }
        let is_alone = network(address) == address && address.is_ipv4();
        if is_alone || self.known.contains(&address) {
            return self.rate(own, per_second, now).try_take(now);
        }
        // Of a network that has used up its own nothing is remembered, and an address that has used up its own takes nothing of its neighbours'.
        let together = per_second.saturating_mul(NEIGHBOURS);
        self.rate(all, together, now).has_one(now)
            && self.rate(own, per_second, now).try_take(now)
            && self.rate(all, together, now).try_take(now)
    }

    fn rate(&mut self, counted: Counted, per_second: u64, now: Instant) -> &mut Bucket {
        if self.rates.len() >= RATES_MAX && !self.rates.contains_key(&counted) {
            self.rates.retain(|_, bucket| !bucket.is_full(now));
            if self.rates.len() >= RATES_MAX {
                self.rates.clear();
            }
        }
        let fresh = || Bucket::new(per_second, per_second.saturating_mul(4), now);
        self.rates.entry(counted).or_insert_with(fresh)
    }

    /// Remembers an address from which a peer has shown who it is.
    fn know(&mut self, address: IpAddr) {
        if self.limits.rate_of != RateOf::Address || address.is_ipv4() {
            return;
        }
        self.known.retain(|held| *held != address);
        self.known.push_back(address);
        let over = self.known.len().saturating_sub(KNOWN_MAX);
        self.known.drain(..over);
    }

    /// Takes out the stranger that makes room for another of its network.
    fn evict_of(&mut self, network: IpAddr) -> Option<T> {
        let (_, address) = self.networks.get(&network)?.strangers.most()?;
        let number = self.strangers.iter().find_map(|stage| {
            let held = stage.sites.get(&site(address))?;
            held.iter().find(|(_, (from, _))| *from == address).map(|(number, _)| *number)
        })?;
        self.remove(address, number)
    }

    /// Takes out the stranger that makes room for another.
    fn evict(&mut self) -> Option<T> {
        let share = (self.limits.all_strangers_max / SHARES).max(1);
        let crowd = self.all.most().filter(|(count, _)| *count > share).map(|(_, site)| site);
        let (address, number) = self.strangers.iter().find_map(|stage| {
            let site = match crowd {
                Some(site) => site,
                None => stage.most()?.1,
            };
            let (number, (address, _)) = stage.sites.get(&site)?.first_key_value()?;
            Some((*address, *number))
        })?;
        self.remove(address, number)
    }

    /// Takes a stranger out of every count; `None` if it was taken out before.
    fn remove(&mut self, address: IpAddr, number: u64) -> Option<T> {
        let site = site(address);
        let stages = &mut self.strangers;
        let stage = stages.iter_mut().find(|s| s.sites.get(&site).is_some_and(|held| held.contains_key(&number)))?;
        let (_, closer) = stage.change(site, |at| at.remove(&number))?;
        self.all.change(site, |at| at.remove(&number));
        self.waiting -= 1;
        if let Some(counted) = self.networks.get_mut(&network(address)) {
            counted.strangers.change(address, |at| at.remove(&number));
            counted.waiting = counted.waiting.saturating_sub(1);
        }
        Some(closer)
    }

    /// Forgets a network without connections.
    fn tidy(&mut self, network: IpAddr) {
        if self.networks.get(&network).is_some_and(|n| n.known == 0 && n.waiting == 0) {
            self.networks.remove(&network);
        }
    }

    fn of(&mut self, held: &Held) -> &mut Strangers<(IpAddr, T)> {
        let [silent, shaking, idle, asking] = &mut self.strangers;
        match held.stage {
            Stage::Silent => silent,
            Stage::Shaking => shaking,
            Stage::Idle => idle,
            Stage::Asking => asking,
        }
    }

    /// A stranger has come further, or waits again.
    pub fn reached(&mut self, held: &mut Held, stage: Stage) {
        if held.standing != Standing::Stranger || held.stage == stage {
            return;
        }
        let site = site(held.address);
        let taken = self.of(held).change(site, |at| at.remove(&held.number));
        held.stage = stage;
        if let Some(closer) = taken {
            self.of(held).change(site, |at| at.insert(held.number, closer));
        }
    }

    /// The peer has shown who it is. A person stays a stranger while people hold all of their places; one whose place was given to another stays one, as
    /// its connection ends.
    pub fn identified(&mut self, held: &mut Held, standing: Standing) {
        if held.standing != Standing::Stranger || standing == Standing::Stranger {
            return;
        }
        if standing == Standing::Person && self.people >= self.limits.all_people_max {
            return;
        }
        if self.remove(held.address, held.number).is_none() {
            return;
        }
        self.people += usize::from(standing == Standing::Person);
        held.standing = standing;
        self.know(held.address);
        self.networks.entry(network(held.address)).or_default().known += 1;
    }

    /// A connection ended.
    pub fn leave(&mut self, held: &Held) {
        let network = network(held.address);
        match held.standing {
            // One whose place was given to another is counted no more.
            Standing::Stranger => drop(self.remove(held.address, held.number)),
            Standing::Person | Standing::Certified => {
                self.people -= usize::from(held.standing == Standing::Person);
                if let Some(counted) = self.networks.get_mut(&network) {
                    counted.known = counted.known.saturating_sub(1);
                }
            }
        }
        self.tidy(network);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        open_max: 20,
        strangers_max: 5,
        per_second: 10,
        rate_of: RateOf::Network,
        all_strangers_max: 8,
        all_people_max: 2,
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn att_13_one_address_takes_its_share_and_no_more() {
        let start = Instant::now();
        let mut connections = Connections::new(LIMITS);
        let (bad, good) = (ip("192.0.2.7"), ip("192.0.2.8"));
        let mut held: Vec<Held> = (0..5).map(|_| connections.enter(start, bad, ()).expect("free").0).collect();
        let (sixth, evicted) = connections.enter(start, bad, ()).expect("in place of the oldest");
        assert_eq!(evicted, Some(()), "five strangers at once");
        connections.leave(&held.remove(0));
        held.push(sixth);
        assert!(
            connections.enter(start, good, ()).is_ok_and(|(_, e)| e.is_none()),
            "another address has its own share"
        );
        held.iter_mut().for_each(|h| connections.identified(h, Standing::Certified));
        while let Ok((mut one, _)) = connections.enter(start, bad, ()) {
            connections.identified(&mut one, Standing::Certified);
            held.push(one);
        }
        assert_eq!(held.len(), 20, "twenty open at once");
        assert_eq!(connections.enter(start, bad, ()).err(), Some(Refused::Full), "known ones are never closed");
        held.iter().for_each(|h| connections.leave(h));
        let mut fast = 0;
        while let Ok((one, _)) = connections.enter(start, bad, ()) {
            connections.leave(&one);
            fast += 1;
        }
        assert_eq!(fast, 19, "forty at once, twenty-one were spent");
        assert_eq!(connections.enter(start, bad, ()).err(), Some(Refused::TooFast));
        assert!(connections.enter(start + Duration::from_millis(150), bad, ()).is_ok(), "ten a second");
    }

    /// The sample: 64 strangers of one address or network held its places, and no device behind it could connect.
    #[test]
    fn sec_20_strangers_of_its_own_network_keep_nobody_out() {
        let start = Instant::now();
        let limits = ConnectionLimits { rate_of: RateOf::Address, ..LIMITS };
        for (strangers, device) in [("192.0.2.7", "192.0.2.7"), ("2001:db8::9", "2001:db8::1")] {
            let mut connections = Connections::new(limits);
            let mut held = Vec::new();
            let mut enter = |connections: &mut Connections<&'static str>, from: &str, name, at: u64| {
                let (one, evicted) =
                    connections.enter(start + Duration::from_secs(at), ip(from), name).expect("let in");
                held.push(one);
                evicted
            };
            for n in 0..5 {
                assert_eq!(enter(&mut connections, strangers, "stranger", n), None);
            }
            assert_eq!(enter(&mut connections, device, "device", 5), Some("stranger"), "their oldest makes room");
            for n in 6..10 {
                assert_eq!(enter(&mut connections, strangers, "stranger", n), Some("stranger"), "and again");
            }
            let mut device = held.remove(5);
            connections.identified(&mut device, Standing::Certified);
            assert_eq!(
                device.standing(),
                Standing::Certified,
                "it has had the time of four connections to show itself"
            );
            held.iter().for_each(|one| connections.leave(one));
            connections.leave(&device);
            assert!(connections.networks.is_empty() && connections.waiting == 0);
        }
    }

    #[test]
    fn sec_20_a_full_network_closes_what_has_come_least_far() {
        let start = Instant::now();
        let mut connections = Connections::new(LIMITS);
        let address = ip("192.0.2.7");
        let (mut first, _) = connections.enter(start, address, "asking").expect("let in");
        connections.reached(&mut first, Stage::Asking);
        for _ in 0..4 {
            assert_eq!(connections.enter(start, address, "silent").expect("let in").1, None);
        }
        for _ in 0..4 {
            assert_eq!(connections.enter(start, address, "silent").expect("let in").1, Some("silent"));
        }
    }

    #[test]
    fn sec_20_a_rate_by_address_leaves_neighbours_theirs() {
        let start = Instant::now();
        for (rate_of, heard) in [(RateOf::Address, true), (RateOf::Network, false)] {
            let mut connections = Connections::new(ConnectionLimits { rate_of, ..LIMITS });
            let flood = (0..100).filter(|_| connections.enter(start, ip("2001:db8::9"), ()).is_ok()).count();
            assert_eq!(flood, 40);
            assert_eq!(connections.enter(start, ip("2001:db8::1"), ()).is_ok(), heard, "{rate_of:?}");
        }
    }

    fn of_one_network(n: u128) -> IpAddr {
        IpAddr::from((0x2001_0db8_u128 << 96 | n).to_be_bytes())
    }

    /// The sample: a host picked another address of its /64 for each connection, and every one of them began a TLS handshake.
    #[test]
    fn sec_20_many_addresses_of_one_network_have_one_rate() {
        let (start, flood) = (Instant::now(), 100_000_u128);
        for mapped in [false, true] {
            let mut connections = Connections::new(ConnectionLimits { rate_of: RateOf::Address, ..LIMITS });
            let (device, stranger) = (of_one_network(1), of_one_network(2));
            let (mut held, _) = connections.enter(start, device, ()).expect("let in");
            connections.identified(&mut held, Standing::Certified);
            let from = |n| if mapped { ip("::ffff:192.0.2.7") } else { of_one_network(9 + n) };
            let begun = (0..flood).filter(|n| connections.enter(start, from(*n), ()).is_ok()).count();
            assert_eq!(begun, if mapped { 40 } else { 79 }, "handshakes of {flood} connections");
            assert!(connections.rates.len() <= 82, "what is refused is not remembered");
            assert_eq!(connections.enter(start, stranger, ()).is_ok(), mapped, "a neighbour that has shown nothing");
            assert!(connections.enter(start, device, ()).is_ok(), "a known device");
            let later = start + Duration::from_secs(1);
            let begun = (0..flood).filter(|n| connections.enter(later, from(flood + n), ()).is_ok()).count();
            assert_eq!(begun, if mapped { 10 } else { 20 }, "in the next second");
        }
    }

    #[test]
    fn sec_20_known_addresses_are_bounded() {
        let start = Instant::now();
        let mut connections = Connections::new(ConnectionLimits { rate_of: RateOf::Address, ..LIMITS });
        for n in 0..KNOWN_MAX + 100 {
            let now = start + Duration::from_secs(n as u64);
            let (mut held, _) = connections.enter(now, of_one_network(n as u128), ()).expect("let in");
            connections.identified(&mut held, Standing::Certified);
            connections.leave(&held);
        }
        assert_eq!((connections.known.len(), connections.known.front()), (KNOWN_MAX, Some(&of_one_network(100))));
    }

    #[test]
    fn sec_20_rates_of_many_addresses_stay_bounded() {
        let start = Instant::now();
        let mut connections = Connections::new(ConnectionLimits { rate_of: RateOf::Address, ..LIMITS });
        for n in 0..RATES_MAX + 100 {
            let address = IpAddr::from((0x2001_0db8_u128 << 96 | (n as u128) << 64).to_be_bytes());
            let (one, _) = connections.enter(start, address, ()).expect("let in");
            connections.leave(&one);
        }
        assert!(connections.rates.len() <= RATES_MAX && connections.networks.is_empty());
    }

    /// An evicted connection that shows itself too late takes no place from anybody.
    #[test]
    fn sec_20_an_evicted_connection_is_counted_no_more() {
        let start = Instant::now();
        let mut connections = Connections::new(ConnectionLimits { strangers_max: 1, ..LIMITS });
        let (mut first, _) = connections.enter(start, ip("192.0.2.7"), 1).expect("let in");
        let (second, evicted) = connections.enter(start, ip("192.0.2.7"), 2).expect("let in");
        assert_eq!(evicted, Some(1));
        connections.identified(&mut first, Standing::Person);
        assert_eq!((first.standing(), connections.people), (Standing::Stranger, 0));
        connections.leave(&first);
        assert_eq!(connections.networks[&ip("192.0.2.7")].waiting, 1);
        connections.leave(&second);
        assert!(connections.networks.is_empty());
    }

    #[test]
    fn sec_9_silent_strangers_of_many_networks_keep_nobody_out() {
        let start = Instant::now();
        let mut connections = Connections::new(LIMITS);
        let mut closed = Vec::new();
        let mut gateway = connections.enter(start, ip("198.51.100.1"), "gateway").expect("free").0;
        connections.identified(&mut gateway, Standing::Certified);
        for n in 0..100_u8 {
            let (_, evicted) = connections.enter(start, IpAddr::from([10, 0, n, 1]), "silent").expect("let in");
            closed.extend(evicted);
        }
        assert_eq!(closed, vec!["silent"; 92], "the oldest strangers, and nobody who is known");
    }

    #[test]
    fn sec_9_people_leave_places_for_certificates() {
        let start = Instant::now();
        let mut connections = Connections::new(LIMITS);
        let mut standings = Vec::new();
        for n in 0..4_u8 {
            let (mut held, _) = connections.enter(start, IpAddr::from([10, 0, n, 1]), ()).expect("let in");
            connections.identified(&mut held, Standing::Person);
            standings.push(held.standing);
            if n == 2 {
                connections.leave(&held);
            }
        }
        assert_eq!(standings, [Standing::Person, Standing::Person, Standing::Stranger, Standing::Stranger]);
    }

    /// Whom the crowd closes: itself, those that have come least far first.
    #[test]
    fn sec_9_a_crowd_of_strangers_closes_its_own() {
        let start = Instant::now();
        let limits = ConnectionLimits { strangers_max: 20, ..LIMITS };
        // How far somebody has come, alone in their network, while twelve networks open eight connections each.
        for (mine, theirs) in [
            (Stage::Asking, Stage::Asking),
            (Stage::Asking, Stage::Silent),
            (Stage::Idle, Stage::Shaking),
            (Stage::Shaking, Stage::Silent),
            (Stage::Silent, Stage::Silent),
            (Stage::Silent, Stage::Asking),
        ] {
            let mut connections = Connections::new(ConnectionLimits { all_strangers_max: 24, ..limits });
            let mut one = connections.enter(start, ip("198.51.100.1"), "one").expect("let in").0;
            connections.reached(&mut one, mine);
            let mut closed = Vec::new();
            for n in 0..96_u8 {
                let (mut held, evicted) =
                    connections.enter(start, IpAddr::from([10, 0, 0, n % 12]), "crowd").expect("let in");
                connections.reached(&mut held, theirs);
                closed.extend(evicted);
            }
            assert_eq!(closed, vec!["crowd"; 73], "{mine:?} among {theirs:?}");
            connections.leave(&one);
            assert_eq!(connections.waiting, 23);
        }
    }

    #[test]
    fn sec_9_networks_of_one_ipv6_site_are_one_crowd() {
        let start = Instant::now();
        let mut connections = Connections::new(LIMITS);
        let others: Vec<_> =
            (1..=2).map(|n| connections.enter(start, ip(&format!("2001:db8:{n}::1")), "other")).collect();
        let crowd =
            (0..100).filter_map(|n| connections.enter(start, ip(&format!("2001:db8:9:{n:x}::1")), "crowd").ok()?.1);
        assert!(others.iter().all(Result::is_ok) && crowd.collect::<Vec<_>>() == vec!["crowd"; 94]);
    }

    /// Whatever the order of events, what is counted is what is there.
    #[test]
    fn sec_9_counts_of_strangers_follow_every_change() {
        let start = Instant::now();
        let mut connections = Connections::new(LIMITS);
        let mut held: Vec<Held> = Vec::new();
        let stages = [Stage::Silent, Stage::Shaking, Stage::Idle, Stage::Asking];
        for n in 0..400_usize {
            let now = start + Duration::from_secs(n as u64);
            if let Ok((one, _)) = connections.enter(now, IpAddr::from([10, 0, 0, (n % 7) as u8]), ()) {
                held.push(one);
            }
            let at = n * 31 % held.len();
            connections.reached(&mut held[at], stages[n % 4]);
            if n % 5 == 0 {
                connections.identified(&mut held[at], if n % 2 == 0 { Standing::Person } else { Standing::Certified });
            }
            if n % 3 != 0 {
                connections.leave(&held.swap_remove(n * 17 % held.len().max(1)));
            }
            let there: usize = connections.strangers.iter().flat_map(|s| s.sites.values()).map(BTreeMap::len).sum();
            let ordered: usize = connections.strangers.iter().flat_map(|s| &s.order).map(|(count, ..)| count).sum();
            let all: usize = connections.all.sites.values().map(BTreeMap::len).sum();
            assert_eq!((there, ordered, all), (connections.waiting, connections.waiting, connections.waiting));
            let by_network: usize = connections.networks.values().map(|n| n.waiting).sum();
            let by_address = connections.networks.values().flat_map(|n| n.strangers.sites.values());
            assert_eq!((by_network, by_address.map(BTreeMap::len).sum()), (there, there));
            assert!(connections.waiting <= LIMITS.all_strangers_max);
        }
        held.iter().for_each(|one| connections.leave(one));
        assert_eq!((connections.waiting, connections.people, connections.networks.len()), (0, 0, 0));
    }
}
