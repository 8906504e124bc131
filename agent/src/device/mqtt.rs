//! The adapter for devices that speak the local MQTT protocol: reports and faults in, orders and image data out.
//!
//! Image data flows by the device's own reports of what is durable there: a bounded window ahead of it, sent again from there
//! when nothing moves. So an interruption of any kind goes on where the device stopped.

use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use mdfm_shared::device::{self, Channel, Command, Fault, Order, Refusal, Report};
use mdfm_shared::id::DeviceId;
use mdfm_shared::limits::{DEVICE_CHUNK_BYTES, DEVICE_PACKET_BYTES_MAX};
use mdfm_shared::telemetry::FirmwareReport;
use mdfm_shared::time::MonotonicMs;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};
use tokio::sync::mpsc;

use super::LocalBroker;

/// Chunks sent ahead of what the device reports durable.
const WINDOW_CHUNKS: u64 = 16;
/// Without progress for so long the data is sent again.
const STALL_MS: u64 = 2_000;
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// What devices tell the runner.
#[derive(Debug)]
pub(crate) enum DeviceEvent {
    Report(DeviceId, Box<Report>),
    Fault(DeviceId, Fault),
    /// A message that is not what its topic carries.
    Malformed(DeviceId, String),
}

/// The sending side.
pub(crate) struct DeviceLink {
    client: AsyncClient,
}

impl DeviceLink {
    /// Connects to the gateway's own broker.
    pub(crate) fn start(broker: &LocalBroker, events: mpsc::Sender<DeviceEvent>) -> Self {
        let host = match broker.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V6(ip) if ip.is_unspecified() => "::1".to_owned(),
            ip => ip.to_string(),
        };
        let mut options = MqttOptions::new("agent", host, broker.address.port());
        options.set_credentials("#agent", &broker.agent_secret);
        options.set_keep_alive(Duration::from_secs(20));
        options.set_max_packet_size(DEVICE_PACKET_BYTES_MAX, DEVICE_PACKET_BYTES_MAX);
        let (client, event_loop) = AsyncClient::new(options, 1_024);
        tokio::spawn(poll(event_loop, client.clone(), events));
        Self { client }
    }

    /// Gives a device an order.
    pub(crate) fn order(&self, device: &DeviceId, command: &Command) {
        let payload = device::encode(command);
        self.send(Channel::Command, device, QoS::AtLeastOnce, payload);
    }

    fn send(&self, channel: Channel, device: &DeviceId, qos: QoS, payload: Vec<u8>) -> bool {
        self.client
            .try_publish(channel.topic(device), qos, false, payload)
            .inspect_err(|error| tracing::debug!(%error, %device, "message to the device put off"))
            .is_ok()
    }
}

