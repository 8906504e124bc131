//! docs/ is a book: every page has its place in docs/SUMMARY.md and says at its beginning who reads it for what; links, pictures and names of
//! code lead somewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::{files, root};

/// The pages of the book, by their path below docs/, without the list itself.
fn pages() -> Vec<(String, String)> {
    let all = files("docs", ".md").into_iter().map(|(path, text)| (path.trim_start_matches("docs/").to_owned(), text));
    all.filter(|(path, _)| path != "SUMMARY.md").collect()
}

/// The text outside of fenced blocks.
fn prose(text: &str) -> String {
    text.split("\n```").step_by(2).collect()
}

/// Text and target of every link and picture.
fn links(text: &str) -> Vec<(&str, &str)> {
    let link = |(at, _): (usize, &str)| {
        let words = text[..at].rsplit_once('[').map_or("", |(_, words)| words);
        let target = text[at + 2..].split(')').next().unwrap_or_default();
        (words, target)
    };
    text.match_indices("](").map(link).collect()
}

/// The anchors of a page, as GitHub and mdBook make them out of headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let anchor = |heading: &str| {
        let lower = heading.trim().to_lowercase();
        let kept: String = lower.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect();
        kept.replace(' ', "-")
    };
    prose(text).lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn cli_27_every_page_stands_in_the_summary_once() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let mut listed: BTreeMap<&str, &str> = BTreeMap::new();
    for (title, target) in links(&summary) {
        assert!(listed.insert(target, title).is_none(), "{target} stands in docs/SUMMARY.md twice");
    }
    for (path, text) in pages() {
        let title = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        assert_eq!(listed.remove(path.as_str()), Some(title), "docs/SUMMARY.md must list {path} under its title");
    }
    assert!(listed.is_empty(), "docs/SUMMARY.md lists what is not there: {listed:?}");
    // What mdBook reads of it: headings of parts, and lists of links.
    let is_known = |line: &&str| {
        let item = line.trim_start();
        item.is_empty() || item.starts_with("- [") || line.starts_with("# ") || line.starts_with("For ")
    };
    assert!(summary.lines().all(|line| is_known(&line)), "{:?}", summary.lines().find(|line| !is_known(line)));
}

/// A decision begins with what was found; its reader came from the list of decisions, whose page has their aim.
#[test]
fn cli_27_every_page_begins_with_its_aim() {
    for (path, text) in pages() {
        if path.starts_with("decisions/0") || path == "validation.md" {
            continue;
        }
        let aim = text.split("\n\n").nth(1).unwrap_or_default();
        assert!(aim.starts_with("For "), "{path} must begin with who reads it and what they can do after: {aim}");
        assert!(aim.len() < 600, "{path}: the aim is one short paragraph");
    }
    // That page is written by `make trace`, from here.
    assert!(include_str!("trace.rs").contains("# Validation: requirement → tests\\n\\nFor inspectors"));
}

#[test]
fn cli_27_links_lead_to_headings_that_are_there() {
    let mut missing = Vec::new();
    for (path, text) in files(".", ".md") {
        for (_, target) in links(&prose(&text)) {
            let Some((file, anchor)) = target.split_once('#').filter(|_| !target.contains("://")) else { continue };
            let page = match file {
                "" => text.clone(),
                file => {
                    let dir = root().join(&path).parent().unwrap().to_owned();
                    std::fs::read_to_string(dir.join(file)).unwrap_or_default()
                }
            };
            if !anchors(&page).contains(anchor) {
                missing.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn cli_27_every_picture_has_a_text() {
    let mut shown = BTreeSet::new();
    for (path, text) in pages() {
        for picture in text.split("![").skip(1) {
            let (words, rest) = picture.split_once("](").unwrap_or_default();
            assert!(words.len() > 30, "{path}: a picture needs a text that says what it shows: {words:?}");
            let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
            shown.insert(format!("docs/{dir}{}", rest.split(')').next().unwrap_or_default()));
        }
    }
    for (path, text) in files("docs", ".svg") {
        assert!(shown.contains(&path), "no page shows {path}");
        assert!(text.contains("<title>") && text.contains("<desc>"), "{path} says nothing to who cannot see it");
        assert!(!text.contains("<script") && !text.contains("href=\"http"), "{path} is a picture and nothing else");
    }
}

/// Whatever a page names of the code is there: a file by its name, a function or type by its path.
#[test]
fn cli_27_names_of_code_in_pages_exist() {
    let sources = files(".", ".rs");
    let mut missing = Vec::new();
    let pages = pages().into_iter().filter(|(path, _)| !path.starts_with("decisions/0"));
    for (path, text) in pages.chain(files("CONTRIBUTING.md", ".md")).chain(files("README.md", ".md")) {
        if path == "validation.md" {
            continue;
        }
        for word in prose(&text).split('`').skip(1).step_by(2) {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "_:/.".contains(c);
            if !word.chars().all(is_name) {
                continue;
            }
            let is_there = if word.ends_with(".rs") {
                let below = format!("/{word}");
                sources.iter().any(|(source, _)| source == word || source.ends_with(&below))
            } else if let Some((module, name)) = word.rsplit_once("::") {
                let module = module.rsplit("::").next().unwrap_or_default();
                let defines = ["fn ", "struct ", "enum ", "type ", "const "].map(|kind| format!("{kind}{name}"));
                let is_of = |text: &str| defines.iter().any(|start| text.contains(start.as_str()));
                sources.iter().any(|(source, text)| {
                    (source.contains(module) || text.contains(&format!("impl {module}"))) && is_of(text)
                })
            } else {
                true
            };
            if !is_there {
                missing.push(format!("{path}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The API's page has every status that a problem can have.
#[test]
fn cli_27_every_status_of_the_api_is_on_its_page() {
    let source = std::fs::read_to_string(root().join("coordinator/src/api/problem.rs")).unwrap();
    let page = std::fs::read_to_string(root().join("docs/api.md")).unwrap();
    let errors = page.split("\n## Errors").nth(1).unwrap_or_default();
    let statuses: Vec<&str> = source.split("=> (").skip(1).filter_map(|rest| rest.split(',').next()).collect();
    assert!(statuses.len() > 10, "{statuses:?}");
    for status in statuses {
        let is_shown = |line: &str| line.split('|').nth(1).is_some_and(|cell| cell.contains(status));
        assert!(errors.lines().any(is_shown), "docs/api.md does not say what {status} means");
    }
}

/// Behaviours by which docs/architecture.md is tried: a stranger finds the file of each there.
const BEHAVIOURS: [&str; 10] = [
    "an approval expires",
    "a device falls silent on trial",
    "a directive gets its serial",
    "a session is idle for too long",
    "a download resumes",
    "clocks go forward in a window",
    "an emergency owes a daily report",
    "a packet of MQTT is too large",
    "a revoked gateway is cut off",
    "a patch fails",
];

#[test]
fn cli_27_a_stranger_finds_the_file_of_ten_behaviours() {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let section = page.split("## Where to find").nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default();
    for behaviour in BEHAVIOURS {
        let row = section.lines().find(|line| line.starts_with(&format!("| {behaviour} |"))).unwrap_or_default();
        let named: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        let (Some(file), Some(word)) = (named.first(), named.get(1)) else {
            panic!("docs/architecture.md must say where {behaviour}: file and name in it")
        };
        let source = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(source.contains(word), "{behaviour}: {file} has no {word}");
    }
}
