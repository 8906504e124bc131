//! Puts the parts together: `init` makes a data directory, `serve` runs on one.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{CommandFactory, Parser, Subcommand};
use mdfm_audit::{AuditLog, Options, SearchIndex};
use mdfm_service::command_line::{Examples, described, note_name};
use mdfm_service::{Exit, LogLevel, Stop, Watchdog, atomic_write};
use mdfm_shared::id::UserId;
use mdfm_shared::record::{AuditRecord, Outcome};
use mdfm_shared::sign::SecretKey;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::NoteSigner;
use tokio::sync::{mpsc, watch};

use crate::access::{Breached, Idle, LoginGuard, MarkKey, Moment, Oidc, OidcConfig, RequestRates, hash_password};
use crate::api::{self, Api, FleetRoom, Requests};
use crate::broker::{self, BrokerAccess, DoorCounts, DoorLimits, FrontDoor, GatewayLimits, Login, Tls};
use crate::config::{Config, ConsoleConfig, DEFAULT_TOML, ExternalBroker};
use crate::outward::Outward;
use crate::pki::{self, Pem};
use crate::runner::{self, Outlets, Runner};
use crate::store::{CredentialStore, ImageKey, ImageStore, ReadModel};
use crate::{backup, disposal, keeper, public_files, scrub, witness};
use crate::{clock, fleet_link, notify, quickstart, syslog, traces};
use mdfm_coordinator_core::access::AccessRole;
use mdfm_coordinator_core::desk::system;
use mdfm_coordinator_core::engine;
use mdfm_coordinator_core::expiry::{Expiry, ExpiryKind};
use mdfm_coordinator_core::{Command, State};

/// The certificate of the port of browsers, as notices name it.
const CONSOLE_CERTIFICATE: &str = "certificate/console";
/// Longest time between looks at the deciding thread's progress.
const WATCH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);

/// Time between looks of a standby at the data directory's lock.
const STANDBY_INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);

/// Time between looks of the search index at the log.
const FOLLOW_INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);

/// Time between looks for a newer checkpoint to publish as static files.
const PUBLISH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

/// The coordinator of the Medical Device Firmware Manager.
#[derive(Debug, Parser)]
#[command(name = "mdfm-coordinator", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a data directory: keys, certificates, an empty audit log and the first administrator.
    Init {
        /// The directory to make.
        #[arg(long)]
        data: PathBuf,
        /// DNS names and addresses of the server certificate; once for each.
        #[arg(long = "dns-name", alias = "name", required = true, value_parser = pki::server_name)]
        names: Vec<String>,
        /// Name of the audit log, best a host name of yours with a path.
        #[arg(long, default_value = "mdfm.local/log", value_parser = note_name)]
        log_origin: String,
        /// User id of the first administrator.
        #[arg(long, default_value = "admin")]
        admin: String,
        /// File with the administrator's password in its first line; without it a random one is made, in `first-password-of-` and the user id,
        /// in the data directory.
        #[arg(long)]
        admin_password_file: Option<PathBuf>,
        /// A trial installation: the first record of its log, every answer and every report say so, for ever.
        #[arg(long)]
        trial: bool,
    },
    /// Runs the coordinator.
    Serve {
        /// Configuration file.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Only check the configuration.
        #[arg(long)]
        check_config: bool,
        /// Wait while another coordinator serves the data directory, and take over when it ends.
        #[arg(long)]
        standby: bool,
    },
    /// Copies a data directory, also while the coordinator runs on it, and verifies the copy. It holds the keys: keep it as safe.
    Backup {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The directory to make.
        #[arg(long)]
        out: PathBuf,
    },
    /// Verifies a backup and makes a data directory of it.
    Restore {
        /// The backup.
        #[arg(long, alias = "from", value_name = "DIR")]
        backup: PathBuf,
        /// The data directory to make.
        #[arg(long)]
        data: PathBuf,
    },
    /// Makes a new server certificate, also while the coordinator runs; it takes it up when it is reloaded (SIGHUP).
    RenewCertificate {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// DNS names and addresses of the server certificate; once for each.
        #[arg(long = "dns-name", alias = "name", required = true, value_parser = pki::server_name)]
        names: Vec<String>,
    },
    /// Writes the public files of a data directory for others to read: the server's authority, the coordinator's public key, the audit log's
    /// verifier key.
    Public {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The directory to make, or one that is there.
        #[arg(long)]
        out: PathBuf,
    },
    /// Makes a trial installation in one directory and runs it: a coordinator, a hospital with a gateway and a simulated device, people with
    /// their keys, and a release to approve. Ctrl-C stops it; called again it starts again. Not for patients.
    Quickstart(quickstart::Options),
    /// Prints the commented default configuration.
    DefaultConfig,
}

