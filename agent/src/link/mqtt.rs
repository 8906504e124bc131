//! MQTT to the coordinator. What cannot be sent now is not queued here: the outbox and the next heartbeat send it again.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use mdfm_shared::limits::MQTT_PACKET_BYTES_MAX;
use mdfm_shared::wire::Topic;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, LastWill, Outgoing, QoS, SubscribeFilter};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::road::Relay;
use super::{Identity, Road};

/// Pause before a new connection: full jitter up to this, doubling from the first to the last.
const PAUSE_FIRST_MS: u64 = 500;
const PAUSE_LAST_MS: u64 = 15_000;
/// A connection that held for so long was a good one: the next pause is short again.
const GOOD_CONNECTION: Duration = Duration::from_secs(2);
/// A device fault reaches the coordinator within this even over a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Connections in a row that must end before the newer topics are granted, until they are left out.
const REFUSALS_MAX: u32 = 2;
/// After that they are asked for again: the coordinator may have been updated.
const REFUSED_PAUSE: Duration = Duration::from_secs(3_600);

/// Whether the coordinator grants the topics that earlier versions do not know. Those end the connection of an agent that subscribes to
/// them, which must not go on for ever.
#[derive(Debug, Default)]
struct NewerTopics {
    /// Whether this connection asks for them.
    is_asked: bool,
    /// The packet that asks for them, until it is answered.
    packet: Option<u16>,
    refusals: u32,
    ask_after: Option<Instant>,
}

impl NewerTopics {
    /// A connection begins; returns whether to ask.
    fn begin(&mut self, now: Instant) -> bool {
        self.packet = None;
        self.is_asked = self.ask_after.is_none_or(|at| now >= at);
        self.is_asked
    }

    /// The coordinator answered a subscription: whatever it said, it goes on.
    fn answered(&mut self, packet: u16) {
        if self.packet == Some(packet) {
            (self.packet, self.refusals, self.ask_after) = (None, 0, None);
        }
    }

    /// The connection ended; returns whether the newer topics are left out from now on.
    fn ended(&mut self, now: Instant) -> bool {
        if self.packet.take().is_none() {
            return false;
        }
        self.refusals += 1;
        let is_refused = self.refusals >= REFUSALS_MAX;
        if is_refused {
            (self.refusals, self.ask_after) = (0, Some(now + REFUSED_PAUSE));
        }
        is_refused
    }
}

/// Sets of topics that were added later, each in a packet of its own, the youngest last.
fn newer_filters(gateway: &GatewayId) -> [Vec<String>; 2] {
    [Topic::authority_filters(gateway).into(), vec![Topic::Chain(gateway.clone()).to_string()]]
}

/// Which of those sets the coordinator grants.
#[derive(Debug, Default)]
struct Granted {
    sets: [NewerTopics; 2],
    /// Subscriptions that went out over this connection.
    sent: usize,
}

impl Granted {
    /// A connection begins; returns which sets to ask for.
    fn begin(&mut self, now: Instant) -> [bool; 2] {
        self.sent = 0;
        self.sets.each_mut().map(|set| set.begin(now))
    }

    /// A subscription goes out; those of the newer topics follow the `basic` others, in their order.
    fn sent(&mut self, packet: u16, basic: usize) {
        self.sent += 1;
        let Some(place) = self.sent.checked_sub(basic + 1) else { return };
        if let Some(set) = self.sets.iter_mut().filter(|set| set.is_asked).nth(place) {
            set.packet = Some(packet);
        }
    }

    fn answered(&mut self, packet: u16) {
        self.sets.iter_mut().for_each(|set| set.answered(packet));
    }

    /// The connection ended; returns whether a set is left out from now on. The youngest one that was not answered is the cause: a
    /// coordinator looks at several packets before it answers the first.
    fn ended(&mut self, now: Instant) -> bool {
        let youngest = self.sets.iter().rposition(|set| set.packet.is_some());
        let is_refused = youngest.is_some_and(|i| self.sets[i].ended(now));
        self.sets.iter_mut().for_each(|set| set.packet = None);
        is_refused
    }
}

/// Shared by both halves of the link.
#[derive(Clone, Default)]
struct Newer(Arc<Mutex<Granted>>);

