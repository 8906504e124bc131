//! Trust administration under attack: approvers revoked in the middle of a deployment, rosters that alter the past, documents
//! that say less than they sign (SEC-5, SEC-6).

use std::path::Path;
use std::time::Duration;

use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{ApprovalPolicy, Role as Signer, TrustRoot};
use mdfm_shared::wire;
use mdfm_tests::{Layout, Role, World, hospital_id, wait_for};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

fn path(world: &World, name: &str) -> String {
    world.dir.join(name).display().to_string()
}

/// The next roster with these changes, signed by the registrar.
fn next_roster(world: &World, from: u64, changes: &[&str]) -> String {
    let (before, next) =
        (path(world, &format!("roster-{from}.mdfm")), path(world, &format!("roster-{}.mdfm", from + 1)));
    let make = ["trust", "roster", "--from", &before, "--out", &next];
    // The administrator's session asks the coordinator for the size of the log.
    world.ctl(Role::Admin, &[&make[..], changes].concat()).unwrap();
    world.sign_file(&next, &["registrar"], &["--previous", &before]).unwrap();
    next
}

fn publish(world: &World, roster: &str, reason: &str) {
    world.ctl(Role::Admin, &["trust", "publish", roster, "--reason", reason]).unwrap();
}

fn status(world: &World, id: &str) -> Value {
    world.deployment(id).unwrap()["status"].clone()
}

/// Waits until the deployment has the status, signing the validations that become due.
fn reaches(world: &World, id: &str, name: &str) {
    wait_for(&format!("{id} to be {name}"), Duration::from_secs(120), || {
        let view = world.deployment(id)?;
        if name == "completed" {
            world.validate_if_due(id, &view)?;
        }
        Ok((view["status"]["name"] == name).then_some(()))
    })
    .unwrap();
}

fn confirmed(world: &World, id: &str, n: usize) {
    wait_for(&format!("{n} devices of {id} to be confirmed"), Duration::from_secs(120), || {
        let view = world.deployment(id)?;
        let devices = view["devices"].as_array().cloned().unwrap_or_default();
        Ok((devices.iter().filter(|d| d["state"] == "confirmed").count() >= n).then_some(()))
    })
    .unwrap();
}

/// A pilot first, then everybody; nobody has to sign between.
fn two_phases() -> Value {
    json!({ "strategy": "Progressive", "phases": [
        { "name": "Pilot", "hospitalCohort": "pilot", "percentage": 50, "targetHospitals": [hospital_id(1)],
          "monitoringDuration": "PT6S" },
        { "name": "All", "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT0S" } ] })
}

