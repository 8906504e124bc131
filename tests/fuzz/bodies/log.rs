//! What witnesses, inspectors and a starting coordinator read of the log: cosignatures below a good checkpoint, proof files, tiles, records, evidence files,
//! the kept state. Refused or read, never a panic.

use std::sync::OnceLock;

use mdfm_audit::Evidence;
use mdfm_coordinator_core::State;
use mdfm_shared::record::AuditRecord;
use mdfm_shared::sign::SecretKey;
use mdfm_shared::tlog::{
    Checkpoint, Cosigner, NoteKey, NoteSigner, ProofFile, TilePath, WitnessPolicy, entries_of_bundle,
    verify_consistency, verify_inclusion,
};

/// A checkpoint that its log has signed, and who reads it.
struct Good {
    note: String,
    key: NoteKey,
    witness: Cosigner,
    policy: WitnessPolicy,
}

fn good() -> &'static Good {
    static GOOD: OnceLock<Good> = OnceLock::new();
    GOOD.get_or_init(|| {
        let signer = NoteSigner::new("example/log", SecretKey::from_seed([7; 32])).expect("a good name");
        let witness = Cosigner::new("example/witness", SecretKey::from_seed([8; 32])).expect("a good name");
        let checkpoint = Checkpoint { origin: "example/log".into(), size: 3, root: [1; 32] };
        let policy = WitnessPolicy::new([witness.key().to_vkey().as_str()], 1).expect("a good key");
        Good { note: checkpoint.sign(&signer).expect("signed"), key: signer.key().clone(), witness, policy }
    })
}

/// The checkpoint with a cosignature: what mutations begin from.
#[cfg(test)]
pub(crate) fn cosigned() -> (String, String) {
    let Good { note, witness, .. } = good();
    (note.clone(), witness.cosign(note.as_bytes(), 1_800_000_000).expect("cosigned"))
}

pub(crate) fn run(bytes: &[u8]) {
    let Good { note, key, witness, policy } = good();
    // Whatever stands below the log's own signature, and whatever stands in its place.
    for note in [[note.as_bytes(), bytes].concat(), bytes.to_vec()] {
        let _ = policy.open(&note, key);
        let _ = policy.count(&note);
        let _ = policy.cosigned_at(&note, mdfm_shared::time::UtcMillis(0));
        let _ = witness.key().time_of(&note);
        let _ = witness.cosign(&note, 1_800_000_000);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = witness.key().line_in(text, note.as_bytes());
        let _ = WitnessPolicy::new(text.lines().take(8), 1);
        let _ = TilePath::parse(text);
        if let Ok(proof) = ProofFile::parse(text) {
            let _ = proof.verify(b"entry", key, policy);
            let _ = ProofFile::parse(&proof.to_text());
        }
    }
    let hashes: Vec<[u8; 32]> = bytes.chunks_exact(32).filter_map(|chunk| chunk.try_into().ok()).collect();
    let size = bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    let _ = verify_inclusion(size / 2, size, &[2; 32], &hashes, &[1; 32]);
    let _ = verify_consistency(size / 3, size, &hashes, &[3; 32], &[1; 32]);
    let _ = entries_of_bundle(bytes);
    if let Ok(record) = AuditRecord::from_bytes(bytes) {
        let _ = State::default().apply(&record);
    }
    if let Ok(evidence) = Evidence::parse(bytes) {
        let _ = evidence.verify(None, None);
    }
    let _ = State::from_snapshot(bytes);
}
