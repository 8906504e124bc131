//! Two vendors on one gateway: two agents of two coordinators on one host, which neither see nor disturb each other.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mdfm_tests::{Checked, Layout, Process, World, device_id, gateway_id, hospital_id, program, wait_for};
use serde_json::Value;

use crate::{fresh_dir, image};

/// What the agent of a vendor says of itself.
fn status(dir: &Path) -> anyhow::Result<Value> {
    let config = dir.join("agent-001.toml").display().to_string();
    let output =
        Command::new(program("mdfm-agent")?).args(["--config", &config, "--json", "status"]).checked_output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn wait_device(world: &World, id: &str, state: &str) {
    wait_for(&format!("the device to be {state}"), Duration::from_secs(90), || {
        Ok((world.deployment(id)?["devices"][0]["state"] == state).then_some(()))
    })
    .unwrap();
}

/// Both vendors call their hospital, gateway and device the same: names are each vendor's own.
#[test]
fn pkg_24_two_vendors_on_one_gateway_do_not_meet() {
    let (first_dir, second_dir) = (fresh_dir("vendor-1"), fresh_dir("vendor-2"));
    let fault = "[[fault]]\nfirmware = \"3.0.0\"\nkind = \"noBoot\"\n".to_owned();
    let bad = Layout { hospitals: 1, scripts: [(device_id(1, 1), fault)].into(), ..Layout::default() };
    let mut first = World::start(&first_dir, Layout { hospitals: 1, ..Layout::default() }).unwrap();
    let second = World::start(&second_dir, bad).unwrap();
    let plan = World::progressive(&hospital_id(1), "PT0S");

    // The first vendor's release reaches the first vendor's device alone.
    let good = image(&first_dir, 1, 300_000);
    first.release("FW-2.2.0", "2.2.0", 22, &good, 1.0).unwrap();
    let id = first.deploy("FW-2.2.0", &plan).unwrap();
    wait_device(&first, &id, "confirmed");
    assert_eq!(first.boot_record(1, 1).unwrap(), ("2.2.0".to_owned(), true));
    assert_eq!(second.boot_record(1, 1).unwrap(), ("2.1.0".to_owned(), true));
    let of_second = second.device_list().unwrap();
    assert!(of_second.iter().all(|device| device["currentFirmwareVersion"] == "2.1.0"), "{of_second:?}");
    for dir in [&first_dir, &second_dir] {
        let status = status(dir).unwrap();
        assert_eq!((&status["gateway"], &status["connected"]), (&gateway_id(1).into(), &true.into()), "{status}");
    }

    // A device of the first vendor at the port of the second: its secret is not the one that is known there.
    let port = |dir: &Path| {
        let config = std::fs::read_to_string(dir.join("agent-001.toml")).unwrap();
        config.split("device_listen = \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    assert_ne!(port(&first_dir), port(&second_dir));
    first.kill_device(1, 1);
    let text = |path: &str| first_dir.join(path).display().to_string();
    let (stray_dir, secret) = (text("stray"), text(&format!("{}.secret", device_id(1, 1))));
    std::fs::create_dir_all(&stray_dir).unwrap();
    let (id, theirs) = (device_id(1, 1), port(&second_dir));
    let words = ["device", "--dir", &stray_dir, "--id", &id, "--broker", &theirs, "--secret-file", &secret];
    let words: Vec<String> = words.into_iter().chain(["--serial", "SN-OF-THE-FIRST"]).map(str::to_owned).collect();
    let stray = Process::start("mdfm-sim", &words, &first_dir.join("logs/stray.log")).unwrap();
    let journal = second_dir.join("logs/agent-001.log");
    wait_for("the second agent to refuse the stray device", Duration::from_secs(30), || {
        Ok(std::fs::read_to_string(&journal)?.contains("wrong secret").then_some(()))
    })
    .unwrap();
    drop(stray);
    let of_second = second.device_list().unwrap();
    assert!(!format!("{of_second:?}").contains("SN-OF-THE-FIRST"), "{of_second:?}");
    first.start_device(1, 1).unwrap();

    // The first vendor's agent is gone; the second one takes its own bad release back all the same.
    first.kill_agent(1);
    let broken = image(&second_dir, 3, 300_000);
    second.release("FW-3.0.0", "3.0.0", 30, &broken, 30.0).unwrap();
    let id = second.deploy("FW-3.0.0", &plan).unwrap();
    wait_device(&second, &id, "rolledBack");
    assert_eq!(second.boot_record(1, 1).unwrap(), ("2.1.0".to_owned(), true));
    assert_eq!(first.boot_record(1, 1).unwrap(), ("2.2.0".to_owned(), true));
    first.start_agent(1).unwrap();
    wait_for("the first agent to be connected again", Duration::from_secs(30), || {
        Ok(status(&first_dir).is_ok_and(|status| status["connected"] == true).then_some(()))
    })
    .unwrap();
}

/// An identity is of one vendor: a token of another one does not replace it, and neither agent starts in the other's directory.
#[test]
fn pkg_24_an_agent_does_not_change_its_vendor() {
    let (first_dir, second_dir) = (fresh_dir("owner-1"), fresh_dir("owner-2"));
    let first = World::start(&first_dir, Layout { hospitals: 1, devices: 0, ..Layout::default() }).unwrap();
    let second = World::start(&second_dir, Layout { hospitals: 1, devices: 0, ..Layout::default() }).unwrap();
    let run = |config: &Path, more: &[&str]| {
        let mut command = Command::new(program("mdfm-agent").unwrap());
        command.args(["--config", &config.display().to_string()]).args(more).checked_output().unwrap()
    };
    let identity = |dir: &Path| std::fs::read(dir.join("agent-001/identity.json")).unwrap();
    let before = identity(&first_dir);
    let token = second.dir.join(format!("{}.token", gateway_id(1))).display().to_string();
    let output = run(&first.dir.join("agent-001.toml"), &["enrol", "--token-file", &token]);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(identity(&first_dir), before);
    // The second vendor's configuration, by mistake with the first one's state, while that one runs.
    let text = std::fs::read_to_string(second.dir.join("agent-001.toml")).unwrap();
    let theirs = second.agent_state(1).display().to_string();
    let mixed = second.dir.join("agent-mixed.toml");
    let text = text.replace(&theirs, &first.agent_state(1).display().to_string()).replace("127.0.0.1:", "127.0.0.2:");
    mdfm_tests::write_private(&mixed, &text).unwrap();
    let output = run(&mixed, &["run"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&first.agent_state(1).display().to_string()), "{said}");
    // Beside the first one's configuration the mistake is found before anything starts.
    let beside = first.dir.join("agent-mixed.toml");
    std::fs::copy(&mixed, &beside).unwrap();
    let output = run(&beside, &["run", "--check-config"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("give each agent its own"), "{said}");
}
