//! The core through its front: commands in, records out. Documents of every bad kind are refused by name, change nothing, and
//! are followed by a good one.

use mdfm_shared::fixture::{NOW, SUBMITTER, approval, key, manifest, roster, signed, signed_root};
use mdfm_shared::record::{ActorKind, AuditRecord, Outcome};
use mdfm_shared::sign::Signed;
use mdfm_shared::telemetry::{Event as Reported, EventKind, InstallState, Severity, TelemetryBatch};
use mdfm_shared::trust::Revocation;

use super::rollout::Status;
use super::*;
use crate::people::accounts_of;

const GATEWAY_KEY: u8 = 50;

/// A coordinator without a disk.
struct Desk {
    state: State,
    now: UtcMillis,
    records: Vec<AuditRecord>,
}

fn user(id: &str) -> Actor {
    Actor { kind: ActorKind::User, id: id.into(), roles: vec![] }
}
fn add_roster(roster: Signed<Roster>) -> Command {
    Command::AddRoster { roster, accept_alterations: true, reason: None }
}
fn firmware() -> FirmwareId {
    "FW-1".parse().expect("a good id")
}
fn gateway() -> GatewayId {
    "GW-1".parse().expect("a good id")
}
fn device() -> DeviceId {
    "DEV-1".parse().expect("a good id")
}

impl Desk {
    /// Trust documents are published; a release with its image waits for the manifest.
    fn new() -> Self {
        Self::uploaded_by("user-uploader")
    }

    fn uploaded_by(uploader: &str) -> Self {
        let mut desk = Self { state: State::default(), now: NOW, records: Vec::new() };
        desk.give("admin", Command::AddTrustRoot { root: signed_root() });
        for account in accounts_of(&roster().entries) {
            desk.give("admin", account);
        }
        desk.give("admin", add_roster(signed(&roster(), &[11])));
        let create = Command::CreateFirmware {
            firmware: firmware(),
            version: manifest().version,
            model: manifest().model,
            release_notes: String::new(),
        };
        desk.give(uploader, create);
        let (sha256, size_bytes) = (manifest().sha256, manifest().size_bytes());
        desk.give(uploader, Command::StoreImage { firmware: firmware(), sha256, size_bytes });
        desk
    }

    /// As [`Self::new`], with the manifest attached.
    fn with_manifest() -> Self {
        let mut desk = Self::new();
        desk.give(SUBMITTER, attach(signed(&manifest(), &[10])));
        desk
    }

    /// As [`Self::with_manifest`], approved, with a fleet.
    fn with_fleet() -> Self {
        let mut desk = Self::with_manifest();
        for (name, role, n) in APPROVERS {
            desk.give(name, approve(name, role, n));
        }
        desk.add_fleet();
        desk
    }

    /// One hospital, an enrolled gateway and a device.
    fn add_fleet(&mut self) {
        let hospital: HospitalId = "HOSP-1".parse().expect("a good id");
        let register =
            Command::RegisterHospital { hospital: hospital.clone(), name: "One".into(), cohort: None, timezone: None };
        self.give("operator", register);
        self.give("operator", Command::RegisterGateway { gateway: gateway(), hospital: hospital.clone() });
        self.enrol();
        self.give(
            "operator",
            Command::RegisterDevice(fleet::NewDevice {
                hardware: None,
                device: device(),
                model: manifest().model,
                serial: "SN-1".into(),
                udi: None,
                hospital,
                gateway: None,
                firmware_version: "2.1.0".into(),
            }),
        );
    }

    fn enrol(&mut self) {
        let secret_sha256 = Digest([9; 32]);
        let expires_at = self.now.plus_ms(1_000);
        self.give("operator", Command::IssueToken { gateway: gateway(), secret_sha256, expires_at, replaces: true });
        self.give("GW-1", enrolment(secret_sha256));
    }

    /// Gives a command as the runner does; its records are kept.
    fn attempt(&mut self, actor: &str, command: Command) -> Result<(), Refusal> {
        let actor = user(actor);
        for proposal in decide(&self.state, self.now, &actor, &command)? {
            self.record(&actor, proposal);
        }
        for _ in 0..100 {
            let follow = rollout::step::step(&self.state, self.now);
            if follow.is_empty() {
                break;
            }
            for proposal in follow {
                self.record(&user("coordinator"), proposal);
            }
        }
        Ok(())
    }

