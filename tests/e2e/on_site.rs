//! The gateway as on-site staff use it: looking, holding, rolling back; and a gateway that no line reaches, served by removable media.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::sign::Signed;
use mdfm_shared::telemetry::TelemetryBatch;
use mdfm_tests::{Api, Checked, Layout, Role, World, device_id, gateway_id, hospital_id, program, wait_for};
use serde_json::Value;

use crate::{fresh_dir, image};

/// Runs `mdfm-agent` on the gateway of a hospital; the answer in JSON, or what it said in error.
fn agent(dir: &Path, h: usize, arguments: &[&str]) -> Result<Value, String> {
    let config = dir.join(format!("agent-{h:03}.toml")).display().to_string();
    let output = Command::new(program("mdfm-agent").unwrap())
        .args(["--config", &config, "--json"])
        .args(arguments)
        .checked_output()
        .unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null));
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout))
}

fn state(dir: &Path, device: &str) -> Result<String, String> {
    Ok(agent(dir, 1, &["device", device])?["state"].as_str().unwrap_or("").to_owned())
}

fn wait_state(dir: &Path, device: &str, wanted: &str) {
    let at = || Ok(state(dir, device).is_ok_and(|s| s == wanted).then_some(()));
    wait_for(&format!("{device} to be {wanted} on its gateway"), Duration::from_secs(60), at).unwrap();
}

#[test]
fn staff_look_hold_release_and_roll_back_and_all_of_it_is_in_the_log() {
    let dir = fresh_dir("on-site");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 2, ..Layout::default() }).unwrap();
    let (held, other) = (device_id(1, 1), device_id(1, 2));
    wait_for("the self-test to pass", Duration::from_secs(30), || {
        Ok(agent(&dir, 1, &["selftest"]).is_ok().then_some(()))
    })
    .unwrap();
    let status = agent(&dir, 1, &["status"]).unwrap();
    assert_eq!((&status["gateway"], &status["connected"]), (&gateway_id(1).into(), &true.into()));
    assert!(agent(&dir, 1, &["hold", &held, "--reason", " "]).unwrap_err().contains("--reason"));
    assert!(agent(&dir, 1, &["hold", "DEV-999", "--reason", "x"]).unwrap_err().contains("no device DEV-999"));
    let unasked = agent(&dir, 1, &["rollback", &held, "--reason", "x"]).unwrap_err();
    assert!(unasked.contains("not rolled back: no other firmware"), "nobody is asked about what is refused: {unasked}");
    assert!(agent(&dir, 1, &["rollback", &held, "--reason", "x", "--yes"]).unwrap_err().contains("not rolled back"));
    agent(&dir, 1, &["hold", &held, "--reason", "ward 3: therapy until noon"]).unwrap();

    let image = image(&dir, 1, 1_000_001);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0).unwrap();
    world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT0S")).unwrap();
    wait_state(&dir, &other, "confirmed");
    wait_state(&dir, &held, "staged");
    assert_eq!(world.boot_record(1, 1).unwrap().0, "2.1.0", "it is as it was");
    agent(&dir, 1, &["release", &held, "--reason", "ward 3: done"]).unwrap();
    wait_state(&dir, &held, "confirmed");
    let unasked = agent(&dir, 1, &["rollback", &held, "--reason", "x"]).unwrap_err();
    assert!(unasked.contains(&held) && unasked.contains("with --yes"), "{unasked}");

    // In use it is not rolled back, whoever asks; then it is, once and for all.
    std::fs::write(world.device_dir(1, 2).join("in-use"), "").unwrap();
    wait_for("the device to say that it is in use", Duration::from_secs(20), || {
        Ok(agent(&dir, 1, &["device", &other]).is_ok_and(|d| d["inUse"] == true).then_some(()))
    })
    .unwrap();
    let refused = agent(&dir, 1, &["rollback", &other, "--reason", "wrong alarms", "--yes"]).unwrap_err();
    assert!(refused.contains("is in use"), "{refused}");
    std::fs::remove_file(world.device_dir(1, 2).join("in-use")).unwrap();
    wait_for("the rollback to be taken", Duration::from_secs(20), || {
        Ok(agent(&dir, 1, &["rollback", &other, "--reason", "wrong alarms", "--yes"]).is_ok().then_some(()))
    })
    .unwrap();
    wait_state(&dir, &other, "rolledBack");
    assert_eq!(world.boot_record(1, 2).unwrap(), ("2.1.0".to_owned(), true));
    let logs = agent(&dir, 1, &["logs", "--device", &other]).unwrap();
    assert!(logs.as_array().unwrap().iter().any(|e| e["event"] == "localAction"), "{logs:#}");
    wait_for("what staff did to stand in the vendor's log", Duration::from_secs(30), || {
        let found = world.ctl(Role::Auditor, &["audit", "search", "--event", "localAction", "--limit", "100"])?;
        // The gateway's own words, in the batches that it signed.
        let batch = |r: &Value| {
            let frame = STANDARD.decode(r["document"].as_str()?).ok()?;
            mdfm_shared::wire::decode::<Signed<TelemetryBatch>>(&frame).ok()?.decode_unverified().ok()
        };
        let records = found["records"].as_array().into_iter().flatten();
        let said: Vec<String> = records.filter_map(batch).flat_map(|b| b.events).map(|e| e.kind.to_string()).collect();
        let all = ["ward 3: therapy until noon", "ward 3: done", "wrong alarms"];
        Ok(all.iter().all(|words| said.iter().any(|s| s.contains(words))).then_some(()))
    })
    .unwrap();
}