#[test]
fn sec_5_an_approver_is_revoked_in_the_middle_of_a_rollout() {
    let dir = fresh_dir("revoked");
    let world = World::start(&dir, Layout { hospitals: 2, devices: 1, ..Layout::default() }).unwrap();
    // Another QA person, on a roster that only adds.
    world.offline(&["keys", "new", &world.key("qa-2")]).unwrap();
    let password = path(&world, "password");
    let second = ["users", "add", "qa-2", "--name", "Second QA", "--role", "QA", "--password-file", &password];
    world.ctl(Role::Admin, &second).unwrap();
    world.ctl(Role::Admin, &["users", "verify", "qa-2", "--evidence", "passport", "--reason", "first day"]).unwrap();
    world.login_as("qa-2").unwrap();
    world.release("FW-2.2.0", "2.2.0", 22, &image(&dir, 31, 200_000), 0.5).unwrap();
    let id = world.deploy("FW-2.2.0", &two_phases()).unwrap();
    let person = format!("qa-2|Second QA|QA|{}", world.public("qa-2"));
    publish(&world, &next_roster(&world, 1, &["--person", &person]), "a second QA person");
    assert_eq!(status(&world, &id)["name"], "running", "a roster that only adds pauses nothing");

    // Revoked from now on: the approval stands in the log before, and the deployment goes on to its end.
    publish(&world, &next_roster(&world, 2, &["--revoke", "qa", "--reason", "left"]), "left");
    assert_eq!(status(&world, &id)["name"], "running");
    reaches(&world, &id, "completed");
    assert_eq!(world.boot_record(2, 1).unwrap(), ("2.2.0".to_owned(), true));

    // The revoked person signs the next release: refused; the other one may.
    world.upload("FW-2.3.0", "2.3.0", 23, &image(&dir, 32, 200_000), 0.5).unwrap();
    let refused = world.approve("FW-2.3.0", Role::Qa).unwrap_err().to_string();
    assert!(refused.contains("not on the roster as QA today"), "{refused}");
    let digest = world.manifest_digest("FW-2.3.0").unwrap();
    let by_second = |id: &str, digest: &str| {
        let signer = ["--role", "QA", "--key", &world.key("qa-2"), "--reason", "tested", "--yes", "--digest", digest];
        world.ctl_as("qa-2", &[&["approve", id][..], &signer].concat())
    };
    by_second("FW-2.3.0", &digest).unwrap();
    for role in [Role::Clinical, Role::Regulatory] {
        world.approve("FW-2.3.0", role).unwrap();
    }
    let id = world.deploy("FW-2.3.0", &two_phases()).unwrap();
    confirmed(&world, &id, 1);

    // Back-dated: the Clinical key was stolen before anything was signed. The approval is lost, the deployment pauses and says why.
    let back = ["--revoke", "clinical", "--at", "2020-01-01T00:00:00Z", "--log-size", "0", "--reason", "key stolen"];
    let fourth = next_roster(&world, 3, &back);
    publish(&world, &fourth, "key stolen");
    reaches(&world, &id, "paused");
    let paused = status(&world, &id);
    let why = paused["reason"].as_str().unwrap();
    assert!(why.contains("approval of FW-2.3.0 by clinical as Clinical no longer counts"), "{paused}");
    let release = world.ctl(Role::Auditor, &["firmware", "show", "FW-2.3.0"]).unwrap();
    assert_eq!(release["status"], "pendingApproval", "{release}");
    assert_eq!(release["missingApprovals"], json!(["Clinical"]));
    assert!(release["lostApprovals"][0]["reason"].as_str().unwrap().contains("was revoked"), "{release}");
    let resume = ["resume", &id, "--reason", "approved again"];
    assert!(world.ctl(Role::Operator, &resume).unwrap_err().to_string().contains("approval-lost"));
    let refused = world.approve("FW-2.3.0", Role::Clinical).unwrap_err().to_string();
    assert!(refused.contains("not on the roster as Clinical today"), "the stolen key: {refused}");

    // The same person with another key approves again; the gateways take the new proof, and the deployment goes on.
    world.offline(&["keys", "new", &world.key("clinical-2")]).unwrap();
    let again = format!("clinical|{}|Clinical|{}", Role::Clinical.printed_name(), world.public("clinical-2"));
    publish(&world, &next_roster(&world, 4, &["--person", &again]), "another key");
    world.approve_with("FW-2.3.0", Role::Clinical, &world.key("clinical-2")).unwrap();
    // From here on the person signs with it, the validations of the phases too.
    std::fs::copy(world.key("clinical-2"), world.key("clinical")).unwrap();
    world.ctl(Role::Operator, &resume).unwrap();
    reaches(&world, &id, "completed");
    for h in 1..=2 {
        assert_eq!(world.boot_record(h, 1).unwrap(), ("2.3.0".to_owned(), true), "hospital {h}");
    }
    let trust = world.ctl(Role::Auditor, &["trust", "show"]).unwrap();
    let revoked = trust["rosterEntries"].as_array().unwrap().iter().filter(|e| !e["revoked"].is_null()).count();
    assert_eq!((trust["rosterVersion"].as_u64(), revoked), (Some(5), 2), "{trust}");
}

#[test]
fn sec_5_a_roster_that_alters_the_past_is_refused_twice() {
    let dir = fresh_dir("past");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    world.release("FW-2.2.0", "2.2.0", 22, &image(&dir, 33, 200_000), 0.5).unwrap();
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT0S")).unwrap();
    let (first, next) = (path(&world, "roster-1.mdfm"), path(&world, "roster-2.mdfm"));
    // By the tool: a second roster from nothing, as it was always made before.
    let person = format!("qa|QA signatory|QA|{}", world.public("qa"));
    let second = ["trust", "roster", "--out", &next, "--version", "2", "--person", &person];
    let refused = world.offline(&second).unwrap_err().to_string();
    assert!(refused.contains("name that with --previous"), "{refused}");
    let dropped = ["trust", "roster", "--from", &first, "--out", &next, "--drop", "qa", "--force"];
    let refused = world.offline(&dropped).unwrap_err().to_string();
    assert!(refused.contains("confirmed on a terminal"), "{refused}");
    assert!(!Path::new(&next).exists(), "nothing was written");
    // By the coordinator: made by another tool and signed by the registrar.
    let bytes = std::fs::read(&first).unwrap();
    let mut roster = wire::decode::<Signed<mdfm_shared::trust::Roster>>(&bytes).unwrap().decode_unverified().unwrap();
    roster.version = 2;
    roster.entries.iter_mut().for_each(|e| e.valid_from = e.valid_from.plus_ms(86_400_000));
    let registrar = SecretKey::from_secret_text(&std::fs::read_to_string(world.key("registrar")).unwrap()).unwrap();
    std::fs::write(&next, wire::encode(&Signed::sign(&roster, &[&registrar]).unwrap())).unwrap();
    let shown = world.offline(&["trust", "inspect", &next, "--previous", &first]).unwrap();
    assert_eq!(shown["shown"]["weaker"].as_array().map(Vec::len), Some(3), "{shown}");
    let refused = world.ctl(Role::Admin, &["trust", "publish", &next]).unwrap_err().to_string();
    assert!(refused.contains("roster-alters-past") && refused.contains("qa as QA"), "{refused}");
    reaches(&world, &id, "completed");
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.2.0".to_owned(), true));
}

