//! Whoever connects to the coordinator, well-meaning or not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mdfm_shared::id::GatewayId;
use mdfm_shared::wire::mqtt::Connect;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) type Stream = TlsStream<TcpStream>;

/// What is attacked, and with what.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) port: u16,
    /// PEM of the coordinator's authority.
    pub(crate) ca: Vec<u8>,
    /// The session of a nurse.
    pub(crate) nurse: String,
    /// A gateway that somebody broke into.
    pub(crate) gateway: Gateway,
}

impl Target {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }
}

fn config(target: &Target, identity: Option<&Gateway>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&target.ca)?)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots);
    Ok(match identity {
        None => builder.with_no_client_auth(),
        Some(gateway) => builder.with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(gateway.certificate.as_bytes())?],
            PrivateKeyDer::from_pem_slice(gateway.key.as_bytes())?,
        )?,
    })
}

/// A client of the API with a connection of its own from an address.
pub(crate) fn http(target: &Target, from: [u8; 4]) -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(config(target, None)?)
        .resolve("localhost", SocketAddr::from((Ipv4Addr::LOCALHOST, target.port)))
        .local_address(IpAddr::from(from))
        .timeout(Duration::from_secs(10));
    Ok(builder.build()?)
}

/// A TCP connection from an address.
pub(crate) async fn tcp(target: &Target, from: [u8; 4]) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, target.port));
    Ok(tokio::time::timeout(Duration::from_secs(5), socket.connect(address)).await??)
}

/// A TLS connection from an address, of somebody unknown or of a gateway.
pub(crate) async fn tls(target: &Target, from: [u8; 4], identity: Option<&Gateway>) -> anyhow::Result<Stream> {
    let connector = TlsConnector::from(Arc::new(config(target, identity)?));
    let name = ServerName::try_from("localhost")?;
    let stream = tcp(target, from).await?;
    Ok(tokio::time::timeout(Duration::from_secs(5), connector.connect(name, stream)).await??)
}

/// The identity of a gateway, as it lies on its disk.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) id: GatewayId,
    pub(crate) epoch: u64,
    pub(crate) secret: String,
    certificate: String,
    key: String,
}

impl Gateway {
    pub(crate) fn read(state: &Path, id: &str) -> anyhow::Result<Self> {
        let identity: Value = serde_json::from_slice(&std::fs::read(state.join("identity.json"))?)?;
        let text = |name: &str| identity[name].as_str().map(str::to_owned).context("an identity");
        Ok(Self {
            id: id.parse()?,
            epoch: identity["epoch"].as_u64().context("an epoch")?,
            secret: text("telemetry_secret")?,
            certificate: text("certificate_pem")?,
            key: text("key_pem")?,
        })
    }

    /// An MQTT connection that was let in.
    pub(crate) async fn mqtt(&self, target: &Target, from: [u8; 4]) -> anyhow::Result<Stream> {
        let mut stream = tls(target, from, Some(self)).await?;
        let client_id = self.id.to_string();
        let connect =
            Connect { client_id, clean_session: true, keep_alive_s: 30, will: None, username: None, password: None };
        stream.write_all(&connect.encode()?).await?;
        stream.flush().await?;
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).await?;
        anyhow::ensure!(connack[3] == 0, "not let in: {connack:?}");
        Ok(stream)
    }
}
