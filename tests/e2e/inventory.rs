//! What stands in the ward, whatever the registry says.

use std::time::Duration;

use mdfm_tests::{Layout, Role, World, device_id, wait_for};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

const PATIENCE: Duration = Duration::from_secs(60);

fn shown(world: &World, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, PATIENCE, || {
        let view = world.ctl(Role::Operator, &["devices", "show", &device_id(1, 1)])?;
        Ok(is_so(&view).then_some(view))
    })
    .unwrap()
}

#[test]
fn fld_4_a_recall_finds_an_exchanged_device() {
    let dir = fresh_dir("exchange");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    world.release("FW-2.2.0", "2.2.0", 22, &image(&dir, 22, 100_000), 0.5).unwrap();
    let everybody = json!({ "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1H" } ] });
    world.deploy("FW-2.2.0", &everybody).unwrap();
    let view = shown(&world, "the release to be observed", |view| {
        view["installState"] == "confirmed" && view["observed"]["firmwareVersion"] == "2.2.0"
    });
    assert_eq!((&view["differs"], &view["observed"]["serialNumber"]), (&json!([]), &json!("SN-001-1")), "{view}");
    assert_eq!(view["observed"]["unorderedReboots"], 0, "the boots of an update are ordered");

    world.exchange_device(1, 1, "SN-77").unwrap();
    let view = shown(&world, "the other device to be seen", |view| view["observed"]["serialNumber"] == "SN-77");
    assert_eq!(view["differs"], json!(["serial", "firmware"]), "{view}");
    assert_eq!(view["currentFirmwareVersion"], "2.1.0", "what is observed is what lists show");
    let open =
        ["recalls", "open", "--model", "CardiacMonitor-X200", "--firmware-version", "2.1.0", "--action", "quarantine"];
    let recall = world.ctl(Role::Regulatory, &[&open[..], &["--reason", "alarm limits lost"]].concat()).unwrap();
    assert!(recall.to_string().contains(&device_id(1, 1)), "{recall}");

    let device = device_id(1, 1);
    let reconcile = ["devices", "reconcile", &device, "--accept-observed", "--reason", "exchanged, order 4711"];
    world.ctl(Role::Operator, &reconcile).unwrap();
    let view = shown(&world, "both sides to agree", |view| view["differs"] == json!([]));
    assert_eq!((&view["serialNumber"], &view["expectedFirmwareVersion"]), (&json!("SN-77"), &json!("2.1.0")));
    assert_eq!(view["recallId"], recall["recallId"], "it is recalled until it runs something else");
}
