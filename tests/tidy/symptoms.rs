//! docs/troubleshooting.md: every row has its three answers, every symptom its test, and every refusal that is nobody's fault in writing its
//! row.

use std::collections::BTreeSet;

use mdfm_shared::fixture::page::{Row, rows, rows_of};
use mdfm_shared::waiting::WaitCode;

use super::{files, root, without_tests};

const REFUSED: &str = "Somebody is refused";
const WAITS: &str = "A device is not updated";
const AGENT: &str = "An agent refuses";
const SELF_TEST: &str = "The self-test of a gateway fails";
/// Its words are compared in coordinator/core/src/desk/tests/pages.rs.
const FINDINGS: &str = "A finding about a gateway's telemetry";

/// Codes of a refusal that no test provokes, each with the reason.
const NOT_PROVOKED: [(&str, &str); 5] = [
    (
        "malformed-sbom",
        "mdfmctl reads a bill of materials before it sends it; shared/src/sbom/tests.rs has what is not taken",
    ),
    ("no-account", "an account is removed between the sign-in and the signature"),
    ("no-peer", "a fault of the program"),
    ("storage-full", "takes a disk that fills during an upload"),
    ("too-busy", "takes more passwords at one moment than the machine has threads"),
];

/// The string literals that follow `call` in code, with whitespace in between.
fn literals_after<'t>(text: &'t str, call: &str) -> Vec<&'t str> {
    let literal = |rest: &'t str| rest.trim_start().strip_prefix('"')?.split('"').next();
    text.split(call).skip(1).filter_map(literal).collect()
}

/// Section and start of every `symptom(…)` in the tests of all crates.
fn compared() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (_, text) in files(".", ".rs") {
        for call in text.split("symptom(").skip(1) {
            let mut words = call.split('"');
            if let (Some(before), Some(section), Some(between), Some(start)) =
                (words.next(), words.next(), words.next(), words.next())
                && before.trim().is_empty()
                && between.trim() == ","
            {
                found.insert((section.to_owned(), start.to_owned()));
            }
        }
    }
    found
}

/// The text of all tests: files of tests, and what stands behind `#[cfg(test)]`.
fn test_text() -> String {
    let is_test = |path: &str| path.starts_with("tests/e2e") || path.contains("/tests/") || path.ends_with("tests.rs");
    let of = |(path, text): (String, String)| match text.split_once("#[cfg(test)]") {
        _ if path.starts_with("tests/tidy") => String::new(),
        _ if is_test(&path) => text,
        Some((_, tests)) => tests.to_owned(),
        None => String::new(),
    };
    files(".", ".rs").into_iter().map(of).collect()
}

/// Whether a literal of the tests begins with this code.
fn is_in(tests: &str, code: &str) -> bool {
    ["\"", ":"].iter().any(|end| tests.contains(&format!("\"{code}{end}")))
}

/// The codes that the rows of a section quote.
fn codes(section: &str) -> BTreeSet<String> {
    let of = |row: Row| row.quotes().map(str::to_owned).collect::<Vec<_>>();
    rows().into_iter().filter(|row| row.section == section).flat_map(of).collect()
}

#[test]
fn cli_14_every_symptom_of_the_page_has_its_test() {
    let (compared, tests) = (compared(), test_text());
    let mut missing = Vec::new();
    for row in rows().iter().filter(|row| ![WAITS, SELF_TEST, FINDINGS].contains(&row.section.as_str())) {
        for quote in row.quotes() {
            let is_compared = compared
                .iter()
                .any(|(section, start)| row.section.starts_with(section.as_str()) && quote.starts_with(start.as_str()));
            let is_code = [REFUSED, AGENT].contains(&row.section.as_str()) && !quote.contains(' ');
            let is_named = is_code && (is_in(&tests, quote) || NOT_PROVOKED.iter().any(|(code, _)| *code == quote));
            if !is_compared && !is_named {
                missing.push(format!("{}: {quote}", row.section));
            }
        }
    }
    assert!(missing.is_empty(), "no test has symptom(section, start) for these: {missing:#?}");
    let shown = codes(REFUSED);
    for (code, why) in NOT_PROVOKED {
        assert!(shown.contains(code) && !why.is_empty(), "{code} is no row any more");
        assert!(!is_in(&tests, code), "a test provokes {code} now: take it off the list");
    }
}

