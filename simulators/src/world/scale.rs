//! `mdfm-sim scale`: the rollout engine on a fleet of any size, the seed's three phases with their real times, in virtual time.
//!
//! Planner, engine, gates and directives are the coordinator's own. Devices are modelled by their reports alone: each walks
//! through the states of an installation in its own time, and some fail on trial. No signature is made, no log is kept. A second rollout then goes
//! through the whole engine, and the time of each of its rounds is taken. Where many devices are faulty, a gate must hold the first rollout, and the
//! reports that come meanwhile are what is measured.

mod rollouts;
mod rounds;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use mdfm_service::output::{line, note};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId, HospitalId};
use mdfm_shared::sign::Signed;
use mdfm_shared::telemetry::{FirmwareReport, InstallState};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{Role, Validation};
use serde_json::json;

use super::act::Act;
use super::device::MODEL;
use super::rng::Rng;
use super::scenario::Release;
use super::setup::{self, START};
use rollouts::{Rollouts, StatusEvent};
use rounds::{Kind, Measured};

/// A device walks through an installation in these steps.
const WALK: [InstallState; 6] = [
    InstallState::Fetching,
    InstallState::Staging,
    InstallState::Staged,
    InstallState::Activating,
    InstallState::Probation,
    InstallState::Confirmed,
];
/// What a faulty one does instead of the last step.
const BACK: [InstallState; 2] = [InstallState::RollingBack, InstallState::RolledBack];

/// Share of faulty devices, in percent, from which on a gate must hold the rollout.
const HELD_PERCENT: f64 = 10.0;

/// Rolls firmware out to a fleet of any size in virtual time and says what it cost.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Hospitals.
    #[arg(long, default_value_t = 2_000)]
    hospitals: usize,
    /// Gateways of all hospitals together.
    #[arg(long, default_value_t = 100_000)]
    gateways: usize,
    /// Devices of all gateways together.
    #[arg(long, default_value_t = 1_000_000)]
    devices: usize,
    /// Share of devices that fail on trial, in percent.
    #[arg(long, default_value_t = 0.05)]
    faulty_percent: f64,
    /// Seed of delays and faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

struct Site {
    device: DeviceId,
    gateway: u32,
    faulty: bool,
}

/// Bytes of this process in memory now, and the most there ever were.
fn memory_bytes() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb * 1_024)
    };
    (field("VmRSS:").unwrap_or(0), field("VmHWM:").unwrap_or(0))
}

fn id<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(text: &str) -> anyhow::Result<T> {
    Ok(text.parse()?)
}

struct Fleet {
    engine: Rollouts,
    gateways: Vec<GatewayId>,
    sites: Vec<Site>,
    /// First site of each gateway; they stand together.
    first: Vec<usize>,
    release: Release,
}

fn install(arguments: &Arguments) -> anyhow::Result<Fleet> {
    let mut engine = Rollouts::default();
    let mut rng = Rng::new(arguments.seed, 3);
    engine.act(START, "admin", Act::TrustRoot(setup::trust_root(None)))?;
    engine.act(START, "admin", Act::Roster(setup::roster(1, None)))?;
    let hospitals: Vec<HospitalId> =
        (0..arguments.hospitals).map(|h| id(&format!("H-{h:05}"))).collect::<Result<_, _>>()?;
    for (h, hospital) in hospitals.iter().enumerate() {
        let cohort = (h % 10 == 0).then(|| "pilot".to_owned());
        engine.act(START, "operator", Act::Hospital { hospital: hospital.clone(), cohort })?;
    }
    let key = setup::key(99).public();
    let (mut gateways, mut sites, mut first) = (Vec::new(), Vec::with_capacity(arguments.devices), Vec::new());
    for g in 0..arguments.gateways {
        let hospital = hospitals[g % hospitals.len()].clone();
        let gateway: GatewayId = id(&format!("GW-{g:06}"))?;
        engine.act(
            START,
            "operator",
            Act::Gateway { gateway: gateway.clone(), hospital: hospital.clone(), key: key.clone() },
        )?;
        first.push(sites.len());
        let until = arguments.devices * (g + 1) / arguments.gateways;
        while sites.len() < until {
            let device: DeviceId = id(&format!("DEV-{:07}", sites.len()))?;
            engine.act(START, "operator", setup::new_device(&device, &hospital, &gateway))?;
            let faulty = rng.happens(arguments.faulty_percent / 100.0);
            sites.push(Site { device, gateway: u32::try_from(g)?, faulty });
        }
        gateways.push(gateway);
    }
    first.push(sites.len());
    let release = release();
    let mut fleet = Fleet { engine, gateways, sites, first, release: release.clone() };
    fleet.publish(1, &release, START)?;
    Ok(fleet)
}

