//! Notices that two peers use one gateway's certificate at once, pure. A gateway has one MQTT connection: a new one takes the place of the older. After
//! a break of the network that happens once. Two living peers take the place from each other again and again, each time while the other has just
//! spoken; or the place goes back and forth between two networks.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Takeovers are looked at over this time.
const WINDOW: Duration = Duration::from_secs(600);
/// A connection that spoke this short a time ago is alive. A gateway that lost its line notices that by a silence, and connects again after a pause.
const ALIVE: Duration = Duration::from_secs(5);
/// Takeovers of living connections that no network explains.
const ALIVE_MAX: usize = 5;
/// Takeovers that go back to the network before: there and back, twice.
const RETURNS_MAX: usize = 3;
/// A peer that takes the place and leaves it this soon, for another to come back as soon: two take turns, although neither meets the other alive.
const SHORT: Duration = Duration::from_secs(10);
/// Takeovers remembered.
const TAKEOVERS_MAX: usize = 32;

/// The connection whose place was taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Older {
    pub(super) network: IpAddr,
    pub(super) last_packet: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Takeover {
    at: Instant,
    from: IpAddr,
    to: IpAddr,
    was_alive: bool,
}

/// The takeovers of one gateway's place.
#[derive(Debug, Default)]
pub(super) struct Clones {
    takeovers: VecDeque<Takeover>,
    /// Who took the place over and has it, and since when.
    taker: Option<(IpAddr, Instant)>,
    /// Who took the place over and left it soon, and when.
    left: Option<(IpAddr, Instant)>,
}

impl Clones {
    /// A new connection took the place of an older one. Returns the networks of two peers at once, if that is what it shows; then it begins to count
    /// from zero.
    pub(super) fn taken_over(&mut self, now: Instant, network: IpAddr, older: Older) -> Option<Vec<IpAddr>> {
        self.taker = Some((network, now));
        self.left = None;
        let was_alive = now.saturating_duration_since(older.last_packet) < ALIVE;
        self.count(Takeover { at: now, from: older.network, to: network, was_alive })
    }

    /// A connection took the place, which was free. Returns what [`Self::taken_over`] does: whoever took the place over, and left it at once, may have
    /// had it of the one that is back.
    pub(super) fn entered(&mut self, now: Instant, network: IpAddr) -> Option<Vec<IpAddr>> {
        self.taker = None;
        let (from, _) = self.left.take().filter(|(_, at)| now.saturating_duration_since(*at) < SHORT)?;
        self.count(Takeover { at: now, from, to: network, was_alive: true })
    }

    /// The connection that has the place ended, and no other took it.
    pub(super) fn ended(&mut self, now: Instant) {
        let taker = self.taker.take().filter(|(_, at)| now.saturating_duration_since(*at) < SHORT);
        self.left = taker.map(|(network, _)| (network, now));
    }

    fn count(&mut self, takeover: Takeover) -> Option<Vec<IpAddr>> {
        self.takeovers.retain(|t| takeover.at.saturating_duration_since(t.at) < WINDOW);
        if self.takeovers.len() >= TAKEOVERS_MAX {
            self.takeovers.pop_front();
        }
        self.takeovers.push_back(takeover);
        let alive = self.takeovers.iter().filter(|t| t.was_alive).count();
        let pairs = self.takeovers.iter().zip(self.takeovers.iter().skip(1));
        let returns = pairs.filter(|(a, b)| a.from != a.to && a.from == b.to && a.to == b.from).count();
        if alive < ALIVE_MAX && returns < RETURNS_MAX {
            return None;
        }
        let mut networks: Vec<IpAddr> = self.takeovers.iter().flat_map(|t| [t.from, t.to]).collect();
        networks.sort_unstable();
        networks.dedup();
        networks.truncate(8);
        self.takeovers.clear();
        Some(networks)
    }
}

/// Uses of a certificate that are so near are at once.
const AT_ONCE: Duration = Duration::from_secs(60);
/// Time between two findings about one gateway. Fewer have a record.
const PAUSE: Duration = Duration::from_secs(3_600);

/// From where a gateway's certificate is used over HTTPS. A site with two lines, or with a pool of addresses, looks the same as a copy of the key: this
/// is a finding to look at, and no alarm.
#[derive(Debug, Default)]
pub(super) struct Networks {
    last: Option<(IpAddr, Instant)>,
    found: Option<Instant>,
}

