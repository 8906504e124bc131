//! MQTT to the coordinator. What cannot be sent now is not queued here: the outbox and the next heartbeat send it again.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use mdfm_agent_core::gateway::LineProblem;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use mdfm_shared::limits::MQTT_PACKET_BYTES_MAX;
use mdfm_shared::wire::Topic;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming, LastWill, Outgoing, QoS,
    SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::road::Relay;
use super::{Identity, Road};

/// Longest pause before another connection to a coordinator that is not there, where the configured spread is shorter.
const PAUSE_MS: u64 = 15_000;
/// A connection that held for so long was a good one: the next pause is short again.
const GOOD_CONNECTION: Duration = Duration::from_secs(2);
/// A device fault reaches the coordinator within this even over a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Connections in a row that must end before the newer topics are granted, until they are left out.
const REFUSALS_MAX: u32 = 2;
/// After that they are asked for again: the coordinator may have been updated.
const REFUSED_PAUSE: Duration = Duration::from_secs(3_600);
/// The same where this coordinator has granted them before: then connections broke for another reason.
const GRANTED_PAUSE: Duration = Duration::from_secs(60);

/// Between two lines about the same problem of the connection.
const PROBLEM_REPEAT: Duration = Duration::from_secs(60);

/// Topics that coordinators of some earlier version do not know, the oldest first: withdrawals and rollback orders; questions and what is held of
/// the telemetry.
const GENERATIONS: usize = 2;
/// The generation of the topic by which the coordinator asks for observed states, and of the one by which it says what it holds.
const QUESTIONS: usize = 1;
/// What each of them is for, as a warning names it.
const GENERATION_NAMES: [&str; GENERATIONS] =
    ["publish withdrawals or rollback orders", "ask for observed states, or say what it holds of the telemetry"];

/// Whether the coordinator grants the topics of one generation.
#[derive(Debug, Clone, Copy, Default)]
struct Generation {
    /// The packet that asks for them, until it is answered.
    packet: Option<u16>,
    refusals: u32,
    ask_after: Option<Instant>,
    /// Whether the coordinator has granted them since this process began.
    is_known: bool,
}

/// Whether the coordinator grants the topics that earlier versions do not know. Those end the connection of an agent that subscribes to
/// them, which must not go on for ever.
#[derive(Debug, Default)]
struct NewerTopics {
    /// Generations that this connection asks for; never a later one without those before it.
    asked: usize,
    /// Subscriptions that went out over this connection.
    sent: usize,
    generations: [Generation; GENERATIONS],
}

impl NewerTopics {
    /// A connection begins; returns how many generations to ask for.
    fn begin(&mut self, now: Instant) -> usize {
        self.sent = 0;
        self.generations.iter_mut().for_each(|generation| generation.packet = None);
        let is_due = |generation: &&Generation| generation.ask_after.is_none_or(|at| now >= at);
        self.asked = self.generations.iter().take_while(is_due).count();
        self.asked
    }

    /// A subscription goes out; those of the newer topics are the ones behind the `basic` others.
    fn sent(&mut self, packet: u16, basic: usize) {
        self.sent += 1;
        if let Some(place) = self.sent.checked_sub(basic + 1).filter(|place| *place < self.asked) {
            self.generations[place].packet = Some(packet);
        }
    }

    /// The coordinator answered a subscription: whatever it said, it goes on. Returns the generation that it answered.
    fn answered(&mut self, packet: u16) -> Option<usize> {
        let place = self.generations.iter().position(|generation| generation.packet == Some(packet))?;
        self.generations[place] = Generation { is_known: true, ..Generation::default() };
        Some(place)
    }

    /// The connection ended; returns the generation that is left out from now on, if there is one. Of several that were not answered
    /// it is the newest: a coordinator that does not know it may know the others.
    fn ended(&mut self, now: Instant) -> Option<usize> {
        let place = self.generations.iter().rposition(|generation| generation.packet.is_some())?;
        self.generations.iter_mut().for_each(|generation| generation.packet = None);
        let generation = &mut self.generations[place];
        generation.refusals += 1;
        if generation.refusals < REFUSALS_MAX {
            return None;
        }
        // Once soon; refused again, it is another coordinator now.
        let pause = if std::mem::take(&mut generation.is_known) { GRANTED_PAUSE } else { REFUSED_PAUSE };
        (generation.refusals, generation.ask_after) = (0, Some(now + pause));
        Some(place)
    }

