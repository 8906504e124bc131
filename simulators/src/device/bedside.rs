//! A device whose images lie on the gateway (`docs/slots-adapter.md`): it asks the agent what to boot, and writes its status. Killing the process is
//! pulling its plug.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use mdfm_shared::device::FaultCounts;
use mdfm_shared::id::DeviceId;
use serde::Deserialize;
use serde_json::json;

use super::faults::{Kind, Script};

/// The status is written so often.
const BEAT: Duration = Duration::from_millis(300);

/// What the device is.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directory of the boot record and the status, as the agent's configuration says. A file `in-use` in it means that a patient
    /// is connected, a file `reboot` that the device is to boot.
    #[arg(long)]
    dir: PathBuf,
    /// Device id.
    #[arg(long)]
    id: DeviceId,
    /// The agent's program.
    #[arg(long)]
    agent: PathBuf,
    /// The agent's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Time that a boot takes, in milliseconds.
    #[arg(long, default_value_t = 500)]
    boot_ms: u64,
    /// Faults, as TOML.
    #[arg(long)]
    script: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Booted {
    boot_count: u64,
    version: String,
}

/// Runs the device until it is killed.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let script = arguments.script.as_deref().map_or_else(|| Ok(Script::default()), Script::load)?;
    let reboot = arguments.dir.join("reboot");
    let mut beat = 0_u64;
    loop {
        tokio::time::sleep(Duration::from_millis(arguments.boot_ms)).await;
        // An order from before this boot is fulfilled by it.
        let _ = std::fs::remove_file(&reboot);
        let booted = match boot(&arguments) {
            Ok(booted) => booted,
            Err(error) => {
                tracing::warn!("{error:#}; trying again");
                continue;
            }
        };
        tracing::info!(device = %arguments.id, version = booted.version, "booted");
        let since = Instant::now();
        while !reboot.exists() {
            beat += 1;
            let active = |kind| {
                let due = |f: &&super::faults::Fault| since.elapsed() >= Duration::from_millis(f.after_ms);
                script.on(&booted.version).filter(move |f| f.kind == kind).filter(due)
            };
            let faults: Vec<_> = active(Kind::Error)
                .enumerate()
                .map(|(i, f)| json!({ "number": i + 1, "severity": f.severity, "code": f.code, "message": f.message }))
                .collect();
            let mut counts = FaultCounts::default();
            active(Kind::Error).for_each(|f| counts.add(f.severity));
            let status = json!({
                "bootCount": booted.boot_count, "beat": beat, "inUse": arguments.dir.join("in-use").exists(),
                "faults": faults, "faultCounts": counts,
            });
            if active(Kind::Silent).next().is_none() {
                write(&arguments.dir, &status)?;
            }
            tokio::time::sleep(BEAT).await;
        }
    }
}

fn boot(arguments: &Arguments) -> anyhow::Result<Booted> {
    let output = std::process::Command::new(&arguments.agent)
        .arg("--config")
        .arg(&arguments.config)
        .args(["boot-slot", arguments.id.as_str()])
        .output()
        .with_context(|| format!("running {}", arguments.agent.display()))?;
    ensure!(output.status.success(), "nothing to boot: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("what to boot")
}

fn write(dir: &Path, status: &serde_json::Value) -> anyhow::Result<()> {
    let new = dir.join("status.new");
    std::fs::write(&new, status.to_string())?;
    Ok(std::fs::rename(new, dir.join("status.json"))?)
}
