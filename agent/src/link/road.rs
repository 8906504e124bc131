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
use hyper::Uri;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mdfm_shared::wire::mqtt::{CONNACK_OUTDATED, CONNACK_REVOKED};
use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use super::answered::answered;

/// Path of MQTT over WebSocket at the coordinator, and the subprotocol's name (OASIS MQTT 3.1.1 §6).
const WEBSOCKET_PATH: &str = "/mqtt";
const SUBPROTOCOL: &str = "mqtt";
/// For each step of a way that is not straight.
const STEP: Duration = Duration::from_secs(15);
/// Where the MQTT client meets the way that is not straight.
const SOCKET: &str = "uplink.sock";
/// How the address of a proxy begins.
const SCHEME: &str = "http://";
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
    /// From `http://[user:password@]host:port`, or an empty text for none. Name and password may hold any character, as it is or as `%` and two
    /// hexadecimal digits; only a colon in the name, and a `%` before two such digits, must be written so. An IPv6 address stands in brackets.
    ///
    /// # Errors
    /// The text is no such address.
    pub(crate) fn new(proxy: &str, websocket: bool) -> Result<Self, String> {
        if proxy.is_empty() {
            return Ok(Self { via: None, websocket });
        }
        let bad = || "proxy must be http://host:port, or http://user:password@host:port".to_owned();
        // A URL's own rules for what is before the host would change or refuse what a password may hold.
        let rest = proxy.get(..SCHEME.len()).filter(|s| s.eq_ignore_ascii_case(SCHEME)).map(|s| &proxy[s.len()..]);
        let rest = rest.ok_or_else(bad)?;
        let (before, host) = rest.rsplit_once('@').map_or((None, rest), |(before, host)| (Some(before), host));
        let url: Uri = format!("{SCHEME}{host}").parse().map_err(|_| bad())?;
        let plain = matches!(url.path(), "" | "/") && url.query().is_none() && !host.contains('#');
        // Where what is named as a port cannot be one, the usual one was not meant.
        let names_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let port = if names_port { url.port_u16() } else { Some(80) };
        let (Some(host), Some(port), true) = (url.host().filter(|host| !host.is_empty()), port, plain) else {
            return Err(bad());
        };
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let credentials = match before.map(|b| b.split_once(':').unwrap_or((b, ""))) {
            None | Some(("", _)) => None,
            Some((user, password)) => Some((decoded(user).ok_or_else(bad)?, decoded(password).ok_or_else(bad)?)),
        };
        if credentials.as_ref().is_some_and(|(user, _)| user.contains(':')) {
            // Basic authentication (RFC 7617 §2) ends the name there.
            return Err("proxy: a user name has no colon".into());
        }
        Ok(Self { via: Some(Via { host: host.to_owned(), port, credentials }), websocket })
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
    pub(super) async fn reach(&self, host: &str, port: u16) -> anyhow::Result<Box<dyn Stream>> {
        let Some(via) = &self.via else {
            return Ok(Box::new(TcpStream::connect((host, port)).await?));
        };
        let tcp = TcpStream::connect((via.host.as_str(), via.port)).await.context("reaching the proxy")?;
        let (mut sender, connection) = http1::handshake::<_, String>(TokioIo::new(tcp)).await?;
        tokio::spawn(async move {
            // Its end is the end of the stream that it became.
            let _ = connection.with_upgrades().await;
        });
        let to = authority(host, port);
        let mut request = hyper::Request::connect(&to).header("host", &to);
        if let Some((user, password)) = &via.credentials {
            let credentials = STANDARD.encode(format!("{user}:{password}"));
            request = request.header("proxy-authorization", format!("Basic {credentials}"));
        }
        let answer = answered(request.body(String::new())?, |request| sender.send_request(request)).await;
        let answer = answer.context("asking the proxy")?.context("asking the proxy")?;
        ensure!(answer.status().is_success(), "the proxy answered {} to CONNECT {to}", answer.status());
        Ok(Box::new(TokioIo::new(hyper::upgrade::on(answer).await.context("the proxy")?)))
    }
}

