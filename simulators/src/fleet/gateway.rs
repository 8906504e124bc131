//! One gateway under load: connects, beats, reports in a signed chain and keeps what is not acknowledged, as an agent does. What it
//! receives it believes: judging the coordinator is the agents' work, loading it is this program's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{CommitAck, Directive};
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::limits::MQTT_PACKET_BYTES_MAX;
use mdfm_shared::observed::{ObservationRequest, ObservedDevice};
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::telemetry::{
    DeviceHeartbeat, Event, EventKind, FirmwareReport, Heartbeat, InstallState, Severity, TelemetryBatch,
};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::Roster;
use mdfm_shared::wire::{self, Topic};
use rumqttc::{
    AsyncClient, Event as MqttEvent, EventLoop, Incoming, LastWill, MqttOptions, QoS, SubscribeFilter,
    TlsConfiguration, Transport,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::enrol::{Enrolled, RUNNING, serial};
use super::report::Stats;

/// As the agents': full jitter up to this, doubling from the first to the last.
const PAUSE_FIRST_MS: u64 = 500;
const PAUSE_LAST_MS: u64 = 15_000;
/// As the agents'.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What was not acknowledged for so long is sent again, as the agents do.
const RESEND: Duration = Duration::from_secs(5);
/// What the first batch of a chain names as the one before.
const FIRST: Digest = Digest([0; 32]);
/// Batches of one gateway under way at most; agents hold back the rest in their outbox.
const UNDER_WAY_MAX: usize = 32;

/// Where a gateway's chain stands, from run to run.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Chain {
    pub(super) sequence: u64,
    pub(super) previous: Digest,
    /// Frames that were sent and not acknowledged, the first of sequence `sequence + 1 - len`.
    pub(super) unacknowledged: Vec<Vec<u8>>,
}

impl Default for Chain {
    fn default() -> Self {
        Self { sequence: 0, previous: FIRST, unacknowledged: Vec::new() }
    }
}

struct Sent {
    sequence: u64,
    frame: Vec<u8>,
    first: Instant,
    last: Instant,
}

struct Inner {
    heartbeat: u64,
    root_version: u64,
    roster_version: u64,
    serial: u64,
    signed_heartbeats: VecDeque<Vec<u8>>,
    signed_batches: VecDeque<Vec<u8>>,
    /// Of the last batch signed.
    sequence: u64,
    previous: Digest,
    /// Of the last batch sent.
    sent: u64,
    under_way: VecDeque<Sent>,
}

/// A gateway.
pub(super) struct Gateway {
    enrolled: Enrolled,
    key: SecretKey,
    client: AsyncClient,
    /// What it observes of each device, in the order of `enrolled.devices`; `None` if its heartbeats carry no digests.
    observed: Option<Vec<ObservedDevice>>,
    inner: Mutex<Inner>,
    connected: AtomicBool,
    /// Breaks the connection, so that it is made again.
    pub(super) cut: Notify,
}

/// What all gateways of a run share.
pub(super) struct Shared {
    pub(super) stats: Stats,
    /// Connections being made at once.
    pub(super) connecting: Semaphore,
    pub(super) stopping: AtomicBool,
    /// Directives issued before this are old news.
    pub(super) started: UtcMillis,
}

pub(super) fn now() -> UtcMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn jitter(ms: u64) -> Duration {
    let mut bytes = [0; 8];
    let random = getrandom::fill(&mut bytes).map_or(u64::MAX, |()| u64::from_le_bytes(bytes));
    Duration::from_millis(random % ms.max(1) + 1)
}

