//! Who is connected: one MQTT connection for each gateway, the newest; how much each may send over all of its connections; and
//! what is handed out to whom.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mdfm_service::{Bucket, Lines};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use mdfm_shared::wire::{Topic, mqtt};
use tokio::sync::{mpsc, oneshot};

use super::clones::{Clones, Networks, Older};
use super::counts::DoorCounts;
use super::subscriptions::{Board, Subscriptions};

/// How much one gateway may send; at once it may send five times as much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GatewayLimits {
    pub(crate) packets_per_second: u64,
    pub(crate) bytes_per_second: u64,
}

const AT_ONCE: u64 = 5;
/// Packets that may wait for a gateway to read them. What finds no room is dropped: directives and documents are asked for again
/// with the next heartbeat, an ack is repeated when the batch is.
const WAITING_MAX: usize = 64;
/// Between two findings that one gateway has too many connections. Fewer have a record.
const CROWDED_PAUSE: Duration = Duration::from_secs(60);

/// A packet on its way to gateways; one copy however many get it.
pub(super) type Packet = Arc<[u8]>;

struct Held {
    packets: Bucket,
    bytes: Bucket,
    /// Its newest directive, for when it asks.
    directive: Option<Packet>,
    /// The rollback orders for its devices, for when it asks.
    rollback_orders: Option<Packet>,
    current: Option<Current>,
    clones: Clones,
    networks: Networks,
    /// When it was last found to hold too many connections.
    crowded: Option<Instant>,
    /// Journal lines about what it did wrong.
    lines: Lines,
}

/// The connection that holds the gateway's place.
struct Current {
    number: u64,
    network: IpAddr,
    last_packet: Instant,
    /// Ends it.
    end: oneshot::Sender<()>,
    outbound: mpsc::Sender<Packet>,
    subscriptions: Subscriptions,
}

#[derive(Default)]
struct Inner {
    last_number: u64,
    /// The gateways that have connected or have a directive since the start; as many as are enrolled at most.
    gateways: HashMap<GatewayId, Held>,
    board: Board<Packet>,
}

/// Whether a gateway may see the evidence of a release.
pub(super) type MaySee = Arc<dyn Fn(&GatewayId, Digest) -> bool + Send + Sync>;

/// All of it.
#[derive(Clone)]
pub(super) struct Sessions {
    limits: GatewayLimits,
    may_see: MaySee,
    counts: Arc<DoorCounts>,
    inner: Arc<Mutex<Inner>>,
}

/// A gateway's place; gone with it unless a newer connection has taken it.
pub(super) struct Place {
    sessions: Sessions,
    gateway: GatewayId,
    number: u64,
}

/// What a new connection gets with its place.
pub(super) struct Entered {
    pub(super) place: Place,
    /// Says when a newer connection takes the place.
    pub(super) replaced: oneshot::Receiver<()>,
    pub(super) outbound: mpsc::Receiver<Packet>,
    /// For the guard's own answers, which wait for room.
    pub(super) answers: mpsc::Sender<Packet>,
    /// The networks from which two peers use the gateway's certificate at once, if they do.
    pub(super) clone: Option<Vec<IpAddr>>,
}

impl Sessions {
    pub(super) fn new(limits: GatewayLimits, counts: Arc<DoorCounts>, may_see: MaySee) -> Self {
        Self { limits, may_see, counts, inner: Arc::default() }
    }

