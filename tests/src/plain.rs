//! What programs say is for people: every error, warning and refusal of an end-to-end run passes here, whoever reads it.
//!
//! `MDFM_TEXTS=FILE` collects all of them in a file, to be read as a whole.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use anyhow::Context;
use serde_json::Value;

/// Bytes of a log that are looked at.
const LOG_BYTES_MAX: u64 = 8 << 20;
/// What only somebody who knows the code can read: Rust's debug output, types, panics.
const INSIDE: [&str; 11] = [
    "Some(",
    "Err(",
    "Ok(",
    "None)",
    "Os {",
    "Error {",
    "Error(",
    "UtcMillis",
    "builder error",
    "panicked at",
    "reason: \\\"",
];
/// Seconds around now in which a number is taken for a time.
const AROUND_NOW_S: u64 = 20 * 365 * 86_400;
/// Digits of an address in memory.
const POINTER_DIGITS: std::ops::RangeInclusive<usize> = 8..=16;
/// A longer time is written in seconds.
const MS_MAX: u64 = 10_000;
/// The crates whose types nobody outside knows.
const CRATES: [&str; 4] = ["agent", "coordinator", "shared", "simulators"];

/// What in a text shows how a program is made instead of what is wrong; `None` if nothing does.
pub(crate) fn inside(text: &str) -> Option<String> {
    let listed = INSIDE.iter().find(|inside| text.contains(**inside)).map(|inside| (*inside).to_owned());
    listed
        .or_else(|| debug_struct(text))
        .or_else(|| raw_number(text))
        .or_else(|| own_type(text))
        .or_else(|| text.lines().find_map(cause_alone))
}

/// A struct or a variant with its fields, as Rust shows it: `Paused { reason: …`.
fn debug_struct(text: &str) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices("{ ").find_map(|(at, _)| {
        let before = text[..at].trim_end();
        let name: String =
            before.chars().rev().take_while(|c| is_word(*c)).collect::<Vec<_>>().into_iter().rev().collect();
        let field: String = text[at + 2..].chars().take_while(|c| is_word(*c)).collect();
        let is_field = !field.is_empty() && text[at + 2 + field.len()..].starts_with(": ");
        let is_shown = is_field && name.starts_with(|c: char| c.is_uppercase());
        is_shown.then(|| format!("{name} {{ {field}: "))
    })
}

/// A number that nobody made a time, a duration or an id of.
fn raw_number(text: &str) -> Option<String> {
    let now_s = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let is_time = |n: u64| n.abs_diff(now_s) < AROUND_NOW_S || (n / 1_000).abs_diff(now_s) < AROUND_NOW_S;
    let words: Vec<&str> = text.split(|c: char| !(c.is_alphanumeric() || "-_:./+=".contains(c))).collect();
    words.iter().enumerate().find_map(|(i, word)| {
        let number = word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse::<u64>().ok()).flatten();
        let counts = words.get(i + 1).copied().unwrap_or_default();
        let is_raw = match number {
            Some(n) if counts == "ms" || counts == "milliseconds" => n >= MS_MAX,
            // Sizes are as large as times.
            Some(n) => counts != "bytes" && is_time(n),
            None => {
                let digits = word.strip_prefix("0x").unwrap_or_default();
                POINTER_DIGITS.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
            }
        };
        is_raw.then(|| format!("{word} {counts}").trim().to_owned())
    })
}

/// The name of a type of this code that is two words in one.
fn own_type(text: &str) -> Option<String> {
    static TYPES: OnceLock<BTreeSet<String>> = OnceLock::new();
    let types = TYPES.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
        let mut found = BTreeSet::new();
        CRATES.iter().for_each(|name| types_of(&root.join(name), &mut found));
        found
    });
    text.split(|c: char| !c.is_alphanumeric()).find(|word| types.contains(*word)).map(str::to_owned)
}

fn types_of(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            types_of(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let code = std::fs::read_to_string(&path).unwrap_or_default();
            for words in code.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()) {
                let at = words.iter().position(|word| ["struct", "enum", "trait"].contains(word));
                let Some(name) = at.filter(|at| *at < 3).and_then(|at| words.get(at + 1)) else { continue };
                let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
                let parts = name.chars().filter(|c| c.is_uppercase()).count();
                if parts > 1
                    && name.starts_with(|c: char| c.is_uppercase())
                    && name.contains(|c: char| c.is_lowercase())
                {
                    found.insert(name);
                }
            }
        }
    }
}

/// A cause of the operating system without what was done, and on what.
fn cause_alone(line: &str) -> Option<String> {
    let (words, _) = line.split_once(" (os error")?;
    // The name of the program that says it is not what was done.
    let words = if words.starts_with("mdfm") { words.split_once(": ").map_or(words, |(_, rest)| rest) } else { words };
    let words = words.trim_start_matches("error: ").trim_start_matches("Error: ");
    (!words.contains(": ")).then(|| line.to_owned())
}

/// Whether this is a test: the demonstration goes on whatever its programs say.
fn is_test() -> bool {
    let own = std::env::current_exe().ok();
    own.as_deref().and_then(Path::parent).is_some_and(|dir| dir.ends_with("deps")) && !std::thread::panicking()
}

/// Adds a text to the collection, if there is one.
fn collect(what: &str, text: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let Some(file) = std::env::var_os("MDFM_TEXTS") else { return };
    let _guard = ONE_AT_A_TIME.lock();
    let opened = std::fs::File::options().append(true).create(true).open(file);
    // Whoever wanted the collection sees that it is not there.
    let _ = opened.and_then(|mut file| writeln!(file, "{what}\t{}", text.replace('\n', "\\n")));
}

