//! Whoever holds the coordinator with its online key, and perhaps the gateway's clock, neither undoes what was confirmed long ago nor
//! activates what people withdrew or whose authority has run out; and a gateway that changes its vendor goes on.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Action, DeviceDirective, Directive};
use mdfm_shared::sign::{Document, SecretKey, Signed};
use mdfm_shared::telemetry::{EventKind, NEEDS_ROLLBACK_ORDER};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{Freshness, Roster, Withdrawal, Withdrawals};
use mdfm_shared::wire::{self, Topic};
use mdfm_tests::{Checked, Impostor, Layout, Role, World, device_id, gateway_id, hospital_id, program, wait_for};
use serde_json::Value;

use crate::{fresh_dir, image};

const DAY_MS: u64 = 86_400_000;

/// The real time, moved by so many days.
fn time(days: i64) -> UtcMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let ms = i64::try_from(since.as_millis()).unwrap() + days * i64::try_from(DAY_MS).unwrap();
    UtcMillis(u64::try_from(ms).unwrap())
}

fn key(path: &str) -> SecretKey {
    SecretKey::from_secret_text(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn sign<T: Document>(document: &T, path: &str) -> Signed<T> {
    Signed::sign(document, &[&key(path)]).unwrap()
}

struct Thief<'a> {
    world: &'a World,
    impostor: &'a Impostor,
    serial: u64,
}

impl Thief<'_> {
    /// Directs the device, with a directive made at this time.
    fn direct(&mut self, action: Action, issued_at: UtcMillis) {
        self.serial += 1;
        let directive = Directive {
            gateway: gateway_id(1).parse().unwrap(),
            serial: self.serial,
            issued_at,
            expires_at: issued_at.plus_ms(3_600_000),
            devices: vec![DeviceDirective {
                device: device_id(1, 1).parse().unwrap(),
                // One name: each other one would be an installation of its own, and more to report than waits unacknowledged.
                deployment: "dep-thief".parse().unwrap(),
                phase: 0,
                action,
                security_floor: 0,
            }],
        };
        let online = self.world.data().join("online.key").display().to_string();
        let topic = Topic::Directive(gateway_id(1).parse().unwrap());
        self.impostor.say(&topic, wire::encode(&sign(&directive, &online)));
    }

    fn publish<T: Document>(&self, topic: &Topic, document: &T, key: &str) {
        self.impostor.say(topic, wire::encode(&sign(document, &self.world.key(key))));
    }

    fn hears(&self, what: &str, words: &str) {
        wait_for(&format!("the agent to report {what}: {words}"), Duration::from_secs(60), || {
            let matches = |kind: &EventKind| match kind {
                EventKind::Refused { what: w, reason } => w == what && reason.contains(words),
                EventKind::StateChanged { detail, .. } => what == "install" && detail.contains(words),
                _ => false,
            };
            Ok(self.impostor.heard().iter().any(|e| matches(&e.kind)).then_some(()))
        })
        .unwrap_or_else(|e| panic!("{e}: {:#?}", self.impostor.heard().iter().map(|e| &e.kind).collect::<Vec<_>>()));
    }

    fn stays_at(&self, version: &str) {
        assert_eq!(self.world.boot_record(1, 1).unwrap(), (version.to_owned(), true));
    }
}

fn known(world: &World) {
    wait_for("the device to be seen", Duration::from_secs(60), || {
        Ok(world.device_list()?[0]["runningSha256"].is_string().then_some(()))
    })
    .unwrap();
}

fn updates(world: &World, dir: &Path, n: u8, before: Option<&str>) -> String {
    let (id, version) = (format!("FW-2.{n}.0"), format!("2.{n}.0"));
    world.release(&id, &version, u64::from(n) * 10, &image(dir, n, 200_000), 0.5).unwrap();
    let plan = World::progressive(&hospital_id(1), "PT0S");
    let deployment =
        before.map_or_else(|| world.deploy(&id, &plan), |before| world.deploy_instead(&id, &plan, before)).unwrap();
    let state = |world: &World| world.deployment(&deployment).map(|view| view["devices"][0].clone());
    wait_for("the good update", Duration::from_secs(90), || Ok((state(world)?["state"] == "confirmed").then_some(())))
        .unwrap_or_else(|e| panic!("{e}: {:?}", state(world)));
    assert_eq!(world.boot_record(1, 1).unwrap(), (version, true));
    deployment
}

fn manifest_of(world: &World, id: &str) -> Digest {
    let view = world.ctl(Role::Operator, &["firmware", "show", id]).unwrap();
    view["manifestDigest"].as_str().unwrap().parse().unwrap()
}

fn status(world: &World) -> Value {
    serde_json::from_str(&world.on_gateway(1, &["--json", "status"]).unwrap()).unwrap()
}

