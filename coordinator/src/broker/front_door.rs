//! Accepts every connection, bounded in number, rate and time, speaks TLS 1.3, learns who is there from the client certificate, and
//! hands MQTT to the guard and everything else to the HTTP router. Handshakes run side by side: a silent peer stops nobody.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::HandshakeKind;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use super::counts::DoorCounts;
use super::guard::{self, Guard};
use super::limits::{AddressLimits, Addresses, Refused};
use super::sessions::{GatewayLimits, Sessions};
use super::tls::{ALPN_MQTT, Tls};
use super::trunk::Trunk;
use super::{BrokerAccess, proxy, websocket};
use crate::domain::{Command, Refusal};
use crate::runner::{self, Runner};
use crate::{clock, pki};

/// From the TCP connection to the end of the TLS handshake, and from there to the first byte.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the PROXY header of a balancer.
const PROXY_TIMEOUT: Duration = Duration::from_secs(5);
/// For the head of one HTTP request.
const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// First byte of an MQTT CONNECT; no HTTP request starts with it.
const MQTT_CONNECT: u8 = 0x10;
/// Connections of one address that have not yet shown who they are.
const STRANGERS_PER_ADDRESS_MAX: usize = 512;

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Set when a current, unrevoked gateway certificate was presented.
    pub(crate) gateway: Option<GatewayId>,
    /// SHA-256 of the DER of that certificate.
    pub(crate) certificate: Option<Digest>,
}

/// How much the door lets in.
#[derive(Debug, Clone)]
pub(crate) struct DoorLimits {
    pub(crate) connections_max: usize,
    pub(crate) connections_per_address_max: usize,
    pub(crate) connections_per_address_per_second: u64,
    pub(crate) gateway: GatewayLimits,
    /// Balancers that say by the PROXY protocol whose connection they pass on.
    pub(crate) proxies: Vec<IpAddr>,
}

/// The front door and what stands behind it.
pub(crate) struct FrontDoor {
    pub(crate) runner: Runner,
    pub(crate) broker: BrokerAccess,
    pub(crate) router: Router,
    pub(crate) tls: Tls,
    /// Changes whenever a gateway is revoked.
    pub(crate) revocations: watch::Receiver<u64>,
    pub(crate) limits: DoorLimits,
    pub(crate) counts: Arc<DoorCounts>,
}

/// A connection's places; they are free again when it ends.
struct Entry {
    door: Arc<Door>,
    address: IpAddr,
    is_stranger: AtomicBool,
    _place: OwnedSemaphorePermit,
}

impl Entry {
    fn identified(&self) {
        if self.is_stranger.swap(false, Ordering::Relaxed) {
            self.door.addresses().identified(self.address);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.door.addresses().leave(self.address, self.is_stranger.load(Ordering::Relaxed));
        self.door.front.counts.open.remove(1);
    }
}

struct Door {
    front: FrontDoor,
    addresses: Mutex<Addresses>,
    sessions: Sessions,
    trunk: Trunk,
}

impl FrontDoor {
    /// Serves until the process ends.
    pub(crate) async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let limits = AddressLimits {
            open_max: self.limits.connections_per_address_max,
            strangers_max: self.limits.connections_per_address_max.min(STRANGERS_PER_ADDRESS_MAX),
            per_second: self.limits.connections_per_address_per_second,
        };
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        let sessions = Sessions::new(self.limits.gateway, Arc::clone(&self.counts));
        let trunk = Trunk::start(&self.broker, sessions.clone());
        let door = Arc::new(Door { front: self, addresses: Mutex::new(Addresses::new(limits)), sessions, trunk });
        loop {
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors and the like: breathe, then go on serving who is there.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            door.front.counts.accepted.add(1);
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                door.front.counts.refused_full.add(1);
                tracing::warn!(%address, "connection refused: all {} places are taken", door.front.limits.connections_max);
                continue;
            };
            let is_proxy = door.front.limits.proxies.contains(&address.ip().to_canonical());
            if is_proxy {
                let door = Arc::clone(&door);
                tokio::spawn(async move { door.behind_a_proxy(stream, address, place).await });
            } else if let Some(entry) = door.enter(address, place) {
                tokio::spawn(entry.serve(stream, address));
            }
        }
    }
}

impl Door {
    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, address: SocketAddr, place: OwnedSemaphorePermit) -> Option<Entry> {
        let entered = self.addresses().enter(Instant::now(), address.ip());
        let (counter, why) = match entered {
            Ok(()) => {
                self.front.counts.open.add(1);
                let (door, is_stranger) = (Arc::clone(self), AtomicBool::new(true));
                return Some(Entry { door, address: address.ip(), is_stranger, _place: place });
            }
            Err(Refused::Full) => (&self.front.counts.refused_full, "too many connections of its address"),
            Err(Refused::TooFast) => (&self.front.counts.refused_rate, "its address connects too fast"),
        };
        counter.add(1);
        tracing::debug!(%address, "connection refused: {why}");
        None
    }

    async fn behind_a_proxy(self: Arc<Self>, mut stream: TcpStream, address: SocketAddr, place: OwnedSemaphorePermit) {
        match timeout(PROXY_TIMEOUT, proxy::read(&mut stream)).await {
            Ok(Ok(Some(client))) => {
                if let Some(entry) = self.enter(client, place) {
                    entry.serve(stream, client).await;
                }
            }
            // The balancer looks whether the port is open.
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%address, %error, "connection refused: no PROXY header from a balancer"),
            Err(_) => tracing::warn!(%address, "connection refused: no PROXY header from a balancer in time"),
        }
    }
}

impl Entry {
    async fn serve(self, stream: TcpStream, address: SocketAddr) {
        if let Err(error) = self.connection(stream, address).await {
            tracing::debug!(%address, %error, "connection ended");
        }
    }

