//! The link to the fleet as its operators see it: who is there, a standby that takes over, a small fleet under load.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mdfm_tests::{Checked, Layout, Process, Role, World, device_id, gateway_id, hospital_id, program, wait_for};
use serde_json::Value;

use crate::{fresh_dir, image};

fn presence(world: &World, h: usize) -> anyhow::Result<String> {
    let gateways = world.ctl(Role::Operator, &["gateways", "list"])?;
    let found = gateways.as_array().into_iter().flatten().find(|g| g["gatewayId"] == gateway_id(h)).cloned();
    Ok(found.unwrap_or_default()["presence"].as_str().unwrap_or_default().to_owned())
}

fn wait_for_presence(world: &World, h: usize, wanted: &str, limit: Duration) {
    wait_for(&format!("gateway {h} to be {wanted}"), limit, || Ok((presence(world, h)? == wanted).then_some(())))
        .unwrap();
}

#[test]
fn seed_mon_a_gateway_that_goes_is_offline_at_once_and_its_devices_out_of_reach() {
    let dir = fresh_dir("presence");
    let mut world = World::start(&dir, Layout::default()).unwrap();
    let reach = |world: &World| {
        let view = world.ctl(Role::Operator, &["devices", "show", &device_id(1, 1)]).unwrap();
        view["presence"].as_str().unwrap_or_default().to_owned()
    };
    for h in 1..=2 {
        wait_for_presence(&world, h, "online", Duration::from_secs(20));
    }
    wait_for("the device to be seen", Duration::from_secs(20), || Ok((reach(&world) == "attached").then_some(())))
        .unwrap();
    let killed = Instant::now();
    world.kill_agent(1);
    wait_for_presence(&world, 1, "offline", Duration::from_secs(5));
    assert!(killed.elapsed() < Duration::from_secs(4), "took {:?}", killed.elapsed());
    assert_eq!(reach(&world), "unreachable");
    assert_eq!(presence(&world, 2).unwrap(), "online", "the other one is not touched");
    world.start_agent(1).unwrap();
    wait_for_presence(&world, 1, "online", Duration::from_secs(20));
    world.kill_coordinator();
    world.start_coordinator().unwrap();
    wait_for_presence(&world, 2, "online", Duration::from_secs(30));
}

/// A second coordinator waits beside the first and goes on where it was, in the middle of a rollout.
#[test]
fn a_standby_takes_over_when_the_coordinator_dies() {
    let dir = fresh_dir("standby");
    let mut world = World::start(&dir, Layout::default()).unwrap();
    let config = dir.join("coordinator.toml").display().to_string();
    let arguments = ["serve", "--standby", "--config", &config].map(str::to_owned);
    let log = dir.join("logs/standby.log");
    let mut standby = Process::start("mdfm-coordinator", &arguments, &log).unwrap();
    let said = |words: &str| {
        let said = std::fs::read_to_string(&log)?;
        Ok(said.contains(words).then_some(()))
    };
    wait_for("the standby to stand by", Duration::from_secs(20), || said("standing by")).unwrap();
    let image = image(&dir, 41, 500_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 2.0).unwrap();
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT1S")).unwrap();
    assert!(standby.is_running(), "it waits as long as it must");
    let killed = Instant::now();
    world.kill_coordinator();
    wait_for("the standby to serve", Duration::from_secs(20), || said("serving")).unwrap();
    assert!(killed.elapsed() < Duration::from_secs(10), "took {:?}", killed.elapsed());
    wait_for("the deployment to complete", Duration::from_secs(90), || {
        let view = world.deployment(&id)?;
        world.validate_if_due(&id, &view)?;
        Ok((view["status"]["name"] == "completed").then_some(()))
    })
    .unwrap();
}

/// The load generator against a real coordinator: every word of it is acknowledged, also over connections that break.
#[test]
fn a_fleet_of_forty_gateways_loses_no_word_while_connections_break() {
    let dir = fresh_dir("fleet");
    let limits = "connections_per_address_per_second = 1000\nrequests_per_second = 1000\n";
    let layout = Layout { hospitals: 0, devices: 0, more_config: limits.into(), ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let (session, fleet) = (world.session(Role::Operator), dir.join("fleet").display().to_string());
    let picture = dir.join("fleet.svg").display().to_string();
    let sim = |arguments: &[&str]| {
        let mut command = Command::new(program("mdfm-sim").unwrap());
        command.arg("fleet").args(arguments).args(["--dir", &fleet, "--session", &session]).stderr(Stdio::null());
        let output = command.checked_output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        output.stdout
    };
    sim(&["enrol", "--gateways", "40"]);
    let load = ["--seconds", "5", "--heartbeats", "200", "--batches", "100", "--events", "2", "--reconnects", "4"];
    let result: Value =
        serde_json::from_slice(&sim(&[&["run", "--json", "--svg", &picture][..], &load].concat())).unwrap();
    let load = &result["load"];
    assert_eq!(load["unacknowledged"], 0, "{load:#}");
    assert_eq!(load["acknowledge"]["count"], load["batchesSent"], "each batch once: {load:#}");
    assert!(
        load["heartbeatsApplied"].as_u64() > Some(500) && load["reconnect"]["count"].as_u64() > Some(5),
        "{load:#}"
    );
    assert!(std::fs::read_to_string(&picture).unwrap().contains("batch to signed acknowledgement"));
    let link = world.link().unwrap();
    assert_eq!(link["intake"]["batchesCommitted"], load["batchesSent"], "{link:#}");
    assert_eq!(link["intake"]["refused"], 0, "{link:#}");
}