impl Newer {
    fn get(&self) -> MutexGuard<'_, Granted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The filters that every coordinator grants.
fn basic_filters(gateway: &GatewayId) -> Vec<String> {
    let newer = newer_filters(gateway).concat();
    Topic::agent_filters(gateway).into_iter().filter(|f| !newer.contains(f)).collect()
}

/// What the link tells the runner.
#[derive(Debug)]
pub(crate) enum FleetEvent {
    /// Connected and subscribed.
    Up,
    /// Not connected.
    Down,
    /// A message.
    Message { topic: String, payload: Vec<u8> },
}

/// The sending side.
pub(crate) struct FleetLink {
    client: AsyncClient,
    gateway: GatewayId,
    polling: JoinHandle<()>,
    newer: Newer,
    _relay: Relay,
}

impl Drop for FleetLink {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

/// Host and port of an `https://` URL.
fn host_and_port(url: &str) -> anyhow::Result<(String, u16)> {
    let authority = url.strip_prefix("https://").context("the coordinator's URL must start with https://")?;
    let authority = authority.split('/').next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) => Ok((host.trim_matches(['[', ']']).to_owned(), port.parse()?)),
        None => Ok((authority.to_owned(), 443)),
    }
}

impl FleetLink {
    /// Connects, and connects again for ever; events go to `events`.
    pub(crate) fn start(
        identity: &Identity,
        road: &Road,
        state_dir: &Path,
        events: mpsc::Sender<FleetEvent>,
    ) -> anyhow::Result<Self> {
        let (host, port) = host_and_port(&identity.url)?;
        let gateway = identity.gateway.clone();
        let presence = Topic::Presence(gateway.clone()).to_string();
        let client = Some((identity.certificate_pem.as_str(), identity.key_pem.as_str()));
        let tls = super::tls_config(&identity.ca_der()?, client)?;
        let (mut options, relay) = road.mqtt(gateway.as_str(), (host, port), tls, state_dir)?;
        options.set_keep_alive(KEEP_ALIVE);
        options.set_max_packet_size(MQTT_PACKET_BYTES_MAX, MQTT_PACKET_BYTES_MAX);
        options.set_last_will(LastWill::new(&presence, "offline", QoS::AtLeastOnce, true));
        let (client, event_loop) = AsyncClient::new(options, 128);
        let newer = Newer::default();
        let polling = tokio::spawn(poll(event_loop, events, newer.clone(), basic_filters(&gateway).len()));
        Ok(Self { client, gateway, polling, newer, _relay: relay })
    }

    /// Subscribes to everything that this gateway needs and says that it is there.
    pub(crate) fn hello(&self) {
        for filter in basic_filters(&self.gateway) {
            self.subscribe(filter);
        }
        let asked = self.newer.get().begin(Instant::now());
        for (filters, _) in newer_filters(&self.gateway).into_iter().zip(asked).filter(|(_, is_asked)| *is_asked) {
            let filters = filters.into_iter().map(|f| SubscribeFilter::new(f, QoS::AtLeastOnce));
            if let Err(error) = self.client.try_subscribe_many(filters) {
                tracing::debug!(%error, "subscription put off to the next connection");
            }
        }
        self.publish(&Topic::Presence(self.gateway.clone()), true, b"online".to_vec());
    }

    /// Subscribes to a release.
    pub(crate) fn want_release(&self, digest: Digest) {
        self.subscribe(Topic::Release(digest).to_string());
    }

    fn subscribe(&self, filter: String) {
        if let Err(error) = self.client.try_subscribe(filter, QoS::AtLeastOnce) {
            tracing::debug!(%error, "subscription put off to the next connection");
        }
    }

