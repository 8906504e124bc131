//! The main job: approvals, phased rollout, local rollback, an audit log that proves it.

use std::time::Duration;

use mdfm_tests::{Layout, Role, World, device_id, hospital_id, wait_for};

use crate::{fresh_dir, image};

#[test]
fn a_good_release_reaches_every_hospital_phase_by_phase() {
    let dir = fresh_dir("good");
    let world = World::start(&dir, Layout { hospitals: 3, devices: 2, ..Layout::default() }).unwrap();
    let image = image(&dir, 1, 3_000_001);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0).unwrap();
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT1S")).unwrap();
    wait_for("the deployment to complete", Duration::from_secs(90), || {
        let view = world.deployment(&id)?;
        world.validate_if_due(&id, &view)?;
        Ok((view["status"]["name"] == "completed").then_some(()))
    })
    .unwrap();
    for device in world.device_list().unwrap() {
        assert_eq!(device["currentFirmwareVersion"], "2.2.0", "{device}");
        assert_eq!(device["installState"], "confirmed", "{device}");
    }
    for h in 1..=3 {
        for d in 1..=2 {
            assert_eq!(world.boot_record(h, d).unwrap(), ("2.2.0".to_owned(), true), "{}", device_id(h, d));
        }
    }
    let vkey = world.data().join("log.vkey").display().to_string();
    let mut copies = 0;
    // A copy reaches as far as the newest checkpoint, and there is one every ten seconds.
    wait_for("a copy with what every gateway reported", Duration::from_secs(30), || {
        copies += 1;
        let copy = dir.join(format!("copy-{copies}")).display().to_string();
        world.ctl(Role::Auditor, &["audit", "export", &copy])?;
        let verified = world.offline(&["audit", "verify", &copy, "--key", &vkey])?;
        Ok((verified["gateways"] == 3).then_some(()))
    })
    .unwrap();
}

