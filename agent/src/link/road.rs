//! The road out of the hospital: straight, or through the hospital's HTTP proxy, and MQTT as itself or over WebSocket on the port of
//! HTTPS. TLS goes from here to the coordinator whatever is between.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Path of MQTT over WebSocket at the coordinator, and the subprotocol's name (OASIS MQTT 3.1.1 §6).
const WEBSOCKET_PATH: &str = "/mqtt";
const SUBPROTOCOL: &str = "mqtt";
/// For each step of a way that is not straight.
const STEP: Duration = Duration::from_secs(15);
/// Where the MQTT client meets the way that is not straight.
const SOCKET: &str = "uplink.sock";
const PIECE_BYTES: usize = 16 * 1024;
/// Bytes of one WebSocket message.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Where a proxy is, and how it knows us.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Via {
    host: String,
    port: u16,
    credentials: Option<(String, String)>,
}

/// How the coordinator is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Road {
    via: Option<Via>,
    websocket: bool,
}

/// What keeps a way that is not straight open.
pub(super) struct Relay(Option<JoinHandle<()>>);

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(relaying) = &self.0 {
            relaying.abort();
        }
    }
}

impl Road {
    /// From `http://[user:password@]host:port`, or an empty text for none.
    ///
    /// # Errors
    /// The text is no such address.
    pub(crate) fn new(proxy: &str, websocket: bool) -> Result<Self, String> {
        if proxy.is_empty() {
            return Ok(Self { via: None, websocket });
        }
        let bad = || "proxy must be http://host:port, or http://user:password@host:port".to_owned();
        let url: reqwest::Url = proxy.parse().map_err(|_| bad())?;
        let plain = url.scheme() == "http" && matches!(url.path(), "" | "/") && url.query().is_none();
        let (Some(host), Some(port), true) = (url.host_str(), url.port_or_known_default(), plain) else {
            return Err(bad());
        };
        let credentials = (!url.username().is_empty())
            .then(|| (url.username().to_owned(), url.password().unwrap_or_default().to_owned()));
        Ok(Self { via: Some(Via { host: host.to_owned(), port, credentials }), websocket })
    }

    /// A client for HTTPS that goes this way, and no other that the environment may name.
    pub(crate) fn http(&self) -> anyhow::Result<reqwest::ClientBuilder> {
        let client = reqwest::Client::builder().no_proxy();
        let Some(via) = &self.via else { return Ok(client) };
        let mut proxy = reqwest::Proxy::all(format!("http://{}:{}", via.host, via.port)).context("the proxy")?;
        if let Some((user, password)) = &via.credentials {
            proxy = proxy.basic_auth(user, password);
        }
        Ok(client.proxy(proxy))
    }

    /// Options for MQTT over TLS that goes this way, and what keeps the way open.
    pub(super) fn mqtt(
        &self,
        client_id: &str,
        to: (String, u16),
        tls: ClientConfig,
        state_dir: &Path,
    ) -> anyhow::Result<(MqttOptions, Relay)> {
        if self.via.is_none() && !self.websocket {
            let mut options = MqttOptions::new(client_id, to.0, to.1);
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
            return Ok((options, Relay(None)));
        }
        let path = state_dir.join(SOCKET);
        // Left by a process that died; a living one holds the state directory's lock.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let relaying = tokio::spawn(relay(self.clone(), to, Arc::new(tls), listener));
        let mut options = MqttOptions::new(client_id, text(path)?, 0);
        options.set_transport(Transport::unix());
        Ok((options, Relay(Some(relaying))))
    }

