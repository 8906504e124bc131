//! The connections of each gateway, pure: a bounded number, and never without room for the next one. Whoever else has a gateway's key cannot keep the
//! gateway out by holding connections: one of the site with the most is closed for a new one, and never the MQTT session.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use mdfm_shared::id::GatewayId;
use mdfm_shared::network::site;

/// An open connection.
struct Open<T> {
    site: IpAddr,
    closer: T,
}

/// Connections of one gateway.
struct Own<T> {
    next: u64,
    /// In the order in which they came.
    open: BTreeMap<u64, Open<T>>,
    /// The newest MQTT session, of which a gateway has one: its number among all sessions, and its connection's.
    session: Option<(u64, u64)>,
}

/// What was closed for a new connection.
pub(super) struct Evicted<T> {
    pub(super) closer: T,
    /// The sites that the gateway's connections come from.
    pub(super) sites: Vec<IpAddr>,
}

/// The open connections of all gateways. `T` is what closes a connection.
pub(super) struct OwnConnections<T> {
    /// Two at least: one for the MQTT session.
    each_max: usize,
    gateways: HashMap<GatewayId, Own<T>>,
}

impl<T> OwnConnections<T> {
    /// No connections yet; `each_max` for each gateway.
    pub(super) fn new(each_max: usize) -> Self {
        Self { each_max: each_max.max(2), gateways: HashMap::new() }
    }

    /// Admits a connection. Returns its number, and what closes another one of this gateway if it has too many: the oldest, but for the MQTT session, of
    /// the site with the most.
    pub(super) fn enter(&mut self, gateway: &GatewayId, address: IpAddr, closer: T) -> (u64, Option<Evicted<T>>) {
        let fresh = || Own { next: 0, open: BTreeMap::new(), session: None };
        let own = self.gateways.entry(gateway.clone()).or_insert_with(fresh);
        let evicted = if own.open.len() >= self.each_max { own.evict() } else { None };
        own.next += 1;
        own.open.insert(own.next, Open { site: site(address), closer });
        (own.next, evicted)
    }

    /// A connection holds the gateway's MQTT session of this number. A newer session takes the place of an older one.
    pub(super) fn holds_session(&mut self, gateway: &GatewayId, connection: u64, session: u64) {
        if let Some(own) = self.gateways.get_mut(gateway).filter(|own| own.open.contains_key(&connection)) {
            own.session = own.session.max(Some((session, connection)));
        }
    }

    /// A connection ended.
    pub(super) fn leave(&mut self, gateway: &GatewayId, number: u64) {
        if let Some(own) = self.gateways.get_mut(gateway) {
            own.open.remove(&number);
            if own.session.is_some_and(|(_, connection)| connection == number) {
                own.session = None;
            }
            if own.open.is_empty() {
                self.gateways.remove(gateway);
            }
        }
    }
}

impl<T> Own<T> {
    fn evict(&mut self) -> Option<Evicted<T>> {
        let session = self.session.map(|(_, connection)| connection);
        // By site: how many there are, and the oldest.
        let mut sites: BTreeMap<IpAddr, (usize, Reverse<u64>)> = BTreeMap::new();
        for (number, open) in self.open.iter().filter(|(number, _)| Some(**number) != session) {
            sites.entry(open.site).or_insert((0, Reverse(*number))).0 += 1;
        }
        let (_, Reverse(oldest)) = sites.values().max()?;
        let closer = self.open.remove(oldest)?.closer;
        Some(Evicted { closer, sites: sites.into_keys().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));

    fn gateway() -> GatewayId {
        "GW-1".parse().expect("an id")
    }

    /// What is closed when one more connection comes.
    fn closed<T>(connections: &mut OwnConnections<T>, from: IpAddr, closer: T) -> Option<T> {
        connections.enter(&gateway(), from, closer).1.map(|evicted| evicted.closer)
    }

    #[test]
    fn sec_23_held_requests_keep_no_gateway_out() {
        let mut connections = OwnConnections::new(4);
        let (link, _) = connections.enter(&gateway(), HERE, "link");
        connections.holds_session(&gateway(), link, 1);
        for name in ["a", "b", "c"] {
            assert_eq!(closed(&mut connections, HERE, name), None);
        }
        assert_eq!(closed(&mut connections, HERE, "d"), Some("a"), "never the link");
        assert_eq!(closed(&mut connections, HERE, "e"), Some("b"));
        let other: GatewayId = "GW-2".parse().expect("an id");
        assert!(connections.enter(&other, HERE, "x").1.is_none(), "its own room");
        connections.leave(&gateway(), link);
        assert_eq!(closed(&mut connections, HERE, "f"), None, "the link left");
    }

    /// The sample: 64 connections, each with the first byte of a CONNECT, and no room for the gateway.
    #[test]
    fn sec_23_half_open_sessions_keep_no_gateway_out() {
        let mut connections = OwnConnections::new(4);
        for name in ["a", "b", "c", "d"] {
            assert_eq!(closed(&mut connections, THERE, name), None);
        }
        let (link, evicted) = connections.enter(&gateway(), HERE, "link");
        assert_eq!(evicted.map(|e| (e.closer, e.sites)), Some(("a", vec![THERE])));
        // Before its CONNECT is whole, while the thief opens one after the other.
        for closer in ["b", "c", "d", "e"] {
            assert_eq!(closed(&mut connections, THERE, "e"), Some(closer), "the crowd closes its own");
        }
        connections.holds_session(&gateway(), link, 1);
        assert_eq!(closed(&mut connections, HERE, "download"), Some("e"));
        assert_eq!(closed(&mut connections, THERE, "f"), Some("e"), "nor does it end a download");
    }

    #[test]
    fn sec_23_only_the_newest_session_is_never_closed() {
        let mut connections = OwnConnections::new(2);
        let [first, second] = [1, 2].map(|n| connections.enter(&gateway(), HERE, n).0);
        connections.holds_session(&gateway(), second, 2);
        connections.holds_session(&gateway(), first, 1);
        assert_eq!(closed(&mut connections, HERE, 3), Some(1), "displaced, and late to say that it came");
        connections.leave(&gateway(), first);
        assert_eq!(closed(&mut connections, HERE, 4), Some(3));
    }

    #[test]
    fn sec_23_places_are_free_again_and_forgotten() {
        let mut connections = OwnConnections::new(2);
        let numbers: Vec<u64> = (0..2).map(|_| connections.enter(&gateway(), HERE, ()).0).collect();
        numbers.iter().for_each(|number| connections.holds_session(&gateway(), *number, *number));
        assert_eq!(closed(&mut connections, HERE, ()), Some(()), "there is always room for one more");
        numbers.iter().for_each(|number| connections.leave(&gateway(), *number));
        connections.leave(&gateway(), 3);
        assert!(connections.gateways.is_empty());
        connections.holds_session(&gateway(), 3, 9);
        assert!(connections.gateways.is_empty(), "one that has gone holds nothing");
    }
}
