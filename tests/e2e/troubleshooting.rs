//! docs/troubleshooting.md: symptoms that only running programs show, and its steps, carried out as they stand.

use std::process::Command;
use std::time::Duration;

use mdfm_shared::fixture::page::symptom;
use mdfm_tests::{Api, Checked, Layout, Role, World, gateway_id, program, wait_for};
use serde_json::Value;

use crate::access::code;
use crate::fresh_dir;

const PATIENCE: Duration = Duration::from_secs(60);

/// The commands of the numbered steps of the page, one a step and in order.
fn steps() -> Vec<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/troubleshooting.md")).unwrap();
    let section = page.split("Recover a gateway by hand:").nth(1).unwrap().trim_start();
    let is_step = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    section.lines().take_while(is_step).map(|line| line.split('`').nth(1).unwrap().to_owned()).collect()
}

/// How a gateway stands at the vendor.
fn chain(world: &World) -> anyhow::Result<String> {
    Ok(world.ctl(Role::Operator, &["gateways", "list"])?[0]["telemetry"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn cli_14_a_gateway_is_recovered_by_the_steps_of_the_page() {
    let dir = fresh_dir("by-hand");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let token = dir.join("token").display().to_string();
    let config = dir.join("agent-001.toml").display().to_string();
    for step in steps() {
        let here = step.replace("GW-001", &gateway_id(1)).replace(" token", &format!(" {token}"));
        match here.split_whitespace().collect::<Vec<_>>()[..] {
            ["systemctl", "stop", "mdfm-agent"] => world.kill_agent(1),
            ["systemctl", "start", "mdfm-agent"] => world.start_agent(1).unwrap(),
            ["mdfmctl", ref words @ ..] => drop(world.ctl(Role::Operator, words).unwrap()),
            ["mdfm-agent", ref words @ ..] => {
                let output = Command::new(program("mdfm-agent").unwrap())
                    .args(["--config", &config])
                    .args(words)
                    .checked_output();
                let output = output.unwrap();
                assert!(output.status.success(), "{step}: {}", String::from_utf8_lossy(&output.stderr));
            }
            _ => panic!("{step} is a command that this test does not know"),
        }
    }
    assert_eq!(steps().len(), 4, "and they were all found");
    wait_for("the telemetry to be acknowledged", PATIENCE, || {
        let Ok(text) = world.on_gateway(1, &["--json", "status"]) else { return Ok(None) };
        let status: Value = serde_json::from_str(&text)?;
        Ok((status["telemetry"] == "acknowledged as it is sent" && status["outboxDepth"] == 0).then_some(()))
    })
    .unwrap();
    // The device connects again too.
    let checked = wait_for("the gateway to be well", PATIENCE, || Ok(world.on_gateway(1, &["selftest"]).ok())).unwrap();
    let is_ok = |line: &str| line.starts_with("telemetry ") && line.ends_with("acknowledged as it is sent");
    assert!(checked.lines().any(is_ok), "{checked}");
    assert_eq!(chain(&world).unwrap(), "continued");
    let link = world.ctl(Role::Operator, &["gateways", "fleet-link"]).unwrap();
    let replaced = symptom("A gateway does not connect", "connections.replaced");
    assert!(link.pointer(&format!("/{}", replaced.words().replace('.', "/"))).is_some_and(Value::is_u64), "{link}");
}

#[test]
fn cli_14_a_revoked_gateway_is_in_the_log_as_on_the_page() {
    let dir = fresh_dir("refused");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    world.ctl(Role::Operator, &["gateways", "revoke", &gateway_id(1), "--reason", "stolen"]).unwrap();
    let refusal = symptom("A gateway does not connect", "certificate-refused");
    assert_eq!(refusal.words(), symptom("The telemetry", "certificate-refused").words());
    wait_for("the refusal in the log", PATIENCE, || {
        let found = world.ctl(Role::Auditor, &["audit", "search", "--outcome", "refused"])?.to_string();
        Ok(refusal.is_in(&found).then_some(()))
    })
    .unwrap();
    // The same coordinator, open to another network alone.
    world.kill_coordinator();
    let config = dir.join("coordinator.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("api_networks = [\"192.0.2.0/24\"]\n{text}")).unwrap();
    world.start_coordinator().unwrap();
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    let refused = operator.json("GET", "/api/v1/gateways", &Value::Null).unwrap();
    assert_eq!(code(&refused), symptom("Somebody is refused", "network").words(), "{refused:?}");
}
