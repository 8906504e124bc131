//! Rosters and roots that change while releases collect approvals and deployments run (SEC-5).

use mdfm_shared::fixture::root;
use mdfm_shared::trust::{Approval, ApprovalPolicy, Freshness, RosterEntry};

use super::super::super::firmware::{Firmware, GivenApproval};
use super::*;

fn revoke(entry: usize, at: UtcMillis, log_size: u64) -> Roster {
    let mut changed = Roster { version: 2, ..roster() };
    changed.entries[entry].revoked = Some(Revocation { at, log_size });
    changed
}

fn publish(office: &mut Office, roster: &Roster) {
    office.give("admin", add_roster(signed(roster, &[11])));
}

/// Signs for the release in the name of another holder of the role.
fn sign(office: &mut Office, n: u64, name: &str, role: Role, key: u8) -> Result<(), Refusal> {
    let manifest = office.firmware(n).manifest.as_ref().expect("attached").digest;
    let approval = Approval { at: office.now, ..approval(manifest, name, role) };
    let command = Command::Approve { firmware: id(&format!("FW-{n}")), approval: signed(&approval, &[key]) };
    office.attempt(name, command)
}

impl Office {
    fn firmware(&self, n: u64) -> &Firmware {
        &self.state.firmware[&id::<FirmwareId>(&format!("FW-{n}"))]
    }
    fn resume(&mut self, name: &str) -> Result<(), Refusal> {
        self.attempt("operator", Command::Resume { deployment: id(name), reason: "approved again".into() })
    }
    fn is_paused_for(&self, name: &str, words: &str) -> bool {
        matches!(&self.deployment(name).status, Status::Paused { reason } if reason.contains(words))
    }
}

#[test]
fn sec_5_a_lost_approval_is_given_again_and_the_rollout_resumes() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.pass(1_000);
    publish(&mut office, &revoke(1, UtcMillis(0), 0));
    assert!(office.is_paused_for("D-1", "approval of FW-22 by user-qa as QA no longer counts: user-qa was revoked"));
    let held = office.firmware(22);
    assert_eq!(held.status, FirmwareStatus::PendingApproval);
    assert_eq!((held.approvals.len(), held.lost.len(), held.lost[0].role), (2, 1, Role::Qa));
    assert_eq!(office.resume("D-1").expect_err("QA is missing").code, "approval-lost");
    // The revoked person signs nothing any more, another in the role does.
    let refusal = sign(&mut office, 22, "user-qa", Role::Qa, 22).expect_err("revoked");
    assert_eq!(refusal.code, "approval-refused", "{refusal}");
    let reject = Command::Reject { firmware: id("FW-22"), role: Role::Qa, reason: "no".into(), shown: None };
    office.refuses("user-qa", reject, "not-on-roster", "no authority as QA");
    office.pass(1_000);
    let submission = Submission::new(person("user-three-roles"), {
        let manifest = office.firmware(22).manifest.as_ref().expect("attached").digest;
        let approval = Approval { at: office.now, ..approval(manifest, "user-three-roles", Role::Qa) };
        Command::Approve { firmware: id("FW-22"), approval: signed(&approval, &[24]) }
    });
    let round = office.desk.round(&mut office.state, office.now, &mut office.presence, &[submission]).expect("applies");
    assert_eq!(round.answers, [Ok(())]);
    let manifest = office.deployment("D-1").plan.manifest;
    assert!(round.outbound.contains(&Outbound::Release(manifest)), "gateways need the new evidence");
    assert_eq!(office.firmware(22).status, FirmwareStatus::Approved);
    assert!(office.firmware(22).lost.is_empty());
    office.resume("D-1").expect("complete again");
    assert_eq!(office.actions(1), ["install"; 2]);
    office.confirm(1..=4, "D-1", 22);
    for ms in [1_000, HOUR_MS, 1_000] {
        office.live(ms);
    }
    let phase = &office.deployment("D-1").phases[0].status;
    assert!(matches!(phase, PhaseStatus::AwaitingValidation { .. }), "its gate held: {phase:?}");
    assert_eq!(office.firmware(22).manifest.as_ref().expect("attached").manifest.release_number, 22, "not burned");
}

