//! What the API does with requests that are wrong: each is answered with problem details that name the cause, stands in the audit
//! log, and changes nothing; what is right is still done afterwards.

use mdfm_shared::digest::Digest;
use mdfm_shared::fixture;
use mdfm_shared::manifest::Manifest;
use mdfm_shared::record::document_text;
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_tests::{Api, Checked, Layout, Role, World, hospital_id};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

const IMAGE_BYTES_MAX: usize = 1_000_000;

fn api(world: &World, role: Role) -> Api {
    Api::with_session(world.session(role).as_ref()).unwrap()
}

/// Entries of the log so far, and how many of them are refusals.
fn log(world: &World) -> (u64, usize) {
    let (mut from, mut refused) = (0, 0);
    loop {
        let page = api(world, Role::Auditor)
            .send("GET", &format!("/api/v1/compliance/audit-logs?from={from}&limit=500&outcome=refused"), vec![])
            .unwrap()
            .1;
        refused += page["records"].as_array().unwrap().len();
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => return (page["logSize"].as_u64().unwrap(), refused),
        }
    }
}

fn refused(world: &World, api: &Api, request: (&str, &str, Vec<u8>), status: u16, code: &str, words: &str) {
    let before = log(world);
    let (method, path, body) = request;
    let (found, problem) = api.send(method, path, body).unwrap();
    let shown = format!("{method} {path}: {found} {problem}");
    assert_eq!(found, status, "{shown}");
    assert_eq!(problem["type"], format!("urn:mdfm:problem:{code}"), "{shown}");
    assert_eq!(problem["status"], status, "{shown}");
    assert!(problem["detail"].as_str().unwrap().contains(words), "{shown}");
    let after = log(world);
    assert_eq!(after.1, before.1 + 1, "one record of the refusal: {shown}");
    assert_eq!(after.0, before.0 + 1, "and of nothing else: {shown}");
}

