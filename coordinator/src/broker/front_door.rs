//! Accepts every connection, bounded in number and time, speaks TLS 1.3, learns who is there from the client certificate, and
//! hands MQTT to the guard and everything else to the HTTP router. Handshakes run side by side: a silent peer stops nobody.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioIo, TokioTimer};
use mdfm_shared::id::GatewayId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use super::BrokerAccess;
use super::guard::{self, Guard};
use crate::domain::{Command, Refusal};
use crate::pki::{self, Pem};
use crate::runner::{self, Runner};

/// From the TCP connection to the end of the TLS handshake, and from there to the first byte.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the head of one HTTP request.
const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// First byte of an MQTT CONNECT; no HTTP request starts with it.
const MQTT_CONNECT: u8 = 0x10;

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Set when a current, unrevoked gateway certificate was presented.
    pub(crate) gateway: Option<GatewayId>,
}

/// The front door and what stands behind it.
pub(crate) struct FrontDoor {
    pub(crate) runner: Runner,
    pub(crate) broker: BrokerAccess,
    pub(crate) router: Router,
    /// Changes whenever a gateway is revoked.
    pub(crate) revocations: watch::Receiver<u64>,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_address_max: usize,
}

/// TLS 1.3 only; a client certificate is asked for, checked if given, and needed for everything that gateways do.
pub(crate) fn tls_config(authority: &str, server: &Pem) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let chain = vec![CertificateDer::from_pem_slice(server.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes())?;
    Ok(ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?)
}

/// Counts connections by address.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

struct AddressPermit(Addresses, IpAddr);

impl Addresses {
    fn enter(&self, address: IpAddr, max: usize) -> Option<AddressPermit> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(AddressPermit(self.clone(), address))
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

impl FrontDoor {
    /// Serves until the process ends.
    pub(crate) async fn serve(self, listener: TcpListener, tls: ServerConfig) -> io::Result<()> {
        let door = Arc::new(self);
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let places = Arc::new(Semaphore::new(door.connections_max));
        let addresses = Addresses::default();
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
            let (Ok(place), Some(permit)) = (
                Arc::clone(&places).try_acquire_owned(),
                addresses.enter(address.ip(), door.connections_per_address_max),
            ) else {
                tracing::warn!(%address, "connection refused: too many connections");
                continue;
            };
            let (door, acceptor) = (Arc::clone(&door), acceptor.clone());
            tokio::spawn(async move {
                if let Err(error) = door.connection(stream, address, acceptor, (place, permit)).await {
                    tracing::debug!(%address, %error, "connection ended");
                }
            });
        }
    }

    async fn connection(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        acceptor: TlsAcceptor,
        _places: (OwnedSemaphorePermit, AddressPermit),
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
        let first = timeout(HANDSHAKE_TIMEOUT, stream.read_u8()).await??;
        let gateway = self.identify(&stream, address).await?;
        let stream = Prefixed { first: Some(first), inner: stream };
        match (first, gateway) {
            (MQTT_CONNECT, Some(gateway)) => {
                let guard = Guard {
                    gateway,
                    address,
                    runner: self.runner.clone(),
                    broker: self.broker.clone(),
                    revocations: self.revocations.clone(),
                };
                guard.run(stream).await
            }
            (MQTT_CONNECT, None) => {
                let refusal = Refusal::forbidden("no-certificate", "MQTT is for gateways with a current certificate");
                self.denied(address, "mqtt.connect", refusal).await;
                Err(io::ErrorKind::PermissionDenied.into())
            }
            (_, gateway) => self.http(stream, Peer { address, gateway }).await,
        }
    }

    /// The gateway whose current certificate was presented. A certificate that is not, or no longer, a gateway's ends the
    /// connection.
    async fn identify(&self, stream: &TlsStream<TcpStream>, address: SocketAddr) -> io::Result<Option<GatewayId>> {
        let Some(certificate) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) else { return Ok(None) };
        let identity = pki::identify(certificate);
        if let Some((gateway, fingerprint)) = &identity
            && guard::is_current(&self.runner, gateway, Some(*fingerprint))
        {
            return Ok(Some(gateway.clone()));
        }
        let name = identity.map_or_else(|| "unreadable".to_owned(), |(gateway, _)| gateway.to_string());
        let refusal =
            Refusal::forbidden("certificate-refused", format!("the certificate of {name} is revoked or replaced"));
        self.denied(address, "connect", refusal).await;
        Err(io::ErrorKind::PermissionDenied.into())
    }

    async fn denied(&self, address: SocketAddr, action: &'static str, refusal: Refusal) {
        let command = Command::Denied { action, object: "front-door".into(), refusal };
        // The refusal comes back as the answer; recording it was the point.
        let _ =
            self.runner.submit(runner::anonymous(&address.ip().to_string()), Some(address.to_string()), command).await;
    }

    async fn http(&self, stream: Prefixed<TlsStream<TcpStream>>, peer: Peer) -> io::Result<()> {
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.clone().oneshot(request.map(Body::new))
        });
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HTTP_HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .await
            .map_err(io::Error::other)
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
