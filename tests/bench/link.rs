//! The fleet link under load: thousands of gateways with real TLS and MQTT against the coordinator's front door, and the same
//! gateways against Mosquitto in front of the same coordinator. Prints the table of `docs/benchmarks.md`.
//!
//! `GATEWAYS`, `SECONDS`, `HEARTBEATS`, `BATCHES` change the size; `ONLY=door` or `ONLY=mosquitto` leaves the other out. `SMOKE=1` leaves out the parts
//! that take minutes whatever the size: it shows that the rest runs.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use mdfm_tests::{Front, Layout, Role, World, program, wait_for};
use serde_json::{Value, json};

/// What is asked of the link.
struct Size {
    gateways: u64,
    seconds: u64,
    heartbeats: u64,
    batches: u64,
    /// Only what takes seconds.
    smoke: bool,
}

fn number(name: &str, default: u64) -> anyhow::Result<u64> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("{name}={text} is no number")))
}

fn main() -> anyhow::Result<()> {
    let size = Size {
        gateways: number("GATEWAYS", 5_000)?,
        seconds: number("SECONDS", 20)?,
        heartbeats: number("HEARTBEATS", 25_000)?,
        batches: number("BATCHES", 10_000)?,
        smoke: std::env::var_os("SMOKE").is_some(),
    };
    let only = std::env::var("ONLY").ok();
    let root = std::env::current_dir()?.join("target/bench-link");
    if root.exists() {
        std::fs::remove_dir_all(&root).with_context(|| format!("removing {}", root.display()))?;
    }
    std::fs::create_dir_all(&root)?;
    let mut columns = Vec::new();
    for (name, front) in [("door", Front::Door), ("mosquitto", Front::Mosquitto)] {
        if only.as_ref().is_none_or(|only| only == name) {
            println!("== {name} ==");
            columns.push((name, measure(&root.join(name), front, &size)?));
        }
    }
    let rows: Vec<&String> =
        columns.first().map(|(_, rows)| rows.iter().map(|(row, _)| row).collect()).unwrap_or_default();
    println!("\n| what | {} |", columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" | "));
    for (n, row) in rows.iter().enumerate() {
        let cells: Vec<&str> =
            columns.iter().map(|(_, rows)| rows.get(n).map_or("", |(_, cell)| cell.as_str())).collect();
        println!("| {row} | {} |", cells.join(" | "));
    }
    Ok(())
}

struct Bench {
    world: World,
    fleet: PathBuf,
}

impl Bench {
    fn sim(&self, arguments: &[String]) -> anyhow::Result<Command> {
        let mut command = Command::new(program("mdfm-sim")?);
        command.arg("fleet").args(arguments).stdout(Stdio::piped()).env("MDFM_LOG", "info");
        Ok(command)
    }

    fn run(&self, more: &[String]) -> anyhow::Result<Command> {
        let mut arguments = vec!["run".to_owned(), "--json".into(), "--dir".into(), self.fleet.display().to_string()];
        arguments.extend(["--session".into(), self.world.session(Role::Operator)]);
        arguments.extend(["--connect".into(), format!("127.0.0.1:{}", self.world.gateway_port())]);
        for (name, pid) in self.world.link_processes() {
            arguments.extend(["--process".into(), format!("{name}={pid}")]);
        }
        arguments.extend_from_slice(more);
        self.sim(&arguments)
    }

    /// Runs a load to its end and gives its result.
    fn load(&self, more: &[&str]) -> anyhow::Result<Value> {
        let more: Vec<String> = more.iter().map(|a| (*a).to_owned()).collect();
        finish(self.run(&more)?.spawn()?)
    }
}

