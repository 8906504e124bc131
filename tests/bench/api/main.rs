//! The API on a coordinator with a hundred thousand devices: how many writes a second, each durable in the log; how soon reads are answered at a
//! thousand a second; how fast an image comes in beside `dd` on the same disk. Prints the table of `docs/benchmarks.md`.
//!
//! `DEVICES`, `SECONDS`, `MIB` change the size.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use mdfm_tests::{Layout, Role, Session, World};
use reqwest::Client;
use serde_json::json;

/// Writers at the same time.
const WRITERS: u64 = 128;
/// Rows of the longest list that is taken.
const LIST_ROWS: u64 = 20_000;
/// Reads begun in a second.
const READS_PER_SECOND: u64 = 1_000;

fn number(name: &str, default: u64) -> anyhow::Result<u64> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("{name}={text} is no number")))
}

struct Api {
    http: Client,
    url: String,
    token: String,
}

impl Api {
    fn new(session: &Path) -> anyhow::Result<Self> {
        let Session { url, token, tls } = Session::read(session)?;
        Ok(Self { http: Client::builder().tls_backend_preconfigured(tls).build()?, url, token })
    }

    async fn get(&self, path: &str) -> anyhow::Result<()> {
        let answer = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await?;
        answer.error_for_status()?.bytes().await?;
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let dir = std::env::current_dir()?.join("target/bench-api");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    // One caller stands for many here.
    let more_config = "requests_per_second = 1000000\n".to_owned();
    let world = World::start(&dir, Layout { hospitals: 0, more_config, ..Layout::default() })?;
    world.ctl(Role::Operator, &["hospitals", "add", "HOSP-1", "--name", "One"])?;
    let api = Arc::new(Api::new(world.session(Role::Operator).as_ref())?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("| what | target | measured | beside it |\n|---|---|---|---|");
    let devices = number("DEVICES", 100_000)?;
    let seconds = runtime.block_on(write(&api, devices))?;
    println!(
        "| {devices} devices registered by {WRITERS} writers, each durable in the log, writes a second | ≥ 2,000 | {:.0} | |",
        devices as f64 / seconds
    );
    let one = format!("/api/v1/devices/{}?", id(devices.saturating_sub(1).min(12_345)));
    for (what, path) in [("a device", one.as_str()), ("a page of a hundred devices", "/api/v1/devices?limit=100")] {
        let mut took = runtime.block_on(read(&api, path, number("SECONDS", 20)?))?;
        took.sort_unstable();
        let at = |share: f64| took[((took.len() as f64 * share) as usize).min(took.len() - 1)] as f64 / 1e3;
        println!(
            "| {what} read at {READS_PER_SECOND} a second, ms | p99 ≤ 10 | p50 {:.1}, p99 {:.1}, p99.9 {:.1} | |",
            at(0.5),
            at(0.99),
            at(0.999)
        );
    }
    let (checked, mut took) = runtime.block_on(check_list(&api, one.clone()))?;
    took.sort_unstable();
    println!(
        "| {LIST_ROWS} rows of a list checked against that fleet (dry run), ms; longest of a thousand reads a second meanwhile | | {checked:.0}; {:.0} | |",
        took.last().copied().unwrap_or(0) as f64 / 1e3
    );
    upload(&world, &api, &runtime, number("MIB", 1_024)?)
}

/// The id of a device.
fn id(n: u64) -> String {
    format!("DEV-{n:07}")
}

/// Has a long list checked while others read; gives the milliseconds that the check took, and what each read took.
async fn check_list(api: &Arc<Api>, one: String) -> anyhow::Result<(f64, Vec<u64>)> {
    let mut list = "deviceId,modelNumber,serialNumber,hospitalId,currentFirmwareVersion,udi\n".to_owned();
    for n in 0..LIST_ROWS {
        list.push_str(&format!("NEW-{n:07},Pump,SN-{n},HOSP-1,1.0,(01)09506000134352(21)SN-{n}\n"));
    }
    let reader = Arc::clone(api);
    let reads = tokio::spawn(async move { read(&reader, &one, 4).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let url = format!("{}/api/v1/devices/import?dryRun=true", api.url);
    let began = Instant::now();
    let request = api.http.post(url).bearer_auth(&api.token).header("content-type", "text/csv").body(list);
    request.send().await?.error_for_status()?.bytes().await?;
    Ok((began.elapsed().as_secs_f64() * 1e3, reads.await??))
}

/// Registers devices; gives the seconds that it took.
async fn write(api: &Arc<Api>, devices: u64) -> anyhow::Result<f64> {
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (api, next) = (Arc::clone(api), Arc::clone(&next));
        writers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= devices {
                    return anyhow::Ok(());
                }
                let body = json!({
                    "deviceId": id(n), "modelNumber": "CardiacMonitor-X200", "serialNumber": format!("SN-{n:07}"),
                    "hospitalId": "HOSP-1", "currentFirmwareVersion": "2.1.0",
                });
                let request = api.http.post(format!("{}/api/v1/devices", api.url)).bearer_auth(&api.token).json(&body);
                request.send().await?.error_for_status()?;
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Begins so many reads a second, whether the ones before are answered or not; gives what each took, in microseconds, from the moment at which it was due.
async fn read(api: &Arc<Api>, path: &str, seconds: u64) -> anyhow::Result<Vec<u64>> {
    let path: Arc<str> = path.trim_end_matches(['?', '&']).into();
    let mut reads = tokio::task::JoinSet::new();
    let began = tokio::time::Instant::now();
    for n in 0..seconds * READS_PER_SECOND {
        let due = began + Duration::from_micros(n * 1_000_000 / READS_PER_SECOND);
        tokio::time::sleep_until(due).await;
        let (api, path) = (Arc::clone(api), Arc::clone(&path));
        reads.spawn(async move {
            api.get(&path).await?;
            anyhow::Ok(u64::try_from(due.elapsed().as_micros())?)
        });
    }
    let mut took = Vec::new();
    while let Some(read) = reads.join_next().await {
        took.push(read??);
    }
    // The first second pays for the connections.
    Ok(took.split_off(usize::try_from(READS_PER_SECOND)?.min(took.len() / 2)))
}

fn peak_mib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("a line of its status")?;
    Ok(line.trim_matches([' ', '\t', 'k', 'B']).parse::<f64>()? / 1024.0)
}

fn upload(world: &World, api: &Api, runtime: &tokio::runtime::Runtime, mib: u64) -> anyhow::Result<()> {
    let file = world.dir.join("image");
    let made = Command::new("dd")
        .args(["if=/dev/urandom", "bs=1M", &format!("count={mib}"), &format!("of={}", file.display())])
        .stderr(Stdio::null())
        .status()?;
    ensure!(made.success(), "dd failed");
    let began = Instant::now();
    let copied = Command::new("dd")
        .arg(format!("if={}", file.display()))
        .arg(format!("of={}", world.dir.join("copy").display()))
        .args(["bs=1M", "conv=fdatasync"])
        .stderr(Stdio::null())
        .status()?;
    ensure!(copied.success(), "dd failed");
    let floor = began.elapsed().as_secs_f64();
    let coordinator = *world.process_ids().first().context("the coordinator runs")?;
    let before = peak_mib(coordinator)?;
    let (seconds, most) = runtime.block_on(async {
        let body = json!({ "firmwareId": "FW-1", "version": "1", "deviceModel": "CardiacMonitor-X200", "approvalRequired": true });
        let create = api.http.post(format!("{}/api/v1/firmware", api.url)).bearer_auth(&api.token).json(&body);
        create.send().await?.error_for_status()?;
        let pieces = futures_util::stream::unfold(tokio::fs::File::open(&file).await?, |mut file| async move {
            let mut piece = vec![0; 1 << 20];
            match tokio::io::AsyncReadExt::read(&mut file, &mut piece).await {
                Ok(0) => None,
                Ok(n) => {
                    piece.truncate(n);
                    Some((Ok::<_, std::io::Error>(piece), file))
                }
                Err(error) => Some((Err(error), file)),
            }
        });
        let began = Instant::now();
        let put = api.http.put(format!("{}/api/v1/firmware/FW-1/image", api.url)).bearer_auth(&api.token);
        let put = put.body(reqwest::Body::wrap_stream(pieces)).send();
        tokio::pin!(put);
        let mut most: f64 = 0.0;
        let answer = loop {
            tokio::select! {
                answer = &mut put => break answer?,
                () = tokio::time::sleep(Duration::from_millis(20)) => most = most.max(peak_mib(coordinator)?),
            }
        };
        answer.error_for_status()?;
        anyhow::Ok((began.elapsed().as_secs_f64(), most))
    })?;
    println!(
        "| an image of {mib} MiB uploaded, hashed and durable, s | ≤ 2 × dd | {seconds:.2} ({:.2} ×) | `dd conv=fdatasync` {floor:.2} |",
        seconds / floor
    );
    println!(
        "| memory of the coordinator while it comes in, MiB above before | flat | {:.1} | {before:.0} before |",
        (most - before).max(0.0)
    );
    Ok(())
}
