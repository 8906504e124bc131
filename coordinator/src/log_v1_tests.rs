//! The log and the documents of an earlier release, as `tests/fixtures/log-v1` keeps them: every later build replays and verifies them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mdfm_audit::read_copy;
use mdfm_shared::record::AuditRecord;
use mdfm_shared::sign::Signed;
use mdfm_shared::tlog::{NoteKey, WitnessPolicy};
use mdfm_shared::trust::{Roster, TrustRoot, TrustedRoot};
use mdfm_shared::wire;
use serde_json::{Value, json};

use mdfm_coordinator_core::State;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/log-v1").join(name)
}

/// The members of each object at a name, without those that later releases may add.
fn projected(objects: &Value, paths: &[&str]) -> Value {
    let view = |object: &Value| -> BTreeMap<String, Value> {
        paths.iter().map(|path| ((*path).to_owned(), object.pointer(path).cloned().unwrap_or_default())).collect()
    };
    let objects = objects.as_object().expect("objects by id");
    json!(objects.iter().map(|(id, object)| (id.clone(), view(object))).collect::<BTreeMap<_, _>>())
}

#[test]
fn log_v1_replays_to_the_state_that_it_had() {
    let key = std::fs::read_to_string(fixture("log.vkey")).expect("the key");
    let key = NoteKey::parse(key.trim()).expect("a key");
    let mut state = State::default();
    let verified = read_copy(&fixture("log"), &key, &WitnessPolicy::default(), &mut |index, bytes| {
        let record = AuditRecord::from_bytes(bytes).unwrap_or_else(|e| panic!("record {index}: {e}"));
        state.apply(&record).unwrap_or_else(|e| panic!("record {index}: {e}"));
    })
    .expect("verifies");
    let value = serde_json::to_value(&state).expect("encodes");
    let found = json!({
        "root": verified.root,
        "records": verified.entries,
        "batches": verified.batches,
        "users": projected(&value["users"], &["/printed_name", "/roles", "/hospital"]),
        "hospitals": projected(&value["hospitals"], &["/name", "/timezone"]),
        "gateways": projected(&value["gateways"], &["/hospital"]),
        "devices": projected(&value["devices"]["all"], &["/hospital", "/serial", "/firmware_version", "/running_sha256", "/install/state", "/deployment"]),
        "firmware": projected(&value["firmware"], &["/status", "/version", "/manifest/digest"]),
        "deployments": projected(&value["deployments"], &["/status", "/plan/firmware", "/current"]),
    });
    let expected = fixture("expected.json");
    if std::env::var_os("MDFM_WRITE").is_some() && !expected.exists() {
        std::fs::write(&expected, serde_json::to_string_pretty(&found).expect("JSON") + "\n").expect("writes");
    }
    let expected: Value = serde_json::from_slice(&std::fs::read(expected).expect("expected.json")).expect("JSON");
    assert_eq!(found, expected);
}

#[test]
fn documents_v1_verify() {
    let root = std::fs::read(fixture("documents/root-1.mdfm")).expect("the root");
    let root: Signed<TrustRoot> = wire::decode(&root).expect("a root");
    let trusted = TrustedRoot::pinned(&root, root.digest()).expect("signed by its owners");
    let roster = std::fs::read(fixture("documents/roster-1.mdfm")).expect("the roster");
    let roster: Signed<Roster> = wire::decode(&roster).expect("a roster");
    let roster = roster.verify(trusted.registrar_keys()).expect("signed by the registrar");
    assert!(!roster.entries.is_empty());
}