/// Fails the test if a text is not in plain words.
///
/// # Panics
/// It is not, and nothing else has failed before.
pub(crate) fn check(what: &str, text: &str) {
    if !is_test() || text.trim().is_empty() {
        return;
    }
    collect(what, text);
    // An escaped quote is a text within a text.
    let found = inside(text).or_else(|| text.contains("\\\"").then(|| "\\\"".to_owned()));
    if let Some(found) = found {
        panic!("{what} says {found:?}: {text}");
    }
}

/// The same for what a program printed on standard error: words, problem details as JSON, or the lines of its log.
///
/// # Panics
/// As [`check`].
pub fn check_errors(program: &str, printed: &[u8]) {
    let printed = String::from_utf8_lossy(printed);
    for line in printed.lines() {
        match serde_json::from_str::<Value>(line) {
            Ok(problem) if problem.is_object() => check_problem(program, &problem),
            _ if [" INFO ", " DEBUG ", " TRACE "].iter().any(|level| line.contains(level)) => {}
            _ if [" WARN ", " ERROR "].iter().any(|level| line.contains(level)) => check_line(program, line),
            _ => check(program, line),
        }
    }
}

/// The same for an answer of the coordinator, for a client or for a person in front of a browser.
///
/// # Panics
/// As [`check`].
pub(crate) fn check_answer(asked: &str, status: u16, body: &[u8]) {
    if status < 400 || !is_test() {
        return;
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(problem) => check_problem(&format!("{asked} {status}"), &problem),
        Err(_) => check(&format!("{asked} {status}"), &visible(&String::from_utf8_lossy(body))),
    }
}

fn check_problem(what: &str, problem: &Value) {
    for name in ["title", "detail", "message"] {
        // What the caller sent comes back in quotes of its own.
        let text = problem[name].as_str().unwrap_or_default().replace("\\\"", "'");
        check(&format!("{what} {name}"), &text);
    }
}

/// The same for a report: a spreadsheet, or the text of a PDF (the Debian package `poppler-utils`). Other files are for programs.
///
/// # Errors
/// It cannot be read.
///
/// # Panics
/// As [`check`].
pub(crate) fn check_document(file: &Path) -> anyhow::Result<()> {
    let text = match file.extension().and_then(|end| end.to_str()) {
        Some("csv") => std::fs::read(file)?,
        Some("pdf") => read_pdf(file)?,
        _ => return Ok(()),
    };
    let text = String::from_utf8_lossy(&text);
    for line in text.lines().filter(|_| is_test()) {
        if let Some(found) = inside(line) {
            panic!("{} says {found:?}: {line}", file.display());
        }
    }
    Ok(())
}

fn read_pdf(file: &Path) -> anyhow::Result<Vec<u8>> {
    use crate::process::Checked as _;
    let mut reader = std::process::Command::new("pdftotext");
    let output = reader.arg("-layout").arg(file).arg("-").checked_output();
    Ok(output.context("pdftotext is not installed; run `packaging/scripts/tools test`")?.stdout)
}

/// The text of a page that a reader sees.
fn visible(page: &str) -> String {
    let (mut text, mut is_tag) = (String::new(), false);
    let body = page.find("<main").map_or(page, |at| &page[at..]);
    for c in body.chars() {
        match c {
            '<' => is_tag = true,
            '>' if is_tag => is_tag = false,
            c if !is_tag => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check_line(name: &str, line: &str) {
    if is_test() {
        collect(name, line);
        if let Some(found) = inside(line) {
            panic!("{name} says {found:?}: {line}");
        }
    }
}

/// The same for the warnings and errors of a daemon's log.
///
/// # Panics
/// One of them is not in plain words, and nothing else has failed before.
pub(crate) fn check_log(name: &str, log: &Path) {
    use std::io::Read as _;
    let mut text = String::new();
    // A log that is gone, or holds something else than text, is another test's subject.
    let read = std::fs::File::open(log).and_then(|file| file.take(LOG_BYTES_MAX).read_to_string(&mut text));
    if read.is_err() || !is_test() {
        return;
    }
    let is_bad = |line: &&str| line.contains(" WARN ") || line.contains("ERROR ") || line.contains("panicked");
    text.lines().filter(is_bad).for_each(|line| check_line(name, line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_23_debug_output_is_not_for_people() {
        let now_s = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        for bad in [
            "approvals: Some(3)",
            "No such file (Os { code: 2 })",
            "expires at UtcMillis(1764493200000)",
            "at 1764493200000, which is past",
            "thread 'main' panicked at src/x.rs",
            "the deployment is Paused { reason: x }",
            "the buffer at 0x7ffd1234abcd is gone",
            "waited 30000 ms",
            "a TelemetryBatch is missing",
            "mdfmctl: No such file or directory (os error 2)",
            "error: Permission denied (os error 13)",
            &format!("since {now_s}"),
        ] {
            assert!(inside(bad).is_some(), "{bad}");
        }
        for plain in [
            "the code is wrong (403, wrong-code)",
            "expires at 2026-11-30T10:00:00Z",
            "digest 17644932000001764493200000",
            "200,000 bytes",
            "1764493200 bytes are free",
            "waited 300 ms",
            "x.pem cannot be read; was `mdfm-coordinator init` run?: No such file or directory (os error 2)",
            "mdfmctl: reading plan.json: No such file or directory (os error 2)",
            r#"send { "reason": "x" }"#,
            "Progressive is a strategy; CardiacMonitor-X200 is a model",
        ] {
            assert_eq!(inside(plain), None, "{plain}");
        }
    }

    #[test]
    fn cli_23_a_page_is_read_as_its_reader_sees_it() {
        assert_eq!(visible("<html><main class=\"x\">a <b>bold</b>\n word</main>"), "a bold word");
    }
}
