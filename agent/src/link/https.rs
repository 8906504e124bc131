//! HTTPS to the coordinator: one connection for each request, straight or through the hospital's proxy. The agent asks rarely, and what it asks
//! for is large or seldom; a kept connection would hold a place at the coordinator for nothing.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Road;
use super::answered::answered;
use super::road::authority;

/// For reaching the coordinator, TLS with it included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where requests go, and on which way; cheap to clone.
#[derive(Clone)]
pub(crate) struct Https {
    road: Road,
    tls: Arc<ClientConfig>,
    host: String,
    port: u16,
}

/// An answer, whose body is still coming.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    _connection: Connection,
}

/// What carries a request and its answer; it ends with this, also where nobody waits for the answer any more.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Https {
    /// Requests to `https://host[:port]`.
    ///
    /// # Errors
    /// The address is no such one.
    pub(crate) fn new(url: &str, road: &Road, tls: ClientConfig) -> anyhow::Result<Self> {
        let bad = || format!("{url:?} is no address of a coordinator (https://host:port)");
        let uri: Uri = url.parse().with_context(bad)?;
        anyhow::ensure!(uri.scheme_str() == Some("https") && matches!(uri.path(), "" | "/"), bad());
        let host = uri.host().with_context(bad)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { road: road.clone(), tls: Arc::new(tls), host, port: uri.port_u16().unwrap_or(443) })
    }

    /// Asks for what is at `path`, from byte `from` on where that is not the first.
    pub(crate) async fn get(&self, path: &str, from: u64) -> anyhow::Result<Answer> {
        let mut request = Request::get(path);
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        self.send(request.body(String::new())?).await
    }

    /// Sends JSON to `path`.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Answer> {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(serde_json::to_string(body)?)?).await
    }

    async fn send(&self, mut request: Request<String>) -> anyhow::Result<Answer> {
        request.headers_mut().insert(header::HOST, authority(&self.host, self.port).parse()?);
        let stream = timeout(CONNECT_TIMEOUT, async {
            let name = ServerName::try_from(self.host.clone()).context("the coordinator's name")?;
            let stream = self.road.reach(&self.host, self.port).await?;
            Ok::<_, anyhow::Error>(TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?)
        });
        let stream = stream.await.context("connecting took too long")??;
        let (mut sender, connection) = http1::handshake::<_, String>(TokioIo::new(stream)).await?;
        let connection = Connection(tokio::spawn(async move {
            // How it ends is seen by who reads the answer.
            let _ = connection.await;
        }));
        let answer = answered(request, |request| sender.send_request(request)).await??;
        let (parts, body) = answer.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body, _connection: connection })
    }
}

impl Answer {
    /// The next piece of the body; `None` at its end.
    pub(crate) async fn piece(&mut self) -> Option<hyper::Result<Bytes>> {
        loop {
            // What is no data (trailers) is passed over.
            match poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await? {
                Ok(frame) => {
                    if let Ok(piece) = frame.into_data() {
                        return Some(Ok(piece));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// It is longer than `max` bytes, or broke off.
    pub(crate) async fn body(&mut self, max: usize) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await {
            body.extend_from_slice(&piece?);
            anyhow::ensure!(body.len() <= max, "the coordinator's answer is longer than {max} bytes");
        }
        Ok(body)
    }

    /// The body as JSON, of an answer that is no refusal.
    ///
    /// # Errors
    /// It is one, is longer than `max` bytes, or is something else.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self, max: usize) -> anyhow::Result<T> {
        anyhow::ensure!(self.status.is_success(), "the coordinator answered {}", self.status);
        Ok(serde_json::from_slice(&self.body(max).await?)?)
    }
}
