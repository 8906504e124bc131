//! Accepts every connection, bounded in number, rate and time, speaks TLS 1.3, learns who is there from the client certificate, and
//! hands MQTT to the guard and everything else to the HTTP router. Handshakes run side by side: a silent peer stops nobody.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use mdfm_service::{ConnectionLimits, Connections, Held, Lines, Paced, RateOf, Refused, Stage, Standing};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use mdfm_shared::network::network;
use mdfm_shared::time::UtcMillis;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::HandshakeKind;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use super::counts::DoorCounts;
use super::guard::{self, Guard};
use super::own_connections::{Evicted, OwnConnections};
use super::sessions::{GatewayLimits, Sessions};
use super::tls::{ALPN_MQTT, Tls};
use super::trunk::Trunk;
use super::{BrokerAccess, proxy, turned_away, websocket};
use crate::access::RequestRates;
use crate::api::{count_socket, is_near};
use crate::pki;
use crate::runner::{self, Runner};
use mdfm_coordinator_core::fleet::AnomalyKind;
use mdfm_coordinator_core::{Command, Refusal, directive};

/// From the TCP connection to the end of the TLS handshake, and from there to the first byte.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the PROXY header of a balancer.
const PROXY_TIMEOUT: Duration = Duration::from_secs(5);
/// For the head of one HTTP request.
const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// First byte of an MQTT CONNECT; no HTTP request starts with it.
const MQTT_CONNECT: u8 = 0x10;
/// Connections of one network that have not yet shown who they are.
const STRANGERS_PER_NETWORK_MAX: usize = 512;
/// Connections of one gateway: one speaks MQTT, the others bring images.
const CONNECTIONS_PER_GATEWAY_MAX: usize = 64;
/// The head of an HTTP request, and everything else that is buffered for one connection. Whoever connects may have that much before anything is
/// known of it.
const HTTP_BUFFER_BYTES_MAX: usize = 16 * 1024;
/// Header fields of one request.
const HTTP_HEADERS_MAX: usize = 64;
/// For a peer that is not known, or a person, to take what is sent; a gateway behind a slow line gets longer.
const STANDSTILL: Duration = Duration::from_secs(30);
const GATEWAY_STANDSTILL: Duration = Duration::from_secs(120);

/// Who is at the other end.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Set when a current, unrevoked gateway certificate was presented.
    pub(crate) gateway: Option<GatewayId>,
    /// SHA-256 of the DER of that certificate.
    pub(crate) certificate: Option<Digest>,
    /// The places of the connection.
    entry: Weak<Entry>,
}

impl Peer {
    /// A request of this connection has shown who sends it: from now on no stranger takes its place, however long the request takes.
    pub(crate) fn show(&self) {
        if let Some(entry) = self.entry.upgrade() {
            entry.identified(Standing::Person);
        }
    }
}

/// Whose certificate was presented.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) gateway: GatewayId,
    pub(super) certificate: Digest,
    pub(super) not_after: UtcMillis,
}

/// How much the door lets in.
#[derive(Debug, Clone)]
pub(crate) struct DoorLimits {
    pub(crate) connections_max: usize,
    pub(crate) connections_per_address_max: usize,
    pub(crate) connections_per_address_per_second: u64,
    pub(crate) gateway: GatewayLimits,
    /// Networks of people and of gateways; empty for all.
    pub(crate) api_networks: Vec<IpNet>,
    pub(crate) gateway_networks: Vec<IpNet>,
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
    pub(crate) rates: Arc<RequestRates>,
}

/// A connection's places; they are free again when it ends.
pub(super) struct Entry {
    door: Arc<Door>,
    held: Mutex<Held>,
    /// Ends the connection, if it is a stranger's and too many are there, or its gateway has too many.
    evicted: Arc<Notify>,
    /// Whose connection it is, and its number there.
    gateway: Mutex<Option<(GatewayId, u64)>>,
    /// What the listener that accepted it speaks.
    tls: Tls,
    _place: OwnedSemaphorePermit,
}

impl Entry {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn identified(&self, standing: Standing) {
        if self.held().standing() == Standing::Stranger {
            self.door.connections().identified(&mut self.held(), standing);
        }
    }

    fn reached(&self, stage: Stage) {
        if self.held().standing() == Standing::Stranger {
            self.door.connections().reached(&mut self.held(), stage);
        }
    }