#[test]
fn sec_5_the_same_person_may_approve_again_under_another_key() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let mut changed = revoke(1, UtcMillis(0), 0);
    let now = office.now;
    changed.entries.push(RosterEntry {
        key: key(40).public(),
        valid_from: now,
        revoked: None,
        ..changed.entries[1].clone()
    });
    publish(&mut office, &changed);
    assert!(office.is_paused_for("D-1", "user-qa"));
    assert!(sign(&mut office, 22, "user-qa", Role::Qa, 22).is_err(), "the stolen key");
    sign(&mut office, 22, "user-qa", Role::Qa, 40).expect("the new key");
    office.resume("D-1").expect("complete again");
}

#[test]
fn sec_5_a_roster_that_only_adds_pauses_nothing() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let mut more = Roster { version: 2, ..roster() };
    let now = office.now;
    more.entries.push(RosterEntry {
        user: id("user-new"),
        printed_name: "user-new Printed".into(),
        roles: vec![Role::Qa],
        key: key(40).public(),
        valid_from: now,
        ..more.entries[0].clone()
    });
    more.freshness = Some(Freshness { issued_at: now, expires_at: now.plus_ms(90 * DAY_MS), withdrawals_version: 0 });
    let entries = office.entries.len();
    publish(&mut office, &more);
    assert_eq!(office.deployment("D-1").status, Status::Running);
    assert_eq!(office.firmware(22).status, FirmwareStatus::Approved);
    assert_eq!(office.entries.len(), entries + 1, "nothing but the roster is recorded");
    let record = AuditRecord::from_bytes(office.entries.last().expect("recorded")).expect("a record");
    assert!(record.reason.expect("what changed").contains("user-new (user-new Printed) may sign as QA"));
    let size = |view: &Option<serde_json::Value>| view.as_ref().expect("a view")["entries"].as_array().map(Vec::len);
    assert_eq!((size(&record.before), size(&record.after)), (Some(4), Some(5)));
}

#[test]
fn sec_5_an_approval_logged_before_the_revocation_stays() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let waiting = release(23, FirmwareClass::Standard, 3);
    office.upload(&waiting);
    office.pass(1_000);
    let (now, size) = (office.now, office.state.log_size);
    publish(&mut office, &revoke(1, now, size));
    assert_eq!(office.deployment("D-1").status, Status::Running);
    // Back-dated behind the revocation: its position in the log decides.
    let mut dated = approval(signed(&waiting, &[10]).digest(), "user-qa", Role::Qa);
    dated.at = UtcMillis(now.0 - 500);
    let command = Command::Approve { firmware: id("FW-23"), approval: signed(&dated, &[22]) };
    office.refuses("user-qa", command, "approval-refused", "was not valid");
    for (name, role, n) in [
        ("user-clinical", Role::Clinical, 21),
        ("user-three-roles", Role::Qa, 24),
        ("user-regulatory", Role::Regulatory, 23),
    ] {
        sign(&mut office, 23, name, role, n).expect("not revoked");
    }
    assert_eq!(office.firmware(23).status, FirmwareStatus::Approved);
}