/// One device for each way in which new firmware can be bad. Every one must return by its gateway's own decision, with the
/// cause in the record; the gate is set so wide that the coordinator orders nothing until clinical staff do.
#[test]
fn nist_193_r_every_kind_of_bad_firmware_is_left_for_the_last_good_one() {
    let dir = fresh_dir("bad");
    let fault = |kind: &str, more: &str| format!("[[fault]]\nfirmware = \"2.3.0\"\nkind = \"{kind}\"\n{more}\n");
    let kinds = [
        ("noBoot", "", "did not boot"),
        ("error", "after_ms = 300\ncode = \"ECG-17\"", "error budget"),
        ("silent", "after_ms = 300", "silent for"),
        ("wrongDigest", "", "wrong image digest"),
        ("secureBootLost", "after_ms = 300", "secure-boot flag lost"),
    ];
    let scripts = kinds.iter().enumerate().map(|(i, (k, more, _))| (device_id(1, i + 1), fault(k, more))).collect();
    let layout = Layout { hospitals: 2, devices: kinds.len(), scripts, ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let image = image(&dir, 3, 300_000);
    world.release("FW-2.3.0", "2.3.0", 23, &image, 30.0).unwrap();
    let mut plan = World::progressive(&hospital_id(1), "PT0S");
    for phase in plan["phases"].as_array_mut().unwrap() {
        phase["maxErrorRatePercent"] = 100.into();
    }
    let id = world.deploy("FW-2.3.0", &plan).unwrap();
    let view = wait_for("every device of the pilot to be back", Duration::from_secs(90), || {
        let view = world.deployment(&id)?;
        let back = |d: &serde_json::Value| d["hospitalId"] != hospital_id(1).as_str() || d["state"] == "rolledBack";
        Ok(view["devices"].as_array().unwrap().iter().all(back).then_some(view))
    })
    .unwrap();
    for (i, (kind, _, cause)) in kinds.iter().enumerate() {
        let device = device_id(1, i + 1);
        let found = view["devices"].as_array().unwrap().iter().find(|d| d["deviceId"] == device.as_str()).unwrap();
        assert_eq!(found["firmwareVersion"], "2.1.0", "{kind}: {found}");
        assert_eq!(world.boot_record(1, i + 1).unwrap(), ("2.1.0".to_owned(), true), "{kind}");
        assert!(found["detail"].as_str().unwrap().contains(cause), "{kind}: {found}");
    }
    world.ctl(Role::Clinical, &["rollback", &id, "--reason", "enough seen"]).unwrap();
    let view = wait_for("the deployment to be rolled back", Duration::from_secs(30), || {
        let view = world.deployment(&id)?;
        Ok((view["status"]["name"] == "rolledBack").then_some(view))
    })
    .unwrap();
    assert!(view["status"]["reason"].as_str().unwrap().contains("ordered by clinical"), "{}", view["status"]);
    let of_second = view["devices"].as_array().unwrap().iter().filter(|d| d["hospitalId"] == hospital_id(2).as_str());
    assert!(of_second.clone().count() == kinds.len() && of_second.into_iter().all(|d| d["state"].is_null()));
}

/// One device of the pilot fails on trial: its gateway returns it, the coordinator stops the phase and calls the others back.
#[test]
fn seed_strat_a_failure_in_the_pilot_calls_the_pilot_back_and_reaches_nobody_else() {
    let dir = fresh_dir("pilot");
    let script =
        "[[fault]]\nfirmware = \"2.3.0\"\nkind = \"error\"\nafter_ms = 1000\nseverity = \"critical\"\n".to_owned();
    let scripts = [(device_id(1, 2), script)].into();
    let world = World::start(&dir, Layout { hospitals: 3, devices: 3, scripts, ..Layout::default() }).unwrap();
    let image = image(&dir, 6, 300_000);
    world.release("FW-2.3.0", "2.3.0", 23, &image, 30.0).unwrap();
    let id = world.deploy("FW-2.3.0", &World::progressive(&hospital_id(1), "PT1S")).unwrap();
    let view = wait_for("the pilot to be called back", Duration::from_secs(90), || {
        let view = world.deployment(&id)?;
        Ok((view["status"]["name"] == "rolledBack").then_some(view))
    })
    .unwrap();
    for device in view["devices"].as_array().unwrap() {
        let touched = device["hospitalId"] == hospital_id(1).as_str();
        assert_eq!(device["state"].is_null(), !touched, "{device}");
        assert_eq!(device["firmwareVersion"], "2.1.0", "{device}");
    }
    for d in 1..=3 {
        assert_eq!(world.boot_record(1, d).unwrap(), ("2.1.0".to_owned(), true));
    }
}

/// A device in use is not touched, whatever the directive says; when the patient leaves, it is updated.
#[test]
fn invariant_2_a_device_in_use_is_never_rebooted() {
    let dir = fresh_dir("in-use");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let in_use = world.device_dir(1, 1).join("in-use");
    std::fs::write(&in_use, "").unwrap();
    let image = image(&dir, 4, 300_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0).unwrap();
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT0S")).unwrap();
    let state = || anyhow::Ok(world.deployment(&id)?["devices"][0]["state"].as_str().unwrap_or("").to_owned());
    wait_for("the image to be staged", Duration::from_secs(30), || Ok((state()? == "staged").then_some(()))).unwrap();
    let boots = |world: &World| {
        let record = std::fs::read(world.device_dir(1, 1).join("boot.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&record).unwrap()["boot_count"].as_u64().unwrap()
    };
    let before = boots(&world);
    // Several heartbeats and directives later it still runs.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!((state().unwrap().as_str(), boots(&world)), ("staged", before));
    std::fs::remove_file(&in_use).unwrap();
    wait_for("the update", Duration::from_secs(30), || Ok((state()? == "confirmed").then_some(()))).unwrap();
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.2.0".to_owned(), true));
}

/// A device that loses power while its slot is written goes on where it stopped.
#[test]
fn a_power_cut_while_staging_costs_nothing_but_time() {
    let dir = fresh_dir("power");
    let script = "[[fault]]\nfirmware = \"2.2.0\"\nkind = \"powerLoss\"\nat_bytes = 2500000\n".to_owned();
    let scripts = [(device_id(1, 1), script)].into();
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, scripts, ..Layout::default() }).unwrap();
    let image = image(&dir, 5, 5_000_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0).unwrap();
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT0S")).unwrap();
    wait_for("the update", Duration::from_secs(60), || {
        Ok((world.deployment(&id)?["devices"][0]["state"] == "confirmed").then_some(()))
    })
    .unwrap();
    let log = std::fs::read_to_string(dir.join(format!("logs/{}.log", device_id(1, 1)))).unwrap();
    assert!(log.contains("power lost while staging"), "the fault must have happened");
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.2.0".to_owned(), true));
}
