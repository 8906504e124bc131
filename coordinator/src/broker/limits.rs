//! Who may connect, by address, pure: time comes in, a judgement goes out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use crate::bucket::Bucket;

/// Addresses remembered; beyond it those with nothing open are forgotten.
const ADDRESSES_MAX: usize = 65_536;

/// How much one address may.
#[derive(Debug, Clone, Copy)]
pub(super) struct AddressLimits {
    /// Connections open at once.
    pub(super) open_max: usize,
    /// Of them, connections that have not shown yet who they are.
    pub(super) strangers_max: usize,
    /// New connections a second.
    pub(super) per_second: u64,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its address has as many as it may.
    Full,
    /// Its address connects too fast.
    TooFast,
}

struct Address {
    open: usize,
    strangers: usize,
    bucket: Bucket,
}

/// Connections by address. All addresses of one IPv6 network of 64 bits count as one: a client picks freely among them.
pub(super) struct Addresses {
    limits: AddressLimits,
    held: HashMap<IpAddr, Address>,
}

/// The address, or the network of 64 bits that it belongs to.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Addresses {
    pub(super) fn new(limits: AddressLimits) -> Self {
        Self { limits, held: HashMap::new() }
    }

    /// Lets a stranger in, or says why not.
    pub(super) fn enter(&mut self, now: Instant, address: IpAddr) -> Result<(), Refused> {
        if self.held.len() >= ADDRESSES_MAX {
            self.held.retain(|_, a| a.open > 0);
        }
        let AddressLimits { open_max, strangers_max, per_second } = self.limits;
        let fresh = || Address { open: 0, strangers: 0, bucket: Bucket::new(per_second, 4 * per_second, now) };
        let held = self.held.entry(network(address)).or_insert_with(fresh);
        if held.open >= open_max || held.strangers >= strangers_max {
            return Err(Refused::Full);
        }
        if !held.bucket.try_take(now) {
            return Err(Refused::TooFast);
        }
        held.open += 1;
        held.strangers += 1;
        Ok(())
    }

    /// The stranger has shown who it is.
    pub(super) fn identified(&mut self, address: IpAddr) {
        if let Some(held) = self.held.get_mut(&network(address)) {
            held.strangers = held.strangers.saturating_sub(1);
        }
    }

    /// A connection ended, as a stranger or not.
    pub(super) fn leave(&mut self, address: IpAddr, was_stranger: bool) {
        if let Some(held) = self.held.get_mut(&network(address)) {
            held.open = held.open.saturating_sub(1);
            held.strangers = held.strangers.saturating_sub(usize::from(was_stranger));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: AddressLimits = AddressLimits { open_max: 20, strangers_max: 5, per_second: 10 };

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn att_13_one_address_takes_its_share_and_no_more() {
        let start = Instant::now();
        let mut addresses = Addresses::new(LIMITS);
        let (bad, good) = (ip("192.0.2.7"), ip("192.0.2.8"));
        for _ in 0..5 {
            assert_eq!(addresses.enter(start, bad), Ok(()));
        }
        assert_eq!(addresses.enter(start, bad), Err(Refused::Full), "five strangers at once");
        assert_eq!(addresses.enter(start, good), Ok(()), "another address has its own share");
        for _ in 0..5 {
            addresses.identified(bad);
        }
        let entered = (0..20).filter(|_| {
            addresses.enter(start, bad).is_ok_and(|()| {
                addresses.identified(bad);
                true
            })
        });
        assert_eq!(entered.count(), 15, "twenty open at once");
        for _ in 0..20 {
            addresses.leave(bad, false);
        }
        let mut tries = 0;
        let fast = (0..100).filter(|_| {
            addresses.enter(start, bad).is_ok_and(|()| {
                tries += 1;
                addresses.leave(bad, true);
                true
            })
        });
        assert_eq!(fast.count(), 20, "forty at once, twenty were spent");
        assert_eq!(addresses.enter(start, bad), Err(Refused::TooFast));
        assert_eq!(addresses.enter(start + Duration::from_millis(150), bad), Ok(()), "ten a second");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_and_ipv4_in_ipv6_is_ipv4() {
        assert_eq!(network(ip("2001:db8:1:2:3::4")), network(ip("2001:db8:1:2:ffff::9")));
        assert_ne!(network(ip("2001:db8:1:2::1")), network(ip("2001:db8:1:3::1")));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }
}
