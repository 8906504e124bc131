//! That documents speak of what is there.

use super::{files, root};

/// The pages for people: the documents, and those of the root.
fn guides() -> impl Iterator<Item = (String, String)> {
    ["docs", "README.md", "CONTRIBUTING.md"].into_iter().flat_map(|place| files(place, ".md"))
}

#[test]
fn links_between_documents_lead_somewhere() {
    for (path, text) in files(".", ".md") {
        let dir = root().join(&path).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            assert!(dir.join(target).exists(), "{path} links to {target}, which is not there");
        }
    }
}

#[test]
fn paths_in_backquotes_exist() {
    for (path, text) in guides() {
        for word in text.split('`').skip(1).step_by(2) {
            let is_path = ["shared/", "agent/", "coordinator/", "simulators/", "tests/", "packaging/", "docs/"]
                .iter()
                .any(|folder| word.starts_with(folder))
                && !word.contains([' ', '<', '*', '{', '…']);
            if is_path {
                assert!(root().join(word).exists(), "{path} speaks of {word}, which is not there");
            }
        }
    }
}

/// Rows of `docs/cli.md` that say what people met at the command line.
const ROWS_MET: usize = 32;

#[test]
fn cli_28_every_row_that_was_met_names_its_test() {
    let page = std::fs::read_to_string(root().join("docs/cli.md")).unwrap();
    let table = page.split("| row | what was met | a test of it |\n").nth(1).unwrap_or_default();
    let sources = files(".", ".rs");
    for n in 1..=ROWS_MET {
        let row = table.lines().find(|line| line.starts_with(&format!("| {n} |"))).unwrap_or_default();
        let name = row.split('`').rev().nth(1).unwrap_or_default();
        assert!(name.starts_with(&format!("cli_{n}_")), "docs/cli.md, row {n}: {row}");
        let test = format!("#[test]\nfn {name}()");
        let is_it = |text: &String| text.replace("\n    ", "\n").contains(&test);
        assert!(sources.iter().any(|(_, text)| is_it(text)), "{name} is not a test");
    }
}

#[test]
fn make_targets_in_documents_exist() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    for (path, text) in guides() {
        for word in text.split('`').skip(1).step_by(2).filter_map(|w| w.strip_prefix("make ")) {
            let target = word.split_whitespace().find(|w| !w.contains('=')).unwrap_or_default();
            assert!(makefile.contains(&format!("\n{target}:")), "{path} speaks of make {target}");
        }
    }
}

/// A command in a document is run by the package test or an end-to-end test, or the document says that it is not.
#[test]
fn every_command_in_a_document_is_run_or_marked_illustrative() {
    for (path, text) in files("docs", ".md") {
        for fence in text.lines().filter(|l| l.starts_with("```sh")) {
            assert!(["```sh run", "```sh illustrative"].contains(&fence), "{path}: {fence}");
        }
    }
    let steps = ["tests/packages/run", "tests/e2e/api.rs", "tests/e2e/documents.rs"]
        .map(|f| std::fs::read_to_string(root().join(f)).unwrap());
    for (path, text) in files("docs", ".md") {
        let page = path.trim_start_matches("docs/").trim_end_matches(".md");
        if text.contains("```sh run") {
            assert!(steps.iter().any(|s| s.contains(page)), "no test runs the commands of {path}");
        }
    }
}

/// What several pages say of the real installation is one number.
#[test]
fn cli_27_every_page_says_the_same_number_of_commands() {
    let page = |name: &str| std::fs::read_to_string(root().join("docs").join(name)).unwrap();
    let (start, cli) = (page("start.md"), page("cli.md"));
    let row = start.lines().find(|line| line.starts_with("| [real installation]")).unwrap();
    let steps = row.split('|').nth(3).unwrap().trim().trim_end_matches(" commands");
    let rows: Vec<&str> =
        cli.lines().filter(|line| line.starts_with("| ") && line.contains("real installation")).collect();
    let table = rows.iter().find(|line| line.starts_with("| real installation, key ceremony")).unwrap();
    assert_eq!(table.split('|').nth(2).unwrap().trim(), steps);
    let first = rows.iter().find(|line| line.contains("until the first device")).unwrap();
    assert!(first.contains(&format!("| {steps}, ")), "{first}");
}

#[test]
fn cli_14_pages_use_the_spellings_of_today() {
    for (path, text) in files("docs", ".md").into_iter().filter(|(path, _)| path != "docs/cli-reference.md") {
        for old in ["firmware sbom RELEASE --file", "firmware sbom RELEASE --save"] {
            assert!(!text.contains(old), "{path}: {old}");
        }
    }
}

/// Each finding of the hostile readings has a row that names tests; one that was found by running a program has a test that attacks the programs.
#[test]
fn sec_17_every_finding_has_its_row_and_its_attack() {
    let page = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let (tests, rules) = (super::trace::named_tests(), files("tests/tidy", ".rs"));
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| SEC-"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let ids: Vec<String> = rows.iter().map(|row| row[0].to_owned()).collect();
    assert_eq!(ids, (1..=25).map(|n| format!("SEC-{n}")).collect::<Vec<_>>());
    for row in rows {
        let [id, what, .., attacked, held] = row[..] else { panic!("{row:?}") };
        for (cell, only_programs) in [(attacked, true), (held, false)] {
            for name in cell.split('`').skip(1).step_by(2) {
                let files: Vec<&String> = tests.iter().filter(|(_, test)| test == name).map(|(file, _)| file).collect();
                let is_rule = rules.iter().any(|(_, text)| text.contains(&format!("fn {name}() {{")));
                assert!(!files.is_empty() || is_rule, "{id}: there is no test {name}");
                assert!(!only_programs || files.iter().any(|file| file.starts_with("tests/e2e/")), "{id}: {name}");
            }
        }
        let is_read = what.ends_with("(read)");
        assert!(is_read || attacked.contains('`'), "{id} was found by running, and no test attacks the programs");
        assert!(held.contains('`'), "{id}: nothing holds it");
    }
}
