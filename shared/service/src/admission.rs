//! Who may hold a connection, by network, pure: time comes in, a decision goes out. Every address-keyed limit of the programs uses [`network`],
//! and every listener that strangers can reach uses [`Connections`].

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use crate::Bucket;

/// Networks remembered; beyond it those with no open connection are forgotten.
const NETWORKS_MAX: usize = 65_536;

/// The address that limits count by: an IPv4 address (also one mapped into IPv6), or the IPv6 network of 64 bits. A client picks freely among the
/// addresses of its /64, so all of them count as one.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Open connections of one network.
    pub open_max: usize,
    /// Of them, connections whose peer has not been authenticated.
    pub strangers_max: usize,
    /// New connections of one network a second; four times as many at once.
    pub per_second: u64,
    /// Connections of all networks whose peer has not been authenticated. Above it the oldest one is closed.
    pub all_strangers_max: usize,
    /// Connections of all networks that people hold; the rest of the places is for client certificates.
    pub all_people_max: usize,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its network holds as many as it may.
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

struct Network {
    open: usize,
    strangers: usize,
    bucket: Bucket,
}

/// A connection that was let in.
#[derive(Debug)]
pub struct Held {
    number: u64,
    network: IpAddr,
    standing: Standing,
}

/// The open connections of one listener. `T` is what closes a connection.
pub struct Connections<T> {
    limits: ConnectionLimits,
    networks: HashMap<IpAddr, Network>,
    /// Strangers, the oldest first.
    strangers: BTreeMap<u64, T>,
    people: usize,
    last_number: u64,
}

impl<T> Connections<T> {
    /// No connections yet.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Self {
        Self { limits, networks: HashMap::new(), strangers: BTreeMap::new(), people: 0, last_number: 0 }
    }

    /// Admits a stranger. Returns its place, and what closes the oldest stranger if there are too many: a connection that shows nothing keeps nobody
    /// out.
    ///
    /// # Errors
    /// Its network has too many connections, or makes them too fast.
    pub fn enter(&mut self, now: Instant, address: IpAddr, closer: T) -> Result<(Held, Option<T>), Refused> {
        if self.networks.len() >= NETWORKS_MAX {
            self.networks.retain(|_, n| n.open > 0);
        }
        let ConnectionLimits { open_max, strangers_max, per_second, all_strangers_max, .. } = self.limits;
        let fresh =
            || Network { open: 0, strangers: 0, bucket: Bucket::new(per_second, per_second.saturating_mul(4), now) };
        let network = network(address);
        let counted = self.networks.entry(network).or_insert_with(fresh);
        if counted.open >= open_max || counted.strangers >= strangers_max {
            return Err(Refused::Full);
        }
        if !counted.bucket.try_take(now) {
            return Err(Refused::TooFast);
        }
        counted.open += 1;
        counted.strangers += 1;
        let evicted =
            if self.strangers.len() >= all_strangers_max { self.strangers.pop_first().map(|(_, t)| t) } else { None };
        self.last_number += 1;
        self.strangers.insert(self.last_number, closer);
        Ok((Held { number: self.last_number, network, standing: Standing::Stranger }, evicted))
    }

    /// The peer has shown who it is. A person stays a stranger while people hold all of their places.
    pub fn identified(&mut self, held: &mut Held, standing: Standing) {
        if held.standing != Standing::Stranger || standing == Standing::Stranger {
            return;
        }
        if standing == Standing::Person {
            if self.people >= self.limits.all_people_max {
                return;
            }
            self.people += 1;
        }
        held.standing = standing;
        self.strangers.remove(&held.number);
        if let Some(counted) = self.networks.get_mut(&held.network) {
            counted.strangers = counted.strangers.saturating_sub(1);
        }
    }

    /// A connection ended.
    pub fn leave(&mut self, held: &Held) {
        self.strangers.remove(&held.number);
        self.people -= usize::from(held.standing == Standing::Person);
        if let Some(counted) = self.networks.get_mut(&held.network) {
            counted.open = counted.open.saturating_sub(1);
            counted.strangers = counted.strangers.saturating_sub(usize::from(held.standing == Standing::Stranger));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: ConnectionLimits =
        ConnectionLimits { open_max: 20, strangers_max: 5, per_second: 10, all_strangers_max: 8, all_people_max: 2 };

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn att_13_one_address_takes_its_share_and_no_more() {
        let start = Instant::now();
        let mut connections = Connections::new(LIMITS);
        let (bad, good) = (ip("192.0.2.7"), ip("192.0.2.8"));
        let mut held: Vec<Held> = (0..5).map(|_| connections.enter(start, bad, ()).expect("free").0).collect();
        assert_eq!(connections.enter(start, bad, ()).err(), Some(Refused::Full), "five strangers at once");
        assert!(connections.enter(start, good, ()).is_ok(), "another address has its own share");
        held.iter_mut().for_each(|h| connections.identified(h, Standing::Certified));
        while let Ok((mut one, _)) = connections.enter(start, bad, ()) {
            connections.identified(&mut one, Standing::Certified);
            held.push(one);
        }
        assert_eq!(held.len(), 20, "twenty open at once");
        held.iter().for_each(|h| connections.leave(h));
        let mut fast = 0;
        while let Ok((one, _)) = connections.enter(start, bad, ()) {
            connections.leave(&one);
            fast += 1;
        }
        assert_eq!(fast, 20, "forty at once, twenty were spent");
        assert_eq!(connections.enter(start, bad, ()).err(), Some(Refused::TooFast));
        assert!(connections.enter(start + Duration::from_millis(150), bad, ()).is_ok(), "ten a second");
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

    #[test]
    fn sec_20_addresses_of_one_ipv6_network_are_one() {
        assert_eq!(network(ip("2001:db8:1:2:3::4")), network(ip("2001:db8:1:2:ffff::9")));
        assert_ne!(network(ip("2001:db8:1:2::1")), network(ip("2001:db8:1:3::1")));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }
}