    fn record(&mut self, actor: &Actor, proposal: Proposal) {
        let record = AuditRecord {
            reason: proposal.reason,
            event: Some(serde_json::to_value(&proposal.event).expect("events encode")),
            document: proposal.document,
            ..AuditRecord::new(self.now, actor, proposal.action, &proposal.object, Outcome::Accepted)
        };
        self.state.apply(&record).expect("what was decided applies");
        self.records.push(record);
    }

    fn give(&mut self, actor: &str, command: Command) {
        self.attempt(actor, command).expect("must be accepted");
    }

    /// The command is refused with this code and these words, and nothing moves.
    fn refuses(&mut self, actor: &str, command: Command, code: &str, words: &str) {
        let before = serde_json::to_value(&self.state).expect("state encodes");
        let refusal = self.attempt(actor, command).expect_err("must be refused");
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.detail.contains(words), "{refusal}");
        assert_eq!(serde_json::to_value(&self.state).expect("state encodes"), before, "a refusal changes nothing");
    }

    fn firmware(&self) -> &firmware::Firmware {
        self.state.firmware.get(&firmware()).expect("created")
    }

    fn deploy(&mut self) -> Result<(), Refusal> {
        self.attempt("operator", deploy_as("D-1", ONE_PHASE))
    }

    fn deployment(&self) -> &rollout::Deployment {
        self.state.deployments.values().next().expect("created")
    }
}

const APPROVERS: [(&str, Role, u8); 3] =
    [("user-clinical", Role::Clinical, 21), ("user-qa", Role::Qa, 22), ("user-regulatory", Role::Regulatory, 23)];

/// Everybody at once.
const ONE_PHASE: &str = r#"{ "firmwareId": "FW-1", "strategy": "Progressive", "phases": [
    { "name": "All", "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 1, "monitoringDuration": "PT0S",
      "validationRole": "Clinical" } ] }"#;

fn request(json: &str) -> DeploymentRequest {
    let json: rollout::request::DeploymentJson = serde_json::from_str(json).expect("JSON");
    json.parse(None).expect("a good request")
}

fn deploy_as(id: &str, json: &str) -> Command {
    Command::CreateDeployment { deployment: id.parse().expect("a good id"), request: Box::new(request(json)) }
}

fn attach(manifest: Signed<Manifest>) -> Command {
    Command::AttachManifest { firmware: firmware(), manifest }
}

fn digest() -> Digest {
    signed(&manifest(), &[10]).digest()
}

fn approve(name: &str, role: Role, n: u8) -> Command {
    Command::Approve { firmware: firmware(), approval: signed(&approval(digest(), name, role), &[n]) }
}

fn enrolment(secret_sha256: Digest) -> Command {
    let telemetry_key = key(GATEWAY_KEY).public();
    Command::Enrol { gateway: gateway(), secret_sha256, telemetry_key, certificate_sha256: Digest([8; 32]) }
}

fn state_changed(state: InstallState) -> EventKind {
    let deployment = "D-1".parse().expect("a good id");
    EventKind::StateChanged { state, manifest: digest(), deployment, running: None, detail: String::new() }
}

fn batch(sequence: u64, previous: Digest, kinds: Vec<EventKind>) -> TelemetryBatch {
    let events = kinds.into_iter().map(|kind| Reported { device: Some(device()), at: NOW, kind });
    TelemetryBatch { gateway: gateway(), epoch: 1, sequence, previous, events: events.collect() }
}

fn telemetry(batch: &TelemetryBatch, n: u8) -> Command {
    Command::Telemetry { gateway: gateway(), batch: signed(batch, &[n]).into() }
}

#[test]
fn seed_appr_three_people_approve_a_release_and_each_step_is_one_record() {
    let mut desk = Desk::with_manifest();
    let before = desk.records.len();
    for (name, role, n) in APPROVERS {
        desk.give(name, approve(name, role, n));
    }
    assert_eq!(desk.firmware().status, firmware::FirmwareStatus::Approved);
    let actions: Vec<&str> = desk.records[before..].iter().map(|r| r.action.as_str()).collect();
    assert_eq!(actions, ["firmware.approve", "firmware.approve", "firmware.approve", "firmware.approved"]);
    assert!(desk.records[before..before + 3].iter().all(|r| r.document.is_some() && r.reason.is_some()));
}