    /// When a connection must begin again, to ask for what it leaves out; `None` if it leaves nothing out.
    fn ask_again_at(&self) -> Option<Instant> {
        self.generations.get(self.asked)?.ask_after
    }
}

/// Shared by both halves of the link.
#[derive(Clone, Default)]
struct Newer(Arc<Mutex<NewerTopics>>);

impl Newer {
    fn get(&self) -> MutexGuard<'_, NewerTopics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The filters that every coordinator grants.
fn basic_filters(gateway: &GatewayId) -> Vec<String> {
    let newer = newer_filters(gateway).concat();
    Topic::agent_filters(gateway).into_iter().filter(|f| !newer.contains(f)).collect()
}

/// The filters of each generation of newer topics.
fn newer_filters(gateway: &GatewayId) -> [Vec<String>; GENERATIONS] {
    [
        Topic::authority_filters(gateway).to_vec(),
        vec![Topic::question_filter(gateway), Topic::Chain(gateway.clone()).to_string()],
    ]
}

/// What the link tells the runner.
#[derive(Debug)]
pub(crate) enum FleetEvent {
    /// Connected and subscribed.
    Up,
    /// Not connected; `None` if the connection was ended here, to begin another.
    Down(Option<LineProblem>),
    /// The coordinator granted the topic of its questions.
    QuestionsGranted,
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
    /// Connects, and connects again for ever, each time after a random part of `spread_ms`; events go to `events`.
    pub(crate) fn start(
        identity: &Identity,
        road: &Road,
        state_dir: &Path,
        spread_ms: u64,
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
        let basic = basic_filters(&gateway).len();
        let polling = tokio::spawn(poll(event_loop, events, newer.clone(), basic, Pauses::new(spread_ms)));
        Ok(Self { client, gateway, polling, newer, _relay: relay })
    }

