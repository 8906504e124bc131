//! Evidence that is altered in any place, or whose signatures were moved, proves nothing.

use mdfm_shared::fixture::{NOW, key, log_signer, manifest, roster, signed, signed_root};
use mdfm_shared::record::{Actor, ActorKind, Outcome, document_text};
use mdfm_shared::tlog::{Checkpoint, NoteSigner, Tree};
use mdfm_shared::trust::Role;

use super::*;

fn record(action: &str, document: String) -> Vec<u8> {
    let actor = Actor { kind: ActorKind::User, id: "user-qa".into(), roles: vec!["QA".into()] };
    AuditRecord {
        document: Some(document),
        ..AuditRecord::new(NOW, &actor, action, "firmware/FW-1", Outcome::Accepted)
    }
    .to_bytes()
}

fn approval() -> Approval {
    let manifest = signed(&manifest(), &[10]).digest();
    let user = "user-qa".parse().expect("good id");
    let (printed_name, meaning, reason) = ("user-qa Printed".into(), "I approve as QA".into(), "tested".into());
    Approval { manifest, role: Role::Qa, user, printed_name, meaning, reason, at: NOW }
}

/// Evidence about these records, all else as it must be.
fn evidence(records: &[Vec<u8>]) -> Evidence {
    let root = signed_root().decode_unverified().expect("own root");
    let signer = log_signer();
    let mut tree = Tree::default();
    records.iter().for_each(|r| tree.push(r));
    let size = tree.size();
    let checkpoint = Checkpoint { origin: signer.key().name().into(), size, root: tree.root() };
    let checkpoint = checkpoint.sign(&signer).expect("signs");
    let proof = |i: u64| tree.inclusion(i, size).expect("in range").iter().map(|h| STANDARD.encode(h)).collect();
    Evidence {
        format: EVIDENCE_FORMAT.into(),
        about: "every record".into(),
        made_at: NOW.to_string(),
        log_key: root.log,
        witness_keys: vec![],
        witness_threshold: 0,
        checkpoint,
        trust_roots: vec![document_text(&signed_root())],
        roster: Some(document_text(&signed(&roster(), &[11]))),
        records: (0_u64..)
            .zip(records)
            .map(|(i, r)| EvidenceRecord {
                index: i,
                entry: String::from_utf8(r.clone()).expect("JSON"),
                proof: proof(i),
            })
            .collect(),
    }
}

#[test]
fn p11_70_a_signature_moved_to_another_record_or_reworded_fails_offline_too() {
    // Key 22 is the roster's QA.
    let who = 22;
    let good = evidence(&[record("firmware.approve", document_text(&signed(&approval(), &[who])))]);
    let found = good.verify(None, None).expect("verifies");
    assert!(found.signatures[0].contains("user-qa Printed signed as QA: I approve as QA"), "{found:?}");
    assert_eq!((found.records, found.unchecked), (1, 0));
    let by = |approval: &Approval, seed: u8| record("firmware.approve", document_text(&signed(approval, &[seed])));
    let stranger = evidence(&[by(&approval(), 21)]);
    assert!(matches!(stranger.verify(None, None), Err(EvidenceError::Record { index: 0, .. })), "another key");
    // The signed bytes under another action, role or meaning.
    let moved = evidence(&[record("deployment.validate", document_text(&signed(&approval(), &[who])))]);
    assert!(moved.verify(None, None).is_err(), "an approval is no validation");
    let text = document_text(&signed(&approval(), &[who]));
    let mut frame = STANDARD.decode(&text).expect("base64");
    let meaning = frame.windows(7).position(|w| w == b"approve").expect("in the payload");
    frame[meaning..meaning + 7].copy_from_slice(b"reviewd");
    let reworded = evidence(&[record("firmware.approve", STANDARD.encode(frame))]);
    assert!(reworded.verify(None, None).is_err(), "other words");
}

#[test]
fn p11_10b_evidence_with_a_changed_record_position_proof_or_key_proves_nothing() {
    let plain = |i: u8| {
        let actor = Actor { kind: ActorKind::System, id: format!("s{i}"), roles: vec![] };
        AuditRecord::new(NOW, &actor, "device.silent", "device/D-1", Outcome::Accepted).to_bytes()
    };
    let good = evidence(&(0..5).map(plain).collect::<Vec<_>>());
    let log = NoteKey::parse(&good.log_key).expect("good key");
    assert_eq!(good.verify(Some(&log), None).map(|f| f.records).ok(), Some(5));
    let read = Evidence::parse(&serde_json::to_vec(&good).expect("encodes")).expect("reads");
    assert_eq!(read, good);
    let changed = |change: &dyn Fn(&mut Evidence)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad.verify(Some(&log), None).is_err()
    };
    assert!(changed(&|e| e.records[2].entry = e.records[2].entry.replace("accepted", "refused")));
    assert!(changed(&|e| e.records[2].index = 3));
    assert!(changed(&|e| e.records[2].proof.swap(0, 1)));
    assert!(changed(&|e| drop(e.records[2].proof.pop())));
    assert!(changed(&|e| e.records[2].proof = vec![STANDARD.encode([0; 32]); 64]));
    assert!(changed(&|e| e.checkpoint = e.checkpoint.replacen("\n5\n", "\n4\n", 1)));
    assert!(changed(&|e| e.trust_roots = vec!["AAAA".into()]));
    assert!(
        changed(&|e| e.roster = Some(document_text(&signed(&roster(), &[9])))),
        "a roster that no registrar signed"
    );
    let other = NoteSigner::new("other.example", key(77)).expect("good name");
    assert!(matches!(good.verify(Some(other.key()), None), Err(EvidenceError::OtherLog { .. })));
    let witness = mdfm_shared::tlog::Cosigner::new("w.example", key(5)).expect("good name");
    let policy = WitnessPolicy::new([witness.key().to_vkey().as_str()], 1).expect("good");
    assert!(
        matches!(good.verify(Some(&log), Some(&policy)), Err(EvidenceError::Checkpoint(_))),
        "att 12: no cosignature"
    );
    for bad in ["", "[]", "{}", "{\"format\":\"mdfm-evidence/2\"}"] {
        assert!(matches!(Evidence::parse(bad.as_bytes()), Err(EvidenceError::Malformed(_))), "{bad}");
    }
}

#[test]
fn cli_13_evidence_of_no_records_is_not_verified() {
    let mut empty = evidence(&[record("firmware.approve", document_text(&signed(&approval(), &[22])))]);
    let key = NoteKey::parse(&empty.log_key).expect("a key");
    assert!(empty.verify(Some(&key), None).is_ok());
    empty.records.clear();
    assert!(matches!(empty.verify(Some(&key), None), Err(EvidenceError::Empty)));
}
