//! One device's connection: MQTT 3.1.1, its own topics and nothing else, both directions bounded.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mdfm_agent_core::gateway::Malformed;
use mdfm_shared::device::{self, Channel};
use mdfm_shared::id::DeviceId;
use mdfm_shared::limits::DEVICE_MESSAGE_BYTES_MAX;
use mdfm_shared::wire::mqtt::{self, CONNACK, Connect, Header, Kind, PINGRESP, Publish};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::door::Door;
use super::{Seated, Wants};
use crate::device::DeviceEvent;

/// Bytes of one packet from a device: a control message and its topic.
const PACKET_BYTES_MAX: usize = DEVICE_MESSAGE_BYTES_MAX + 1024;
/// Longest keep-alive; devices that ask for more or for none are held to it.
const KEEP_ALIVE_S_MAX: u16 = 60;
/// For a device to take a packet; one that does not read is let go.
const SLOW_READER: Duration = Duration::from_secs(30);
/// CONNACK: bad user name or password (§3.2.2.3).
const CONNACK_DENIED: [u8; 4] = [0x20, 2, 0, 4];
const PINGREQ: u8 = 0xc0;
/// SUBACK: not granted (§3.9.3).
const NOT_GRANTED: u8 = 0x80;
const READ_BYTES: usize = 2 * 1024;

/// What a device speaks over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A rule that the device broke.
#[derive(Debug)]
pub(super) struct Broken(pub(super) Malformed);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Broken {}

fn broken(malformed: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, Broken(malformed))
}

fn against_rules(what: &'static str) -> io::Error {
    broken(Malformed::new(what))
}

/// The packet is not MQTT as this port speaks it.
fn not_mqtt(error: impl std::fmt::Display) -> io::Error {
    broken(Malformed::with("a packet that is not MQTT 3.1.1", error))
}

