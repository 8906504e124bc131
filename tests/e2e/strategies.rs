//! Every strategy of the founding documents with real processes and short times.

use std::time::Duration;

use mdfm_tests::{Layout, Role, World, device_id, hospital_id, wait_for};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

fn devices(view: &Value) -> Vec<Value> {
    view["devices"].as_array().cloned().unwrap_or_default()
}

fn device(view: &Value, id: &str) -> Value {
    devices(view).into_iter().find(|d| d["deviceId"] == id).unwrap_or(Value::Null)
}

/// Signs what is due until the deployment has this status.
fn until(world: &World, id: &str, status: &str) -> Value {
    wait_for(&format!("the deployment to be {status}"), Duration::from_secs(90), || {
        let view = world.deployment(id)?;
        world.validate_if_due(id, &view)?;
        Ok((view["status"]["name"] == status).then_some(view))
    })
    .unwrap()
}

/// The seed's Canary: one device in each hospital first; the others only after clinical staff signed.
#[test]
fn seed_strat_canary_one_device_of_each_hospital_goes_first() {
    let dir = fresh_dir("canary");
    let world = World::start(&dir, Layout { hospitals: 2, devices: 2, ..Layout::default() }).unwrap();
    let image = image(&dir, 11, 200_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0).unwrap();
    let plan = json!({
        "strategy": "Canary", "canaryDevicesPerHospital": 1, "canaryMonitoring": "PT1S",
        "validationGate": { "maxErrors": 0, "requiresStaffValidation": true },
        "phases": [ { "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1S" } ],
    });
    let id = world.deploy("FW-2.2.0", &plan).unwrap();
    let view = wait_for("the canaries to pass their gate", Duration::from_secs(60), || {
        let view = world.deployment(&id)?;
        Ok((view["phases"][0]["status"]["name"] == "awaitingValidation").then_some(view))
    })
    .unwrap();
    assert_eq!(view["phases"][0]["gate"]["maxErrors"], 0);
    let touched: Vec<Value> = devices(&view).into_iter().filter(|d| !d["state"].is_null()).collect();
    assert_eq!(touched.len(), 2, "one in each hospital: {touched:?}");
    assert_ne!(touched[0]["hospitalId"], touched[1]["hospitalId"]);
    assert!(touched.iter().all(|d| d["state"] == "confirmed" && d["phase"] == 1), "{touched:?}");
    let view = until(&world, &id, "completed");
    assert_eq!(view["phases"][0]["validation"]["role"], "Clinical");
    assert!(devices(&view).iter().all(|d| d["state"] == "confirmed"), "{view}");
}

const EMERGENCY: &str = r#"{ "strategy": "Emergency", "targetDevices": "all", "approvalWindow": "PT4H",
    "monitoringInterval": "PT10S", "autoRollback": true, "fdaNotificationRequired": true,
    "postDeploymentMonitoring": "PT3S", "statusReportInterval": "PT1S" }"#;

fn emergency() -> Value {
    serde_json::from_str(EMERGENCY).unwrap()
}

