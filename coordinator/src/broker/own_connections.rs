//! The connections of each gateway, pure: a bounded number, and never without room for the next one. Whoever else has a gateway's key cannot keep the
//! gateway out by holding connections: the oldest that carries no MQTT is closed for a new one.

use std::collections::{BTreeMap, HashMap};

use mdfm_shared::id::GatewayId;

/// Connections of one gateway.
struct Own<T> {
    next: u64,
    /// What closes each, in the order in which they came; `None` once it carries MQTT, of which a gateway has one.
    open: BTreeMap<u64, Option<T>>,
}

/// The open connections of all gateways. `T` is what closes a connection.
pub(super) struct OwnConnections<T> {
    each_max: usize,
    gateways: HashMap<GatewayId, Own<T>>,
}

impl<T> OwnConnections<T> {
    /// No connections yet; `each_max` for each gateway.
    pub(super) fn new(each_max: usize) -> Self {
        Self { each_max, gateways: HashMap::new() }
    }

    /// Admits a connection. Returns its number, and what closes another one of this gateway if it has too many.
    ///
    /// # Errors
    /// All of its connections carry MQTT.
    pub(super) fn enter(&mut self, gateway: &GatewayId, closer: T) -> Result<(u64, Option<T>), ()> {
        let fresh = || Own { next: 0, open: BTreeMap::new() };
        let own = self.gateways.entry(gateway.clone()).or_insert_with(fresh);
        let mut evicted = None;
        if own.open.len() >= self.each_max {
            let oldest = own.open.iter().find(|(_, closer)| closer.is_some()).map(|(number, _)| *number);
            evicted = own.open.remove(&oldest.ok_or(())?).flatten();
        }
        own.next += 1;
        own.open.insert(own.next, Some(closer));
        Ok((own.next, evicted))
    }

    /// The connection carries MQTT.
    pub(super) fn speaks_mqtt(&mut self, gateway: &GatewayId, number: u64) {
        let place = self.gateways.get_mut(gateway).and_then(|own| own.open.get_mut(&number));
        place.map(Option::take);
    }

    /// A connection ended.
    pub(super) fn leave(&mut self, gateway: &GatewayId, number: u64) {
        if let Some(own) = self.gateways.get_mut(gateway) {
            own.open.remove(&number);
            if own.open.is_empty() {
                self.gateways.remove(gateway);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_23_held_requests_keep_no_gateway_out() {
        let mut connections = OwnConnections::new(4);
        let gateway: GatewayId = "GW-1".parse().expect("an id");
        let (link, _) = connections.enter(&gateway, "link").expect("room");
        connections.speaks_mqtt(&gateway, link);
        for name in ["a", "b", "c"] {
            assert_eq!(connections.enter(&gateway, name).expect("room").1, None);
        }
        assert_eq!(connections.enter(&gateway, "d").expect("the oldest goes").1, Some("a"), "never the link");
        assert_eq!(connections.enter(&gateway, "e").expect("the oldest goes").1, Some("b"));
        let other: GatewayId = "GW-2".parse().expect("an id");
        assert_eq!(connections.enter(&other, "x").expect("its own room").1, None);
        connections.leave(&gateway, link);
        assert_eq!(connections.enter(&gateway, "f").expect("the link left").1, None);
    }

    #[test]
    fn places_are_free_again_and_forgotten() {
        let mut connections = OwnConnections::new(2);
        let gateway: GatewayId = "GW-1".parse().expect("an id");
        let numbers: Vec<u64> = (0..2).map(|_| connections.enter(&gateway, ()).expect("room").0).collect();
        numbers.iter().for_each(|number| connections.speaks_mqtt(&gateway, *number));
        assert!(connections.enter(&gateway, ()).is_err(), "two links, each about to take the other's place");
        numbers.iter().for_each(|number| connections.leave(&gateway, *number));
        assert!(connections.gateways.is_empty());
    }
}
