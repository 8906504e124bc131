//! Documents by hand, hostile ones, and those of real tools.

use std::io::Read;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parts_of(document: &Value) -> Vec<String> {
    read(document.to_string().as_bytes()).expect("reads").parts.iter().map(Part::words).collect()
}

fn refused(document: impl AsRef<[u8]>) -> String {
    read(document.as_ref()).expect_err("refused").to_string()
}

fn cyclonedx(version: &str, more: Value) -> Value {
    let mut document = json!({ "specVersion": version, "bomFormat": "CycloneDX", "version": 1 });
    document.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
    document
}

#[test]
fn fld_1_every_component_of_cyclonedx_is_read() {
    let document = cyclonedx(
        "1.6",
        json!({
            "metadata": { "tools": { "components": [{ "type": "application", "name": "syft", "version": "1" }] },
                "component": { "type": "firmware", "name": "monitor", "version": "2.2.0",
                    "components": [{ "type": "library", "name": "busybox", "version": "1.36.1" }] } },
            "components": [
                { "type": "operating-system", "name": "linux", "version": "6.1", "supplier": { "name": "Vendor" }, "components": [
                    { "type": "library", "name": "libssl3", "version": "3.0.1", "purl": "pkg:deb/debian/libssl3@3.0.1?arch=arm64&upstream=openssl",
                      "components": [{ "type": "file", "name": "/usr/lib/libssl.so.3" }] }] },
                { "type": "library", "group": "@angular", "name": "core", "version": "17.1.0", "cpe": "cpe:2.3:a:google:angular:17.1.0:*:*:*:*:*:*:*",
                  "publisher": "Google", "pedigree": { "ancestors": [{ "type": "library", "name": "angular2", "version": "2" }] } },
                { "type": "library", "name": "zlib", "version": null, "group": "" },
                { "type": "library", "name": "zlib", "version": "" }
            ],
            "services": [{ "name": "not a part" }],
            "externalReferences": [{ "type": "bom", "url": "urn:cdx:1/1" }, { "type": "website", "url": "x" }]
        }),
    );
    let found = parts_of(&document);
    let expected = [
        "/usr/lib/libssl.so.3",
        "angular2 2",
        "busybox 1.36.1",
        "@angular/core 17.1.0",
        "libssl3 3.0.1",
        "linux 6.1",
        "monitor 2.2.0",
        "zlib",
    ];
    assert_eq!(found, expected);
    let sbom = read(document.to_string().as_bytes()).expect("reads");
    assert_eq!((sbom.format.as_str(), sbom.elsewhere), ("CycloneDX 1.6", vec!["urn:cdx:1/1".to_owned()]));
    let core = sbom.parts.iter().find(|p| p.name == "core").expect("there");
    assert_eq!((core.supplier.as_deref(), core.cpes.len()), (Some("Google"), 1));
    for version in ["1.2", "1.3", "1.4", "1.5", "1.7"] {
        assert_eq!(parts_of(&cyclonedx(version, json!({ "components": [{ "type": "library", "name": "a" }] }))), ["a"]);
    }
}

#[test]
fn fld_1_packages_of_spdx_2_are_read() {
    for version in ["SPDX-2.2", "SPDX-2.3"] {
        let document = json!({
            "spdxVersion": version, "SPDXID": "SPDXRef-DOCUMENT", "name": "monitor",
            "externalDocumentRefs": [{ "externalDocumentId": "DocumentRef-os", "spdxDocument": "https://example.com/os", "checksum": {} }],
            "packages": [
                { "SPDXID": "SPDXRef-1", "name": "openssl", "versionInfo": "3.0.1", "supplier": "Organization: OpenSSL Project (info@example.org)",
                  "externalRefs": [
                    { "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:generic/openssl@3.0.1" },
                    { "referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:openssl:openssl:3.0.1:*:*:*:*:*:*:*" },
                    { "referenceCategory": "SECURITY", "referenceType": "http://spdx.org/rdf/references/cpe22Type",
                      "referenceLocator": "cpe:/a:openssl:openssl:3.0.1" },
                    { "referenceCategory": "OTHER", "referenceType": "gitoid", "referenceLocator": "gitoid:blob:1" }] },
                { "SPDXID": "SPDXRef-2", "name": "@angular/core", "versionInfo": "NOASSERTION", "supplier": "NOASSERTION" }
            ],
            "relationships": [{ "spdxElementId": "SPDXRef-1", "relationshipType": "DEPENDS_ON", "relatedSpdxElement": "DocumentRef-os:SPDXRef-libc" }]
        });
        let sbom = read(document.to_string().as_bytes()).expect("reads");
        assert_eq!(sbom.parts.iter().map(Part::words).collect::<Vec<_>>(), ["@angular/core", "openssl 3.0.1"]);
        assert_eq!(sbom.elsewhere, ["DocumentRef-os (https://example.com/os)"]);
        let ssl = &sbom.parts[1];
        assert_eq!((ssl.purls.len(), ssl.cpes.len(), ssl.supplier.as_deref()), (1, 2, Some("OpenSSL Project")));
    }
}

