//! Attacks on a release's evidence, each by what the attacker holds; the log key alone never helps.

use super::super::root::tests::{key, trusted};
use super::super::{Revocation, RosterEntry};
use super::*;
use crate::id::FirmwareId;
use crate::manifest::{Component, HealthPolicy};
use crate::record::{Actor, ActorKind, document_text};
use crate::sign::{Document, SecretKey};
use crate::tlog::{NoteSigner, Tree};

const NOW: UtcMillis = UtcMillis(1_700_000_000_000);

fn manifest() -> Manifest {
    Manifest {
        firmware_id: "FW-1".parse::<FirmwareId>().expect("good id"),
        model: "CardiacMonitor-X200".into(),
        hardware_revisions: vec!["B".into()],
        version: "2.2.0".into(),
        release_number: 22,
        security_version: 3,
        class: FirmwareClass::Standard,
        components: vec![Component {
            name: "main".into(),
            sha256: Digest([7; 32]),
            size_bytes: 10,
            deltas: Vec::new(),
        }],
        minimum_release: 0,
        health: HealthPolicy { probation_ms: 1_000, error_budget: 0, silence_limit_ms: 1_000 },
        extra_approvals: Vec::new(),
        sbom_sha256: None,
    }
}

/// The Clinical user (key 21) is Clinical, the QA user (22) QA, the Regulatory user (23) Regulatory, one user (24) holds all three roles.
fn roster() -> Roster {
    let entry = |user: &str, n: u8, roles: &[Role]| RosterEntry {
        user: user.parse().expect("good id"),
        printed_name: format!("{user} Printed"),
        roles: roles.to_vec(),
        key: key(n).public(),
        valid_from: UtcMillis(0),
        valid_until: UtcMillis(u64::MAX),
        revoked: None,
    };
    Roster {
        version: 1,
        entries: vec![
            entry("user-clinical", 21, &[Role::Clinical]),
            entry("user-qa", 22, &[Role::Qa]),
            entry("user-regulatory", 23, &[Role::Regulatory]),
            entry("user-three-roles", 24, &Role::ALL),
        ],
    }
}

fn approval(manifest: Digest, user: &str, role: Role) -> Approval {
    Approval {
        manifest,
        role,
        user: user.parse().expect("good id"),
        printed_name: format!("{user} Printed"),
        meaning: format!("I approve as {role}"),
        reason: "tested".into(),
        at: NOW,
    }
}

fn record<T: Document>(actor: &str, document: &Signed<T>, outcome: Outcome) -> Vec<u8> {
    AuditRecord {
        v: 1,
        at: NOW.to_string(),
        at_ms: NOW.0,
        actor: Actor { kind: ActorKind::User, id: actor.into(), roles: vec![] },
        action: "test".into(),
        object: "firmware/FW-1".into(),
        outcome,
        component: "coordinator".into(),
        address: None,
        reason: None,
        before: None,
        after: None,
        event: None,
        document: Some(document_text(document)),
    }
    .to_bytes()
}

/// Puts entries into a log after three others and proves each.
fn evidence(manifest_entry: Vec<u8>, approval_entries: Vec<Vec<u8>>) -> ReleaseEvidence {
    let mut tree = Tree::default();
    (0..3).for_each(|i| tree.push(&[i]));
    let entries: Vec<Vec<u8>> = std::iter::once(manifest_entry).chain(approval_entries).collect();
    entries.iter().for_each(|e| tree.push(e));
    let signer = NoteSigner::new("log.example", key(13)).expect("good name");
    let checkpoint = Checkpoint { origin: "log.example".into(), size: tree.size(), root: tree.root() };
    let mut logged = entries.into_iter().enumerate().map(|(i, bytes)| {
        let index = i as u64 + 3;
        LoggedRecord { index, bytes, proof: tree.inclusion(index, tree.size()).expect("in the tree") }
    });
    ReleaseEvidence {
        checkpoint: checkpoint.sign(&signer).expect("good checkpoint"),
        manifest: logged.next().expect("the manifest"),
        approvals: logged.collect(),
    }
}

struct Case {
    manifest: Manifest,
    manifest_keys: Vec<SecretKey>,
    submitter: &'static str,
    roster: Roster,
    approvals: Vec<(Approval, SecretKey)>,
}

