//! One simulated device as a process. Killing the process is pulling the plug: everything that a device would keep is on disk,
//! everything else is gone.

pub(crate) mod bedside;
mod faults;
mod firmware;
mod orders;
mod slots;
pub(crate) mod tool;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use mdfm_shared::device::{self, Channel, Command, Fault, FaultLevel, FaultMessage, PROTOCOL_VERSION, Refusal, Report};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeviceId;
use mdfm_shared::limits::DEVICE_PACKET_BYTES_MAX;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS, TlsConfiguration, Transport};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use faults::{Kind, Script};
use firmware::Running;
use orders::{Obeyed, obey};
use slots::{Flash, Staged};

/// A report is sent on every change and at least so often.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// What the device is.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directory of the device's flash: slots and boot record. A file `in-use` in it means that a patient is connected.
    #[arg(long)]
    dir: PathBuf,
    /// Device id.
    #[arg(long)]
    id: DeviceId,
    /// Host and port where the gateway listens for devices.
    #[arg(long)]
    broker: String,
    /// File with the secret that the gateway knows the device by.
    #[arg(long, value_name = "FILE", required_unless_present = "tls_certificate")]
    secret_file: Option<PathBuf>,
    /// Who vouches for the gateway's certificate, PEM: the device speaks TLS.
    #[arg(long)]
    tls_authority: Option<PathBuf>,
    /// The device's own certificate, PEM.
    #[arg(long, requires = "tls_authority", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long)]
    tls_key: Option<PathBuf>,
    /// Model number.
    #[arg(long, default_value = "CardiacMonitor-X200")]
    model: String,
    /// Serial number.
    #[arg(long, default_value = "SN-0")]
    serial: String,
    /// Hardware revision.
    #[arg(long, default_value = "B")]
    hardware: String,
    /// Version that the factory installed.
    #[arg(long, default_value = "2.1.0")]
    factory_version: String,
    /// Release number that the factory installed.
    #[arg(long, default_value_t = 1)]
    factory_release: u64,
    /// Time that a boot takes, in milliseconds.
    #[arg(long, default_value_t = 500)]
    boot_ms: u64,
    /// Faults, as TOML.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Version of the device protocol that it speaks: 2 counts its faults in its reports, 1 sends events alone.
    #[arg(long, default_value_t = PROTOCOL_VERSION, value_parser = clap::value_parser!(u32).range(1..=i64::from(PROTOCOL_VERSION)))]
    protocol: u32,
}

/// Runs the device until it is killed.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let script = match &arguments.script {
        Some(path) => Script::load(path)?,
        None => Script::default(),
    };
    let secret = match &arguments.secret_file {
        Some(path) => Some(mdfm_service::read_secret(path).context("reading the device's secret")?),
        None => None,
    };
    let factory = firmware::factory(&arguments.factory_version, arguments.factory_release);
    let mut flash = Flash::open(&arguments.dir, &factory)?;
    loop {
        tokio::time::sleep(Duration::from_millis(arguments.boot_ms)).await;
        let running = flash.boot(&script)?;
        tracing::info!(device = %arguments.id, version = running.report.version, confirmed = flash.is_confirmed(), "booted");
        let mut session =
            Session::connect(&arguments, secret.as_deref().map(str::trim), &script, running, flash.boot_count())?;
        session.serve(&mut flash).await?;
        tracing::info!(device = %arguments.id, "rebooting");
    }
}

/// Another one with each boot of each device.
fn boot_identity(serial: &str, boot_count: u64) -> String {
    Digest::of(format!("{serial}/{boot_count}").as_bytes()).short()
}

/// TLS towards the gateway, with the device's own certificate and key where it has them.
fn tls_config(authority: &Path, own: Option<(&Path, &Path)>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate = |file: &Path| -> anyhow::Result<CertificateDer<'static>> {
        Ok(CertificateDer::from_pem_slice(&mdfm_service::read_input(file, mdfm_service::INPUT_BYTES_MAX)?)?)
    };
    roots.add(certificate(authority)?)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(roots);
    Ok(match own {
        None => builder.with_no_client_auth(),
        Some((own, key)) => builder.with_client_auth_cert(
            vec![certificate(own)?],
            PrivateKeyDer::from_pem_slice(mdfm_service::read_secret(key)?.as_bytes())?,
        )?,
    })
}

/// One uptime of the device.
struct Session<'a> {
    arguments: &'a Arguments,
    script: &'a Script,
    running: Running,
    booted: Instant,
    client: AsyncClient,
    event_loop: EventLoop,
    last_refusal: Option<Refusal>,
    fired: Vec<bool>,
    /// Its faults since this boot; `None` where it speaks version 1.
    faults: Option<FaultLevel>,
}

/// What an order leads to.
enum Next {
    Stay,
    Reboot,
}

impl<'a> Session<'a> {
    fn connect(
        arguments: &'a Arguments,
        secret: Option<&str>,
        script: &'a Script,
        running: Running,
        boot_count: u64,
    ) -> anyhow::Result<Self> {
        let (host, port) = arguments.broker.rsplit_once(':').context("--broker must be host:port")?;
        let mut options = MqttOptions::new(arguments.id.as_str(), host, port.parse()?);
        if let Some(secret) = secret {
            options.set_credentials(arguments.id.as_str(), secret);
        }
        if let Some(authority) = &arguments.tls_authority {
            let own = arguments.tls_certificate.as_deref().zip(arguments.tls_key.as_deref());
            let tls = tls_config(authority, own)?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
        }
        options.set_keep_alive(Duration::from_secs(10));
        options.set_max_packet_size(DEVICE_PACKET_BYTES_MAX, DEVICE_PACKET_BYTES_MAX);
        let (client, event_loop) = AsyncClient::new(options, 64);
        let fired = vec![false; script.faults().len()];
        let faults = (arguments.protocol >= 2).then(|| FaultLevel::new(boot_identity(&arguments.serial, boot_count)));
        let booted = Instant::now();
        Ok(Self { arguments, script, running, booted, client, event_loop, last_refusal: None, fired, faults })
    }

