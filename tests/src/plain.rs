//! What programs say on standard error is for people: every error and every warning of an end-to-end run passes here.

use std::path::Path;

/// Bytes of a log that are looked at.
const LOG_BYTES_MAX: u64 = 8 << 20;
/// What only somebody who knows the code can read: Rust's debug output, types, panics.
const INSIDE: [&str; 10] =
    ["Some(", "Err(", "Ok(", "Os {", "Error {", "Error(", "UtcMillis", "builder error", "panicked at", "reason: \\\""];

/// What in a text shows how a program is made instead of what is wrong; `None` if nothing does.
pub(crate) fn inside(text: &str) -> Option<String> {
    let shown = INSIDE.iter().find(|inside| text.contains(**inside)).map(|inside| (*inside).to_owned());
    shown.or_else(|| raw_time(text))
}

/// Milliseconds since 1970 that nobody made a time of: a number of 13 digits that begins with 1 and stands alone.
fn raw_time(text: &str) -> Option<String> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || "-_:./+=".contains(c)));
    let is_raw = |word: &&str| word.len() == 13 && word.starts_with('1') && word.bytes().all(|b| b.is_ascii_digit());
    words.filter(|word| !word.is_empty()).find(is_raw).map(str::to_owned)
}

/// Whether this is a test: the demonstration goes on whatever its programs say.
fn is_test() -> bool {
    let own = std::env::current_exe().ok();
    own.as_deref().and_then(Path::parent).is_some_and(|dir| dir.ends_with("deps")) && !std::thread::panicking()
}

/// Fails the test if an error is not in plain words.
///
/// # Panics
/// It is not, and nothing else has failed before.
pub(crate) fn check(what: &str, text: &str) {
    // An escaped quote is a text within a text.
    let found = inside(text).or_else(|| text.contains("\\\"").then(|| "\\\"".to_owned()));
    if let Some(found) = found.filter(|_| is_test()) {
        panic!("{what} says {found:?}: {text}");
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
    for line in text.lines().filter(is_bad) {
        if let Some(found) = inside(line) {
            panic!("{name} says {found:?}: {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_23_debug_output_is_not_for_people() {
        for bad in [
            "approvals: Some(3)",
            "No such file (Os { code: 2 })",
            "expires at UtcMillis(1764493200000)",
            "at 1764493200000, which is past",
            "thread 'main' panicked at src/x.rs",
        ] {
            assert!(inside(bad).is_some(), "{bad}");
        }
        for plain in [
            "the code is wrong (403, wrong-code)",
            "expires at 2026-11-30T10:00:00Z",
            "digest 17644932000001764493200000",
            "200,000 bytes",
        ] {
            assert!(inside(plain).is_none(), "{plain}");
        }
    }
}
