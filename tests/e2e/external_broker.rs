//! The same main job with a broker of the operator's own behind the front door, and over a line that cannot be trusted with anything.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mdfm_tests::{Front, Layout, World, hospital_id, wait_for};

use crate::{fresh_dir, image};

#[test]
fn an_external_broker_serves_as_well_as_the_embedded_one() {
    let dir = fresh_dir("mosquitto");
    let layout = Layout { hospitals: 2, devices: 1, front: Front::DoorAndMosquitto, ..Layout::default() };
    let mut world = World::start(&dir, layout).unwrap();
    let image = image(&dir, 31, 1_000_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 2.0).unwrap();
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT1S")).unwrap();
    wait_for("a device on trial", Duration::from_secs(60), || {
        let view = world.deployment(&id)?;
        Ok(view["devices"].as_array().into_iter().flatten().any(|d| d["state"] == "probation").then_some(()))
    })
    .unwrap();
    // The broker forgets everything: the coordinator tells it again, the agents ask again.
    world.restart_mosquitto().unwrap();
    wait_for("the deployment to complete", Duration::from_secs(90), || {
        let view = world.deployment(&id)?;
        world.validate_if_due(&id, &view)?;
        Ok((view["status"]["name"] == "completed").then_some(()))
    })
    .unwrap();
    for h in 1..=2 {
        assert_eq!(world.boot_record(h, 1).unwrap(), ("2.2.0".to_owned(), true));
    }
}

#[test]
fn att_10_three_messages_in_ten_lost_repeated_or_reordered_change_nothing_but_time() {
    let dir = fresh_dir("lossy");
    let layout = Layout { hospitals: 3, devices: 1, front: Front::DoorAndLossyLine, ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let image = image(&dir, 33, 1_000_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0).unwrap();
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT1S")).unwrap();
    wait_for("the deployment to complete", Duration::from_secs(180), || {
        let view = world.deployment(&id)?;
        world.validate_if_due(&id, &view)?;
        Ok((view["status"]["name"] == "completed").then_some(()))
    })
    .unwrap();
    for h in 1..=3 {
        assert_eq!(world.boot_record(h, 1).unwrap(), ("2.2.0".to_owned(), true));
    }
    let losses = world.losses().unwrap();
    let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    assert!(count(&losses.lost) > 5 && count(&losses.repeated) > 5 && count(&losses.reordered) > 5, "{losses:?}");
    // Every word of every gateway once and in order, although it went over the line as often as it had to.
    let copy = world.data().join("log").display().to_string();
    let vkey = world.data().join("log.vkey").display().to_string();
    world.offline(&["audit", "verify", &copy, "--key", &vkey]).unwrap();
    let gateways = world.ctl(mdfm_tests::Role::Operator, &["gateways", "list"]).unwrap();
    assert!(gateways.as_array().unwrap().iter().all(|g| g["findings"] == 0), "{gateways:#}");
}
