//! Devices of every kind behind one gateway: those that speak MQTT, those whose images lie on the gateway, those that a maker's tool reaches.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mdfm_tests::{
    Checked, Kind, Layout, Process, World, device_id, free_port, hospital_id, program, slots_section, wait_for,
    write_private,
};

use crate::{fresh_dir, image};

/// Configuration of an agent that serves one device.
pub(crate) fn one_device(dir: &Path, section: &str) -> PathBuf {
    let config = dir.join("agent.toml");
    let port = free_port().unwrap();
    let state = dir.join("agent").display().to_string();
    let text =
        format!("state_dir = {state:?}\ndevice_listen = \"127.0.0.1:{port}\"\n[[device]]\nid = \"DEV-1\"\n{section}");
    write_private(&config, &text).unwrap();
    config
}

/// Runs the suite; gives each rule with whether it was kept, and whether the program says that all were.
pub(crate) fn conformance(config: &Path, image: &Path) -> (Vec<(String, bool, String)>, bool) {
    let output = Command::new(program("mdfm-agent").unwrap())
        .args(["--config", &config.display().to_string(), "conformance", "DEV-1", "--json"])
        .args(["--image", &image.display().to_string(), "--boot-seconds", "30"])
        .checked_output()
        .unwrap();
    let findings = String::from_utf8(output.stdout).unwrap();
    let findings = findings.lines().map(|line| {
        let finding: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        (text("rule"), finding["passed"].as_bool().unwrap(), text("seen"))
    });
    (findings.collect(), output.status.success())
}

/// Asks `rules` of the device, and expects that it keeps them all.
pub(crate) fn all_kept(config: &Path, image: &Path, rules: usize) {
    let (findings, success) = conformance(config, image);
    assert!(success && findings.len() == rules && findings.iter().all(|(_, passed, _)| *passed), "{findings:#?}");
}

pub(crate) fn address(config: &Path) -> String {
    let text = std::fs::read_to_string(config).unwrap();
    text.lines().find_map(|l| l.strip_prefix("device_listen = ")).unwrap().trim_matches('"').to_owned()
}

/// A bedside device that boots from slots on the gateway.
fn bedside(dir: &Path, config: &Path) -> Process {
    let agent = program("mdfm-agent").unwrap().display().to_string();
    let (device, config) = (dir.display().to_string(), config.display().to_string());
    let arguments = ["bedside", "--agent", &agent, "--config", &config, "--id", "DEV-1", "--dir", &device];
    let arguments: Vec<String> = arguments.iter().chain(&["--boot-ms", "200"]).map(|a| (*a).to_owned()).collect();
    Process::start("mdfm-sim", &arguments, &dir.join("bedside.log")).unwrap()
}

#[test]
fn every_adapter_passes_the_conformance_suite() {
    let dir = fresh_dir("conformance");
    let made = |name: &str| {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    };
    let mqtt = made("mqtt");
    let new = image(&dir, 1, 3_000_001);
    let secret = "a-secret-of-a-device";
    let config = one_device(&mqtt, &format!("secret = {secret:?}\n"));
    crate::write_secret(&mqtt.join("secret"), secret);
    let [flash, file] = [mqtt.join("flash"), mqtt.join("secret")].map(|p| p.display().to_string());
    let arguments = ["device", "--dir", &flash, "--id", "DEV-1", "--broker", &address(&config), "--secret-file", &file];
    let arguments: Vec<String> = arguments.iter().chain(&["--boot-ms", "200"]).map(|a| (*a).to_owned()).collect();
    let device = Process::start("mdfm-sim", &arguments, &mqtt.join("device.log")).unwrap();
    all_kept(&config, &new, 13);
    drop(device);

    let slots = made("slots");
    let config = one_device(&slots, &slots_section(&slots, "SN-1", 1).unwrap());
    let device = bedside(&slots, &config);
    all_kept(&config, &new, 14);
    drop(device);

    let command = made("command");
    let tool = program("mdfm-sim").unwrap().display().to_string();
    let section = |arguments: &str| {
        format!(
            "[device.command]\nprogram = {tool:?}\narguments = [{arguments}]\npoll_seconds = 1\ndeadline_seconds = 20\n"
        )
    };
    let config = one_device(
        &command,
        &section(&format!("\"tool\", \"--dir\", {:?}", command.join("flash").display().to_string())),
    );
    all_kept(&config, &new, 13);
}

/// The suite finds a device that does not keep the rules: here a tool that says everything is well and does nothing.
#[test]
fn att_14_the_conformance_suite_finds_a_tool_that_lies() {
    let dir = fresh_dir("liar");
    let report = r#"{"report":{"model":"M","serial":"S","hardware":"B","bootCount":1,"running":{"version":"1","releaseNumber":1,"securityVersion":1,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"confirmed":true,"secureBoot":true,"inUse":false,"staged":null,"lastOrder":0,"lastRefusal":null}}"#;
    let tool = dir.join("liar.sh");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(&tool, format!("#!/bin/sh\n[ \"$1\" = report ] && echo '{report}'\nexit 0\n")).unwrap();
    let section = format!(
        "[device.command]\nprogram = \"/bin/sh\"\narguments = [{:?}]\npoll_seconds = 1\ndeadline_seconds = 5\n",
        tool.display().to_string()
    );
    let config = one_device(&dir, &section);
    let (findings, success) = conformance(&config, &image(&dir, 1, 300_000));
    assert!(
        !success && findings.iter().any(|(rule, passed, _)| rule.starts_with("finish") && !passed),
        "{findings:#?}"
    );
    std::fs::remove_dir_all(dir).unwrap();
}

