//! The demonstration: one vendor, ten hospitals, forty devices, three firmware releases — one good, one bad, one bad while the
//! coordinator is gone — and the audit log that proves what happened. Every figure printed is one that was observed.

mod folder;
mod show;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use mdfm_service::output;
use mdfm_tests::{Layout, Role, World, device_id, gateway_id, hospital_id, program, wait_for};
use serde_json::Value;

use folder::Asked;
use show::{Show, device_field};

const HOSPITALS: usize = 10;
const DEVICES: usize = 4;
const IMAGE_BYTES: usize = 33 << 20;
/// The device that the second release makes fail, in the pilot hospital of that rollout.
const FAILS_SECOND: (usize, usize) = (1, 2);
/// The device that the third release makes fail, in the pilot hospital of that rollout.
const FAILS_THIRD: (usize, usize) = (2, 1);

fn main() -> ExitCode {
    let asked = match folder::read(std::env::args_os().skip(1)) {
        Ok(asked) => asked,
        Err(error) => {
            output::note(format_args!("mdfm-demo: {error}"));
            return ExitCode::from(2);
        }
    };
    match run(asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(format_args!("mdfm-demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(asked: Asked) -> anyhow::Result<()> {
    let keep = std::env::var("KEEP").is_ok_and(|v| v == "1");
    let here = std::env::current_dir()?;
    let dir = here.join("demo-run");
    match asked {
        Asked::Run => folder::make(&dir)?,
        Asked::Stop(named) => return folder::stop(&named.unwrap_or(here)),
        Asked::Help => {
            output::constant(folder::HELP);
            return Ok(());
        }
        Asked::Version => {
            output::constant(concat!("mdfm-demo ", env!("CARGO_PKG_VERSION"), "\n"));
            return Ok(());
        }
    }
    let show = Show::start();
    show.title("Installing: key ceremony, people, 10 hospitals with a gateway each, 40 devices");
    show.line("a shortcut for this demonstration alone: all secret keys lie in one folder (mdfmctl init guides the real ceremony)");
    let scripts = BTreeMap::from([
        (
            device_id(FAILS_SECOND.0, FAILS_SECOND.1),
            "[[fault]]\nfirmware = \"2.3.0\"\nkind = \"error\"\nafter_ms = 1500\ncode = \"ECG-17\"\n\
             message = \"lead-off detection failed its self-test\"\n"
                .to_owned(),
        ),
        (
            device_id(FAILS_THIRD.0, FAILS_THIRD.1),
            "[[fault]]\nfirmware = \"2.4.0\"\nkind = \"error\"\nafter_ms = 6000\ncode = \"ALM-03\"\n\
             message = \"alarm loudspeaker does not answer\"\n"
                .to_owned(),
        ),
    ]);
    let layout = Layout { hospitals: HOSPITALS, devices: DEVICES, scripts, boot_ms: 400, ..Layout::default() };
    let mut world = World::start(&dir, layout)?;
    wait_for("all devices to be seen", Duration::from_secs(60), || {
        let devices = world.device_list()?;
        Ok((devices.iter().filter(|d| d["runningSha256"].is_string()).count() == HOSPITALS * DEVICES).then_some(()))
    })?;
    show.line("40 devices attached to 10 gateways, every gateway enrolled and verified the trust root");

    let outcome = first_release(&world, &show)
        .and_then(|()| second_release(&world, &show))
        .and_then(|()| third_release(&mut world, &show))
        .and_then(|()| audit(&world, &show));
    if outcome.is_ok() {
        summary(&world, &show)?;
    }
    if keep {
        world.keep_running();
        folder::note(&dir, &world.process_ids())?;
        look_around(&world);
    }
    outcome
}

/// An image assembled from the programs of this build, different for each version.
fn image(dir: &Path, version: &str) -> anyhow::Result<PathBuf> {
    let path = dir.join(format!("firmware-{version}.img"));
    let mut bytes = format!("CardiacMonitor-X200 firmware {version}\n").into_bytes();
    for name in ["mdfm-agent", "mdfm-sim", "mdfm-coordinator", "mdfmctl"].into_iter().cycle() {
        if bytes.len() >= IMAGE_BYTES {
            break;
        }
        bytes.extend(std::fs::read(program(name)?)?);
    }
    bytes.truncate(IMAGE_BYTES);
    std::fs::File::create(&path)?.write_all(&bytes)?;
    Ok(path)
}

fn submit(world: &World, show: &Show, id: &str, version: &str, release: u64, probation_s: f64) -> anyhow::Result<()> {
    let image = image(&world.dir, version)?;
    let view = world.upload(id, version, release, &image, probation_s)?;
    show.line(&format!("{id} uploaded: {} bytes, SHA-256 {}", view["imageBytes"], show::text(&view["imageSha256"])));
    for role in Role::APPROVERS {
        let view = world.approve(id, role)?;
        let last = view["approvals"].as_array().and_then(|a| a.iter().find(|a| a["userId"] == role.user()));
        let meaning = last.map(|a| show::text(&a["meaning"])).unwrap_or_default();
        show.line(&format!("{} signed: \"{meaning}\"; {id} is {}", role.printed_name(), show::text(&view["status"])));
    }
    Ok(())
}

/// Starts a progressive deployment with a pilot hospital, and says how to look at it.
fn deploy(world: &World, show: &Show, firmware: &str, pilot: usize) -> anyhow::Result<String> {
    let id = world.deploy(firmware, &World::progressive(&hospital_id(pilot), "PT3S"))?;
    show.line(&format!("deployment {id} is started; look at it with: mdfmctl watch {id} --follow"));
    Ok(id)
}

fn follow(world: &World, show: &Show, id: &str, wanted: &str, limit: Duration) -> anyhow::Result<Value> {
    let mut last = String::new();
    wait_for(&format!("deployment {id} to be {wanted}"), limit, || {
        let view = world.deployment(id)?;
        show.progress(&view, &mut last);
        if world.validate_if_due(id, &view)? {
            show.line("gate held; the named role signed the validation");
        }
        Ok((view["status"]["name"] == wanted).then_some(view))
    })
}

fn first_release(world: &World, show: &Show) -> anyhow::Result<()> {
    show.title("First release: 2.2.0, approved by three people, rolled out 10 % -> 50 % -> 100 %");
    submit(world, show, "FW-2.2.0", "2.2.0", 22, 3.0)?;
    let id = deploy(world, show, "FW-2.2.0", 1)?;
    follow(world, show, &id, "completed", Duration::from_secs(240))?;
    expect_versions(world, |_, _| "2.2.0")
}

fn second_release(world: &World, show: &Show) -> anyhow::Result<()> {
    let failing = device_id(FAILS_SECOND.0, FAILS_SECOND.1);
    show.title(&format!(
        "Second release: 2.3.0 makes {failing} fail on trial; expected: local rollback, pilot rolled back"
    ));
    submit(world, show, "FW-2.3.0", "2.3.0", 23, 4.0)?;
    let id = deploy(world, show, "FW-2.3.0", FAILS_SECOND.0)?;
    let view = follow(world, show, &id, "rolledBack", Duration::from_secs(120))?;
    ensure!(device_field(&view, &failing, "state") == Some("rolledBack".into()), "{failing} was not rolled back");
    let touched = view["devices"].as_array().into_iter().flatten().filter(|d| !d["state"].is_null()).count();
    ensure!(touched == DEVICES, "{touched} devices were touched, only the {DEVICES} of the pilot may be");
    expect_versions(world, |_, _| "2.2.0")
}

fn third_release(world: &mut World, show: &Show) -> anyhow::Result<()> {
    let (h, d) = FAILS_THIRD;
    let failing = device_id(h, d);
    show.title(&format!(
        "Third release: 2.4.0; the coordinator is killed while {failing} is on trial, then {failing} fails"
    ));
    submit(world, show, "FW-2.4.0", "2.4.0", 24, 10.0)?;
    let id = deploy(world, show, "FW-2.4.0", h)?;
    let mut last = String::new();
    wait_for("the device to be on trial", Duration::from_secs(60), || {
        let view = world.deployment(&id)?;
        show.progress(&view, &mut last);
        Ok((device_field(&view, &failing, "state") == Some("probation".into())).then_some(()))
    })?;
    world.kill_coordinator();
    show.line("coordinator killed (kill -9); the gateways are on their own");
    let started = Instant::now();
    wait_for("the device to return without a coordinator", Duration::from_secs(60), || {
        Ok((world.boot_record(h, d)? == ("2.2.0".to_owned(), true) && returned(world, h, &failing)?).then_some(()))
    })?;
    show.line(&format!(
        "{failing} is back on 2.2.0 by its gateway's own decision, {:.1} s after the coordinator was cut off",
        started.elapsed().as_secs_f64()
    ));
    world.start_coordinator()?;
    show.line("coordinator started again; telemetry of the time without it arrives");
    let view = follow(world, show, &id, "rolledBack", Duration::from_secs(120))?;
    ensure!(device_field(&view, &failing, "state") == Some("rolledBack".into()), "the rollback was not reported");
    expect_versions(world, |_, _| "2.2.0")
}

/// Whether the agent's own journal output says that the rollback is complete.
fn returned(world: &World, h: usize, device: &str) -> anyhow::Result<bool> {
    let log = std::fs::read_to_string(world.dir.join(format!("logs/agent-{h:03}.log")))?;
    Ok(log.lines().any(|l| l.contains(device) && l.contains("rolled back: ") && l.contains("ALM-03")))
}

/// Every device must run, permanently and by its own boot record, what is expected, and the coordinator must know it.
fn expect_versions(world: &World, expected: impl Fn(usize, usize) -> &'static str) -> anyhow::Result<()> {
    wait_for("every device to settle where it belongs", Duration::from_secs(30), || {
        let devices = world.device_list()?;
        for h in 1..=HOSPITALS {
            for d in 1..=DEVICES {
                let wanted = expected(h, d);
                let known = devices.iter().find(|v| v["deviceId"] == device_id(h, d).as_str());
                let known = known.map(|v| show::text(&v["currentFirmwareVersion"])).unwrap_or_default();
                if world.boot_record(h, d)? != (wanted.to_owned(), true) || known != wanted {
                    return Ok(None);
                }
            }
        }
        Ok(Some(()))
    })
}

fn audit(world: &World, show: &Show) -> anyhow::Result<()> {
    show.title("The audit log, verified offline on a copy, knowing only the log's public key");
    let copy = world.dir.join("audit-copy");
    let vkey = world.data().join("log.vkey").display().to_string();
    let exported = world.ctl(Role::Auditor, &["audit", "export", &copy.display().to_string()])?;
    show.line(&format!("{} entries exported", exported["entries"]));
    let verified = world.offline(&["audit", "verify", &copy.display().to_string(), "--key", &vkey])?;
    show.line(&format!(
        "verified: root {}, {} telemetry batches signed and chained by {} gateways",
        show::text(&verified["root"]),
        verified["batches"],
        verified["gateways"]
    ));
    ensure!(verified["gateways"] == HOSPITALS, "every gateway must appear in the log");
    let segment = copy.join(format!("{:020}.log", 0));
    let mut bytes = std::fs::read(&segment)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes)?;
    let error = world
        .offline(&["audit", "verify", &copy.display().to_string(), "--key", &vkey])
        .err()
        .context("a flipped bit must be found")?;
    show.line(&format!("one bit of the copy flipped: {error}"));
    Ok(())
}

fn summary(world: &World, show: &Show) -> anyhow::Result<()> {
    show.title("Summary");
    output::line(format_args!(
        "{:<12} {:<9} {:<10} {:<11} {:>18}",
        "DEVICE", "HOSPITAL", "FIRMWARE", "STATE", "SECONDS TO RETURN"
    ));
    for device in world.device_list()? {
        let seconds = device["rollbackMs"].as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{:.2}", ms / 1_000.0));
        output::line(format_args!(
            "{:<12} {:<9} {:<10} {:<11} {:>18}",
            show::text(&device["deviceId"]),
            show::text(&device["hospitalId"]),
            show::text(&device["currentFirmwareVersion"]),
            show::text(&device["installState"]),
            seconds
        ));
    }
    show.line("every expected end state was observed. What was proved:");
    for proved in [
        "three people approved each release before any gateway took it",
        "a device that failed on trial went back by its own gateway, also without a coordinator",
        "a failed pilot rolled back the pilot and reached no other hospital",
        "the copy of the audit log verifies offline, and one flipped bit is found",
    ] {
        show.line(&format!("  {proved}"));
    }
    Ok(())
}

fn look_around(world: &World) {
    let ctl = program("mdfmctl").map(|p| p.display().to_string()).unwrap_or_default();
    let session = world.session(Role::Operator);
    output::line("");
    output::line(format_args!("Everything is still running in {}:", world.dir.display()));
    output::line(format_args!("  {ctl} --session {session} devices list"));
    output::line(format_args!("  {ctl} --session {session} audit search --limit 20"));
    output::line(format_args!(
        "  tail -f {}/logs/agent-001.log        (gateway {})",
        world.dir.display(),
        gateway_id(1)
    ));
    output::line(format_args!("  touch {}/in-use     (a patient is connected)", world.device_dir(3, 1).display()));
    output::line(format_args!("The console for people is at https://127.0.0.1:{}/console", world.port));
    output::line("  The browser warns, because the certificate is of the demonstration's own authority.");
    output::line("  Sign in as operator, clinical, qa, regulatory, auditor or admin.");
    output::line(format_args!("  The password is in {}/password.", world.dir.display()));
    output::line(format_args!(
        "  In place of a code enter a line of {}/sessions/USER.recovery; each opens once.",
        world.dir.display()
    ));
    output::line("End it with:");
    let demo = std::env::current_exe().map_or_else(|_| "mdfm-demo".to_owned(), |path| path.display().to_string());
    output::line(format_args!("  {demo} stop {}", world.dir.display()));
}