    fn in_use(&self) -> bool {
        self.arguments.dir.join("in-use").exists() || self.active(Kind::InUse).is_some()
    }

    /// A fault of this kind that has begun on this firmware.
    fn active(&self, kind: Kind) -> Option<&faults::Fault> {
        let uptime = self.booted.elapsed();
        self.script
            .on(&self.running.report.version)
            .find(|f| f.kind == kind && uptime >= Duration::from_millis(f.after_ms))
    }

    fn report(&self, flash: &Flash) -> Report {
        Report {
            model: self.arguments.model.clone(),
            serial: self.arguments.serial.clone(),
            hardware: self.arguments.hardware.clone(),
            boot_count: flash.boot_count(),
            running: self.running.report.clone(),
            confirmed: flash.is_confirmed(),
            secure_boot: self.running.secure_boot && self.active(Kind::SecureBootLost).is_none(),
            in_use: self.in_use(),
            staged: flash.staged().map(Staged::report),
            last_order: flash.last_order(),
            last_refusal: self.last_refusal.clone(),
            protocol: self.arguments.protocol,
            faults: self.faults.clone(),
        }
    }

    fn publish(&self, channel: Channel, payload: Vec<u8>) {
        if self.active(Kind::Silent).is_none() {
            // A full queue means no connection; the next report says it all again.
            let _ = self.client.try_publish(channel.topic(&self.arguments.id), QoS::AtLeastOnce, false, payload);
        }
    }

    async fn serve(&mut self, flash: &mut Flash) -> anyhow::Result<()> {
        let mut last = None;
        let mut next_report = Instant::now();
        loop {
            self.fire_errors();
            let report = self.report(flash);
            let now = Instant::now();
            if last.as_ref() != Some(&report) || now >= next_report {
                self.publish(Channel::Report, device::encode(&report));
                last = Some(report);
                next_report = now + REPORT_INTERVAL;
            }
            let event = tokio::select! {
                event = self.event_loop.poll() => event,
                () = tokio::time::sleep(Duration::from_millis(50)) => continue,
            };
            match event {
                Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                    for channel in [Channel::Command, Channel::Chunk] {
                        let topic = channel.topic(&self.arguments.id);
                        self.client.try_subscribe(topic, QoS::AtLeastOnce)?;
                    }
                    last = None;
                }
                Ok(Event::Incoming(Incoming::Publish(publish))) => {
                    if let Next::Reboot = self.take(flash, &publish.topic, &publish.payload)? {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "no gateway");
                    self.event_loop.clean();
                    self.event_loop.pending.clear();
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
            }
        }
    }

    /// Sends the scripted errors whose time has come, each once a boot.
    fn fire_errors(&mut self) {
        for (i, fault) in self.script.faults().iter().enumerate() {
            let due = fault.kind == Kind::Error
                && fault.applies_to(&self.running.report.version)
                && !self.fired[i]
                && self.booted.elapsed() >= Duration::from_millis(fault.after_ms);
            if due {
                self.fired[i] = true;
                let (code, message) = (fault.code.clone(), fault.message.clone());
                let fault = Fault { severity: fault.severity, code, message };
                tracing::info!(?fault, "fault");
                let number = self.faults.as_mut().map(|level| level.add(fault.clone()));
                self.publish(Channel::Event, device::encode(&FaultMessage { fault, number }));
            }
        }
    }

    fn take(&mut self, flash: &mut Flash, topic: &str, payload: &[u8]) -> anyhow::Result<Next> {
        match Channel::parse(topic) {
            Some((_, Channel::Chunk)) => {
                let Ok((offset, data)) = device::decode_chunk(payload) else { return Ok(Next::Stay) };
                flash.write(offset, data)?;
                let loss = self.script.faults().iter().enumerate().find(|(_, f)| f.kind == Kind::PowerLoss);
                let due = loss.zip(flash.staged()).filter(|((_, fault), staged)| {
                    fault.applies_to(&staged.firmware.version) && staged.written_bytes >= fault.at_bytes
                });
                if let Some(i) = due.map(|((i, _), _)| i)
                    && flash.spend(i)?
                {
                    tracing::info!("power lost while staging");
                    flash.lose_unsynced()?;
                    return Ok(Next::Reboot);
                }
                Ok(Next::Stay)
            }
            Some((_, Channel::Command)) => match device::decode::<Command>(payload) {
                Ok(command) => self.obey(flash, command),
                Err(error) => {
                    tracing::warn!(%error, "malformed order");
                    Ok(Next::Stay)
                }
            },
            _ => Ok(Next::Stay),
        }
    }

    fn refuse(&mut self, order: u64, code: &str, message: &str) -> Next {
        tracing::info!(order, code, "order refused");
        self.last_refusal = Some(Refusal { order, code: code.into(), message: message.into() });
        Next::Stay
    }

    fn obey(&mut self, flash: &mut Flash, command: Command) -> anyhow::Result<Next> {
        if command.order == flash.last_order() {
            return Ok(Next::Stay);
        }
        self.last_refusal = None;
        let order = command.order;
        Ok(match obey(flash, self.running.report.sha256, self.in_use(), command)? {
            Obeyed::Stay => Next::Stay,
            Obeyed::Reboot => Next::Reboot,
            Obeyed::Refused(code, message) => self.refuse(order, code, message),
        })
    }
}