/// A gateway whose line is cut: documents, image and acknowledgement come on a stick, telemetry goes back on one; nothing of it is believed
/// because it is on the stick.
#[test]
fn att_4_and_9_a_gateway_without_a_line_is_served_by_removable_media() {
    let dir = fresh_dir("stick");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let device = device_id(1, 1);
    wait_for("the device to be adopted, and reported", Duration::from_secs(30), || {
        let (Ok(status), Ok(adopted)) = (agent(&dir, 1, &["status"]), state(&dir, &device)) else { return Ok(None) };
        Ok((status["outboxDepth"] == 0 && status["devicesAttached"] == 1 && adopted == "idle").then_some(()))
    })
    .unwrap();
    // The line goes, and with it the vendor permanently, as far as this gateway can see.
    world.kill_coordinator();
    world.kill_agent(1);
    let identity = world.agent_state(1).join("identity.json");
    let text = std::fs::read_to_string(&identity).unwrap();
    std::fs::write(&identity, text.replace(&format!(":{}", world.port), ":1")).unwrap();
    world.start_coordinator().unwrap();
    world.start_agent(1).unwrap();
    let image = image(&dir, 1, 1_000_001);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0).unwrap();
    world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT0S")).unwrap();
    wait_for("the agent to be up", Duration::from_secs(20), || Ok(agent(&dir, 1, &["status"]).is_ok().then_some(())))
        .unwrap();
    let known = agent(&dir, 1, &["status"]).unwrap()["checkpointSize"].to_string();
    let stick = |name: &str| dir.join(name).display().to_string();
    let [bundle, bad] = [stick("bundle"), stick("bad-bundle")];
    world.ctl(Role::Operator, &["bundle", "export", &gateway_id(1), "--out", &bundle, "--from", &known]).unwrap();

    // A bit of the image, then one of the directive, which is the last document: refused, and the good one is taken after both.
    let good = std::fs::read(&bundle).unwrap();
    let spoilt = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&bad, bytes).unwrap();
    };
    spoilt(good.len() - 1);
    let refused = agent(&dir, 1, &["import", &bad]).unwrap_err();
    assert!(refused.contains("has SHA-256"), "{refused}");
    let payload = good.windows(11).rposition(|w| w == br#""payload":""#).unwrap() + 40;
    spoilt(payload);
    assert!(agent(&dir, 1, &["import", &bad]).is_err(), "an altered document");
    std::fs::write(&bad, &good[..good.len() / 2]).unwrap();
    assert!(agent(&dir, 1, &["import", &bad]).is_err(), "half a bundle");
    agent(&dir, 1, &["import", &bundle]).unwrap();
    wait_state(&dir, &device, "confirmed");
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.2.0".to_owned(), true));

    // The vendor learns of it when the stick comes back; the gateway keeps its telemetry until it has the vendor's word.
    let [out, ack] = [stick("telemetry"), stick("ack")];
    let exported = agent(&dir, 1, &["export", &out]).unwrap();
    let delivered = world.ctl(Role::Operator, &["bundle", "deliver", &out, "--ack", &ack]).unwrap();
    assert_eq!(delivered["taken"], exported["data"]["batches"]);
    assert_eq!(world.ctl(Role::Operator, &["bundle", "deliver", &out]).unwrap()["taken"], 0, "each counts once");
    let seen = world.device_list().unwrap();
    assert_eq!((&seen[0]["installState"], &seen[0]["currentFirmwareVersion"]), (&"confirmed".into(), &"2.2.0".into()));
    assert_ne!(agent(&dir, 1, &["status"]).unwrap()["outboxDepth"], 0);
    agent(&dir, 1, &["import", &ack]).unwrap();
    let after = agent(&dir, 1, &["status"]).unwrap()["outboxDepth"].as_u64().unwrap();
    assert!(after <= 2, "only what happened since, found {after}");
}

