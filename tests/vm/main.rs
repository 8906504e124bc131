//! Loss of power as a gateway meets it: the real agent with two devices in a virtual machine on ext4, two installations and a rollback. The first run puts
//! down every write and flush of the disk; each further run begins with what a loss of power at a random moment could have left on it, and must
//! end where the first did. Run by `make test-vm`, which brings QEMU and a kernel (CUTS=n MDFM_SEED=n).
//!
//! `mdfm-test-vm KERNEL` with a folder in which a kernel package was unpacked; with numbers of cuts behind it and the same `MDFM_SEED` it repeats those of the last run.

#![expect(clippy::print_stdout, reason = "a tester prints what it found")]

mod block_log;
mod machine;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use block_log::{BlockLog, Loss};
use machine::{Disk, Machine, run, tail};
use mdfm_shared::bundle::{Header, PREFIX_BYTES};
use mdfm_shared::digest::Digest;
use mdfm_shared::sign::Signed;
use mdfm_shared::telemetry::TelemetryBatch;
use mdfm_tests::{Checked, Kind, Layout, Role, World, device_id, gateway_id, hospital_id, program, wait_for};
use serde_json::{Value, json};

/// Bytes of the gateway's disk.
const DISK_BYTES: u64 = 96 << 20;
/// How long one run may take; without a loss of power it takes half a minute where the processor is emulated.
const RUN_MAX: Duration = Duration::from_secs(900);
/// What runs after each step of the story, the first before any.
const VERSIONS: [&str; 4] = ["2.1.0", "2.2.0", "2.3.0", "2.2.0"];

fn main() -> anyhow::Result<()> {
    let kernel = PathBuf::from(std::env::args().nth(1).context("the folder of a kernel is the first argument")?);
    let number = |name: &str, default: u64| std::env::var(name).map_or(Ok(default), |text| text.parse());
    let cuts = usize::try_from(number("CUTS", 200)?)?;
    let seed = number("MDFM_SEED", u64::from(std::process::id()))?;
    let dir = std::env::current_dir()?.join("target/vm");
    let repeated = std::env::args().skip(2).map(|cut| cut.parse()).collect::<Result<Vec<u64>, _>>()?;
    if repeated.is_empty() && dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    let gateway = if repeated.is_empty() { Gateway::install(&dir)? } else { Gateway::installed(&dir)? };
    let programs = [program("mdfm-agent")?, program("mdfm-sim")?];
    let machine = Machine::make(&dir, &kernel, &programs, &gateway.script())?;
    println!("guests run on {}", if machine.is_native { "the processor (KVM)" } else { "an emulated processor" });

    let (first, log) = (dir.join("first.img"), dir.join("first.log"));
    let started = Instant::now();
    if repeated.is_empty() {
        std::fs::copy(&gateway.disk, &first)?;
        std::fs::File::create(&log)?;
        let said = machine.run(Disk::Logged(&first, &log), RUN_MAX, |_| false)?;
        ensure!(said.contains("VM END"), "the story does not end without a loss of power:\n{}", tail(&said));
        gateway.check(&first, &dir.join("first"), &said).context("without a loss of power")?;
    }
    let log = BlockLog::open(&log)?;
    for cut in &repeated {
        let (loss, step) = gateway.cut(&machine, &log, &dir.join(format!("cut-{cut}")), seed, *cut)?;
        println!("cut {cut} ended well after step {step}: {loss:?}, {:.0} s", started.elapsed().as_secs_f64());
    }
    if !repeated.is_empty() {
        return Ok(());
    }
    let (writes, flushes) = (log.len(), log.flushes());
    println!(
        "without a loss of power: {:.0} s, {writes} writes, {flushes} of them flushes",
        started.elapsed().as_secs_f64()
    );

    println!("{cuts} losses of power, MDFM_SEED={seed}");
    let (next, bad) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let sum = Mutex::new((Loss::default(), BTreeMap::<usize, usize>::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let cut = next.fetch_add(1, Ordering::Relaxed);
                    if cut >= cuts {
                        return;
                    }
                    let folder = dir.join(format!("cut-{cut}"));
                    match gateway.cut(&machine, &log, &folder, seed, cut as u64) {
                        Ok((loss, step)) => {
                            let mut sum = sum.lock().expect("no thread panics");
                            sum.0.kept += loss.kept;
                            sum.0.lost += loss.lost;
                            sum.0.torn += loss.torn;
                            *sum.1.entry(step).or_default() += 1;
                        }
                        Err(error) => {
                            println!("cut {cut}: {error:#}");
                            bad.lock().expect("no thread panics").push(cut);
                        }
                    }
                    if (cut + 1) % 10 == 0 {
                        println!("{} of {cuts} after {:.0} s", cut + 1, started.elapsed().as_secs_f64());
                    }
                }
            });
        }
    });
    let (loss, steps) = sum.into_inner().expect("no thread panics");
    let (kept, lost, torn) = (loss.kept, loss.lost, loss.torn);
    println!("writes in flight: {kept} kept, {lost} lost, {torn} torn");
    println!("steps that had ended when the power went: {steps:?}");
    let bad = bad.into_inner().expect("no thread panics");
    ensure!(
        bad.is_empty(),
        "{} of {cuts} losses of power ended badly: {bad:?}; their files are in {}",
        bad.len(),
        dir.display()
    );
    println!("{cuts} of {cuts} ended on the right firmware, with all that had been reported");
    Ok(())
}

