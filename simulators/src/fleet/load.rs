//! One run of the fleet: connect, settle, load, drain; then the figures.

use mdfm_service::output::line;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use mdfm_shared::id::GatewayId;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::enrol::Fleet;
use super::gateway::{Chain, Gateway, Shared, drive, now};
use super::report::{Stats, Summary, Usage};
use super::session::Session;
use super::{Directory, picture};

const CHAINS: &str = "chains.json";
/// The pacer's step.
const STEP: Duration = Duration::from_millis(2);

/// How the fleet loads the coordinator.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    directory: Directory,
    /// Another address than the enrolled one, as host:port: a balancer, or a broker to compare with.
    #[arg(long)]
    connect: Option<String>,
    /// Gateways that connect; all of the fleet without it.
    #[arg(long)]
    gateways: Option<usize>,
    /// Connections being made at once.
    #[arg(long, default_value_t = 256)]
    connects_at_once: usize,
    /// Longest time for all of them to connect, in seconds.
    #[arg(long, default_value_t = 120)]
    connect_seconds: u64,
    /// How long the load lasts, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Heartbeats of the whole fleet each second.
    #[arg(long, default_value_t = 0.0)]
    heartbeats: f64,
    /// Telemetry batches of the whole fleet each second.
    #[arg(long, default_value_t = 0.0)]
    batches: f64,
    /// Heartbeats carry the digests of what is observed of each device, and requests for it are answered; not beside batches, which
    /// are signed ahead.
    #[arg(long, conflicts_with = "batches")]
    observe: bool,
    /// Device errors in each batch.
    #[arg(long, default_value_t = 1)]
    events: usize,
    /// Connections cut and made again each second.
    #[arg(long, default_value_t = 0.0)]
    reconnects: f64,
    /// Longest time to wait for the last acknowledgements, in seconds.
    #[arg(long, default_value_t = 60)]
    drain_seconds: u64,
    /// Session of an operator: with it the coordinator's own counts are in the result.
    #[arg(long)]
    session: Option<PathBuf>,
    /// A process of this machine whose memory and processor time are in the result, as name=pid; again for more.
    #[arg(long = "process", value_parser = process)]
    processes: Vec<(String, u32)>,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
    /// Draws the latencies into this file.
    #[arg(long)]
    svg: Option<PathBuf>,
}

fn process(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = text.split_once('=').ok_or("written name=pid")?;
    Ok((name.to_owned(), pid.parse().map_err(|_| format!("{pid} is no process id"))?))
}