    /// Whether the gateway may get what stands on a topic.
    fn may_get(&self, gateway: &GatewayId, topic: &Topic) -> bool {
        match topic {
            Topic::Release(digest) => (self.may_see)(gateway, *digest),
            _ => true,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> Held {
        let (now, GatewayLimits { packets_per_second, bytes_per_second }) = (Instant::now(), self.limits);
        Held {
            packets: Bucket::new(packets_per_second, AT_ONCE * packets_per_second, now),
            bytes: Bucket::new(bytes_per_second, AT_ONCE * bytes_per_second, now),
            directive: None,
            rollback_orders: None,
            current: None,
            clones: Clones::default(),
            networks: Networks::default(),
            crowded: None,
            lines: Lines::default(),
        }
    }

    /// Asks for one more line in the journal about a gateway. Returns whether it is written, with the number of those that were left out.
    pub(super) fn next_line(&self, gateway: &GatewayId) -> Option<u64> {
        let mut inner = self.inner();
        inner.gateways.entry(gateway.clone()).or_insert_with(|| self.fresh()).lines.next(Instant::now())
    }

    /// The gateway's certificate is used over HTTPS. Returns two networks from which it is used at once.
    pub(super) fn used_over_https(&self, gateway: &GatewayId, network: IpAddr) -> Option<[IpAddr; 2]> {
        let mut inner = self.inner();
        let held = inner.gateways.entry(gateway.clone()).or_insert_with(|| self.fresh());
        let session = held.current.as_ref().map(|current| (current.network, current.last_packet));
        held.networks.used(Instant::now(), network, session)
    }

    /// The gateway has too many connections. Returns whether that is news: it is not for a minute.
    pub(super) fn is_crowded(&self, gateway: &GatewayId, now: Instant) -> bool {
        let mut inner = self.inner();
        let held = inner.gateways.entry(gateway.clone()).or_insert_with(|| self.fresh());
        let is_news = held.crowded.is_none_or(|at| now.saturating_duration_since(at) >= CROWDED_PAUSE);
        held.crowded = if is_news { Some(now) } else { held.crowded };
        is_news
    }

    /// Takes the gateway's place; an older connection is told to end.
    pub(super) fn enter(&self, gateway: &GatewayId, network: IpAddr) -> Entered {
        let now = Instant::now();
        let (end, replaced) = oneshot::channel();
        let (answers, outbound) = mpsc::channel(WAITING_MAX);
        let mut inner = self.inner();
        inner.last_number += 1;
        let number = inner.last_number;
        let held = inner.gateways.entry(gateway.clone()).or_insert_with(|| self.fresh());
        let subscriptions = Subscriptions::default();
        let current = Current { number, network, last_packet: now, end, outbound: answers.clone(), subscriptions };
        let clone = match held.current.replace(current) {
            Some(older) => {
                self.counts.replaced.add(1);
                // It may be gone already.
                let _ = older.end.send(());
                let older = Older { network: older.network, last_packet: older.last_packet };
                held.clones.taken_over(now, network, older)
            }
            None => held.clones.entered(now, network),
        };
        let place = Place { sessions: self.clone(), gateway: gateway.clone(), number };
        Entered { place, replaced, outbound, answers, clone }
    }

    /// A message came down for whoever wants it.
    pub(super) fn hand_out(&self, topic: &Topic, payload: &[u8]) {
        let packet: Packet = mqtt::publish(&topic.to_string(), payload).into();
        let mut inner = self.inner();
        match topic {
            Topic::Directive(gateway)
            | Topic::Ack(gateway)
            | Topic::RollbackOrders(gateway)
            | Topic::Chain(gateway)
            | Topic::Question(gateway) => {
                if !matches!(topic, Topic::Ack(_) | Topic::Chain(_) | Topic::Question(_)) {
                    let held = inner.gateways.entry(gateway.clone()).or_insert_with(|| self.fresh());
                    let retained = match topic {
                        Topic::RollbackOrders(_) => &mut held.rollback_orders,
                        _ => &mut held.directive,
                    };
                    *retained = Some(Arc::clone(&packet));
                }
                let current = inner.gateways.get(gateway).and_then(|held| held.current.as_ref());
                self.pass(current, topic, &packet);
            }
            Topic::TrustRoot(_) | Topic::Roster | Topic::Withdrawals | Topic::Release(_) | Topic::Checkpoint => {
                inner.board.keep(topic, Arc::clone(&packet));
                for (gateway, held) in &inner.gateways {
                    let wants = held.current.as_ref().is_some_and(|c| c.subscriptions.want(topic));
                    if wants && self.may_get(gateway, topic) {
                        self.pass(held.current.as_ref(), topic, &packet);
                    }
                }
            }
            Topic::Telemetry(_) | Topic::Heartbeat(_) | Topic::Presence(_) => {}
        }
    }

    fn pass(&self, current: Option<&Current>, topic: &Topic, packet: &Packet) {
        let Some(current) = current.filter(|c| c.subscriptions.want(topic)) else { return };
        if current.outbound.try_send(Arc::clone(packet)).is_err() {
            self.counts.passed_over.add(1);
        }
    }
}

impl Place {
    /// The session's number; a newer one has a larger.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The gateway has sent so much; gives how long it must wait before it sends more.
    pub(super) fn sent(&self, packets: usize, bytes: usize) -> Duration {
        let now = Instant::now();
        let mut inner = self.sessions.inner();
        let Some(held) = inner.gateways.get_mut(&self.gateway) else { return Duration::ZERO };
        if let Some(current) = held.current.as_mut().filter(|c| c.number == self.number) {
            current.last_packet = now;
        }
        held.packets.take(now, packets).max(held.bytes.take(now, bytes))
    }

    /// Adds a filter, or takes it away. Returns false for one that has no room, or for a release that is not the gateway's business.
    /// A filter for every release is granted; each message is looked at when it comes.
    pub(super) fn subscribe(&self, filter: &str, wanted: bool) -> bool {
        if wanted && Topic::parse(filter).is_some_and(|topic| !self.sessions.may_get(&self.gateway, &topic)) {
            return false;
        }
        let mut inner = self.sessions.inner();
        let current = inner.gateways.get_mut(&self.gateway).and_then(|held| held.current.as_mut());
        current.filter(|c| c.number == self.number).is_some_and(|c| c.subscriptions.set(filter, wanted))
    }

    /// What stands on the topics of a filter now. One on its way at this moment may come before it: what is signed says which is
    /// the newer.
    pub(super) fn standing(&self, filter: &str) -> Vec<Packet> {
        let inner = self.sessions.inner();
        match Topic::parse(filter) {
            Some(Topic::Directive(gateway)) if gateway == self.gateway => {
                inner.gateways.get(&gateway).and_then(|held| held.directive.clone()).into_iter().collect()
            }
            Some(Topic::RollbackOrders(gateway)) if gateway == self.gateway => {
                inner.gateways.get(&gateway).and_then(|held| held.rollback_orders.clone()).into_iter().collect()
            }
            _ => {
                let standing = inner.board.matching(filter);
                let mine = standing.into_iter().filter(|(topic, _)| self.sessions.may_get(&self.gateway, topic));
                mine.map(|(_, packet)| packet).collect()
            }
        }
    }

    /// Whether this connection still holds the gateway's place.
    pub(super) fn is_current(&self) -> bool {
        let inner = self.sessions.inner();
        let current = inner.gateways.get(&self.gateway).and_then(|h| h.current.as_ref());
        current.is_some_and(|c| c.number == self.number)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.sessions.inner();
        if let Some(held) = inner.gateways.get_mut(&self.gateway)
            && held.current.as_ref().is_some_and(|c| c.number == self.number)
        {
            held.current = None;
            held.clones.ended(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn sessions() -> Sessions {
        let limits = GatewayLimits { packets_per_second: 10, bytes_per_second: 1_000 };
        let odd = |gateway: &GatewayId, release: Digest| gateway.as_str() == "GW-1" || release == Digest([2; 32]);
        Sessions::new(limits, Arc::default(), Arc::new(odd))
    }
    fn gateway(n: u8) -> GatewayId {
        format!("GW-{n}").parse().expect("a good id")
    }

    #[test]
    fn att_13_the_newest_connection_of_a_gateway_holds_its_place() {
        let sessions = sessions();
        let mut first = sessions.enter(&gateway(1), HERE);
        assert!(first.replaced.try_recv().is_err() && first.place.is_current());
        assert_eq!(first.place.sent(50, 10), Duration::ZERO);
        let mut second = sessions.enter(&gateway(1), HERE);
        assert!(first.replaced.try_recv().is_ok() && !first.place.is_current(), "the older one is told to end");
        drop(first);
        assert!(second.replaced.try_recv().is_err(), "its end does not end the newer one");
        assert!(second.place.sent(10, 10) > Duration::from_millis(900), "a new connection brings no new allowance");
        drop(second);
        assert!(sessions.inner().gateways[&gateway(1)].current.is_none());
    }

    #[test]
    fn sec_22_a_release_reaches_only_gateways_directed_to_it() {
        let sessions = sessions();
        let (mut first, mut second) = (sessions.enter(&gateway(1), HERE), sessions.enter(&gateway(2), HERE));
        let (ours, theirs) = (Topic::Release(Digest([1; 32])), Topic::Release(Digest([2; 32])));
        for release in [&ours, &theirs] {
            sessions.hand_out(release, b"evidence");
        }
        assert!(!second.place.subscribe(&ours.to_string(), true), "not its business");
        assert!(second.place.standing(&ours.to_string()).is_empty());
        for entered in [&first, &second] {
            assert!(entered.place.subscribe(&Topic::release_filter(), true));
        }
        assert_eq!(first.place.standing(&Topic::release_filter()).len(), 2);
        assert_eq!(second.place.standing(&Topic::release_filter()).len(), 1, "retained ones are filtered");
        sessions.hand_out(&ours, b"evidence");
        assert!(first.outbound.try_recv().is_ok());
        assert!(second.outbound.try_recv().is_err(), "and those that come");
        sessions.hand_out(&theirs, b"evidence");
        assert!(second.outbound.try_recv().is_ok(), "its own still comes");
    }

    #[test]
    fn att_13_messages_go_to_who_asked_and_a_full_queue_costs_only_its_own_gateway() {
        let sessions = sessions();
        let (mut slow, mut quick) = (sessions.enter(&gateway(1), HERE), sessions.enter(&gateway(2), HERE));
        sessions.hand_out(&Topic::Directive(gateway(1)), b"directive");
        sessions.hand_out(&Topic::Roster, b"roster");
        assert!(slow.outbound.try_recv().is_err(), "nobody has asked yet");
        let own = Topic::Directive(gateway(1)).to_string();
        assert!(slow.place.subscribe(&own, true));
        assert_eq!(slow.place.standing(&own).len(), 1, "kept for who asks later");
        assert!(quick.place.standing(&own).is_empty(), "and for nobody else");
        let checkpoint = Topic::Checkpoint.to_string();
        for entered in [&slow, &quick] {
            assert!(entered.place.subscribe(&checkpoint, true) && entered.place.standing(&checkpoint).is_empty());
        }
        for n in 0..100_u8 {
            sessions.hand_out(&Topic::Checkpoint, &[n]);
            assert!(quick.outbound.try_recv().is_ok());
            assert!(quick.outbound.try_recv().is_err(), "nothing of another gateway");
        }
        assert_eq!(sessions.counts.passed_over.get(), 100 - WAITING_MAX as u64);
        let waiting = std::iter::from_fn(|| slow.outbound.try_recv().ok()).count();
        assert_eq!(waiting, WAITING_MAX);
        assert_eq!(quick.place.standing(&checkpoint)[0].last(), Some(&99), "the newest");
    }
}
