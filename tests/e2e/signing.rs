//! What a signature and a rejection are bound to: what their signer was shown, in the log with name, time and meaning (21 CFR 11.50, 11.70).

use std::time::Duration;

use mdfm_shared::digest::Digest;
use mdfm_tests::{Api, Layout, Role, World, wait_for};
use serde_json::{Value, json};

use crate::access::{Gate, PASSWORD, code, one_time_code};
use crate::{fresh_dir, image};

#[test]
fn p11_70_a_gate_is_signed_on_the_evidence_that_was_shown() {
    let dir = fresh_dir("evidence");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let gate = Gate::reach(&world, &dir);
    let (id, digest) = (&gate.deployment, &gate.digest);
    let qa = Api::with_session(world.session(Role::Qa).as_ref()).unwrap();
    let path = format!("/api/v1/deployments/{id}/validations");

    // What is shown is what the digest is of, and what is refused if it is another.
    let (status, shown) = qa.send("GET", &format!("{path}/preview"), vec![]).unwrap();
    assert_eq!(status, 200, "{shown}");
    let evidence = shown["evidence"].as_str().unwrap();
    assert_eq!(Digest::of(evidence.as_bytes()).to_string(), shown["evidenceDigest"].as_str().unwrap());
    let facts: Value = serde_json::from_str(evidence).unwrap();
    assert_eq!(
        (&facts["deployment"], &facts["manifest"], &facts["gate"]["passed"]),
        (&json!(id), &json!(digest), &json!(true))
    );
    assert_eq!(shown["meaning"], "I validate phase 1 (All) as QA");
    let refused = wait_for("a code that was not used yet", Duration::from_secs(90), || {
        let other = json!({
            "role": "QA", "reason": "seen", "password": PASSWORD, "code": one_time_code(&world, "qa", 0),
            "manifestDigest": digest, "evidenceDigest": Digest::of(b"other figures").to_string(),
        });
        let answer = qa.json("POST", &format!("{path}/signature"), &other)?;
        Ok(Some(answer).filter(|answer| code(answer) != "code-used"))
    })
    .unwrap();
    assert_eq!((refused.0, code(&refused)), (409, "changed-meanwhile"), "{refused:?}");
    assert_eq!(world.deployment(id).unwrap()["phases"][0]["validation"], Value::Null);

    // The same person signs what stands, and the record has the digest in what was signed.
    let view = gate.sign("validate", id).unwrap();
    assert_eq!(view["phases"][0]["validation"]["printedName"], "QA signatory", "{view}");
    let log = world.ctl(Role::Auditor, &["audit", "search", "--oldest", "--action", "deployment.validate"]).unwrap();
    let record = log["records"].as_array().unwrap().iter().find(|r| r["outcome"] == "accepted").unwrap().clone();
    let signed: mdfm_shared::sign::Signed<mdfm_shared::trust::Validation> =
        mdfm_shared::record::decode_document("deployment.validate", record["document"].as_str().unwrap()).unwrap();
    assert_eq!(
        signed.decode_unverified().unwrap().evidence.unwrap().to_string(),
        shown["evidenceDigest"].as_str().unwrap()
    );

    // A rejection says its meaning before it is made, and names what it rejects.
    world.upload("FW-23", "2.3.0", 23, &image(&dir, 2, 100_000), 1.0).unwrap();
    let (_, preview) = qa.send("GET", "/api/v1/approvals/FW-23/preview", vec![]).unwrap();
    let statement = &preview["statements"][0];
    assert_eq!(statement["cannotReject"], Value::Null, "{preview}");
    let meaning = statement["rejection"].as_str().unwrap();
    assert!(meaning.starts_with("I reject FW-23 2.3.0 for") && meaning.ends_with("as QA"), "{meaning}");
    let other = json!({ "reason": "test 7 fails", "manifestDigest": digest });
    let refused = qa.json("POST", "/api/v1/firmware/FW-23/rejection?role=QA", &other).unwrap();
    assert_eq!((refused.0, code(&refused)), (409, "changed-meanwhile"), "{refused:?}");
    let reject = ["reject", "FW-23", "--role", "QA", "--reason", "test 7 fails", "--yes"];
    let view = world.ctl(Role::Qa, &reject).unwrap();
    let rejected = &view["rejected"];
    assert_eq!((&rejected["meaning"], &rejected["printedName"]), (&json!(meaning), &json!("QA signatory")), "{view}");
    assert_eq!(rejected["manifestDigest"], view["manifestDigest"], "{view}");
    assert!(rejected["signedAt"].is_string() && rejected["reason"] == "test 7 fails", "{view}");
}