impl Case {
    fn good() -> Self {
        let digest = Signed::sign(&manifest(), &[]).expect("small").digest();
        let by = |user, role, n| (approval(digest, user, role), key(n));
        Self {
            manifest: manifest(),
            manifest_keys: vec![key(10)],
            submitter: "user-submitter",
            roster: roster(),
            approvals: vec![
                by("user-clinical", Role::Clinical, 21),
                by("user-qa", Role::Qa, 22),
                by("user-regulatory", Role::Regulatory, 23),
            ],
        }
    }
    fn evidence(&self) -> (Digest, ReleaseEvidence) {
        let signed = Signed::sign(&self.manifest, &self.manifest_keys.iter().collect::<Vec<_>>()).expect("small");
        let approvals = self.approvals.iter().map(|(approval, key)| {
            let signed = Signed::sign(approval, &[key]).expect("small");
            record(approval.user.as_str(), &signed, Outcome::Accepted)
        });
        let entries = approvals.collect();
        (signed.digest(), evidence(record(self.submitter, &signed, Outcome::Accepted), entries))
    }
    fn verify(&self) -> Result<ApprovedRelease, ReleaseError> {
        let (digest, evidence) = self.evidence();
        evidence.verify(digest, &trusted(), &self.roster)
    }
}

#[test]
fn three_approvals_by_three_people_release_a_manifest() {
    let release = Case::good().verify().expect("approved");
    assert_eq!(**release.manifest(), manifest());
    assert_eq!(release.checkpoint().size, 7);
}

#[test]
fn att_1_two_of_three_approvals_are_not_enough() {
    for left_out in 0..3 {
        let mut case = Case::good();
        let (approval, _) = case.approvals.remove(left_out);
        let missing = BTreeSet::from([approval.role]);
        assert_eq!(case.verify().err(), Some(ReleaseError::MissingApprovals(missing)));
    }
}

#[test]
fn att_1_coordinator_or_root_keys_cannot_release() {
    for keys in [vec![], vec![key(12)], vec![key(1), key(2)], vec![key(11), key(13)]] {
        let case = Case { manifest_keys: keys, ..Case::good() };
        assert!(matches!(case.verify(), Err(ReleaseError::Manifest(SignError::Threshold { .. }))));
    }
}

#[test]
fn p11_10g_one_person_cannot_fill_two_roles() {
    let mut case = Case::good();
    let digest = case.approvals[0].0.manifest;
    case.approvals[0] = (approval(digest, "user-three-roles", Role::Clinical), key(24));
    case.approvals[1] = (approval(digest, "user-three-roles", Role::Qa), key(24));
    assert_eq!(case.verify().err(), Some(ReleaseError::SamePerson("user-three-roles".parse().expect("good id"))));
}

#[test]
fn p11_10g_the_submitter_cannot_approve() {
    let case = Case { submitter: "user-clinical", ..Case::good() };
    assert!(matches!(case.verify(), Err(ReleaseError::Approval(ApprovalError::SelfApproval(_)))));
}

#[test]
fn att_4_approvals_of_another_manifest_do_not_count() {
    let mut case = Case::good();
    case.approvals[2].0.manifest = Digest([9; 32]);
    assert!(matches!(case.verify(), Err(ReleaseError::Approval(ApprovalError::OtherManifest { .. }))));
}

#[test]
fn p11_70_a_signature_by_another_key_or_with_altered_fields_does_not_count() {
    let mut case = Case::good();
    case.approvals[0].1 = key(22);
    assert!(case.verify().is_err(), "user-qa's key under user-clinical's name");
    let mut case = Case::good();
    case.approvals[0].0.role = Role::Qa;
    assert!(matches!(case.verify(), Err(ReleaseError::Approval(ApprovalError::NotOnRoster { .. }))));
    let mut case = Case::good();
    case.approvals[0].0.printed_name = "Somebody Else".into();
    assert!(matches!(case.verify(), Err(ReleaseError::Approval(ApprovalError::PrintedName { .. }))));
}

#[test]
fn att_9_a_removed_approver_cannot_back_date() {
    let mut case = Case::good();
    // Revoked after the date on the approval, but the log already had 4 entries: the approval is entry 4.
    case.roster.entries[0].revoked = Some(Revocation { at: UtcMillis(NOW.0 + 1), log_size: 4 });
    assert!(matches!(case.verify(), Err(ReleaseError::Approval(ApprovalError::NotValidThen { .. }))));
    case.roster.entries[0].revoked = Some(Revocation { at: UtcMillis(NOW.0 + 1), log_size: 5 });
    assert!(case.verify().is_ok(), "signed and logged before the revocation");
    case.roster.entries[0].revoked = Some(Revocation { at: NOW, log_size: 5 });
    assert!(case.verify().is_err(), "dated at the revocation");
}