fn sign_in_again(world: &World) {
    for role in [Role::Admin].into_iter().chain(Role::CREATED) {
        world.login(role).unwrap();
    }
}

#[test]
fn sec_12_and_13_a_thief_of_key_and_clock_moves_nothing() {
    let dir = fresh_dir("authority");
    // Everything up to the first confirmation happens twenty days ago.
    let layout = Layout { hospitals: 1, devices: 1, clock: "-20d".into(), ..Layout::default() };
    let mut world = World::start(&dir, layout).unwrap();
    known(&world);
    let before = updates(&world, &dir, 2, None);
    let first = manifest_of(&world, "FW-2.2.0");
    let roster: Roster = {
        let frame = std::fs::read(dir.join("roster-1.mdfm")).unwrap();
        wire::decode::<Signed<Roster>>(&frame).unwrap().decode_unverified().unwrap()
    };
    world.kill_coordinator();
    world.kill_agent(1);
    world.layout.clock.clear();

    // Today: the online key alone orders the device back.
    let impostor = Impostor::start(world.port, &world.data()).unwrap();
    world.start_agent(1).unwrap();
    let mut thief = Thief { world: &world, impostor: &impostor, serial: 1_000 };
    thief.direct(Action::Rollback { manifest: first }, time(0));
    thief.hears("rollback", NEEDS_ROLLBACK_ORDER);
    thief.stays_at("2.2.0");
    assert!(status(&world)["rollbacksRefused"][0].as_str().unwrap().contains(NEEDS_ROLLBACK_ORDER));
    drop(impostor);

    // The vendor's next release waits on the gateway, held on site.
    world.start_coordinator().unwrap();
    sign_in_again(&world);
    let device = device_id(1, 1);
    world.on_gateway(1, &["hold", &device, "--reason", "ward round"]).unwrap();
    world.release("FW-2.3.0", "2.3.0", 30, &image(&dir, 3, 200_000), 0.5).unwrap();
    let next = manifest_of(&world, "FW-2.3.0");
    let deployment = world.deploy_instead("FW-2.3.0", &World::progressive(&hospital_id(1), "PT0S"), &before).unwrap();
    wait_for("the release to be staged", Duration::from_secs(90), || {
        Ok((world.deployment(&deployment)?["devices"][0]["state"] == "staged").then_some(()))
    })
    .unwrap();
    world.kill_coordinator();

    let impostor = Impostor::start(world.port, &world.data()).unwrap();
    let mut thief = Thief { world: &world, impostor: &impostor, serial: 2_000 };
    thief.direct(Action::Hold { manifest: next }, time(0));
    let dated = |version, from: i64, until: i64| {
        let freshness = Freshness { issued_at: time(from), expires_at: time(until), withdrawals_version: 0 };
        Roster { version, freshness: Some(freshness), ..roster.clone() }
    };
    // A roster that has run out: a newer one, perhaps with a revocation, is withheld.
    thief.publish(&Topic::Roster, &dated(2, -10, -1), "registrar");
    thief.hears("trust", "roster expired");
    world.on_gateway(1, &["release", &device, "--reason", "ward round over"]).unwrap();
    thief.direct(Action::Install { manifest: next }, time(0));
    wait_for("the directive to be held", Duration::from_secs(30), || {
        Ok((status(&world)["directiveSerial"] == thief.serial).then_some(()))
    })
    .unwrap();
    std::thread::sleep(Duration::from_secs(3));
    thief.stays_at("2.2.0");
    assert!(status(&world)["nothingNewBecause"][0].as_str().unwrap().contains("roster expired"));

    // The newer roster is there, and the clock is set back by ten days instead.
    thief.direct(Action::Hold { manifest: next }, time(0));
    wait_for("the directive to be held", Duration::from_secs(30), || {
        Ok((status(&world)["directiveSerial"] == thief.serial).then_some(()))
    })
    .unwrap();
    thief.publish(&Topic::Roster, &dated(3, -11, 60), "registrar");
    wait_for("the roster to be held", Duration::from_secs(30), || {
        Ok((status(&world)["rosterVersion"] == 3).then_some(()))
    })
    .unwrap();
    let serial = thief.serial;
    world.kill_agent(1);
    world.layout.clock = "-10d".into();
    world.start_agent(1).unwrap();
    let mut thief = Thief { world: &world, impostor: &impostor, serial };
    thief.direct(Action::Install { manifest: next }, time(-10));
    thief.hears("clock", "set the clock");
    std::thread::sleep(Duration::from_secs(3));
    thief.stays_at("2.2.0");
    assert!(status(&world)["nothingNewBecause"][0].as_str().unwrap().contains("set the clock"));

    // The clock is right again, and the release withdrawn by those who may: the directive for it counts no more.
    let withdrawal = Withdrawal { manifest: next, reason: "alarm limits lost".into(), at: time(0) };
    let withdrawals = Withdrawals { version: 1, issued_at: time(0), expires_at: time(60), releases: vec![withdrawal] };
    thief.direct(Action::Hold { manifest: next }, time(-10));
    thief.publish(&Topic::Withdrawals, &withdrawals, "release");
    let serial = thief.serial;
    world.kill_agent(1);
    world.layout.clock.clear();
    world.start_agent(1).unwrap();
    let mut thief = Thief { world: &world, impostor: &impostor, serial };
    thief.direct(Action::Install { manifest: next }, time(0));
    thief.hears("install", "withdrawn");
    thief.stays_at("2.2.0");
    drop(impostor);

    // The real coordinator returns with the roster of now, and the next release passes.
    world.start_coordinator().unwrap();
    let file = dir.join("roster-4.mdfm");
    std::fs::write(&file, wire::encode(&sign(&dated(4, 0, 60), &world.key("registrar")))).unwrap();
    world.ctl(Role::Admin, &["trust", "publish", &file.display().to_string()]).unwrap();
    updates(&world, &dir, 4, Some(&deployment));
    assert_eq!(status(&world)["nothingNewBecause"], serde_json::json!([]));
}