/// Block devices of a fixed size, where this machine has loop devices.
#[test]
fn slots_on_block_devices_take_an_image_and_refuse_one_that_is_too_large() {
    let dir = fresh_dir("loop");
    std::fs::create_dir_all(&dir).unwrap();
    let Some(loops) = Loops::attach(&dir) else {
        eprintln!("no loop devices here (they need root and /dev/loop-control); slots are tested on files only");
        return;
    };
    let [a, b] = &loops.devices;
    let section = slots_section(&dir, "SN-1", 1).unwrap();
    let pair = format!("pair = [{{ a = {a:?}, b = {b:?} }}]");
    let section: Vec<&str> = section.lines().map(|l| if l.starts_with("pair") { pair.as_str() } else { l }).collect();
    let config = one_device(&dir, &(section.join("\n") + "\n"));
    let device = bedside(&dir, &config);
    let (findings, success) = conformance(&config, &image(&dir, 2, 9_000_000));
    assert!(!success, "{findings:#?}");
    assert!(findings.iter().any(|(_, passed, seen)| !passed && seen.contains("noSpace")), "{findings:#?}");
    let new = image(&dir, 1, 3_000_001);
    all_kept(&config, &new, 14);
    drop(device);
    let (wanted, found) = (std::fs::read(&new).unwrap(), std::fs::read(b).unwrap());
    assert!(found.starts_with(&wanted), "the image lies on the block device, byte for byte");
}

/// Two loop devices of 8 MiB; they go with this.
struct Loops {
    devices: [String; 2],
}

impl Loops {
    fn attach(dir: &Path) -> Option<Self> {
        let attach = |name: &str| {
            let file = dir.join(name);
            std::fs::write(&file, vec![0; 8 << 20]).ok()?;
            let output =
                Command::new("/usr/sbin/losetup").args(["--find", "--show"]).arg(&file).checked_output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let a = attach("disk-a")?;
        match attach("disk-b") {
            Some(b) => Some(Self { devices: [a, b] }),
            None => {
                detach(&a);
                None
            }
        }
    }
}

fn detach(device: &str) {
    // What stays attached costs a loop device until the next boot.
    let _ = Command::new("/usr/sbin/losetup").args(["--detach", device]).status();
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.devices.iter().for_each(|device| detach(device));
    }
}

/// A good release, then one with several images that is bad on one device: each kind of device takes the first; the second is left by the
/// device on which it fails, by its gateway's own decision.
#[test]
fn a_gateway_serves_devices_of_every_kind_and_of_several_components() {
    let dir = fresh_dir("kinds");
    let (slots, tool) = (device_id(1, 2), device_id(1, 3));
    let kinds = [(slots.clone(), Kind::Slots(2)), (tool, Kind::Command)].into();
    let fault = "[[fault]]\nfirmware = \"2.3.0\"\nkind = \"error\"\nafter_ms = 300\ncode = \"ECG-17\"\n";
    let scripts = [(slots.clone(), fault.to_owned())].into();
    let layout = Layout { hospitals: 1, devices: 3, kinds, scripts, ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let (main, radio) = (image(&dir, 1, 2_000_001), image(&dir, 2, 700_003));
    let states = |id: &str| {
        let view = world.deployment(id)?;
        let devices = view["devices"].as_array().cloned().unwrap_or_default();
        anyhow::Ok(devices.iter().map(|d| d["state"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>())
    };
    world.release_components("FW-2.2.0", "2.2.0", 22, &[("main", &main), ("radio", &radio)]).unwrap();
    let mut plan = World::progressive(&hospital_id(1), "PT0S");
    for phase in plan["phases"].as_array_mut().unwrap() {
        phase["maxErrorRatePercent"] = 100.into();
    }
    let id = world.deploy("FW-2.2.0", &plan).unwrap();
    wait_for("every kind of device to confirm", Duration::from_secs(90), || {
        let view = world.deployment(&id)?;
        world.validate_if_due(&id, &view)?;
        Ok((view["status"]["name"] == "completed").then_some(()))
    })
    .unwrap();
    assert_eq!(states(&id).unwrap(), ["confirmed", "confirmed", "confirmed"]);
    for d in 1..=3 {
        assert_eq!(world.boot_record(1, d).unwrap(), ("2.2.0".to_owned(), true), "device {d}");
    }
    for (name, image) in [("main-b", &main), ("radio-b", &radio)] {
        let slot = std::fs::read(world.device_dir(1, 2).join(name)).unwrap();
        assert!(slot.starts_with(&std::fs::read(image).unwrap()), "{name} holds its component");
    }

    let (main, radio) = (image(&dir, 3, 1_500_000), image(&dir, 4, 900_000));
    world.release_components("FW-2.3.0", "2.3.0", 23, &[("main", &main), ("radio", &radio)]).unwrap();
    let id = world.deploy("FW-2.3.0", &plan).unwrap();
    wait_for("the bad device to return, alone", Duration::from_secs(90), || {
        let states = states(&id)?;
        Ok((states[1] == "rolledBack" && states[0] == "confirmed").then_some(()))
    })
    .unwrap();
    assert_eq!(world.boot_record(1, 2).unwrap(), ("2.2.0".to_owned(), true));
}