    /// Counts the connection for its gateway, in place of another if that has too many.
    fn admit_gateway(&self, gateway: &GatewayId, address: SocketAddr) {
        let (number, evicted) = self.door.gateways().enter(gateway, address.ip(), Arc::clone(&self.evicted));
        if let Some(Evicted { closer, sites }) = evicted {
            self.door.front.counts.evicted.add(1);
            closer.notify_one();
            if self.door.sessions.is_crowded(gateway, Instant::now()) {
                guard::note_use(&self.door.front.runner, gateway, address, AnomalyKind::Crowded, &sites);
            }
            let line = self.door.crowded.lock().unwrap_or_else(PoisonError::into_inner).next(Instant::now());
            if let Some(left_out) = line {
                tracing::warn!(%gateway, left_out, "a gateway holds {CONNECTIONS_PER_GATEWAY_MAX} connections; one is closed for a new one");
            }
        }
        *self.gateway.lock().unwrap_or_else(PoisonError::into_inner) = Some((gateway.clone(), number));
    }

    /// A request is sent with a gateway's certificate: whether another network uses it at the same time is looked at.
    fn used_over_https(&self, peer: &Peer) {
        let Some(gateway) = &peer.gateway else { return };
        if let Some(networks) = self.door.sessions.used_over_https(gateway, network(peer.address.ip())) {
            tracing::info!(%gateway, ?networks, "the certificate of the gateway is used from two networks");
            guard::note_use(&self.door.front.runner, gateway, peer.address, AnomalyKind::TwoNetworks, &networks);
        }
    }

    /// The connection holds the gateway's MQTT session of this number: its CONNECT was accepted.
    pub(super) fn holds_session(&self, session: u64) {
        if let Some((gateway, number)) = &*self.gateway.lock().unwrap_or_else(PoisonError::into_inner) {
            self.door.gateways().holds_session(gateway, *number, session);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.door.connections().leave(&self.held());
        if let Some((gateway, number)) = self.gateway.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.door.gateways().leave(&gateway, number);
        }
        self.door.front.counts.open.remove(1);
    }
}

struct Door {
    front: FrontDoor,
    connections: Mutex<Connections<Arc<Notify>>>,
    gateways: Mutex<OwnConnections<Arc<Notify>>>,
    sessions: Sessions,
    trunk: Trunk,
    /// Journal lines about connections of balancers without a header.
    headerless: Mutex<Lines>,
    /// Journal lines about gateways with too many connections.
    crowded: Mutex<Lines>,
}

impl FrontDoor {
    /// Serves until the process ends: everybody on `listener`, and people's browsers on a port of their own if there is one. Both share all
    /// limits.
    pub(crate) async fn serve(self, listener: TcpListener, people: Option<(TcpListener, Tls)>) -> io::Result<()> {
        let limits = ConnectionLimits {
            open_max: self.limits.connections_per_address_max,
            strangers_max: self.limits.connections_per_address_max.min(STRANGERS_PER_NETWORK_MAX),
            per_second: self.limits.connections_per_address_per_second,
            rate_of: RateOf::Network,
            all_strangers_max: (self.limits.connections_max / 2).max(1),
            all_people_max: self.limits.connections_max / 4,
        };
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        let runner = self.runner.clone();
        let may_see = move |gateway: &GatewayId, release| directive::names(&runner.state(), gateway, release);
        let sessions = Sessions::new(self.limits.gateway, Arc::clone(&self.counts), Arc::new(may_see));
        let trunk = Trunk::start(&self.broker, sessions.clone());
        let door = Arc::new(Door {
            front: self,
            connections: Mutex::new(Connections::new(limits)),
            gateways: Mutex::new(OwnConnections::new(CONNECTIONS_PER_GATEWAY_MAX)),
            sessions,
            trunk,
            headerless: Mutex::default(),
            crowded: Mutex::default(),
        });
        let tls = door.front.tls.clone();
        match people {
            Some((port, theirs)) => {
                let others = Arc::clone(&door).accept(port, theirs, Arc::clone(&places));
                tokio::try_join!(door.accept(listener, tls, places), others).map(drop)
            }
            None => door.accept(listener, tls, places).await,
        }
    }
}

impl Door {
    /// Accepts connections of one port for ever.
    async fn accept(self: Arc<Self>, listener: TcpListener, tls: Tls, places: Arc<Semaphore>) -> io::Result<()> {
        let door = self;
        let (mut full, mut unaccepted) = (Lines::default(), Lines::default());
        loop {
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors and the like: breathe, then go on serving who is there.
                    if let Some(left_out) = unaccepted.next(Instant::now()) {
                        tracing::warn!(%error, left_out, "a connection could not be accepted");
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            door.front.counts.accepted.add(1);
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                door.front.counts.refused_full.add(1);
                if let Some(left_out) = full.next(Instant::now()) {
                    let places = door.front.limits.connections_max;
                    tracing::warn!(%address, left_out, "connection refused: all {places} places are taken");
                }
                continue;
            };
            let is_proxy = door.front.limits.proxies.contains(&address.ip().to_canonical());
            if is_proxy {
                let (door, tls) = (Arc::clone(&door), tls.clone());
                tokio::spawn(async move { door.behind_a_proxy(stream, address, place, tls).await });
            } else if let Some(entry) = door.enter(address, place, &tls) {
                tokio::spawn(entry.serve(stream, address));
            }
        }
    }
}