/// A gateway before its story: its disk, and what must stand on it at the end.
struct Gateway {
    world: PathBuf,
    /// Where devices that speak MQTT find the agent, quoted.
    broker: String,
    /// An ext4 file system with the agent's state, the devices and three bundles.
    disk: PathBuf,
    /// SHA-256 of the release that runs at the end.
    last: Digest,
    devices: Vec<String>,
}

impl Gateway {
    /// A coordinator with a gateway and two devices, one whose images lie on the gateway and one that speaks MQTT; the gateway's line is cut, and what the
    /// vendor wants of it stands in bundles.
    fn install(dir: &Path) -> anyhow::Result<Self> {
        let world_dir = dir.join("world");
        let layout = Layout {
            hospitals: 1,
            devices: 2,
            kinds: BTreeMap::from([(device_id(1, 1), Kind::Slots(1))]),
            ..Layout::default()
        };
        let mut world = World::start(&world_dir, layout)?;
        let agent = |arguments: &[&str]| -> anyhow::Result<Value> {
            let mut command = Command::new(program("mdfm-agent")?);
            command.arg("--config").arg(world_dir.join("agent-001.toml")).arg("--json").args(arguments);
            Ok(serde_json::from_slice(&command.checked_output()?.stdout).unwrap_or_default())
        };
        let ready = || {
            let status = agent(&["status"])?;
            let adopted = |d| Ok::<_, anyhow::Error>(agent(&["device", &device_id(1, d)])?["state"] == "idle");
            Ok((status["outboxDepth"] == 0 && adopted(1)? && adopted(2)?).then_some(status["checkpointSize"].clone()))
        };
        let known = wait_for("the devices to be adopted, and reported", Duration::from_secs(60), ready)?;
        for d in 1..=2 {
            world.kill_device(1, d);
        }
        world.kill_agent(1);

        let images: Vec<PathBuf> = (0..2).map(|i| dir.join(format!("image-{i}"))).collect();
        for (i, image) in images.iter().enumerate() {
            std::fs::write(
                image,
                (0..1_000_001_usize).map(|at| (at % 251) as u8 ^ (i as u8 + 7)).collect::<Vec<u8>>(),
            )?;
        }
        let plan = World::progressive(&hospital_id(1), "PT0S");
        let bundle = |world: &World, n: usize, from: &str| -> anyhow::Result<String> {
            let file = world_dir.join(format!("bundle-{n}"));
            let out = file.display().to_string();
            world.ctl(Role::Operator, &["bundle", "export", &gateway_id(1), "--out", &out, "--log-size", from])?;
            let header = header(&std::fs::read(file)?)?;
            // A directive alone needs no newer checkpoint.
            Ok(header.proofs.iter().map(|proof| proof.new).max().map_or(from.to_owned(), |size| size.to_string()))
        };
        world.release("FW-2.2.0", "2.2.0", 22, &images[0], 1.0)?;
        let one = world.deploy("FW-2.2.0", &plan)?;
        let at = bundle(&world, 1, &known.to_string())?;
        world.release("FW-2.3.0", "2.3.0", 23, &images[1], 1.0)?;
        let two = world.deploy_instead("FW-2.3.0", &plan, &one)?;
        let at = bundle(&world, 2, &at)?;
        world.ctl(Role::Operator, &["rollback", &two, "--reason", "reported by a ward", "--yes"])?;
        bundle(&world, 3, &at)?;

        let staging = dir.join("staging");
        std::fs::create_dir_all(&staging)?;
        let mut copy = Command::new("cp");
        copy.arg("-a").arg("--").args((1..=3).map(|n| world_dir.join(format!("bundle-{n}"))));
        copy.arg(world_dir.join("agent-001.toml")).arg(world.agent_state(1));
        copy.arg(world.device_dir(1, 1)).arg(world.device_dir(1, 2));
        copy.arg(world_dir.join(format!("{}.secret", device_id(1, 2))));
        run(copy.arg(&staging))?;
        let disk = dir.join("gateway.img");
        std::fs::File::create(&disk)?.set_len(DISK_BYTES)?;
        run(Command::new("mkfs.ext4").arg("-q").arg("-d").arg(&staging).arg(&disk))?;
        Self::installed(dir)
    }

