//! What the coordinator's keys alone cannot do (SEC-12): activate a withdrawn release, and send back devices that confirmed theirs
//! before its recall window. Withdrawals and rollback orders are signed by people, and everything good works afterwards.

use std::path::Path;
use std::time::Duration;

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Action, DeviceDirective, Directive};
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::telemetry::EventKind;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::wire::{self, Topic};
use mdfm_tests::{Impostor, Layout, Role, World, device_id, gateway_id, hospital_id, wait_for};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

const PATIENCE: Duration = Duration::from_secs(90);

fn everybody() -> Value {
    json!({ "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1H" } ] })
}

fn state_of(world: &World, deployment: &str, state: &str) {
    wait_for(&format!("the device to be {state}"), PATIENCE, || {
        Ok((world.deployment(deployment)?["devices"][0]["state"] == state).then_some(()))
    })
    .unwrap();
}

/// A good release of this version reaches the device.
fn update_succeeds(world: &World, dir: &Path, version: &str, release: u64) {
    let seed = u8::try_from(release).unwrap();
    let id = format!("FW-{version}");
    world.release(&id, version, release, &image(dir, seed, 200_000), 0.5).unwrap();
    let deployment = world.deploy(&id, &everybody()).unwrap();
    if world.ctl(Role::Operator, &["consent", &deployment, "--hospital", &hospital_id(1), "--reason", "ward"]).is_ok() {
        // A hospital that asks.
    }
    state_of(world, &deployment, "confirmed");
    assert_eq!(world.boot_record(1, 1).unwrap(), (version.to_owned(), true));
}

fn trust(world: &World) -> Value {
    world.ctl(Role::Operator, &["trust", "show"]).unwrap()
}

#[test]
fn sec_12_withdrawals_and_orders_are_signed_by_people() {
    let dir = fresh_dir("authority");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, fresh: true, ..Layout::default() }).unwrap();
    let view = trust(&world);
    assert_eq!((&view["withdrawalsVersion"], &view["notFresh"]), (&json!(1), &Value::Null), "{view}");
    world.release("FW-2.2.0", "2.2.0", 22, &image(&dir, 22, 100_000), 0.5).unwrap();

    // Here alone: said as such, and people are asked to sign.
    let withdrawn = world.ctl(Role::Operator, &["firmware", "withdraw", "FW-2.2.0", "--reason", "drift"]).unwrap();
    assert_eq!(withdrawn["withdrawal"], "withdrawn here, not yet signed for the fleet");
    assert_eq!(trust(&world)["unsigned"], json!(["FW-2.2.0"]));
    wait_for("QA to be asked for a signature", PATIENCE, || {
        let notices = world.ctl(Role::Qa, &["notices", "list"])?;
        let asked = notices.as_array().is_some_and(|all| all.iter().any(|n| n["kind"] == "withdrawalUnsigned"));
        Ok(asked.then_some(()))
    })
    .unwrap();
    let withdraw = |role: Role, key: &str| {
        let (key, digest) = (world.key(key), world.manifest_digest("FW-2.2.0").unwrap());
        let signed = ["--key", &key, "--yes", "--digest", &digest];
        world.ctl(role, &[&["firmware", "withdraw", "FW-2.2.0", "--reason", "drift"][..], &signed].concat())
    };
    let refused = withdraw(Role::Auditor, "qa").unwrap_err().to_string();
    assert!(refused.contains("permission"), "{refused}");
    let refused = withdraw(Role::Operator, "root-1").unwrap_err().to_string();
    assert!(refused.contains("signed by the release role"), "{refused}");
    withdraw(Role::Qa, "qa").unwrap();
    let view = trust(&world);
    assert_eq!((&view["withdrawalsVersion"], &view["unsigned"]), (&json!(2), &json!([])), "{view}");
    assert_eq!(view["withdrawn"][0]["firmwareId"], "FW-2.2.0");

    // With the key that the coordinator keeps, which is not on the roster before the registrar has put it there.
    let (password, factor) = (dir.join("password").display().to_string(), world.factor("regulatory"));
    let kept = ["--password-file", &password, "--factor-file", &factor];
    let key = world.ctl(Role::Regulatory, &[&["signing-key", "create"][..], &kept].concat()).unwrap();
    let renew = || {
        let confirmed = ["withdrawals", "renew", "--yes", "--digest", &world.withdrawals_digest().unwrap()];
        world.ctl(Role::Regulatory, &[&confirmed[..], &kept].concat())
    };
    let refused = renew().unwrap_err().to_string();
    assert!(refused.contains("one approver of the roster"), "{refused}");
    let public = key["publicKey"].as_str().unwrap().parse().unwrap();
    world
        .publish_roster(3, 90, 2, |entries| {
            let mut entry = entries.iter().find(|e| e.user.as_str() == "regulatory").unwrap().clone();
            entry.key = public;
            entries.push(entry);
        })
        .unwrap();
    renew().unwrap();
    assert_eq!(trust(&world)["withdrawalsVersion"], 3);

    // An order below the floor by two people, one with a file, one with the kept key.
    let order = dir.join("order.mdfm").display().to_string();
    let device = device_id(1, 1);
    let make = |signers: &[&str]| {
        let signers: Vec<&str> = signers.iter().flat_map(|s| ["--signer", s]).collect();
        let what =
            ["rollback-orders", "make", "--device", &device, "--below-floor", "--reason", "drift", "--out", &order];
        world.ctl(Role::Clinical, &[&what[..], &signers].concat())
    };
    assert!(make(&["clinical:Clinical"]).unwrap_err().to_string().contains("two roles"));
    make(&["clinical:Clinical", "regulatory:Regulatory"]).unwrap();
    // Below the floor: marked as weaker, and signed by its digest.
    let digest = world.offline(&["trust", "inspect", &order]).unwrap()["digest"].as_str().unwrap().to_owned();
    let sign = ["rollback-orders", "sign", &order, "--yes", "--accept-weaker", "--digest", &digest];
    let key = world.key("clinical");
    let unseen = world.offline(&["rollback-orders", "sign", &order, "--key", &key]).unwrap_err().to_string();
    assert!(unseen.contains("nothing was signed"), "{unseen}");
    world.offline(&[&sign[..], &["--key", &key]].concat()).unwrap();
    let submit = || world.ctl(Role::Clinical, &["rollback-orders", "submit", &order]);
    assert!(
        submit().unwrap_err().to_string().contains("regulatory has not signed the rollback order as Regulatory yet")
    );
    let posted = world.ctl(Role::Regulatory, &[&sign[..], &kept].concat()).unwrap();
    assert_eq!((&posted["isInForce"], &posted["missingSignatures"]), (&json!(true), &json!([])), "{posted}");
    let orders = world.ctl(Role::Operator, &["rollback-orders", "list"]).unwrap();
    assert_eq!(orders[0]["deviceIds"], json!([device]));
    update_succeeds(&world, &dir, "2.3.0", 23);
}

