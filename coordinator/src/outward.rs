//! Which addresses a URL that people set through the API may lead to. The check is made on the address itself, when the connection
//! is made: a name that pointed elsewhere when it was set gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why no connection is made.
#[derive(Debug, thiserror::Error)]
#[error(
    "{host} leads to {address}, which is not on the public internet; to allow it, add its network to webhook_networks \
     in coordinator.toml"
)]
pub(crate) struct NotPublic {
    host: String,
    address: IpAddr,
}

/// The networks outside the public internet that may be reached all the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outward(Arc<Vec<IpNet>>);

impl Outward {
    pub(crate) fn new(allowed: &[IpNet]) -> Self {
        Self(Arc::new(allowed.to_vec()))
    }

    /// Whether a connection to this address may be made.
    fn admits(&self, address: IpAddr) -> bool {
        let reached = reached(address);
        is_public(reached) || [address, reached].iter().any(|a| self.0.iter().any(|net| net.contains(a)))
    }

    fn check(&self, host: &str, address: IpAddr) -> Result<(), NotPublic> {
        if self.admits(address) { Ok(()) } else { Err(NotPublic { host: host.to_owned(), address }) }
    }

    /// Checks a URL whose host is an address: no resolver is asked for one.
    ///
    /// # Errors
    /// The address is not public and not allowed.
    pub(crate) fn check_url(&self, url: &Url) -> Result<(), NotPublic> {
        let host = url.host_str().unwrap_or_default();
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => self.check(host, address),
            Err(_) => Ok(()),
        }
    }
}

impl Resolve for Outward {
    /// Gives the addresses of a name if all of them may be reached: which of them is taken is not ours to say.
    fn resolve(&self, name: Name) -> Resolving {
        let outward = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            for address in &found {
                outward.check(&host, address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The IPv4 address that an IPv6 address stands for, where it stands for one: mapped (RFC 4291), compatible, NAT64
/// (RFC 6052, RFC 8215), 6to4 (RFC 3056). A network for NAT64 of one's own may be of any length, and then the IPv4 address stands elsewhere: only where
/// nothing but zeros stands before its last four bytes is it known which one that is.
fn reached(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let octets = v6.octets();
    let embedded = |at: usize| IpAddr::V4(Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => embedded(12),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => embedded(12),
        [0x64, 0xff9b, 1, 0, 0, 0, ..] => embedded(12),
        [0x2002, ..] => embedded(2),
        _ => address,
    }
}

/// Whether an address is of the public internet, by the registries of special-purpose addresses (RFC 6890 and its updates).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    !(v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_broadcast()
        || v4.is_documentation()
        || v4.is_multicast()
        // This network, carrier-grade NAT, protocol assignments, 6to4 relays, benchmarks, reserved.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240)
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    // Only 2000::/3 is given out; of it not Teredo and other protocol assignments, documentation.
    let [first, second, ..] = v6.segments();
    let is_global = first & 0xe000 == 0x2000;
    let is_special = (first == 0x2001 && (second < 0x200 || second == 0xdb8)) || first & 0xfff0 == 0x3ff0;
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_24_addresses_that_are_not_public() {
        let outward = Outward::default();
        for bad in [
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            // Networks of 48, 56 and 64 bits of one's own: they reach 127.0.0.1 and 10.0.0.1, whatever stands at the end.
            "64:ff9b:1:7f00:0:100:808:808",
            "64:ff9b:1:a:0:1:808:808",
            "64:ff9b:1:ff00:a:0:108:808",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "4000::1",
        ] {
            assert!(!outward.admits(bad.parse().expect("an address")), "{bad}");
        }
        for good in [
            "8.8.8.8",
            "100.63.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "64:ff9b:1::808:808",
        ] {
            assert!(outward.admits(good.parse().expect("an address")), "{good}");
        }
        let allowed = Outward::new(&["10.1.0.0/16".parse().expect("a network")]);
        for (address, is_admitted) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("10.2.0.1", false)] {
            assert_eq!(allowed.admits(address.parse().expect("an address")), is_admitted, "{address}");
        }
    }

    #[test]
    fn sec_24_urls_whose_host_is_an_address() {
        let outward = Outward::default();
        for bad in [
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://[::ffff:169.254.169.254]/",
            "https://127.1:8443/x",
        ] {
            assert!(outward.check_url(&bad.parse().expect("a URL")).is_err(), "{bad}");
        }
        assert!(outward.check_url(&"https://8.8.8.8/".parse().expect("a URL")).is_ok());
    }

    #[tokio::test]
    async fn sec_24_names_are_checked_when_they_resolve() {
        let refused = Outward::default().resolve("localhost".parse().expect("a name")).await.err().expect("refused");
        assert!(refused.to_string().contains("webhook_networks"), "{refused}");
        let allowed = Outward::new(&["127.0.0.0/8".parse().expect("net"), "::1/128".parse().expect("net")]);
        assert!(allowed.resolve("localhost".parse().expect("a name")).await.is_ok());
    }
}