/// Host and port, an IPv6 address in brackets.
pub(super) fn authority(host: &str, port: u16) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A text with `%` and two hexadecimal digits as the bytes that they stand for; `None` if those are not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let hex = more.get(..2).filter(|h| *first == b'%' && h.iter().all(u8::is_ascii_hexdigit));
        match hex.and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|t| !t.chars().any(char::is_control))
}

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
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
    match timeout(STEP, handshake).await.context("WebSocket took too long")? {
        Ok((far, _)) => {
            let _ = pump(near, far).await;
            Ok(())
        }
        Err(error) => {
            if let Some(connack) = connack_of(&error) {
                pass_on(near, connack).await;
            }
            Err(error.into())
        }
    }
}

/// The answer to CONNECT that stands for the refusal of a WebSocket by the coordinator; `None` if it is another refusal.
fn connack_of(error: &tungstenite::Error) -> Option<[u8; 4]> {
    let tungstenite::Error::Http(answer) = error else { return None };
    let body: serde_json::Value = serde_json::from_slice(answer.body().as_deref()?).ok()?;
    match body["type"].as_str()? {
        "urn:mdfm:problem:gateway-revoked" => Some(CONNACK_REVOKED),
        "urn:mdfm:problem:certificate-outdated" => Some(CONNACK_OUTDATED),
        _ => None,
    }
}