fn finish(child: std::process::Child) -> anyhow::Result<Value> {
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the load generator failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

fn measure(dir: &Path, front: Front, size: &Size) -> anyhow::Result<Vec<(String, String)>> {
    let layout = Layout {
        hospitals: 0,
        devices: 0,
        front,
        silence_seconds: 3_600,
        // All gateways have one address here; in the field a hospital has one.
        more_config: "connections_max = 12000\nconnections_per_address_max = 12000\n\
            connections_per_address_per_second = 5000\nrequests_per_second = 100000\n"
            .into(),
        ..Layout::default()
    };
    let mut bench = Bench { world: World::start(dir, layout)?, fleet: dir.join("fleet") };
    let n = size.gateways.to_string();
    let fleet = bench.fleet.display().to_string();
    let session = bench.world.session(Role::Operator);
    let enrol = ["enrol", "--dir", &fleet, "--session", &session, "--gateways", &n, "--devices", "2"];
    ensure!(bench.sim(&enrol.map(str::to_owned))?.status()?.success(), "the fleet cannot be enrolled");
    let mut rows = Vec::new();
    let mut row = |what: &str, cell: String| {
        println!("{what}: {cell}");
        rows.push((what.to_owned(), cell));
    };
    let text = |v: &Value, digits: usize| v.as_f64().map_or("?".to_owned(), |n| format!("{n:.digits$}"));

    let first = bench.load(&["--seconds", "1"])?;
    row("gateways connected", n.clone());
    row("new mutual-TLS connections a second", text(&first["connect"]["perSecond"], 0));
    row("of them refused before they got in", text(&first["connect"]["failed"], 0));
    row("time to connect, p99, 256 at once (ms)", text(&first["connect"]["latency"]["p99Ms"], 0));
    let again = bench.load(&["--seconds", "1"])?;
    row("the same once more, a second", text(&again["connect"]["perSecond"], 0));
    let grown: i64 = first["processes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, p)| (p[1]["residentKb"].as_i64().unwrap_or(0) - p[0]["residentKb"].as_i64().unwrap_or(0)).max(0))
        .sum();
    row(
        "memory a gateway, everything in front of the core (kB)",
        format!("{:.1}", grown as f64 / size.gateways as f64),
    );

    let seconds = size.seconds.to_string();
    let heartbeats = size.heartbeats.to_string();
    let beats = bench.load(&["--seconds", &seconds, "--heartbeats", &heartbeats])?;
    row("signed heartbeats offered a second", heartbeats);
    row("verified and applied a second", text(&beats["load"]["heartbeatsAppliedPerSecond"], 0));

    if front == Front::Door && !size.smoke {
        reconciling(&bench, &seconds, &mut row)?;
    }

    let each: &[u64] = if size.smoke { &[2] } else { &[1, 2, 8] };
    for events in each.iter().copied() {
        let batches = (size.batches / events).to_string();
        let events_text = events.to_string();
        // Beside the installation, which goes when it is done.
        let svg = dir.with_extension(format!("{events}.svg")).display().to_string();
        let load = bench.load(&[
            "--seconds",
            &seconds,
            "--batches",
            &batches,
            "--events",
            &events_text,
            "--heartbeats",
            "500",
            "--svg",
            &svg,
        ])?;
        let acknowledge = &load["load"]["acknowledge"];
        row(
            &format!("events durable and acknowledged a second, {events} a batch, {} offered", size.batches),
            text(&load["load"]["eventsAcknowledgedPerSecond"], 0),
        );
        row(
            "from device error to signed ack: p50, p99 (ms)",
            format!("{}, {}", text(&acknowledge["p50Ms"], 0), text(&acknowledge["p99Ms"], 0)),
        );
        row("batches without acknowledgement a minute later", load["load"]["unacknowledged"].to_string());
        ensure!(front != Front::Door || load["load"]["unacknowledged"] == 0, "batches without acknowledgement: {load}");
    }

    if !size.smoke {
        directive(&bench, &mut row)?;
        restart(&mut bench, size, &mut row)?;
    }
    let copy = bench.world.data().join("log");
    let vkey = bench.world.data().join("log.vkey").display().to_string();
    let verified = bench.world.offline(&["audit", "verify", &copy.display().to_string(), "--key", &vkey])?;
    row("entries of the audit log, verified at the end", verified["entries"].to_string());
    Ok(rows)
}

/// What the digests of the observed inventory add to a heartbeat's price: processor time of everything in front of the core and of the
/// core, by turns without and with them. The state is reconciled before, as it is nearly always.
fn reconciling(bench: &Bench, seconds: &str, row: &mut impl FnMut(&str, String)) -> anyhow::Result<()> {
    const OFFERED: &str = "8000";
    bench.load(&["--seconds", seconds, "--heartbeats", OFFERED, "--observe"])?;
    // Whoever is asked answers; the figures below are of a fleet about which nothing is asked.
    let devices = bench.world.device_list()?;
    let observed = devices.iter().filter(|d| d["observed"]["serialNumber"] == d["serialNumber"]).count();
    let first = devices.first().context("the fleet has devices")?;
    ensure!(observed == devices.len(), "{observed} of {} devices are observed, the first is {first}", devices.len());
    row("devices observed after one run", observed.to_string());
    let price = |observe: &[&str]| -> anyhow::Result<f64> {
        let load = bench.load(&[&["--seconds", seconds, "--heartbeats", OFFERED][..], observe].concat())?;
        let spent: f64 = load["processes"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(_, p)| p[2]["cpuSeconds"].as_f64().unwrap_or(0.0) - p[1]["cpuSeconds"].as_f64().unwrap_or(0.0))
            .sum();
        Ok(1e6 * spent / load["load"]["heartbeatsApplied"].as_f64().context("the coordinator counts heartbeats")?)
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        without.push(price(&[])?);
        with.push(price(&["--observe"])?);
    }
    let list = |all: &[f64]| all.iter().map(|us| format!("{us:.1}")).collect::<Vec<_>>().join(", ");
    let middle = |all: &mut Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    row("processor time a heartbeat without digests of the inventory (µs)", list(&without));
    row("with them, nothing to reconcile (µs)", list(&with));
    let more = 100.0 * (middle(&mut with) / middle(&mut without) - 1.0);
    row("reconciling, share of a heartbeat's price (%)", format!("{more:.1}"));
    Ok(())
}

/// One release for everybody at once: from the order to the last gateway that has it, and that is known to follow it.
fn directive(bench: &Bench, row: &mut impl FnMut(&str, String)) -> anyhow::Result<()> {
    let world = &bench.world;
    let image = world.dir.join("firmware.img");
    std::fs::write(&image, vec![7; 100_000])?;
    world.release("FW-2.2.0", "2.2.0", 22, &image, 60.0)?;
    let more = ["--seconds", "40", "--heartbeats", "500"].map(str::to_owned);
    let run = bench.run(&more)?.spawn()?;
    wait_for("the fleet to be there", Duration::from_secs(120), || {
        let view = world.link()?;
        Ok((view["directives"]["followed"] == view["directives"]["issued"]
            && view["gateways"]["online"] == view["directives"]["issued"])
            .then_some(()))
    })?;
    std::thread::sleep(Duration::from_secs(8));
    let plan = json!({ "strategy": "Progressive", "phases": [{ "name": "All", "hospitalCohort": "all", "percentage": 100,
        "maxErrorRatePercent": 1.0, "monitoringDuration": "PT1H", "validationRole": "Clinical" }] });
    let started = Instant::now();
    world.deploy("FW-2.2.0", &plan)?;
    let ordered = started.elapsed();
    wait_for("every gateway to follow", Duration::from_secs(60), || {
        let view = world.link()?;
        Ok((view["directives"]["followed"] == view["directives"]["issued"]).then_some(()))
    })?;
    let followed = started.elapsed();
    let result = finish(run)?;
    let direct = &result["load"]["direct"];
    row("a directive for all: planned, signed, logged (s)", format!("{:.2}", ordered.as_secs_f64()));
    row(
        "from its issue to the gateway: count, p50, max (ms)",
        format!(
            "{}, {:.0}, {:.0}",
            direct["count"],
            direct["p50Ms"].as_f64().unwrap_or(0.0),
            direct["maxMs"].as_f64().unwrap_or(0.0)
        ),
    );
    row("from the order to all known to follow it (s)", format!("{:.2}", followed.as_secs_f64()));
    Ok(())
}

/// The coordinator is killed under load and starts again.
fn restart(bench: &mut Bench, size: &Size, row: &mut impl FnMut(&str, String)) -> anyhow::Result<()> {
    let more =
        ["--seconds", "75", "--heartbeats", "500", "--batches", "500", "--drain-seconds", "90"].map(str::to_owned);
    let run = bench.run(&more)?.spawn()?;
    wait_for("the fleet to be there", Duration::from_secs(120), || {
        Ok((bench.world.link()?["gateways"]["online"].as_u64() >= Some(size.gateways)).then_some(()))
    })?;
    std::thread::sleep(Duration::from_secs(12));
    bench.world.kill_coordinator();
    std::thread::sleep(Duration::from_secs(5));
    bench.world.start_coordinator()?;
    let ready = unix_ms();
    let result = finish(run)?;
    let load = &result["load"];
    let back = load["outages"].as_array().and_then(|o| o.last()).and_then(|o| o["until"].as_u64());
    let outages = load["outages"].to_string();
    // Gateways that keep their connection, to a broker that stands by itself, have no outage.
    let seconds = back.map(|back| back.saturating_sub(ready) as f64 / 1e3);
    let cell = seconds.map_or(if outages == "[]" { "none lost".into() } else { outages }, |s| format!("{s:.1}"));
    row("all back after kill -9 and restart under load (s)", cell);
    row("batches without acknowledgement afterwards", load["unacknowledged"].to_string());
    ensure!(bench.world.layout.front != Front::Door || load["unacknowledged"] == 0, "batches were lost: {load}");
    Ok(())
}