/// What a run found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    gateways: usize,
    connect: Connecting,
    load: Loading,
    /// What processes used, at the start, connected and at rest, and at the end.
    processes: BTreeMap<String, [Usage; 3]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Connecting {
    seconds: f64,
    per_second: f64,
    latency: Summary,
    failed: u64,
    causes: BTreeMap<String, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Loading {
    seconds: f64,
    heartbeats_sent: u64,
    heartbeats_deferred: u64,
    /// As the coordinator counts them: verified and applied.
    heartbeats_applied: Option<u64>,
    heartbeats_applied_per_second: Option<f64>,
    batches_sent: u64,
    /// Batches that had no room: too many were under way.
    batches_deferred: u64,
    batches_sent_again: u64,
    /// From the first sending of a batch to its signed acknowledgement: durable, and seen by the rollout engine.
    acknowledge: Summary,
    events_acknowledged_per_second: f64,
    /// Batches without acknowledgement at the end.
    unacknowledged: usize,
    connections_lost: u64,
    reconnect: Summary,
    causes: BTreeMap<String, u64>,
    /// Directives that came during the run: from their issue to the gateway.
    direct: Summary,
    /// Times in which not every gateway was connected, longest gap first.
    outages: Vec<Outage>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outage {
    /// When the first connection broke, in Unix milliseconds.
    from: u64,
    /// When the last gateway was back; none if it was not by the end.
    until: Option<u64>,
    fewest_connected: usize,
}

struct Fleets {
    gateways: Vec<Arc<Gateway>>,
    shared: Arc<Shared>,
}

impl Fleets {
    fn connected(&self) -> usize {
        self.gateways.iter().filter(|g| g.is_connected()).count()
    }

    fn under_way(&self) -> usize {
        self.gateways.iter().map(|g| g.under_way()).sum()
    }
}

fn chains(dir: &Path) -> anyhow::Result<BTreeMap<GatewayId, Chain>> {
    let path = dir.join(CHAINS);
    match std::fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged; enrol again", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn usages(arguments: &Arguments) -> BTreeMap<String, Usage> {
    let usage = |(name, pid): &(String, u32)| (name.clone(), Usage::of(*pid).unwrap_or_default());
    arguments.processes.iter().map(usage).collect()
}

/// How many heartbeats the coordinator has applied, where it can be asked.
async fn applied(session: Option<&Session>) -> anyhow::Result<Option<u64>> {
    let Some(session) = session else { return Ok(None) };
    let view: Value = session.get("/api/v1/fleet-link").await?;
    Ok(view["intake"]["heartbeatsApplied"].as_u64())
}

/// Runs the load and prints what it found.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let fleet = Fleet::load(&arguments.directory.dir)?;
    let session = arguments.session.as_deref().map(Session::open).transpose()?;
    let mut held = chains(&arguments.directory.dir)?;
    let address = match &arguments.connect {
        Some(address) => address.clone(),
        None => fleet.url.trim_start_matches("https://").trim_end_matches('/').to_owned(),
    };
    let (host, port) = address.rsplit_once(':').with_context(|| format!("{address} is not host:port"))?;
    let port: u16 = port.parse().with_context(|| format!("{address} is not host:port"))?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(fleet.ca_pem.as_bytes())?)?;
    let roots = Arc::new(roots);
    let shared = Arc::new(Shared {
        stats: Stats::new()?,
        connecting: Semaphore::new(arguments.connects_at_once.max(1)),
        stopping: AtomicBool::new(false),
        started: now(),
    });
    let count = arguments.gateways.unwrap_or(fleet.gateways.len()).min(fleet.gateways.len());
    let mut fleets = Fleets { gateways: Vec::with_capacity(count), shared };
    let mut loops = Vec::with_capacity(count);
    for enrolled in fleet.gateways.into_iter().take(count) {
        let chain = held.remove(&enrolled.gateway).unwrap_or_default();
        let (gateway, events) =
            Gateway::new(enrolled, chain, &roots, (host.trim_matches(['[', ']']), port), arguments.observe)?;
        fleets.gateways.push(gateway);
        loops.push(events);
    }
    let before = usages(&arguments);

    let began = Instant::now();
    let tasks: Vec<_> = fleets
        .gateways
        .iter()
        .zip(loops)
        .map(|(gateway, events)| tokio::spawn(drive(Arc::clone(gateway), events, Arc::clone(&fleets.shared))))
        .collect();
    let connecting = connect(&arguments, &fleets, began).await?;
    settle(&fleets).await;
    let rested = usages(&arguments);
    let (load, pictured) = load(&arguments, &fleets, session.as_ref()).await?;
    let ended = usages(&arguments);

    fleets.shared.stopping.store(true, Ordering::Relaxed);
    fleets.gateways.iter().for_each(|g| g.cut.notify_one());
    for task in tasks {
        task.await??;
    }
    held.extend(fleets.gateways.iter().map(|g| (g.id().clone(), g.chain())));
    std::fs::write(arguments.directory.dir.join(CHAINS), serde_json::to_vec(&held)?)?;

    let usage = |map: &BTreeMap<String, Usage>, name: &str| map.get(name).copied().unwrap_or_default();
    let processes = before.keys().map(|n| (n.clone(), [usage(&before, n), usage(&rested, n), usage(&ended, n)]));
    let outcome = Outcome { gateways: count, connect: connecting, load, processes: processes.collect() };
    if let Some(path) = &arguments.svg {
        let noted = pictured.iter().filter(|(_, histogram)| !histogram.is_empty());
        let series: Vec<_> = noted.map(|(name, histogram)| (*name, histogram)).collect();
        std::fs::write(path, picture::draw(&format!("{count} gateways"), &series))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    print(&outcome, arguments.json)
}

async fn connect(arguments: &Arguments, fleets: &Fleets, began: Instant) -> anyhow::Result<Connecting> {
    let mut shown = began;
    loop {
        let connected = fleets.connected();
        if connected == fleets.gateways.len() {
            break;
        }
        if began.elapsed() > Duration::from_secs(arguments.connect_seconds) {
            let taken = fleets.shared.stats.take();
            bail!(
                "{connected} of {} gateways connected; the rest failed: {}",
                fleets.gateways.len(),
                counted(&taken.causes)
            );
        }
        if shown.elapsed() > Duration::from_secs(2) {
            shown = Instant::now();
            tracing::info!(connected, of = fleets.gateways.len(), "connecting");
        }
        tokio::time::sleep(STEP).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let taken = fleets.shared.stats.take();
    tracing::info!(gateways = fleets.gateways.len(), seconds, "all are connected");
    Ok(Connecting {
        seconds,
        per_second: fleets.gateways.len() as f64 / seconds,
        latency: Summary::of(&taken.connect),
        failed: taken.refused,
        causes: taken.causes,
    })
}

/// Waits until every gateway has its directive and nothing is under way any more; the load begins at rest.
async fn settle(fleets: &Fleets) {
    const SETTLE: Duration = Duration::from_secs(20);
    let began = Instant::now();
    while began.elapsed() < SETTLE && !(fleets.gateways.iter().all(|g| g.is_directed()) && fleets.under_way() == 0) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    fleets.shared.stats.take();
}

/// Signs ahead on every processor.
fn prepare(arguments: &Arguments, fleets: &Fleets) -> anyhow::Result<()> {
    let each = |rate: f64| {
        let all = rate * arguments.seconds as f64;
        (all / fleets.gateways.len().max(1) as f64).ceil() as usize
    };
    let (heartbeats, batches) = (each(arguments.heartbeats), each(arguments.batches));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = fleets
            .gateways
            .chunks(fleets.gateways.len().div_ceil(threads).max(1))
            .map(|part| {
                scope.spawn(move || part.iter().try_for_each(|g| g.prepare(heartbeats, batches, arguments.events)))
            })
            .collect();
        workers.into_iter().try_for_each(|w| w.join().map_err(|_| anyhow::anyhow!("signing ahead failed"))?)
    })
}