fn now() -> UtcMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UtcMillis(u64::try_from(since.as_millis()).unwrap())
}

/// The directive of somebody who holds the coordinator's online key.
fn stolen_directive(world: &World, serial: u64, manifest: Digest) -> Vec<u8> {
    let key = std::fs::read_to_string(world.data().join("online.key")).unwrap();
    let directive = Directive {
        gateway: gateway_id(1).parse().unwrap(),
        serial,
        issued_at: now(),
        expires_at: now().plus_ms(3_600_000),
        devices: vec![DeviceDirective {
            device: device_id(1, 1).parse().unwrap(),
            deployment: format!("dep-{serial}").parse().unwrap(),
            phase: 0,
            action: Action::Install { manifest },
            security_floor: 0,
        }],
    };
    wire::encode(&Signed::sign(&directive, &[&SecretKey::from_secret_text(&key).unwrap()]).unwrap())
}

#[test]
fn sec_12_a_thief_activates_no_withdrawn_release() {
    let dir = fresh_dir("withdrawn");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, fresh: true, ..Layout::default() }).unwrap();
    let bytes = image(&dir, 22, 200_000);
    world.release("FW-2.2.0", "2.2.0", 22, &bytes, 0.5).unwrap();
    let manifest: Digest = {
        let view = world.ctl(Role::Operator, &["firmware", "show", "FW-2.2.0"]).unwrap();
        view["manifestDigest"].as_str().unwrap().parse().unwrap()
    };
    // The ward has not agreed: the device is staged and waits.
    let asking = json!({ "strategy": "Progressive", "hospitalConsent": "every", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1H" } ] });
    let deployment = world.deploy("FW-2.2.0", &asking).unwrap();
    state_of(&world, &deployment, "staged");
    let (key, digest) = (world.key("clinical"), world.manifest_digest("FW-2.2.0").unwrap());
    let withdraw = ["firmware", "withdraw", "FW-2.2.0", "--reason", "alarm limits lost"];
    let signed = ["--key", &key, "--yes", "--digest", &digest];
    world.ctl(Role::Clinical, &[&withdraw[..], &signed].concat()).unwrap();
    wait_for("the gateway to hold the withdrawal", PATIENCE, || {
        Ok((world.ctl(Role::Operator, &["gateways", "list"])?[0]["withdrawalsVersion"] == 2).then_some(()))
    })
    .unwrap();
    world.kill_coordinator();

    let impostor = Impostor::start(world.port, &world.data()).unwrap();
    impostor.serve_image(Digest::of(&std::fs::read(&bytes).unwrap()), std::fs::read(&bytes).unwrap());
    impostor.say(&Topic::Directive(gateway_id(1).parse().unwrap()), stolen_directive(&world, 1_000, manifest));
    wait_for("the agent to refuse the withdrawn release", PATIENCE, || {
        let says = |kind: &EventKind| match kind {
            EventKind::StateChanged { detail, deployment, .. } => {
                deployment.as_str() == "dep-1000" && detail.contains("withdrawn")
            }
            EventKind::Refused { reason, .. } => reason.contains("withdrawn"),
            _ => false,
        };
        Ok(impostor.heard().iter().any(|e| says(&e.kind)).then_some(()))
    })
    .unwrap();
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.1.0".to_owned(), true));
    drop(impostor);
    world.start_coordinator().unwrap();
    update_succeeds(&world, &dir, "2.3.0", 23);
}

#[test]
fn sec_12_a_recall_after_the_window_takes_an_order() {
    let dir = fresh_dir("ordered");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, fresh: true, ..Layout::default() }).unwrap();
    world.release_as("FW-2.2.0", "2.2.0", 22, &image(&dir, 22, 200_000), &["--recall-window-days", "0"]).unwrap();
    let shown = world.ctl(Role::Operator, &["firmware", "show", "FW-2.2.0"]).unwrap();
    assert_eq!(shown["recallWindowDays"], 0.0);
    let deployment = world.deploy("FW-2.2.0", &everybody()).unwrap();
    state_of(&world, &deployment, "confirmed");
    let open = ["recalls", "open", "--model", "CardiacMonitor-X200", "--firmware-version", "2.2.0"];
    let why = ["--action", "rollBack", "--reason", "alarm limits lost"];
    let recall = world.ctl(Role::Regulatory, &[&open[..], &why].concat()).unwrap();
    let id = recall["recallId"].as_str().unwrap();
    assert_eq!((&recall["needs"]["order"], &recall["needs"]["none"]), (&json!(1), &json!(0)), "{recall}");
    assert_eq!(recall["outstanding"][0]["needWords"], "needs a rollback order");
    wait_for("the device to refuse without an order", PATIENCE, || {
        let view = world.deployment(&deployment)?;
        Ok((view["devices"][0]["stays"] == true).then_some(()))
    })
    .unwrap();
    let view = world.deployment(&deployment).unwrap();
    assert_eq!(view["devices"][0]["returnNeed"], "needs a rollback order", "{view}");
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.2.0".to_owned(), true));

    let order = dir.join("order.mdfm").display().to_string();
    let make = ["rollback-orders", "make", "--recall", id, "--reason", "alarm limits lost", "--out", &order];
    world.ctl(Role::Regulatory, &[&make[..], &["--signer", "regulatory:Regulatory"]].concat()).unwrap();
    let digest = world.offline(&["trust", "inspect", &order]).unwrap()["digest"].as_str().unwrap().to_owned();
    let (sign, key) = (["rollback-orders", "sign", &order, "--yes", "--digest", &digest], world.key("regulatory"));
    world.offline(&[&sign[..], &["--key", &key]].concat()).unwrap();
    world.ctl(Role::Regulatory, &["rollback-orders", "submit", &order]).unwrap();
    wait_for("the device to go back by the order", PATIENCE, || {
        Ok((world.boot_record(1, 1)? == ("2.1.0".to_owned(), true)).then_some(()))
    })
    .unwrap();
    wait_for("the recall to see it", PATIENCE, || Ok(world.ctl(Role::Regulatory, &["recalls", "close", id]).ok()))
        .unwrap();
    update_succeeds(&world, &dir, "2.3.0", 23);
}
