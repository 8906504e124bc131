//! Who may sign today, and changes that depend on what their changer saw.

use super::super::super::firmware::{Firmware, may_approve};
use super::super::super::people::PersonChange;
use super::super::super::precondition;
use super::super::super::settings::Settings;
use super::*;

fn change(user: &str, change: PersonChange) -> Command {
    Command::ChangePerson { user: id(user), change, reason: Some("as the procedure says".into()) }
}

/// A release that waits for its approvals.
fn pending(office: &mut Office) -> Manifest {
    let manifest = release(40, FirmwareClass::Standard, 3);
    office.upload(&manifest);
    manifest
}

fn refuses_to_sign(office: &mut Office, manifest: &Manifest, code: &str) {
    let refusal = office.approve(manifest, Role::Qa).expect_err(code);
    assert_eq!(refusal.code, code, "{refusal}");
    let firmware = manifest.firmware_id.clone();
    let reject = Command::Reject { firmware, role: Role::Qa, reason: "no".into(), shown: None };
    assert_eq!(office.attempt("user-qa", reject).expect_err(code).code, code, "a rejection is signed as well");
}

#[test]
fn p11_100b_nobody_signs_before_another_recorded_their_identity() {
    let mut office = Office::new();
    let manifest = pending(&mut office);
    office.state.users.get_mut(&id("user-qa")).expect("known").identity = None;
    refuses_to_sign(&mut office, &manifest, "identity");
    let seen = |by: &str| PersonChange::IdentityVerified { by: by.into(), evidence: "passport".into() };
    office.refuses("user-qa", change("user-qa", seen("user-qa")), "own-account", "nobody changes their own standing");
    let empty = PersonChange::IdentityVerified { by: "admin".into(), evidence: " \n".into() };
    office.refuses("admin", change("user-qa", empty), "invalid-field", "evidence");
    office.give("admin", change("user-qa", seen("admin")));
    office.approve(&manifest, Role::Qa).expect("may sign now");
}

#[test]
fn p11_10i_nobody_signs_whose_training_has_lapsed() {
    let mut office = Office::new();
    let manifest = pending(&mut office);
    let settings = Settings { training_required: true, ..Settings::default() };
    office.give("admin", Command::SetSettings { settings, reason: "policy 7".into() });
    refuses_to_sign(&mut office, &manifest, "training");
    let until = |ms| PersonChange::TrainingConfirmed { until: NOW.plus_ms(ms) };
    office.refuses("user-qa", change("user-qa", until(DAY_MS)), "own-account", "another administrator");
    office.refuses("admin", change("user-qa", until(0)), "invalid-field", "trainedUntil");
    office.give("admin", change("user-qa", until(DAY_MS)));
    office.live(DAY_MS);
    refuses_to_sign(&mut office, &manifest, "training");
    // A date that has passed refuses also where nobody demands one.
    office.give("admin", Command::SetSettings { settings: Settings::default(), reason: "policy 8".into() });
    refuses_to_sign(&mut office, &manifest, "training");
    office.give("admin", change("user-qa", until(2 * DAY_MS)));
    office.approve(&manifest, Role::Qa).expect("trained");
}

#[test]
fn p11_300b_an_old_password_signs_nothing_until_it_is_changed() {
    let mut office = Office::new();
    office.live(364 * DAY_MS);
    let manifest = pending(&mut office);
    office.approve(&manifest, Role::Clinical).expect("still young");
    office.live(DAY_MS);
    refuses_to_sign(&mut office, &manifest, "password-age");
    let credential = Digest([77; 32]);
    office.give(
        "admin",
        change("user-qa", PersonChange::PasswordSet { credential, own: None, resealed: None, ends_tokens: false }),
    );
    office.approve(&manifest, Role::Qa).expect("a new password");
    let settings = Settings { password_days: 10_000, ..Settings::default() };
    let never = Command::SetSettings { settings, reason: "x".into() };
    office.refuses("admin", never, "invalid-field", "passwordDays");
}