async fn poll(mut event_loop: EventLoop, client: AsyncClient, events: mpsc::Sender<DeviceEvent>) {
    loop {
        let event = match event_loop.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                for channel in ["report", "event"] {
                    let filter = format!("{}/+/{channel}", device::TOPIC_PREFIX);
                    if let Err(error) = client.try_subscribe(filter, QoS::AtLeastOnce) {
                        tracing::error!(%error, "cannot subscribe at the device broker");
                    }
                }
                continue;
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => match parse(&publish.topic, &publish.payload) {
                Some(event) => event,
                None => continue,
            },
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(%error, "connecting to the device broker");
                tokio::time::sleep(RECONNECT_PAUSE).await;
                continue;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

fn parse(topic: &str, payload: &[u8]) -> Option<DeviceEvent> {
    let (device, channel) = Channel::parse(topic)?;
    let malformed = |e: device::MessageError| DeviceEvent::Malformed(device.clone(), e.to_string());
    match channel {
        Channel::Report => {
            Some(device::decode(payload).map_or_else(malformed, |r| DeviceEvent::Report(device.clone(), Box::new(r))))
        }
        Channel::Event => {
            Some(device::decode(payload).map_or_else(malformed, |f| DeviceEvent::Fault(device.clone(), f)))
        }
        Channel::Command | Channel::Chunk => None,
    }
}

/// One image on its way into one device's inactive slot.
pub(crate) struct Staging {
    file: File,
    firmware: FirmwareReport,
    size_bytes: u64,
    /// Bytes sent since the device's last report of progress.
    sent_bytes: u64,
    durable_bytes: u64,
    progress_at: MonotonicMs,
    /// The order to begin or to finish that stands, and when it was last given.
    ordered: Option<(Command, MonotonicMs)>,
}

impl Staging {
    /// Opens the verified image in the cache.
    pub(crate) fn new(
        path: &Path,
        firmware: FirmwareReport,
        size_bytes: u64,
        now: MonotonicMs,
    ) -> std::io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { file, firmware, size_bytes, sent_bytes: 0, durable_bytes: 0, progress_at: now, ordered: None })
    }

    /// Sends what the device can take now; gives the refusal if it refused. `next_order` gives the next order number.
    pub(crate) fn drive(
        &mut self,
        now: MonotonicMs,
        link: &DeviceLink,
        device: &DeviceId,
        report: Option<&Report>,
        next_order: impl FnMut() -> u64,
    ) -> std::io::Result<Option<Refusal>> {
        let Some(report) = report else { return Ok(None) };
        if let (Some((command, _)), Some(refusal)) = (&self.ordered, &report.last_refusal)
            && refusal.order == command.order
        {
            return Ok(Some(refusal.clone()));
        }
        let staged = report.staged.as_ref().filter(|s| s.sha256 == self.firmware.sha256);
        let Some(staged) = staged else {
            let begin = Order::Begin { firmware: self.firmware.clone(), size_bytes: self.size_bytes };
            self.order(now, link, device, report, begin, next_order);
            return Ok(None);
        };
        if staged.complete {
            return Ok(None);
        }
        if staged.written_bytes != self.durable_bytes {
            self.durable_bytes = staged.written_bytes.min(self.size_bytes);
            self.progress_at = now;
            self.sent_bytes = self.sent_bytes.max(self.durable_bytes);
        }
        if self.durable_bytes >= self.size_bytes {
            let finish = Order::Finish { sha256: self.firmware.sha256 };
            self.order(now, link, device, report, finish, next_order);
            return Ok(None);
        }
        if now.since_ms(self.progress_at) >= STALL_MS || self.sent_bytes < self.durable_bytes {
            self.sent_bytes = self.durable_bytes;
            self.progress_at = now;
        }
        let window_end = self.durable_bytes + WINDOW_CHUNKS * DEVICE_CHUNK_BYTES as u64;
        let mut chunk = vec![0; DEVICE_CHUNK_BYTES];
        while self.sent_bytes < window_end.min(self.size_bytes) {
            let n = usize::try_from(self.size_bytes - self.sent_bytes).unwrap_or(usize::MAX).min(DEVICE_CHUNK_BYTES);
            self.file.read_exact_at(&mut chunk[..n], self.sent_bytes)?;
            let payload = device::encode_chunk(self.sent_bytes, &chunk[..n]);
            if !link.send(Channel::Chunk, device, QoS::AtMostOnce, payload) {
                break;
            }
            self.sent_bytes += n as u64;
        }
        Ok(None)
    }

    /// Gives an order of the staging, or the same again if it seems lost.
    fn order(
        &mut self,
        now: MonotonicMs,
        link: &DeviceLink,
        device: &DeviceId,
        report: &Report,
        what: Order,
        mut next_order: impl FnMut() -> u64,
    ) {
        let command = match self.ordered.take() {
            Some((command, at)) if command.what == what => {
                if now.since_ms(at) < STALL_MS {
                    self.ordered = Some((command, at));
                    return;
                }
                if report.last_order == command.order { Command { order: next_order(), ..command } } else { command }
            }
            _ => Command { order: next_order(), what },
        };
        link.order(device, &command);
        self.ordered = Some((command, now));
    }
}
