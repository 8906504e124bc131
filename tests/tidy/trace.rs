//! Which test stands for which requirement: `docs/validation.md` is made from the tests' names and words, and must be up to date.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mdfm_shared::waiting::WaitCode;

use super::{files, root};

/// The start that the name of a test of this requirement has: `P11-10a` gives `p11_10a`, `NIST-193-P/D/R` gives `nist_193`.
fn stem(id: &str) -> String {
    let one = match id.split_once('/') {
        Some((head, _)) => head.rsplit_once('-').map_or(head, |(start, _)| start),
        None => id.split(',').next().unwrap_or(id),
    };
    one.to_lowercase().replace(['-', '.'], "_")
}

/// Whether a line says that a test follows, with or without a runtime of its own.
fn begins_test(line: &str) -> bool {
    line == "#[test]" || line.starts_with("#[tokio::test") || line.starts_with("proptest!")
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?.split('(').next()
}

/// Every test as `file: name` with the text of its body.
fn tests() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (path, text) in files(".", ".rs") {
        if path.starts_with("tests/tidy") {
            continue;
        }
        let mut is_test = false;
        for line in text.lines() {
            let trimmed = line.trim_start();
            if begins_test(trimmed) {
                is_test = true;
            }
            let name = function(trimmed);
            if let Some(name) = name {
                if is_test {
                    found.push((format!("{path}: `{name}`"), name.to_owned()));
                }
                is_test = false;
            } else if let Some((_, body)) = found.last_mut() {
                body.push_str(line);
                body.push('\n');
            }
        }
    }
    found
}

/// Every test as `file: name`, and its name.
pub(super) fn named_tests() -> Vec<(String, String)> {
    let name = |title: &str| title.split('`').nth(1).unwrap_or_default().to_owned();
    tests().into_iter().map(|(title, _)| (title.clone(), name(&title))).collect()
}

fn table() -> String {
    let list = std::fs::read_to_string(root().join("docs/validation/requirements.txt")).unwrap();
    let tests = tests();
    let mut text = String::from(
        "# Validation: requirement → tests\n\nFor inspectors and the vendor's quality staff: after this page you know which test stands for which requirement.\n\nMade by `make trace` from the tests themselves; the demands are in\n\
         `docs/validation/requirements.txt`. A row without a test is not claimed. Rows marked procedural stay with the operator's\n\
         organisation.\n\n| id | demand | tests |\n|---|---|---|\n",
    );
    let mut covered = 0;
    let mut rows = 0;
    for line in list.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let (id, demand) = line.split_once('\t').unwrap();
        let stem = stem(id);
        let mut of: BTreeMap<&str, ()> = BTreeMap::new();
        for (title, body) in &tests {
            let name = body.lines().next().unwrap_or_default();
            let named = name.strip_prefix(&stem).is_some_and(|rest| rest.starts_with('_'))
                || name.split("_and_").any(|part| part == stem.trim_start_matches("att_"));
            let said = body
                .match_indices(id)
                .any(|(at, _)| !body[at + id.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()));
            if named || said {
                of.insert(title, ());
            }
        }
        rows += 1;
        covered += usize::from(!of.is_empty());
        let tests: Vec<&str> = of.into_keys().collect();
        let _ =
            writeln!(text, "| {id} | {demand} | {} |", if tests.is_empty() { "—".into() } else { tests.join("<br>") });
    }
    let _ = writeln!(text, "\n{covered} of {rows} rows have a test.");
    text
}

#[test]
fn the_validation_table_is_up_to_date() {
    let path = root().join("docs/validation.md");
    let table = table();
    if std::env::var_os("MDFM_WRITE").is_some() {
        std::fs::write(&path, table).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == table, "docs/validation.md is not what the tests say; run `make trace`");
}

#[test]
fn tests_with_a_runtime_are_traced_too() {
    for line in ["#[test]", "#[tokio::test]", "#[tokio::test(start_paused = true)]", "proptest! {"] {
        assert!(begins_test(line), "{line}");
    }
    assert!(!begins_test("#[cfg(test)]") && !begins_test("// #[test]"));
    assert_eq!(function("async fn a_b(x: u8) {"), Some("a_b"));
    assert_eq!(function("fn a_b() {"), Some("a_b"));
    assert_eq!(function("let f = async || ();"), None);
    let found: Vec<String> = tests().into_iter().map(|(title, _)| title).collect();
    let paced = std::fs::read_to_string(root().join("shared/service/src/pace.rs")).unwrap();
    let name = paced.split("#[tokio::test(start_paused = true)]").nth(1).unwrap().split("fn ").nth(1).unwrap();
    let name = name.split('(').next().unwrap();
    assert!(found.iter().any(|title| title.contains(name)), "{name} is not traced");
}

/// Codes that the coordinator finds itself. Its tests provoke several of them one after the other.
const REASONS_OF_THE_COORDINATOR: [WaitCode; 12] = [
    WaitCode::Consent,
    WaitCode::Decision,
    WaitCode::Signature,
    WaitCode::Monitoring,
    WaitCode::Gate,
    WaitCode::Phase,
    WaitCode::Devices,
    WaitCode::Approvals,
    WaitCode::TrustNotFresh,
    WaitCode::GatewaySilent,
    WaitCode::GatewayMissing,
    WaitCode::TelemetryRefused,
];

/// Each reason for which something waits is provoked by a test that names the code in what it asserts: those of the gateway each by a test
/// of its own, `fld_14_<code>`, those of the coordinator by the tests of its core about waits.
#[test]
fn fld_14_every_reason_to_wait_is_provoked_by_a_test() {
    let tests = tests();
    for code in WaitCode::ALL {
        let (folder, name) = if REASONS_OF_THE_COORDINATOR.contains(code) {
            ("coordinator/core/src/desk/tests/wait", "_14_".to_owned())
        } else {
            ("agent/core/src/", format!("`fld_14_{}`", code.name().replace('-', "_")))
        };
        let (variant, quoted) = (format!("WaitCode::{code:?}"), format!("\"{code}\""));
        let ends = |rest: &str| !rest.starts_with(char::is_alphanumeric);
        let names_it = |body: &str| {
            body.contains(&quoted) || body.match_indices(&variant).any(|(at, _)| ends(&body[at + variant.len()..]))
        };
        let is_provoked =
            |(place, body): &(String, String)| place.starts_with(folder) && place.contains(&name) && names_it(body);
        assert!(tests.iter().any(is_provoked), "{code}: no test {name} of {folder} asserts {variant}");
    }
}