/// The vendor's systems are set up again from nothing, with other keys: the gateway enrols there and keeps what it knows of its device.
/// The signed documents of a page of records.
fn documents(page: &Value) -> impl Iterator<Item = Vec<u8>> {
    let text = |record: &Value| record.pointer("/record/document").or_else(|| record.get("document")).cloned();
    let records = page["records"].as_array().into_iter().flatten();
    records.filter_map(text).filter_map(|d| STANDARD.decode(d.as_str()?).ok()).collect::<Vec<_>>().into_iter()
}

#[test]
fn sec_14_enrol_again_onto_a_new_root_starts_and_updates() {
    let dir = fresh_dir("enrol-again");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    known(&world);
    updates(&world, &dir, 2, None);
    world.kill_coordinator();
    world.on_gateway(1, &["hold", &device_id(1, 1), "--reason", "the vendor moves"]).unwrap();
    world.kill_agent(1);

    let other = World::start(&fresh_dir("enrol-again-there"), Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let (hospital, gateway, device) = (hospital_id(1), gateway_id(1), device_id(1, 1));
    for arguments in [
        vec!["hospitals", "add", &hospital, "--name", "Hospital 1", "--cohort", "pilot"],
        vec!["gateways", "add", &gateway, "--hospital", &hospital],
        vec![
            "devices",
            "add",
            &device,
            "--model",
            "CardiacMonitor-X200",
            "--serial",
            "SN-001-1",
            "--hospital",
            &hospital,
            "--firmware-version",
            "2.2.0",
        ],
    ] {
        other.ctl(Role::Operator, &arguments).unwrap();
    }
    let token = dir.join("again.token").display().to_string();
    other.ctl(Role::Operator, &["gateways", "token", &gateway, "--out", &token]).unwrap();
    let config = dir.join("agent-001.toml").display().to_string();
    let enrolled = Command::new(program("mdfm-agent").unwrap())
        .args(["--config", &config, "enrol", "--again", "--token-file", &token])
        .checked_output()
        .unwrap();
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));

    // What the agent had said of the device was acknowledged by the former coordinator.
    world.start_agent(1).unwrap();
    let view: Value = wait_for("the agent to answer", Duration::from_secs(30), || {
        let answer = world.on_gateway(1, &["--json", "devices"]).ok();
        Ok(answer.and_then(|text| serde_json::from_str(&text).ok()))
    })
    .unwrap();
    assert_eq!(view[0]["held"], "the vendor moves", "the journal stays");
    wait_for("what was not acknowledged to be reported there", Duration::from_secs(30), || {
        let search = ["audit", "search", "--action", "telemetry.commit", "--limit", "100"];
        let page = other.ctl(Role::Auditor, &search)?;
        Ok(documents(&page).any(|d| String::from_utf8_lossy(&d).contains("hold: the vendor moves")).then_some(()))
    })
    .unwrap();
    world.on_gateway(1, &["release", &device, "--reason", "the vendor has moved"]).unwrap();
    let image = image(&dir, 5, 200_000);
    other.release("FW-2.5.0", "2.5.0", 50, &image, 0.5).unwrap();
    let id = other.deploy("FW-2.5.0", &World::progressive(&hospital, "PT0S")).unwrap();
    wait_for("the update by the new vendor", Duration::from_secs(90), || {
        Ok((other.deployment(&id)?["devices"][0]["state"] == "confirmed").then_some(()))
    })
    .unwrap();
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.5.0".to_owned(), true));
}