/// The seed's Emergency: two approvals, everybody at once, reports that are owed, and back on the first failure.
#[test]
fn seed_strat_emergency_reaches_everybody_at_once_and_goes_back_on_the_first_failure() {
    let dir = fresh_dir("emergency");
    let script = "[[fault]]\nfirmware = \"2.4.0\"\nkind = \"error\"\nafter_ms = 300\n".to_owned();
    let scripts = [(device_id(2, 1), script)].into();
    let world = World::start(&dir, Layout { hospitals: 2, devices: 2, scripts, ..Layout::default() }).unwrap();
    let image_3 = image(&dir, 12, 200_000);
    world.release_as("FW-2.2.0", "2.2.0", 22, &image_3, &[]).unwrap();
    let refused = world.deploy("FW-2.2.0", &emergency()).unwrap_err().to_string();
    assert!(refused.contains("approved as a standard release"), "{refused}");
    world.release_as("FW-2.3.0", "2.3.0", 23, &image_3, &["--emergency"]).unwrap();
    let id = world.deploy("FW-2.3.0", &emergency()).unwrap();
    let view = until(&world, &id, "completed");
    assert!(devices(&view).iter().all(|d| d["firmwareVersion"] == "2.3.0"), "{view}");
    let duties = |view: &Value| -> Vec<String> {
        view["duties"].as_array().unwrap().iter().map(|d| d["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(duties(&view)[0], "fdaNotification");
    let view = world.ctl(Role::Regulatory, &["duty", &id, "1", "--reference", "806 report 2026-17"]).unwrap();
    assert_eq!(view["duties"][0]["fulfilled"]["by"], "regulatory");
    let view = wait_for("seven status reports", Duration::from_secs(30), || {
        let view = world.deployment(&id)?;
        Ok((duties(&view).iter().filter(|d| *d == "statusReport").count() == 7).then_some(view))
    })
    .unwrap();
    assert!(view["duties"][2]["draft"].as_str().unwrap().contains("4 devices in opened phases"), "{}", view["duties"]);

    // The next one has the fault of one device: everybody goes back, whatever the rate.
    let image_4 = image(&dir, 13, 200_000);
    world.release_as("FW-2.4.0", "2.4.0", 24, &image_4, &["--emergency"]).unwrap();
    let mut plan = emergency();
    plan["postDeploymentMonitoring"] = "PT1H".into();
    let id = world.deploy("FW-2.4.0", &plan).unwrap();
    let view = until(&world, &id, "rolledBack");
    assert_eq!(view["firstFailure"], "rollBack");
    assert!(view["status"]["reason"].as_str().unwrap().contains("the first failure ends"), "{}", view["status"]);
    assert!(devices(&view).iter().all(|d| d["firmwareVersion"] == "2.3.0"), "{view}");
    assert!(duties(&view).contains(&"correctionDecision".to_owned()), "{:?}", duties(&view));
}

/// A release that closes a hole is not undone by its first failure: the deployment waits for a decision, and goes on with it.
#[test]
fn seed_strat_emergency_a_security_fix_waits_for_a_decision() {
    let dir = fresh_dir("fix");
    let script = "[[fault]]\nfirmware = \"2.3.0\"\nkind = \"error\"\nafter_ms = 300\n".to_owned();
    let scripts = [(device_id(1, 1), script)].into();
    let world = World::start(&dir, Layout { hospitals: 1, devices: 3, scripts, ..Layout::default() }).unwrap();
    let image = image(&dir, 14, 200_000);
    let more = ["--emergency", "--security-version", "2"];
    world.release_as("FW-2.3.0", "2.3.0", 23, &image, &more).unwrap();
    wait_for("the devices to be known", Duration::from_secs(30), || {
        Ok(world.device_list()?.iter().all(|d| !d["runningSha256"].is_null()).then_some(()))
    })
    .unwrap();
    let id = world.deploy("FW-2.3.0", &emergency()).unwrap();
    let view = until(&world, &id, "paused");
    assert_eq!(view["firstFailure"], "hold");
    assert!(view["status"]["reason"].as_str().unwrap().contains("resume or roll back"), "{}", view["status"]);
    world.ctl(Role::Operator, &["resume", &id, "--reason", "one sensor is broken, the fix is not"]).unwrap();
    let view = until(&world, &id, "completed");
    assert_eq!(device(&view, &device_id(1, 1))["firmwareVersion"], "2.1.0", "it went back by itself");
    assert_eq!(device(&view, &device_id(1, 2))["firmwareVersion"], "2.3.0");
}

/// Local time of `zone`, `s` seconds from now, as a window writes it: the day and the time.
fn local(zone: &str, s: i64) -> (String, String) {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(s);
    let at = at.in_tz(zone).unwrap();
    (at.strftime("%A").to_string(), at.strftime("%H:%M:%S").to_string())
}

/// The seed's Scheduled: staged before the window, activated in it, in the hospital's own time; another hospital whose window is
/// another day's is left alone.
#[test]
fn seed_strat_scheduled_devices_are_activated_in_their_hospitals_window_alone() {
    let dir = fresh_dir("scheduled");
    let world = World::start(&dir, Layout { hospitals: 2, devices: 1, ..Layout::default() }).unwrap();
    let image = image(&dir, 15, 200_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0).unwrap();
    let zone = "Asia/Kolkata";
    let ((day, start), (_, end), (later, _)) = (local(zone, 10), local(zone, 130), local(zone, 3 * 86_400));
    // Registered for the second hospital, given with the deployment for the first.
    let registered = format!("{later} 02:00-06:00 {zone}");
    world
        .ctl(
            Role::Operator,
            &["hospitals", "policy", "change", &hospital_id(2), "--add-window", &registered, "--reason", "agreed"],
        )
        .unwrap();
    let plan = json!({
        "strategy": "Scheduled", "pauseOutsideWindow": true,
        "maintenanceWindows": [
            { "hospitalId": hospital_id(1), "dayOfWeek": day, "startTime": start, "endTime": end, "timezone": zone }
        ],
    });
    let opens = std::time::Instant::now() + Duration::from_secs(10);
    let id = world.deploy("FW-2.2.0", &plan).unwrap();
    wait_for("both images to be staged", Duration::from_secs(30), || {
        Ok(devices(&world.deployment(&id)?).iter().all(|d| d["state"] == "staged").then_some(()))
    })
    .unwrap();
    assert!(std::time::Instant::now() < opens, "staged before the window opened, else this shows nothing");
    assert_eq!(world.boot_record(1, 1).unwrap().0, "2.1.0");
    let view = wait_for("the device in its window", Duration::from_secs(40), || {
        let view = world.deployment(&id)?;
        Ok((device(&view, &device_id(1, 1))["state"] == "confirmed").then_some(view))
    })
    .unwrap();
    assert!(std::time::Instant::now() >= opens, "not before it opened");
    assert_eq!(device(&view, &device_id(2, 1))["state"], "staged", "the other hospital's window is days away");
    assert_eq!(world.boot_record(2, 1).unwrap(), ("2.1.0".to_owned(), true));
    // On-site staff take their own hospital out of it; nothing else is theirs to decide or to see.
    world.add_staff("nurse", &hospital_id(2)).unwrap();
    let order = |hospital: &str| {
        world.ctl_as("nurse", &["rollback", &id, "--hospital", hospital, "--operational", "--reason", "not this week"])
    };
    let refused = order(&hospital_id(1)).unwrap_err().to_string();
    assert!(refused.contains("decides for that hospital alone"), "{refused}");
    let view = order(&hospital_id(2)).unwrap();
    assert_eq!(devices(&view).len(), 1, "staff see their own devices: {view}");
    wait_for("the device to be left alone", Duration::from_secs(20), || {
        Ok((device(&world.deployment(&id)?, &device_id(2, 1))["state"] == "idle").then_some(()))
    })
    .unwrap();
}

/// A plan is looked at before it starts, pinned, and a hospital that wants to be asked waits for its own staff.
#[test]
fn seed_strat_progressive_a_pinned_plan_and_a_hospital_that_is_asked() {
    let dir = fresh_dir("asked");
    let world = World::start(&dir, Layout { hospitals: 2, devices: 1, ..Layout::default() }).unwrap();
    let image = image(&dir, 16, 200_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0).unwrap();
    world
        .ctl(Role::Operator, &["hospitals", "policy", "change", &hospital_id(1), "--consent", "--reason", "asked for"])
        .unwrap();
    let plan = World::progressive(&hospital_id(1), "PT1S");
    let file = dir.join("plan.json");
    std::fs::write(&file, plan.to_string()).unwrap();
    let deploy = |more: &[&str]| {
        let file = file.display().to_string();
        world.ctl(Role::Operator, &[&["deploy", "--firmware", "FW-2.2.0", &file][..], more].concat())
    };
    let shown = deploy(&["--dry-run"]).unwrap();
    assert_eq!(shown["devices"], 2);
    let pilot = &shown["phases"][0]["hospitals"][0];
    assert_eq!((&pilot["hospitalId"], &pilot["consentNeeded"]), (&json!(hospital_id(1)), &json!(true)), "{shown}");
    assert_eq!(pilot["devices"], json!([device_id(1, 1)]));
    assert!(world.ctl(Role::Operator, &["watch", "dry-run"]).is_err(), "nothing was made");
    let refused = deploy(&["--plan-digest", &"0".repeat(64)]).unwrap_err().to_string();
    assert!(refused.contains("the fleet changed since the dry run"), "{refused}");
    let view = deploy(&["--plan-digest", shown["planDigest"].as_str().unwrap()]).unwrap();
    let id = view["deploymentId"].as_str().unwrap().to_owned();
    wait_for("the image to be staged", Duration::from_secs(30), || {
        Ok((device(&world.deployment(&id)?, &device_id(1, 1))["state"] == "staged").then_some(()))
    })
    .unwrap();
    world.add_staff("nurse", &hospital_id(1)).unwrap();
    let consent = ["consent", &id, "--hospital", &hospital_id(1), "--reason", "ward is quiet after ten"];
    let view = world.ctl_as("nurse", &consent).unwrap();
    assert_eq!(view["consents"][0]["givenBy"], "nurse");
    // The second hospital is asked too, and says so on its own gateway.
    world
        .ctl(Role::Operator, &["hospitals", "policy", "change", &hospital_id(2), "--consent", "--reason", "asked for"])
        .unwrap();
    wait_for("the second hospital to wait", Duration::from_secs(60), || {
        let view = world.deployment(&id)?;
        world.validate_if_due(&id, &view)?;
        Ok((device(&view, &device_id(2, 1))["state"] == "staged").then_some(()))
    })
    .unwrap();
    let refused = world.on_gateway(2, &["consent", "dep-other", "--reason", "x"]).unwrap_err().to_string();
    assert!(refused.contains("is not for any device of this gateway"), "{refused}");
    let said = world.on_gateway(2, &["consent", &id, "--reason", "biomedical engineering, by phone"]).unwrap();
    assert!(said.contains("on its way to the vendor"), "{said}");
    until(&world, &id, "completed");
}