    /// The gateway that `install` made in `dir`.
    fn installed(dir: &Path) -> anyhow::Result<Self> {
        let config = std::fs::read_to_string(dir.join("staging/agent-001.toml")).context("no run to repeat")?;
        let broker =
            config.lines().find_map(|line| line.strip_prefix("device_listen = ")).context("a port for devices")?;
        Ok(Self {
            world: dir.join("world"),
            broker: broker.to_owned(),
            disk: dir.join("gateway.img"),
            last: Digest::of(&std::fs::read(dir.join("image-0"))?),
            devices: vec![device_id(1, 1), device_id(1, 2)],
        })
    }

    /// What the virtual machine carries out.
    fn script(&self) -> String {
        let world = self.world.display().to_string();
        let broker = &self.broker;
        let [slots, mqtt] = [&self.devices[0], &self.devices[1]];
        let started = format!(
            "mdfm-sim bedside --agent /bin/mdfm-agent --config {world}/agent-001.toml --id {slots} --dir {world}/{slots} --boot-ms 200 >/tmp/{slots}.log 2>&1 &\n\
             mdfm-sim device --dir {world}/{mqtt} --id {mqtt} --broker {broker} --secret-file {world}/{mqtt}.secret --serial SN-001-2 --boot-ms 200 >/tmp/{mqtt}.log 2>&1 &"
        );
        let script = include_str!("guest.sh").replace("@WORLD@", &world).replace("@DEVICES@", &started);
        script.replace("@IDS@", &self.devices.join(" "))
    }