/// An example of each command.
const EXAMPLES: &Examples = &[
    (
        "init",
        "init --data /var/lib/mdfm-coordinator --dns-name coordinator.example --admin-password-file admin.password",
    ),
    ("serve", "serve --config /etc/mdfm/coordinator.toml --check-config"),
    ("backup", "backup --data /var/lib/mdfm-coordinator --out /srv/backup/2026-11-29"),
    ("restore", "restore --backup /srv/backup/2026-11-29 --data /var/lib/mdfm-coordinator"),
    ("renew-certificate", "renew-certificate --data /var/lib/mdfm-coordinator --dns-name coordinator.example"),
    ("public", "public --data /var/lib/mdfm-coordinator --out /srv/mdfm-public"),
    ("quickstart", "quickstart --dir mdfm-trial"),
    ("default-config", "default-config"),
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
    let level = mdfm_service::start_logging("rumqttd=error,")?;
    match arguments.command {
        Action::Init { data, names, log_origin, admin, admin_password_file, trial } => {
            init(&data, &names, &log_origin, &admin, admin_password_file.as_deref(), trial)
        }
        Action::Quickstart(options) => quickstart::run(&options),
        Action::Serve { config, check_config, standby } => {
            let path = config;
            let config = Config::load(path.as_deref())?;
            level.set(&config.log_level).map_err(|e| Stop::new(Exit::Config, format!("log_level: {e}")))?;
            if check_config {
                tracing::info!("the configuration is valid");
                return Ok(());
            }
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(serve(config, path, level, standby))
        }
        Action::Backup { data, out } => {
            let verified = backup::back_up(&data, &out)?;
            tracing::info!(entries = verified.entries, root = verified.root, out = %out.display(), "backed up and verified");
            Ok(())
        }
        Action::Restore { backup: from, data } => {
            let verified = backup::restore(&from, &data)?;
            tracing::info!(entries = verified.entries, root = verified.root, data = %data.display(), "restored");
            tracing::warn!("gateways that saw a longer log refuse this one; see docs/audit.md before you serve");
            Ok(())
        }
        Action::RenewCertificate { data, names } => renew(&data, &names),
        Action::Public { data, out } => {
            for (file, purpose) in public_files::hand_out(&data, &out)? {
                mdfm_service::output::prose(format_args!("{}: {purpose}", file.display()));
            }
            Ok(())
        }
        Action::DefaultConfig => {
            mdfm_service::output::constant(DEFAULT_TOML);
            Ok(())
        }
    }
}

/// Keeps a password verifier of nobody's.
fn keep_decoy(credentials: &CredentialStore) -> anyhow::Result<()> {
    let mut password = [0; 16];
    getrandom::fill(&mut password).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    Ok(credentials.keep_decoy(&hash_password(&hex::encode(password))?)?)
}

/// A password of 144 random bits.
fn random_password() -> anyhow::Result<String> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn fresh_key() -> anyhow::Result<SecretKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    Ok(SecretKey::from_seed(seed))
}

