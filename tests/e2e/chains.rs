//! A gateway whose disk is put back from a snapshot heals without a hand (FLD-6), and what it reports is complete again (FLD-7, FLD-8).

use std::path::Path;
use std::time::Duration;

use mdfm_tests::{Layout, Role, World, device_id, gateway_id, hospital_id, wait_for};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

const PATIENCE: Duration = Duration::from_secs(90);

/// The flat files of a directory and of those below it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn gateway(world: &World) -> Value {
    world.ctl(Role::Operator, &["gateways", "list"]).unwrap()[0].clone()
}

fn is_confirmed(world: &World, deployment: &str) {
    wait_for("the device to be confirmed", PATIENCE, || {
        Ok((world.deployment(deployment)?["devices"][0]["state"] == "confirmed").then_some(()))
    })
    .unwrap();
}

fn updates(world: &World, dir: &Path, n: u8, before: Option<&str>) -> String {
    let (id, version) = (format!("FW-2.{n}.0"), format!("2.{n}.0"));
    world.release(&id, &version, 20 + u64::from(n), &image(dir, n, 100_000), 0.5).unwrap();
    let plan = World::progressive(&hospital_id(1), "PT0S");
    let deployment = match before {
        None => world.deploy(&id, &plan).unwrap(),
        Some(before) => world.deploy_instead(&id, &plan, before).unwrap(),
    };
    is_confirmed(world, &deployment);
    assert_eq!(world.boot_record(1, 1).unwrap(), (version, true));
    deployment
}

#[test]
fn fld_6_a_snapshot_put_back_heals_without_a_hand() {
    let dir = fresh_dir("chains");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    wait_for("the device to be adopted", PATIENCE, || {
        Ok((gateway(&world)["telemetrySequence"].as_u64() >= Some(1)).then_some(()))
    })
    .unwrap();
    world.kill_agent(1);
    let (state, snapshot) = (world.agent_state(1), dir.join("snapshot"));
    copy(&state, &snapshot);
    world.start_agent(1).unwrap();
    let first = updates(&world, &dir, 2, None);

    world.kill_agent(1);
    std::fs::remove_dir_all(&state).unwrap();
    copy(&snapshot, &state);
    world.start_agent(1).unwrap();
    wait_for("the gateway to go on in a new epoch", PATIENCE, || {
        let view = gateway(&world);
        Ok((view["telemetry"] == "continued" && view["telemetryEpoch"] == 2).then_some(()))
    })
    .unwrap();
    let view = gateway(&world);
    assert_eq!((&view["epochsBegun"], &view["findings"]), (&json!(1), &json!(0)), "{view}");
    assert_eq!(view["anomalies"].as_array().unwrap().last().unwrap()["kind"], "setBack", "{view}");
    wait_for("the gateway to say that all is acknowledged", PATIENCE, || {
        let status: Value = serde_json::from_str(&world.on_gateway(1, &["--json", "status"])?)?;
        let done = status["telemetryRefused"] == false && status["outboxDepth"] == 0 && status["telemetryEpoch"] == 2;
        Ok(done.then_some(()))
    })
    .unwrap();
    wait_for("the device to be known as it is", PATIENCE, || {
        let device = world.ctl(Role::Operator, &["devices", "list"])?[0].clone();
        Ok((device["deviceId"] == device_id(1, 1).as_str() && device["currentFirmwareVersion"] == "2.2.0")
            .then_some(()))
    })
    .unwrap();
    let object = format!("gateway/{}", gateway_id(1));
    let search = |action: &str| {
        let found = world.ctl(Role::Auditor, &["audit", "search", "--object", &object, "--action", action]).unwrap();
        found["records"].as_array().unwrap().len()
    };
    assert_eq!(search("telemetry.epoch"), 1, "it is in the log");
    assert!(search("telemetry.anomaly") <= 2, "and costs little");
    wait_for("people to be notified", PATIENCE, || {
        let notices = world.ctl(Role::Operator, &["notices", "list"])?;
        let notified = notices.as_array().is_some_and(|all| all.iter().any(|n| n["kind"] == "gatewayAnomaly"));
        Ok(notified.then_some(()))
    })
    .unwrap();
    // After the attack the same gateway takes a good release, and the whole log verifies.
    updates(&world, &dir, 3, Some(&first));
}
