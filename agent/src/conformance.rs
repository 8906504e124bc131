//! `mdfm-agent conformance`: the suite of `device::conformance` against a configured device, for its maker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use mdfm_service::output;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeviceId;
use mdfm_shared::telemetry::FirmwareReport;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::device::{self, DeviceLink, Finding, Patience, Subject, Way};
use crate::disk::{DiskHandle, Real};
use crate::store::StateLock;

/// A test image is held in memory: larger ones say nothing more.
const IMAGE_BYTES_MAX: u64 = 256 << 20;

/// What to test with.
pub(crate) struct Options {
    pub(crate) device: DeviceId,
    pub(crate) image: PathBuf,
    pub(crate) version: String,
    pub(crate) boot_seconds: u64,
    pub(crate) json: bool,
}

/// Runs the suite and prints what was found.
///
/// # Errors
/// It cannot be run, or the device falls short.
pub(crate) async fn run(config: &Config, options: Options) -> anyhow::Result<()> {
    let configured = config.device(&options.device);
    let configured = configured.with_context(|| format!("no [[device]] {} is configured", options.device))?;
    let _lock = StateLock::take(&config.state_dir.join("state"))?;
    let image = mdfm_service::read_input(&options.image, IMAGE_BYTES_MAX)?;
    ensure!(image.len() >= 2, "the image must have 2 to {IMAGE_BYTES_MAX} bytes");
    let firmware =
        FirmwareReport { version: options.version, release_number: 1, security_version: 1, sha256: Digest::of(&image) };
    let own_places = configured.slots.as_ref().map(|_| places(config));
    if let Some(finding) = &own_places {
        show(finding, options.json);
        ensure!(finding.passed, "the slots are not places of their own; nothing was written");
    }
    let (events, outlet) = mpsc::channel(1_024);
    let disk: DiskHandle = Arc::new(Real);
    let id = options.device.clone();
    let (way, order_seconds) = match (&configured.slots, &configured.command) {
        (Some(slots), _) => (device::attach_slots(id, &disk, slots, &config.slot_devices(), events)?, 60),
        (_, Some(command)) => (device::attach_command(id, command, events)?, 2 * command.deadline_seconds),
        _ => (Way::Mqtt(DeviceLink::start(config, events)?), 60),
    };
    let patience =
        Patience { order: Duration::from_secs(order_seconds), boot: Duration::from_secs(options.boot_seconds) };
    let mut subject = Subject { device: options.device, way, events: outlet, patience, order: 0 };
    let findings = device::conformance(&mut subject, firmware, &image, |finding| show(finding, options.json)).await;
    let short = findings.iter().filter(|f| !f.passed).count();
    ensure!(
        short == 0,
        "the device falls short of {short} of {} rules; docs/device-protocol.md says what is asked",
        findings.len()
    );
    Ok(())
}

/// Whether every slot of this gateway is a place of its own.
fn places(config: &Config) -> Finding {
    let problems: Vec<String> = config.slot_problems().into_iter().map(|p| p.reason).collect();
    let passed = problems.is_empty();
    let seen = if passed { "they are".into() } else { problems.join("; ") };
    Finding { rule: "slots: every slot of this gateway is a place of its own", passed, seen }
}

fn show(finding: &Finding, json: bool) {
    if json {
        output::json(serde_json::to_string(finding).expect("plain fields encode"));
    } else {
        let mark = if finding.passed { "ok  " } else { "FAIL" };
        output::prose(format_args!("{mark} {}", finding.rule));
        output::prose(format_args!("     {}", finding.seen));
    }
}
