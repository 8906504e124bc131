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
    let copy = dir.join("copy").display().to_string();
    let vkey = world.data().join("log.vkey").display().to_string();
    world.ctl(Role::Auditor, &["audit", "export", &copy]).unwrap();
    let verified = world.offline(&["audit", "verify", &copy, "--key", &vkey]).unwrap();
    assert_eq!(verified["gateways"], 3);
}
