//! The console on a coordinator with a hundred thousand devices and twenty readers: how soon each kind of page is answered, how much comes over the
//! line, and when a browser on a slow line shows something. Prints the table of `docs/benchmarks.md`; the same API answers are measured in the same run.
//!
//! `DEVICES` and `SECONDS` change the size; `BROWSER=0` leaves the browser out.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use mdfm_tests::{Api, Browser, Layout, Role, Session, World};
use reqwest::Client;
use serde_json::json;

/// People who read at the same time.
const READERS: usize = 20;
/// Between an answer and the next question of a reader, about.
const PAUSE: Duration = Duration::from_millis(250);
/// Rows of one list that the API takes.
const ROWS: usize = 20_000;

fn number(name: &str, default: usize) -> anyhow::Result<usize> {
    std::env::var(name)
        .map_or(Ok(default), |text| text.parse().with_context(|| format!("{name}={text} is not a number")))
}

/// Registers the devices by lists.
fn fill(api: &Api, devices: usize) -> anyhow::Result<()> {
    for h in 0..100 {
        let hospital =
            json!({ "hospitalId": format!("HOSP-{h:03}"), "name": format!("Hospital {h}"), "cohort": "general" });
        ensure!(api.json("POST", "/api/v1/hospitals", &hospital)?.0 == 201, "a hospital");
    }
    for first in (0..devices).step_by(ROWS) {
        let mut list = "deviceId,modelNumber,serialNumber,hospitalId,currentFirmwareVersion\n".to_owned();
        for n in first..(first + ROWS).min(devices) {
            writeln!(list, "DEV-{n:07},CardiacMonitor-X200,SN-{n},HOSP-{:03},2.1.0", n % 100)?;
        }
        let kind = [("content-type", "text/csv")];
        let (status, answer) = api.send_with("POST", "/api/v1/devices/import", list.into_bytes(), &kind)?;
        ensure!(status < 300, "the list of devices was refused: {status} {answer}");
    }
    Ok(())
}

/// One reader's client.
struct Reader {
    http: Client,
    url: String,
    token: String,
}

impl Reader {
    fn new(world: &World) -> anyhow::Result<Self> {
        let Session { url, token, tls } = Session::read(world.session(Role::Operator).as_ref())?;
        Ok(Self { http: Client::builder().tls_backend_preconfigured(tls).build()?, url, token })
    }

    /// Reads a page of the console, or an answer of the API; returns its bytes.
    async fn read(&self, path: &str) -> anyhow::Result<usize> {
        let request = self.http.get(format!("{}{path}", self.url));
        let request = match path.starts_with("/console") {
            true => request.header("cookie", format!("__Host-mdfm={}", self.token)),
            false => request.bearer_auth(&self.token),
        };
        let answer = request.send().await?;
        ensure!(answer.status() == 200, "{path}: {}", answer.status());
        Ok(answer.bytes().await?.len())
    }
}

/// Latencies in microseconds, sorted, of all readers who read the path again and again; and the bytes of one answer.
async fn measure(readers: &[Arc<Reader>], path: &str, time: Duration) -> anyhow::Result<(Vec<u64>, usize)> {
    let size = readers[0].read(path).await?;
    let tasks: Vec<_> = readers
        .iter()
        .enumerate()
        .map(|(place, reader)| {
            let (reader, path) = (Arc::clone(reader), path.to_owned());
            tokio::spawn(async move {
                // People do not ask in step.
                tokio::time::sleep(PAUSE * u32::try_from(place)? / u32::try_from(READERS)?).await;
                reader.read("/console/session").await?;
                let (began, mut took) = (Instant::now(), Vec::new());
                while began.elapsed() < time {
                    let asked = Instant::now();
                    reader.read(&path).await?;
                    took.push(u64::try_from(asked.elapsed().as_micros())?);
                    // People look at what they see.
                    let jitter = Duration::from_micros(asked.elapsed().subsec_nanos().into()) / 8;
                    tokio::time::sleep(PAUSE + jitter.min(PAUSE / 4)).await;
                }
                Ok::<_, anyhow::Error>(took)
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    all.sort_unstable();
    Ok((all, size))
}

fn at(took: &[u64], share: f64) -> f64 {
    took[((took.len() as f64 * share) as usize).min(took.len() - 1)] as f64 / 1e3
}

/// First contentful paint in milliseconds and bytes over the line, with a cold cache on a line of 10 Mbit/s and 40 ms.
fn paint(world: &World, url: &str, path: &str, token: &str) -> anyhow::Result<(f64, f64)> {
    let browser = Browser::start(&world.dir)?;
    browser.sign_in_as(url, token)?;
    browser.devtools("Network.enable", &json!({}))?;
    let line =
        json!({ "offline": false, "latency": 40, "downloadThroughput": 1_250_000, "uploadThroughput": 1_250_000 });
    browser.devtools("Network.emulateNetworkConditions", &line)?;
    browser.open(&format!("{url}{path}"))?;
    std::thread::sleep(Duration::from_millis(500));
    let paint = browser.script("return performance.getEntriesByName('first-contentful-paint')[0].startTime")?;
    let bytes = browser.script(
        "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]\
         .reduce((sum, one) => sum + one.transferSize, 0)",
    )?;
    Ok((paint.as_f64().context("a paint")?, bytes.as_f64().context("bytes")?))
}

fn main() -> anyhow::Result<()> {
    let dir = std::env::current_dir()?.join("target/bench-console");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    // Twenty readers have one session here.
    let more_config = "requests_per_second = 1000000\n".to_owned();
    let world = World::start(&dir, Layout { hospitals: 0, more_config, ..Layout::default() })?;
    let api = Api::with_session(world.session(Role::Operator).as_ref())?;
    let (devices, seconds) = (number("DEVICES", 100_000)?, number("SECONDS", 10)?);
    fill(&api, devices)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let readers = (0..READERS).map(|_| Reader::new(&world).map(Arc::new)).collect::<anyhow::Result<Vec<_>>>()?;
    println!("{devices} devices, {READERS} readers who each ask four times a second\n");
    println!("| page | target, ms | p50, ms | p99, ms | kB |\n|---|---|---|---|---|");
    let middle = format!("/console/devices/DEV-{:07}", devices / 2);
    let of_api = format!("/api/v1/devices/DEV-{:07}", devices / 2);
    for (path, target) in [
        ("/console", "50"),
        ("/console/devices", "20"),
        ("/console/devices?filter=hospitalId=HOSP-050", "20"),
        (middle.as_str(), "50"),
        ("/console/deployments", "20"),
        ("/console/releases", "20"),
        ("/console/hospitals", "20"),
        ("/console/fleet", "50"),
        ("/console/audit", "50"),
        ("/api/v1/devices", "(the API alone)"),
        (of_api.as_str(), "(the API alone)"),
    ] {
        let (took, size) = runtime.block_on(measure(&readers, path, Duration::from_secs(seconds as u64)))?;
        let (half, most) = (at(&took, 0.5), at(&took, 0.99));
        println!("| {path} | {target} | {half:.1} | {most:.1} | {:.1} |", size as f64 / 1e3);
    }
    if number("BROWSER", 1)? != 0 {
        let url = format!("https://127.0.0.1:{}", world.port);
        let (paint, bytes) = paint(&world, &url, "/console/devices", api.token())?;
        println!("\n| first visit of /console/devices, cold, 10 Mbit/s, 40 ms | target | measured |\n|---|---|---|");
        println!("| first contentful paint, ms | 800 | {paint:.0} |\n| over the line, kB | 150 | {:.1} |", bytes / 1e3);
    }
    Ok(())
}
