//! Somebody who has stolen the coordinator: its port, its TLS key, its online key and the key of its audit log. A small server
//! that speaks just enough MQTT and HTTP to tell an agent whatever it likes, and hears what the agent reports.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::digest::Digest;
use mdfm_shared::sign::Signed;
use mdfm_shared::telemetry::{Event, TelemetryBatch};
use mdfm_shared::tlog::Hash;
use mdfm_shared::wire::{self, Topic, mqtt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

const PACKET_BYTES_MAX: usize = 1 << 20;

/// Gives the consistency proof between two sizes of the log that the impostor shows.
pub type Consistency = Box<dyn Fn(u64, u64) -> Option<Vec<Hash>> + Send>;

#[derive(Default)]
struct Exchange {
    retained: BTreeMap<String, Vec<u8>>,
    images: BTreeMap<Digest, Vec<u8>>,
    consistency: Option<Consistency>,
    heard: Vec<Event>,
    /// How often an image was asked for.
    image_requests: usize,
}

/// The running server; it ends with its handle.
pub struct Impostor {
    exchange: Arc<Mutex<Exchange>>,
    messages: broadcast::Sender<(String, Vec<u8>)>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Impostor {
    /// Takes the coordinator's place at `port` with the keys of its data directory.
    ///
    /// # Errors
    /// The port is taken or the keys cannot be read.
    pub fn start(port: u16, data: &Path) -> anyhow::Result<Self> {
        let pem = |name: &str| std::fs::read(data.join(name)).with_context(|| format!("reading {name}"));
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem("ca.pem")?)?)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        let tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(&pem("server.pem")?)?],
                PrivateKeyDer::from_pem_slice(&pem("server.key")?)?,
            )?;
        let exchange = Arc::new(Mutex::new(Exchange::default()));
        let (messages, _) = broadcast::channel(64);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", port)))?;
        let (shared, sender) = (Arc::clone(&exchange), messages.clone());
        runtime.spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(tls));
            while let Ok((stream, _)) = listener.accept().await {
                let (exchange, messages, acceptor) = (Arc::clone(&shared), sender.subscribe(), acceptor.clone());
                tokio::spawn(async move {
                    // An agent that hangs up is an answer too.
                    let _ = serve(stream, acceptor, exchange, messages).await;
                });
            }
        });
        Ok(Self { exchange, messages, runtime: Some(runtime) })
    }

    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something on a topic, now and to everyone who subscribes later.
    pub fn say(&self, topic: &Topic, payload: Vec<u8>) {
        self.exchange().retained.insert(topic.to_string(), payload.clone());
        // Nobody may be connected yet.
        let _ = self.messages.send((topic.to_string(), payload));
    }

    /// Says something once, to those who are connected now.
    pub fn say_once(&self, topic: &Topic, payload: Vec<u8>) {
        // Nobody may be connected.
        let _ = self.messages.send((topic.to_string(), payload));
    }

    /// Serves these bytes as the image of that digest.
    pub fn serve_image(&self, sha256: Digest, bytes: Vec<u8>) {
        self.exchange().images.insert(sha256, bytes);
    }

    /// Answers questions about the log's growth so.
    pub fn prove(&self, consistency: Consistency) {
        self.exchange().consistency = Some(consistency);
    }

    /// Everything that agents have reported so far.
    pub fn heard(&self) -> Vec<Event> {
        self.exchange().heard.clone()
    }

    /// How often an image was asked for.
    pub fn image_requests(&self) -> usize {
        self.exchange().image_requests
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The port must be free when this returns: the real coordinator wants it back.
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    exchange: Arc<Mutex<Exchange>>,
    messages: broadcast::Receiver<(String, Vec<u8>)>,
) -> anyhow::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut buffer = vec![stream.read_u8().await?];
    if buffer[0] == 0x10 {
        speak_mqtt(stream, buffer, exchange, messages).await
    } else {
        speak_http(&mut stream, &mut buffer, &exchange).await
    }
}

