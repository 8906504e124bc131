//! A witness of audit logs (C2SP tlog-witness): it cosigns a checkpoint only when that continues every one it has seen. Run it on
//! a host, and by people, that have nothing to do with the log's.

mod ledger;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::{CommandFactory, Parser, Subcommand};
use mdfm_service::command_line::{Examples, described};
use mdfm_service::{
    ConnectionLimits, Connections, Exit, Held, INPUT_BYTES_MAX, Lines, Paced, RateOf, Stage, Stop, atomic_write,
};
use mdfm_shared::json;
use mdfm_shared::sign::SecretKey;
use mdfm_shared::tlog::{Cosigner, NoteKey};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use ledger::{Ledger, Refused, Request};

/// Bytes of one request: a checkpoint and 63 hashes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Connections served at once.
const CONNECTIONS_MAX: usize = 256;
/// Of them, those that were let in and not answered yet; above it one is closed that has come least far, so that silence keeps nobody out.
const WAITING_MAX: usize = 192;
/// Connections of one network at once, and new ones a second: a log needs one every ten seconds.
const CONNECTIONS_PER_NETWORK_MAX: usize = 16;
const CONNECTIONS_PER_NETWORK_PER_SECOND: u64 = 4;
/// Longest life of one connection.
const CONNECTION_LIFE: Duration = Duration::from_secs(30);
/// From the connection to the end of the TLS handshake, and for the head of a request.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the peer to take what is sent.
const STANDSTILL: Duration = Duration::from_secs(10);
/// Bytes buffered for one connection, and header fields of one request.
const BUFFER_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 32;

/// The witness of the Medical Device Firmware Manager's audit log.
#[derive(Debug, Parser)]
#[command(name = "mdfm-witness", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a key and prints its verifier key, which the vendor puts into the trust root.
    Init {
        /// The directory to make.
        #[arg(long)]
        data: PathBuf,
        /// The witness's name, best a host name of yours with a path.
        #[arg(long, value_parser = mdfm_service::command_line::note_name)]
        name: String,
    },
    /// Runs the witness.
    Serve {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Only check the configuration.
        #[arg(long)]
        check_config: bool,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Directory with the key and what was seen.
    data_dir: PathBuf,
    /// Where it listens; other hosts are let in over TLS only.
    listen: SocketAddr,
    /// Certificate chain and key, PEM.
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    /// Verifier keys of the logs that it watches.
    logs: Vec<String>,
}

#[derive(Clone)]
struct Witness {
    cosigner: Arc<Cosigner>,
    /// One at a time: check and keep are one step.
    ledger: Arc<Mutex<Ledger>>,
    /// Journal lines about refused checkpoints: anybody who can connect causes them.
    refused: Arc<Mutex<Lines>>,
}

/// An example of each command.
const EXAMPLES: &Examples = &[
    ("init", "init --data /var/lib/mdfm-witness --name witness.example/w1"),
    ("serve", "serve --config /etc/mdfm/witness.toml --check-config"),
];

/// The command line, with an example of each command.
pub fn command() -> clap::Command {
    described(Arguments::command(), EXAMPLES)
}

/// Runs one invocation of the program.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    mdfm_service::start_logging("")?;
    match arguments.command {
        Action::Init { data, name } => init(&data, &name),
        Action::Serve { config, check_config } => {
            let path = config;
            let config = load(&path)?;
            // Before anything is read from it: otherwise a missing directory is reported as a missing key.
            mdfm_service::check_directory("data_dir", &config.data_dir)?;
            let cosigner = cosigner(&config.data_dir)?;
            let tls = tls(&config)?;
            if check_config {
                tracing::info!("the configuration is valid");
                return Ok(());
            }
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(config, cosigner, tls))
        }
    }
}