#[test]
fn p11_200_approvals_outside_the_persons_validity_do_not_count() {
    let mut case = Case::good();
    case.roster.entries[1].valid_until = NOW;
    assert!(matches!(case.verify(), Err(ReleaseError::Approval(ApprovalError::NotValidThen { .. }))));
    let mut case = Case::good();
    case.roster.entries[1].valid_from = UtcMillis(NOW.0 + 1);
    assert!(matches!(case.verify(), Err(ReleaseError::Approval(ApprovalError::NotValidThen { .. }))));
}

#[test]
fn att_9_every_key_but_no_log_entry_is_not_enough() {
    let (digest, good) = Case::good().evidence();
    let mut outside = good.clone();
    outside.approvals[0].proof[0][0] ^= 1;
    assert!(matches!(
        outside.verify(digest, &trusted(), &roster()),
        Err(ReleaseError::NotInLog { index: 4, cause: ProofError::Root })
    ));
    let mut altered = good.clone();
    altered.manifest.bytes[5] ^= 1;
    assert!(matches!(altered.verify(digest, &trusted(), &roster()), Err(ReleaseError::NotInLog { index: 3, .. })));
    let mut unsigned = good.clone();
    let at = unsigned.checkpoint.find("\n7\n").expect("size line") + 1;
    unsigned.checkpoint.replace_range(at..=at, "8");
    assert!(matches!(unsigned.verify(digest, &trusted(), &roster()), Err(ReleaseError::Checkpoint(_))));
    let mut long = good;
    long.manifest.proof = vec![[0; 32]; PROOF_HASHES_MAX + 1];
    assert!(matches!(long.verify(digest, &trusted(), &roster()), Err(ReleaseError::NotInLog { .. })));
}

#[test]
fn a_logged_refusal_is_no_approval() {
    let case = Case::good();
    let signed = Signed::sign(&case.manifest, &[&key(10)]).expect("small");
    let refused = evidence(record("user-submitter", &signed, Outcome::Refused), Vec::new());
    assert!(matches!(refused.verify(signed.digest(), &trusted(), &roster()), Err(ReleaseError::RefusedEntry(3))));
}

#[test]
fn seed_strat_emergency_needs_two_roles_inside_the_window() {
    let mut case = Case::good();
    case.manifest.class = FirmwareClass::Emergency;
    let digest = Signed::sign(&case.manifest, &[]).expect("small").digest();
    case.approvals = vec![
        (approval(digest, "user-clinical", Role::Clinical), key(21)),
        (approval(digest, "user-regulatory", Role::Regulatory), key(23)),
    ];
    assert!(case.verify().is_ok());
    case.approvals[1].0.at = NOW.plus_ms(4 * 3_600_000 + 1);
    assert!(matches!(case.verify(), Err(ReleaseError::EmergencyWindow { .. })));
}

#[test]
fn a_manifest_can_ask_for_more_approvals_but_never_for_fewer() {
    let mut case = Case::good();
    case.manifest.class = FirmwareClass::Emergency;
    case.manifest.extra_approvals = vec![Role::Qa];
    let digest = Signed::sign(&case.manifest, &[]).expect("small").digest();
    case.approvals = vec![
        (approval(digest, "user-clinical", Role::Clinical), key(21)),
        (approval(digest, "user-regulatory", Role::Regulatory), key(23)),
    ];
    assert_eq!(case.verify().err(), Some(ReleaseError::MissingApprovals(BTreeSet::from([Role::Qa]))));
}

#[test]
fn manifests_that_make_no_sense_are_refused_though_signed() {
    for (field, spoil) in [
        ("model", (|m: &mut Manifest| m.model.clear()) as fn(&mut Manifest)),
        ("version", |m| m.version = "a\nb".into()),
        ("hardwareRevisions", |m| m.hardware_revisions.clear()),
        ("releaseNumber", |m| m.minimum_release = m.release_number),
        ("components", |m| m.components.clear()),
        ("components", |m| m.components[0].size_bytes = u64::MAX),
        ("components", |m| m.components.push(m.components[0].clone())),
        ("health", |m| m.health.probation_ms = 0),
    ] {
        let mut bad = manifest();
        spoil(&mut bad);
        assert_eq!(bad.check().err().map(|e| e.field), Some(field));
    }
}