/// A release that nothing is wrong with.
fn release() -> Release {
    Release {
        at_s: 0,
        class: "standard".into(),
        approve_after_s: 0,
        withheld: Vec::new(),
        security_version: 1,
        recall_window_s: None,
        flaw: Vec::new(),
    }
}

impl Fleet {
    /// Uploads the n-th release and has it approved; returns its manifest's digest.
    fn publish(&mut self, n: usize, release: &Release, now: UtcMillis) -> anyhow::Result<Digest> {
        let manifest = setup::manifest(n, release);
        let signed = setup::signed_manifest(&manifest);
        let firmware = manifest.firmware_id.clone();
        let upload = Act::Firmware {
            firmware: firmware.clone(),
            version: manifest.version.clone(),
            model: MODEL.into(),
            sha256: manifest.sha256,
            size_bytes: manifest.size_bytes(),
        };
        self.engine.act(now, "uploader", upload)?;
        self.engine.act(now, "uploader", Act::Manifest { firmware: firmware.clone(), manifest: signed.clone() })?;
        for role in Role::ALL {
            let approval = setup::approval(&signed, role, now);
            let act = Act::Approve { firmware: firmware.clone(), approval };
            self.engine.act(now, setup::approver(role).0, act)?;
        }
        Ok(signed.digest())
    }
}

/// What a run cost.
struct Cost {
    planning: Duration,
    run: Duration,
    /// Spent in applying status events and letting the engine look.
    applying: Duration,
    /// The one that took longest.
    longest: Duration,
    events: u64,
    directives: u64,
    virtual_ms: u64,
    status: &'static str,
    gates: Vec<String>,
}

