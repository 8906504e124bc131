//! The targets of `make fuzz` that need no program, replayed in every run of the tests: the kept corpus, good documents, and mutations of both.

#[path = "../fuzz/bodies/documents.rs"]
mod documents;
#[path = "../fuzz/bodies/log.rs"]
mod log;

use std::path::Path;

use mdfm_audit::{EVIDENCE_FORMAT, Evidence};
use mdfm_coordinator_core::fixture::example;
use mdfm_shared::bundle;
use mdfm_shared::fixture::{approval, manifest, roster, signed, signed_root};
use mdfm_shared::sign::{Document, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::ProofFile;
use mdfm_shared::trust::{Freshness, Role, Withdrawals};
use mdfm_shared::wire;

/// Mutations of each input.
const MUTATIONS: u64 = 60;
/// Bytes of an input that is mutated; a longer one is replayed as it is.
const MUTATED_BYTES_MAX: usize = 64 * 1024;

/// Numbers from a seed (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// One change or a few: bits, bytes, pieces that are taken out, doubled or cut off, numbers that become large.
fn mutated(input: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        let until = (at + numbers.below(64)).min(bytes.len());
        match numbers.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, b'"', b'\n', b'9', 0x7f, 0xff][numbers.below(6)],
            2 => drop(bytes.drain(at..until)),
            3 => {
                let piece = bytes[at..until].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => bytes.truncate(at),
            5 => drop(bytes.splice(at..at, *b"18446744073709551615")),
            _ => drop(bytes.splice(at..at, [0xf0, 0x9f, 0x92])),
        }
    }
    bytes
}

fn replay(name: &str, more: Vec<Vec<u8>>, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let kept = std::fs::read_dir(folder).expect("the corpus is there").map(|entry| entry.expect("an entry").path());
    let mut inputs: Vec<Vec<u8>> = kept.map(|file| std::fs::read(file).expect("read")).collect();
    inputs.sort();
    inputs.extend(more);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for input in &inputs {
        run(input);
        for _ in 0..if input.len() <= MUTATED_BYTES_MAX { MUTATIONS } else { 0 } {
            run(&mutated(input, &mut numbers));
        }
    }
}

fn frame<T: Document>(document: &Signed<T>) -> Vec<u8> {
    wire::encode(document)
}

#[test]
fn att_10_every_document_is_refused_or_read() {
    let mut fresh = roster();
    let (issued_at, expires_at) = (UtcMillis(1), UtcMillis(2));
    fresh.freshness = Some(Freshness { issued_at, expires_at, withdrawals_version: 1 });
    let withdrawals = Withdrawals { version: 1, issued_at, expires_at, releases: Vec::new() };
    let manifest = signed(&manifest(), &[10]);
    let approval = approval(manifest.digest(), "user-qa", Role::Qa);
    let bundle = bundle::Header { gateway: "GW-1".into(), ..bundle::Header::default() };
    let good = vec![
        frame(&signed_root()),
        frame(&signed(&fresh, &[11])),
        frame(&signed(&withdrawals, &[10])),
        frame(&manifest),
        frame(&signed(&approval, &[22])),
        bundle.encode().expect("a header"),
    ];
    replay("documents", good, documents::run);
}

#[test]
fn att_12_what_is_read_of_a_log_is_refused_or_read() {
    let (note, cosignature) = log::cosigned();
    let checkpoint = format!("{note}{cosignature}");
    let proof = ProofFile { index: 1, hashes: vec![[5; 32]; 2], checkpoint: checkpoint.clone() }.to_text();
    let (state, entries) = example();
    let evidence = Evidence {
        format: EVIDENCE_FORMAT.into(),
        about: "everything".into(),
        made_at: "2026-11-30T00:00:00Z".into(),
        log_key: "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".into(),
        witness_keys: Vec::new(),
        witness_threshold: 0,
        checkpoint: checkpoint.clone(),
        trust_roots: Vec::new(),
        roster: None,
        records: Vec::new(),
    };
    let mut good = vec![cosignature.into_bytes(), checkpoint.into_bytes(), proof.into_bytes()];
    good.push(serde_json::to_vec(&evidence).expect("encodes"));
    good.push(state.to_snapshot().expect("encodes"));
    good.extend(entries.into_iter().step_by(7));
    replay("log", good, log::run);
}