#[test]
fn sign_bad_manifests_are_refused_and_a_good_one_is_still_taken() {
    let mut desk = Desk::new();
    for keys in [vec![], vec![11], vec![12], vec![1, 2]] {
        desk.refuses(SUBMITTER, attach(signed(&manifest(), &keys)), "manifest-signature", "needs 1 signature");
    }
    let spoiled = |spoil: fn(&mut Manifest)| {
        let mut manifest = manifest();
        spoil(&mut manifest);
        attach(signed(&manifest, &[10]))
    };
    for (spoil, code, words) in [
        (
            (|m: &mut Manifest| {
                m.sha256 = Digest([1; 32]);
                m.components[0].sha256 = Digest([1; 32]);
            }) as fn(&mut Manifest),
            "digest-mismatch",
            "SHA-256",
        ),
        (|m| m.components[0].size_bytes = 11, "invalid-field", "size"),
        (|m| m.model = "InfusionPump-7".into(), "invalid-field", "model"),
        (|m| m.version = "9.9.9".into(), "invalid-field", "version"),
        (|m| m.firmware_id = "FW-2".parse().expect("a good id"), "invalid-field", "firmwareId"),
        (|m| m.release_number = 0, "manifest-field", "releaseNumber"),
    ] {
        desk.refuses(SUBMITTER, spoiled(spoil), code, words);
    }
    desk.give(SUBMITTER, attach(signed(&manifest(), &[10])));
    desk.refuses(SUBMITTER, attach(signed(&manifest(), &[10])), "wrong-step", "awaiting approvals");
}

#[test]
fn p11_70_bad_approvals_are_refused_and_good_ones_still_taken() {
    let mut desk = Desk::with_manifest();
    let (name, role, n) = APPROVERS[0];
    let given =
        |approval: &Approval, n: u8| Command::Approve { firmware: firmware(), approval: signed(approval, &[n]) };
    let good = approval(digest(), name, role);
    desk.refuses(name, given(&good, 22), "approval-refused", "needs 1 signature");
    let unsigned = Command::Approve { firmware: firmware(), approval: signed(&good, &[]) };
    desk.refuses(name, unsigned, "approval-refused", "needs 1 signature");
    let other = Approval { manifest: Digest([1; 32]), ..good.clone() };
    desk.refuses(name, given(&other, n), "approval-refused", "is for manifest");
    let role_not_held = Approval { role: Role::Qa, ..good.clone() };
    desk.refuses(name, given(&role_not_held, n), "approval-refused", "not on the roster as QA");
    let misprinted = Approval { printed_name: "Somebody Else".into(), ..good.clone() };
    desk.refuses(name, given(&misprinted, n), "approval-refused", "prints the name");
    let future = Approval { at: NOW.plus_ms(3_600_000), ..good.clone() };
    desk.refuses(name, given(&future, n), "approval-refused", "in the future");
    desk.refuses("user-qa", given(&good, n), "not-the-signer", "nobody signs for another");
    desk.give(name, given(&good, n));
    desk.refuses(name, given(&good, n), "already-approved", "given by user-clinical already");
    for (name, role, n) in &APPROVERS[1..] {
        desk.give(name, approve(name, *role, *n));
    }
    desk.refuses(name, given(&good, n), "wrong-step", "approved");
}

#[test]
fn p11_10g_nobody_approves_their_own_upload_or_in_two_roles() {
    for (uploader, submitter) in [("user-clinical", SUBMITTER), ("user-uploader", "user-clinical")] {
        let mut desk = Desk::uploaded_by(uploader);
        desk.give(submitter, attach(signed(&manifest(), &[10])));
        let command = approve("user-clinical", Role::Clinical, 21);
        desk.refuses("user-clinical", command, "approval-refused", "submitted this");
        // Someone else in that role may.
        desk.give("user-three-roles", approve("user-three-roles", Role::Clinical, 24));
        let second = approve("user-three-roles", Role::Qa, 24);
        desk.refuses("user-three-roles", second, "approval-refused", "different person");
    }
}

#[test]
fn p11_200_expired_and_revoked_approvers_do_not_count() {
    let mut desk = Desk::with_manifest();
    let mut changed = roster();
    changed.version = 2;
    changed.entries[0].valid_until = NOW;
    changed.entries[1].revoked = Some(Revocation { at: NOW.plus_ms(1), log_size: desk.state.log_size });
    desk.give("admin", add_roster(signed(&changed, &[11])));
    for (name, role, n) in &APPROVERS[..2] {
        desk.refuses(name, approve(name, *role, *n), "approval-refused", "was not valid");
    }
    desk.give("user-regulatory", approve("user-regulatory", Role::Regulatory, 23));
    desk.refuses("admin", add_roster(signed(&changed, &[11])), "roster-refused", "not above");
}