fn body(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[test]
fn p11_10d_bad_requests_are_named_recorded_and_change_nothing() {
    let dir = fresh_dir("bad-requests");
    // No gateway: its telemetry would be records between ours.
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    world.ctl(Role::Operator, &["hospitals", "add", &hospital_id(1), "--name", "One"]).unwrap();
    let operator = api(&world, Role::Operator);
    let anonymous = api(&world, Role::Operator).anonymous();
    let device = json!({ "deviceId": "DEV-12345", "modelNumber": "CardiacMonitor-X200", "serialNumber": "SN-2025-001",
        "hospitalId": hospital_id(1), "currentFirmwareVersion": "2.1.0" });
    let with = |field: &str, value: Value| {
        let mut changed = device.clone();
        changed[field] = value;
        body(&changed)
    };
    let devices = "/api/v1/devices";
    for (request, status, code, words) in [
        (("POST", devices, b"{".to_vec()), 400, "malformed-json", "EOF"),
        (("POST", devices, b"\xff\xfe".to_vec()), 400, "malformed-json", "cannot be taken"),
        (("POST", devices, body(&json!([1, 2]))), 422, "malformed-json", "invalid"),
        (("POST", devices, with("serialNumber", json!(7))), 422, "malformed-json", "expected a string"),
        (("POST", devices, with("color", json!("red"))), 422, "malformed-json", "unknown field `color`"),
        (("POST", devices, with("deviceId", json!("../../etc/passwd"))), 422, "invalid-field", "deviceId"),
        (("POST", devices, with("deviceId", json!("a".repeat(65)))), 422, "invalid-field", "deviceId"),
        (("POST", devices, with("modelNumber", json!("a\u{7}b"))), 422, "invalid-field", "modelNumber"),
        (("POST", devices, with("hospitalId", json!("HOSP-999"))), 404, "not-found", "HOSP-999"),
        (("POST", devices, vec![b' '; (1 << 20) + 1]), 413, "body", "length limit"),
        (("POST", "/api/v1/no-such-thing", vec![]), 404, "not-found", "openapi.json"),
        (("DELETE", devices, vec![]), 405, "method", "openapi.json"),
        (
            ("POST", "/api/v1/deployments?firmwareId=%00", body(&json!({ "strategy": "Progressive", "phases": [] }))),
            422,
            "invalid-field",
            "firmware",
        ),
        (
            ("POST", "/api/v1/deployments", body(&json!({ "strategy": "Progressive", "phases": [] }))),
            422,
            "invalid-field",
            "which firmware",
        ),
        (
            ("POST", "/api/v1/deployments", body(&json!({ "firmwareId": "F", "strategy": "Hope", "phases": [] }))),
            422,
            "invalid-field",
            "strategy",
        ),
        (
            (
                "POST",
                "/api/v1/firmware",
                body(&json!({ "version": "2.2.0", "deviceModel": "X", "approvalRequired": false })),
            ),
            422,
            "invalid-field",
            "always needs approval",
        ),
        (("PUT", "/api/v1/firmware/FW-9/image", b"bytes".to_vec()), 404, "not-found", "FW-9"),
    ] {
        refused(&world, &operator, request, status, code, words);
    }
    refused(&world, &anonymous, ("POST", devices, body(&device)), 401, "no-session", "sign in");
    refused(&world, &api(&world, Role::Qa), ("POST", devices, body(&device)), 403, "permission", "manageFleet");
    refused(&world, &anonymous, ("GET", "/agent/v1/images/00", vec![]), 403, "no-certificate", "enrolled gateways");
    let wrong = json!({ "userId": "operator", "password": "wrong password" });
    refused(&world, &anonymous, ("POST", "/api/v1/sessions", body(&wrong)), 401, "wrong-credentials", "wrong");
    // What is right is still done, as the seed writes it.
    let (status, view) = operator.json("POST", devices, &device).unwrap();
    assert_eq!((status, &view["deviceId"]), (201, &json!("DEV-12345")), "{view}");
    refused(&world, &operator, ("POST", devices, body(&device)), 409, "exists", "never used twice");
    // The document that says all this is there, and names every path that was used.
    let (_, document) = anonymous.send("GET", "/api/v1/openapi.json", vec![]).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["devices", "firmware", "deployments", "approvals", "compliance/audit-logs", "health"] {
        assert!(document["paths"][format!("/api/v1/{path}")].is_object(), "{path}");
    }
}

/// Manifests, approvals and images in every bad form, at the API of a running coordinator with the vendor's real keys.
#[test]
fn att_1_bad_documents_and_images_are_refused() {
    let dir = fresh_dir("bad-documents");
    let layout = Layout { hospitals: 0, image_bytes_max: Some(IMAGE_BYTES_MAX as u64), ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let operator = api(&world, Role::Operator);
    let create = json!({ "firmwareId": "FW-1", "version": "2.2.0", "deviceModel": "CardiacMonitor-X200",
        "releaseNotes": "Critical security patch for cardiac monitoring algorithm", "approvalRequired": true });
    assert_eq!(operator.json("POST", "/api/v1/firmware", &create).unwrap().0, 201);
    let path = "/api/v1/firmware/FW-1/image";
    refused(&world, &operator, ("PUT", path, vec![]), 422, "invalid-field", "size must be 1");
    refused(&world, &operator, ("PUT", path, vec![7; IMAGE_BYTES_MAX + 1]), 413, "image-too-large", "1000000 bytes");
    let bytes = std::fs::read(image(&dir, 1, 300_000)).unwrap();
    let mut flipped = bytes.clone();
    flipped[1_000] ^= 1;
    assert_eq!(operator.send("PUT", path, flipped).unwrap().0, 200, "nobody has said yet what it should be");

    let secret = |name: &str| SecretKey::from_secret_text(&std::fs::read_to_string(world.key(name)).unwrap()).unwrap();
    let mut manifest = Manifest { firmware_id: "FW-1".parse().unwrap(), ..fixture::manifest() };
    manifest.sha256 = Digest::of(&bytes);
    manifest.components[0].sha256 = manifest.sha256;
    manifest.components[0].size_bytes = bytes.len() as u64;
    let put = |signed: &Signed<Manifest>| body(&json!({ "document": document_text(signed) }));
    let path = "/api/v1/firmware/FW-1/manifest";
    let good = Signed::sign(&manifest, &[&secret("release")]).unwrap();
    refused(&world, &operator, ("PUT", path, put(&good)), 422, "digest-mismatch", "expected SHA-256");
    assert_eq!(operator.send("PUT", "/api/v1/firmware/FW-1/image", bytes).unwrap().0, 200, "uploaded again, whole");
    for (signed, code, words) in [
        (Signed::sign(&manifest, &[]).unwrap(), "manifest-signature", "needs 1 signature"),
        (Signed::sign(&manifest, &[&secret("qa")]).unwrap(), "manifest-signature", "needs 1 signature"),
        (
            Signed::sign(&Manifest { model: "InfusionPump-7".into(), ..manifest.clone() }, &[&secret("release")])
                .unwrap(),
            "invalid-field",
            "model",
        ),
    ] {
        refused(&world, &operator, ("PUT", path, put(&signed)), 422, code, words);
    }
    let frame = mdfm_shared::wire::encode(&good);
    let text = |bytes: &[u8]| {
        use base64::Engine as _;
        body(&json!({ "document": base64::engine::general_purpose::STANDARD.encode(bytes) }))
    };
    let mut other_version = frame.clone();
    other_version[0] = 9;
    let mut altered = frame.clone();
    altered[20] ^= 1;
    for (document, code, words) in [
        (text(&frame[..frame.len() / 2]), "malformed-document", "does not decode"),
        (text(&[]), "malformed-document", "empty frame"),
        (text(&other_version), "malformed-document", "version 9"),
        (text(&vec![1; 600_000]), "malformed-document", "at most"),
        (body(&json!({ "document": "!!" })), "malformed-document", "not base64"),
        (text(&altered), "manifest-signature", "altered"),
    ] {
        refused(&world, &operator, ("PUT", path, document), 422, code, words);
    }
    assert_eq!(operator.send("PUT", path, put(&good)).unwrap().0, 200);

    // Approvals: two of three are not enough, none counts twice, nobody signs for another.
    let deploy = json!({ "firmwareId": "FW-1", "strategy": "ProgressiveHospital", "targetDevices": "all",
        "rolloutPhases": [{ "hospitalCohort": "all", "percentage": 100 }] });
    for role in Role::APPROVERS {
        refused(
            &world,
            &operator,
            ("POST", "/api/v1/deployments", body(&deploy)),
            409,
            "not-approved",
            "only approved",
        );
        let digest = world.manifest_digest("FW-1").unwrap();
        let signer = ["--role", role.name(), "--key", &world.key(role.user()), "--reason", "x"];
        let by_operator = [&["approve", "FW-1"][..], &signer, &["--yes", "--digest", &digest]].concat();
        let error = world.ctl(Role::Operator, &by_operator).unwrap_err().to_string();
        assert!(error.contains("permission"), "{error}");
        let other = Role::APPROVERS[usize::from(role == Role::Clinical)];
        let error = world.approve_with("FW-1", role, &world.key(other.user())).unwrap_err().to_string();
        assert!(error.contains("approval-refused"), "{error}");
        world.approve("FW-1", role).unwrap();
        let error = world.approve("FW-1", role).unwrap_err().to_string();
        assert!(error.contains("already-approved") || error.contains("wrong-step"), "{error}");
    }
    let view = world.ctl(Role::Operator, &["firmware", "show", "FW-1"]).unwrap();
    assert_eq!(view["status"], "approved", "{view}");
}

/// A configuration that is wrong keeps the programs from starting, with the key and the cause in one line.
#[test]
fn wrong_configurations_are_named() {
    let dir = fresh_dir("bad-config");
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("config.toml");
    for (program, text, words) in [
        ("mdfm-coordinator", "lisen = \"127.0.0.1:1\"", "lisen"),
        ("mdfm-coordinator", "connections_max = \"many\"", "connections_max"),
        ("mdfm-coordinator", "data_dir = \"/no/such/directory\"", "/no/such/directory"),
        ("mdfm-agent", "heartbeat_seconds = -1", "heartbeat_seconds"),
        ("mdfm-agent", "state_dir = \"/no/such/directory\"", "/no/such/directory"),
        ("mdfm-agent", "[[device]]\nid = \"../x\"\nsecret = \"0123456789abcdef\"", "device id"),
    ] {
        std::fs::write(&file, text).unwrap();
        let path = file.display().to_string();
        let arguments = match program {
            "mdfm-agent" => ["--config", &path, "run"],
            _ => ["serve", "--config", &path],
        };
        let output =
            std::process::Command::new(mdfm_tests::program(program).unwrap()).args(arguments).checked_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(words), "{program} with {text:?}: {error}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