impl Networks {
    /// The certificate is used over HTTPS; `session` is where its MQTT session was heard from last, and when. Returns two networks from which it is used
    /// at once.
    pub(super) fn used(
        &mut self,
        now: Instant,
        network: IpAddr,
        session: Option<(IpAddr, Instant)>,
    ) -> Option<[IpAddr; 2]> {
        let before = self.last.replace((network, now));
        let is_near = |at: Instant| now.saturating_duration_since(at) < AT_ONCE;
        let mut others = before.into_iter().chain(session).filter(|(_, at)| is_near(*at)).map(|(other, _)| other);
        let other = others.find(|other| *other != network)?;
        if self.found.is_some_and(|at| now.saturating_duration_since(at) < PAUSE) {
            return None;
        }
        self.found = Some(now);
        Some([other, network])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_23_https_from_two_networks_at_once_is_found() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut networks = Networks::default();
        assert_eq!(networks.used(at(0), ip(1), None), None);
        assert_eq!(networks.used(at(1), ip(1), Some((ip(1), at(0)))), None);
        assert_eq!(networks.used(at(61), ip(2), None), None, "another line, a minute later");
        assert_eq!(networks.used(at(90), ip(1), None), Some([ip(2), ip(1)]));
        let alternating = (0..3_600 - 1).filter_map(|s| networks.used(at(91 + s), ip(1 + (s % 2) as u8), None));
        assert_eq!(alternating.count(), 0, "two lines by turns are one finding");
        let mut networks = Networks::default();
        assert_eq!(networks.used(at(100), ip(1), Some((ip(2), at(30)))), None, "a session that is silent");
        assert_eq!(networks.used(at(100), ip(1), Some((ip(2), at(41)))), Some([ip(2), ip(1)]), "beside a living one");
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Takes the place at each of these seconds, for one network, from another that spoke the given seconds before; returns the index of the takeover
    /// that was noticed.
    fn noticed(takeovers: &[(u64, u8, u8, u64)]) -> Option<usize> {
        let start = Instant::now() + Duration::from_secs(1_000);
        let mut clones = Clones::default();
        takeovers.iter().position(|(second, to, from, spoke)| {
            let now = start + Duration::from_secs(*second);
            let older = Older { network: ip(*from), last_packet: now - Duration::from_secs(*spoke) };
            clones.taken_over(now, ip(*to), older).is_some()
        })
    }

    #[test]
    fn sec_23_two_living_peers_of_one_certificate_are_noticed() {
        let alternating: Vec<_> = (0..20).map(|n| (n * 3, 1, 1, 1)).collect();
        assert_eq!(noticed(&alternating), Some(4), "behind one address");
        let apart: Vec<_> = (0..20).map(|n| (n * 60, 1 + (n % 2) as u8, 2 - (n % 2) as u8, 40)).collect();
        assert_eq!(noticed(&apart), Some(3), "in two networks, each silent between heartbeats");
    }

    /// A peer of this network takes the place while the other is silent, and is gone before it comes back, again and again.
    fn hit_and_run(thief: u8, silent_s: u64, stays_s: u64, back_after_ms: u64) -> Option<u64> {
        let mut now = Instant::now() + Duration::from_secs(1_000);
        let mut clones = Clones::default();
        (0..50).find(|_| {
            now += Duration::from_secs(silent_s);
            let older = Older { network: ip(1), last_packet: now - Duration::from_secs(silent_s) };
            let first = clones.taken_over(now, ip(thief), older).is_some();
            now += Duration::from_secs(stays_s);
            clones.ended(now);
            now += Duration::from_millis(back_after_ms);
            clones.entered(now, ip(1)).is_some() || first
        })
    }

    #[test]
    fn sec_23_a_copy_that_is_gone_at_once_is_noticed() {
        assert_eq!(hit_and_run(1, 6, 0, 500), Some(4), "behind the gateway's own address");
        assert_eq!(hit_and_run(2, 6, 0, 500), Some(1), "from another network");
        assert_eq!(hit_and_run(1, 9, 5, 2_000), Some(4), "with a pause");
        assert_eq!(hit_and_run(1, 20, 60, 500), None, "lines that break and hold for a minute");
        assert_eq!(hit_and_run(1, 20, 1, 60_000), None, "lines that are away for a minute");
    }

    #[test]
    fn sec_23_breaks_of_the_network_are_no_clone() {
        let breaks: Vec<_> = (0..50).map(|n| (n * 20, 1, 1, 15)).collect();
        assert_eq!(noticed(&breaks), None, "a line that breaks every twenty seconds");
        let restarts: Vec<_> = (0..20).map(|n| (n * 300, 1, 1, 1)).collect();
        assert_eq!(noticed(&restarts), None, "now and then at once");
        assert_eq!(noticed(&[(0, 2, 1, 30), (100, 1, 2, 30), (200, 2, 1, 30)]), None, "another line and back, once");
    }
}
