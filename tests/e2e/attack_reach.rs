//! Whoever owns one device, or one gateway, decides about its hospital and no other; a release without QA is deployed as the
//! emergency that it was approved as, or not at all.

use std::time::Duration;

use mdfm_tests::{Layout, Role, World, device_id, hospital_id, wait_for};
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
