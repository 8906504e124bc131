//! Who is there: last wills, heartbeats and what was to be expected, as one state for each gateway and device. Volatile: what
//! follows from it for a rollout is commanded and logged.
//!
//! The word of the broker that a connection broke shows a gateway offline at once; it proves nothing, so only signed heartbeats
//! say that a device is there, and only their absence makes it silent.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::telemetry::{DeviceHeartbeat, Heartbeat, InstallState};
use mdfm_shared::time::UtcMillis;
use serde::Serialize;

use super::expiry::{Expiry, ExpiryKind};
use super::questions::Questions;

/// Heartbeats that may be missing before a gateway counts as silent.
const MISSED: u64 = 3;
/// A gateway is not called silent sooner, however fast it beats.
const SILENT_MS_MIN: u64 = 30_000;
/// Nor later: agents beat once an hour at least.
const SILENT_MS_MAX: u64 = MISSED * 3_600_000;
/// A directive sent so recently is on its way; the gateway's next heartbeat shows whether it came.
const ON_ITS_WAY_MS: u64 = 2_000;

/// The digest that a gateway names before its first rollback orders.
const NO_ORDERS: Digest = Digest([0; 32]);
/// Orders are proved again under a newer checkpoint after this time.
const ORDERS_REFRESH_MS: u64 = 24 * 3_600_000;
/// Time between the first two statements of what is held of a gateway's telemetry,
const HEAD_FIRST_MS: u64 = 10_000;
/// the longest time between two,
const HEAD_MS: u64 = 3_600_000;
/// and while its heartbeats are of another epoch.
const HEAD_OTHER_EPOCH_MS: u64 = 60_000;
/// Time between two unasked sends of withdrawals and orders to a gateway that says nothing of what it holds: an old agent never does.
const UNASKED_MS: u64 = 10 * 60_000;

/// A time that is earlier than the last one by less was read before it: threads overtake each other.
const OVERTAKEN_MS: u64 = 5_000;
/// Peers whose certificates are known.
const PEERS_MAX: usize = 256;

/// Where a gateway stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Not heard of since this coordinator started.
    Unknown,
    /// Beats as it should.
    Online,
    /// Its connection stands, or nobody says that it broke, but heartbeats are missing.
    Silent,
    /// Its connection ended.
    Offline,
}

/// Where a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// Nothing was heard of it since this coordinator started.
    Unknown,
    /// Its gateway says that it is there.
    Attached,
    /// Its gateway says that it is not.
    Detached,
    /// Its gateway is not heard of itself.
    Unreachable,
}

/// What was heard of one gateway.
#[derive(Debug, Clone, Default)]
struct Gateway {
    /// Epoch and sequence of the newest heartbeat.
    newest: (u64, u64),
    heard_at: Option<UtcMillis>,
    /// The longer of the last two times between heartbeats.
    gaps_ms: [u64; 2],
    /// Whether its last word on the connection was that it stands, and when it came.
    connection: Option<(bool, UtcMillis)>,
    /// Directive that it follows.
    serial: u64,
    /// Entries of the audit log that it knows.
    checkpoint_size: u64,
    /// Directive sent because a heartbeat showed that it was missing, and when.
    sent: Option<(u64, UtcMillis)>,
    /// The frame of rollback orders that was sent last.
    orders: Option<SentOrders>,
    /// When withdrawals or orders were last sent to a gateway that says nothing of what it holds.
    trust_sent_at: Option<UtcMillis>,
    /// Newest withdrawals that it holds, as it said last.
    withdrawals_version: Option<u64>,
    /// When it was last sent what is held of its telemetry, over this connection, and the time until it is again.
    head_sent: Option<(UtcMillis, u64)>,
}

/// Rollback orders that went to a gateway.
#[derive(Debug, Clone)]
struct SentOrders {
    orders: BTreeSet<Digest>,
    frame: Digest,
    at: UtcMillis,
}

/// What was heard of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// When it was reported attached last.
    pub attached_at: UtcMillis,
    pub attached: bool,
    pub in_use: bool,
    pub state: InstallState,
}

/// Where a gateway stands, and since when it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    pub standing: Standing,
    pub heard_at: Option<UtcMillis>,
    pub serial: u64,
}

