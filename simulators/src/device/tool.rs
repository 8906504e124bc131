//! A maker's flashing tool with a simulated device behind it: the sample for `docs/command-adapter.md`. Each run does one operation; the
//! device lives in its directory.

use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use mdfm_shared::device::{Command, FaultLevel, PROTOCOL_VERSION, Report};
use mdfm_shared::digest::Digest;
use serde::Deserialize;
use serde_json::json;

use super::faults::Script;
use super::firmware;
use super::orders::{Obeyed, obey};
use super::slots::{Flash, Staged};

/// Exit code that tells the agent that the device refused.
const REFUSED: i32 = 10;
/// Bytes of the line that says what to do.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// What to do with which device.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directory of the device's flash. A file `in-use` in it means that a patient is connected.
    #[arg(long)]
    dir: PathBuf,
    /// Version that the factory installed.
    #[arg(long, default_value = "2.1.0")]
    factory_version: String,
    /// Model number.
    #[arg(long, default_value = "CardiacMonitor-X200")]
    model: String,
    /// Serial number.
    #[arg(long, default_value = "SN-0")]
    serial: String,
    /// Hardware revision.
    #[arg(long, default_value = "B")]
    hardware: String,
    /// `report`, `begin`, `write`, `finish`, `activate`, `confirm` or `rollback`, as the agent says.
    #[arg(value_parser = ["report", "begin", "write", "finish", "activate", "confirm", "rollback"])]
    operation: String,
    /// Device id; the simulated device is known by its directory.
    device: String,
}

/// What comes before the bytes of an image.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    sha256: Digest,
    offset: u64,
    size_bytes: u64,
}

fn say(line: &serde_json::Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Does one operation; gives the exit code.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<i32> {
    let factory = firmware::factory(&arguments.factory_version, 1);
    let mut flash = Flash::open(&arguments.dir, &factory)?;
    let script = Script::default();
    let running = flash.resume(&script)?;
    let in_use = arguments.dir.join("in-use").exists();
    let mut input = std::io::stdin().lock();
    let mut line = String::new();
    (&mut input).take(LINE_BYTES_MAX).read_line(&mut line)?;
    match arguments.operation.as_str() {
        "report" => {
            let report = Report {
                model: arguments.model.clone(),
                serial: arguments.serial.clone(),
                hardware: arguments.hardware.clone(),
                boot_count: flash.boot_count(),
                running: running.report,
                confirmed: flash.is_confirmed(),
                secure_boot: running.secure_boot,
                in_use,
                staged: flash.staged().map(Staged::report),
                last_order: 0,
                last_refusal: None,
                protocol: PROTOCOL_VERSION,
                faults: Some(FaultLevel::new(super::boot_identity(&arguments.serial, flash.boot_count()))),
            };
            say(&json!({ "report": report }))?;
        }
        "write" => {
            let header: Header = serde_json::from_str(&line).context("the header")?;
            let staged = flash.staged().context("nothing was announced")?;
            if staged.firmware.sha256 != header.sha256 {
                bail!("another image was announced");
            }
            let mut at = header.offset;
            let mut buffer = vec![0; 128 * 1024];
            while at < header.size_bytes {
                let n = input.read(&mut buffer)?;
                if n == 0 {
                    break;
                }
                flash.write(at, &buffer[..n])?;
                at += n as u64;
                say(&json!({ "written": { "bytes": flash.staged().map_or(0, |s| s.report().written_bytes) } }))?;
            }
            flash.sync()?;
        }
        "begin" | "finish" | "activate" | "confirm" | "rollback" => {
            let command: Command = serde_json::from_str(&line).context("the order")?;
            match obey(&mut flash, running.report.sha256, in_use, command)? {
                Obeyed::Stay => {}
                Obeyed::Reboot => drop(flash.boot(&script)?),
                Obeyed::Refused(code, message) => {
                    say(&json!({ "refusal": { "code": code, "message": message } }))?;
                    return Ok(REFUSED);
                }
            }
        }
        other => bail!("no such operation: {other}"),
    }
    Ok(0)
}
