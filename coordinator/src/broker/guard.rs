//! Speaks MQTT with one certified gateway: every packet is checked against the standard, every topic against the certificate; who
//! sends too much waits, who does not read is let go.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use mdfm_shared::limits::MQTT_PACKET_BYTES_MAX;
use mdfm_shared::network::network;
use mdfm_shared::wire::Topic;
use mdfm_shared::wire::mqtt::{self, CONNACK, Connect, Header, Kind, PINGRESP, PacketError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::counts::DoorCounts;
use super::front_door::{Entry, Identity};
use super::sessions::{Entered, Packet, Place, Sessions};
use super::trunk::Trunk;
use crate::clock;
use crate::runner::{self, Runner};
use mdfm_coordinator_core::desk::system;
use mdfm_coordinator_core::fleet::AnomalyKind;
use mdfm_coordinator_core::{Command, Refusal};

/// For the whole CONNECT packet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest keep-alive; clients that ask for more or for none are held to it.
const KEEP_ALIVE_S_MAX: u16 = 120;
/// For the gateway to take a few kilobytes; who does not read is let go, and told everything again when it is back.
const SLOW_READER: Duration = Duration::from_secs(30);
/// Packets, and about the bytes, passed on at a time towards the gateway.
const DOWN_PACKETS: usize = 16;
const DOWN_BYTES: usize = 4 * 1024;
/// Time between looks at the certificate of an open connection.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(60);
/// Networks that a finding names.
const NETWORKS_NAMED_MAX: usize = 8;
const PINGREQ: u8 = 0xc0;
/// Room made in a packet buffer, and the room that it keeps while nothing comes.
const UP_BYTES: usize = 4 * 1024;

pub(super) struct Guard {
    pub(super) gateway: GatewayId,
    pub(super) identity: Identity,
    pub(super) address: SocketAddr,
    pub(super) runner: Runner,
    pub(super) trunk: Trunk,
    pub(super) revocations: watch::Receiver<u64>,
    pub(super) sessions: Sessions,
    pub(super) counts: Arc<DoorCounts>,
}

/// Whether the gateway is enrolled and not revoked, and the certificate, where one is given, its own.
pub(super) fn is_current(runner: &Runner, gateway: &GatewayId, fingerprint: Option<Digest>) -> bool {
    let state = runner.state();
    state
        .gateways
        .get(gateway)
        .filter(|g| !g.revoked)
        .and_then(|g| g.credentials.as_ref())
        .is_some_and(|held| fingerprint.is_none_or(|f| held.admits(f, state.not_before(clock::now()))))
}

/// Returns when the certificate of a connection is no longer the gateway's: revoked, replaced, or out of its time.
pub(super) async fn until_replaced(runner: &Runner, identity: &Identity, mut revocations: watch::Receiver<u64>) {
    loop {
        let is_in_time = runner.now() <= identity.not_after;
        if !is_in_time || !is_current(runner, &identity.gateway, Some(identity.certificate)) {
            return;
        }
        // No event says that the time of a certificate is over.
        let _ = timeout(CERTIFICATE_INTERVAL, revocations.changed()).await;
    }
}

/// Records a finding about the use of a gateway's certificate.
pub(super) fn note_use(
    runner: &Runner,
    gateway: &GatewayId,
    address: SocketAddr,
    kind: AnomalyKind,
    networks: &[IpAddr],
) {
    let (runner, address) = (runner.clone(), Some(address.to_string()));
    let networks = networks.iter().take(NETWORKS_NAMED_MAX).map(ToString::to_string).collect();
    let command = Command::NoteUse { gateway: gateway.clone(), kind, networks };
    tokio::spawn(async move {
        // The answer is its record; nothing waits for it.
        let _ = runner.submit(system(), address, command).await;
    });
}

fn malformed(error: PacketError) -> io::Error {
    refused(error.to_string())
}

/// Whether a connection goes on after a packet.
enum Next {
    /// It does; the packet asked for so many filters, each of which may bring documents.
    GoOn(usize),
    End,
}

fn refused(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, text.into())
}