fn load(path: &Path) -> anyhow::Result<Config> {
    let text = mdfm_service::read_input_text(path, INPUT_BYTES_MAX)?;
    let config: Config = toml::from_str(json::text_without_mark(&text))
        .map_err(|e| Stop::new(Exit::Config, format!("{}: {e}", path.display())))?;
    if config.logs.is_empty() {
        return Err(Stop::new(Exit::Config, "logs: name the verifier key of at least one log".to_owned()).into());
    }
    if config.certificate_file.is_none() && !config.listen.ip().is_loopback() {
        let message = "certificate_file and key_file are needed to listen for other hosts".to_owned();
        return Err(Stop::new(Exit::Config, message).into());
    }
    Ok(config)
}

fn init(data: &Path, name: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    mdfm_service::check_directory("--data", data)?;
    if data.join("witness.key").exists() {
        bail!("{} has a key already; nothing was changed", data.display());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    let secret = SecretKey::from_seed(seed);
    let vkey = Cosigner::new(name, secret.clone())?.key().to_vkey();
    atomic_write(&data.join("witness.name"), name.as_bytes())?;
    atomic_write(&data.join("witness.vkey"), vkey.as_bytes())?;
    atomic_write(&data.join("witness.key"), secret.to_secret_text().as_bytes())?;
    mdfm_service::output::line(vkey);
    Ok(())
}

fn cosigner(data: &Path) -> anyhow::Result<Cosigner> {
    let name = std::fs::read_to_string(data.join("witness.name"))
        .with_context(|| format!("{}: was mdfm-witness init run on this directory?", data.display()))?;
    let secret = mdfm_service::read_secret(&data.join("witness.key"))?;
    Ok(Cosigner::new(json::text_without_mark(&name).trim(), SecretKey::from_secret_text(&secret)?)?)
}

fn tls(config: &Config) -> anyhow::Result<Option<TlsAcceptor>> {
    let (Some(certificate), Some(key)) = (&config.certificate_file, &config.key_file) else { return Ok(None) };
    let chain = CertificateDer::pem_slice_iter(&mdfm_service::read_input(certificate, INPUT_BYTES_MAX)?)
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("certificate_file {}", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_slice(mdfm_service::read_secret(key)?.as_bytes())
        .with_context(|| format!("key_file {}", key.display()))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&tokio_rustls::rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

async fn serve(config: Config, cosigner: Cosigner, tls: Option<TlsAcceptor>) -> anyhow::Result<()> {
    let lock = mdfm_service::open_lock(&config.data_dir.join("lock"))?;
    let _lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusiveNonblock)
        .map_err(|(_, e)| anyhow::anyhow!("{} is in use by another witness ({e})", config.data_dir.display()))?;
    let logs = config.logs.iter().map(|k| NoteKey::parse(k).with_context(|| format!("logs: {k}")));
    let ledger = Ledger::open(&config.data_dir.join("seen"), logs.collect::<anyhow::Result<_>>()?)?;
    let ledger = Arc::new(Mutex::new(ledger));
    let witness = Witness { cosigner: Arc::new(cosigner), ledger, refused: Arc::default() };
    let router = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/vkey", get(vkey))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(witness);
    let listener = mdfm_service::listen(config.listen).with_context(|| format!("listening on {}", config.listen))?;
    tracing::info!(listen = %listener.local_addr()?, tls = tls.is_some(), "witnessing");
    mdfm_service::ready();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = accept(listener, router, tls) => {}
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    mdfm_service::stopping();
    Ok(())
}

type Open = Arc<Mutex<Connections<Arc<Notify>>>>;

fn open(connections: &Open) -> MutexGuard<'_, Connections<Arc<Notify>>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection's place; free again when it ends.
struct Place {
    connections: Open,
    held: Mutex<Held>,
}

impl Place {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reached(&self, stage: Stage) {
        open(&self.connections).reached(&mut self.held(), stage);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        open(&self.connections).leave(&self.held());
    }
}

/// Accepts connections with the limits of the coordinator's front door: by network first, before TLS costs anything.
async fn accept(listener: TcpListener, router: Router, tls: Option<TlsAcceptor>) {
    let limits = ConnectionLimits {
        open_max: CONNECTIONS_PER_NETWORK_MAX,
        strangers_max: CONNECTIONS_PER_NETWORK_MAX,
        per_second: CONNECTIONS_PER_NETWORK_PER_SECOND,
        rate_of: RateOf::Network,
        all_strangers_max: WAITING_MAX,
        all_people_max: 0,
    };
    let connections: Open = Arc::new(Mutex::new(Connections::new(limits)));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut unaccepted = Lines::default();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(left_out) = unaccepted.next(Instant::now()) {
                    tracing::warn!(%error, left_out, "a connection could not be accepted");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&places).try_acquire_owned() else { continue };
        let evicted = Arc::new(Notify::new());
        let entered = open(&connections).enter(Instant::now(), address.ip(), Arc::clone(&evicted));
        let (held, oldest) = match entered {
            Ok(entered) => entered,
            Err(refused) => {
                tracing::debug!(%address, ?refused, "connection refused");
                continue;
            }
        };
        oldest.iter().for_each(|oldest| oldest.notify_one());
        let place = Arc::new(Place { connections: Arc::clone(&connections), held: Mutex::new(held) });
        let (router, tls) = (router.clone(), tls.clone());
        tokio::spawn(async move {
            let _held = (permit, Arc::clone(&place));
            tokio::select! {
                _ = timeout(CONNECTION_LIFE, serve_one(stream, router, tls, place)) => {}
                () = evicted.notified() => {}
            }
        });
    }
}

async fn serve_one(stream: TcpStream, router: Router, tls: Option<TlsAcceptor>, place: Arc<Place>) {
    // One time for the first byte and the handshake: whoever is slow at the one has less for the other.
    let by = tokio::time::Instant::now() + HANDSHAKE_TIMEOUT;
    if !matches!(timeout_at(by, stream.peek(&mut [0])).await, Ok(Ok(_))) {
        tracing::debug!("not a byte in time");
        return;
    }
    place.reached(Stage::Shaking);
    match tls {
        Some(tls) => match timeout_at(by, tls.accept(stream)).await {
            Ok(Ok(stream)) => converse(stream, router, place).await,
            Ok(Err(error)) => tracing::debug!(%error, "handshake failed"),
            Err(_) => tracing::debug!("no handshake in time"),
        },
        None => converse(stream, router, place).await,
    }
}

async fn converse<S>(stream: S, router: Router, place: Arc<Place>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    use hyper::service::Service as _;
    place.reached(Stage::Idle);
    let answering = hyper_util::service::TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        place.reached(Stage::Asking);
        answering.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        // One request a connection: the limit of connections is the limit of requests.
        .keep_alive(false)
        .serve_connection(hyper_util::rt::TokioIo::new(Paced::new(stream, STANDSTILL)), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn vkey(State(witness): State<Witness>) -> String {
    witness.cosigner.key().to_vkey()
}

async fn add_checkpoint(State(witness): State<Witness>, body: String) -> Response {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let refused_lines = Arc::clone(&witness.refused);
    let work = move || {
        let mut ledger = witness.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.add(&witness.cosigner, seconds, &Request::parse(&body)?)
    };
    let answer = tokio::task::spawn_blocking(work).await;
    match answer {
        Ok(Ok(line)) => (StatusCode::OK, line).into_response(),
        Ok(Err(Refused::Size(held))) => {
            (StatusCode::CONFLICT, [(header::CONTENT_TYPE, "text/x.tlog.size")], format!("{held}\n")).into_response()
        }
        Ok(Err(refused)) => {
            let line = refused_lines.lock().unwrap_or_else(PoisonError::into_inner).next(Instant::now());
            if let Some(left_out) = line {
                tracing::warn!(%refused, left_out, "checkpoint refused");
            }
            let status = match &refused {
                Refused::Malformed(_) => StatusCode::BAD_REQUEST,
                Refused::Signature => StatusCode::FORBIDDEN,
                Refused::UnknownLog => StatusCode::NOT_FOUND,
                Refused::Inconsistent(_) => StatusCode::UNPROCESSABLE_ENTITY,
                Refused::Size(_) | Refused::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, format!("{refused}\n")).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