#[test]
fn sec_5_a_roster_that_alters_the_past_is_refused_unless_accepted() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    // As the tool made them before: every entry begins a day ago, whenever it began.
    let mut fresh = Roster { version: 2, ..roster() };
    fresh.entries.iter_mut().for_each(|e| e.valid_from = UtcMillis(NOW.0 + 1));
    office.refuses("admin", add_roster(signed(&fresh, &[11])), "roster-alters-past", "user-clinical as Clinical");
    let mut dropped = Roster { version: 2, ..roster() };
    dropped.entries.remove(1);
    office.refuses("admin", add_roster(signed(&dropped, &[11])), "roster-alters-past", "the entry is dropped");
    assert_eq!(office.deployment("D-1").status, Status::Running, "nothing changed");
    let reason = Some("wrong person".to_owned());
    let forced = Command::AddRoster { roster: signed(&dropped, &[11]), accept_alterations: true, reason };
    office.give("admin", forced);
    assert!(office.is_paused_for("D-1", "user-qa is not on the roster as QA any more"));
    let kept = office.entries.iter().filter_map(|e| AuditRecord::from_bytes(e).ok());
    let record = kept.rev().find(|r| r.action == "trust.roster.add").expect("recorded");
    assert_eq!(record.reason.as_deref(), Some("wrong person: user-qa as QA: the entry is dropped"));
}

#[test]
fn sec_5_a_pending_release_takes_a_lost_approval_again() {
    let mut office = Office::new();
    office.upload(&release(23, FirmwareClass::Standard, 3));
    sign(&mut office, 23, "user-qa", Role::Qa, 22).expect("in time");
    publish(&mut office, &revoke(1, UtcMillis(0), 0));
    assert!(office.firmware(23).approvals.is_empty());
    sign(&mut office, 23, "user-three-roles", Role::Qa, 24).expect("instead");
    let changed = release(24, FirmwareClass::Standard, 3);
    office.upload(&changed);
}

#[test]
fn sec_5_emergency_approvals_are_all_given_again() {
    let mut office = Office::new();
    office.release(50, FirmwareClass::Emergency, 3);
    office.pass(DAY_MS);
    publish(&mut office, &revoke(0, UtcMillis(0), 0));
    assert!(office.firmware(50).approvals.is_empty(), "they must lie within one window");
    sign(&mut office, 50, "user-regulatory", Role::Regulatory, 23).expect("again");
    sign(&mut office, 50, "user-three-roles", Role::Clinical, 24).expect("another");
    assert_eq!(office.firmware(50).status, FirmwareStatus::Approved);
}

#[test]
fn sec_5_a_root_that_demands_more_asks_for_what_is_missing() {
    let mut office = Office::new();
    office.release(50, FirmwareClass::Emergency, 3);
    let mut next = root(2);
    next.approvals = ApprovalPolicy { emergency: Role::ALL.to_vec(), ..ApprovalPolicy::seed() };
    office.give("admin", Command::AddTrustRoot { root: signed(&next, &[1, 2]) });
    assert_eq!(office.firmware(50).status, FirmwareStatus::PendingApproval);
    assert_eq!(office.firmware(22).status, FirmwareStatus::Approved);
    sign(&mut office, 50, "user-qa", Role::Qa, 22).expect("now needed");
    assert_eq!(office.firmware(50).status, FirmwareStatus::Approved);
}

#[test]
fn sec_5_a_root_of_another_registrar_voids_the_roster_aloud() {
    let mut office = Office::new();
    let mut next = root(2);
    next.registrar.keys = vec![key(77).public()];
    office.give("admin", Command::AddTrustRoot { root: signed(&next, &[1, 2]) });
    let refusal = office.deploy("D-1", &all(22, "")).expect_err("agents have no roster");
    assert_eq!(refusal.code, "trust-not-fresh", "{refusal}");
    assert!(refusal.detail.contains("does not hold under the newest trust root"), "{refusal}");
    office.pass(1_000);
    let warned = office.entries.iter().filter(|e| String::from_utf8_lossy(e).contains("\"rosterVoid\"")).count();
    assert_eq!(warned, 1, "people hear of it once");
    let next = Roster { version: 2, ..roster() };
    office.give("admin", add_roster(signed(&next, &[77])));
    office.deploy("D-1", &all(22, "")).expect("the new registrar has signed");
}