fn init(
    data: &Path,
    names: &[String],
    log_origin: &str,
    admin: &str,
    password_file: Option<&Path>,
    trial: bool,
) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if data.join("log").exists() {
        bail!("{} is a data directory already; nothing was changed", data.display());
    }
    let admin: UserId = admin.parse()?;
    let password = match password_file {
        Some(file) => mdfm_service::read_secret(file).context("reading the administrator's password")?,
        None => random_password()?,
    };
    let password_hash = hash_password(password.lines().next().unwrap_or_default())?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data)?;
    let authority = pki::make_authority(&format!("{log_origin} gateway authority"))?;
    let server = pki::make_server(&authority, names)?;
    let (online, log) = (fresh_key()?, fresh_key()?);
    let signer = NoteSigner::new(log_origin, log.clone())?;
    let image_key = ImageKey::fresh_text().map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    for (file, text) in [
        ("ca.pem", &authority.certificate),
        ("ca.key", &authority.key),
        ("server.pem", &server.certificate),
        ("server.key", &server.key),
        ("online.key", &online.to_secret_text()),
        ("log.key", &log.to_secret_text()),
        ("log.origin", &log_origin.to_owned()),
        ("online.pub", &online.public().to_string()),
        ("log.vkey", &signer.key().to_vkey()),
        ("images.key", &image_key),
        (
            "marks.key",
            &MarkKey::fresh_text().map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?,
        ),
    ] {
        atomic_write(&data.join(file), text.as_bytes()).with_context(|| format!("writing {file}"))?;
    }
    if password_file.is_none() {
        // Before the account: a password that nobody knows would be lost with a crash.
        let file = data.join(format!("first-password-of-{admin}"));
        atomic_write(&file, password.as_bytes()).with_context(|| format!("writing {}", file.display()))?;
        let file = file.display();
        tracing::info!(%admin, %file, "first password made; change it after the first sign-in (mdfmctl change-password), and remove the file");
    }
    fs::create_dir(data.join("images"))?;
    // The first user is a change like any other: it goes through the core into the log.
    let mut state = State::default();
    let mut log = AuditLog::open(&data.join("log"), signer, Options::default())?;
    let user = Command::CreateUser {
        user: admin.clone(),
        printed_name: "First administrator".into(),
        roles: vec![AccessRole::Admin],
        hospital: None,
        credential: CredentialStore::open(&data.join("credentials"))?.keep(&password_hash)?,
    };
    let now = clock::now();
    for command in trial.then_some(Command::DeclareTrial).into_iter().chain([user]) {
        for proposal in mdfm_coordinator_core::decide(&state, now, &system(), &command)? {
            let record = AuditRecord {
                reason: Some(if trial { "trial installation" } else { "installation" }.into()),
                event: Some(serde_json::to_value(&proposal.event)?),
                ..AuditRecord::new(now, &system(), proposal.action, &proposal.object, Outcome::Accepted)
            };
            state.apply(&record)?;
            log.append(&[record.to_bytes()])?;
        }
    }
    let (_, note) = log.sign_checkpoint()?;
    log.publish(&note)?;
    tracing::info!(data = %data.display(), %admin, "data directory made; next: mdfm-coordinator serve, then mdfmctl init for the key ceremony");
    Ok(())
}

/// A file of the data directory.
fn read(data: &Path, file: &str) -> Result<String, Stop> {
    let path = data.join(file);
    fs::read_to_string(&path).map_err(|e| {
        let hint = "was `mdfm-coordinator init` run on this directory?";
        Stop::new(Exit::NoState, format!("{} cannot be read; {hint}", path.display())).because(e)
    })
}

/// A secret of the data directory, or the credential of that name.
fn secret(data: &Path, file: &str) -> Result<String, Stop> {
    mdfm_service::read_secret(&mdfm_service::credential_or(&format!("mdfm-coordinator.{file}"), data.join(file)))
}

/// The key of marks in the log; made where a data directory is of before there was one.
fn mark_key(data: &Path) -> anyhow::Result<MarkKey> {
    const FILE: &str = "marks.key";
    if !mdfm_service::credential_or("mdfm-coordinator.marks.key", data.join(FILE)).exists() {
        let text = MarkKey::fresh_text().map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
        atomic_write(&data.join(FILE), text.as_bytes()).with_context(|| format!("writing {FILE}"))?;
    }
    let text = secret(data, FILE)?;
    Ok(MarkKey::from_text(&text)
        .ok_or_else(|| Stop::new(Exit::NoState, "marks.key is not a key: 64 hexadecimal digits"))?)
}