    /// A TCP connection, or what is one behind the proxy.
    async fn reach(&self, host: &str, port: u16) -> anyhow::Result<Box<dyn Stream>> {
        let Some(via) = &self.via else {
            return Ok(Box::new(TcpStream::connect((host, port)).await?));
        };
        let tcp = TcpStream::connect((via.host.as_str(), via.port)).await.context("reaching the proxy")?;
        let (mut sender, connection) = http1::handshake::<_, String>(TokioIo::new(tcp)).await?;
        tokio::spawn(async move {
            // Its end is the end of the stream that it became.
            let _ = connection.with_upgrades().await;
        });
        let to = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut request = hyper::Request::connect(&to).header("host", &to);
        if let Some((user, password)) = &via.credentials {
            let credentials = STANDARD.encode(format!("{user}:{password}"));
            request = request.header("proxy-authorization", format!("Basic {credentials}"));
        }
        let answer = sender.send_request(request.body(String::new())?).await.context("asking the proxy")?;
        ensure!(answer.status().is_success(), "the proxy answered {} to CONNECT {to}", answer.status());
        Ok(Box::new(TokioIo::new(hyper::upgrade::on(answer).await.context("the proxy")?)))
    }
}

/// Bytes both ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

fn text(path: PathBuf) -> anyhow::Result<String> {
    path.into_os_string().into_string().map_err(|p| anyhow::anyhow!("state_dir {} is not UTF-8", p.display()))
}

/// Carries each connection that the MQTT client makes.
async fn relay(road: Road, to: (String, u16), tls: Arc<ClientConfig>, listener: UnixListener) {
    loop {
        let Ok((near, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        // One at a time: the client makes the next when this one has ended.
        if let Err(error) = carry(&road, &to, Arc::clone(&tls), near).await {
            tracing::warn!("the way to the coordinator: {error:#}");
        }
    }
}

async fn carry(
    road: &Road,
    (host, port): &(String, u16),
    tls: Arc<ClientConfig>,
    mut near: UnixStream,
) -> anyhow::Result<()> {
    let far = timeout(STEP, road.reach(host, *port)).await.context("it took too long")??;
    let name = ServerName::try_from(host.clone()).context("the coordinator's name")?;
    let mut far = timeout(STEP, TlsConnector::from(tls).connect(name, far)).await.context("TLS took too long")??;
    if !road.websocket {
        // How the other side ended is for the MQTT client to find out.
        let _ = copy_bidirectional(&mut near, &mut far).await;
        return Ok(());
    }
    let mut request = format!("wss://{host}:{port}{WEBSOCKET_PATH}").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    let limits =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    let handshake = tokio_tungstenite::client_async_with_config(request, far, Some(limits));
    let (far, _) = timeout(STEP, handshake).await.context("WebSocket took too long")??;
    let _ = pump(near, far).await;
    Ok(())
}

/// MQTT in binary messages, whose borders mean nothing.
async fn pump<S: AsyncRead + AsyncWrite + Unpin>(near: UnixStream, far: WebSocketStream<S>) -> io::Result<()> {
    let (mut from_near, mut to_near) = near.into_split();
    let (mut to_far, mut from_far) = far.split();
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        tokio::select! {
            read = from_near.read(&mut buffer) => match read? {
                0 => return to_far.close().await.map_err(io::Error::other),
                n => to_far.send(Message::binary(buffer[..n].to_vec())).await.map_err(io::Error::other)?,
            },
            message = from_far.next() => match message {
                Some(Ok(Message::Binary(bytes))) => to_near.write_all(&bytes).await?,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_plainly_or_refused() {
        let via = |text: &str| Road::new(text, false).map(|r| r.via);
        assert_eq!(via(""), Ok(None));
        let good = |credentials| Ok(Some(Via { host: "proxy.ward.example".into(), port: 3128, credentials }));
        assert_eq!(via("http://proxy.ward.example:3128"), good(None));
        assert_eq!(via("http://gw:secret@proxy.ward.example:3128/"), good(Some(("gw".into(), "secret".into()))));
        for bad in ["proxy:3128", "socks5://proxy:1080", "http://proxy:3128/path", "http://", "http://proxy:99999"] {
            assert!(via(bad).is_err(), "{bad}");
        }
    }
}