#[test]
fn sec_5_an_ended_authority_signs_nothing_whatever_the_date() {
    let mut office = Office::new();
    let manifest = release(30, FirmwareClass::Standard, 3);
    office.upload(&manifest);
    office.pass(60_000);
    // The key of the QA person is replaced: the entry with the old one ends now.
    let mut next = Roster { version: 2, ..roster() };
    let old = next.entries[1].clone();
    next.entries[1].valid_until = office.now;
    next.entries.push(RosterEntry { key: key(88).public(), valid_from: office.now, ..old });
    publish(&mut office, &next);
    office.pass(10_000);
    let before_the_end = UtcMillis(office.now.0 - 30_000);
    let digest = office.firmware(30).manifest.as_ref().expect("attached").digest;
    let approval = Approval { at: before_the_end, ..approval(digest, "user-qa", Role::Qa) };
    let back_dated = Command::Approve { firmware: id("FW-30"), approval: signed(&approval, &[22]) };
    office.refuses("user-qa", back_dated, "authority-ended", "whatever its date");
    sign(&mut office, 30, "user-qa", Role::Qa, 88).expect("the new key signs");
}

#[test]
fn sec_5_no_other_manifest_while_a_deployment_brings_the_old_one() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    publish(&mut office, &revoke(1, UtcMillis(0), 0));
    let mut manifest = release(22, FirmwareClass::Standard, 3);
    manifest.health.probation_ms += 1;
    let attach = Command::AttachManifest { firmware: id("FW-22"), manifest: signed(&manifest, &[10]) };
    office.refuses(SUBMITTER, attach, "firmware-in-deployment", "deployment D-1 brings the manifest");
    // The time for approvals runs out: the same manifest is put forward again.
    office.live(31 * DAY_MS);
    assert_eq!(office.firmware(22).status, FirmwareStatus::ApprovalExpired);
    assert_eq!(office.resume("D-1").expect_err("not approved").code, "approval-lost");
    let manifest = release(22, FirmwareClass::Standard, 3);
    let attach = Command::AttachManifest { firmware: id("FW-22"), manifest: signed(&manifest, &[10]) };
    office.give(SUBMITTER, attach);
    office.give("operator", sbom(id("FW-22")));
    for (name, role, n) in [
        ("user-clinical", Role::Clinical, 21),
        ("user-three-roles", Role::Qa, 24),
        ("user-regulatory", Role::Regulatory, 23),
    ] {
        sign(&mut office, 22, name, role, n).expect("again");
    }
    office.resume("D-1").expect("complete again");
}

#[test]
fn sec_5_a_log_with_lost_approvals_replays_and_recovers() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    publish(&mut office, &revoke(1, UtcMillis(0), 0));
    let mut replayed = State::default();
    for entry in &office.entries {
        replayed.apply(&AuditRecord::from_bytes(entry).expect("a record")).expect("applies");
    }
    assert_eq!(replayed.firmware, office.state.firmware);
    let snapshot = State::from_snapshot(&office.state.to_snapshot().expect("JSON")).expect("a state");
    assert_eq!(snapshot.firmware, office.state.firmware);
    // A log of an older coordinator, which paused the deployment and left the release approved.
    let held = office.state.firmware.get_mut(&id::<FirmwareId>("FW-22")).expect("known");
    let lost = held.lost.remove(0);
    held.status = FirmwareStatus::Approved;
    let given = held.approvals[&Role::Clinical].clone();
    held.approvals.insert(
        Role::Qa,
        GivenApproval {
            user: lost.user,
            printed_name: lost.printed_name,
            at: lost.at,
            log_index: lost.log_index,
            signatures: Vec::new(),
            ..given
        },
    );
    office.desk = Desk::new(key(12), 60_000, office.now);
    office.pass(1);
    assert_eq!(office.firmware(22).status, FirmwareStatus::PendingApproval);
    sign(&mut office, 22, "user-three-roles", Role::Qa, 24).expect("instead");
    office.resume("D-1").expect("complete again");
}
