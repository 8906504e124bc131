//! `mdfm-sim scale`: the rollout engine on a fleet of any size, the seed's three phases with their real times, in virtual time.
//!
//! Planner, engine, gates and directives are the coordinator's own. Devices are modelled by their reports alone: each walks
//! through the states of an installation in its own time, and some fail on trial. No signature is made, no log is kept.

mod rollouts;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use mdfm_service::output::{line, note};
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId, HospitalId};
use mdfm_shared::sign::Signed;
use mdfm_shared::telemetry::{FirmwareReport, InstallState};
use mdfm_shared::trust::{Role, Validation};
use serde_json::json;

use super::act::Act;
use super::device::MODEL;
use super::rng::Rng;
use super::scenario::Release;
use super::setup::{self, START};
use rollouts::{Rollouts, StatusEvent};

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
    let release = Release {
        at_s: 0,
        class: "standard".into(),
        approve_after_s: 0,
        withheld: Vec::new(),
        security_version: 1,
        recall_window_s: None,
        flaw: Vec::new(),
    };
    let manifest = setup::manifest(1, &release);
    engine.act(
        START,
        "uploader",
        Act::Firmware {
            firmware: manifest.firmware_id.clone(),
            version: manifest.version.clone(),
            model: MODEL.into(),
            sha256: manifest.sha256,
            size_bytes: manifest.size_bytes(),
        },
    )?;
    let signed = setup::signed_manifest(&manifest);
    engine.act(
        START,
        "uploader",
        Act::Manifest { firmware: manifest.firmware_id.clone(), manifest: signed.clone() },
    )?;
    for role in Role::ALL {
        let approval = setup::approval(&signed, role, START);
        let act = Act::Approve { firmware: manifest.firmware_id.clone(), approval };
        engine.act(START, setup::approver(role).0, act)?;
    }
    Ok(Fleet { engine, gateways, sites, first, release })
}

/// What a run cost.
struct Cost {
    planning: Duration,
    run: Duration,
    /// Spent in applying status events and letting the engine look.
    applying: Duration,
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
            return Ok(Cost { planning, run, applying, events, directives, virtual_ms: now_ms, status, gates });
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
                applying += started.elapsed();
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
    let per_device = after.saturating_sub(before) / arguments.devices as u64;
    let per_event = cost.applying.as_nanos() as u64 / cost.events.max(1);
    if arguments.json {
        let view = json!({
            "hospitals": arguments.hospitals, "gateways": arguments.gateways, "devices": arguments.devices,
            "faulty": faulty, "status": cost.status, "virtualHours": cost.virtual_ms / 3_600_000,
            "registeringMs": registering.as_millis() as u64, "planningMs": cost.planning.as_millis() as u64,
            "runMs": cost.run.as_millis() as u64, "statusEvents": cost.events, "nsPerStatusEvent": per_event,
            "directivesComposed": cost.directives, "engineBytesPerDevice": per_device, "peakBytes": peak,
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
        line(format_args!("a status event  {:.2} µs", per_event as f64 / 1_000.0));
        line(format_args!(
            "memory          {per_device} bytes a device for the rollout, {} MiB at most for everything",
            peak >> 20
        ));
        line(format_args!("(registering took {:.1} s and is not counted)", registering.as_secs_f64()));
    }
    anyhow::ensure!(cost.status == "completed", "the rollout ended {}", cost.status);
    Ok(())
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
