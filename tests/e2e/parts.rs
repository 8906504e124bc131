//! Releases with their bills of materials: checked before anything is signed or sent, and found by recalls.

use mdfm_shared::digest::Digest;
use mdfm_tests::{Api, Layout, Role, World};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

/// A bill of materials of a real size: 1.5 MiB, with the part inside another one.
pub(crate) fn sbom() -> Value {
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "components": [{ "type": "operating-system", "name": "linux", "version": "6.1", "components": [
            { "type": "library", "group": "org.openssl", "name": "OpenSSL", "version": "3.0.1", "purl": "pkg:generic/openssl@3.0.1" }] }],
        "annotations": [{ "text": "x".repeat(3 << 19) }]
    })
}

#[test]
fn fld_16_a_refused_upload_burns_nothing_and_resumes() {
    let dir = fresh_dir("parts");
    let layout = Layout { hospitals: 1, devices: 1, ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let api = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    let (first, second) = (image(&dir, 31, 100_000), image(&dir, 32, 100_000));
    world.release_as("FW-1", "2.2.0", 22, &first, &[]).unwrap();
    let upload = |id: &str, number: &str, version: &str, more: &[&str]| {
        let (file, key) = (second.display().to_string(), world.key("release"));
        let digest = Digest::of(&std::fs::read(&second).unwrap()).to_string();
        let what = ["firmware", "upload", &file, "--id", id, "--version", version, "--release-number", number];
        let rest = ["--model", "CardiacMonitor-X200", "--hardware", "B", "--yes", "--digest", &digest];
        let key = if more.contains(&"--release-key") { vec![] } else { vec!["--release-key", key.as_str()] };
        world.ctl(Role::Operator, &[&what[..], &rest, &key, more].concat())
    };
    let exists = |id: &str| api.json("GET", &format!("/api/v1/firmware/{id}"), &Value::Null).unwrap().0 == 200;

    // FLD-2: what is no bill of materials is refused before anything is signed or sent.
    let bad = dir.join("bad.json");
    std::fs::write(&bad, r#"{ "bomFormat": "CycloneDX", "specVersion": "9.9", "components": [{ "name": "a" }] }"#)
        .unwrap();
    let refused = upload("FW-2", "23", "2.3.0", &["--sbom", &bad.display().to_string()]).unwrap_err().to_string();
    assert!(refused.contains("CycloneDX \"9.9\" is not read") && refused.contains("nothing was signed"), "{refused}");
    // A number that is taken, and a key that signs no releases, are found before the release is created.
    let refused = upload("FW-2", "22", "2.3.0", &[]).unwrap_err().to_string();
    assert!(refused.contains("release number 22") && refused.contains("belongs to FW-1"), "{refused}");
    let refused = upload("FW-2", "23", "2.3.0", &["--release-key", &world.key("registrar")]).unwrap_err().to_string();
    assert!(refused.contains("manifest-signature"), "{refused}");
    assert!(!exists("FW-2"), "nothing was burnt");

    // An upload that ended early: the id is there, its image is not whole.
    let made = json!({ "firmwareId": "FW-2", "version": "2.3.0", "deviceModel": "CardiacMonitor-X200" });
    assert_eq!(api.json("POST", "/api/v1/firmware", &made).unwrap().0, 201);
    assert_eq!(api.send("PUT", "/api/v1/firmware/FW-2/image", vec![7; 1_000]).unwrap().0, 200);
    let other = upload("FW-2", "23", "2.4.0", &[]).unwrap_err().to_string();
    assert!(other.contains("FW-2 exists already and is 2.3.0"), "{other}");
    let good = dir.join("good.json");
    std::fs::write(&good, sbom().to_string()).unwrap();
    let good = good.display().to_string();
    let view = upload("FW-2", "23", "2.3.0", &["--sbom", &good]).unwrap();
    assert_eq!((&view["status"], &view["sbomComponents"]), (&json!("pendingApproval"), &json!(2)), "{view}");
    // The same once more changes nothing.
    let again = upload("FW-2", "23", "2.3.0", &["--sbom", &good]).unwrap();
    assert_eq!(again["manifestDigest"], view["manifestDigest"]);

    // The document comes back as it was signed.
    let saved = dir.join("saved.json");
    world.ctl(Role::Operator, &["firmware", "sbom", "FW-2", "--save", &saved.display().to_string()]).unwrap();
    assert_eq!(std::fs::read(&saved).unwrap(), std::fs::read(&good).unwrap());
    let parts = world.ctl(Role::Operator, &["firmware", "sbom", "FW-2"]).unwrap();
    assert_eq!(parts.as_array().unwrap().len(), 2, "{parts}");
    // A body beyond 64 MiB ends while it comes; other routes take no large body at all.
    assert_eq!(api.send("PUT", "/api/v1/firmware/FW-2/manifest", vec![b' '; 2 << 20]).unwrap().0, 413);
}