/// Everything that was heard.
#[derive(Debug, Clone, Default)]
pub struct Presence {
    gateways: BTreeMap<GatewayId, Gateway>,
    devices: BTreeMap<DeviceId, Device>,
    /// What gateways were asked in the last minutes.
    pub questions: Questions,
    /// When this coordinator started; `None` if nobody said.
    started_at: Option<UtcMillis>,
    /// The clock as it was seen last.
    clock: UtcMillis,
    /// Whom this coordinator calls, and until when the certificate is valid that they showed last.
    peers: BTreeMap<(ExpiryKind, String), Option<UtcMillis>>,
    /// The ends of this coordinator's own certificates.
    pub certificates: Vec<Expiry>,
    /// Silent devices: somebody waits for them.
    expected: BTreeSet<DeviceId>,
    /// Those of them that were reported attached since.
    returned: BTreeSet<DeviceId>,
    /// How often times were moved back with the clock.
    moves_back: u64,
}

impl Presence {
    /// Of a coordinator that starts now: nothing was heard yet.
    pub fn started(now: UtcMillis) -> Self {
        Self { started_at: Some(now), clock: now, ..Self::default() }
    }

    /// Follows the clock, before anything is compared with it. One that was set back takes all times with it, so that the spans since them
    /// stay: who was silent stays silent.
    pub fn follow(&mut self, now: UtcMillis) {
        let back_ms = self.clock.since_ms(now);
        if back_ms <= OVERTAKEN_MS {
            self.clock = self.clock.max(now);
            return;
        }
        self.clock = now;
        self.moves_back += 1;
        let shift = |at: &mut UtcMillis| *at = UtcMillis(at.0.saturating_sub(back_ms));
        self.started_at.iter_mut().for_each(shift);
        for held in self.gateways.values_mut() {
            held.heard_at.iter_mut().for_each(shift);
            held.trust_sent_at.iter_mut().for_each(shift);
            held.connection.iter_mut().for_each(|(_, at)| shift(at));
            held.sent.iter_mut().for_each(|(_, at)| shift(at));
            held.head_sent.iter_mut().for_each(|(at, _)| shift(at));
            held.orders.iter_mut().for_each(|orders| shift(&mut orders.at));
        }
        self.devices.values_mut().for_each(|device| shift(&mut device.attached_at));
    }

    /// A heartbeat came that its gateway signed. Gives false for one that is not newer than the last: it was sent again, by the
    /// broker or by somebody who wants a silent gateway to seem alive, and shows nothing.
    pub fn heard(&mut self, now: UtcMillis, heartbeat: &Heartbeat) -> bool {
        self.follow(now);
        let position = (heartbeat.epoch, heartbeat.sequence);
        let held = entry(&mut self.gateways, &heartbeat.gateway);
        if position <= held.newest {
            return false;
        }
        if let Some(last) = held.heard_at {
            held.gaps_ms = [held.gaps_ms[1], now.since_ms(last)];
        }
        held.newest = position;
        held.heard_at = Some(now);
        held.serial = heartbeat.directive_serial;
        held.checkpoint_size = heartbeat.checkpoint_size;
        held.withdrawals_version = heartbeat.held_trust.map(|trust| trust.withdrawals_version);
        true
    }

    /// Entries of the audit log that a gateway knows, as it said last; 0 before its first heartbeat.
    pub fn checkpoint_size(&self, gateway: &GatewayId) -> u64 {
        self.gateways.get(gateway).map_or(0, |g| g.checkpoint_size)
    }

    /// A heartbeat says how a device of its gateway is.
    pub fn seen(&mut self, now: UtcMillis, device: &DeviceHeartbeat) {
        self.follow(now);
        let before = self.devices.get_mut(&device.device);
        // A thread that was overtaken by another says nothing older.
        let last = before.as_ref().map_or(UtcMillis(0), |before| before.attached_at);
        let attached_at = if device.attached { last.max(now) } else { last };
        let held = Device { attached_at, attached: device.attached, in_use: device.in_use, state: device.state };
        match before {
            Some(before) => *before = held,
            None => drop(self.devices.insert(device.device.clone(), held)),
        }
        if device.attached && self.expected.remove(&device.device) {
            self.returned.insert(device.device.clone());
        }
    }

    /// Lets [`Self::take_returned`] return this device once it is reported attached.
    pub(super) fn expect(&mut self, device: &DeviceId) {
        self.expected.insert(device.clone());
    }

