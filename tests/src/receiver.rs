//! A receiver of what the coordinator posts elsewhere, as somebody else would write one: HTTPS, one call a connection, and every call is kept as it came.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Headers, their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// The receiver; it ends with the test's process.
#[derive(Debug)]
pub struct Receiver {
    calls: Arc<Mutex<Vec<Call>>>,
    status: Arc<AtomicU16>,
}

impl Receiver {
    /// Answers on a listener with the certificate `server.pem` of a directory.
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub fn start(listener: TcpListener, dir: &Path) -> anyhow::Result<Self> {
        let pem = |file: &str| std::fs::read(dir.join(file));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(&pem("server.pem")?)?],
                PrivateKeyDer::from_pem_slice(&pem("server.key")?)?,
            )?;
        let config = Arc::new(config);
        let (calls, status) = (Arc::<Mutex<Vec<Call>>>::default(), Arc::new(AtomicU16::new(204)));
        let (kept, answer) = (Arc::clone(&calls), Arc::clone(&status));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Ok(connection) = ServerConnection::new(Arc::clone(&config)) else { continue };
                let mut stream = StreamOwned::new(connection, stream);
                if let Ok(call) = hear(&mut stream) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(call);
                    let status = answer.load(Ordering::Relaxed);
                    // Who has hung up is not told.
                    let _ = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        Ok(Self { calls, status })
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn hear(stream: &mut impl Read) -> std::io::Result<Call> {
    let mut reader = BufReader::new(stream);
    let (mut headers, mut line) = (BTreeMap::new(), String::new());
    reader.read_line(&mut line)?;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Call { headers, body })
}
