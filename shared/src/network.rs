//! By what limits count addresses. Every limit of the programs that is kept for each address uses these two functions.

use core::net::{IpAddr, Ipv6Addr};

/// The address that limits count by: an IPv4 address (also one mapped into IPv6), or the IPv6 network of 64 bits. A client picks freely among the
/// addresses of its /64, so all of them count as one.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    masked(address, 64)
}

/// The address that limits compare by where one site must not stand for many: an IPv4 address, or the IPv6 network of 48 bits. Sites get networks of
/// that size, and pick freely among the 65,536 networks of 64 bits in it.
#[must_use]
pub fn site(address: IpAddr) -> IpAddr {
    masked(address, 48)
}

fn masked(address: IpAddr, bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - bits))).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn sec_20_addresses_of_one_ipv6_network_are_one() {
        assert_eq!(network(ip("2001:db8:1:2:3::4")), network(ip("2001:db8:1:2:ffff::9")));
        assert_ne!(network(ip("2001:db8:1:2::1")), network(ip("2001:db8:1:3::1")));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        assert_ne!(network(ip("::ffff:192.0.2.1")), network(ip("::ffff:192.0.2.2")));
    }

    #[test]
    fn sec_20_networks_of_one_ipv6_site_are_one() {
        assert_eq!((site(ip("2001:db8:9:1::1")), site(ip("192.0.2.1"))), (ip("2001:db8:9::"), ip("192.0.2.1")));
        assert_eq!(site(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }
}
