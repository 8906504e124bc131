//! The record of a run of the real path, `docs/start-record.md`: every command of `docs/start.md` with everything that it printed. What differs from
//! run to run is `…`.

use std::fmt::Write as _;

/// What stands for anything.
const ANY: &str = "…";

/// Whether a character belongs to a word that may differ as a whole: digests, keys, times.
fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/=:.-_".contains(c)
}

/// Whether a word is another one in each run.
fn differs(word: &str) -> bool {
    let is_hex = word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit());
    let is_time = word.len() >= 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T';
    let is_recovery = word.len() == 29 && word.split('-').all(|group| group.len() == 4);
    let is_key = word.starts_with("ed25519:") || (word.len() > 30 && word.contains('+'));
    is_hex || is_time || is_recovery || is_key || word.starts_with("dep-")
}

/// A line without what differs from run to run.
fn steady_line(line: &str) -> String {
    let (mut text, mut rest) = (String::new(), line.trim_end());
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let (bare, point) = word.strip_suffix(':').map_or((word, ""), |bare| (bare, ":"));
        if differs(bare) {
            text.push_str(ANY);
            text.push_str(point);
            // How long ago, now, or in how many days.
            if behind.starts_with(", ") && (behind.ends_with(" ago") || behind.starts_with(", in "))
                || behind == ", now"
            {
                return text;
            }
        } else if text.ends_with("log entry ") {
            text.push_str(ANY);
        } else {
            text.push_str(word);
        }
        let gap = behind.find(is_of_word).unwrap_or(behind.len());
        text.push_str(&behind[..gap]);
        rest = &behind[gap..];
    }
    text
}

/// What was printed, without what differs from run to run.
fn steady(printed: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let (mut was_key, mut in_deployment) = (false, false);
    for line in printed.lines() {
        // The rest of a long key stands in the line below it.
        let is_rest = was_key && line.starts_with("    ") && line.split_whitespace().count() == 1;
        was_key = line.contains("log key ");
        if is_rest {
            let indent = line.len() - line.trim_start().len();
            lines.push(format!("{}{ANY}", &line[..indent]));
            continue;
        }
        // How far a deployment is differs; how it ended does not.
        if in_deployment && !line.contains("confirmed  ") {
            continue;
        }
        in_deployment = line.starts_with("deployment dep-");
        lines.push(steady_line(line));
        if in_deployment {
            lines.push(ANY.to_owned());
        }
    }
    lines.join("\n")
}

/// The record of a page's blocks: each with its heading, its commands, and what they printed.
pub(crate) fn record<'a>(blocks: impl Iterator<Item = (String, &'a str, &'a str)>) -> String {
    let mut text = String::from(
        "# Record of the real path\n\nFor everybody who wants to see the [real installation](start.md#a-real-installation) before typing \
         it: after this page you have seen every command with everything that it printed.\n\n\
         Made by the test that carries out that page (`make trace`), and compared with each later run. `…` stands for what differs from run to run: times, keys, digests, recovery codes.\n",
    );
    let mut last = String::new();
    for (heading, commands, printed) in blocks {
        if heading != last {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n## {heading}\n");
        }
        let _ = write!(text, "\n```sh illustrative\n{}\n```\n", commands.trim_end());
        let printed = steady(printed);
        if !printed.trim().is_empty() {
            let _ = write!(text, "\n```text\n{}\n```\n", printed.trim_end());
        }
        last = heading;
    }
    text
}

#[test]
fn cli_27_a_record_keeps_what_does_not_differ() {
    let line = steady_line("  made    2026-11-30T09:27:35.180Z, less than a second ago");
    assert_eq!(line, "  made    …");
    assert_eq!(steady_line("  made    2026-11-30T09:27:35.180Z, now"), "  made    …");
    assert_eq!(
        steady_line("signed by C on 2026-11-30T09:27:36.709Z, meaning: I approve (log entry 29)"),
        "signed by C on …, meaning: I approve (log entry …)"
    );
    assert_eq!(steady_line("key ed25519:ecXOTz7t7io2Jj5EUukTZnf0ULWywEKlaSTT/1Lph0U= (id 95707e74)"), "key … (id …)");
    assert_eq!(
        steady_line("FW-2.2.0 CardiacMonitor-X200 2.2.0: approved"),
        "FW-2.2.0 CardiacMonitor-X200 2.2.0: approved"
    );
    assert_eq!(steady_line("z7ec-z524-cure-ir6w-cr4c-dkm4"), "…");
    assert_eq!(
        steady("audit log key  x+a89e0459+ARXPeDFi86OxTbX7HSSHXv5+6x/T\n          Qfi\nend").lines().nth(1),
        Some("          …")
    );
    assert_eq!(
        steady("deployment dep-1 of F: running\n  x\nD  confirmed  -"),
        "deployment … of F: running\n…\nD  confirmed  -"
    );
}