    /// Devices that were expected and have been reported attached, `max` of them at most.
    pub(super) fn take_returned(&mut self, max: usize) -> Vec<DeviceId> {
        std::iter::from_fn(|| self.returned.pop_first()).take(max).collect()
    }

    /// Whether [`Self::take_returned`] returns more.
    pub(super) fn has_returned(&self) -> bool {
        !self.returned.is_empty()
    }

    /// How often the times of this presence were moved back with the clock.
    pub(super) fn moves_back(&self) -> u64 {
        self.moves_back
    }

    /// The gateway said that it is there, or the broker that its connection broke.
    pub fn connection(&mut self, now: UtcMillis, gateway: &GatewayId, stands: bool) {
        self.follow(now);
        let held = entry(&mut self.gateways, gateway);
        held.connection = Some((stands, now));
        held.head_sent = None;
    }

    /// Whether a directive of this serial, issued then, is to be sent because a heartbeat shows it missing; notes that it is.
    pub fn send_directive(&mut self, now: UtcMillis, gateway: &GatewayId, serial: u64, issued: UtcMillis) -> bool {
        let held = entry(&mut self.gateways, gateway);
        let sent = held.sent.filter(|(s, _)| *s == serial).map_or(issued, |(_, at)| at);
        // A clock that went back must not hold it for ever.
        let on_its_way = sent <= now && now.since_ms(sent) < ON_ITS_WAY_MS;
        if !on_its_way {
            held.sent = Some((serial, now));
        }
        !on_its_way
    }

    /// The withdrawals that a gateway holds, as it said last; `None` if it has said nothing of them.
    pub fn withdrawals_version(&self, gateway: &GatewayId) -> Option<u64> {
        self.gateways.get(gateway)?.withdrawals_version
    }

    /// Notes the frame of rollback orders that went to a gateway.
    pub fn orders_sent(&mut self, now: UtcMillis, gateway: &GatewayId, orders: BTreeSet<Digest>, frame: Digest) {
        entry(&mut self.gateways, gateway).orders = Some(SentOrders { orders, frame, at: now });
    }

    /// Whether the orders `wanted` for a gateway are to be sent, which holds the frame with digest `held`; zeroes before its first.
    pub fn are_orders_due(&self, now: UtcMillis, gateway: &GatewayId, wanted: &BTreeSet<Digest>, held: Digest) -> bool {
        match self.gateways.get(gateway).and_then(|g| g.orders.as_ref()) {
            None => !wanted.is_empty() || held != NO_ORDERS,
            Some(sent) if sent.orders != *wanted => true,
            Some(sent) => {
                let age_ms = now.since_ms(sent.at);
                let lacks = held != sent.frame && !(wanted.is_empty() && held == NO_ORDERS);
                // A clock that went back must not hold it for ever.
                (lacks && (age_ms >= ON_ITS_WAY_MS || sent.at > now))
                    || (!wanted.is_empty() && age_ms >= ORDERS_REFRESH_MS)
            }
        }
    }

    /// Whether withdrawals or orders are to be sent to a gateway that says nothing of what it holds; notes that they are.
    pub fn is_trust_due_unasked(&mut self, now: UtcMillis, gateway: &GatewayId) -> bool {
        let held = entry(&mut self.gateways, gateway);
        let due = held.trust_sent_at.is_none_or(|at| at > now || now.since_ms(at) >= UNASKED_MS);
        if due {
            held.trust_sent_at = Some(now);
        }
        due
    }

    /// Whether a gateway is due to learn what is held of its telemetry: at the start of each connection, then after times that double up to an
    /// hour because one may be lost, and each minute while its heartbeats are of another epoch; notes that it is. A gateway that has nothing to
    /// report learns of a copy only so.
    pub fn is_head_due(&mut self, now: UtcMillis, gateway: &GatewayId, is_other_epoch: bool) -> bool {
        let held = entry(&mut self.gateways, gateway);
        let every_ms =
            held.head_sent.map_or(0, |(_, ms)| if is_other_epoch { ms.min(HEAD_OTHER_EPOCH_MS) } else { ms });
        let due = held.head_sent.is_none_or(|(at, _)| at > now || now.since_ms(at) >= every_ms);
        if due {
            let next_ms = held.head_sent.map_or(HEAD_FIRST_MS, |(_, ms)| (ms * 2).min(HEAD_MS));
            held.head_sent = Some((now, next_ms));
        }
        due
    }