/// Collects whole packets.
struct Reader<R> {
    stream: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// The next packet's header and bytes; none at the end of the stream.
    async fn next(&mut self) -> io::Result<Option<(Header, Vec<u8>)>> {
        loop {
            let header = mqtt::header(&self.buffer, PACKET_BYTES_MAX).map_err(not_mqtt)?;
            if let Some(header) = header
                && self.buffer.len() >= header.packet_bytes
            {
                let rest = self.buffer.split_off(header.packet_bytes);
                return Ok(Some((header, std::mem::replace(&mut self.buffer, rest))));
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// A connection before and while its device is known.
pub(super) struct Packets<S> {
    reader: Reader<ReadHalf<S>>,
    writer: WriteHalf<S>,
}

impl<S: Stream> Packets<S> {
    pub(super) fn new(stream: S) -> Self {
        let (stream, writer) = tokio::io::split(stream);
        Self { reader: Reader { stream, buffer: Vec::new() }, writer }
    }

    /// The first packet, which must be CONNECT.
    pub(super) async fn connect(&mut self) -> io::Result<Connect> {
        let (header, packet) = self.reader.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let connect = Connect::parse(&packet, &header).map_err(not_mqtt)?;
        // What the broker of a hospital would keep or tell others, nobody here keeps or tells.
        if connect.will.is_some() { Err(against_rules("a last will is not taken")) } else { Ok(connect) }
    }

    pub(super) async fn refuse(&mut self) -> io::Result<()> {
        self.writer.write_all(&CONNACK_DENIED).await?;
        self.writer.shutdown().await
    }
}

/// Serves a device until it goes, breaks a rule, falls silent or connects anew.
pub(super) async fn run<S: Stream>(
    door: &Door,
    packets: Packets<S>,
    device: &DeviceId,
    number: u64,
    keep_alive_s: u16,
) -> io::Result<()> {
    let Seated { outbound, waiting, wants, displaced, displaces } = door.link.enter(device, number);
    if displaces {
        // Counted like a packet, so that nobody who connects again and again fills the agent's time. The runner goes only when the
        // process ends.
        tokio::time::sleep(door.packet(device)).await;
        let _ = door.events.send(DeviceEvent::Displaced(device.clone())).await;
    }
    let keep_alive = if keep_alive_s == 0 { KEEP_ALIVE_S_MAX } else { keep_alive_s.min(KEEP_ALIVE_S_MAX) };
    // One and a half times what was agreed (§3.1.2.10).
    let silence = Duration::from_millis(u64::from(keep_alive) * 1_500);
    let session = Session { door, device, number, outbound, wants, silence };
    tokio::select! {
        ended = session.hear(packets.reader) => ended,
        ended = tell(packets.writer, waiting) => ended,
        // At once, also where the device reads nothing: the seat is another connection's now.
        _ = displaced => Ok(()),
    }
}

async fn tell<W: AsyncWrite + Unpin>(mut writer: W, mut waiting: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    let mut next = Some(CONNACK.to_vec());
    while let Some(packet) = next {
        timeout(SLOW_READER, writer.write_all(&packet)).await??;
        timeout(SLOW_READER, writer.flush()).await??;
        next = waiting.recv().await;
    }
    // The seat is another connection's now.
    Ok(())
}

struct Session<'a> {
    door: &'a Door,
    device: &'a DeviceId,
    number: u64,
    /// Weak: when another connection takes the seat, nothing must keep this one's queue open.
    outbound: mpsc::WeakSender<Vec<u8>>,
    wants: Arc<Wants>,
    silence: Duration,
}

impl Session<'_> {
    async fn hear<R: AsyncRead + Unpin>(&self, mut reader: Reader<R>) -> io::Result<()> {
        loop {
            let next = timeout(self.silence, reader.next()).await;
            let Some((header, packet)) = next.map_err(|_| io::Error::other("it said nothing for too long"))?? else {
                return Ok(());
            };
            if !self.door.link.is_seated(self.device, self.number) {
                return Err(io::Error::other("it has connected again"));
            }
            let wait = self.door.packet(self.device);
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            if !self.take(&header, &packet).await? {
                return Ok(());
            }
        }
    }

    async fn answer(&self, packet: Vec<u8>) {
        // Where nobody takes it any more the other side ends this too.
        if let Some(outbound) = self.outbound.upgrade() {
            let _ = outbound.send(packet).await;
        }
    }

    /// Takes one packet; false where it was the last.
    async fn take(&self, header: &Header, packet: &[u8]) -> io::Result<bool> {
        match header.kind {
            Kind::Connect => return Err(against_rules("a second CONNECT")),
            Kind::Publish => self.publish(&Publish::parse(packet, header).map_err(not_mqtt)?).await?,
            Kind::Subscribe => {
                let filters = mqtt::subscribe_filters(packet, header).map_err(not_mqtt)?;
                let codes: Vec<u8> = filters.iter().map(|f| self.grant(f, true)).collect();
                let id = mqtt::packet_id(packet, header).map_err(not_mqtt)?;
                self.answer(mqtt::suback(id, &codes)).await;
            }
            Kind::Unsubscribe => {
                for filter in mqtt::unsubscribe_filters(packet, header).map_err(not_mqtt)? {
                    self.grant(filter, false);
                }
                let id = mqtt::packet_id(packet, header).map_err(not_mqtt)?;
                self.answer(mqtt::unsuback(id).to_vec()).await;
            }
            Kind::Answer => mqtt::check_harmless(packet, header).map_err(not_mqtt)?,
            Kind::Empty => {
                mqtt::check_harmless(packet, header).map_err(not_mqtt)?;
                if packet.first() != Some(&PINGREQ) {
                    return Ok(false);
                }
                self.answer(PINGRESP.to_vec()).await;
            }
        }
        Ok(true)
    }

    async fn publish(&self, publish: &Publish<'_>) -> io::Result<()> {
        let (device, channel) = Channel::parse(publish.topic)
            .filter(|(device, _)| device == self.device)
            .ok_or_else(|| against_rules("it wrote to a topic that is not its own"))?;
        if publish.qos == 2 {
            return Err(against_rules("quality of service 2 is not spoken here"));
        }
        let malformed = |e: device::MessageError| {
            DeviceEvent::Malformed(device.clone(), Malformed::with("a message that is not what its topic carries", e))
        };
        let event = match channel {
            Channel::Report => device::decode(publish.payload)
                .map_or_else(malformed, |r| DeviceEvent::Report(device.clone(), Box::new(r))),
            Channel::Event => {
                device::decode(publish.payload).map_or_else(malformed, |f| DeviceEvent::Fault(device.clone(), f))
            }
            Channel::Command | Channel::Chunk => return Err(against_rules("it gave itself orders")),
        };
        let heard = self.door.events.send(event).await;
        heard.map_err(|_| io::Error::other("the agent is stopping"))?;
        if let Some(id) = publish.packet_id {
            self.answer(mqtt::puback(id).to_vec()).await;
        }
        Ok(())
    }

    /// Notes what the device wants sent; its own topics alone are granted, with the quality with which they are sent.
    fn grant(&self, filter: &str, wanted: bool) -> u8 {
        let channels = [(Channel::Command, 1), (Channel::Chunk, 0)];
        match channels.into_iter().find(|(channel, _)| channel.topic(self.device) == filter) {
            Some((channel, qos)) => {
                self.wants.of(channel).store(wanted, Ordering::Relaxed);
                qos
            }
            None => NOT_GRANTED,
        }
    }
}