/// Answers the MQTT client's CONNECT, which is read first: bytes that nobody has read would take the answer with them.
async fn pass_on(mut near: UnixStream, connack: [u8; 4]) {
    let passed = timeout(STEP, async {
        near.read_buf(&mut Vec::with_capacity(PIECE_BYTES)).await?;
        near.write_all(&connack).await?;
        near.shutdown().await
    });
    // The client that does not take it finds out when it connects again.
    let _ = passed.await;
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
    use tokio::net::TcpListener;

    use super::super::https::Https;
    use super::*;

    #[tokio::test]
    async fn cli_20_a_refused_websocket_becomes_a_connack() {
        let refused = |body: &str| {
            let answer = tungstenite::http::Response::builder().status(403).body(Some(body.as_bytes().to_vec()));
            tungstenite::Error::Http(Box::new(answer.expect("an answer")))
        };
        let problem = |code: &str| refused(&format!(r#"{{"type":"urn:mdfm:problem:{code}","status":403}}"#));
        assert_eq!(connack_of(&problem("gateway-revoked")), Some(CONNACK_REVOKED));
        assert_eq!(connack_of(&problem("certificate-outdated")), Some(CONNACK_OUTDATED));
        for other in [problem("network"), refused("<html>"), refused(""), tungstenite::Error::ConnectionClosed] {
            assert_eq!(connack_of(&other), None);
        }
        let (mut client, near) = UnixStream::pair().expect("a pair");
        client.write_all(&[0x10, 2, 0, 0]).await.expect("open");
        pass_on(near, CONNACK_REVOKED).await;
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.expect("no reset");
        assert_eq!(said, CONNACK_REVOKED);
    }

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

    /// The client for HTTPS, which trusts nobody: the proxy refuses before that counts.
    fn client_of(road: &Road, url: &str) -> Https {
        use tokio_rustls::rustls::RootCertStore;
        use tokio_rustls::rustls::crypto::ring;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        Https::new(url, road, tls).expect("an address")
    }

    /// Listens as a proxy and returns what one client asks of it, as it is written.
    async fn asked(listener: TcpListener) -> String {
        asked_of(&listener).await
    }

    async fn asked_of(listener: &TcpListener) -> String {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut request = Vec::new();
        let mut piece = [0; 1_024];
        while !request.windows(4).any(|w| w == b"\r\n\r\n") {
            let n = stream.read(&mut piece).await.expect("reads");
            assert!(n > 0 && request.len() < 8_192, "a whole request");
            request.extend_from_slice(&piece[..n]);
        }
        let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
        String::from_utf8(request).expect("text")
    }

    /// MQTT and HTTPS (enrolment, images) say the same to the proxy, and it is what the operator meant.
    #[tokio::test]
    async fn fld_12_any_password_reaches_the_proxy_as_it_is() {
        for (written, password) in [
            ("p@s#s:w\\o r/d?", "p@s#s:w\\o r/d?"),
            ("p%40s%23s%3Aw%5Co%20r%2fd%3f", "p@s#s:w\\o r/d?"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("pässwörd", "pässwörd"),
            ("", ""),
        ] {
            let expected = format!("Basic {}", STANDARD.encode(format!("g w@ward:{password}"))).to_lowercase();
            for by_http in [false, true] {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
                let port = listener.local_addr().expect("bound").port();
                let road =
                    Road::new(&format!("http://g%20w%40ward:{written}@127.0.0.1:{port}"), false).expect("a proxy");
                let asked = tokio::spawn(asked(listener));
                if by_http {
                    let client = client_of(&road, "https://coordinator.example:8443");
                    assert!(client.get("/", 0).await.is_err());
                } else {
                    let answer = road.reach("coordinator.example", 8443).await.err().expect("407");
                    assert!(answer.to_string().contains("407"), "{answer:#}");
                }
                let request = asked.await.expect("asked").to_lowercase();
                assert!(request.starts_with("connect coordinator.example:8443 http/1.1\r\n"), "{request}");
                assert!(request.contains(&format!("proxy-authorization: {expected}\r\n")), "{written}: {request}");
            }
        }
        assert!(Road::new("http://a%3Ab:c@proxy:3128", false).is_err(), "a colon in the name");
        assert!(
            Road::new("http://a:%ff@proxy:3128", false).is_err()
                && Road::new("http://a:%0d%0a@proxy:3128", false).is_err()
        );
    }

    /// The sample: a server that sent informational answers without end cost a core until the request's time was over.
    #[tokio::test]
    async fn sec_9_informational_answers_without_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let port = listener.local_addr().expect("bound").port();
        let proxy = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.read_buf(&mut Vec::with_capacity(PIECE_BYTES)).await.expect("a request");
            let mut sent = 0_u64;
            // It ends when the client has closed the connection.
            while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.is_ok() {
                sent += 1;
            }
            sent
        });
        let road = Road::new(&format!("http://127.0.0.1:{port}"), false).expect("a proxy");
        let reached = timeout(Duration::from_secs(5), road.reach("coordinator.example", 8443)).await.expect("at once");
        let words = format!("{:#}", reached.err().expect("no answer"));
        assert!(words.contains("informational answers"), "{words}");
        let closed = timeout(Duration::from_secs(5), proxy).await.expect("the connection is closed");
        assert!(closed.expect("it ran") > 16);
    }

    #[tokio::test]
    async fn fld_13_a_proxy_with_an_ipv6_address_is_reached() {
        let Ok(listener) = TcpListener::bind("[::1]:0").await else {
            tracing::warn!("SKIPPED: no IPv6 on this machine");
            return;
        };
        let port = listener.local_addr().expect("bound").port();
        let road = Road::new(&format!("http://gw:secret@[::1]:{port}/"), true).expect("a proxy");
        assert_eq!(road.via.as_ref().map(|via| via.host.as_str()), Some("::1"));
        let first = tokio::spawn(async move { (asked_of(&listener).await, asked_of(&listener).await) });
        assert!(road.reach("2001:db8::1", 8443).await.is_err());
        let client = client_of(&road, "https://[2001:db8::1]:8443");
        assert!(client.get("/", 0).await.is_err());
        let (by_mqtt, by_http) = first.await.expect("asked");
        for request in [by_mqtt, by_http] {
            assert!(request.to_lowercase().starts_with("connect [2001:db8::1]:8443 http/1.1\r\n"), "{request}");
        }
    }
}