    /// When the device was reported attached last, since this coordinator started.
    pub fn last_attached(&self, device: &DeviceId) -> Option<UtcMillis> {
        self.devices.get(device).map(|d| d.attached_at).filter(|at| *at > UtcMillis(0))
    }

    /// Where a device stands, and what was heard of it last.
    pub fn device(&self, now: UtcMillis, gateway: Option<&GatewayId>, device: &DeviceId) -> (Reach, Option<Device>) {
        let standing = gateway.map_or(Standing::Unknown, |g| self.gateway(now, g).standing);
        let heard = self.devices.get(device).copied();
        let reach = match (standing, heard) {
            (Standing::Unknown, _) | (_, None) => Reach::Unknown,
            (Standing::Silent | Standing::Offline, _) => Reach::Unreachable,
            (Standing::Online, Some(heard)) if heard.attached => Reach::Attached,
            (Standing::Online, Some(_)) => Reach::Detached,
        };
        (reach, heard)
    }

    /// The configuration names somebody whom this coordinator calls.
    pub fn calls(&mut self, kind: ExpiryKind, label: &str) {
        self.peers.entry((kind, label.to_owned())).or_default();
    }

    /// Somebody whom this coordinator calls showed a certificate, in a connection that stands.
    pub fn showed(&mut self, kind: ExpiryKind, label: &str, expires_at: UtcMillis) {
        let key = (kind, label.to_owned());
        if self.peers.len() < PEERS_MAX || self.peers.contains_key(&key) {
            self.peers.insert(key, Some(expires_at));
        }
    }

    /// What somebody showed counts no more: whoever has the name now may be somebody else.
    pub fn forget(&mut self, kind: ExpiryKind, label: &str) {
        self.peers.remove(&(kind, label.to_owned()));
    }

    /// Whom this coordinator calls, and until when the certificate is valid that they showed last, if they did.
    pub fn peers(&self) -> impl Iterator<Item = (&(ExpiryKind, String), Option<UtcMillis>)> {
        self.peers.iter().map(|(peer, end)| (peer, *end))
    }

    /// Whether this coordinator has been up for longer than any gateway that is there stays unheard.
    pub fn is_long_up(&self, now: UtcMillis) -> bool {
        self.started_at.is_some_and(|at| now.since_ms(at) > SILENT_MS_MAX)
    }

    /// Where a gateway stands.
    pub fn gateway(&self, now: UtcMillis, gateway: &GatewayId) -> View {
        let Some(held) = self.gateways.get(gateway) else {
            return View { standing: Standing::Unknown, heard_at: None, serial: 0 };
        };
        let broke_at = held.connection.filter(|(stands, _)| !stands).map(|(_, at)| at);
        let standing = match held.heard_at {
            // A heartbeat after that word shows that it is back, or that the word was wrong.
            heard if broke_at.is_some_and(|broke| heard.is_none_or(|heard| heard <= broke)) => Standing::Offline,
            None => Standing::Unknown,
            Some(heard) => {
                let gap = held.gaps_ms[0].max(held.gaps_ms[1]);
                let limit = gap.saturating_mul(MISSED).clamp(SILENT_MS_MIN, SILENT_MS_MAX);
                if now.since_ms(heard) > limit { Standing::Silent } else { Standing::Online }
            }
        };
        View { standing, heard_at: held.heard_at, serial: held.serial }
    }

    #[cfg(any(test, feature = "fixtures"))]
    pub fn attach(&mut self, device: DeviceId, at: UtcMillis) {
        let state = InstallState::Idle;
        self.seen(at, &DeviceHeartbeat { device, state, attached: true, in_use: false });
    }
}