#[test]
fn p11_100a_ids_of_people_are_never_used_twice() {
    let mut office = Office::new();
    // P11-300a too: an id is one person's, so that no two people share id and password.
    let again = accounts_of(&roster().entries).remove(0);
    office.refuses("admin", again.clone(), "exists", "never used twice");
    office.give(
        "admin",
        Command::CreateUser {
            user: id("admin"),
            printed_name: "Administrator".into(),
            roles: vec![AccessRole::Admin],
            hospital: None,
            credential: Digest([1; 32]),
        },
    );
    office.give("admin", change("user-clinical", PersonChange::Disabled));
    office.refuses("admin", again, "exists", "never used twice");
}

#[test]
fn a_change_that_depends_on_what_its_changer_saw_is_refused_once_it_is_another() {
    let mut office = Office::new();
    let seen = precondition::tag(&office.state, "settings/all").expect("there are settings");
    let set = |office: &mut Office, days, expects: &[&str]| {
        let settings = Settings { password_days: days, ..Settings::default() };
        let expects = Some(expects.iter().map(|e| (*e).to_owned()).collect());
        let command = Command::SetSettings { settings, reason: "x".into() };
        let submission = Submission { expects, ..Submission::new(person("admin"), command) };
        let round =
            office.desk.round(&mut office.state, office.now, &mut office.presence, &[submission]).expect("applies");
        assert_eq!(round.entries.len(), 1, "accepted or refused, it has its record");
        round.answers.into_iter().next().expect("one answer").map_err(|refusal| refusal.code)
    };
    assert_eq!(set(&mut office, 30, &[&seen]), Ok(()));
    assert_eq!(set(&mut office, 40, &[&seen]), Err("changed-meanwhile"));
    assert_eq!(office.state.settings.password_days, 30);
    assert_eq!(set(&mut office, 40, &["0123", "*"]), Ok(()), "whatever it is");
}

/// What is foreseen of an approval of QA, and what then comes of it.
fn foreseen_and_given(office: &mut Office, manifest: &Manifest) -> (Option<String>, Option<String>) {
    let foreseen = may_approve(&office.state, office.now, &manifest.firmware_id, &id("user-qa"), Role::Qa);
    let given = office.approve(manifest, Role::Qa);
    (foreseen.err().map(|r| r.code.to_string()), given.err().map(|r| r.code.to_string()))
}

#[test]
fn p11_50_the_preview_of_an_approval_foresees_its_refusal() {
    let mut office = Office::new();
    let manifest = pending(&mut office);
    let refused = |code: &str| (Some(code.to_owned()), Some(code.to_owned()));
    let (name, firmware) = (id::<UserId>("user-qa"), manifest.firmware_id.clone());
    let identity = office.state.users.get_mut(&name).expect("known").identity.take();
    assert_eq!(foreseen_and_given(&mut office, &manifest), refused("identity"));
    office.state.users.get_mut(&name).expect("known").identity = identity;
    let held = |office: &mut Office, change: &dyn Fn(&mut Firmware)| {
        change(office.state.firmware.get_mut(&firmware).expect("known"));
    };
    let submitter = office.state.firmware[&firmware].submitter.clone();
    held(&mut office, &|held| held.submitter = "user-qa/token/ci".into());
    assert_eq!(foreseen_and_given(&mut office, &manifest), refused("approval-refused"));
    held(&mut office, &|held| held.submitter = submitter.clone());
    held(&mut office, &|held| held.status = FirmwareStatus::Rejected);
    assert_eq!(foreseen_and_given(&mut office, &manifest), refused("wrong-step"));
    held(&mut office, &|held| held.status = FirmwareStatus::PendingApproval);
    assert_eq!(foreseen_and_given(&mut office, &manifest), (None, None));
    assert_eq!(foreseen_and_given(&mut office, &manifest), refused("already-approved"));
    let other = may_approve(&office.state, office.now, &manifest.firmware_id, &id("user-qa"), Role::Clinical);
    assert_eq!(other.expect_err("no such authority").code, "not-on-roster");
}

