//! A recall with real processes: found by a part of the firmware, replaced, followed to the device that was away.

use std::time::Duration;

use mdfm_tests::{Layout, Role, World, device_id, wait_for};
use serde_json::json;

use crate::{fresh_dir, image};

#[test]
fn fda_806_a_recall_is_followed_to_the_device_that_was_away() {
    let dir = fresh_dir("recall");
    let mut world = World::start(&dir, Layout { hospitals: 2, devices: 1, ..Layout::default() }).unwrap();
    let first = image(&dir, 21, 200_000);
    let sbom = dir.join("sbom.json");
    // FLD-1, FLD-2: larger than a megabyte, and the part is inside another one.
    std::fs::write(&sbom, crate::parts::sbom().to_string()).unwrap();
    world.release_as("FW-2.2.0", "2.2.0", 22, &first, &["--sbom", &sbom.display().to_string()]).unwrap();
    let everybody = json!({ "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1H" } ] });
    let id = world.deploy("FW-2.2.0", &everybody).unwrap();
    let confirmed = |world: &World, id: &str, n: usize| {
        wait_for("devices to be confirmed", Duration::from_secs(60), || {
            let view = world.deployment(id)?;
            let done = view["devices"].as_array().unwrap().iter().filter(|d| d["state"] == "confirmed").count();
            Ok((done >= n).then_some(()))
        })
        .unwrap();
    };
    confirmed(&world, &id, 2);

    // The second hospital's gateway is away when the defect is found.
    world.kill_agent(2);
    let open = |component: &str| {
        world.ctl(
            Role::Regulatory,
            &[
                "recalls",
                "open",
                "--model",
                "CardiacMonitor-X200",
                "--component",
                component,
                "--component-version",
                "3.0.1",
                "--action",
                "replace",
                "--reason",
                "CVE-2026-0001",
            ],
        )
    };
    assert!(open("log4j").unwrap_err().to_string().contains("no bill of materials on record names"));
    let recall = open("openssl").unwrap();
    assert_eq!((&recall["found"], &recall["firmware"]), (&json!(2), &json!(["FW-2.2.0"])));
    let recall_id = recall["recallId"].as_str().unwrap();
    let refused = world.deploy("FW-2.2.0", &everybody).unwrap_err().to_string();
    assert!(refused.contains("withdrawn"), "{refused}");
    assert!(world.device_list().unwrap().iter().all(|d| d["recallId"] == recall_id));

    let second = image(&dir, 22, 200_000);
    world.release_as("FW-2.2.1", "2.2.1", 23, &second, &["--recall"]).unwrap();
    let plan = json!({ "strategy": "Emergency", "targetRecall": recall_id, "postDeploymentMonitoring": "PT1H" });
    let id = world.deploy("FW-2.2.1", &plan).unwrap();
    confirmed(&world, &id, 1);
    let left = world.ctl(Role::Operator, &["recalls", "show", recall_id]).unwrap();
    assert_eq!(left["outstanding"][0]["deviceId"], device_id(2, 1).as_str(), "{left}");
    let refused = world.ctl(Role::Regulatory, &["recalls", "close", recall_id]).unwrap_err().to_string();
    assert!(refused.contains("still on the recalled firmware: 1 device"), "{refused}");

    world.start_agent(2).unwrap();
    confirmed(&world, &id, 2);
    let closed = wait_for("the last device to be counted", Duration::from_secs(20), || {
        Ok(world.ctl(Role::Regulatory, &["recalls", "close", recall_id]).ok())
    })
    .unwrap();
    assert_eq!(closed["closedBy"], "regulatory");
    assert_eq!(world.boot_record(2, 1).unwrap(), ("2.2.1".to_owned(), true));
}