#[test]
fn a_rejection_is_final_and_needs_role_and_reason() {
    let mut desk = Desk::with_manifest();
    let reject =
        |role, reason: &str| Command::Reject { firmware: firmware(), role, reason: reason.into(), shown: None };
    desk.refuses("user-qa", reject(Role::Clinical, "no"), "not-on-roster", "as Clinical");
    desk.refuses("user-qa", reject(Role::Qa, "  "), "invalid-field", "reason");
    desk.give("user-qa", reject(Role::Qa, "test 12 failed"));
    desk.refuses("user-clinical", approve("user-clinical", Role::Clinical, 21), "wrong-step", "rejected");
}

#[test]
fn att_1_firmware_with_two_of_three_approvals_is_not_deployed() {
    let mut desk = Desk::with_manifest();
    desk.add_fleet();
    for (name, role, n) in APPROVERS {
        assert_eq!(desk.deploy().expect_err("approvals are missing").code, "not-approved");
        desk.give(name, approve(name, role, n));
    }
    desk.deploy().expect("approved by all three");
}

#[test]
fn p11_10h_an_enrolment_token_works_once_in_its_time() {
    let mut desk = Desk::with_fleet();
    desk.refuses("GW-1", enrolment(Digest([9; 32])), "enrolment-refused", "used or expired");
    let secret_sha256 = Digest([10; 32]);
    let expires_at = desk.now.plus_ms(1_000);
    desk.give("operator", Command::IssueToken { gateway: gateway(), secret_sha256, expires_at, replaces: true });
    desk.refuses("GW-1", enrolment(Digest([11; 32])), "enrolment-refused", "unknown");
    desk.now = expires_at;
    desk.refuses("GW-1", enrolment(secret_sha256), "enrolment-refused", "expired");
    desk.enrol();
    assert_eq!(desk.state.gateways[&gateway()].chain.epoch, 2, "a new enrolment is a new chain");
    desk.give("operator", Command::RevokeGateway { gateway: gateway(), reason: "stolen".into() });
    let again =
        Command::IssueToken { gateway: gateway(), secret_sha256, expires_at: desk.now.plus_ms(9), replaces: true };
    desk.refuses("operator", again, "gateway-revoked", "permanently");
    desk.refuses("GW-1", telemetry(&batch(1, Digest([0; 32]), vec![]), GATEWAY_KEY), "gateway-revoked", "revoked");
}

#[test]
fn att_11_forged_replayed_forked_and_gapped_telemetry_is_refused() {
    let mut desk = Desk::with_fleet();
    desk.deploy().expect("approved");
    let first = batch(1, Digest([0; 32]), vec![state_changed(InstallState::Fetching)]);
    desk.refuses("GW-1", telemetry(&first, 51), "telemetry-signature", "needs 1 signature");
    let foreign = TelemetryBatch { gateway: "GW-2".parse().expect("a good id"), ..first.clone() };
    desk.refuses("GW-1", telemetry(&foreign, GATEWAY_KEY), "foreign-gateway", "signed as GW-2");
    let flood = batch(1, Digest([0; 32]), vec![state_changed(InstallState::Fetching); 33]);
    desk.refuses("GW-1", telemetry(&flood, GATEWAY_KEY), "telemetry-size", "33 events");
    let ahead = batch(2, Digest([0; 32]), vec![state_changed(InstallState::Fetching)]);
    desk.refuses("GW-1", telemetry(&ahead, GATEWAY_KEY), telemetry::GAP, "next is 1.1");
    let new_epoch = TelemetryBatch { epoch: 2, sequence: 2, ..first.clone() };
    desk.refuses("GW-1", telemetry(&new_epoch, GATEWAY_KEY), telemetry::GAP, "next is 1.1");

    desk.give("GW-1", telemetry(&first, GATEWAY_KEY));
    assert_eq!(desk.state.devices[&device()].install.as_ref().map(|i| i.state), Some(InstallState::Fetching));
    desk.refuses("GW-1", telemetry(&first, GATEWAY_KEY), telemetry::ALREADY_COMMITTED, "before");
    let fork = batch(1, Digest([0; 32]), vec![state_changed(InstallState::Staged)]);
    desk.refuses("GW-1", telemetry(&fork, GATEWAY_KEY), "telemetry-fork", "differs from the one");
    let unchained = batch(2, Digest([1; 32]), vec![state_changed(InstallState::Staged)]);
    desk.refuses("GW-1", telemetry(&unchained, GATEWAY_KEY), "telemetry-fork", "does not chain");
    let next = batch(2, signed(&first, &[GATEWAY_KEY]).digest(), vec![state_changed(InstallState::Staged)]);
    desk.give("GW-1", telemetry(&next, GATEWAY_KEY));
    assert_eq!(desk.state.devices[&device()].install.as_ref().map(|i| i.state), Some(InstallState::Staged));
}