fn server_certificate(data: &Path) -> Result<Pem, Stop> {
    Ok(Pem { certificate: read(data, "server.pem")?, key: secret(data, "server.key")? })
}

/// Makes a new server certificate of the data directory's authority; a running coordinator takes it up on SIGHUP.
fn renew(data: &Path, names: &[String]) -> anyhow::Result<()> {
    let authority = Pem { certificate: read(data, "ca.pem")?, key: secret(data, "ca.key")? };
    let server = pki::make_server(&authority, names)?;
    // A reload between the two finds a pair that does not fit, and keeps what it has.
    for (file, text) in [("server.key", &server.key), ("server.pem", &server.certificate)] {
        atomic_write(&data.join(file), text.as_bytes()).with_context(|| format!("writing {file}"))?;
    }
    tracing::info!(data = %data.display(), "new server certificate; reload the coordinator (systemctl reload mdfm-coordinator)");
    Ok(())
}

/// The OpenID provider, whose certificate is noted: people are warned before it ends.
fn provider(config: &OidcConfig, runner: &Runner) -> anyhow::Result<Oidc> {
    let label = config.issuer.clone();
    runner.presence().calls(ExpiryKind::ProviderCertificate, &label);
    let runner = runner.clone();
    Ok(Oidc::new(config)?.noting(move |der| runner.note_certificate(ExpiryKind::ProviderCertificate, &label, der)))
}

/// Notes when the coordinator's own certificates end: people are warned before.
fn note_certificates(runner: &Runner, authority: &str, server: &str) {
    let end = |pem: &str| u64::try_from(mdfm_service::validity(pem)?.not_after_s).ok();
    let expiry =
        |kind, object: &str, pem| Some(Expiry::new(kind, object, "", UtcMillis(end(pem)?.saturating_mul(1_000))));
    let ends = [
        expiry(ExpiryKind::ServerCertificate, "certificate/server", server),
        expiry(ExpiryKind::Authority, "certificate/authority", authority),
    ];
    runner.presence().certificates = ends.into_iter().flatten().collect();
}

/// Listens on an address.
fn listen(address: SocketAddr) -> Result<tokio::net::TcpListener, Stop> {
    mdfm_service::listen(address).map_err(|e| {
        let hint = "is another program there? (ss -ltnp)";
        Stop::new(Exit::Address, format!("cannot listen on {address}; {hint}")).because(e)
    })
}

/// The port of people's browsers, with its certificate.
fn people(console: &ConsoleConfig, runner: &Runner) -> anyhow::Result<(tokio::net::TcpListener, Tls)> {
    let certificate = console_certificate(console)?;
    let tls = Tls::for_people(&certificate).with_context(|| {
        let (certificate, key) = (console.certificate_file.display(), console.key_file.display());
        format!("console: {certificate} and {key} are not a certificate and its key")
    })?;
    note_console_certificate(runner, &certificate);
    Ok((listen(console.listen)?, tls))
}

/// Certificate and key of that port.
fn console_certificate(console: &ConsoleConfig) -> Result<Pem, Stop> {
    let file = &console.certificate_file;
    let certificate = mdfm_service::read_input_text(file, mdfm_service::INPUT_BYTES_MAX).map_err(|e| {
        Stop::new(Exit::NoState, format!("console.certificate_file {} cannot be read", file.display())).because(e)
    })?;
    Ok(Pem { certificate, key: mdfm_service::read_secret(&console.key_file)? })
}

/// Notes when that certificate ends.
fn note_console_certificate(runner: &Runner, pem: &Pem) {
    let end = mdfm_service::validity(&pem.certificate).and_then(|v| u64::try_from(v.not_after_s).ok());
    let mut presence = runner.presence();
    presence.certificates.retain(|expiry| expiry.object != CONSOLE_CERTIFICATE);
    presence.certificates.extend(end.map(|end| {
        Expiry::new(ExpiryKind::ServerCertificate, CONSOLE_CERTIFICATE, "", UtcMillis(end.saturating_mul(1_000)))
    }));
}