    async fn connection(self, stream: TcpStream, address: SocketAddr) -> io::Result<()> {
        let door = Arc::clone(&self.door);
        let front = &door.front;
        stream.set_nodelay(true)?;
        let shaken = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(front.tls.current()).accept(stream)).await;
        let mut stream = match shaken {
            Ok(Ok(stream)) => stream,
            failed => {
                front.counts.handshakes_failed.add(1);
                return failed?.map(drop);
            }
        };
        front.counts.handshakes.add(1);
        if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
            front.counts.handshakes_resumed.add(1);
        }
        let (gateway, certificate) = front.identify(&stream, address).await?.unzip();
        let first = timeout(HANDSHAKE_TIMEOUT, stream.read_u8()).await??;
        self.identified();
        let speaks_mqtt = first == MQTT_CONNECT;
        let asked = stream.get_ref().1.alpn_protocol();
        if asked.is_some_and(|asked| (asked == ALPN_MQTT) != speaks_mqtt) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "another protocol than was asked for by ALPN"));
        }
        let stream = Prefixed { first: Some(first), inner: stream };
        match (speaks_mqtt, gateway) {
            (true, Some(gateway)) => door.guard(gateway, address).run(stream).await,
            (true, None) => {
                let refusal = Refusal::forbidden("no-certificate", "MQTT is for gateways with a current certificate");
                front.denied(address, "mqtt.connect", refusal).await;
                Err(io::ErrorKind::PermissionDenied.into())
            }
            (false, gateway) => self.http(stream, Peer { address, gateway, certificate }).await,
        }
    }

    async fn http(self, stream: Prefixed<TlsStream<TcpStream>>, peer: Peer) -> io::Result<()> {
        let router = self.door.front.router.clone();
        // The places belong to the connection, whatever it becomes.
        let entry = Arc::new(self);
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            let (router, peer, entry) = (router.clone(), peer.clone(), Arc::clone(&entry));
            async move {
                if request.uri().path() == websocket::PATH {
                    return Ok(entry.websocket(request, peer).await);
                }
                request.extensions_mut().insert(peer);
                router.oneshot(request.map(Body::new)).await
            }
        });
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HTTP_HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await
            .map_err(io::Error::other)
    }

    async fn websocket(self: Arc<Self>, request: hyper::Request<hyper::body::Incoming>, peer: Peer) -> Response {
        let Some(gateway) = peer.gateway else {
            let refusal = Refusal::forbidden("no-certificate", "MQTT is for gateways with a current certificate");
            self.door.front.denied(peer.address, "mqtt.connect", refusal).await;
            return (StatusCode::FORBIDDEN, "MQTT is for gateways with a current certificate").into_response();
        };
        let response = match websocket::answer(&request) {
            Ok(response) => response,
            Err(refused) => return refused.into_response(),
        };
        tokio::spawn(async move {
            let upgraded = match timeout(HANDSHAKE_TIMEOUT, hyper::upgrade::on(request)).await {
                Ok(Ok(upgraded)) => upgraded,
                _ => return,
            };
            self.door.front.counts.websockets.add(1);
            let stream = websocket::ByteStream::new(TokioIo::new(upgraded)).await;
            if let Err(error) = self.door.guard(gateway, peer.address).run(stream).await {
                tracing::debug!(address = %peer.address, %error, "connection ended");
            }
        });
        response
    }
}

impl Door {
    fn guard(&self, gateway: GatewayId, address: SocketAddr) -> Guard {
        Guard {
            gateway,
            address,
            runner: self.front.runner.clone(),
            trunk: self.trunk.clone(),
            revocations: self.front.revocations.clone(),
            sessions: self.sessions.clone(),
            counts: Arc::clone(&self.front.counts),
        }
    }
}

impl FrontDoor {
    /// The gateway whose current certificate was presented, and its fingerprint. A certificate that is not, or no longer, a gateway's ends the
    /// connection.
    async fn identify(
        &self,
        stream: &TlsStream<TcpStream>,
        address: SocketAddr,
    ) -> io::Result<Option<(GatewayId, Digest)>> {
        let Some(certificate) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) else { return Ok(None) };
        let identity = pki::identify(certificate);
        // A resumed session is not checked against the authority again, so its time is looked at here.
        let in_time = |not_after| clock::now() <= not_after;
        if let Some((gateway, fingerprint, not_after)) = &identity
            && in_time(*not_after)
            && guard::is_current(&self.runner, gateway, Some(*fingerprint))
        {
            return Ok(Some((gateway.clone(), *fingerprint)));
        }
        self.counts.certificates_refused.add(1);
        let name = identity.map_or_else(|| "unreadable".to_owned(), |(gateway, ..)| gateway.to_string());
        let detail = format!("the certificate of {name} is revoked, replaced or has run out");
        let refusal = Refusal::forbidden("certificate-refused", detail);
        self.denied(address, "connect", refusal).await;
        Err(io::ErrorKind::PermissionDenied.into())
    }

    async fn denied(&self, address: SocketAddr, action: &'static str, refusal: Refusal) {
        let command = Command::Denied { action, object: "front-door".into(), refusal };
        // The refusal comes back as the answer; recording it was the point.
        let _ =
            self.runner.submit(runner::anonymous(&address.ip().to_string()), Some(address.to_string()), command).await;
    }
}

/// A stream whose first byte was read to see what it speaks.
pub(super) struct Prefixed<S> {
    first: Option<u8>,
    inner: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        if buffer.remaining() > 0
            && let Some(first) = self.first.take()
        {
            buffer.put_slice(&[first]);
            return std::task::Poll::Ready(Ok(()));
        }
        std::pin::Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.inner).poll_write(context, bytes)
    }
    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_flush(context)
    }
    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