/// Collects whole packets from a stream.
struct Packets<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Packets<S> {
    /// Reads until at least one packet is whole; gives how many bytes of the buffer are whole packets, and how many these are.
    /// None at the end of the stream. Each packet is checked as soon as it is whole.
    async fn whole(
        &mut self,
        mut check: impl FnMut(&Header, &[u8]) -> io::Result<()>,
        packets_max: usize,
    ) -> io::Result<Option<(usize, usize)>> {
        loop {
            let (mut bytes, mut packets) = (0, 0);
            while packets < packets_max
                && let Some(header) = self.header(bytes)?
                && let Some(packet) = self.buffer.get(bytes..bytes + header.packet_bytes)
            {
                check(&header, packet)?;
                bytes += header.packet_bytes;
                packets += 1;
            }
            if packets > 0 {
                return Ok(Some((bytes, packets)));
            }
            if self.buffer.is_empty() && self.buffer.capacity() > UP_BYTES {
                self.buffer = Vec::new();
            }
            self.buffer.reserve(UP_BYTES / 4);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn header(&self, from: usize) -> io::Result<Option<Header>> {
        let rest = self.buffer.get(from..).unwrap_or_default();
        mqtt::header(rest, MQTT_PACKET_BYTES_MAX).map_err(|e| refused(e.to_string()))
    }
}

/// Passes on what is for the gateway, the CONNACK first, until nobody has anything more for it or it does not read.
async fn write_down(
    writer: &mut (impl AsyncWrite + Unpin),
    outbound: &mut mpsc::Receiver<Packet>,
    counts: &DoorCounts,
) -> io::Result<()> {
    let mut waiting: Vec<Packet> = vec![CONNACK.to_vec().into()];
    let mut bytes = Vec::new();
    loop {
        waiting.drain(..).for_each(|packet| bytes.extend_from_slice(&packet));
        let stuck = |_| {
            counts.slow_readers.add(1);
            io::Error::new(io::ErrorKind::TimedOut, "the gateway does not read")
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            // However slow: only a standstill counts.
            let n = timeout(SLOW_READER, writer.write(rest)).await.map_err(stuck)??;
            rest = &rest[n..];
        }
        timeout(SLOW_READER, writer.flush()).await.map_err(stuck)??;
        bytes.clear();
        bytes.shrink_to(DOWN_BYTES);
        if outbound.recv_many(&mut waiting, DOWN_PACKETS).await == 0 {
            return Ok(());
        }
    }
}

impl Guard {
    /// Relays until either side ends, a rule is broken, the gateway is revoked or connects anew.
    pub(super) async fn run<S>(self, entry: &Entry, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.counts.mqtt.add(1);
        self.counts.open_mqtt.add(1);
        let ended = self.relay(entry, stream).await;
        self.counts.open_mqtt.remove(1);
        match ended {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.counts.rules_broken.add(1);
                self.report(error).await
            }
            ended => ended,
        }
    }

    async fn relay<S>(&self, entry: &Entry, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut packets = Packets { stream: reader, buffer: Vec::new() };
        let Some((bytes, _)) = timeout(CONNECT_TIMEOUT, packets.whole(|_, _| Ok(()), 1)).await?? else {
            return Ok(());
        };
        let keep_alive = match self.admit(&packets.buffer[..bytes]) {
            Ok(keep_alive) => keep_alive,
            Err((connack, error)) => {
                // It learns why, where MQTT has a word for it; then it is let go whether it listens or not.
                let _ = timeout(Duration::from_secs(1), writer.write_all(connack)).await;
                let _ = timeout(Duration::from_secs(1), writer.shutdown()).await;
                return Err(error);
            }
        };
        packets.buffer.drain(..bytes);
        let Entered { place, replaced, mut outbound, answers, clone } =
            self.sessions.enter(&self.gateway, network(self.address.ip()));
        // Only now is it the gateway's session, which no other connection of the gateway closes.
        entry.holds_session(place.number());
        if let Some(networks) = clone {
            self.report_clone(networks);
        }
        let mut is_announced = false;
        let downstream = write_down(&mut writer, &mut outbound, &self.counts);
        let rules = Rules { gateway: self.gateway.clone() };
        let upstream = async {
            loop {
                // One and a half keep-alives, as the standard says (§3.1.2.10).
                let whole = packets.whole(|header, packet| rules.check(header, packet), usize::MAX);
                let Some((bytes, n)) = timeout(keep_alive * 3 / 2, whole).await?? else { return Ok(()) };
                let (mut at, mut asked) = (0, 0);
                while at < bytes {
                    let rest = &packets.buffer[at..bytes];
                    let Some(header) = mqtt::header(rest, MQTT_PACKET_BYTES_MAX).map_err(malformed)? else { break };
                    match self.serve(&header, rest, &place, &answers, &mut is_announced).await? {
                        Next::GoOn(filters) => asked += filters,
                        Next::End => return Ok(()),
                    }
                    at += header.packet_bytes;
                }
                packets.buffer.drain(..bytes);
                let wait = place.sent(n + asked, bytes);
                if !wait.is_zero() {
                    // Not read from meanwhile, it waits by itself: TCP carries the pressure back.
                    self.counts.held_back.add(1);
                    tokio::time::sleep(wait).await;
                }
            }
        };
        let revoked = until_replaced(&self.runner, &self.identity, self.revocations.clone());
        let ended = tokio::select! {
            ended = upstream => ended,
            ended = downstream => ended,
            () = revoked => Err(refused("the certificate was revoked or replaced")),
            Ok(()) = replaced => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the gateway connected again")),
        };
        // The last will: whoever said that it is there is not there any more, unless by a newer connection.
        if is_announced && place.is_current() {
            self.trunk.try_publish(&Topic::Presence(self.gateway.clone()), true, b"offline");
        }
        ended
    }

    /// Does what one packet asks, which the rules have let through.
    async fn serve(
        &self,
        header: &Header,
        packet: &[u8],
        place: &Place,
        answers: &mpsc::Sender<Packet>,
        is_announced: &mut bool,
    ) -> io::Result<Next> {
        let answer = |bytes: &[u8]| answers.send(Packet::from(bytes));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        let mut asked = 0;
        match header.kind {
            Kind::Publish => {
                let publish = mqtt::Publish::parse(packet, header).map_err(malformed)?;
                if publish.retain {
                    *is_announced = true;
                }
                self.trunk.publish(publish.topic, publish.retain, publish.payload).await;
                if let Some(id) = publish.packet_id {
                    answer(&mqtt::puback(id)).await.map_err(gone)?;
                }
            }
            Kind::Subscribe => {
                let filters = mqtt::subscribe_filters(packet, header).map_err(malformed)?;
                asked = filters.len();
                // Granted is quality of service 0: what is lost with a connection is asked for over the next one.
                let code = |filter: &&str| if place.subscribe(filter, true) { 0 } else { 0x80 };
                let codes: Vec<u8> = filters.iter().map(code).collect();
                let id = mqtt::packet_id(packet, header).map_err(malformed)?;
                answer(&mqtt::suback(id, &codes)).await.map_err(gone)?;
                // Once each, however often it is named.
                for filter in filters.into_iter().collect::<BTreeSet<_>>() {
                    for packet in place.standing(filter) {
                        answers.send(packet).await.map_err(gone)?;
                    }
                }
            }
            Kind::Unsubscribe => {
                for filter in mqtt::unsubscribe_filters(packet, header).map_err(malformed)? {
                    place.subscribe(filter, false);
                }
                let id = mqtt::packet_id(packet, header).map_err(malformed)?;
                answer(&mqtt::unsuback(id)).await.map_err(gone)?;
            }
            Kind::Empty if packet[0] == PINGREQ => answer(&PINGRESP).await.map_err(gone)?,
            Kind::Empty => return Ok(Next::End),
            // Nothing is sent that would be acknowledged.
            Kind::Answer | Kind::Connect => {}
        }
        Ok(Next::GoOn(asked))
    }

    /// Checks a CONNECT; gives its keep-alive, or the CONNACK that says why not.
    fn admit(&self, packet: &[u8]) -> Result<Duration, Turned> {
        // MQTT 3.1.1 §3.2.2.3: 1 for another protocol level, 2 for the client id; MQTT 5: 0x84. Not 5: to agents that says that they are revoked.
        const OTHER_LEVEL: &[u8] = &[0x20, 2, 0, 1];
        const OTHER_LEVEL_5: &[u8] = &[0x20, 3, 0, 0x84, 0];
        const CLIENT_ID: &[u8] = &[0x20, 2, 0, 2];
        let turned = |e: PacketError| {
            let connack = match e {
                PacketError::ProtocolLevel(5) => OTHER_LEVEL_5,
                PacketError::ProtocolLevel(_) => OTHER_LEVEL,
                PacketError::Malformed(_) | PacketError::TooLarge(_) => &[],
            };
            (connack, refused(e.to_string()))
        };
        let header = mqtt::header(packet, MQTT_PACKET_BYTES_MAX).map_err(turned)?;
        let header = header.ok_or((&[][..], refused("half a packet")))?;
        let asked = Connect::parse(packet, &header).map_err(turned)?;
        if asked.client_id != self.gateway.as_str() {
            let error = refused(format!("client id {:?} is not the certificate's gateway", asked.client_id));
            return Err((CLIENT_ID, error));
        }
        if let Some(will) = &asked.will
            && Topic::parse(&will.topic) != Some(Topic::Presence(self.gateway.clone()))
        {
            return Err((&[][..], refused(format!("last will on {:?}", will.topic))));
        }
        let keep_alive_s = match asked.keep_alive_s {
            0 => KEEP_ALIVE_S_MAX,
            s => s.min(KEEP_ALIVE_S_MAX),
        };
        Ok(Duration::from_secs(u64::from(keep_alive_s)))
    }

    /// Two peers use this certificate at once: people hear of it, and both go on, as nobody knows here which is the gateway.
    fn report_clone(&self, networks: Vec<IpAddr>) {
        if let Some(left_out) = self.sessions.next_line(&self.gateway) {
            let gateway = &self.gateway;
            tracing::warn!(%gateway, ?networks, left_out, "two peers use the certificate of the gateway at once");
        }
        note_use(&self.runner, &self.gateway, self.address, AnomalyKind::Clone, &networks);
    }

    async fn report(&self, error: io::Error) -> io::Result<()> {
        if let Some(left_out) = self.sessions.next_line(&self.gateway) {
            let (gateway, address) = (&self.gateway, &self.address);
            tracing::warn!(%gateway, %address, %error, left_out, "gateway connection closed by rule");
        }
        let command = Command::Denied {
            action: "mqtt.packet",
            object: format!("gateway/{}", self.gateway),
            refusal: Refusal::forbidden("topic-rule", error.to_string()),
        };
        // The refusal comes back as the answer; recording it was the point.
        let _ = self.runner.submit(runner::gateway_actor(&self.gateway), Some(self.address.to_string()), command).await;
        Err(error)
    }
}

/// The CONNACK that a client gets which is not let in, and why it is not.
type Turned = (&'static [u8], io::Error);

struct Rules {
    gateway: GatewayId,
}

impl Rules {
    fn check(&self, header: &Header, packet: &[u8]) -> io::Result<()> {
        match header.kind {
            Kind::Connect => Err(refused("a second CONNECT")),
            Kind::Publish => {
                let publish = mqtt::Publish::parse(packet, header).map_err(malformed)?;
                if publish.qos > 1 {
                    return Err(refused("quality of service 2 is not spoken here"));
                }
                if !Topic::gateway_may_publish(&self.gateway, publish.topic) {
                    return Err(refused(format!("publish to {:?}", publish.topic)));
                }
                // What a gateway says is of the moment; only its presence is to be kept for who asks later.
                if publish.retain && Topic::parse(publish.topic) != Some(Topic::Presence(self.gateway.clone())) {
                    return Err(refused(format!("retained publish to {:?}", publish.topic)));
                }
                Ok(())
            }
            Kind::Subscribe => {
                for filter in mqtt::subscribe_filters(packet, header).map_err(malformed)? {
                    if !Topic::gateway_may_subscribe(&self.gateway, filter) {
                        return Err(refused(format!("subscribe to {filter:?}")));
                    }
                }
                Ok(())
            }
            Kind::Unsubscribe | Kind::Answer | Kind::Empty => mqtt::check_harmless(packet, header).map_err(malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn att_13_who_does_not_read_is_let_go_and_who_reads_slowly_is_not() {
        for (pause, is_let_go) in [(Duration::from_secs(3_600), true), (Duration::from_secs(20), false)] {
            let (mut ours, mut theirs) = tokio::io::duplex(64);
            let (sender, mut outbound) = mpsc::channel(64);
            for _ in 0..10 {
                sender.try_send(Packet::from(vec![7; 50])).expect("room");
            }
            drop(sender);
            let counts = DoorCounts::default();
            let reader = async {
                let mut buffer = [0; 64];
                loop {
                    tokio::time::sleep(pause).await;
                    if !theirs.read(&mut buffer).await.is_ok_and(|n| n > 0) {
                        return;
                    }
                }
            };
            let written = tokio::select! {
                written = write_down(&mut ours, &mut outbound, &counts) => written,
                () = reader => panic!("the writer ends first"),
            };
            assert_eq!(written.is_err(), is_let_go, "{written:?}");
            assert_eq!(counts.slow_readers.get(), u64::from(is_let_go));
        }
    }
}