/// Rows that quote no words of a program, because it shows none, each with the file whose test provokes it and repeats the cell.
const WITHOUT_WORDS: [(&str, &str); 3] = [
    ("1", "tests/e2e/exit_codes.rs"),
    ("inactive, \"condition\"", "tests/tidy/symptoms.rs"),
    ("no \"observed\" side for a device", "coordinator/console/src/pages/devices.rs"),
];

#[test]
fn cli_14_a_row_without_words_has_its_test_too() {
    let rows = rows();
    let without: Vec<&str> =
        rows.iter().filter(|row| row.quotes().next().is_none()).map(|row| row.cells[0].as_str()).collect();
    assert_eq!(without, WITHOUT_WORDS.map(|(cell, _)| cell));
    for (cell, file) in WITHOUT_WORDS {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(&format!("{cell:?}")), "{file} does not provoke {cell}");
    }
}

/// What has not been set up is not started, and is no failure: `systemctl status` shows "condition".
#[test]
fn cli_14_a_service_that_is_not_set_up_is_not_started() {
    for (service, missing) in [
        ("mdfm-agent", "|/var/lib/mdfm-agent/identity.json"),
        ("mdfm-coordinator", "/var/lib/mdfm-coordinator/log"),
        ("mdfm-witness", "/var/lib/mdfm-witness/witness.key"),
    ] {
        let unit = std::fs::read_to_string(root().join(format!("packaging/systemd/{service}.service"))).unwrap();
        let section = unit.split("\n[Service]").next().unwrap();
        let conditions: Vec<&str> = section.lines().filter_map(|l| l.strip_prefix("ConditionPathExists=")).collect();
        assert!(conditions.contains(&missing), "{service}: {conditions:?}");
        // An assertion would be a failure, and a restart would try for ever.
        assert!(!unit.contains("\nAssert"), "{service}");
    }
}

#[test]
fn cli_14_every_row_says_why_and_what_to_do() {
    for row in rows() {
        assert!(row.cells.len() >= 3, "{}: {:?} lacks a column", row.section, row.cells);
        assert!(row.cells.iter().all(|cell| !cell.is_empty()), "{}: {:?}", row.section, row.cells);
    }
}

/// Every reason for which something waits has its row, with the words that the programs say.
#[test]
fn cli_14_the_troubleshooting_page_has_every_reason() {
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.section == WAITS).collect();
    let named: Vec<&str> = rows.iter().map(|row| row.cells[0].trim_matches('`')).collect();
    let codes: Vec<&str> = WaitCode::ALL.iter().map(WaitCode::name).collect();
    assert_eq!(named, codes, "the rows stand in the order of the codes");
    for (row, code) in rows.iter().zip(WaitCode::ALL) {
        assert_eq!(row.cells.len(), 4, "{code}");
        assert_eq!(row.cells[1], code.summary(), "{code}");
    }
}

/// Who is refused for what they are, or at the wrong moment, reads there what to do; the rest names a field or a document.
#[test]
fn cli_14_every_refusal_of_a_person_has_its_row() {
    let shown = codes(REFUSED);
    let elsewhere: BTreeSet<String> = rows().iter().flat_map(Row::quotes).map(str::to_owned).collect();
    let mut found = 0;
    for (path, text) in files("coordinator", ".rs") {
        if path.contains("/tests/") || path.ends_with("tests.rs") || path.contains("/rehearsal/") {
            continue;
        }
        let code = without_tests(&text);
        let mut named = literals_after(code, "Refusal::forbidden(");
        for class in ["Unauthenticated", "TooOften", "Unavailable", "NoRoom"] {
            named.extend(literals_after(code, &format!("Class::{class},")));
        }
        for code in named {
            found += 1;
            assert!(shown.contains(code) || elsewhere.contains(code), "{path}: {code} is not on the page");
        }
    }
    assert!(found > 40, "{found}");
}

