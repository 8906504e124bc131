//! Attacks on a release's evidence, each by what the attacker holds; the log key alone never helps.

use super::super::{Revocation, RootError, Witnesses};
use super::*;
use crate::fixture::{Log, NOW, approval, approvals, key, log_signer, manifest, record, roster, trusted};
use crate::limits::IMAGE_BYTES_MAX;
use crate::manifest::Component;
use crate::sign::SecretKey;
use crate::tlog::{Cosigner, NoteError};

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
        Self {
            manifest: manifest(),
            manifest_keys: vec![key(10)],
            submitter: "user-submitter",
            roster: roster(),
            approvals: approvals(digest),
        }
    }
    fn evidence(&self) -> (Digest, ReleaseEvidence) {
        let signed = Signed::sign(&self.manifest, &self.manifest_keys.iter().collect::<Vec<_>>()).expect("small");
        Log::new(log_signer()).release(&signed, self.submitter, &self.approvals)
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
fn p11_10g_nor_can_who_submitted_by_a_token_of_theirs() {
    let case = Case { submitter: "user-clinical/token/nightly", ..Case::good() };
    assert!(matches!(case.verify(), Err(ReleaseError::Approval(ApprovalError::SelfApproval(_)))));
    let case = Case { submitter: "user/clinical", ..Case::good() };
    assert!(case.verify().is_ok(), "somebody else's");
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
    let mut log = Log::new(log_signer());
    let entry = log.append(record("user-submitter", &signed, Outcome::Refused));
    let refused = log.evidence(entry, &[]);
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
fn sec_8_an_emergency_release_has_a_last_day() {
    let mut case = Case::good();
    let standard = case.verify().expect("a good release");
    assert_eq!(standard.start_by(), None);
    case.manifest.class = FirmwareClass::Emergency;
    let digest = Signed::sign(&case.manifest, &[]).expect("small").digest();
    let later = NOW.plus_ms(3_600_000);
    case.approvals = vec![
        (Approval { at: later, ..approval(digest, "user-clinical", Role::Clinical) }, key(21)),
        (approval(digest, "user-regulatory", Role::Regulatory), key(23)),
    ];
    let emergency = case.verify().expect("a good release");
    assert_eq!(emergency.start_by(), Some(later.plus_ms(EMERGENCY_START_MS)), "a week after the last approval");
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
        ("sha256", |m| m.components[0].sha256 = Digest([1; 32])),
        ("components", |m| {
            m.components[0].size_bytes = IMAGE_BYTES_MAX;
            m.components.push(Component { name: "second".into(), ..m.components[0].clone() });
        }),
        ("health", |m| m.health.probation_ms = 0),
    ] {
        let mut bad = manifest();
        spoil(&mut bad);
        assert_eq!(bad.check().err().map(|e| e.field), Some(field));
    }
}

#[test]
fn att_12_a_release_counts_only_under_a_checkpoint_that_the_witnesses_have_seen() {
    let witness = Cosigner::new("w.example/1", key(60)).expect("a good name");
    let mut root = crate::fixture::root(1);
    root.witnesses = Witnesses { keys: vec![witness.key().to_vkey()], threshold: 1 };
    let signed = crate::fixture::signed(&root, &[1, 2]);
    let root = TrustedRoot::pinned(&signed, signed.digest()).expect("a good root");
    let (digest, mut evidence) = Case::good().evidence();
    let unseen = ReleaseError::Checkpoint(NoteError::Witnesses { found: 0, needed: 1 });
    assert_eq!(evidence.verify(digest, &root, &roster()).err(), Some(unseen.clone()));
    let stranger = Cosigner::new("w.example/1", key(61)).expect("a good name");
    let line = |cosigner: &Cosigner, note: &str| cosigner.cosign(note.as_bytes(), 7).expect("a note");
    let bare = evidence.checkpoint.clone();
    evidence.checkpoint = format!("{bare}{}", line(&stranger, &bare));
    assert_eq!(evidence.verify(digest, &root, &roster()).err(), Some(unseen));
    evidence.checkpoint = format!("{bare}{}", line(&witness, &bare));
    assert!(evidence.verify(digest, &root, &roster()).is_ok(), "and then the good one is taken");
    let mut bad = crate::fixture::root(1);
    bad.witnesses = Witnesses { keys: vec![], threshold: 1 };
    let signed = crate::fixture::signed(&bad, &[1, 2]);
    assert_eq!(TrustedRoot::pinned(&signed, signed.digest()).err(), Some(RootError::Witnesses));
}

#[test]
fn sec_5_one_key_in_two_entries_counts_in_each_ones_time() {
    // The person changed their name after the approval and kept the key; later they sign under the new name.
    let mut case = Case::good();
    let mut renamed = case.roster.entries[0].clone();
    case.roster.entries[0].valid_until = NOW.plus_ms(1_000);
    renamed.valid_from = NOW.plus_ms(1_000);
    renamed.printed_name = "Another Name".into();
    case.roster.entries.push(renamed);
    case.verify().expect("the old entry supports the old approval");
    case.approvals[0].0.at = NOW.plus_ms(2_000);
    assert!(case.verify().is_err(), "the old name ended");
    case.approvals[0].0.printed_name = "Another Name".into();
    case.verify().expect("the new entry supports the new approval");
    case.approvals[0].0.at = NOW;
    assert!(case.verify().is_err(), "the new name had not begun");
}
