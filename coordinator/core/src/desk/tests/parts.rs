//! Bills of materials: nothing goes without one that was signed, and recalls find what it names.

use mdfm_shared::sbom::PartQuery;

use super::*;

/// A release whose signed bill of materials is not here has parts that no recall would find.
#[test]
fn fld_2_nothing_is_approved_or_deployed_without_its_sbom() {
    let mut office = Office::new();
    let manifest = release(23, FirmwareClass::Standard, 3);
    let firmware = manifest.firmware_id.clone();
    office.upload(&manifest);
    office.state.firmware.get_mut(&firmware).expect("there").sbom.clear();
    let refusal = office.approve(&manifest, Role::Qa).expect_err("the bill of materials is missing");
    assert_eq!(refusal.code, "sbom-missing");
    assert!(refusal.detail.contains("mdfmctl firmware sbom FW-23 --file"), "{refusal}");
    let parts = |components| Command::AttachSbom { firmware: firmware.clone(), sha256: Digest([200; 32]), components };
    office.refuses("operator", parts(vec![]), "invalid-field", "must be 1 to");
    office.refuses("operator", parts(vec![Part::new("a\nb", None)]), "invalid-field", "control characters");
    // Long lists become several records, each of which fits the log.
    let many: Vec<Part> = (0..5_000).map(|n| Part::new(format!("part-{n}"), Some("1.0"))).collect();
    let proposals = firmware::attach_sbom(&office.state, &firmware, Digest([200; 32]), &many).expect("a good list");
    let sizes: Vec<usize> = proposals.iter().map(|p| serde_json::to_vec(&p.event).expect("encodes").len()).collect();
    assert!(sizes.len() > 3 && sizes.iter().all(|n| *n < 48_000), "{sizes:?}");
    office.give("operator", parts(vec![Part::new("openssl", None)]));
    for role in Role::ALL {
        office.approve(&manifest, role).expect("nothing is missing");
    }
    // As it is after an upgrade of a coordinator that did not ask for it.
    office.state.firmware.get_mut(&firmware).expect("there").sbom.clear();
    let refusal = office.deploy("D-1", &all(23, "")).expect_err("missing again");
    assert_eq!(refusal.code, "sbom-missing");
    office.give("operator", parts(vec![Part::new("openssl", None)]));
    office.deploy("D-1", &all(23, "")).expect("nothing is missing");
}

/// What would be refused once the image is here is refused before its first byte.
#[test]
fn fld_16_a_release_is_refused_before_its_first_byte() {
    let office = Office::new();
    let good = release(23, FirmwareClass::Standard, 3);
    let foresee = |manifest: &Manifest, id: &FirmwareId, key: u8, bytes_max: u64| {
        let described = (id, good.version.as_str(), good.model.as_str(), "");
        firmware::foresee(&office.state, &person(SUBMITTER), described, &signed(manifest, &[key]), bytes_max)
    };
    let id_of = good.firmware_id.clone();
    foresee(&good, &id_of, 10, u64::MAX).expect("nothing is wrong");
    let spoilt = |spoil: fn(&mut Manifest)| {
        let mut manifest = good.clone();
        spoil(&mut manifest);
        foresee(&manifest, &id_of, 10, u64::MAX).expect_err("refused").code
    };
    assert_eq!(spoilt(|m| m.release_number = 22), "release-number-taken");
    assert_eq!(spoilt(|m| m.version = "9".into()), "invalid-field");
    assert_eq!(spoilt(|m| m.firmware_id = id("FW-99")), "invalid-field");
    assert_eq!(spoilt(|m| m.health.probation_ms = 0), "manifest-field");
    assert_eq!(foresee(&good, &id_of, 11, u64::MAX).expect_err("not a release key").code, "manifest-signature");
    assert_eq!(foresee(&good, &id_of, 10, 1).expect_err("too large").code, "image-too-large");
    assert_eq!(foresee(&good, &id("FW-22"), 10, u64::MAX).expect_err("taken").code, "exists");
}

#[test]
fn fld_1_recalls_find_parts_by_group_purl_and_range() {
    let mut office = Office::new();
    let manifest = release(23, FirmwareClass::Standard, 3);
    let firmware = manifest.firmware_id.clone();
    office.upload(&manifest);
    let core = Part {
        group: Some("@angular".into()),
        purls: vec!["pkg:npm/%40angular/core@17.1.0".into()],
        ..Part::new("core", Some("17.1.0"))
    };
    office.state.firmware.get_mut(&firmware).expect("there").sbom = vec![core, Part::new("OpenSSL", Some("3.0.10"))];
    let found = |change: &dyn Fn(&mut Criteria)| {
        let mut criteria = Criteria { model: MODEL.into(), ..Criteria::default() };
        change(&mut criteria);
        let encoded = serde_json::to_string(&criteria).expect("encodes");
        assert_eq!(serde_json::from_str::<Criteria>(&encoded).expect("decodes"), criteria);
        recall::matching(&office.state, &criteria).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let part = |change: &dyn Fn(&mut PartQuery)| {
        let mut query = PartQuery::default();
        change(&mut query);
        found(&|c| c.part = Some(query.clone()))
    };
    assert_eq!(part(&|q| q.name = Some("@angular/core".into())), ["FW-23"]);
    assert_eq!(part(&|q| (q.name, q.group) = (Some("Core".into()), Some("@angular".into()))), ["FW-23"]);
    assert_eq!(part(&|q| q.purl = Some("pkg:npm/%40angular/core".into())), ["FW-23"]);
    assert_eq!(part(&|q| (q.name, q.versions) = (Some("openssl".into()), "<3.0.2".parse().ok())), ["FW-22"]);
    assert_eq!(part(&|q| (q.name, q.versions) = (Some("openssl".into()), ">=3.0.2".parse().ok())), ["FW-23"]);
    assert_eq!(found(&|c| c.component = Some(("OPENSSL".into(), None))), ["FW-22", "FW-23"], "as old records say it");
    assert_eq!(found(&|c| c.version_range = "<2.23.0".parse().ok()), ["FW-22"]);
    assert_eq!(found(&|c| c.versions = vec!["v2.23.0".into()]), ["FW-23"]);
    let old = r#"{"model":"M","releases":null,"versions":["1"],"udiPrefix":null,"component":["a",null]}"#;
    let old: Criteria = serde_json::from_str(old).expect("records of before are read");
    assert_eq!((old.part, old.version_range), (None, None));
}