    /// Sends if the connection takes it now.
    pub(crate) fn publish(&self, topic: &Topic, retain: bool, payload: Vec<u8>) {
        // A heartbeat is worth nothing when the next one is due.
        let qos = if matches!(topic, Topic::Heartbeat(_)) { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        if let Err(error) = self.client.try_publish(topic.to_string(), qos, retain, payload) {
            tracing::debug!(%error, %topic, "message put off");
        }
    }
}

async fn poll(mut event_loop: EventLoop, events: mpsc::Sender<FleetEvent>, newer: Newer, basic: usize) {
    let mut pause_ms = PAUSE_FIRST_MS;
    let mut up_since = None;
    loop {
        let event = match event_loop.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                up_since = Some(Instant::now());
                tracing::info!("connected to the coordinator");
                FleetEvent::Up
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                FleetEvent::Message { topic: publish.topic, payload: publish.payload.to_vec() }
            }
            Ok(Event::Outgoing(Outgoing::Subscribe(packet))) => {
                newer.get().sent(packet, basic);
                continue;
            }
            Ok(Event::Incoming(Incoming::SubAck(answer))) => {
                newer.get().answered(answer.pkid);
                continue;
            }
            Ok(_) => continue,
            Err(error) => {
                if newer.get().ended(Instant::now()) {
                    tracing::warn!(
                        "this coordinator does not know all topics of this agent; asking for the others again in an hour"
                    );
                }
                tracing::warn!(%error, "no connection to the coordinator; going on alone and trying again");
                // What was in flight is sent again from the outbox, in order.
                event_loop.clean();
                event_loop.pending.clear();
                if events.send(FleetEvent::Down).await.is_err() {
                    return;
                }
                if up_since.take().is_some_and(|at: Instant| at.elapsed() >= GOOD_CONNECTION) {
                    pause_ms = PAUSE_FIRST_MS;
                }
                tokio::time::sleep(Duration::from_millis(jitter(pause_ms))).await;
                pause_ms = (pause_ms * 2).min(PAUSE_LAST_MS);
                continue;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// A random time up to `ms`: thousands of gateways that lost the coordinator at once must not come back at once.
fn jitter(ms: u64) -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes) % ms + 1,
        Err(_) => ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_12_newer_topics_end_no_connection_for_ever() {
        let (mut newer, start) = (Granted::default(), Instant::now());
        // A coordinator of the version that published withdrawals first.
        newer.sets[1].ask_after = Some(start + REFUSED_PAUSE * 10);
        let connect = |newer: &mut Granted, now: Instant| {
            let [asks, _] = newer.begin(now);
            (1..=5 + u16::from(asks)).for_each(|packet| newer.sent(packet, 5));
            (1..=5).for_each(|packet| newer.answered(packet));
            asks
        };
        assert!(connect(&mut newer, start) && !newer.ended(start));
        assert!(connect(&mut newer, start) && newer.ended(start), "the second connection in a row was ended");
        assert!(!connect(&mut newer, start) && !newer.ended(start));
        let later = start + REFUSED_PAUSE;
        assert!(connect(&mut newer, later), "asked for again");
        newer.answered(6);
        assert!(!newer.ended(later));
        for _ in 0..5 {
            assert!(connect(&mut newer, later));
            newer.answered(6);
            assert!(!newer.ended(later), "a connection that breaks later says nothing");
        }
        let basic = basic_filters(&"GW-1".parse().expect("a good id"));
        assert_eq!(basic.len(), 5);
        assert!(basic.iter().all(|f| !f.contains("withdrawals") && !f.contains("rollback-orders")));
    }

    #[test]
    fn fld_7_an_older_coordinator_keeps_the_topics_that_it_knows() {
        for known in 0..=2 {
            let (mut newer, now) = (Granted::default(), Instant::now());
            let mut last = [true; 2];
            let mut ends = 0;
            for _ in 0..8 {
                last = newer.begin(now);
                let asked = last.iter().filter(|asks| **asks).count();
                (1..=5 + asked as u16).for_each(|packet| newer.sent(packet, 5));
                if last.iter().skip(known).any(|asks| *asks) {
                    // It looks at all packets before it answers one.
                    ends += 1;
                    newer.ended(now);
                } else {
                    (1..=5 + asked as u16).for_each(|packet| newer.answered(packet));
                }
            }
            let kept = last.iter().filter(|asks| **asks).count();
            assert_eq!((kept, ends), (known, 2 * (2 - known)), "what is known is asked for, the rest left out");
        }
    }

    #[test]
    fn urls_give_host_and_port() {
        for (url, host, port) in [
            ("https://fw.example:8443", "fw.example", 8443),
            ("https://fw.example/", "fw.example", 443),
            ("https://[::1]:9", "::1", 9),
        ] {
            assert_eq!(host_and_port(url).expect("good"), (host.to_owned(), port));
        }
        assert!(host_and_port("http://x").is_err());
    }
}
