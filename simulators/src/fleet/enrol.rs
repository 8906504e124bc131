//! Makes a fleet known to a coordinator: hospitals, gateways, devices, and a certificate and a telemetry key for each gateway.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};
use clap::Args;
use mdfm_shared::enrol::{EnrolmentRequest, EnrolmentResponse, EnrolmentToken};
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::sign::SecretKey;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;

use super::Directory;
use super::session::Session;

const FILE: &str = "fleet.json";
/// Bytes of that file: some 3 kB a gateway.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Requests under way at once.
const AT_ONCE: usize = 64;

/// What the fleet is.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    directory: Directory,
    /// Session of an operator (`mdfmctl login`).
    #[arg(long)]
    session: PathBuf,
    /// Gateways.
    #[arg(long, default_value_t = 100)]
    gateways: usize,
    /// Devices behind each gateway.
    #[arg(long, default_value_t = 2)]
    devices: usize,
    /// Gateways of each hospital.
    #[arg(long, default_value_t = 10)]
    gateways_per_hospital: usize,
    /// Start of every id.
    #[arg(long, default_value = "LOAD")]
    prefix: String,
    /// Model of the devices.
    #[arg(long, default_value = "CardiacMonitor-X200")]
    model: String,
}

/// A gateway that has enrolled.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Enrolled {
    pub(super) gateway: GatewayId,
    pub(super) devices: Vec<DeviceId>,
    pub(super) model: String,
    pub(super) epoch: u64,
    pub(super) certificate_pem: String,
    pub(super) key_pem: String,
    pub(super) telemetry_secret: String,
}

/// A fleet as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Fleet {
    pub(super) url: String,
    pub(super) ca_pem: String,
    pub(super) gateways: Vec<Enrolled>,
}

impl Fleet {
    /// Reads the fleet of a directory.
    pub(super) fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let text = mdfm_service::read_secrets(&path, FILE_BYTES_MAX)
            .context("is there a fleet? make one with mdfm-sim fleet enrol")?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged; enrol again", path.display()))
    }
}

/// Enrols the fleet and writes it down.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let session = Session::open(&arguments.session)?;
    if arguments.gateways == 0 || arguments.gateways_per_hospital == 0 {
        bail!("a fleet needs gateways, and a hospital too");
    }
    std::fs::create_dir_all(&arguments.directory.dir)?;
    let started = std::time::Instant::now();
    for h in 0..arguments.gateways.div_ceil(arguments.gateways_per_hospital) {
        let hospital = format!("{}-H{h}", arguments.prefix);
        session.post("/api/v1/hospitals", &json!({ "hospitalId": hospital, "name": hospital })).await?;
    }
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let done = Arc::new(AtomicUsize::new(0));
    let arguments = Arc::new(arguments);
    let mut tasks = Vec::with_capacity(arguments.gateways);
    for number in 0..arguments.gateways {
        let (slots, session, arguments, done) = (slots.clone(), session.clone(), arguments.clone(), done.clone());
        tasks.push(tokio::spawn(async move {
            let _slot = slots.acquire().await?;
            let enrolled = one(&session, &arguments, number).await;
            let so_far = done.fetch_add(1, Ordering::Relaxed) + 1;
            if so_far % 500 == 0 {
                tracing::info!(enrolled = so_far, of = arguments.gateways, "enrolling");
            }
            enrolled
        }));
    }
    let mut fleet = Fleet { url: String::new(), ca_pem: String::new(), gateways: Vec::new() };
    for task in tasks {
        let (token, enrolled) = task.await??;
        fleet.url = token.url;
        fleet.ca_pem = pem(&token.ca_der);
        fleet.gateways.push(enrolled);
    }
    write(&arguments.directory.dir.join(FILE), &serde_json::to_vec(&fleet)?)?;
    let seconds = started.elapsed().as_secs_f64();
    tracing::info!(gateways = fleet.gateways.len(), seconds, dir = %arguments.directory.dir.display(), "the fleet is enrolled");
    Ok(())
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}

/// The version that every device of the fleet runs.
pub(super) const RUNNING: &str = "2.1.0";

/// The serial number of a device of the fleet.
pub(super) fn serial(device: &DeviceId) -> String {
    format!("SN-{device}")
}

async fn one(session: &Session, arguments: &Arguments, number: usize) -> anyhow::Result<(EnrolmentToken, Enrolled)> {
    let prefix = &arguments.prefix;
    let gateway: GatewayId = format!("{prefix}-G{number}").parse()?;
    let hospital = format!("{prefix}-H{}", number / arguments.gateways_per_hospital);
    session.post("/api/v1/gateways", &json!({ "gatewayId": gateway, "hospitalId": hospital })).await?;
    let mut devices = Vec::with_capacity(arguments.devices);
    for n in 0..arguments.devices {
        let device: DeviceId = format!("{prefix}-G{number}-D{n}").parse()?;
        let new = json!({
            "deviceId": device,
            "modelNumber": arguments.model,
            "serialNumber": serial(&device),
            "currentFirmwareVersion": RUNNING,
            "hospitalId": hospital,
            "gatewayId": gateway,
        });
        session.post("/api/v1/devices", &new).await?;
        devices.push(device);
    }
    let path = format!("/api/v1/gateways/{gateway}/enrolment-tokens");
    let answer = session.post(&path, &json!({})).await?.with_context(|| format!("no token for {gateway}"))?;
    let token = EnrolmentToken::from_text(answer["token"].as_str().unwrap_or_default())?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    let telemetry = SecretKey::from_seed(seed);
    let key = rcgen::KeyPair::generate()?;
    let csr = rcgen::CertificateParams::default().serialize_request(&key)?;
    let request = EnrolmentRequest {
        gateway: gateway.clone(),
        secret: hex::encode(token.secret),
        csr_pem: csr.pem()?,
        telemetry_key: telemetry.public().to_string(),
    };
    let answer = session.post("/agent/v1/enrolments", &serde_json::to_value(&request)?).await?;
    let response: EnrolmentResponse =
        serde_json::from_value(answer.with_context(|| format!("the enrolment of {gateway} was refused"))?)?;
    let enrolled = Enrolled {
        gateway,
        model: arguments.model.clone(),
        devices,
        epoch: response.epoch,
        certificate_pem: response.certificate_pem,
        key_pem: key.serialize_pem(),
        telemetry_secret: telemetry.to_secret_text(),
    };
    Ok((token, enrolled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fld_a_fleet_of_thousands_is_read_back() {
        let gateway = |n: usize| Enrolled {
            gateway: format!("GW-{n}").parse().expect("an id"),
            devices: Vec::new(),
            model: "X".into(),
            epoch: 1,
            certificate_pem: "c".repeat(800),
            key_pem: "k".repeat(300),
            telemetry_secret: "s".repeat(44),
        };
        let fleet = Fleet { url: String::new(), ca_pem: String::new(), gateways: (0..5_000).map(gateway).collect() };
        let dir = std::env::temp_dir().join(format!("mdfm-fleet-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let text = serde_json::to_string(&fleet).expect("encodes");
        assert!(text.len() > 5 << 20);
        mdfm_service::write_new_secret(&dir.join(FILE), &text).expect("written");
        let read = Fleet::load(&dir);
        std::fs::remove_dir_all(&dir).expect("removed");
        assert_eq!(read.expect("the fleet").gateways.len(), 5_000);
    }
}