/// The server certificate must hold already: before its time every client would turn away.
fn check_clock(certificate: &str) -> Result<(), Stop> {
    let now_s = i64::try_from(clock::now().0 / 1_000).unwrap_or(i64::MAX);
    match mdfm_service::validity(certificate) {
        Some(validity) if now_s < validity.not_before_s => {
            let ahead = mdfm_shared::text::duration(validity.not_before_s.abs_diff(now_s).saturating_mul(1_000));
            let message = format!("the clock stands {ahead} before the start of the server certificate; set the clock");
            Err(Stop::new(Exit::Clock, message))
        }
        _ => Ok(()),
    }
}

async fn serve(config: Config, path: Option<PathBuf>, level: LogLevel, standby: bool) -> anyhow::Result<()> {
    mdfm_service::raise_descriptors()?;
    let data = &config.data_dir;
    mdfm_service::check_directory("data_dir", data)?;
    let authority = Pem { certificate: read(data, "ca.pem")?, key: secret(data, "ca.key")? };
    let server = server_certificate(data)?;
    let image_key = secret(data, "images.key")?;
    let image_key = ImageKey::from_text(&image_key)
        .ok_or_else(|| Stop::new(Exit::NoState, "images.key is no key: 64 hexadecimal digits"))?;
    let online_key = SecretKey::from_secret_text(&secret(data, "online.key")?)?;
    let log_key = SecretKey::from_secret_text(&secret(data, "log.key")?)?;
    let signer = NoteSigner::new(read(data, "log.origin")?.trim(), log_key)?;
    check_clock(&server.certificate)?;
    let _lock = match lock(data) {
        Err(LockError::InUse(_)) if standby => match stand_by(data).await? {
            Some(lock) => lock,
            None => return Ok(()),
        },
        locked => locked?,
    };

    let started = std::time::Instant::now();
    let options = Options { reserve_bytes: config.disk_reserve_bytes, ..Options::default() };
    let log = AuditLog::open(&data.join("log"), signer, options)?;
    let read_model = ReadModel::open(&data.join("read-model")).context("opening the read model")?;
    let state = keeper::fold(&log.reader(), read_model.load(), u64::MAX, &|| false)?.context("folding the log")?;
    let search = SearchIndex::open(log.reader())?;
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(entries = state.log_size, ms, "audit log checked, state and search index ready");
    if state.trial {
        tracing::warn!("this is a TRIAL installation: every secret lies in one folder; it is not for patients");
    }

    let (outbound, messages) = mpsc::channel(runner::OUTBOUND_MAX);
    let (revoke, revocations) = watch::channel(0);
    let (checkpoints, signed) = watch::channel(None);
    let limits = runner::Limits {
        engine: engine::Limits {
            silence_ms: config.silence_limit_seconds.saturating_mul(1_000),
            gateway_bytes_per_day: config.gateway_log_bytes_per_day,
        },
        reserve_bytes: config.disk_reserve_bytes,
        safety_bytes: config.disk_safety_bytes,
    };
    let outlets = Outlets { outbound, revocations: revoke, checkpoints };
    let runner = Runner::start(log, state, read_model, online_key.clone(), limits, outlets)?;
    note_certificates(&runner, &authority.certificate, &server.certificate);
    witness::start(&config.witnesses, runner.clone(), signed)?;
    let scrub = scrub::start(runner.clone())?;
    disposal::resume(&runner, &data.join("disposals"))?;
    follow(search.clone())?;
    if let Some(dir) = config.publish_dir.clone() {
        publish(runner.clone(), dir)?;
    }
    let broker = match &config.broker {
        Some(external) => external_broker(external)?,
        None => broker::start_embedded()?,
    };
    let link = fleet_link::start(runner.clone(), &broker, online_key.clone(), messages)?;
    let tls = Tls::new(&authority.certificate, &server)?;
    let door = Arc::<DoorCounts>::default();
    syslog::start(config.syslog.as_ref(), runner.clone(), data, &config.public_url)?;
    let traces = traces::start(config.traces.as_ref(), runner.clone(), search.clone(), data)?;
    let credentials = CredentialStore::open(&data.join("credentials"))?;
    keep_decoy(&credentials)?;
    let notices = notify::start(runner.clone(), &config, credentials.clone())?;
    let rates = Arc::new(RequestRates::new(config.requests_per_second));
    let router = api::router(Api {
        runner: runner.clone(),
        images: ImageStore::open(&data.join("images"), image_key, config.image_bytes_max)?.leaving(
            config.disk_reserve_bytes.saturating_add(config.disk_safety_bytes).saturating_add(config.disk_work_bytes),
        ),
        credentials,
        notices,
        outward: Outward::new(&config.webhook_networks),
        authority: Arc::new(authority),
        public_url: config.public_url.clone(),
        logins: Arc::new(LoginGuard::default()),
        sign_ins: Arc::default(),
        marks: mark_key(data)?,
        rates: Arc::clone(&rates),
        pending: Arc::default(),
        answers: Arc::default(),
        requests: Requests::default(),
        idle: Arc::new(Idle::new(Moment { now: runner.now(), steady: clock::steady() })),
        sessions: config.sessions(),
        oidc: config.oidc.as_ref().map(|oidc| provider(oidc, &runner)).transpose()?.map(Arc::new),
        traces,
        watchers: Arc::default(),
        counted: Arc::default(),
        displays: Arc::default(),
        workbench: Arc::default(),
        hashing: Arc::default(),
        room: FleetRoom { devices_max: config.devices_max },
        networks: Arc::new(config.api_networks.clone()),
        gateway_networks: Arc::new(config.gateway_networks.clone()),
        breached: Breached::new(config.breached_passwords_file.clone()),
        search,
        scrub,
        disposals: data.join("disposals"),
        online_key: online_key.clone(),
        link,
        door: Arc::clone(&door),
    });
    let listener = listen(config.listen)?;
    let people = config.console.as_ref().map(|console| people(console, &runner)).transpose()?;
    tracing::info!(listen = %listener.local_addr()?, console = ?config.console.as_ref().map(|c| c.listen), "serving");
    mdfm_service::ready();
    let theirs = config.console.clone().zip(people.as_ref().map(|(_, tls)| tls.clone()));
    tokio::spawn(watch(runner.clone(), path, level, (tls.clone(), theirs), data.clone()));
    let door = FrontDoor {
        runner: runner.clone(),
        broker,
        router,
        tls,
        revocations,
        limits: DoorLimits {
            connections_max: config.connections_max,
            connections_per_address_max: config.connections_per_address_max,
            connections_per_address_per_second: config.connections_per_address_per_second,
            gateway: GatewayLimits {
                packets_per_second: config.gateway_packets_per_second,
                bytes_per_second: config.gateway_bytes_per_second,
            },
            api_networks: config.api_networks.clone(),
            gateway_networks: config.gateway_networks.clone(),
            proxies: config.proxy_protocol_from.iter().map(std::net::IpAddr::to_canonical).collect(),
        },
        counts: door,
        rates,
    };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        served = door.serve(listener, people) => served?,
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    mdfm_service::stopping();
    runner.stop().await;
    tracing::info!("stopping; everything that was answered is on disk");
    Ok(())
}

