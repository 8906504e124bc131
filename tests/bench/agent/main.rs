//! The agent beside its floor: an image into a slot against hashing and writing the same bytes, an idle gateway, and how soon a bad device
//! is back; patches beside those of other tools. Prints the tables of `docs/benchmarks.md`.
//!
//! `MIB`, `ROUNDS`, `DEVICES`, `SECONDS` change the size; `ONLY=install|idle|rollback|delta` runs one part.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod delta;
mod measure;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use mdfm_tests::{Kind, Layout, World, device_id, hospital_id, program, wait_for};
use serde_json::Value;

use measure::{Seen, timed};

fn number(name: &str, default: u64) -> anyhow::Result<u64> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("{name}={text} is no number")))
}

fn main() -> anyhow::Result<()> {
    let root = std::env::current_dir()?.join("target/bench-agent");
    if root.exists() {
        std::fs::remove_dir_all(&root).with_context(|| format!("removing {}", root.display()))?;
    }
    std::fs::create_dir_all(&root)?;
    let only = std::env::var("ONLY").ok();
    let is_on = |part: &str| only.as_deref().is_none_or(|only| only == part);
    println!("| what | target | measured | beside it |\n|---|---|---|---|");
    if is_on("install") {
        install(&root.join("install"), number("MIB", 256)?, number("ROUNDS", 3)?)?;
    }
    if is_on("idle") {
        idle(&root.join("idle"), number("SECONDS", 30)?)?;
    }
    if is_on("rollback") {
        roll_back(&root.join("rollback"), usize::try_from(number("DEVICES", 20)?)?)?;
    }
    if is_on("delta") {
        delta::compare(&root.join("delta"))?;
    }
    std::fs::remove_dir_all(root)?;
    Ok(())
}

