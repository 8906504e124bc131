//! Whoever owns one device, or one gateway, decides about its hospital and no other; a release without QA is deployed as the
//! emergency that it was approved as, or not at all.

use std::time::Duration;

use mdfm_shared::fixture::page::symptom;
use mdfm_tests::{Api, Layout, Role, World, device_id, hospital_id, wait_for};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

/// Everybody at once; the gate alone decides.
fn everybody() -> Value {
    json!({ "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 50, "monitoringDuration": "PT1S" } ] })
}

fn devices(view: &Value) -> Vec<Value> {
    view["devices"].as_array().cloned().unwrap_or_default()
}

fn is_in(device: &Value, hospital: usize) -> bool {
    device["hospitalId"] == hospital_id(hospital).as_str()
}

fn until(world: &World, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, Duration::from_secs(180), || {
        let view = world.deployment(id)?;
        Ok(holds(&view).then_some(view))
    })
    .unwrap()
}

/// One device reports danger to patients long after everybody confirmed the release.
#[test]
fn sec_3_one_device_moves_its_hospital_and_holds_the_rest() {
    let dir = fresh_dir("reach");
    let script =
        "[[fault]]\nfirmware = \"2.3.0\"\nkind = \"error\"\nafter_ms = 25000\nseverity = \"critical\"\n".to_owned();
    let scripts = [(device_id(3, 1), script)].into();
    let world = World::start(&dir, Layout { hospitals: 3, devices: 2, scripts, ..Layout::default() }).unwrap();
    wait_for("the devices to be known", Duration::from_secs(60), || {
        Ok(world.device_list()?.iter().all(|d| !d["runningSha256"].is_null()).then_some(()))
    })
    .unwrap();
    let image = image(&dir, 31, 200_000);
    world.release("FW-2.3.0", "2.3.0", 23, &image, 1.0).unwrap();
    let id = world.deploy("FW-2.3.0", &everybody()).unwrap();
    let view = until(&world, &id, "the fault to stop the deployment", |v| v["status"]["name"] == "paused");
    assert_eq!(view["contained"][0]["hospitalId"], hospital_id(3).as_str(), "{view}");
    assert_eq!(view["contained"][0]["deviceId"], device_id(3, 1).as_str());
    // The status says what it waits for, and which command ends it: rolling back everything is one of them.
    let how = view["waiting"][0]["how"].to_string();
    assert!(how.contains(&format!("mdfmctl resume {id}")) && how.contains(&format!("mdfmctl rollback {id}")), "{view}");

    // Those who answer for it have it in their inbox.
    for role in [Role::Clinical, Role::Regulatory] {
        wait_for("the notice", Duration::from_secs(10), || {
            let notices = world.ctl(role, &["notices", "list"])?;
            Ok(notices.to_string().contains("everything else is held").then_some(()))
        })
        .unwrap();
    }
    until(&world, &id, "the hospital to be back", |v| {
        devices(v).iter().filter(|d| is_in(d, 3)).all(|d| d["state"] == "rolledBack")
    });
    for d in 1..=2 {
        assert_eq!(world.boot_record(3, d).unwrap(), ("2.1.0".to_owned(), true));
        for h in 1..=2 {
            assert_eq!(world.boot_record(h, d).unwrap(), ("2.3.0".to_owned(), true), "hospital {h} stays");
        }
    }

    // A person lets it go on; it completes without the hospital.
    world.ctl(Role::Operator, &["resume", &id, "--reason", "one sensor, not the firmware"]).unwrap();
    let view = wait_for("the deployment to complete", Duration::from_secs(90), || {
        let view = world.deployment(&id)?;
        world.validate_if_due(&id, &view)?;
        Ok((view["status"]["name"] == "completed").then_some(view))
    })
    .unwrap();
    for device in devices(&view) {
        assert_eq!(device["state"] == "confirmed", !is_in(&device, 3), "{device}");
        assert_eq!(device["leftByOrder"] == true, is_in(&device, 3), "{device}");
    }
    // The neighbour went back by order: it takes the same release again.
    let mut again = everybody();
    again["targetDevices"] = json!([device_id(3, 2)]);
    let id = world.deploy("FW-2.3.0", &again).unwrap();
    until(&world, &id, "the neighbour to be updated", |v| devices(v)[0]["state"] == "confirmed");
    assert_eq!(world.boot_record(3, 2).unwrap(), ("2.3.0".to_owned(), true));
}

/// A release that QA never saw does not pass for an ordinary one.
#[test]
fn sec_8_an_emergency_release_ships_as_an_emergency_only() {
    let dir = fresh_dir("emergency-only");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let image = image(&dir, 32, 200_000);
    world.release_as("FW-2.3.0", "2.3.0", 23, &image, &["--emergency"]).unwrap();
    let emergency = |more: Value| {
        let mut plan = json!({ "strategy": "Emergency", "postDeploymentMonitoring": "PT1S" });
        for (field, value) in more.as_object().unwrap() {
            plan[field] = value.clone();
        }
        plan
    };
    for (plan, words) in [
        (everybody(), "without QA"),
        (json!({ "strategy": "Canary", "canaryDevicesPerHospital": 1 }), "without QA"),
        (emergency(json!({ "fdaNotificationRequired": false })), "fdaNotificationRequired"),
        (emergency(json!({ "statusReportInterval": "P30D" })), "statusReportInterval"),
    ] {
        let refused = world.deploy("FW-2.3.0", &plan).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    let id = world.deploy("FW-2.3.0", &emergency(json!({}))).unwrap();
    let view = until(&world, &id, "the device to be updated", |v| devices(v)[0]["state"] == "confirmed");
    assert_eq!(view["duties"][0]["kind"], "fdaNotification", "{view}");
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.3.0".to_owned(), true));
}

/// The coordinator's time server goes wrong by two days while a phase is watched, then is right again.
#[test]
fn sec_13_a_time_server_far_ahead_moves_no_phase() {
    let dir = fresh_dir("time-server");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 2, ..Layout::default() }).unwrap();
    let clock = dir.join("clock");
    let set = |offset: &str| std::fs::write(&clock, offset).unwrap();
    set("+0");
    world.kill_coordinator();
    world.start_coordinator_by(&clock).unwrap();
    let image = image(&dir, 33, 200_000);
    world.release("FW-2.3.0", "2.3.0", 23, &image, 1.0).unwrap();
    let phase =
        json!({ "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 50, "monitoringDuration": "PT12H" });
    let id = world.deploy("FW-2.3.0", &json!({ "strategy": "Progressive", "phases": [phase] })).unwrap();
    let all_confirmed = |v: &Value| devices(v).len() == 2 && devices(v).iter().all(|d| d["state"] == "confirmed");
    until(&world, &id, "the devices to be confirmed", all_confirmed);
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    let ahead_s = || -> anyhow::Result<u64> {
        let (_, metrics) = operator.text("/api/v1/metrics")?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("mdfm_clock_ahead_seconds "));
        Ok(line.unwrap_or_default().parse()?)
    };

    set("+2d");
    // The program sees it within a second, and looks at silence and phases each second.
    std::thread::sleep(Duration::from_secs(8));
    let view = world.deployment(&id).unwrap();
    assert_eq!(view["status"]["name"], "running", "no silence, no end of monitoring: {view}");
    assert_eq!(view["phases"][0]["status"]["name"], "monitoring", "{view}");
    assert_eq!(view["phases"][0]["devices"]["silent"], 0, "{view}");
    assert!(ahead_s().unwrap() > 170_000, "the clock is ahead");
    let journal = std::fs::read_to_string(dir.join("logs/coordinator.log")).unwrap();
    assert!(journal.contains("the clock of this computer was set forward by 4"), "said");
    let paused = operator.json("POST", &format!("/api/v1/deployments/{id}/pause"), &json!({ "reason": "x" })).unwrap();
    assert_eq!(paused.0, 200, "the session has not ended: {paused:?}");

    set("+0");
    wait_for("the clock to be right", Duration::from_secs(20), || Ok((ahead_s()? == 0).then_some(()))).unwrap();
    let found = world.ctl(Role::Auditor, &["audit", "search", "--limit", "5"]).unwrap();
    let dated = |record: &Value| record["at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let latest = found["records"].as_array().unwrap().iter().filter_map(dated).max().unwrap();
    let limit = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5);
    assert!(latest < limit, "no record is dated far ahead: {latest}");
    world.ctl(Role::Operator, &["resume", &id, "--reason", "the clock is right"]).unwrap();
    until(&world, &id, "the deployment to go on", |v| v["status"]["name"] == "running");
}

/// The clock of the only witness is a year ahead: what it cosigns is new for nobody until that year has passed, and what it cosigns afterwards is.
#[test]
fn sec_12_a_witness_a_year_ahead_makes_nothing_new() {
    let dir = fresh_dir("witness-ahead");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, witnesses: 1, ..Layout::default() }).unwrap();
    world.kill_witness(1);
    world.start_witness_at(1, "+1y").unwrap();
    let image = image(&dir, 34, 200_000);
    world.release("FW-2.3.0", "2.3.0", 23, &image, 1.0).unwrap();
    let id = world.deploy("FW-2.3.0", &everybody()).unwrap();
    let said = |log: &str| Ok::<_, anyhow::Error>(std::fs::read_to_string(dir.join("logs").join(log))?);
    let refused = "their clock or this gateway's is wrong";
    wait_for("the gateway to refuse it", Duration::from_secs(60), || {
        Ok(said("agent-001.log")?.contains(refused).then_some(()))
    })
    .unwrap();
    let why = symptom("The coordinator does nothing", "the clock of the witness");
    wait_for("the coordinator to say why", Duration::from_secs(10), || {
        Ok(why.is_in(&said("coordinator.log")?).then_some(()))
    })
    .unwrap();
    let view = world.deployment(&id).unwrap();
    assert!(devices(&view).iter().all(|d| d["state"] != "confirmed"), "{view}");
    assert_eq!(world.boot_record(1, 1).unwrap().0, "2.1.0");

    world.kill_witness(1);
    world.start_witness(1).unwrap();
    // A record, so that there is a checkpoint to cosign; evidence under it goes out with the next start.
    world.kill_coordinator();
    world.start_coordinator().unwrap();
    world.ctl(Role::Operator, &["hospitals", "add", "HOSP-900", "--name", "Later"]).unwrap();
    until(&world, &id, "the device to be updated", |v| devices(v)[0]["state"] == "confirmed");
}