fn roll_out(fleet: &mut Fleet, seed: u64) -> anyhow::Result<Cost> {
    let json = r#"{ "firmwareId": "FW-1", "strategy": "Progressive" }"#;
    let begun = Instant::now();
    fleet.engine.plan(START, json)?;
    let planning = begun.elapsed();
    let begun = Instant::now();
    let deployment: DeploymentId = id("D-1")?;
    let manifest = setup::manifest(1, &fleet.release);
    let digest = setup::signed_manifest(&manifest).digest();
    let new = FirmwareReport {
        version: manifest.version.clone(),
        release_number: manifest.release_number,
        security_version: manifest.security_version,
        sha256: manifest.sha256,
    };
    fleet.engine.act(START, "operator", Act::Deploy { deployment: deployment.clone(), json: json.into() })?;
    let mut rng = Rng::new(seed, 4);
    // When, which device, which step of its walk.
    let mut queue: BinaryHeap<Reverse<(u64, u32, u8)>> = BinaryHeap::new();
    let mut told = vec![false; fleet.sites.len()];
    let mut confirmed = vec![false; fleet.sites.len()];
    let mut called_back = false;
    let (mut now_ms, mut events, mut directives, mut applying) = (0_u64, 0_u64, 0_u64, Duration::ZERO);
    let mut longest = Duration::ZERO;
    let mut opened = fleet.engine.advance(START)?;
    loop {
        let now = START.plus_ms(now_ms);
        for _ in std::mem::take(&mut opened) {
            for (g, gateway) in fleet.gateways.iter().enumerate() {
                directives += 1;
                for device in fleet.engine.told_to_install(now, gateway) {
                    let of_gateway = &fleet.sites[fleet.first[g]..fleet.first[g + 1]];
                    let at = of_gateway.iter().position(|s| s.device == device).context("a device of its gateway")?;
                    let site = fleet.first[g] + at;
                    if !std::mem::replace(&mut told[site], true) {
                        queue.push(Reverse((now_ms + rng.between(1_000, 3_600_000), u32::try_from(site)?, 0)));
                    }
                }
            }
        }
        let (status, phase, awaits) = fleet.engine.standing(&deployment).context("the deployment")?;
        if let Some(role) = awaits {
            let (user, key) = setup::approver(role);
            let validation = Validation {
                deployment: deployment.clone(),
                phase,
                manifest: digest,
                evidence: None,
                role,
                user: id(user)?,
                printed_name: user.to_owned(),
                meaning: format!("I validate phase {phase}"),
                reason: "rehearsed".into(),
                at: now,
            };
            let validation = Signed::sign(&validation, &[&key])?;
            fleet.engine.act(now, user, Act::Validate { deployment: deployment.clone(), validation })?;
            opened = fleet.engine.advance(now)?;
            continue;
        }
        if status == "rollingBack" && !std::mem::replace(&mut called_back, true) {
            // Whoever is on the way turns round at the end of it; whoever is done starts back.
            for site in (0..fleet.sites.len()).filter(|s| told[*s]) {
                fleet.sites[site].faulty = true;
                if confirmed[site] {
                    queue.push(Reverse((now_ms + rng.between(1_000, 60_000), u32::try_from(site)?, 5)));
                }
            }
        }
        // What is held still hears of the devices that were on trial: a second hospital that fails ends it.
        let goes_on = match status {
            "running" | "rollingBack" => true,
            "paused" => !queue.is_empty(),
            _ => false,
        };
        if !goes_on {
            let run = begun.elapsed();
            let gates = fleet.engine.gates(&deployment);
            return Ok(Cost {
                planning,
                run,
                applying,
                longest,
                events,
                directives,
                virtual_ms: now_ms,
                status,
                gates,
            });
        }
        let deadline = fleet.engine.deadline().map(|at| at.since_ms(START));
        match queue.peek() {
            Some(Reverse((at, _, _))) if deadline.is_none_or(|d| *at <= d) => {
                let Some(Reverse((at_ms, site, step))) = queue.pop() else { continue };
                now_ms = at_ms;
                let place = &fleet.sites[site as usize];
                let step = usize::from(step);
                let state = match step.checked_sub(WALK.len() - 1) {
                    Some(n) if place.faulty => BACK[n.min(BACK.len() - 1)],
                    Some(_) | None => WALK[step.min(WALK.len() - 1)],
                };
                let running = match state {
                    InstallState::Probation | InstallState::Confirmed => Some(new.clone()),
                    InstallState::RolledBack => Some(setup::factory()),
                    _ => None,
                };
                confirmed[site as usize] = state == InstallState::Confirmed;
                let gateway = &fleet.gateways[place.gateway as usize];
                let event = StatusEvent {
                    device: &place.device,
                    gateway,
                    state,
                    deployment: &deployment,
                    manifest: digest,
                    running,
                };
                let started = Instant::now();
                opened = fleet.engine.status(START.plus_ms(now_ms), event)?;
                let took = started.elapsed();
                (applying, longest) = (applying + took, longest.max(took));
                events += 1;
                if !state.is_settled() {
                    queue.push(Reverse((now_ms + rng.between(5_000, 300_000), site, u8::try_from(step + 1)?)));
                }
            }
            _ => {
                now_ms = deadline.context("the rollout waits for nothing and has not ended")?.max(now_ms);
                opened = fleet.engine.advance(START.plus_ms(now_ms))?;
            }
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    anyhow::ensure!(
        arguments.hospitals > 0 && arguments.gateways >= arguments.hospitals && arguments.devices >= arguments.gateways,
        "at least one hospital, a gateway for each, and a device for each gateway"
    );
    note(format_args!("registering {} devices", arguments.devices));
    let begun = Instant::now();
    let mut fleet = install(arguments)?;
    let registering = begun.elapsed();
    let (before, _) = memory_bytes();
    note(format_args!("rolling out"));
    let cost = roll_out(&mut fleet, arguments.seed)?;
    let (after, peak) = memory_bytes();
    let faulty = fleet.sites.iter().filter(|s| s.faulty).count();
    let is_held = arguments.faulty_percent >= HELD_PERCENT;
    let expected = if is_held { "paused" } else { "completed" };
    anyhow::ensure!(cost.status == expected, "the rollout ended {}", cost.status);
    let measured = if is_held { None } else { Some(rounds::measure(fleet, arguments.seed)?) };
    let per_device = after.saturating_sub(before) / arguments.devices as u64;
    let per_event = cost.applying.as_nanos() as u64 / cost.events.max(1);
    if arguments.json {
        let view = json!({
            "hospitals": arguments.hospitals, "gateways": arguments.gateways, "devices": arguments.devices,
            "faulty": faulty, "status": cost.status, "virtualHours": cost.virtual_ms / 3_600_000,
            "registeringMs": registering.as_millis() as u64, "planningMs": cost.planning.as_millis() as u64,
            "runMs": cost.run.as_millis() as u64, "statusEvents": cost.events, "nsPerStatusEvent": per_event,
            "longestStatusEventNs": cost.longest.as_nanos() as u64,
            "directivesComposed": cost.directives, "engineBytesPerDevice": per_device, "peakBytes": peak,
            "rounds": measured.as_ref().map(Measured::to_json),
        });
        line(format_args!("{view}"));
    } else {
        line(format_args!(
            "fleet           {} hospitals, {} gateways, {} devices, {faulty} of them faulty",
            arguments.hospitals, arguments.gateways, arguments.devices
        ));
        line(format_args!("rollout         {} after {} virtual hours", cost.status, cost.virtual_ms / 3_600_000));
        for (i, gate) in cost.gates.iter().enumerate() {
            line(format_args!("  gate {}        {gate}", i + 1));
        }
        line(format_args!("planning        {:.2} s", cost.planning.as_secs_f64()));
        line(format_args!(
            "whole rollout   {:.1} s for {} status events and {} directives",
            cost.run.as_secs_f64(),
            cost.events,
            cost.directives
        ));
        line(format_args!(
            "a status event  {:.2} µs, {:.2} ms at most",
            per_event as f64 / 1_000.0,
            cost.longest.as_secs_f64() * 1_000.0
        ));
        line(format_args!(
            "memory          {per_device} bytes a device for the rollout, {} MiB at most for everything",
            peak >> 20
        ));
        line(format_args!("(registering took {:.1} s and is not counted)", registering.as_secs_f64()));
        measured.iter().for_each(Measured::print);
    }
    Ok(())
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

impl Measured {
    fn to_json(&self) -> serde_json::Value {
        let of = |all: &hdrhistogram::Histogram<u64>| {
            json!({ "rounds": all.len(), "p50Ms": ms(all.value_at_quantile(0.5)), "p99Ms": ms(all.value_at_quantile(0.99)),
                    "p999Ms": ms(all.value_at_quantile(0.999)), "longestMs": ms(all.max()) })
        };
        let by_kind: serde_json::Map<_, _> =
            self.by_kind.iter().map(|(kind, all)| (kind.name().to_owned(), of(all))).collect();
        let orders: Vec<_> =
            self.orders.iter().map(|(name, took)| json!({ "order": name, "ms": took.as_millis() as u64 })).collect();
        json!({ "all": of(&self.all), "byKind": by_kind, "untilDirected": orders,
                "snapshotMs": self.snapshot.0.as_millis() as u64, "snapshotBytes": self.snapshot.1 })
    }

    fn print(&self) {
        line(format_args!("rounds                number      p50      p99    p99.9  longest (ms of the processor)"));
        let row = |name: &str, all: &hdrhistogram::Histogram<u64>| {
            let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| ms(all.value_at_quantile(q)));
            let (number, longest) = (all.len(), ms(all.max()));
            line(format_args!("  {name:<18}{number:>8}{p50:>9.2}{p99:>9.2}{p999:>9.2}{longest:>9.1}"));
        };
        for kind in Kind::ALL {
            if let Some(all) = self.by_kind.get(&kind) {
                row(kind.words(), all);
            }
        }
        row("all", &self.all);
        for (name, took) in &self.orders {
            line(format_args!("  {name:<18}{:>8.2} s until every directive was signed", took.as_secs_f64()));
        }
        let (took, bytes) = self.snapshot;
        line(format_args!("  a snapshot takes {:.1} s for {} MiB", took.as_secs_f64(), bytes >> 20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_devices_take_six_days_of_virtual_time() {
        let arguments =
            Arguments { hospitals: 20, gateways: 100, devices: 1_000, faulty_percent: 0.0, seed: 1, json: false };
        let mut fleet = install(&arguments).expect("installs");
        let cost = roll_out(&mut fleet, 1).expect("runs");
        assert_eq!(cost.status, "completed");
        assert_eq!(cost.events, 6_000, "every device walks through every state");
        let hours = cost.virtual_ms / 3_600_000;
        assert!((144..=150).contains(&hours), "72 + 48 + 24 hours of monitoring, and the installations: {hours}");
    }

    #[test]
    fn a_fleet_of_bad_firmware_stops_in_its_pilot() {
        let arguments =
            Arguments { hospitals: 20, gateways: 100, devices: 1_000, faulty_percent: 30.0, seed: 1, json: false };
        let mut fleet = install(&arguments).expect("installs");
        let cost = roll_out(&mut fleet, 1).expect("runs");
        // Nothing is known of what these devices run, so that only a person sends back more than the hospitals that failed.
        assert_eq!(cost.status, "paused");
        assert!(cost.events < 1_000, "nobody outside the pilot began: {}", cost.events);
    }
}