/// The coordinator's answer reaches whoever looks on the gateway; a device is added there meanwhile (CLI-21).
#[test]
fn cli_20_a_revoked_gateway_says_so_on_site() {
    let dir = fresh_dir("revoked");
    let layout = Layout { hospitals: 1, devices: 1, ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let connected = || Ok(agent(&dir, 1, &["status"]).is_ok_and(|s| s["connected"] == true).then_some(()));
    wait_for("the line", Duration::from_secs(30), connected).unwrap();
    let api = Api::with_session(Path::new(&world.session(Role::Operator))).unwrap();
    let revoke = format!("/api/v1/gateways/{}/revocation", gateway_id(1));
    assert_eq!(api.json("POST", &revoke, &serde_json::json!({ "reason": "stolen" })).unwrap().0, 204);
    let revoked = || Ok(agent(&dir, 1, &["status"]).is_ok_and(|s| s["revoked"] == true).then_some(()));
    wait_for("the gateway to know it", Duration::from_secs(60), revoked).unwrap();
    let said = agent(&dir, 1, &["selftest"]).unwrap_err();
    assert!(said.contains("the vendor has revoked this gateway") && said.contains("enrol --again"), "{said}");
    let log = std::fs::read_to_string(dir.join("logs/agent-001.log")).unwrap();
    assert!(log.contains("the vendor has revoked this gateway"), "{log}");

    let added = agent(&dir, 1, &["device", "add", "--id", "DEV-NEW", "--adapter", "mqtt"]).unwrap();
    assert!(added["data"]["secret"].as_str().is_some_and(|secret| secret.len() >= 32), "{added}");
    let listed = agent(&dir, 1, &["device", "list"]).unwrap();
    assert_eq!(listed[1]["file"].as_str(), dir.join("agent-001.d/DEV-NEW.toml").to_str(), "{listed}");
}

/// A stick made in the second of the decision carries its proof, or is not made: without it the gateway could do nothing with the rest.
#[test]
fn att_4_a_bundle_waits_for_its_proof_and_is_refused_without() {
    let dir = fresh_dir("stick-at-once");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, witnesses: 1, ..Layout::default() }).unwrap();
    let plan = World::progressive(&hospital_id(1), "PT0S");
    let export = |world: &World, name: &str| {
        let out = dir.join(name).display().to_string();
        world.ctl(Role::Operator, &["bundle", "export", &gateway_id(1), "--out", &out, "--log-size", "1"])?;
        let bytes = std::fs::read(&out)?;
        let len = mdfm_shared::bundle::header_len(bytes.first_chunk().unwrap())?;
        let header = mdfm_shared::bundle::Header::decode(&bytes[20..20 + len])?;
        anyhow::Ok(header.documents.iter().filter(|d| d.topic.starts_with("mdfm/v1/release/")).count())
    };
    let image = image(&dir, 1, 100_001);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0).unwrap();
    let first = world.deploy("FW-2.2.0", &plan).unwrap();
    assert_eq!(export(&world, "first").unwrap(), 1, "the release of the directive");

    world.kill_witness(1);
    world.release("FW-2.3.0", "2.3.0", 23, &image, 1.0).unwrap();
    world.deploy_instead("FW-2.3.0", &plan, &first).unwrap();
    let refused = export(&world, "second").unwrap_err().to_string();
    assert!(refused.contains("not-proved-yet") && refused.contains("mdfmctl audit state"), "{refused}");
    assert!(!dir.join("second").exists(), "nothing is left that could go on a stick");
    world.start_witness(1).unwrap();
    wait_for("the witness to be asked again", Duration::from_secs(60), || Ok(export(&world, "third").ok())).unwrap();
}