fn entry<'a>(gateways: &'a mut BTreeMap<GatewayId, Gateway>, id: &GatewayId) -> &'a mut Gateway {
    if !gateways.contains_key(id) {
        gateways.insert(id.clone(), Gateway::default());
    }
    gateways.get_mut(id).expect("was just inserted")
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UtcMillis = UtcMillis(1_000_000_000);

    fn gateway() -> GatewayId {
        "GW-1".parse().expect("a good id")
    }
    fn heartbeat(sequence: u64) -> Heartbeat {
        Heartbeat {
            gateway: gateway(),
            epoch: 1,
            sequence,
            at: START,
            root_version: 1,
            roster_version: 1,
            directive_serial: 3,
            checkpoint_size: 0,
            missing_releases: vec![],
            outbox_depth: 0,
            devices: vec![],
            held_trust: None,
            observed: None,
        }
    }
    fn standing(presence: &Presence, ms: u64) -> Standing {
        presence.gateway(START.plus_ms(ms), &gateway()).standing
    }

    #[test]
    fn last_word_and_heartbeats_make_one_state() {
        let mut presence = Presence::default();
        assert_eq!(standing(&presence, 0), Standing::Unknown);
        presence.connection(START, &gateway(), true);
        assert_eq!(standing(&presence, 0), Standing::Unknown, "a connection alone shows no gateway");
        for n in 1..=3 {
            assert!(presence.heard(START.plus_ms(n * 20_000), &heartbeat(n)));
        }
        assert_eq!(standing(&presence, 60_000 + 59_000), Standing::Online, "it beats every 20 s");
        assert_eq!(standing(&presence, 60_000 + 61_000), Standing::Silent);
        presence.connection(START.plus_ms(130_000), &gateway(), false);
        assert_eq!(standing(&presence, 130_000), Standing::Offline);
        assert!(!presence.heard(START.plus_ms(140_000), &heartbeat(3)), "sent again, shows nothing");
        assert_eq!(standing(&presence, 140_000), Standing::Offline);
        assert!(presence.heard(START.plus_ms(150_000), &heartbeat(4)));
        assert_eq!(standing(&presence, 150_000), Standing::Online, "back, whatever the broker said before");
    }

    #[test]
    fn fld_25_a_clock_set_back_makes_nobody_heard() {
        const HOURS_MS: u64 = 5 * 3_600_000;
        let mut presence = Presence::started(START);
        let device: DeviceId = "DEV-1".parse().expect("a good id");
        let beat = DeviceHeartbeat { device: device.clone(), state: InstallState::Idle, attached: true, in_use: false };
        for n in 1..=3 {
            presence.heard(START.plus_ms(HOURS_MS + n * 20_000), &heartbeat(n));
            presence.seen(START.plus_ms(HOURS_MS + n * 20_000), &beat);
        }
        presence.follow(START.plus_ms(HOURS_MS + 100_000));
        presence.follow(START.plus_ms(1_000));
        let silent_at = |presence: &Presence, ms| standing(presence, ms) == Standing::Silent;
        assert!(!silent_at(&presence, 1_000), "40 s without a heartbeat, three of 20 s are missed then");
        assert!(silent_at(&presence, 22_000), "and the rest of the minute is no longer than it was");
        assert_eq!(presence.last_attached(&device), Some(UtcMillis(START.0 + 1_000 - 40_000)));
        assert!(presence.heard(START.plus_ms(30_000), &heartbeat(4)));
        assert!(!silent_at(&presence, 31_000));
    }

    #[test]
    fn a_device_is_no_nearer_than_its_gateway() {
        let device: DeviceId = "DEV-1".parse().expect("a good id");
        let mut presence = Presence::default();
        let reach = |presence: &Presence, ms| presence.device(START.plus_ms(ms), Some(&gateway()), &device).0;
        assert_eq!(reach(&presence, 0), Reach::Unknown);
        for (n, attached, expected) in [(1, true, Reach::Attached), (2, false, Reach::Detached)] {
            assert!(presence.heard(START.plus_ms(n), &heartbeat(n)));
            let state = InstallState::Idle;
            let beat = DeviceHeartbeat { device: device.clone(), state, attached, in_use: false };
            presence.seen(START.plus_ms(n), &beat);
            assert_eq!(reach(&presence, n), expected);
        }
        assert_eq!(presence.last_attached(&device), Some(START.plus_ms(1)));
        assert_eq!(reach(&presence, 3_600_000), Reach::Unreachable);
    }

    #[test]
    fn a_missing_directive_is_not_sent_for_every_heartbeat() {
        let mut presence = Presence::default();
        let mut send = |serial, ms| presence.send_directive(START.plus_ms(ms), &gateway(), serial, START);
        assert!(!send(7, 500), "issued half a second ago: on its way");
        assert!(send(7, 2_500));
        assert!(!send(7, 3_000));
        assert!(send(7, 5_000));
        assert!(send(8, 5_001), "another one");
    }
}