#[test]
fn sec_6_nobody_signs_what_they_are_not_shown() {
    let dir = fresh_dir("unseen");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let honest = path(&world, "root-1.mdfm");
    let bytes = std::fs::read(&honest).unwrap();
    let before = wire::decode::<Signed<TrustRoot>>(&bytes).unwrap().decode_unverified().unwrap();
    // The attack as it was made: Clinical alone, for 31,000 years.
    let weak = TrustRoot {
        version: 2,
        expires_at: UtcMillis(before.expires_at.0 + 31_000 * 365 * 86_400_000),
        approvals: ApprovalPolicy {
            standard: vec![Signer::Clinical],
            emergency: vec![Signer::Clinical],
            emergency_window_ms: 31_000 * 365 * 86_400_000,
        },
        ..before
    };
    let file = path(&world, "root-2.mdfm");
    let unsigned = wire::encode(&Signed::sign(&weak, &[]).unwrap());
    std::fs::write(&file, &unsigned).unwrap();
    let shown = world.offline(&["trust", "inspect", &file, "--previous", &honest]).unwrap();
    let marked = shown["shown"]["weaker"].to_string();
    for words in
        ["the trust root lasts", "need no approval of QA, Regulatory", "emergency approvals may lie", "no witness"]
    {
        assert!(marked.contains(words), "{words}: {marked}");
    }
    // Without a terminal nothing is signed unless the digest is named, and what is weaker is accepted by name.
    let digest = shown["digest"].as_str().unwrap().to_owned();
    let sign = |more: &[&str]| {
        let key = world.key("root-1");
        world.offline(&[&["trust", "sign", &file, "--previous", &honest, "--key", &key][..], more].concat())
    };
    assert!(sign(&[]).unwrap_err().to_string().contains("confirmed on a terminal"));
    let other = sign(&["--yes", "--accept-weaker", "--digest", &"0".repeat(64)]).unwrap_err().to_string();
    assert!(other.contains("nothing was signed"), "{other}");
    assert!(sign(&["--yes", "--digest", &digest]).unwrap_err().to_string().contains("--accept-weaker"));
    assert_eq!(std::fs::read(&file).unwrap(), unsigned, "nothing was written");

    // Approvals and manifests the same: by the digest of what was shown.
    let picture = image(&dir, 34, 200_000);
    world.upload("FW-2.2.0", "2.2.0", 22, &picture, 0.5).unwrap();
    let key = world.key("qa");
    let approve = ["approve", "FW-2.2.0", "--role", "QA", "--key", &key, "--reason", "tested"];
    assert!(world.ctl(Role::Qa, &approve).unwrap_err().to_string().contains("confirmed on a terminal"));
    let other = [&approve[..], &["--yes", "--digest", &digest]].concat();
    assert!(world.ctl(Role::Qa, &other).unwrap_err().to_string().contains("nothing was signed"));
    let release = world.ctl(Role::Operator, &["firmware", "show", "FW-2.2.0"]).unwrap();
    assert_eq!(release["approvals"], json!([]));

    // An honest next root, a renewal, is signed and published, and a good release arrives.
    let rotate = ["trust", "rotate", "--from", &honest, "--out", &file];
    let refused = world.offline(&rotate).unwrap_err().to_string();
    assert!(refused.contains("never overwritten"), "{refused}");
    assert_eq!(std::fs::read(&file).unwrap(), unsigned, "it is as it was");
    std::fs::remove_file(&file).unwrap();
    world.offline(&rotate).unwrap();
    world.sign_file(&file, &["root-1", "root-2"], &["--previous", &honest]).unwrap();
    world.ctl(Role::Admin, &["trust", "publish", &file]).unwrap();
    for role in Role::APPROVERS {
        world.approve("FW-2.2.0", role).unwrap();
    }
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT0S")).unwrap();
    reaches(&world, &id, "completed");
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.2.0".to_owned(), true));
}
