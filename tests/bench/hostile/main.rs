//! What everybody else notices of an attack: heartbeats, sign-ins and pauses while strangers, a signed-in nurse and a gateway flood the one port of a
//! coordinator, beside the same in quiet. Networks are addresses of loopback. Prints the table of `docs/benchmarks.md`.
//!
//! `SECONDS` is the time of each attack, `ONLY` names one; `CHECK=1` makes a missed target an error.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod floods;
mod peer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::telemetry::Heartbeat;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::wire::{self, Topic, mqtt};
use mdfm_tests::{Layout, Role, Session, World, gateway_id, hospital_id, wait_for};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use floods::Flood;
use peer::{Gateway, Target, http};

/// A target that is met at this time whatever quiet is.
const FLOOR: Duration = Duration::from_millis(50);

/// What was measured while one thing went on.
struct Column {
    name: &'static str,
    heartbeat: Vec<Duration>,
    sign_in: Vec<Duration>,
    pause: Vec<Duration>,
    failed: u64,
    memory_mib: f64,
    processor_s: f64,
    records: u64,
    attacks: u64,
}

fn number(name: &str, default: u64) -> anyhow::Result<u64> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("{name}={text} is no number")))
}

fn at(took: &mut [Duration], share: f64) -> Duration {
    took.sort_unstable();
    let last = took.len().saturating_sub(1);
    took.get(((took.len() as f64 * share) as usize).min(last)).copied().unwrap_or_default()
}

fn main() -> anyhow::Result<()> {
    let seconds = number("SECONDS", 20)?;
    let only = std::env::var("ONLY").ok();
    let dir = std::env::current_dir()?.join("target/bench-hostile");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    let mut world = World::start(&dir, Layout { hospitals: 2, devices: 1, ..Layout::default() })?;
    world.add_staff("nurse", &hospital_id(2))?;
    // Somebody without a second factor: codes count once each half a minute.
    let password = dir.join("password").display().to_string();
    let hospital = hospital_id(1);
    let new = ["--role", "HospitalStaff", "--hospital", &hospital, "--password-file", &password];
    world.ctl(Role::Admin, &[&["users", "add", "ward", "--name", "Ward"][..], &new].concat())?;
    let image = dir.join("firmware.img");
    std::fs::write(&image, vec![7; 100_000])?;
    world.release("FW-2.2.0", "2.2.0", 22, &image, 3_600.0)?;
    let deployment = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT1H"))?;
    wait_for("the deployment to run", Duration::from_secs(60), || {
        Ok((world.deployment(&deployment)?["status"]["name"] == "running").then_some(()))
    })?;
    // Their identities speak for them from here on.
    world.kill_agent(1);
    world.kill_agent(2);
    let bench = Arc::new(Bench::new(&world, &dir, deployment)?);
    // The tests' own addresses would be short of places and tries: each measurement comes from a network of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut columns = vec![runtime.block_on(bench.measure("quiet", None, seconds))?];
    for flood in Flood::ALL {
        if only.as_ref().is_none_or(|only| only == flood.name()) {
            columns.push(runtime.block_on(bench.measure(flood.name(), Some(flood), seconds))?);
            // What the attack left is not counted for the next one.
            std::thread::sleep(Duration::from_secs(2));
        }
    }
    let missed = print(&mut columns, seconds);
    drop(runtime);
    // It still does its work.
    world.start_agent(1)?;
    world.ctl(Role::Operator, &["hospitals", "add", "HOSP-900", "--name", "Later"])?;
    ensure!(missed == 0 || std::env::var_os("CHECK").is_none(), "{missed} targets were missed");
    Ok(())
}