/// The variants of an enum as they stand in JSON.
fn variants(file: &str, name: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let body = text.split(&format!("pub enum {name} {{")).nth(1).unwrap().split("\n}").next().unwrap().to_owned();
    let variant = |line: &str| {
        let name = line.trim().trim_end_matches(',');
        let (first, rest) = name.split_at_checked(1)?;
        (!first.starts_with(|c: char| !c.is_ascii_uppercase())).then(|| format!("{}{rest}", first.to_lowercase()))
    };
    body.lines().filter_map(variant).collect()
}

/// What stands in the first column of the tables of a section of a page.
fn first_column(page: &str, section: &str) -> BTreeSet<String> {
    let cell = |row: &Row| row.cells[0].split('`').nth(1).unwrap_or_default().to_owned();
    let rows = rows_of(page);
    rows.iter().filter(|row| row.section == section && row.cells[0].starts_with('`')).map(cell).collect()
}

#[test]
fn cli_14_kinds_of_findings_and_notices_are_on_their_pages() {
    let findings = variants("coordinator/core/src/fleet.rs", "AnomalyKind");
    assert_eq!(first_column("troubleshooting.md", FINDINGS), findings);
    let notices = variants("coordinator/core/src/notice.rs", "NoticeKind");
    assert!(notices.len() > 20, "{notices:?}");
    assert_eq!(first_column("operate.md", "Who is notified of what"), notices);
    // Some rows have several kinds.
    let differences = variants("coordinator/core/src/inventory.rs", "DifferenceKind");
    let shown: BTreeSet<String> = rows_of("operate.md")
        .iter()
        .filter(|row| row.section == "What stands in the ward")
        .flat_map(|row| row.quotes().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(shown, differences);
}

/// Each kind of finding is provoked by a test of the core that asserts it.
#[test]
fn cli_14_every_finding_is_provoked_by_a_test() {
    let tests: String = files("coordinator/core/src/desk/tests", ".rs").into_iter().map(|(_, text)| text).collect();
    for kind in variants("coordinator/core/src/fleet.rs", "AnomalyKind") {
        let variant = format!("AnomalyKind::{}{}", kind[..1].to_uppercase(), &kind[1..]);
        let ends = |rest: &str| !rest.starts_with(char::is_alphanumeric);
        let is_named = tests.match_indices(&variant).any(|(at, _)| ends(&tests[at + variant.len()..]));
        assert!(is_named, "no test asserts {variant}");
    }
}

#[test]
fn cli_14_every_check_of_the_self_test_has_its_row() {
    let source = std::fs::read_to_string(root().join("agent/src/self_test.rs")).unwrap();
    let checks = literals_after(without_tests(&source), " check(");
    let shown: Vec<String> = rows()
        .iter()
        .filter(|row| row.section == SELF_TEST)
        .flat_map(|row| row.quotes().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(shown, checks, "in the order of the program");
}

/// Every first word of an agent's event `refused` has its row.
#[test]
fn cli_14_everything_that_an_agent_refuses_has_its_row() {
    let shown = codes(AGENT);
    let mut found: BTreeSet<String> = BTreeSet::new();
    for (path, text) in files("agent", ".rs") {
        if path.contains("tests/") || path.ends_with("tests.rs") {
            continue;
        }
        for call in ["refused(", "Refused { what:"] {
            found.extend(literals_after(without_tests(&text), call).into_iter().map(str::to_owned));
        }
    }
    // In the tests of the agent's own store.
    let telemetry = std::fs::read_to_string(root().join("shared/src/telemetry.rs")).unwrap();
    for line in telemetry.lines().filter_map(|line| line.strip_prefix("pub const REFUSED_")) {
        found.extend(line.split('"').nth(1).map(str::to_owned));
    }
    // Not refusals: why something waits, with a code of its own, and the marks around what an earlier epoch recorded.
    assert!(found.remove("waiting") && found.remove("carried") && found.len() > 10, "{found:?}");
    let missing: Vec<&String> = found.iter().filter(|what| !shown.contains(*what)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
