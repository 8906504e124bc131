//! Whoever waits says why: at the vendor, on the gateway and in the metrics.

use std::process::Command;
use std::time::Duration;

use mdfm_tests::{Checked, Layout, Role, World, device_id, hospital_id, program, wait_for};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

const PATIENCE: Duration = Duration::from_secs(60);

/// What the first device waits for, once it is this.
fn waits_for(world: &World, code: &str) -> Value {
    wait_for(&format!("the device to wait for {code}"), PATIENCE, || {
        let view = world.ctl(Role::Operator, &["devices", "show", &device_id(1, 1)])?;
        Ok((view["waiting"]["code"] == code).then_some(view))
    })
    .unwrap()
}

/// `mdfmctl` or `mdfm-agent` as a person sees it, with what it says in error.
fn words(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(program(name).unwrap()).args(arguments).checked_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn fld_14_consent_and_a_wrong_clock_are_seen_as_reasons() {
    let dir = fresh_dir("waiting");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    world
        .ctl(
            Role::Operator,
            &["hospitals", "policy", "change", &hospital_id(1), "--consent", "--reason", "they want to be asked"],
        )
        .unwrap();
    world.release("FW-2.2.0", "2.2.0", 22, &image(&dir, 22, 100_000), 0.5).unwrap();
    // The gateway's clock is a day and an hour ahead from now on.
    world.kill_agent(1);
    world.layout.clock = "+25h".into();
    world.start_agent(1).unwrap();
    world.layout.clock.clear();
    let everybody = json!({ "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1H" } ] });
    let deployment = world.deploy("FW-2.2.0", &everybody).unwrap();
    let view = waits_for(&world, "consent");
    assert_eq!(view["waiting"]["text"], format!("the hospital's consent is missing: {}", hospital_id(1)));
    let session = world.session(Role::Operator);
    let shown = words("mdfmctl", &["--session", &session, "deployments", "show", &deployment]);
    assert!(shown.contains("waits for: consent (the hospital's consent is missing"), "{shown}");
    assert!(shown.contains(&format!("mdfmctl consent {deployment} --hospital {}", hospital_id(1))), "{shown}");

    // On the gateway the hospital agrees; then its clock is in the way.
    wait_for("the gateway to know the deployment", PATIENCE, || {
        Ok(world.on_gateway(1, &["consent", &deployment, "--reason", "night shift agrees"]).ok())
    })
    .unwrap();
    let view = waits_for(&world, "clock-ahead");
    assert_eq!(view["installState"], "staged");
    let config = dir.join("agent-001.toml").display().to_string();
    let shown = words("mdfm-agent", &["--config", &config, "device", &device_id(1, 1)]);
    assert!(shown.contains("the gateway's clock is ahead") && shown.contains("timedatectl"), "{shown}");
    let shown = words("mdfm-agent", &["--config", &config, "selftest"]);
    let failed =
        |check: &str| shown.lines().any(|l| l.starts_with(check) && l.split_whitespace().nth(1) == Some("false"));
    assert!(
        failed("clock") && failed("waiting") && shown.contains("the coordinator signed its newest directive"),
        "{shown}"
    );
    let shown = words("mdfmctl", &["--session", &session, "devices", "list"]);
    assert!(shown.contains("WAITS FOR") && shown.contains("clock-ahead"), "{shown}");

    // The clock is set right.
    world.kill_agent(1);
    world.start_agent(1).unwrap();
    wait_for("the device to be updated", PATIENCE, || {
        let view = world.ctl(Role::Operator, &["devices", "show", &device_id(1, 1)])?;
        Ok((view["installState"] == "confirmed" && view["waiting"].is_null()).then_some(()))
    })
    .unwrap();
    let status = world.ctl(Role::Auditor, &["audit", "status"]).unwrap();
    assert_eq!(status["clockBehindSeconds"], 0, "{status}");
}