#[test]
fn fld_1_elements_of_spdx_3_are_read_with_what_they_name() {
    let document = json!({
        "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
        "@graph": [
            { "type": "software_Package", "spdxId": "urn:1", "name": "openssl", "software_packageVersion": "3.0.1", "creationInfo": "_:c",
              "software_packageUrl": "pkg:generic/openssl@3.0.1", "suppliedBy": ["urn:vendor"],
              "externalIdentifier": ["_:cpe", { "type": "ExternalIdentifier", "externalIdentifierType": "cpe22", "identifier": "cpe:/a:openssl:openssl" }] },
            { "type": "ExternalIdentifier", "@id": "_:cpe", "externalIdentifierType": "cpe23",
              "identifier": "cpe:2.3:a:openssl:openssl:3.0.1:*:*:*:*:*:*:*" },
            { "type": "Organization", "spdxId": "urn:vendor", "name": "OpenSSL Project" },
            { "type": "CreationInfo", "@id": "_:c", "specVersion": "3.0.1" },
            { "type": "SpdxDocument", "spdxId": "urn:d", "name": "d", "import": ["urn:map"] },
            { "type": "ExternalMap", "spdxId": "urn:map", "externalSpdxId": "urn:other" },
            { "type": "software_File", "spdxId": "urn:f", "name": "main.c" },
            { "type": "Relationship", "from": "urn:1", "to": ["urn:f"], "relationshipType": "contains" }
        ]
    });
    let sbom = read(document.to_string().as_bytes()).expect("reads");
    assert_eq!((sbom.format.as_str(), sbom.parts.len(), sbom.elsewhere.len()), ("SPDX 3.0.1", 1, 1));
    let part = &sbom.parts[0];
    assert_eq!((part.words().as_str(), part.supplier.as_deref()), ("openssl 3.0.1", Some("OpenSSL Project")));
    assert_eq!((part.purls.len(), part.cpes.len()), (1, 2));
}