    /// Subscribes to everything that this gateway needs and says that it is there.
    pub(crate) fn hello(&self) {
        for filter in basic_filters(&self.gateway) {
            self.subscribe(filter);
        }
        let asked = self.newer.get().begin(Instant::now());
        for filters in newer_filters(&self.gateway).into_iter().take(asked) {
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

/// The pauses before each further connection: full jitter, from the first one on. A coordinator, or a door of several, that ends takes the
/// connections of thousands of gateways with it, and a handshake costs it a millisecond.
struct Pauses {
    spread_ms: u64,
    next_ms: u64,
}

impl Pauses {
    fn new(spread_ms: u64) -> Self {
        Self { spread_ms, next_ms: spread_ms }
    }

    /// The last connection was a good one.
    fn begin_again(&mut self) {
        self.next_ms = self.spread_ms;
    }

    /// The longest time that the next pause may take, in milliseconds; the one after it may take twice as long, up to a bound.
    fn next(&mut self) -> u64 {
        let doubled_ms = self.next_ms.saturating_mul(2).min(PAUSE_MS.max(self.spread_ms));
        std::mem::replace(&mut self.next_ms, doubled_ms)
    }
}

async fn poll(
    mut event_loop: EventLoop,
    events: mpsc::Sender<FleetEvent>,
    newer: Newer,
    basic: usize,
    mut pauses: Pauses,
) {
    let mut up_since = None;
    let mut lines = ProblemLines::default();
    loop {
        // Topics are asked for when a connection begins: one that leaves some out does not stand for ever.
        let again = newer.get().ask_again_at().filter(|_| up_since.is_some());
        let polled = tokio::select! {
            polled = event_loop.poll() => polled,
            () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                tracing::info!("connecting again to ask for the topics that were left out");
                up_since = None;
                pauses.begin_again();
                event_loop.clean();
                event_loop.pending.clear();
                if events.send(FleetEvent::Down(None)).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let event = match polled {
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
                let is_granted = answer.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_)));
                let answered = newer.get().answered(answer.pkid);
                if answered != Some(QUESTIONS) || !is_granted {
                    continue;
                }
                FleetEvent::QuestionsGranted
            }
            Ok(_) => continue,
            Err(error) => {
                let left_out = newer.get().ended(Instant::now());
                if let Some(name) = left_out.and_then(|place| GENERATION_NAMES.get(place)) {
                    tracing::warn!("this coordinator does not {name}; trying again later");
                }
                let problem = problem_of(&error, up_since.is_some());
                if lines.is_due(&problem, std::time::Instant::now()) {
                    tracing::warn!("{}", line_of(&problem));
                }
                // What was in flight is sent again from the outbox, in order.
                event_loop.clean();
                event_loop.pending.clear();
                if events.send(FleetEvent::Down(Some(problem))).await.is_err() {
                    return;
                }
                if up_since.take().is_some_and(|at: Instant| at.elapsed() >= GOOD_CONNECTION) {
                    pauses.begin_again();
                }
                tokio::time::sleep(Duration::from_millis(jitter(pauses.next()))).await;
                continue;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// The line of the journal about a connection that is not there.
fn line_of(problem: &LineProblem) -> String {
    format!("no connection to the coordinator; going on alone and trying again: {problem}")
}

/// Lines about the same problem: one at once, then one a minute.
#[derive(Default)]
struct ProblemLines {
    last: Option<(LineProblem, std::time::Instant)>,
}

impl ProblemLines {
    fn is_due(&mut self, problem: &LineProblem, now: std::time::Instant) -> bool {
        let is_known = |(last, at): &(LineProblem, std::time::Instant)| last == problem && now - *at < PROBLEM_REPEAT;
        let is_due = !self.last.as_ref().is_some_and(is_known);
        if is_due {
            self.last = Some((problem.clone(), now));
        }
        is_due
    }
}

/// What an error means for people. Only an answer of the coordinator itself says that the gateway is revoked: it came over TLS against the
/// pinned authority. A connection that merely ends may have many causes.
fn problem_of(error: &ConnectionError, was_up: bool) -> LineProblem {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized) => LineProblem::Revoked,
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword) => LineProblem::Outdated,
        // The error itself names a kind, or a page of the TLS library's documentation.
        ConnectionError::Io(cause) if was_up && is_cut(cause) => LineProblem::failed(
            "the connection that stood was cut: the coordinator ended or starts again, or something on the way (a firewall, a proxy) closed it. If \
             this goes on, ask the vendor whether the coordinator runs, and look at what is on the way",
        ),
        ConnectionError::Io(cause) if is_cut(cause) => LineProblem::failed(format_args!(
            "{cause}: the other side ended the connection before it answered. Its address has too many connections, something on the way \
             closes them, or the coordinator, if it is of an earlier version, refuses this gateway's certificate: revoked, or replaced by \
             another enrolment"
        )),
        error => LineProblem::failed(error),
    }
}

fn is_cut(cause: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(cause.kind(), K::ConnectionReset | K::ConnectionAborted | K::UnexpectedEof | K::BrokenPipe)
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

    /// A connection whose coordinator answers everything but what is newer than `known`; returns how many generations were asked for.
    fn connect(newer: &mut NewerTopics, now: Instant, known: usize) -> usize {
        let asked = newer.begin(now);
        (1..=5 + asked as u16).for_each(|packet| newer.sent(packet, 5));
        for packet in 1..=5 + asked.min(known) as u16 {
            newer.answered(packet);
        }
        asked
    }

    #[test]
    fn reconnects_are_spread_from_the_first_try() {
        let of = |spread_ms| {
            let mut pauses = Pauses::new(spread_ms);
            let all: Vec<u64> = (0..6).map(|_| pauses.next()).collect();
            pauses.begin_again();
            assert_eq!(pauses.next(), spread_ms, "after a good connection");
            all
        };
        assert_eq!(of(15_000), [15_000; 6]);
        assert_eq!(of(60_000), [60_000; 6]);
        assert_eq!(of(1_000), [1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
        // Full jitter: each tenth of the spread has its share of a thousand gateways.
        let mut tenths = [0; 10];
        (0..1_000).for_each(|_| tenths[((jitter(15_000) - 1) / 1_500) as usize] += 1);
        assert!(tenths.iter().all(|n| (50..150).contains(n)), "{tenths:?}");
    }

    #[test]
    fn sec_12_newer_topics_end_no_connection_for_ever() {
        let (mut newer, start) = (NewerTopics::default(), Instant::now());
        let mut left_out = Vec::new();
        for _ in 0..4 {
            connect(&mut newer, start, 0);
            left_out.extend(newer.ended(start));
        }
        assert_eq!(left_out, [1, 0], "the newest first, each after two connections in a row");
        assert_eq!((connect(&mut newer, start, 0), newer.ended(start)), (0, None));
        let later = start + REFUSED_PAUSE;
        assert_eq!(connect(&mut newer, later, 2), 2, "asked for again");
        for _ in 0..5 {
            assert_eq!(newer.ended(later), None, "a connection that breaks later says nothing");
            assert_eq!(connect(&mut newer, later, 2), 2);
        }
        let basic = basic_filters(&"GW-1".parse().expect("a good id"));
        assert_eq!(basic.len(), 5);
        let is_newer =
            |f: &String| ["withdrawals", "rollback-orders", "question", "chain"].iter().any(|word| f.contains(word));
        assert!(!basic.iter().any(is_newer));
    }

    #[test]
    fn fld_7_an_older_coordinator_keeps_the_topics_that_it_knows() {
        for known in 0..=GENERATIONS {
            let (mut newer, now) = (NewerTopics::default(), Instant::now());
            let (mut asked, mut ends) = (0, 0);
            for _ in 0..8 {
                asked = newer.begin(now);
                (1..=5 + asked as u16).for_each(|packet| newer.sent(packet, 5));
                if asked > known {
                    // It looks at all packets before it answers one.
                    ends += 1;
                    newer.ended(now);
                } else {
                    for packet in 1..=5 + asked as u16 {
                        newer.answered(packet);
                    }
                }
            }
            assert_eq!(
                (asked, ends),
                (known, 2 * (GENERATIONS - known)),
                "what is known is asked for, the rest left out"
            );
        }
    }

    #[test]
    fn fld_7_topics_that_are_left_out_are_asked_for_again() {
        let (mut newer, start) = (NewerTopics::default(), Instant::now());
        let leave_out = |newer: &mut NewerTopics| {
            for _ in 0..REFUSALS_MAX {
                connect(newer, start, QUESTIONS);
                newer.ended(start);
            }
        };
        assert_eq!((connect(&mut newer, start, GENERATIONS), newer.ask_again_at()), (GENERATIONS, None));
        // Two connections broke before the answer, of a coordinator that has granted the topics before.
        leave_out(&mut newer);
        assert_eq!(connect(&mut newer, start, QUESTIONS), QUESTIONS);
        assert_eq!(newer.ask_again_at(), Some(start + GRANTED_PAUSE), "soon, or nothing is acknowledged any more");
        assert_eq!(connect(&mut newer, start + GRANTED_PAUSE, GENERATIONS), GENERATIONS);
        // Granted once, refused twice in a row: it is another coordinator now.
        let (mut newer, later) = (NewerTopics::default(), start + GRANTED_PAUSE);
        connect(&mut newer, start, GENERATIONS);
        leave_out(&mut newer);
        for _ in 0..REFUSALS_MAX {
            connect(&mut newer, later, QUESTIONS);
            newer.ended(later);
        }
        connect(&mut newer, later, QUESTIONS);
        assert_eq!(newer.ask_again_at(), Some(later + REFUSED_PAUSE));
        // A coordinator that never knew them.
        let mut newer = NewerTopics::default();
        leave_out(&mut newer);
        assert_eq!(connect(&mut newer, start, QUESTIONS), QUESTIONS);
        assert_eq!(newer.ask_again_at(), Some(start + REFUSED_PAUSE));
    }

    #[test]
    fn fld_4_a_coordinator_without_questions_keeps_its_withdrawals() {
        let (mut newer, start) = (NewerTopics::default(), Instant::now());
        assert_eq!((connect(&mut newer, start, 1), newer.ended(start)), (2, None));
        assert_eq!((connect(&mut newer, start, 1), newer.ended(start)), (2, Some(QUESTIONS)));
        assert_eq!(connect(&mut newer, start, 1), 1, "withdrawals and rollback orders are still asked for");
        assert_eq!(newer.ended(start), None);
        assert_eq!(connect(&mut newer, start + REFUSED_PAUSE, 2), 2, "the coordinator was updated");
    }

    #[test]
    fn cli_20_only_the_coordinators_answer_says_revoked() {
        use mdfm_shared::fixture::page::symptom;
        let refused = |code| problem_of(&ConnectionError::ConnectionRefused(code), false);
        assert_eq!(refused(ConnectReturnCode::NotAuthorized), LineProblem::Revoked);
        assert_eq!(refused(ConnectReturnCode::BadUserNamePassword), LineProblem::Outdated);
        let cut = |kind, was_up| problem_of(&ConnectionError::Io(io::Error::from(kind)), was_up).to_string();
        for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof] {
            let words = cut(kind, false);
            assert!(words.contains("revoked, or replaced") && !words.contains("the vendor has revoked"), "{words}");
            assert!(!cut(kind, true).contains("revoked"), "a connection that stood breaks for other reasons");
            symptom("A gateway does not connect", "the connection that stood was cut").assert_in(&cut(kind, true));
        }
        assert!(!cut(io::ErrorKind::ConnectionRefused, false).contains("revoked"));
    }

    #[test]
    fn cli_23_a_broken_connection_names_no_library_page() {
        let words = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/x.html#eof";
        for (kind, was_up) in [(io::ErrorKind::UnexpectedEof, false), (io::ErrorKind::UnexpectedEof, true)] {
            let shown = line_of(&problem_of(&ConnectionError::Io(io::Error::new(kind, words)), was_up));
            assert!(!shown.contains("docs.rs") && !shown.contains("close_notify"), "{shown}");
        }
        let other = line_of(&problem_of(&ConnectionError::Io(io::Error::other(words)), true));
        assert!(other.ends_with(": the other side ended the connection in the middle"), "{other}");
    }

    #[test]
    fn cli_14_lines_of_a_missing_connection_are_on_the_page() {
        use mdfm_shared::fixture::page::symptom;
        use tokio_rustls::rustls;
        let line = |error| line_of(&problem_of(&error, false));
        let refused = |code| line(ConnectionError::ConnectionRefused(code));
        symptom("A gateway does not connect", "the vendor has revoked")
            .assert_in(&refused(ConnectReturnCode::NotAuthorized));
        symptom("A gateway does not connect", "the coordinator refuses")
            .assert_in(&refused(ConnectReturnCode::BadUserNamePassword));
        let io = |error| line(ConnectionError::Io(error));
        symptom("A gateway does not connect", "the other side ended")
            .assert_in(&io(io::Error::from(io::ErrorKind::ConnectionReset)));
        let os = io::Error::from(nix::errno::Errno::ECONNREFUSED);
        symptom("A gateway does not connect", "no connection to the coordinator").assert_in(&io(os));
        let of = |cause| io(io::Error::other(rustls::Error::InvalidCertificate(cause)));
        let time = rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(9));
        let early = rustls::CertificateError::NotValidYetContext { time, not_before: time };
        symptom("A gateway does not connect", "… certificate not valid yet").assert_in(&of(early));
        let late = rustls::CertificateError::ExpiredContext { time, not_after: time };
        symptom("A gateway does not connect", "… certificate expired").assert_in(&of(late));
        symptom("A gateway does not connect", "… UnknownIssuer")
            .assert_in(&of(rustls::CertificateError::UnknownIssuer));
    }

    #[test]
    fn cli_20_the_same_problem_is_a_line_a_minute() {
        let (mut lines, start) = (ProblemLines::default(), std::time::Instant::now());
        let at = |s| start + Duration::from_secs(s);
        let due = (0..180).filter(|s| lines.is_due(&LineProblem::Revoked, at(*s))).count();
        assert_eq!(due, 3);
        assert!(lines.is_due(&LineProblem::Outdated, at(181)) && lines.is_due(&LineProblem::Revoked, at(182)));
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