/// Prints the table; returns how many targets were missed.
fn print(columns: &mut [Column], seconds: u64) -> usize {
    println!("\n`SECONDS={seconds} make bench-hostile`\n");
    println!(
        "| during | heartbeat p50, p99 (ms) | sign-in p50, p99 (ms) | pause p50, p99 (ms) | failed | memory (MiB) | processor (s) | records | attempts |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut limits: Option<[Duration; 3]> = None;
    let mut missed = 0;
    for column in columns {
        let mut cells = Vec::new();
        let mut p99s = [Duration::ZERO; 3];
        let measured = [&mut column.heartbeat, &mut column.sign_in, &mut column.pause];
        for (n, took) in measured.into_iter().enumerate() {
            let (p50, p99) = (at(took, 0.5), at(took, 0.99));
            p99s[n] = p99;
            let ms = |d: Duration| d.as_secs_f64() * 1e3;
            let is_missed = limits.is_some_and(|limits| p99 > limits[n]) || took.is_empty();
            missed += usize::from(is_missed);
            let mark = if is_missed { "**" } else { "" };
            cells.push(format!("{mark}{:.1}, {:.1}{mark}", ms(p50), ms(p99)));
        }
        limits.get_or_insert(p99s.map(|quiet| (quiet * 2).max(FLOOR)));
        println!(
            "| {} | {} | {} | {:.0} | {:.1} | {} | {} |",
            column.name,
            cells.join(" | "),
            column.failed,
            column.memory_mib,
            column.processor_s,
            column.records,
            column.attacks
        );
    }
    println!("\nBold: p99 above twice quiet and above 50 ms.");
    missed
}

struct Bench {
    target: Target,
    gateway: Gateway,
    clinical: String,
    operator: String,
    deployment: String,
    password: String,
    coordinator: u32,
    next_network: AtomicU16,
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

impl Bench {
    fn new(world: &World, dir: &std::path::Path, deployment: String) -> anyhow::Result<Self> {
        let token = |role: Role| Ok::<_, anyhow::Error>(Session::read(world.session(role).as_ref())?.token);
        let target = Target {
            port: world.port,
            ca: std::fs::read(world.data().join("ca.pem"))?,
            nurse: Session::read(&dir.join("sessions/nurse"))?.token,
            gateway: Gateway::read(&world.agent_state(2), &gateway_id(2))?,
        };
        Ok(Self {
            target,
            gateway: Gateway::read(&world.agent_state(1), &gateway_id(1))?,
            clinical: token(Role::Clinical)?,
            operator: token(Role::Operator)?,
            deployment,
            password: std::fs::read_to_string(dir.join("password"))?,
            coordinator: *world.process_ids().first().context("the coordinator runs")?,
            next_network: AtomicU16::new(0),
        })
    }

    async fn measure(
        self: &Arc<Self>,
        name: &'static str,
        flood: Option<Flood>,
        seconds: u64,
    ) -> anyhow::Result<Column> {
        println!("== {name} ==");
        let over = Arc::new(AtomicBool::new(false));
        let attack = flood.map(|flood| flood.start(&self.target, Arc::clone(&over)));
        let client = http(&self.target, [127, 0, 90, 1])?;
        let (records, processor) = (self.log_size(&client).await?, self.processor_s()?);
        // The attack has begun when it is measured.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let end = Instant::now() + Duration::from_secs(seconds);
        let (heartbeats, sign_ins, pauses, memory_mib) =
            tokio::join!(self.heartbeats(end), self.sign_ins(end), self.pauses(end), self.memory(end));
        let processor_s = self.processor_s()? - processor;
        let records = self.log_size(&client).await?.saturating_sub(records);
        over.store(true, Ordering::Relaxed);
        let attacks = match attack {
            Some(attack) => attack.await?,
            None => 0,
        };
        let failed = heartbeats.1 + sign_ins.1 + pauses.1;
        let (heartbeat, sign_in, pause) = (heartbeats.0, sign_ins.0, pauses.0);
        Ok(Column { name, heartbeat, sign_in, pause, failed, memory_mib, processor_s, records, attacks })
    }

    /// Signed heartbeats over one connection, each until its acknowledgement by MQTT. A connection that ends is made again.
    async fn heartbeats(&self, end: Instant) -> (Vec<Duration>, u64) {
        let (mut took, mut failed) = (Vec::new(), 0);
        let mut stream = None;
        while Instant::now() < end {
            let began = Instant::now();
            let beat = tokio::time::timeout(Duration::from_secs(10), self.heartbeat(&mut stream)).await;
            match beat {
                Ok(Ok(())) => took.push(began.elapsed()),
                _ => {
                    failed += 1;
                    stream = None;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        (took, failed)
    }

    async fn heartbeat(&self, stream: &mut Option<peer::Stream>) -> anyhow::Result<()> {
        let Gateway { id, epoch, secret, .. } = &self.gateway;
        let secret = SecretKey::from_secret_text(secret)?;
        let sequence = unix_ms();
        let heartbeat = Heartbeat {
            gateway: id.clone(),
            epoch: *epoch,
            sequence,
            at: UtcMillis(sequence),
            root_version: 1,
            roster_version: 1,
            directive_serial: 0,
            checkpoint_size: 0,
            missing_releases: vec![],
            outbox_depth: 0,
            held_trust: None,
            observed: None,
            devices: vec![],
        };
        let frame = wire::encode(&Signed::sign(&heartbeat, &[&secret])?);
        let packet = mqtt::publish_at_least_once(&Topic::Heartbeat(id.clone()).to_string(), 7, &frame);
        if stream.is_none() {
            *stream = Some(self.gateway.mqtt(&self.target, [127, 0, 91, 1]).await?);
        }
        let stream = stream.as_mut().context("just connected")?;
        stream.write_all(&packet).await?;
        stream.flush().await?;
        let mut puback = [0; 4];
        stream.read_exact(&mut puback).await?;
        ensure!(puback[0] == 0x40, "{puback:?} is no acknowledgement");
        Ok(())
    }

    /// Sign-ins, each over a new connection from another network.
    async fn sign_ins(&self, end: Instant) -> (Vec<Duration>, u64) {
        let (mut took, mut failed) = (Vec::new(), 0);
        let body = json!({ "userId": "ward", "password": self.password });
        while Instant::now() < end {
            let n = self.next_network.fetch_add(1, Ordering::Relaxed) % 100;
            let began = Instant::now();
            let status = self.post([127, 0, 100 + n as u8, 1], "/api/v1/sessions", None, &body).await;
            match status {
                Ok(201) => took.push(began.elapsed()),
                _ => failed += 1,
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        (took, failed)
    }

    async fn post(&self, from: [u8; 4], path: &str, token: Option<&str>, body: &Value) -> anyhow::Result<u16> {
        let client = http(&self.target, from)?;
        let mut request = client.post(self.target.url(path)).json(body).timeout(Duration::from_secs(10));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Ok(request.send().await?.status().as_u16())
    }

    /// Pauses of a deployment, each over a new connection; it is resumed in between.
    async fn pauses(&self, end: Instant) -> (Vec<Duration>, u64) {
        let (mut took, mut failed) = (Vec::new(), 0);
        let path = |act: &str| format!("/api/v1/deployments/{}/{act}", self.deployment);
        let because = json!({ "reason": "measured" });
        while Instant::now() < end {
            let began = Instant::now();
            match self.post([127, 0, 92, 1], &path("pause"), Some(&self.clinical), &because).await {
                Ok(200) => took.push(began.elapsed()),
                _ => failed += 1,
            }
            if !matches!(self.post([127, 0, 93, 1], &path("resume"), Some(&self.operator), &because).await, Ok(200)) {
                failed += 1;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        (took, failed)
    }

    /// The most memory that the coordinator holds, in MiB.
    async fn memory(&self, end: Instant) -> f64 {
        let mut most: f64 = 0.0;
        while Instant::now() < end {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.coordinator)).unwrap_or_default();
            let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
            let kib: f64 = line.trim_matches([' ', '\t', 'k', 'B']).parse().unwrap_or_default();
            most = most.max(kib / 1024.0);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        most
    }

    /// Processor time of the coordinator so far.
    fn processor_s(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.coordinator))?;
        let rest = stat.rsplit_once(')').context("a stat file")?.1;
        let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / 100.0)
    }

    async fn log_size(&self, client: &reqwest::Client) -> anyhow::Result<u64> {
        for _ in 0..5 {
            // A flood may have taken this one connection too.
            if let Ok(answer) = client.get(self.target.url("/api/v1/health")).send().await {
                return serde_json::from_slice::<Value>(&answer.bytes().await?)?["logSize"].as_u64().context("a size");
            }
        }
        anyhow::bail!("the coordinator does not answer")
    }
}
