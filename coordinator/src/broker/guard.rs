//! Stands between one certified gateway and the broker: every packet that names a topic is checked against the certificate.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use mdfm_shared::limits::MQTT_PACKET_BYTES_MAX;
use mdfm_shared::wire::Topic;
use mdfm_shared::wire::mqtt::{self, Connect, Header, Kind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::BrokerAccess;
use crate::domain::{Command, Refusal};
use crate::runner::{self, Runner};

/// For the whole CONNECT packet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest keep-alive; clients that ask for more or for none are held to it.
const KEEP_ALIVE_S_MAX: u16 = 120;

pub(super) struct Guard {
    pub(super) gateway: GatewayId,
    pub(super) address: SocketAddr,
    pub(super) runner: Runner,
    pub(super) broker: BrokerAccess,
    pub(super) revocations: watch::Receiver<u64>,
}

/// Whether the gateway is enrolled and not revoked, and the certificate, where one is given, the one that it enrolled with.
pub(super) fn is_current(runner: &Runner, gateway: &GatewayId, fingerprint: Option<Digest>) -> bool {
    let state = runner.state();
    state
        .gateways
        .get(gateway)
        .filter(|g| !g.revoked)
        .and_then(|g| g.credentials.as_ref())
        .is_some_and(|held| fingerprint.is_none_or(|f| f == held.certificate_sha256))
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
    /// The next packet, or none at the end of the stream.
    async fn next(&mut self) -> io::Result<Option<(Header, Vec<u8>)>> {
        loop {
            let header = mqtt::header(&self.buffer, MQTT_PACKET_BYTES_MAX).map_err(|e| refused(e.to_string()))?;
            if let Some(header) = header
                && self.buffer.len() >= header.packet_bytes
            {
                let rest = self.buffer.split_off(header.packet_bytes);
                return Ok(Some((header, std::mem::replace(&mut self.buffer, rest))));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

impl Guard {
    /// Relays until either side ends, a rule is broken or the gateway is revoked.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin + Send>(mut self, stream: S) -> io::Result<()> {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut packets = Packets { stream: reader, buffer: Vec::new() };
        let Some((header, packet)) = timeout(CONNECT_TIMEOUT, packets.next()).await?? else { return Ok(()) };
        let (connect, keep_alive) = match self.admit(&header, &packet) {
            Ok(admitted) => admitted,
            Err(error) => return self.report("mqtt.connect", error).await,
        };
        let mut broker = TcpStream::connect(self.broker.address).await?;
        broker.set_nodelay(true)?;
        broker.write_all(&connect).await?;
        let (mut from_broker, mut to_broker) = broker.into_split();
        let downstream = async { tokio::io::copy(&mut from_broker, &mut writer).await.map(|_| ()) };
        let rules = Rules { gateway: self.gateway.clone() };
        let upstream = async {
            loop {
                // One and a half keep-alives, as the standard says (§3.1.2.10).
                let Some((header, packet)) = timeout(keep_alive * 3 / 2, packets.next()).await?? else { return Ok(()) };
                rules.check(&header, &packet)?;
                to_broker.write_all(&packet).await?;
            }
        };
        let revoked = async {
            while self.revocations.changed().await.is_ok() {
                if !is_current(&self.runner, &self.gateway, None) {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        let ended: io::Result<()> = tokio::select! {
            ended = upstream => ended,
            ended = downstream => ended,
            () = revoked => Err(refused("the gateway was revoked")),
        };
        match ended {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.report("mqtt.packet", error).await,
            ended => ended,
        }
    }

    /// Checks a CONNECT and makes the one that the broker gets in its place.
    fn admit(&self, header: &Header, packet: &[u8]) -> io::Result<(Vec<u8>, Duration)> {
        let asked = Connect::parse(packet, header).map_err(|e| refused(e.to_string()))?;
        if asked.client_id != self.gateway.as_str() {
            return Err(refused(format!("client id {:?} is not the certificate's gateway", asked.client_id)));
        }
        if let Some(will) = &asked.will
            && Topic::parse(&will.topic) != Some(Topic::Presence(self.gateway.clone()))
        {
            return Err(refused(format!("last will on {:?}", will.topic)));
        }
        let keep_alive_s = match asked.keep_alive_s {
            0 => KEEP_ALIVE_S_MAX,
            s => s.min(KEEP_ALIVE_S_MAX),
        };
        let ours = Connect {
            clean_session: true,
            keep_alive_s,
            username: Some(self.broker.gateway.user.clone()),
            password: Some(self.broker.gateway.password.clone().into_bytes()),
            ..asked
        };
        let bytes = ours.encode().map_err(|e| refused(e.to_string()))?;
        Ok((bytes, Duration::from_secs(u64::from(keep_alive_s))))
    }

    async fn report(&self, action: &'static str, error: io::Error) -> io::Result<()> {
        tracing::warn!(gateway = %self.gateway, address = %self.address, %error, "gateway connection closed by rule");
        let command = Command::Denied {
            action,
            object: format!("gateway/{}", self.gateway),
            refusal: Refusal::forbidden("topic-rule", error.to_string()),
        };
        // The refusal comes back as the answer; recording it was the point.
        let _ = self.runner.submit(runner::gateway_actor(&self.gateway), Some(self.address.to_string()), command).await;
        Err(error)
    }
}

struct Rules {
    gateway: GatewayId,
}

impl Rules {
    fn check(&self, header: &Header, packet: &[u8]) -> io::Result<()> {
        let malformed = |e: mqtt::PacketError| refused(e.to_string());
        match header.kind {
            Kind::Connect => Err(refused("a second CONNECT")),
            Kind::Publish => {
                let topic = mqtt::publish_topic(packet, header).map_err(malformed)?;
                if Topic::gateway_may_publish(&self.gateway, topic) {
                    Ok(())
                } else {
                    Err(refused(format!("publish to {topic:?}")))
                }
            }
            Kind::Subscribe => {
                for filter in mqtt::subscribe_filters(packet, header).map_err(malformed)? {
                    if !Topic::gateway_may_subscribe(&self.gateway, filter) {
                        return Err(refused(format!("subscribe to {filter:?}")));
                    }
                }
                Ok(())
            }
            Kind::Disconnect | Kind::Harmless => Ok(()),
        }
    }
}