/// Lets the search index follow the log, so that searches find it ready.
fn follow(search: SearchIndex) -> std::io::Result<()> {
    let work = move || {
        loop {
            if let Err(error) = search.catch_up() {
                tracing::error!(%error, "the search index cannot follow the log");
            }
            std::thread::sleep(FOLLOW_INTERVAL);
        }
    };
    std::thread::Builder::new().name("search".into()).spawn(work).map(drop)
}

/// Keeps a directory of static files in step with the published log, for a web server or a mirror. After a disposal the bundles
/// of entries are made anew, without what was disposed of.
fn publish(runner: Runner, dir: PathBuf) -> std::io::Result<()> {
    let work = move || {
        let mut shown = None;
        loop {
            let size = runner.log.published().map(|(c, _)| c.size);
            let disposals = runner.state().disposals.values().filter(|d| d.carried_out_at.is_some()).count();
            if (size, disposals) != shown.unwrap_or_default() {
                match runner.log.publish_to(&dir, disposals) {
                    Ok(_) => shown = Some((size, disposals)),
                    Err(error) => tracing::error!(%error, dir = %dir.display(), "the static log cannot be written"),
                }
            }
            std::thread::sleep(PUBLISH_INTERVAL);
        }
    };
    std::thread::Builder::new().name("publish".into()).spawn(work).map(drop)
}