impl Door {
    fn connections(&self) -> MutexGuard<'_, Connections<Arc<Notify>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gateways(&self) -> MutexGuard<'_, OwnConnections<Arc<Notify>>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, address: SocketAddr, place: OwnedSemaphorePermit, tls: &Tls) -> Option<Entry> {
        let DoorLimits { api_networks, gateway_networks, .. } = &self.front.limits;
        if !is_near(api_networks, address.ip()) && !is_near(gateway_networks, address.ip()) {
            self.front.counts.refused_network.add(1);
            tracing::debug!(%address, "connection refused: its address is in no network of people or gateways");
            return None;
        }
        let evicted = Arc::new(Notify::new());
        let entered = self.connections().enter(Instant::now(), address.ip(), Arc::clone(&evicted));
        let (counter, why) = match entered {
            Ok((held, oldest)) => {
                if let Some(oldest) = oldest {
                    self.front.counts.evicted.add(1);
                    oldest.notify_one();
                }
                self.front.counts.open.add(1);
                let door = Arc::clone(self);
                let (held, gateway) = (Mutex::new(held), Mutex::default());
                return Some(Entry { door, held, evicted, gateway, tls: tls.clone(), _place: place });
            }
            Err(Refused::Full) => (&self.front.counts.refused_full, "too many connections of its network"),
            Err(Refused::TooFast) => (&self.front.counts.refused_rate, "its network connects too fast"),
        };
        counter.add(1);
        tracing::debug!(%address, "connection refused: {why}");
        None
    }

    async fn behind_a_proxy(
        self: Arc<Self>,
        mut stream: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
        tls: Tls,
    ) {
        let read = timeout(PROXY_TIMEOUT, proxy::read(&mut stream)).await;
        match read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(Some(client)) => {
                if let Some(entry) = self.enter(client, place, &tls) {
                    entry.serve(stream, client).await;
                }
            }
            // The balancer looks whether the port is open.
            Ok(None) => {}
            Err(error) => {
                let line = self.headerless.lock().unwrap_or_else(PoisonError::into_inner).next(Instant::now());
                if let Some(left_out) = line {
                    tracing::warn!(%address, %error, left_out, "connection refused: no PROXY header from a balancer");
                }
            }
        }
    }
}

