//! Security events of the audit log for the operator's own monitoring: syslog messages (RFC 5424) over TLS (RFC 5425). The place in the log is
//! kept, so that nothing is passed over while the receiver is away; the protocol acknowledges nothing, so that the last messages before a broken
//! connection may be lost there. They stand in the log.

mod message;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mdfm_audit::LogError;
use mdfm_shared::record::AuditRecord;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::cursor::Cursor;
use crate::runner::Runner;
use mdfm_coordinator_core::expiry::ExpiryKind;

/// Time between looks at the log.
const INTERVAL: Duration = Duration::from_millis(500);
/// Pause before a receiver that is away is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Longest wait for the receiver.
const PATIENCE: Duration = Duration::from_secs(10);
/// Records read at once.
const RECORDS_AT_ONCE: u64 = 1_000;
const CURSOR: &str = "syslog.cursor";

/// The receiver.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyslogConfig {
    /// Its name, as its certificate has it.
    pub(crate) host: String,
    #[serde(default = "registered_port")]
    pub(crate) port: u16,
    /// Certificate of the authority that its certificate is from.
    pub(crate) ca_file: PathBuf,
    /// Certificate and key by which it knows this coordinator, where it asks for one (RFC 5425 §4.2.1).
    #[serde(default)]
    pub(crate) certificate_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) key_file: Option<PathBuf>,
}

/// The port of syslog over TLS (RFC 5425 §4.1).
fn registered_port() -> u16 {
    6_514
}

struct Sender {
    config: SyslogConfig,
    tls: TlsConnector,
    runner: Runner,
    cursor: Cursor,
    /// How this coordinator calls itself.
    host: String,
}

type OwnCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificate that is shown to the receiver, with its key.
fn own_certificate(config: &SyslogConfig) -> anyhow::Result<Option<OwnCertificate>> {
    match (&config.certificate_file, &config.key_file) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            let pem = mdfm_service::read_input(certificate, mdfm_service::INPUT_BYTES_MAX)
                .context("syslog.certificate_file")?;
            let chain: Vec<_> =
                CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().context("syslog.certificate_file")?;
            let key = PrivateKeyDer::from_pem_slice(mdfm_service::read_secret(key)?.as_bytes())
                .context("syslog.key_file is no key")?;
            Ok(Some((chain, key)))
        }
        _ => anyhow::bail!("syslog.certificate_file and syslog.key_file belong together; give both or none"),
    }
}

/// Starts telling; without a receiver there is nothing to do.
pub(crate) fn start(
    config: Option<&SyslogConfig>,
    runner: Runner,
    data: &Path,
    public_url: &str,
) -> anyhow::Result<()> {
    let Some(config) = config else { return Ok(()) };
    let pem = mdfm_service::read_input(&config.ca_file, mdfm_service::INPUT_BYTES_MAX).context("syslog.ca_file")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).context("syslog.ca_file is no certificate")?)?;
    // Receivers are bought; not every one of them speaks TLS 1.3.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(roots);
    let tls = match own_certificate(config)? {
        Some((chain, key)) => {
            tls.with_client_auth_cert(chain, key).context("syslog.key_file does not fit syslog.certificate_file")?
        }
        None => tls.with_no_client_auth(),
    };
    let host = public_url.trim_start_matches("https://").split([':', '/']).next().unwrap_or_default().to_owned();
    let tls = TlsConnector::from(Arc::new(tls));
    let (cursor, mut next) = Cursor::open(data.join(CURSOR), runner.log.size())?;
    let sender = Sender { config: config.clone(), tls, runner, cursor, host };
    sender.runner.presence().calls(ExpiryKind::SyslogCertificate, &sender.label());
    tokio::spawn(async move {
        loop {
            if let Err(error) = sender.tell(&mut next).await {
                let to = sender.label();
                tracing::warn!(to, error = format!("{error:#}"), "security events wait: the syslog receiver is away");
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    });
    Ok(())
}

impl Sender {
    /// The receiver's name and port.
    fn label(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }

    async fn connect(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(self.config.host.clone()).context("syslog.host is no name")?;
        let tcp = TcpStream::connect((self.config.host.as_str(), self.config.port)).await?;
        let stream = self.tls.connect(name, tcp).await?;
        if let Some(der) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) {
            self.runner.note_certificate(ExpiryKind::SyslogCertificate, &self.label(), der);
        }
        Ok(stream)
    }

    /// Tells what is new until the connection breaks.
    async fn tell(&self, next: &mut u64) -> anyhow::Result<()> {
        let mut stream = tokio::time::timeout(PATIENCE, self.connect()).await.context("no answer in time")??;
        loop {
            let (from, to) = (*next, self.runner.log.size().min(*next + RECORDS_AT_ONCE));
            if from < to {
                let messages = tokio::task::block_in_place(|| self.read(from, to))?;
                if !messages.is_empty() {
                    let sending = async {
                        stream.write_all(messages.as_bytes()).await?;
                        stream.flush().await
                    };
                    tokio::time::timeout(PATIENCE, sending).await.context("it takes nothing")??;
                }
                self.cursor.keep(to)?;
                *next = to;
                continue;
            }
            // Nothing is ever said from there, but that it hangs up is heard so.
            let mut one = [0];
            let heard = tokio::time::timeout(INTERVAL, tokio::io::AsyncReadExt::read(&mut stream, &mut one)).await;
            if let Ok(Ok(0) | Err(_)) = heard {
                anyhow::bail!("the connection ended");
            }
        }
    }

    /// Messages of the entries, each with its length before it (RFC 5425 §4.3.1).
    fn read(&self, from: u64, to: u64) -> anyhow::Result<String> {
        let mut all = String::new();
        self.runner.log.each(from, to, |index, entry| -> Result<(), LogError> {
            let record = entry.and_then(|e| AuditRecord::from_bytes(e).ok());
            if let Some(message) = record.and_then(|record| message::of(index, &record, &self.host)) {
                all.push_str(&format!("{} {message}", message.len()));
            }
            Ok(())
        })?;
        Ok(all)
    }
}
