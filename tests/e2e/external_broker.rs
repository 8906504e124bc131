//! The same main job with a broker of the operator's own behind the front door.

use std::time::Duration;

use mdfm_tests::{Layout, World, hospital_id, wait_for};

use crate::{fresh_dir, image};

#[test]
fn an_external_broker_serves_as_well_as_the_embedded_one() {
    let dir = fresh_dir("mosquitto");
    let layout = Layout { hospitals: 2, devices: 1, mosquitto: true, ..Layout::default() };
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