async fn speak_mqtt(
    mut stream: TlsStream<TcpStream>,
    mut buffer: Vec<u8>,
    exchange: Arc<Mutex<Exchange>>,
    mut messages: broadcast::Receiver<(String, Vec<u8>)>,
) -> anyhow::Result<()> {
    loop {
        while let Some(header) = mqtt::header(&buffer, PACKET_BYTES_MAX)?.filter(|h| buffer.len() >= h.packet_bytes) {
            let rest = buffer.split_off(header.packet_bytes);
            let packet = std::mem::replace(&mut buffer, rest);
            let answers = answer(&packet, &header, &exchange)?;
            for bytes in answers {
                stream.write_all(&bytes).await?;
            }
            stream.flush().await?;
        }
        tokio::select! {
            read = stream.read_buf(&mut buffer) => if read? == 0 { return Ok(()) },
            message = messages.recv() => {
                let (topic, payload) = message?;
                stream.write_all(&mqtt::publish(&topic, &payload)).await?;
                stream.flush().await?;
            }
        }
    }
}

fn answer(packet: &[u8], header: &mqtt::Header, exchange: &Mutex<Exchange>) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut exchange = exchange.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(match header.kind {
        mqtt::Kind::Connect => vec![mqtt::CONNACK.to_vec()],
        mqtt::Kind::Subscribe => {
            let filters = mqtt::subscribe_filters(packet, header)?;
            let mut answers = vec![mqtt::suback(mqtt::packet_id(packet, header)?, &vec![1; filters.len()])];
            for filter in filters {
                let prefix = filter.strip_suffix('+');
                let matching =
                    exchange.retained.iter().filter(|(t, _)| *t == filter || prefix.is_some_and(|p| t.starts_with(p)));
                answers.extend(matching.map(|(topic, payload)| mqtt::publish(topic, payload)));
            }
            answers
        }
        mqtt::Kind::Publish => {
            let publish = mqtt::Publish::parse(packet, header)?;
            if let Some(Topic::Telemetry(_)) = Topic::parse(publish.topic) {
                let batch: Signed<TelemetryBatch> = wire::decode(publish.payload)?;
                exchange.heard.extend(batch.decode_unverified()?.events);
            }
            publish.packet_id.map(|id| mqtt::puback(id).to_vec()).into_iter().collect()
        }
        // Of what is harmless only a ping (type 12) wants an answer.
        mqtt::Kind::Empty if packet[0] >> 4 == 12 => vec![mqtt::PINGRESP.to_vec()],
        mqtt::Kind::Empty | mqtt::Kind::Answer | mqtt::Kind::Unsubscribe => Vec::new(),
    })
}

async fn speak_http(
    stream: &mut TlsStream<TcpStream>,
    buffer: &mut Vec<u8>,
    exchange: &Mutex<Exchange>,
) -> anyhow::Result<()> {
    while !buffer.windows(4).any(|w| w == b"\r\n\r\n") {
        if stream.read_buf(buffer).await? == 0 || buffer.len() > 16 * 1024 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(buffer).into_owned();
    let target = head.split(' ').nth(1).context("a request line")?.to_owned();
    let body = {
        let mut exchange = exchange.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = target.strip_prefix("/agent/v1/images/") {
            exchange.image_requests += 1;
            exchange.images.get(&digest.parse::<Digest>()?).cloned()
        } else if let Some(query) = target.strip_prefix("/agent/v1/log/consistency?old=") {
            let (old, new) = query.split_once("&new=").context("two sizes")?;
            let proof = exchange.consistency.as_ref().and_then(|prove| prove(old.parse().ok()?, new.parse().ok()?));
            proof.map(|hashes| {
                let hashes: Vec<String> = hashes.iter().map(|h| STANDARD.encode(h)).collect();
                serde_json::json!({ "hashes": hashes }).to_string().into_bytes()
            })
        } else {
            None
        }
    };
    let (status, body) = body.map_or(("404 Not Found", Vec::new()), |b| ("200 OK", b));
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await?;
    Ok(())
}