impl Gateway {
    /// Makes the gateway; it connects once [`drive`] runs.
    pub(super) fn new(
        enrolled: Enrolled,
        chain: Chain,
        roots: &Arc<RootCertStore>,
        (host, port): (&str, u16),
        is_observing: bool,
    ) -> anyhow::Result<(Arc<Self>, EventLoop)> {
        let id = &enrolled.gateway;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(Arc::clone(roots))
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(enrolled.certificate_pem.as_bytes())?],
                PrivateKeyDer::from_pem_slice(enrolled.key_pem.as_bytes())?,
            )
            .with_context(|| format!("the certificate of {id}"))?;
        let mut options = MqttOptions::new(id.as_str(), host, port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_max_packet_size(MQTT_PACKET_BYTES_MAX, MQTT_PACKET_BYTES_MAX);
        options.set_last_will(LastWill::new(
            Topic::Presence(id.clone()).to_string(),
            "offline",
            QoS::AtLeastOnce,
            true,
        ));
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
        let (client, events) = AsyncClient::new(options, 2 * UNDER_WAY_MAX);
        let waiting = chain.unacknowledged.len() as u64;
        let inner = Inner {
            // Above those of every earlier run.
            heartbeat: now().0 << 16,
            root_version: 0,
            roster_version: 0,
            serial: 0,
            signed_heartbeats: VecDeque::new(),
            signed_batches: VecDeque::new(),
            sequence: chain.sequence,
            previous: chain.previous,
            sent: chain.sequence,
            under_way: (chain.sequence + 1 - waiting..)
                .zip(chain.unacknowledged)
                .map(|(sequence, frame)| Sent { sequence, frame, first: Instant::now(), last: Instant::now() })
                .collect(),
        };
        let key = SecretKey::from_secret_text(&enrolled.telemetry_secret)?;
        let observed =
            is_observing.then(|| enrolled.devices.iter().map(|device| observation(device, &enrolled.model)).collect());
        let gateway = Self {
            enrolled,
            key,
            client,
            observed,
            inner: Mutex::new(inner),
            connected: AtomicBool::new(false),
            cut: Notify::new(),
        };
        Ok((Arc::new(gateway), events))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn id(&self) -> &GatewayId {
        &self.enrolled.gateway
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Whether the coordinator's directive has come.
    pub(super) fn is_directed(&self) -> bool {
        self.inner().serial > 0
    }

    /// Batches sent and not acknowledged.
    pub(super) fn under_way(&self) -> usize {
        self.inner().under_way.len()
    }

    /// Where the chain stands.
    pub(super) fn chain(&self) -> Chain {
        let inner = self.inner();
        let unacknowledged = inner.under_way.iter().map(|s| s.frame.clone()).collect();
        // Batches that were signed and never sent do not exist.
        let previous = inner.signed_batches.front().map_or(inner.previous, |next| previous_of(next));
        Chain { sequence: inner.sent, previous, unacknowledged }
    }

    fn signed_heartbeat(&self, inner: &mut Inner) -> anyhow::Result<Vec<u8>> {
        inner.heartbeat += 1;
        let devices = self.enrolled.devices.iter().map(|device| DeviceHeartbeat {
            device: device.clone(),
            state: InstallState::Idle,
            attached: true,
            in_use: false,
        });
        let heartbeat = Heartbeat {
            gateway: self.enrolled.gateway.clone(),
            epoch: self.enrolled.epoch,
            sequence: inner.heartbeat,
            at: now(),
            root_version: inner.root_version,
            roster_version: inner.roster_version,
            directive_serial: inner.serial,
            checkpoint_size: 0,
            missing_releases: Vec::new(),
            outbox_depth: inner.under_way.len() as u64,
            devices: devices.collect(),
            held_trust: None,
            observed: self.observed.as_ref().map(|all| all.iter().map(ObservedDevice::digest).collect()),
        };
        Ok(wire::encode(&Signed::sign(&heartbeat, &[&self.key])?))
    }

    fn signed_batch(&self, inner: &mut Inner, events: usize) -> anyhow::Result<Vec<u8>> {
        let event = |n: usize| Event {
            device: self.enrolled.devices.get(n % self.enrolled.devices.len().max(1)).cloned(),
            at: now(),
            kind: EventKind::DeviceError {
                severity: Severity::Warning,
                code: format!("LOAD-{}", n % 7),
                message: "battery below a fifth of its charge; plug in".into(),
            },
        };
        self.signed_events(inner, (0..events).map(event).collect())
    }

    fn signed_events(&self, inner: &mut Inner, events: Vec<Event>) -> anyhow::Result<Vec<u8>> {
        let sequence = inner.sequence + 1;
        let batch = TelemetryBatch {
            gateway: self.enrolled.gateway.clone(),
            epoch: self.enrolled.epoch,
            sequence,
            previous: inner.previous,
            events,
        };
        let signed = Signed::sign(&batch, &[&self.key])?;
        (inner.sequence, inner.previous) = (sequence, signed.digest());
        Ok(wire::encode(&signed))
    }

    /// Signs ahead, so that the load is not the signing.
    pub(super) fn prepare(&self, heartbeats: usize, batches: usize, events: usize) -> anyhow::Result<()> {
        let mut inner = self.inner();
        for _ in 0..heartbeats {
            let frame = self.signed_heartbeat(&mut inner)?;
            inner.signed_heartbeats.push_back(frame);
        }
        for _ in 0..batches {
            let frame = self.signed_batch(&mut inner, events)?;
            inner.signed_batches.push_back(frame);
        }
        Ok(())
    }

    /// Sends a heartbeat. Gives whether the connection took it.
    pub(super) fn beat(&self) -> anyhow::Result<bool> {
        let mut inner = self.inner();
        let frame = match inner.signed_heartbeats.pop_front() {
            Some(frame) => frame,
            None => self.signed_heartbeat(&mut inner)?,
        };
        let topic = Topic::Heartbeat(self.enrolled.gateway.clone()).to_string();
        Ok(self.client.try_publish(topic, QoS::AtMostOnce, false, frame).is_ok())
    }

    /// Sends the next batch of so many events. Gives whether there was room for it.
    pub(super) fn report(&self, events: usize) -> anyhow::Result<bool> {
        let mut inner = self.inner();
        if inner.under_way.len() >= UNDER_WAY_MAX {
            return Ok(false);
        }
        let frame = match inner.signed_batches.pop_front() {
            Some(frame) => frame,
            None => self.signed_batch(&mut inner, events)?,
        };
        self.send_batch(&mut inner, frame);
        Ok(true)
    }

    fn send_batch(&self, inner: &mut Inner, frame: Vec<u8>) {
        inner.sent += 1;
        let sent = Sent { sequence: inner.sent, frame, first: Instant::now(), last: Instant::now() };
        self.publish_batch(&sent);
        inner.under_way.push_back(sent);
    }

    /// Answers a request for observed states.
    fn answer(&self, request: &ObservationRequest) -> anyhow::Result<()> {
        let pairs = self.enrolled.devices.iter().zip(self.observed.iter().flatten());
        let events: Vec<Event> = pairs
            .filter(|(device, _)| request.devices.contains(device))
            .map(|(device, observed)| Event {
                device: Some(device.clone()),
                at: now(),
                kind: EventKind::DeviceObserved { digest: observed.digest(), observed: Box::new(observed.clone()) },
            })
            .collect();
        let mut inner = self.inner();
        if !events.is_empty() && inner.under_way.len() < UNDER_WAY_MAX {
            let frame = self.signed_events(&mut inner, events)?;
            self.send_batch(&mut inner, frame);
        }
        Ok(())
    }

    fn publish_batch(&self, sent: &Sent) {
        let topic = Topic::Telemetry(self.enrolled.gateway.clone()).to_string();
        // What the connection does not take now is sent again later.
        let _ = self.client.try_publish(topic, QoS::AtLeastOnce, false, sent.frame.clone());
    }

    /// Sends again what has waited too long, or all of it. Gives how many.
    pub(super) fn resend(&self, all: bool) -> u64 {
        let mut inner = self.inner();
        if !all && inner.under_way.front().is_none_or(|s| s.last.elapsed() < RESEND) {
            return 0;
        }
        for sent in &mut inner.under_way {
            sent.last = Instant::now();
            self.publish_batch(sent);
        }
        inner.under_way.len() as u64
    }

    fn hello(&self) -> anyhow::Result<()> {
        let filters = Topic::agent_filters(&self.enrolled.gateway);
        let filters = filters.into_iter().map(|path| SubscribeFilter { path, qos: QoS::AtLeastOnce });
        self.client.try_subscribe_many(filters).context("a new connection takes no subscription")?;
        let presence = Topic::Presence(self.enrolled.gateway.clone()).to_string();
        let _ = self.client.try_publish(presence, QoS::AtLeastOnce, true, "online");
        self.resend(true);
        self.beat()?;
        Ok(())
    }

    fn receive(&self, shared: &Shared, topic: &str, payload: &[u8]) -> anyhow::Result<()> {
        match Topic::parse(topic) {
            Some(Topic::Ack(_)) => {
                let ack = wire::decode::<Signed<CommitAck>>(payload)?.decode_unverified()?;
                let mut inner = self.inner();
                while inner
                    .under_way
                    .front()
                    .is_some_and(|s| ack.epoch == self.enrolled.epoch && s.sequence <= ack.sequence)
                {
                    if let Some(sent) = inner.under_way.pop_front() {
                        shared.stats.acknowledged(sent.first.elapsed());
                    }
                }
            }
            Some(Topic::Directive(_)) => {
                let directive = wire::decode::<Signed<Directive>>(payload)?.decode_unverified()?;
                let is_new = {
                    let mut inner = self.inner();
                    let is_new = directive.serial > inner.serial;
                    inner.serial = inner.serial.max(directive.serial);
                    // They name an older serial.
                    inner.signed_heartbeats.clear();
                    is_new
                };
                if is_new {
                    if directive.issued_at >= shared.started {
                        shared.stats.directed(now().since_ms(directive.issued_at));
                    }
                    self.beat()?;
                }
            }
            Some(Topic::Question(_)) => {
                self.answer(&wire::decode::<Signed<ObservationRequest>>(payload)?.decode_unverified()?)?;
            }
            Some(Topic::TrustRoot(version)) => {
                let mut inner = self.inner();
                inner.root_version = inner.root_version.max(version);
            }
            Some(Topic::Roster) => {
                let roster = wire::decode::<Signed<Roster>>(payload)?.decode_unverified()?;
                let mut inner = self.inner();
                inner.roster_version = inner.roster_version.max(roster.version);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The same for a device in every run, so that a second run finds it reconciled.
fn observation(device: &DeviceId, model: &str) -> ObservedDevice {
    ObservedDevice {
        present: true,
        model: model.to_owned(),
        serial: serial(device),
        hardware: "A".into(),
        running: FirmwareReport {
            version: RUNNING.into(),
            release_number: 0,
            security_version: 0,
            sha256: Digest::of(b"factory"),
        },
        boot_count: 1,
        unordered_reboots: 0,
        recent_reboots: 0,
        last_reboot_at: None,
        contested: false,
        since: UtcMillis(1_790_000_000_000),
    }
}

/// The digest that a signed batch names as its predecessor's; zeroes where it cannot be read, which only own frames could cause.
fn previous_of(frame: &[u8]) -> Digest {
    let batch = wire::decode::<Signed<TelemetryBatch>>(frame).ok().and_then(|s| s.decode_unverified().ok());
    batch.map_or(FIRST, |b| b.previous)
}

/// Keeps the gateway connected until the run ends.
pub(super) async fn drive(gateway: Arc<Gateway>, mut events: EventLoop, shared: Arc<Shared>) -> anyhow::Result<()> {
    let mut pause_ms = PAUSE_FIRST_MS;
    while !shared.stopping.load(Ordering::Relaxed) {
        {
            let _slot = shared.connecting.acquire().await?;
            let began = Instant::now();
            match events.poll().await {
                Ok(MqttEvent::Incoming(Incoming::ConnAck(_))) => {
                    gateway.connected.store(true, Ordering::Relaxed);
                    shared.stats.connected(began.elapsed());
                    pause_ms = PAUSE_FIRST_MS;
                }
                Ok(_) => continue,
                Err(error) => {
                    shared.stats.refused(&error.to_string());
                    events.clean();
                    events.pending.clear();
                    drop(_slot);
                    tokio::time::sleep(jitter(pause_ms)).await;
                    pause_ms = (pause_ms * 2).min(PAUSE_LAST_MS);
                    continue;
                }
            }
        }
        gateway.hello()?;
        loop {
            let event = tokio::select! {
                event = events.poll() => event,
                () = gateway.cut.notified() => break,
            };
            match event {
                Ok(MqttEvent::Incoming(Incoming::Publish(publish))) => {
                    gateway.receive(&shared, &publish.topic, &publish.payload)?;
                }
                Ok(_) => {}
                Err(error) => {
                    if !shared.stopping.load(Ordering::Relaxed) {
                        shared.stats.lost(&error.to_string());
                    }
                    break;
                }
            }
        }
        gateway.connected.store(false, Ordering::Relaxed);
        // What was in flight is sent again from the chain, in order.
        events.clean();
        events.pending.clear();
        if !shared.stopping.load(Ordering::Relaxed) {
            tokio::time::sleep(jitter(pause_ms)).await;
        }
    }
    Ok(())
}