impl Entry {
    async fn serve(self, stream: TcpStream, address: SocketAddr) {
        let evicted = Arc::clone(&self.evicted);
        let ended = tokio::select! {
            ended = self.connection(stream, address) => ended,
            () = evicted.notified() => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "its place is needed for another one")),
        };
        if let Err(error) = ended {
            tracing::debug!(%address, %error, "connection ended");
        }
    }

    async fn connection(self, stream: TcpStream, address: SocketAddr) -> io::Result<()> {
        let door = Arc::clone(&self.door);
        let front = &door.front;
        stream.set_nodelay(true)?;
        let shaken = timeout(HANDSHAKE_TIMEOUT, async {
            stream.peek(&mut [0]).await?;
            self.reached(Stage::Shaking);
            TlsAcceptor::from(self.tls.current()).accept(stream).await
        })
        .await;
        let mut stream = match shaken {
            Ok(Ok(stream)) => stream,
            failed => {
                front.counts.handshakes_failed.add(1);
                return failed?.map(drop);
            }
        };
        front.counts.handshakes.add(1);
        self.reached(Stage::Idle);
        if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
            front.counts.handshakes_resumed.add(1);
        }
        let identity = match front.identify(&stream, address).await {
            Ok(identity) => identity,
            Err(reason) => {
                turned_away::answer(stream, MQTT_CONNECT, reason).await;
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        };
        if let Some(identity) = &identity {
            front.admit_gateway_address(identity, address).await?;
            self.admit_gateway(&identity.gateway, address);
            self.identified(Standing::Certified);
        }
        let first = timeout(HANDSHAKE_TIMEOUT, stream.read_u8()).await??;
        let speaks_mqtt = first == MQTT_CONNECT;
        let asked = stream.get_ref().1.alpn_protocol();
        if asked.is_some_and(|asked| (asked == ALPN_MQTT) != speaks_mqtt) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "another protocol than was asked for by ALPN"));
        }
        let standstill = if identity.is_some() { GATEWAY_STANDSTILL } else { STANDSTILL };
        let stream = Paced::new(Prefixed { first: Some(first), inner: stream }, standstill);
        match (speaks_mqtt, identity) {
            (true, Some(identity)) => door.guard(identity, address).run(&self, stream).await,
            (true, None) => {
                let refusal = Refusal::forbidden("no-certificate", "MQTT is for gateways with a current certificate");
                front.denied(address, "mqtt.connect", refusal).await;
                Err(io::ErrorKind::PermissionDenied.into())
            }
            (false, identity) => self.http(stream, identity, address).await,
        }
    }

    async fn http(
        self,
        stream: Paced<Prefixed<TlsStream<TcpStream>>>,
        identity: Option<Identity>,
        address: SocketAddr,
    ) -> io::Result<()> {
        let (router, door) = (self.door.front.router.clone(), Arc::clone(&self.door));
        // The places belong to the connection, whatever it becomes.
        let entry = Arc::new(self);
        let peer = Peer {
            address,
            gateway: identity.as_ref().map(|i| i.gateway.clone()),
            certificate: identity.as_ref().map(|i| i.certificate),
            entry: Arc::downgrade(&entry),
        };
        let ours = identity.clone();
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            let (router, peer, entry) = (router.clone(), peer.clone(), Arc::clone(&entry));
            let identity = ours.clone();
            async move {
                entry.reached(Stage::Asking);
                let response = if request.uri().path() == websocket::PATH {
                    Ok(Arc::clone(&entry).websocket(request, peer, identity).await)
                } else {
                    entry.used_over_https(&peer);
                    request.extensions_mut().insert(peer);
                    router.oneshot(request.map(Body::new)).await
                };
                entry.reached(Stage::Idle);
                response
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HTTP_HEAD_TIMEOUT)
            .max_buf_size(HTTP_BUFFER_BYTES_MAX)
            .max_headers(HTTP_HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let Some(identity) = identity else { return connection.await.map_err(io::Error::other) };
        tokio::select! {
            ended = connection => ended.map_err(io::Error::other),
            () = guard::until_replaced(&door.front.runner, &identity, door.front.revocations.clone()) => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "the certificate was revoked or replaced"))
            }
        }
    }

    async fn websocket(
        self: Arc<Self>,
        request: hyper::Request<hyper::body::Incoming>,
        peer: Peer,
        identity: Option<Identity>,
    ) -> Response {
        if count_socket(&self.door.front.rates, &peer).is_err() {
            return (StatusCode::TOO_MANY_REQUESTS, "too many connections; wait a second").into_response();
        }
        let Some(identity) = identity else {
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
            if let Err(error) = self.door.guard(identity, peer.address).run(&self, stream).await {
                tracing::debug!(address = %peer.address, %error, "connection ended");
            }
        });
        response
    }
}

impl Door {
    fn guard(&self, identity: Identity, address: SocketAddr) -> Guard {
        Guard {
            gateway: identity.gateway.clone(),
            identity,
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
    /// Whether gateways may connect from there.
    async fn admit_gateway_address(&self, identity: &Identity, address: SocketAddr) -> io::Result<()> {
        if is_near(&self.limits.gateway_networks, address.ip()) {
            return Ok(());
        }
        self.counts.refused_network.add(1);
        let from = network(address.ip());
        let detail = format!("{from} is in none of the networks from which gateways may connect (gateway_networks)");
        let command = Command::Denied {
            action: "connect",
            object: format!("gateway/{}", identity.gateway),
            refusal: Refusal::forbidden("network", detail),
        };
        let actor = runner::gateway_actor(&identity.gateway);
        let _ = self.runner.submit(actor, Some(address.to_string()), command).await;
        Err(io::ErrorKind::PermissionDenied.into())
    }

    /// The gateway whose current certificate was presented, and its fingerprint. A certificate that is not, or no longer, a gateway's ends the
    /// connection, with the reason.
    async fn identify(
        &self,
        stream: &TlsStream<TcpStream>,
        address: SocketAddr,
    ) -> Result<Option<Identity>, turned_away::Reason> {
        let Some(certificate) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) else { return Ok(None) };
        let identity = pki::identify(certificate);
        // A resumed session is not checked against the authority again, so its time is looked at here.
        let now = self.runner.now();
        let in_time = |not_after| now <= not_after;
        if let Some((gateway, fingerprint, not_after)) = &identity
            && in_time(*not_after)
            && guard::is_current(&self.runner, gateway, Some(*fingerprint))
        {
            let (gateway, certificate, not_after) = (gateway.clone(), *fingerprint, *not_after);
            return Ok(Some(Identity { gateway, certificate, not_after }));
        }
        self.counts.certificates_refused.add(1);
        let reason = turned_away::Reason::of(&self.runner, identity.as_ref().map(|(gateway, ..)| gateway));
        let name = identity.map_or_else(|| "unreadable".to_owned(), |(gateway, ..)| gateway.to_string());
        let detail = format!("the certificate of {name} is revoked, replaced or has run out");
        let refusal = Refusal::forbidden("certificate-refused", detail);
        self.denied(address, "connect", refusal).await;
        Err(reason)
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