/// Feeds systemd's watchdog from the progress of the deciding thread, and takes up log level and server certificate on SIGHUP.
async fn watch(
    runner: Runner,
    path: Option<PathBuf>,
    level: LogLevel,
    (tls, people): (Tls, Option<(ConsoleConfig, Tls)>),
    data: PathBuf,
) {
    let mut watchdog = Watchdog::new();
    let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else { return };
    let mut tick = tokio::time::interval(watchdog.every().unwrap_or(WATCH_INTERVAL).min(WATCH_INTERVAL));
    let mut rounds = 0;
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let now = runner.rounds();
                if std::mem::replace(&mut rounds, now) != now {
                    watchdog.progress(std::time::Instant::now());
                }
            }
            _ = hangup.recv() => {
                mdfm_service::take_up_level(&level, Config::load(path.as_deref()).map(|c| c.log_level));
                let taken = server_certificate(&data).map_err(anyhow::Error::from).and_then(|server| {
                    tls.replace(&server)?;
                    note_certificates(&runner, &read(&data, "ca.pem")?, &server.certificate);
                    people.as_ref().map_or(Ok(()), |(console, tls)| {
                        let theirs = console_certificate(console)?;
                        tls.replace(&theirs)?;
                        note_console_certificate(&runner, &theirs);
                        Ok(())
                    })
                });
                match taken {
                    Ok(()) => tracing::info!("new connections get the server certificate that is on disk now"),
                    Err(error) => tracing::error!(%error, "the server certificate stays as it was"),
                }
            }
        }
    }
}

/// The operator's own broker, with the passwords from their files.
fn external_broker(config: &ExternalBroker) -> Result<BrokerAccess, Stop> {
    let login = |user: &str, file: &Path| {
        let password = mdfm_service::read_secret(file)?.lines().next().unwrap_or_default().to_owned();
        Ok::<_, Stop>(Login { user: user.to_owned(), password })
    };
    Ok(BrokerAccess {
        address: config.address,
        gateway: login(&config.gateway_user, &config.gateway_password_file)?,
        coordinator: login(&config.coordinator_user, &config.coordinator_password_file)?,
    })
}

/// The data directory cannot be had.
#[derive(Debug, thiserror::Error)]
enum LockError {
    #[error("{0} is in use by another coordinator")]
    InUse(String),
    #[error("{0}/lock cannot be opened and locked")]
    Failed(String, #[source] std::io::Error),
}

/// One process a data directory: two writers would fork the log. The lock ends with its process, however that ends.
fn lock(data: &Path) -> Result<nix::fcntl::Flock<fs::File>, LockError> {
    let dir = || data.display().to_string();
    let file = mdfm_service::open_lock(&data.join("lock")).map_err(|e| LockError::Failed(dir(), e))?;
    let locked = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock);
    locked.map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => LockError::InUse(dir()),
        errno => LockError::Failed(dir(), errno.into()),
    })
}

/// Waits until the data directory is free; none when it is told to end before.
async fn stand_by(data: &Path) -> anyhow::Result<Option<nix::fcntl::Flock<fs::File>>> {
    tracing::info!(data = %data.display(), "another coordinator serves; standing by");
    // Standing by is what was asked for: to systemd that is a start that succeeded.
    mdfm_service::ready();
    let mut watchdog = Watchdog::new();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            () = tokio::time::sleep(STANDBY_INTERVAL) => {}
            _ = terminate.recv() => return Ok(None),
        }
        watchdog.progress(std::time::Instant::now());
        match lock(data) {
            Ok(lock) => {
                tracing::warn!("the other coordinator has ended; taking over");
                return Ok(Some(lock));
            }
            Err(LockError::InUse(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
