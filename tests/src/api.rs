//! The API without `mdfmctl`: any bytes, any path, as anybody.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use reqwest::Method;
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::plain;

/// A session file of `mdfmctl`: where, as whom, and whom to trust.
pub struct Session {
    /// Address of the coordinator.
    pub url: String,
    /// The bearer token.
    pub token: String,
    /// TLS that trusts the coordinator's authority alone.
    pub tls: ClientConfig,
}

impl Session {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let session: Value = serde_json::from_slice(&std::fs::read(file)?)?;
        let text = |name: &str| session[name].as_str().map(str::to_owned).context("a session file");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(text("ca_pem")?.as_bytes())?)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { url: text("url")?, token: text("token")?, tls })
    }
}

/// A client with or without a session.
#[derive(Clone)]
pub struct Api {
    runtime: Arc<tokio::runtime::Runtime>,
    http: reqwest::Client,
    /// The same without following redirects.
    straight: reqwest::Client,
    tls: Arc<ClientConfig>,
    url: String,
    token: Option<String>,
}

impl Api {
    /// A client that takes the session of a file of `mdfmctl`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn with_session(file: &Path) -> anyhow::Result<Self> {
        let Session { url, token, tls } = Session::read(file)?;
        // The server closes an idle connection after a quarter of a minute: none is kept as long.
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls.clone()).timeout(Duration::from_secs(20));
        let http = http.pool_idle_timeout(Duration::from_secs(5));
        let straight = reqwest::Client::builder().tls_backend_preconfigured(tls.clone());
        let straight = straight.redirect(reqwest::redirect::Policy::none()).timeout(Duration::from_secs(20));
        let straight = straight.pool_idle_timeout(Duration::from_secs(5)).build()?;
        let runtime = Arc::new(tokio::runtime::Builder::new_current_thread().enable_all().build()?);
        Ok(Self { runtime, http: http.build()?, straight, tls: Arc::new(tls), url, token: Some(token) })
    }

    /// The same client without a session.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The same client, calling from another address of this machine, such as 127.0.0.2.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn from_address(&self, address: std::net::IpAddr) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().tls_backend_preconfigured((*self.tls).clone());
        let http = http.timeout(Duration::from_secs(20)).local_address(address).build()?;
        Ok(Self { http, ..self.clone() })
    }

    /// The same client with another bearer token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// Sends a request; gives the status and the JSON of the answer (null for none).
    ///
    /// # Errors
    /// No answer came.
    pub fn send(&self, method: &str, path: &str, body: Vec<u8>) -> anyhow::Result<(u16, Value)> {
        self.send_with(method, path, body, &[])
    }

    /// The same with more headers.
    ///
    /// # Errors
    /// No answer came.
    pub fn send_with(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<(u16, Value)> {
        let mut request = self.http.request(Method::from_bytes(method.as_bytes())?, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(async {
            let answer = request.body(body).send().await?;
            let status = answer.status().as_u16();
            let body = answer.bytes().await?;
            plain::check_answer(&format!("{method} {path}"), status, &body);
            Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
        })
    }

    /// Sends a request to the console as a browser would: with the session's cookie if there is one, and with the headers that are given. Redirects are
    /// not followed.
    ///
    /// # Errors
    /// No answer came.
    pub fn console(
        &self,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> anyhow::Result<(u16, reqwest::header::HeaderMap, String)> {
        let mut request = self.straight.request(Method::from_bytes(method.as_bytes())?, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("cookie", format!("__Host-mdfm={token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method == "POST" {
            let mut url = reqwest::Url::parse("https://x/")?;
            url.query_pairs_mut().extend_pairs(form);
            let body = url.query().unwrap_or_default().to_owned();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        self.runtime.block_on(async {
            let answer = request.send().await?;
            let (status, headers, body) = (answer.status().as_u16(), answer.headers().clone(), answer.text().await?);
            plain::check_answer(path, status, body.as_bytes());
            Ok((status, headers, body))
        })
    }

    /// The token of the session, if there is one.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// Reads an answer with its headers.
    ///
    /// # Errors
    /// No answer came.
    pub fn raw(&self, path: &str) -> anyhow::Result<(u16, reqwest::header::HeaderMap, String)> {
        let request =
            self.http.get(format!("{}{path}", self.url)).bearer_auth(self.token.as_deref().unwrap_or_default());
        self.runtime.block_on(async {
            let answer = request.send().await?;
            let (status, headers, body) = (answer.status().as_u16(), answer.headers().clone(), answer.text().await?);
            plain::check_answer(path, status, body.as_bytes());
            Ok((status, headers, body))
        })
    }

    /// Sends any bytes over TLS, and gives what comes back until the other side ends or says nothing more for two seconds.
    ///
    /// # Errors
    /// No connection.
    pub fn speak(&self, bytes: &str) -> anyhow::Result<String> {
        self.speak_and_wait(bytes, Duration::from_secs(2))
    }

    /// The same with more patience.
    ///
    /// # Errors
    /// No connection.
    pub fn speak_and_wait(&self, bytes: &str, patience: Duration) -> anyhow::Result<String> {
        use std::io::{Read, Write};
        let address = self.url.trim_start_matches("https://").to_owned();
        let tcp = std::net::TcpStream::connect(&address)?;
        tcp.set_read_timeout(Some(patience))?;
        let name = ServerName::try_from("localhost")?;
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(&self.tls), name)?, tcp);
        stream.write_all(bytes.as_bytes())?;
        let (mut heard, mut piece) = (Vec::new(), [0; 4_096]);
        while let Ok(n) = stream.read(&mut piece) {
            heard.extend_from_slice(&piece[..n]);
            if n == 0 {
                break;
            }
        }
        let answer = String::from_utf8_lossy(&heard).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        if let Some((_, body)) = answer.split_once("\r\n\r\n") {
            plain::check_answer("an answer to raw bytes", status, body.as_bytes());
        }
        Ok(answer)
    }

    /// Sends a POST with an `Idempotency-Key` over a connection of its own, and cuts that `after` a while, without waiting for the answer.
    ///
    /// # Errors
    /// No connection.
    pub fn post_and_leave(&self, path: &str, key: &str, body: &str, after: Duration) -> anyhow::Result<()> {
        use std::io::Write;
        let tcp = std::net::TcpStream::connect(self.url.trim_start_matches("https://"))?;
        let name = ServerName::try_from("localhost")?;
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(&self.tls), name)?, tcp);
        let token = self.token.as_deref().unwrap_or_default();
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
        let rest = format!("Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all((head + &rest).as_bytes())?;
        stream.flush()?;
        std::thread::sleep(after);
        Ok(stream.sock.shutdown(std::net::Shutdown::Both)?)
    }

    /// The same, with the answer: status, body, and whether it is one that was given before.
    ///
    /// # Errors
    /// No answer came.
    pub fn post_again(&self, path: &str, key: &str, body: &str) -> anyhow::Result<(u16, String, bool)> {
        let request = self.http.post(format!("{}{path}", self.url)).header("Idempotency-Key", key);
        let request = request.bearer_auth(self.token.as_deref().unwrap_or_default()).body(body.to_owned());
        self.runtime.block_on(async {
            let answer = request.send().await?;
            let was_replayed = answer.headers().contains_key("idempotent-replayed");
            let (status, body) = (answer.status().as_u16(), answer.text().await?);
            plain::check_answer(path, status, body.as_bytes());
            Ok((status, body, was_replayed))
        })
    }

    /// Hears server-sent events until `take` says that it is enough, or the other side ends; gives all that was heard.
    ///
    /// # Errors
    /// The answer is none of events, or broke off.
    pub fn events(&self, path: &str, mut take: impl FnMut(&Value) -> bool) -> anyhow::Result<Vec<Value>> {
        let request = self.http.get(format!("{}{path}", self.url)).timeout(Duration::from_secs(60));
        let request = request.bearer_auth(self.token.as_deref().unwrap_or_default());
        let (mut heard, mut buffer) = (Vec::new(), Vec::new());
        let mut answer = self.runtime.block_on(async { request.send().await })?.error_for_status()?;
        while let Some(piece) = self.runtime.block_on(answer.chunk())? {
            buffer.extend_from_slice(&piece);
            while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                if let Some(data) = line.strip_prefix(b"data: ") {
                    let view: Value = serde_json::from_slice(data)?;
                    let is_enough = take(&view);
                    heard.push(view);
                    if is_enough {
                        return Ok(heard);
                    }
                }
            }
        }
        Ok(heard)
    }

    /// Reads what is no JSON.
    ///
    /// # Errors
    /// No answer came.
    pub fn text(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let mut request = self.http.get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        self.runtime.block_on(async {
            let answer = request.send().await?;
            let (status, body) = (answer.status().as_u16(), answer.text().await?);
            plain::check_answer(path, status, body.as_bytes());
            Ok((status, body))
        })
    }

    /// Reads an object with its tag.
    ///
    /// # Errors
    /// No answer came, or one without a tag.
    pub fn tagged(&self, path: &str) -> anyhow::Result<(String, Value)> {
        let (_, headers, body) = self.raw(path)?;
        let tag = headers.get("etag").context("a tag")?.to_str()?.to_owned();
        Ok((tag, serde_json::from_str(&body)?))
    }

    /// Sends JSON that counts only while its object has a tag.
    ///
    /// # Errors
    /// No answer came.
    pub fn json_if_match(&self, method: &str, path: &str, body: &Value, tag: &str) -> anyhow::Result<(u16, Value)> {
        self.send_with(method, path, body.to_string().into_bytes(), &[("If-Match", tag)])
    }

    /// Sends JSON.
    ///
    /// # Errors
    /// No answer came.
    pub fn json(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        self.send(method, path, body.to_string().into_bytes())
    }
}
