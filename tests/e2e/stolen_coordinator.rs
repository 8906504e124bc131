//! Somebody holds the coordinator with all its keys and speaks to a real agent with a real device beside it. The agent refuses by
//! name, reports it, leaves the device alone, and takes a good update from the real coordinator afterwards (DESIGN §9.8).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Action, DeviceDirective, Directive};
use mdfm_shared::fixture::{self, Log, approval};
use mdfm_shared::manifest::Manifest;
use mdfm_shared::sign::{Document, SecretKey, Signed};
use mdfm_shared::telemetry::EventKind;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::NoteSigner;
use mdfm_shared::trust::{Approval, ReleaseEvidence};
use mdfm_shared::wire::{self, Topic};
use mdfm_tests::{Impostor, Layout, Role, World, device_id, gateway_id, hospital_id, wait_for};

use crate::{fresh_dir, image};

/// The keys that lie on a stolen coordinator, and those of the people that were stolen with it, as a scene asks for them.
struct Thief<'a> {
    world: &'a World,
    impostor: &'a Impostor,
    log: Arc<Mutex<Log>>,
    serial: u64,
}

fn now() -> UtcMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UtcMillis(u64::try_from(since.as_millis()).unwrap())
}

impl Thief<'_> {
    fn key(&self, name: &str) -> SecretKey {
        let path = match name {
            "online" => self.world.data().join("online.key").display().to_string(),
            name => self.world.key(name),
        };
        SecretKey::from_secret_text(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn sign<T: Document>(&self, document: &T, names: &[&str]) -> Signed<T> {
        let keys: Vec<SecretKey> = names.iter().map(|n| self.key(n)).collect();
        Signed::sign(document, &keys.iter().collect::<Vec<_>>()).unwrap()
    }

    fn directive(&mut self, gateway: &str, manifest: Digest) -> Directive {
        self.serial += 1;
        Directive {
            gateway: gateway.parse().unwrap(),
            serial: self.serial,
            issued_at: now(),
            expires_at: now().plus_ms(3_600_000),
            devices: vec![DeviceDirective {
                device: device_id(1, 1).parse().unwrap(),
                deployment: format!("dep-{}", self.serial).parse().unwrap(),
                phase: 0,
                action: Action::Install { manifest },
                security_floor: 0,
            }],
        }
    }

    fn say_directive(&self, directive: &Signed<Directive>) {
        let topic = Topic::Directive(gateway_id(1).parse().unwrap());
        self.impostor.say(&topic, wire::encode(directive));
    }

    /// A manifest for the device beside the agent.
    fn manifest(&self, image: &[u8], release: u64) -> Manifest {
        let mut manifest = fixture::manifest();
        manifest.sha256 = Digest::of(image);
        manifest.components[0].sha256 = manifest.sha256;
        manifest.components[0].size_bytes = image.len() as u64;
        manifest.release_number = release;
        manifest
    }

    /// Approvals by the vendor's own people, as they would have signed them.
    fn approvals(&self, manifest: Digest, roles: &[Role]) -> Vec<(Approval, SecretKey)> {
        let of = |role: &Role| Approval {
            printed_name: role.printed_name(),
            at: now(),
            ..approval(manifest, role.user(), role.name().parse().unwrap())
        };
        roles.iter().map(|role| (of(role), self.key(role.user()))).collect()
    }

    fn release(&self, manifest: &Signed<Manifest>, roles: &[Role]) -> (Digest, ReleaseEvidence) {
        let approvals = self.approvals(manifest.digest(), roles);
        self.log.lock().unwrap().release(manifest, "operator", &approvals)
    }

    /// Directs the device to a release and shows its evidence.
    fn push(&mut self, manifest: &Signed<Manifest>, roles: &[Role]) {
        let (digest, evidence) = self.release(manifest, roles);
        let directive = self.directive(&gateway_id(1), digest);
        self.impostor.say(&Topic::Release(digest), wire::encode(&evidence));
        self.say_directive(&self.sign(&directive, &["online"]));
    }

    /// Waits until the agent reports that it refused something, in these words.
    fn hears_refusal(&self, what: &str, words: &str) {
        wait_for(&format!("the agent to refuse the {what}: {words}"), Duration::from_secs(40), || {
            let told = |kind: &EventKind| match kind {
                EventKind::Refused { what: w, reason } => w == what && reason.contains(words),
                EventKind::StateChanged { detail, .. } => what == "install" && detail.contains(words),
                _ => false,
            };
            Ok(self.impostor.heard().iter().any(|e| told(&e.kind)).then_some(()))
        })
        .unwrap();
    }
}

#[test]
fn att_1_to_6_and_9_a_stolen_coordinator_moves_no_device() {
    let dir = fresh_dir("stolen");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    wait_for("the device to be seen", Duration::from_secs(30), || {
        Ok(world.device_list()?[0]["runningSha256"].is_string().then_some(()))
    })
    .unwrap();
    let boots = |world: &World| {
        let record = std::fs::read(world.device_dir(1, 1).join("boot.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&record).unwrap()["boot_count"].as_u64().unwrap()
    };
    let boots_before = boots(&world);
    world.kill_coordinator();

    let origin = std::fs::read_to_string(world.data().join("log.origin")).unwrap();
    let log_key = SecretKey::from_secret_text(&std::fs::read_to_string(world.data().join("log.key")).unwrap()).unwrap();
    let log = Arc::new(Mutex::new(Log::new(NoteSigner::new(&origin, log_key).unwrap())));
    let impostor = Impostor::start(world.port, &world.data()).unwrap();
    let proofs = Arc::clone(&log);
    impostor.prove(Box::new(move |old, new| proofs.lock().unwrap().consistency(old, new)));
    let image_bytes = vec![42; 100_000];
    {
        let mut thief = Thief { world: &world, impostor: &impostor, log: Arc::clone(&log), serial: 1_000 };
        let manifest = thief.manifest(&image_bytes, 30);
        impostor.serve_image(Digest::of(&image_bytes), image_bytes.clone());

        // ATT-1: the online key alone, and with a manifest that it signs itself.
        thief.push(&thief.sign(&manifest, &["online"]), &Role::APPROVERS);
        thief.hears_refusal("release", "manifest needs 1 signature");
        // ATT-1: the stolen release key as well, and two of three approvers.
        let signed = thief.sign(&Manifest { release_number: 31, ..manifest.clone() }, &["release"]);
        thief.push(&signed, &Role::APPROVERS[..2]);
        thief.hears_refusal("release", "approvals are missing from: Regulatory");
        // ATT-9: every key there is, and a log that is not the one the agent has seen.
        let signed = thief.sign(&Manifest { release_number: 32, ..manifest.clone() }, &["release"]);
        thief.push(&signed, &Role::APPROVERS);
        thief.hears_refusal("checkpoint", "forked or rewritten");
        // ATT-3: an old directive again, and one that somebody else signed.
        let topic = Topic::Directive(gateway_id(1).parse().unwrap());
        let mut old = thief.directive(&gateway_id(1), signed.digest());
        old.serial = 1;
        impostor.say(&topic, wire::encode(&thief.sign(&old, &["online"])));
        thief.hears_refusal("directive", "an old directive was replayed");
        let directive = thief.directive(&gateway_id(1), signed.digest());
        impostor.say(&topic, wire::encode(&thief.sign(&directive, &["release", "qa", "root-1"])));
        thief.hears_refusal("directive", "needs 1 signature");
        // ATT-5: a directive for another gateway.
        let directive = thief.directive("GW-999", signed.digest());
        thief.say_directive(&thief.sign(&directive, &["online"]));
        thief.hears_refusal("directive", "it is for gateway GW-999");
        // ATT-6: a message above all bounds costs the connection, nothing else; and what is no document at all.
        impostor.say_once(&topic, vec![1; 600 * 1024]);
        for (bytes, words) in
            [(vec![], "empty frame"), (vec![7, 7, 7], "frame version 7"), (vec![1; 100], "does not decode")]
        {
            impostor.say(&topic, bytes);
            thief.hears_refusal("directive", words);
        }
        for topic in [Topic::Roster, Topic::TrustRoot(2)] {
            impostor.say(&topic, vec![1, 2, 3]);
            thief.hears_refusal("trust", "does not decode");
        }
        impostor.say(&Topic::Checkpoint, b"not a note".to_vec());
        thief.hears_refusal("checkpoint", "not a signed note");
        assert_eq!(impostor.image_requests(), 0, "no image is fetched for a release that is not approved");
    }
    assert_eq!(boots(&world), boots_before, "the device was left alone");
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.1.0".to_owned(), true));

    // The real coordinator returns; its serials are behind what the thief gave, and it catches up.
    drop(impostor);
    world.start_coordinator().unwrap();
    update_succeeds(&world, &dir);
    let refusals =
        world.ctl(Role::Auditor, &["audit", "search", "--action", "telemetry.commit", "--limit", "500"]).unwrap();
    assert!(refusals["records"].as_array().unwrap().len() > 5, "what the agent refused stands in the log");
}

fn update_succeeds(world: &World, dir: &std::path::Path) {
    let image = image(dir, 9, 300_000);
    world.release("FW-2.9.0", "2.9.0", 90, &image, 0.5).unwrap();
    let id = world.deploy("FW-2.9.0", &World::progressive(&hospital_id(1), "PT0S")).unwrap();
    wait_for("the good update", Duration::from_secs(60), || {
        Ok((world.deployment(&id)?["devices"][0]["state"] == "confirmed").then_some(()))
    })
    .unwrap();
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.9.0".to_owned(), true));
}

/// The coordinator's disk is tampered with: images that are altered, too short or too long reach no device; nor do releases for
/// another model, for another hardware or older than what runs. Each leaves its cause in the record, and a good release passes.
#[test]
fn att_2_and_4_tampered_images_and_wrong_releases_touch_no_device() {
    let dir = fresh_dir("tampered");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    // What the line brings never fails a device: it waits, and says what was wrong.
    let waits = |id: &str, image: &std::path::Path, tamper: &dyn Fn(&std::path::Path), words: &str| {
        let release = 40 + u64::from(id.as_bytes()[3]);
        world.release(id, id, release, image, 1.0).unwrap();
        let view = world.ctl(Role::Operator, &["firmware", "show", id]).unwrap();
        tamper(&world.data().join("images").join(view["imageSha256"].as_str().unwrap()));
        let deployment = world.deploy(id, &World::progressive(&hospital_id(1), "PT0S")).unwrap();
        let last = std::cell::RefCell::new(serde_json::Value::Null);
        wait_for(&format!("the device to wait for {id}"), Duration::from_secs(60), || {
            let view = world.deployment(&deployment)?;
            let device = &view["devices"][0];
            assert!(device["state"] != "confirmed" && device["state"] != "failed", "{id}: {device}");
            *last.borrow_mut() = view.clone();
            let says = device["waiting"]["text"].as_str().is_some_and(|text| text.contains(words));
            Ok((device["waiting"]["code"] == "image-unavailable" && says).then_some(()))
        })
        .unwrap_or_else(|e| panic!("{e}: {}", last.borrow()));
        assert_eq!(world.boot_record(1, 1).unwrap(), ("2.1.0".to_owned(), true), "{id}");
        world.ctl(Role::Operator, &["abort", &deployment, "--reason", "the image is another one", "--yes"]).unwrap();
    };
    let file = |seed| image(&dir, seed, 300_000);
    // Images are sealed one by one, and the store opens nothing that was altered; but whoever has the disk can put one image in place of
    // another.
    let in_its_place = |name: &str, seed: u8, length: usize| {
        let other = image(&dir, seed, length);
        let view = world.upload(name, name, seed.into(), &other, 1.0).unwrap();
        let from = world.data().join("images").join(view["imageSha256"].as_str().unwrap());
        move |path: &std::path::Path| assert!(std::fs::copy(&from, path).unwrap() > 0)
    };
    waits("FW-A", &file(11), &in_its_place("X-1", 21, 300_000), "the manifest names");
    waits("FW-B", &file(12), &in_its_place("X-2", 22, 305_000), "longer than the 300000 bytes signed");
    // A release that is older than what the device runs.
    world.upload("FW-old", "1.0.0", 1, &file(13), 1.0).unwrap();
    for role in Role::APPROVERS {
        world.approve("FW-old", role).unwrap();
    }
    let deployment = world.deploy("FW-old", &World::progressive(&hospital_id(1), "PT0S")).unwrap();
    wait_for("the downgrade to be refused", Duration::from_secs(60), || {
        let view = world.deployment(&deployment)?;
        Ok(view["devices"][0]["detail"].as_str().is_some_and(|d| d.contains("downgrade")).then_some(()))
    })
    .unwrap();
    update_succeeds(&world, &dir);
}