#[test]
fn p11_10h_a_report_about_another_gateways_device_moves_nothing() {
    let mut desk = Desk::with_fleet();
    let other: HospitalId = "HOSP-2".parse().expect("a good id");
    let register =
        Command::RegisterHospital { hospital: other.clone(), name: "Two".into(), cohort: None, timezone: None };
    desk.give("operator", register);
    desk.state.devices.get_mut(&device()).expect("registered").hospital = other;
    let lie = batch(1, Digest([0; 32]), vec![state_changed(InstallState::Confirmed)]);
    desk.give("GW-1", telemetry(&lie, GATEWAY_KEY));
    assert_eq!(desk.state.devices[&device()].install, None, "kept in the log, believed by nobody");
}

#[test]
fn seed_mon_a_reported_error_reaches_the_engine_with_its_batch() {
    let mut desk = Desk::with_fleet();
    desk.deploy().expect("approved");
    assert!(desk.deployment().is_open(0));
    let error = EventKind::DeviceError { severity: Severity::Critical, code: "E-1".into(), message: "x".into() };
    let events = vec![state_changed(InstallState::Probation), error];
    desk.give("GW-1", telemetry(&batch(1, Digest([0; 32]), events), GATEWAY_KEY));
    assert!(matches!(&desk.deployment().status, Status::RollingBack { reason } if reason.contains("E-1")));
}

#[test]
fn a_device_takes_part_in_one_active_deployment() {
    let mut desk = Desk::with_fleet();
    desk.deploy().expect("approved");
    desk.refuses(
        "operator",
        deploy_as("D-2", ONE_PHASE),
        "deployment-conflict",
        "DEV-1 is part of the active deployment D-1",
    );
}

#[test]
fn p11_10a_replaying_the_records_gives_the_same_state() {
    let mut desk = Desk::with_fleet();
    desk.deploy().expect("approved");
    let first = batch(1, Digest([0; 32]), vec![state_changed(InstallState::Confirmed)]);
    desk.give("GW-1", telemetry(&first, GATEWAY_KEY));
    let mut again = State::default();
    for record in &desk.records {
        let bytes = record.to_bytes();
        again.apply(&AuditRecord::from_bytes(&bytes).expect("own record")).expect("replays");
    }
    let value = |state: &State| serde_json::to_value(state).expect("state encodes");
    assert_eq!(value(&again), value(&desk.state));
}

/// P11-300b: a renewed certificate takes the place of the old, which is let in a week longer, so that a power cut locks nobody out; a
/// revoked gateway gets none.
#[test]
fn p11_300b_certificates_are_renewed_and_the_old_one_ends() {
    let mut desk = Desk::with_fleet();
    let renew = |from: u8, to: u8| Command::RenewCertificate {
        gateway: gateway(),
        presented: Digest([from; 32]),
        certificate_sha256: Digest([to; 32]),
    };
    let admits = |desk: &Desk, n: u8, at: UtcMillis| {
        let held = desk.state.gateways[&gateway()].credentials.clone();
        held.is_some_and(|c| c.admits(Digest([n; 32]), at))
    };
    assert!(admits(&desk, 8, NOW) && !admits(&desk, 9, NOW));
    desk.give("x", renew(8, 9));
    assert!(admits(&desk, 9, NOW) && admits(&desk, 8, NOW.plus_ms(6 * 86_400_000)));
    assert!(!admits(&desk, 8, NOW.plus_ms(8 * 86_400_000)), "a week later only the new one");
    desk.refuses("x", renew(9, 10), "renewed-lately", "half an hour");
    desk.refuses("x", renew(77, 10), "not-enrolled", "with this certificate");
    // The answer was lost: the gateway asks with the old one again, and is not locked out by losing the next answer too.
    desk.now = desk.now.plus_ms(3_600_000);
    desk.give("x", renew(8, 10));
    assert!(admits(&desk, 8, desk.now) && admits(&desk, 10, desk.now) && !admits(&desk, 9, desk.now));
    desk.give("operator", Command::RevokeGateway { gateway: gateway(), reason: "stolen".into() });
    assert!(!admits(&desk, 10, NOW));
    desk.refuses("x", renew(10, 11), "not-enrolled", "revoked");
}