fn agent(dir: &Path, arguments: &[&str]) -> anyhow::Result<Value> {
    let config = dir.join("agent-001.toml").display().to_string();
    let output = Command::new(program("mdfm-agent")?).args(["--config", &config, "--json"]).args(arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn milliseconds(at: &str) -> anyhow::Result<u64> {
    let time: jiff::Timestamp = at.parse()?;
    Ok(u64::try_from(time.as_millisecond())?)
}

/// When a device entered a state, in milliseconds since 1970, as its gateway recorded it.
fn entered(dir: &Path, device: &str, state: &str, version_after: u64) -> anyhow::Result<Option<u64>> {
    let logs = agent(dir, &["logs", "--device", device, "--limit", "2000"])?;
    for event in logs.as_array().into_iter().flatten() {
        let at = milliseconds(event["at"].as_str().unwrap_or_default())?;
        if at > version_after && event["detail"].as_str().is_some_and(|d| d.to_lowercase().starts_with(state)) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn random_image(path: &Path, mib: u64, seed: u64) -> anyhow::Result<()> {
    let mut state = seed.wrapping_mul(2) + 1;
    let words = (mib << 20) / 8;
    let mut bytes = Vec::with_capacity(usize::try_from(mib << 20)?);
    for _ in 0..words {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    Ok(std::fs::write(path, bytes)?)
}

/// One installation and its floor: wall and processor time, in seconds.
struct Round {
    agent: (f64, f64),
    hash: (f64, f64),
    write: (f64, f64),
}

fn install(dir: &Path, mib: u64, rounds: u64) -> anyhow::Result<()> {
    let device = device_id(1, 1);
    let kinds = [(device.clone(), Kind::Slots(1))].into();
    let world = World::start(dir, Layout { hospitals: 1, devices: 1, kinds, ..Layout::default() })?;
    let seen = Seen(world.agent_pid(1)?);
    let floor_slot = dir.join("floor-slot");
    let mut rows = Vec::new();
    for round in 1..=rounds {
        let image = dir.join(format!("image-{round}"));
        random_image(&image, mib, round)?;
        // The slot is there, as a partition is: what is measured is writing into it.
        let slot = world.device_dir(1, 1).join(if round % 2 == 1 { "main-b" } else { "main-a" });
        for path in [&slot, &floor_slot] {
            if std::fs::metadata(path).map_or(0, |m| m.len()) < mib << 20 {
                std::fs::copy(&image, path)?;
            }
        }
        timed(&mut Command::new("sync"))?;
        let release = 20 + round;
        let (id, version) = (format!("FW-3.{round}.0"), format!("3.{round}.0"));
        world.release(&id, &version, release, &image, 1.0)?;
        let (hash, write) = (
            timed(Command::new("openssl").args(["dgst", "-sha256"]).arg(&image))?,
            timed(
                Command::new("dd")
                    .arg(format!("if={}", image.display()))
                    .arg(format!("of={}", floor_slot.display()))
                    .args(["bs=1M", "conv=fdatasync,notrunc"]),
            )?,
        );
        let (cpu, began) = (seen.cpu_s()?, milliseconds(&jiff::Timestamp::now().to_string())?);
        let deployment = world.deploy(&id, &World::progressive(&hospital_id(1), "PT0S"))?;
        let staged =
            wait_for("the slot to be written", Duration::from_secs(120), || entered(dir, &device, "staged", began))?;
        let used = seen.cpu_s()? - cpu;
        let staging = entered(dir, &device, "staging", began)?.context("staging was recorded")?;
        wait_for("the device to confirm", Duration::from_secs(120), || {
            let view = world.deployment(&deployment)?;
            world.validate_if_due(&deployment, &view)?;
            Ok((view["status"]["name"] == "completed").then_some(()))
        })?;
        let wall = (staged - staging) as f64 / 1e3;
        rows.push(Round { agent: (wall, used), hash, write });
        std::fs::remove_file(image)?;
    }
    let texts =
        |of: &dyn Fn(&Round) -> f64| rows.iter().map(|r| format!("{:.2}", of(r))).collect::<Vec<_>>().join(", ");
    println!(
        "| {mib} MiB from the coordinator over TLS into a slot, wall, s | ≤ 1.25 × the larger | {} ({} ×) | openssl {}; dd {} |",
        texts(&|r| r.agent.0),
        texts(&|r| r.agent.0 / r.hash.0.max(r.write.0)),
        texts(&|r| r.hash.0),
        texts(&|r| r.write.0)
    );
    println!(
        "| the same, processor time of the agent, s | ≤ 1.3 × their sum | {} ({} ×) | openssl {}; dd {} |",
        texts(&|r| r.agent.1),
        texts(&|r| r.agent.1 / (r.hash.1 + r.write.1)),
        texts(&|r| r.hash.1),
        texts(&|r| r.write.1)
    );
    println!("| the same, peak memory of the agent, MiB | ≤ 12 | {:.1} | |", seen.kib("VmHWM")? as f64 / 1024.0);
    Ok(())
}

fn idle(dir: &Path, seconds: u64) -> anyhow::Result<()> {
    let world = World::start(dir, Layout { hospitals: 1, devices: 20, ..Layout::default() })?;
    wait_for("all devices to attach", Duration::from_secs(60), || {
        Ok(agent(dir, &["status"]).is_ok_and(|s| s["devicesAttached"] == 20).then_some(()))
    })?;
    std::thread::sleep(Duration::from_secs(5));
    let seen = Seen(world.agent_pid(1)?);
    let (cpu, sleeps) = (seen.cpu_s()?, seen.sleeps()?);
    std::thread::sleep(Duration::from_secs(seconds));
    let per_second = |n: f64| n / seconds as f64;
    let (cpu, sleeps) = (per_second(seen.cpu_s()? - cpu), per_second((seen.sleeps()? - sleeps) as f64));
    println!(
        "| idle with 20 devices that report twice a second, memory, MiB | ≤ 10 | {:.1} | |",
        seen.kib("VmRSS")? as f64 / 1024.0
    );
    println!("| the same, share of a core | < 1 % | {:.2} % | |", cpu * 100.0);
    println!(
        "| the same, times a second that a thread sleeps and wakes | a few | {sleeps:.0} | 40 reports a second come in |"
    );
    let binary = std::fs::metadata(program("mdfm-agent")?)?.len();
    println!("| the program, stripped, MiB | ≤ 12 | {:.1} | |", binary as f64 / f64::from(1 << 20));
    Ok(())
}

/// The time of the first line with `words` behind `after`, in milliseconds since 1970.
fn line_after(log: &Path, words: &str, after: u64) -> anyhow::Result<Option<u64>> {
    for line in std::fs::read_to_string(log)?.lines().filter(|l| l.contains(words)) {
        let at =
            line.split_once("20").map(|(_, rest)| format!("20{}", rest.split(['Z', ' ']).next().unwrap_or_default()));
        let at = milliseconds(&format!("{}Z", at.context("a time in the log")?))?;
        if at > after {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn roll_back(dir: &Path, devices: usize) -> anyhow::Result<()> {
    let script = "[[fault]]\nfirmware = \"2.3.0\"\nkind = \"error\"\nafter_ms = 2000\ncode = \"ECG-17\"\n";
    let scripts: BTreeMap<String, String> = (1..=devices).map(|d| (device_id(1, d), script.to_owned())).collect();
    let world = World::start(dir, Layout { hospitals: 1, devices, scripts, boot_ms: 1_000, ..Layout::default() })?;
    wait_for("all devices to attach", Duration::from_secs(180), || {
        Ok(agent(dir, &["status"]).is_ok_and(|s| s["devicesAttached"] == devices).then_some(()))
    })?;
    let image = dir.join("image");
    random_image(&image, 1, 1)?;
    world.release("FW-2.3.0", "2.3.0", 23, &image, 60.0)?;
    let began = milliseconds(&jiff::Timestamp::now().to_string())?;
    // The gateway decides alone: nobody else calls a device back before it has failed.
    let mut plan = World::progressive(&hospital_id(1), "PT0S");
    for phase in plan["phases"].as_array_mut().into_iter().flatten() {
        phase["maxErrorRatePercent"] = 100.into();
    }
    world.deploy("FW-2.3.0", &plan)?;
    let (mut ordered, mut back) = (Vec::new(), Vec::new());
    for d in 1..=devices {
        let log: PathBuf = dir.join(format!("logs/{}.log", device_id(1, d)));
        let (fault, order, up) = wait_for("a device to be back", Duration::from_secs(180), || {
            let Some(fault) = line_after(&log, "fault", began)? else { return Ok(None) };
            let Some(order) = line_after(&log, "rebooting", fault)? else { return Ok(None) };
            let Some(up) = entered(dir, &device_id(1, d), "rolledback", fault)? else { return Ok(None) };
            Ok(Some((fault, order, up)))
        })?;
        ordered.push(order - fault);
        back.push(up - fault);
    }
    let at = |times: &mut Vec<u64>, share: f64| {
        times.sort_unstable();
        times[((times.len() as f64 * share).ceil() as usize).saturating_sub(1)]
    };
    let [o50, o99, b99] = [at(&mut ordered, 0.5), at(&mut ordered, 0.99), at(&mut back, 0.99)];
    println!(
        "| {devices} devices: from the error at the device to the order to go back obeyed there, ms | p99 ≤ 100 | p50 {o50}, p99 {o99} | |"
    );
    println!(
        "| the same, to the last good firmware reported running by the gateway, ms; a boot takes 1,000 | ≤ 5,000 | p99 {b99} | |"
    );
    Ok(())
}