    /// One loss of power and the run after it; gives what was lost, and how many steps had ended.
    fn cut(
        &self,
        machine: &Machine,
        log: &BlockLog,
        folder: &Path,
        seed: u64,
        cut: u64,
    ) -> anyhow::Result<(Loss, usize)> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder)?;
        let disk = folder.join("disk.img");
        std::fs::copy(&self.disk, &disk)?;
        let mut dice = Dice(Digest::of(json!([seed, cut]).to_string().as_bytes()));
        let end = usize::try_from(dice.below(log.len() as u64))? + 1;
        let loss = log.lose_power(&disk, end, |below| dice.below(below))?;
        let said = machine
            .run(Disk::Plain(&disk), RUN_MAX, |_| false)
            .with_context(|| format!("after a loss of power at write {end} of {}", log.len()))?;
        ensure!(said.contains("VM END"), "after a loss of power at write {end}:\n{}", tail(&said));
        let step = self.check(&disk, &folder.join("files"), &said).with_context(|| format!("after write {end}"))?;
        std::fs::remove_dir_all(folder)?;
        Ok((loss, step))
    }

    /// Whether the disk holds what it must at the end; gives how many steps had ended when the run began.
    fn check(&self, disk: &Path, files: &Path, said: &str) -> anyhow::Result<usize> {
        let began = said.lines().find_map(|line| line.strip_prefix("VM AT ")).context("what the devices ran first")?;
        let (step, devices) = began.trim().split_once(' ').context("a step and what runs")?;
        let step: usize = step.parse().context("a step")?;
        // The step whose end was durable, or the next one, in which the power went.
        let good = &VERSIONS[step..(step + 2).min(VERSIONS.len())];
        let runs: Vec<&str> = devices.split(' ').skip(1).step_by(2).collect();
        ensure!(runs.len() == 2 && runs.iter().all(|v| good.contains(v)), "after step {step} of the story: {devices}");

        run(Command::new("e2fsck").arg("-fn").arg(disk))?;
        std::fs::create_dir_all(files)?;
        run(Command::new("debugfs").arg("-R").arg(format!("rdump / {}", files.display())).arg(disk))?;
        let slots = files.join(&self.devices[0]);
        let record: Value = serde_json::from_slice(&std::fs::read(slots.join("boot.json"))?)?;
        let active = record["active"].as_str().unwrap_or("A").to_lowercase();
        let image = std::fs::read(slots.join(format!("main-{active}")))?;
        ensure!(
            Digest::of(&image) == self.last && record["trial"].is_null(),
            "the slot that runs at the end: {record}"
        );

        let end = telemetry(&files.join("telemetry-end"))?;
        check_chain(&end)?;
        for step in 1..VERSIONS.len() {
            let before = telemetry(&files.join(format!("telemetry-{step}")))?;
            let lost = before.iter().filter(|batch| !end.contains(batch)).count();
            ensure!(lost == 0, "{lost} batches of telemetry that step {step} had handed out are gone");
        }
        Ok(step)
    }
}

/// The header of a bundle.
fn header(bytes: &[u8]) -> anyhow::Result<Header> {
    let prefix = bytes.first_chunk::<PREFIX_BYTES>().context("a bundle")?;
    let len = mdfm_shared::bundle::header_len(prefix)?;
    Ok(Header::decode(bytes.get(PREFIX_BYTES..PREFIX_BYTES + len).context("a whole bundle")?)?)
}

/// The batches in an exported file, as they were signed.
fn telemetry(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    header(&bytes)?.documents.iter().map(|document| Ok(STANDARD.decode(&document.payload)?)).collect()
}

/// Each batch follows the one before.
fn check_chain(batches: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut last: Option<(u64, u64)> = None;
    for frame in batches {
        let signed: Signed<TelemetryBatch> = mdfm_shared::wire::decode(frame)?;
        let batch = signed.decode_unverified()?;
        if let Some((epoch, sequence)) = last.replace((batch.epoch, batch.sequence)) {
            let follows = (batch.epoch == epoch && batch.sequence == sequence + 1)
                || (batch.epoch > epoch && batch.sequence == 1);
            if !follows {
                bail!("telemetry {epoch}.{sequence} is followed by {}.{}", batch.epoch, batch.sequence);
            }
        }
    }
    ensure!(last.is_some(), "no telemetry");
    Ok(())
}

/// Numbers that a seed decides.
struct Dice(Digest);

impl Dice {
    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = Digest::of(&self.0.0);
        let bytes = self.0.0.first_chunk::<8>().expect("a digest has 32 bytes");
        u64::from_le_bytes(*bytes) % bound.max(1)
    }
}
