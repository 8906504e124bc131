//! One connection, owned by one thread: no pool, no cancelled statement, and every warning is seen.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Longest time for a connection to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// Sent data that is not acknowledged for so long ends a connection.
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
const KEEP_ALIVES: u32 = 3;

/// Why PostgreSQL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// The connection string.
    #[error("the connection string of PostgreSQL is not valid")]
    Url(#[source] tokio_postgres::Error),
    /// The server, or the way to it.
    #[error("PostgreSQL cannot be reached or refused a statement")]
    Server(#[from] tokio_postgres::Error),
    /// The certificates.
    #[error("TLS to PostgreSQL cannot be set up: {0}")]
    Tls(String),
    /// The runtime.
    #[error("the connection to PostgreSQL cannot be driven")]
    Io(#[from] io::Error),
    /// Too slow.
    #[error("PostgreSQL did not answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// A connection without TLS to another machine.
    #[error("PostgreSQL on {0:?} is another machine: TLS is needed, set `ca_file`")]
    NoTls(String),
    /// What was acknowledged could be lost.
    #[error("what PostgreSQL acknowledges could be lost: {0}")]
    NotDurable(String),
    /// Something between here and the server.
    #[error("{0}")]
    Pooled(String),
    /// The tables.
    #[error("{0}")]
    Schema(String),
    /// Another coordinator may lead.
    #[error("this coordinator does not lead")]
    NotLeading,
}

/// How a server is known to be the right one.
#[derive(Clone)]
pub enum Tls {
    /// Not at all: for a socket or an address of this machine.
    Loopback,
    /// By certificates of these authorities.
    Authorities(Vec<CertificateDer<'static>>),
}

impl Tls {
    fn connector(authorities: &[CertificateDer<'static>]) -> Result<MakeRustlsConnect, PgError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(|error| PgError::Tls(error.to_string()))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| PgError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

/// The host that is neither this machine nor a socket, if one is named.
fn foreign_host(config: &Config) -> Option<String> {
    let is_own = |host: &str| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let named = config.get_hosts().iter().find_map(|host| match host {
        Host::Tcp(host) if !is_own(host) => Some(host.clone()),
        Host::Tcp(_) => None,
        Host::Unix(_) => None,
    });
    named.or_else(|| config.get_hostaddrs().iter().find(|ip| !ip.is_loopback()).map(ToString::to_string))
}

/// The connection and what it was warned of.
pub(crate) struct Connection {
    runtime: Runtime,
    client: Client,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Connection {
    /// Connects to whichever of the named servers takes writes.
    pub(crate) fn open(url: &str, tls: &Tls, name: &str) -> Result<Self, PgError> {
        let mut config: Config = url.parse().map_err(PgError::Url)?;
        config
            .application_name(name)
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(CONNECT)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .keepalives(true)
            .keepalives_idle(KEEP_ALIVE)
            .keepalives_interval(KEEP_ALIVE)
            .keepalives_retries(KEEP_ALIVES)
            // A statement that is cancelled while it waits for a standby is answered as if it were durable: nothing here cancels one.
            .options("-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=2000 -c synchronous_commit=on");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let warnings = Arc::<Mutex<Vec<String>>>::default();
        let client = match tls {
            Tls::Loopback => match foreign_host(&config) {
                Some(host) => return Err(PgError::NoTls(host)),
                None => runtime.block_on(drive(&config, NoTls, Arc::clone(&warnings)))?,
            },
            Tls::Authorities(authorities) => {
                config.ssl_mode(SslMode::Require);
                runtime.block_on(drive(&config, Tls::connector(authorities)?, Arc::clone(&warnings)))?
            }
        };
        Ok(Self { runtime, client, warnings })
    }

    /// Lets the server do something within a time. After an error the connection is not used again.
    pub(crate) fn ask<T>(
        &self,
        within: Duration,
        ask: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, PgError> {
        let answer = self.runtime.block_on(async { timeout(within, ask(&self.client)).await });
        Ok(answer.map_err(|_| PgError::Slow(within))??)
    }

    /// What the server warned of since this was asked last.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Connects, and lets the connection's messages be read for as long as the runtime runs: a warning comes before the answer that it is about.
async fn drive<T>(config: &Config, tls: T, warnings: Arc<Mutex<Vec<String>>>) -> Result<Client, PgError>
where
    T: MakeTlsConnect<Socket, Stream: Send + 'static>,
{
    let connected = timeout(CONNECT, config.connect(tls)).await.map_err(|_| PgError::Slow(CONNECT))?;
    let (client, mut connection) = connected?;
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notice(notice)) if matches!(notice.severity(), "WARNING") => {
                    tracing::warn!(code = notice.code().code(), "PostgreSQL warns: {}", notice.message());
                    let said = format!("{}: {}", notice.code().code(), notice.message());
                    warnings.lock().unwrap_or_else(PoisonError::into_inner).push(said);
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    });
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_reached_by_tls_alone() {
        let host = |url: &str| foreign_host(&url.parse().expect("a connection string"));
        assert_eq!(host("host=127.0.0.1 user=a"), None);
        assert_eq!(host("postgres://a@[::1]:5432/b"), None);
        assert_eq!(host("host=/var/run/postgresql"), None);
        assert_eq!(host("host=localhost,db-2 user=a"), Some("db-2".to_owned()));
        assert_eq!(host("host=localhost hostaddr=10.0.0.1"), Some("10.0.0.1".to_owned()));
        let refused = Connection::open("host=db.example user=a", &Tls::Loopback, "t").err().expect("refused");
        assert!(refused.to_string().contains("ca_file"), "{refused}");
    }
}