#[test]
fn fld_1_what_is_not_read_is_refused_by_its_name() {
    let library = json!({ "components": [{ "type": "library", "name": "a" }] });
    for (document, words) in [
        (cyclonedx("1.8", library.clone()).to_string(), "CycloneDX \"1.8\" is not read"),
        (r#"{"bomFormat":"CycloneDX","specVersion":"2.0","components":{"new":1}}"#.into(), "CycloneDX \"2.0\" is not read"),
        (cyclonedx("", library.clone()).to_string(), "CycloneDX without a specVersion is not read"),
        (json!({ "bomFormat": "OtherBOM", "specVersion": "1.4" }).to_string(), "the format \"OtherBOM\" is not read"),
        (json!({ "spdxVersion": "SPDX-2.1", "packages": [] }).to_string(), "\"SPDX-2.1\" is not read"),
        (json!({ "@context": "https://spdx.org/rdf/3.1/c", "@graph": [] }).to_string(), "the context https://spdx.org/rdf/3.1/c is not read"),
        (json!({ "@context": "https://spdx.org/rdf/3.0.1/c", "@graph": [{ "type": "CreationInfo", "specVersion": "4.0" }] }).to_string(), "SPDX \"4.0\""),
        (library.to_string(), "neither bomFormat nor spdxVersion"),
        (json!({ "spdxVersion": "SPDX-2.3", "bomFormat": "CycloneDX", "specVersion": "1.5", "packages": [] }).to_string(), "two formats"),
        ("<?xml version=\"1.0\"?><bom/>".into(), "in XML is not read"),
        ("SPDXVersion: SPDX-2.3\n".into(), "tag and value is not read"),
        ("[]".into(), "not a JSON object"),
        ("".into(), "not a JSON object"),
        (cyclonedx("1.5", json!({ "components": [] })).to_string(), "names no part"),
        (cyclonedx("1.5", json!({ "components": [{ "type": "library", "version": "1" }] })).to_string(), "a part has no name"),
        (cyclonedx("1.5", json!({ "components": [{ "type": "library", "name": "a\nb" }] })).to_string(), "control characters"),
        (cyclonedx("1.5", json!({ "components": [{ "name": "a".repeat(FIELD_BYTES_MAX + 1) }] })).to_string(), "more than 2048 bytes"),
        (r#"{"bomFormat":"CycloneDX","specVersion":"1.5","components":[],"components":[]}"#.into(), "duplicate key \"components\""),
        (r#"{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"name":"a","name":"b"}]}"#.into(), "duplicate key \"name\""),
        (r#"{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"name":"a"}"#.into(), "EOF"),
        (r#"{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"name":"a"}]} more"#.into(), "trailing"),
    ] {
        assert!(refused(&document).contains(words), "{document}: {}", refused(&document));
    }
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain("{}".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(refused(utf16).contains("UTF-16"));
    let marked = format!("\u{feff}{}", cyclonedx("1.5", json!({ "components": [{ "name": "a" }] })));
    assert_eq!(read(marked.as_bytes()).expect("reads").parts.len(), 1);
}

/// Both formats say that a version is a string; a part without one counts as every version.
#[test]
fn fld_1_a_fraction_as_a_version_is_no_version() {
    let cyclonedx = |version: &str| {
        format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{{"name":"a","version":{version}}}]}}"#)
    };
    let spdx =
        |version: &str| format!(r#"{{"spdxVersion":"SPDX-2.3","packages":[{{"name":"a","versionInfo":{version}}}]}}"#);
    let spdx3 = |version: &str| {
        format!(
            r#"{{"@context":"https://spdx.org/rdf/3.0.1/c",
                "@graph":[{{"type":"software_Package","name":"a","software_packageVersion":{version}}}]}}"#
        )
    };
    for (version, words) in
        [("1.10", "a"), ("3", "a 3"), (r#""1.10""#, "a 1.10"), ("1e1", "a"), ("null", "a"), ("[1]", "a")]
    {
        for document in [cyclonedx(version), spdx(version), spdx3(version)] {
            let parts = read(document.as_bytes()).expect("reads").parts;
            assert_eq!(parts.iter().map(Part::words).collect::<Vec<_>>(), [words], "{document}");
            assert!(PartQuery::named("a", Some("1.10".into())).holds(&parts[0]) || words == "a 3", "a recall finds it");
        }
    }
}

#[test]
fn fld_1_the_texts_of_one_part_have_a_bound() {
    let url = |n: usize| format!("pkg:generic/a@{n}?x={}", "y".repeat(1_000));
    let part = |purls: usize| Part { purls: (0..purls).map(url).collect(), ..Part::new("a", Some("1")) };
    part(24).check().expect("below 24 KiB");
    let error = part(25).check().expect_err("above").to_string();
    assert!(error.contains("the part \"a\": its texts have more than 24576 bytes"), "{error}");
}

#[test]
fn fld_1_hostile_documents_meet_bounds() {
    let deep = format!(
        r#"{{"bomFormat":"CycloneDX","specVersion":"1.5","components":{}"#,
        r#"[{"name":"a","components":"#.repeat(50_000)
    );
    assert!(refused(deep).contains("recursion limit"));
    let ignored = format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.5","x":{}"#, "[".repeat(1_000_000));
    assert!(refused(ignored).contains("EOF"), "what is not read needs no stack");
    let many: Vec<Value> = (0..=PARTS_MAX).map(|n| json!({ "name": n.to_string() })).collect();
    assert!(
        refused(cyclonedx("1.5", json!({ "components": many })).to_string())
            .contains("more than 50000 different parts")
    );
    let wide: Vec<Value> = (0..7_000).map(|n| json!({ "name": format!("{n}{}", "x".repeat(2_000)) })).collect();
    assert!(refused(cyclonedx("1.5", json!({ "components": wide })).to_string()).contains("too large"));
    let (head, tail) = (r#"{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"name":"a"}],"x":""#, r#""}"#);
    let of = |bytes: u64| {
        let fill = bytes - (head.len() + tail.len()) as u64;
        head.as_bytes().chain(std::io::repeat(b'x').take(fill)).chain(tail.as_bytes())
    };
    assert_eq!(read(of(DOCUMENT_BYTES_MAX)).expect("64 MiB are read").parts.len(), 1);
    assert!(matches!(read(of(DOCUMENT_BYTES_MAX + 1)), Err(SbomError::TooLarge(_))));
}

#[test]
fn fld_2_the_update_of_a_cpe_belongs_to_its_version() {
    let part = |version: Option<&str>, cpe: &str| Part {
        name: "openssl".into(),
        version: version.map(str::to_owned),
        group: None,
        purls: vec![],
        cpes: vec![cpe.to_owned()],
        supplier: None,
    };
    let split = part(None, "cpe:2.3:a:openssl:openssl:1.1.1:k:*:*:*:*:*:*");
    let both = part(Some("1.1.1"), "cpe:/a:openssl:openssl:1.1.1:k");
    let joined = part(Some("1.1.1k"), "cpe:2.3:a:openssl:openssl:1.1.1k:*:*:*:*:*:*:*");
    let other = part(None, "cpe:2.3:a:openssl:openssl:1.1.1:c:*:*:*:*:*:*");
    let cpe = |version: &str| PartQuery {
        cpe: Some(format!("cpe:2.3:a:openssl:openssl:{version}:*:*:*:*:*:*")),
        ..PartQuery::default()
    };
    let range = PartQuery { versions: Some(">1.1.1d, <1.1.1l".parse().expect("a range")), ..cpe("*:*") };
    let letter = PartQuery::named("openssl", Some("1.1.1k".into()));
    for query in [cpe("1.1.1:k"), cpe("1.1.1k:*"), range, letter] {
        for found in [&split, &both, &joined] {
            assert!(query.holds(found), "{query:?} {found:?}");
        }
        assert!(!query.holds(&other), "{query:?}");
    }
    for found in [&split, &both, &other] {
        assert!(cpe("1.1.1:*").holds(found), "any update of that version");
    }
    assert!(!cpe("1.1.0:*").holds(&split));
}

#[test]
fn fld_1_parts_are_found_by_name_purl_cpe_and_version() {
    let part = |group: Option<&str>, name: &str, version: Option<&str>, purl: &str, cpe: &str| Part {
        group: group.map(str::to_owned),
        purls: (!purl.is_empty()).then(|| purl.to_owned()).into_iter().collect(),
        cpes: (!cpe.is_empty()).then(|| cpe.to_owned()).into_iter().collect(),
        ..Part::new(name, version)
    };
    let core = part(Some("@angular"), "core", Some("17.1.0"), "pkg:npm/%40angular/core@17.1.0", "");
    let flat = part(None, "@angular/core", Some("17.1.0"), "", "");
    let ssl = part(None, "libssl3", Some("3.0.1-1"), "pkg:deb/debian/libssl3@3.0.1-1?arch=arm64&upstream=openssl", "");
    let named = part(None, "OpenSSL", Some("3.0.1"), "", "cpe:2.3:a:openssl:openssl:3.0.1:*:*:*:*:*:*:*");
    let log4j = part(
        Some("org.apache.logging.log4j"),
        "log4j-core",
        Some("2.14.1"),
        "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1",
        "",
    );
    let rust = part(None, "serde_json", None, "pkg:cargo/serde_json@1.0.100", "");
    let bare = part(None, "zlib", None, "", "");
    let query = |change: &dyn Fn(&mut PartQuery)| {
        let mut query = PartQuery::default();
        change(&mut query);
        query.check().expect("a query");
        query
    };
    let named_so = |name: &str| query(&|q| q.name = Some(name.into()));
    for (query, finds, misses) in [
        (named_so("core"), vec![&core, &flat], vec![&log4j, &ssl]),
        (named_so("@angular/core"), vec![&core, &flat], vec![&log4j]),
        (named_so("Angular/Core"), vec![&core, &flat], vec![&log4j]),
        (named_so("openssl"), vec![&ssl, &named], vec![&bare]),
        (named_so("org.apache.logging.log4j:log4j-core"), vec![&log4j], vec![&core]),
        (named_so("Serde-JSON"), vec![&rust], vec![&bare]),
        (query(&|q| (q.name, q.group) = (Some("core".into()), Some("@angular".into()))), vec![&core, &flat], vec![]),
        (query(&|q| (q.name, q.group) = (Some("core".into()), Some("@vue".into()))), vec![], vec![&core, &flat]),
        (query(&|q| q.purl = Some("pkg:npm/%40angular/core".into())), vec![&core], vec![&flat, &log4j]),
        (query(&|q| q.purl = Some("pkg:npm/@angular/core@17.1.0".into())), vec![&core], vec![&flat]),
        (query(&|q| q.purl = Some("pkg:npm/%40angular/core@17.1.1".into())), vec![], vec![&core]),
        (query(&|q| q.purl = Some("pkg:deb/debian/libssl3@3.0.1-1".into())), vec![&ssl], vec![&named]),
        (query(&|q| q.cpe = Some("cpe:2.3:a:openssl:openssl:*:*:*:*:*:*:*:*".into())), vec![&named], vec![&ssl]),
        (query(&|q| q.cpe = Some("cpe:/a:OpenSSL:OpenSSL:3.0.1".into())), vec![&named], vec![&ssl]),
        (query(&|q| q.cpe = Some("cpe:2.3:a:openssl:openssl:3.0.2:*:*:*:*:*:*:*".into())), vec![], vec![&named]),
        (query(&|q| (q.name, q.version) = (Some("openssl".into()), Some("3.0.1".into()))), vec![&named], vec![]),
        (
            query(&|q| (q.name, q.versions) = (Some("openssl".into()), "<3.0.7".parse().ok())),
            vec![&named, &ssl],
            vec![],
        ),
        (
            query(&|q| (q.name, q.versions) = (Some("log4j-core".into()), ">=2.0,<2.9".parse().ok())),
            vec![],
            vec![&log4j],
        ),
        (query(&|q| (q.name, q.versions) = (Some("serde_json".into()), ">=1.0.99".parse().ok())), vec![&rust], vec![]),
        // Of a part without a version nobody knows that it is another one.
        (query(&|q| (q.name, q.version) = (Some("zlib".into()), Some("1.2.11".into()))), vec![&bare], vec![]),
    ] {
        finds.iter().for_each(|part| assert!(query.holds(part), "{query:?} finds {part:?}"));
        misses.iter().for_each(|part| assert!(!query.holds(part), "{query:?} does not find {part:?}"));
    }
    for bad in [
        PartQuery::default(),
        PartQuery { group: Some("g".into()), ..PartQuery::default() },
        PartQuery { purl: Some("npm/core".into()), ..PartQuery::default() },
        PartQuery { cpe: Some("cpe:2.3:a:openssl".into()), ..PartQuery::default() },
        PartQuery { version: Some("1".into()), versions: "1".parse().ok(), ..PartQuery::named("a", None) },
        PartQuery::named(" ", None),
        PartQuery::named("a\u{7}", None),
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}:,\"nameomponets1.5CyDX @graph]{0,80}") {
        let _ = read(bytes.as_slice());
        let _ = read(format!("{{{text}").as_bytes());
    }

    #[test]
    fn no_identifier_makes_the_search_panic(a in ".{0,40}", b in "(pkg:|cpe:2.3:|cpe:/)[a-z%@/:*?&=\\\\é-]{0,30}") {
        let query = PartQuery { name: Some(a.clone()), purl: Some(b.clone()), cpe: Some(b.clone()), ..PartQuery::default() };
        let part = Part { purls: vec![b.clone(), a.clone()], cpes: vec![b, a.clone()], ..Part::new(a, None) };
        let _ = (query.check(), query.holds(&part));
    }
}

/// Documents of real tools, made from this project's own packages (tests/fixtures/sbom/README.md).
#[test]
fn fld_1_documents_of_real_tools_are_read_and_found() {
    macro_rules! document {
        ($name:literal) => {
            ($name, &include_bytes!(concat!("../../../tests/fixtures/sbom/", $name))[..])
        };
    }
    for ((name, bytes), format) in [
        (document!("cargo-cyclonedx-1.3.cdx.json"), "CycloneDX 1.3"),
        (document!("cargo-cyclonedx-1.5.cdx.json"), "CycloneDX 1.5"),
        (document!("cargo-sbom.cdx.json"), "CycloneDX 1.6"),
        (document!("cargo-sbom-2.3.spdx.json"), "SPDX 2.3"),
        (document!("cdxgen-1.4.cdx.json"), "CycloneDX 1.4"),
        (document!("cdxgen-1.7.cdx.json"), "CycloneDX 1.7"),
        (document!("cdxgen-3.0.spdx.json"), "SPDX 3.0.1"),
        (document!("sbom4rust.spdx.json"), "SPDX 2.3"),
    ] {
        let sbom = read(bytes).expect(name);
        assert_eq!(sbom.format, format, "{name}");
        let find = |query: PartQuery| {
            query.check().expect("a query");
            sbom.parts.iter().filter(|p| query.holds(p)).count()
        };
        let purl = |text: &str| PartQuery { purl: Some(text.into()), ..PartQuery::default() };
        assert_eq!(find(PartQuery::named("postcard", None)), 1, "{name}");
        assert_eq!(find(PartQuery::named("Serde-JSON", None)), 1, "{name}");
        assert_eq!(find(purl("pkg:cargo/postcard")), 1, "{name}");
        assert_eq!(find(purl("pkg:cargo/postcard@0.0.1")), 0, "{name}");
        let between = PartQuery { versions: ">=1,<2".parse().ok(), ..PartQuery::named("postcard", None) };
        assert_eq!(find(between), 1, "{name}");
        assert_eq!(find(PartQuery { versions: "<1".parse().ok(), ..PartQuery::named("postcard", None) }), 0, "{name}");
    }
}