/// What a signer was shown at a gate is part of what is signed: other figures are refused, and so is a gate that has not held.
#[test]
fn p11_70_a_validation_is_of_the_evidence_that_stands() {
    use super::super::super::rollout::evidence;
    use mdfm_shared::trust::{Approval, Validation};
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let deployment = id("D-1");
    assert_eq!(evidence::of(&deployment, office.deployment("D-1")).expect_err("nothing held").code, "gate-not-open");
    office.confirm(1..=4, "D-1", 22);
    office.live(1_000);
    office.live(HOUR_MS);
    office.live(1_000);
    let stands = evidence::of(&deployment, office.deployment("D-1")).expect("the gate has held");
    assert_eq!(stands.digest, Digest::of(stands.text.as_bytes()));
    for change in 0..4 {
        let mut other = office.deployment("D-1").clone();
        let tally = &mut other.phases[0].tally;
        match change {
            0 => tally.failed += 1,
            1 => tally.critical += 1,
            2 => tally.left += 1,
            _ => other.phases[0].gate.as_mut().expect("a gate").failed += 1,
        }
        let changed = evidence::of(&deployment, &other).expect("a gate");
        assert_ne!(changed.digest, stands.digest, "{}", changed.text);
        assert!(evidence::check(&deployment, &other, stands.digest).is_err_and(|r| r.code == "changed-meanwhile"));
    }
    let mut heard = office.deployment("D-1").clone();
    heard.phases[0].tally.silent += 1;
    assert!(evidence::check(&deployment, &heard, stands.digest).is_ok(), "who is heard of changes all the time");
    let manifest = office.deployment("D-1").plan.manifest;
    let validate = |office: &Office, shown| {
        let Approval { role, user, printed_name, meaning, reason, .. } =
            approval(manifest, "user-regulatory", Role::Regulatory);
        let (deployment, at, evidence) = (id("D-1"), office.now, Some(shown));
        let validation =
            Validation { deployment, phase: 0, manifest, evidence, role, user, printed_name, meaning, reason, at };
        Command::Validate { deployment: id("D-1"), validation: signed(&validation, &[23]) }
    };
    office.refuses("user-regulatory", validate(&office, Digest([9; 32])), "changed-meanwhile", "look at it again");
    office.give("user-regulatory", validate(&office, stands.digest));
}

/// A rejection is recorded with printed name, meaning and manifest, and of the manifest that was shown.
#[test]
fn p11_50a_a_rejection_says_who_what_and_why() {
    let mut office = Office::new();
    let manifest = release(23, FirmwareClass::Standard, 3);
    office.upload(&manifest);
    let reject = |shown| {
        let firmware = id("FW-23");
        Command::Reject { firmware, role: Role::Qa, reason: "test 7 fails".into(), shown }
    };
    office.refuses("user-qa", reject(Some(Digest([9; 32]))), "changed-meanwhile", "you were shown manifest");
    let held = signed(&manifest, &[10]).digest();
    office.give("user-qa", reject(Some(held)));
    let rejected = office.state.firmware[&id::<FirmwareId>("FW-23")].rejected.clone().expect("it says so");
    let meaning = format!("I reject FW-23 {} for {} as QA", manifest.version, manifest.model);
    assert_eq!((rejected.statement.meaning, rejected.statement.manifest), (meaning, held));
    assert!(!rejected.statement.printed_name.is_empty() && rejected.reason == "test 7 fails");
    assert_eq!(rejected.log_index as usize + 1, office.entries.len());
    // The record of an earlier version has no statement, and is read.
    let mut record = AuditRecord::from_bytes(office.entries.last().expect("one")).expect("own record");
    let event = record.event.as_mut().and_then(serde_json::Value::as_object_mut).expect("an event");
    assert!(event.remove("statement").is_some());
    office.state.apply(&record).expect("an earlier record");
    assert!(office.state.firmware[&id::<FirmwareId>("FW-23")].rejected.is_none());
}