/// Counts what is due by now at a rate.
struct Pace {
    per_second: f64,
    done: u64,
}

impl Pace {
    fn due(&mut self, elapsed: Duration) -> u64 {
        let until = (self.per_second * elapsed.as_secs_f64()) as u64;
        let due = until.saturating_sub(self.done);
        self.done = until;
        due
    }
}

type Pictured = Vec<(&'static str, hdrhistogram::Histogram<u64>)>;

async fn load(
    arguments: &Arguments,
    fleets: &Fleets,
    session: Option<&Session>,
) -> anyhow::Result<(Loading, Pictured)> {
    tracing::info!("signing ahead");
    tokio::task::block_in_place(|| prepare(arguments, fleets))?;
    let applied_before = applied(session).await?;
    let pace = |per_second| Pace { per_second, done: 0 };
    let (mut beats, mut reports, mut cuts) =
        (pace(arguments.heartbeats), pace(arguments.batches), pace(arguments.reconnects));
    let (mut beat_at, mut report_at, mut cut_at) = (0, 0, 0);
    let (mut sent, mut deferred, mut batches, mut batches_deferred, mut again) = (0, 0, 0, 0, 0);
    let mut outages: Vec<Outage> = Vec::new();
    let next = |at: &mut usize| {
        *at = (*at + 1) % fleets.gateways.len();
        &fleets.gateways[*at]
    };
    let began = Instant::now();
    let (mut shown, mut looked) = (began, began);
    let all = fleets.gateways.len();
    while began.elapsed() < Duration::from_secs(arguments.seconds) {
        for _ in 0..beats.due(began.elapsed()) {
            let gateway = next(&mut beat_at);
            if gateway.is_connected() && gateway.beat()? { sent += 1 } else { deferred += 1 }
        }
        for _ in 0..reports.due(began.elapsed()) {
            if next(&mut report_at).report(arguments.events)? { batches += 1 } else { batches_deferred += 1 }
        }
        for _ in 0..cuts.due(began.elapsed()) {
            next(&mut cut_at).cut.notify_one();
        }
        if looked.elapsed() > Duration::from_millis(250) {
            looked = Instant::now();
            let connected = fleets.connected();
            again += fleets.gateways.iter().filter(|g| g.is_connected()).map(|g| g.resend(false)).sum::<u64>();
            watch(&mut outages, connected, all);
        }
        if shown.elapsed() > Duration::from_secs(2) {
            shown = Instant::now();
            let (connected, under_way) = (fleets.connected(), fleets.under_way());
            let (acknowledged, directives) = (fleets.shared.stats.acknowledgements(), fleets.shared.stats.directives());
            tracing::info!(connected, heartbeats = sent, batches, acknowledged, under_way, directives, "load");
        }
        tokio::time::sleep(STEP).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let in_time = fleets.shared.stats.acknowledgements();
    let draining = Instant::now();
    while (fleets.under_way() > 0 || fleets.connected() < all)
        && draining.elapsed() < Duration::from_secs(arguments.drain_seconds)
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
        again += fleets.gateways.iter().filter(|g| g.is_connected()).map(|g| g.resend(false)).sum::<u64>();
        watch(&mut outages, fleets.connected(), all);
    }
    let applied_after = applied(session).await?;
    let heartbeats_applied = applied_after.zip(applied_before).map(|(after, before)| after.saturating_sub(before));
    // Until the coordinator had worked them all off.
    let worked = began.elapsed().as_secs_f64().max(seconds);
    let taken = fleets.shared.stats.take();
    let loading = Loading {
        seconds,
        heartbeats_sent: sent,
        heartbeats_deferred: deferred,
        heartbeats_applied,
        heartbeats_applied_per_second: heartbeats_applied.map(|n| n as f64 / worked),
        batches_sent: batches,
        batches_deferred,
        batches_sent_again: again,
        acknowledge: Summary::of(&taken.acknowledge),
        events_acknowledged_per_second: in_time as f64 * arguments.events as f64 / seconds,
        unacknowledged: fleets.under_way(),
        connections_lost: taken.lost,
        reconnect: Summary::of(&taken.connect),
        causes: taken.causes,
        direct: Summary::of(&taken.direct),
        outages,
    };
    let pictured = vec![
        ("batch to signed acknowledgement", taken.acknowledge),
        ("reconnect", taken.connect),
        ("directive to gateway", taken.direct),
    ];
    Ok((loading, pictured))
}

fn watch(outages: &mut Vec<Outage>, connected: usize, all: usize) {
    let open = outages.last_mut().filter(|o| o.until.is_none());
    match open {
        Some(outage) if connected == all => outage.until = Some(now().0),
        Some(outage) => outage.fewest_connected = outage.fewest_connected.min(connected),
        None if connected < all => outages.push(Outage { from: now().0, until: None, fewest_connected: connected }),
        None => {}
    }
}

/// Causes with how often each was met.
fn counted(causes: &BTreeMap<String, u64>) -> String {
    causes.iter().map(|(cause, n)| format!("{cause} ({n})")).collect::<Vec<_>>().join(", ")
}

fn print(outcome: &Outcome, json: bool) -> anyhow::Result<()> {
    if json {
        mdfm_service::output::json(serde_json::to_string_pretty(outcome)?);
        return Ok(());
    }
    let Outcome { gateways, connect, load, processes } = outcome;
    line(format_args!("{gateways} gateways connected in {:.1} s, {:.0} a second", connect.seconds, connect.per_second));
    line(format_args!("  connect      {}", connect.latency));
    if connect.failed > 0 {
        line(format_args!("  {} attempts failed: {}", connect.failed, counted(&connect.causes)));
    }
    line(format_args!("load of {:.0} s", load.seconds));
    if load.heartbeats_sent > 0 {
        let applied = load.heartbeats_applied_per_second.map_or("not asked".to_owned(), |n| format!("{n:.0} a second"));
        line(format_args!(
            "  heartbeats   {:>8} sent, {} had no room; applied: {applied}",
            load.heartbeats_sent, load.heartbeats_deferred
        ));
    }
    if load.batches_sent > 0 {
        line(format_args!("  acknowledge  {}", load.acknowledge));
        line(format_args!(
            "  batches      {:>8} sent, {} had no room, {} sent again, {} without acknowledgement; {:.0} events a second",
            load.batches_sent,
            load.batches_deferred,
            load.batches_sent_again,
            load.unacknowledged,
            load.events_acknowledged_per_second
        ));
    }
    if load.direct.count > 0 {
        line(format_args!("  directives   {}", load.direct));
    }
    if load.connections_lost > 0 || load.reconnect.count > 0 {
        line(format_args!(
            "  reconnect    {}  ({} lost: {})",
            load.reconnect,
            load.connections_lost,
            counted(&load.causes)
        ));
    }
    for outage in &load.outages {
        let end = outage
            .until
            .map_or("not over".to_owned(), |u| format!("{:.1} s", u.saturating_sub(outage.from) as f64 / 1e3));
        line(format_args!("  not all connected for {end}, {} at the fewest", outage.fewest_connected));
    }
    for (name, [before, rested, ended]) in processes {
        let each = rested.resident_kb.saturating_sub(before.resident_kb) as f64 / *gateways as f64;
        line(format_args!(
            "{name}: {} kB before, {} kB connected ({each:.1} kB a gateway), {} kB at the end; {:.1} s of processor time for the load",
            before.resident_kb,
            rested.resident_kb,
            ended.resident_kb,
            ended.cpu_seconds - rested.cpu_seconds
        ));
    }
    Ok(())
}
