//! Bad input on every command line: any words with hostile values are a command, or are refused in words; and a program that is
//! started with them ends in words.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::Command;
use mdfm_service::command_line::{example_words, refusal};
use mdfm_shared::text::is_unsafe;

use crate::grammar::{Leaf, leaves};
use crate::programs;

/// Bytes of the longest refusal: what is wrong, the values that are possible, and how the command is used.
const REFUSAL_BYTES_MAX: usize = 8_000;

/// Values that nobody means.
fn values() -> Vec<OsString> {
    let long = "x".repeat(10_000);
    let texts =
        ["", " ", &long, "\u{1b}[2J\u{202e}", "a\nb", "../../etc/passwd", "..", "--", "-1", "99999999999999999999"];
    texts.into_iter().map(OsString::from).chain([OsString::from_vec(vec![0xff, 0xfe, b'x'])]).collect()
}

/// Each place of the command's example in turn, each of its options behind the example, and one word more.
fn cases(leaf: &Leaf, example: &str, value: &OsString) -> Vec<Vec<OsString>> {
    let good: Vec<OsString> = example_words(example).into_iter().map(OsString::from).collect();
    let mut cases: Vec<Vec<OsString>> = (leaf.words.len()..good.len())
        .map(|place| {
            let mut words = good.clone();
            words[place] = value.clone();
            words
        })
        .collect();
    for option in leaf.command.get_arguments().filter_map(|argument| argument.get_long()) {
        let option = OsString::from(format!("--{option}"));
        cases.push([good.clone(), vec![option.clone(), value.clone()]].concat());
        cases.push([good[..leaf.words.len()].to_vec(), vec![option]].concat());
    }
    cases.push([good, vec![value.clone()]].concat());
    cases
}

#[test]
fn cli_23_any_words_are_a_command_of_its_program_or_refused() {
    let programs = programs();
    let (mut tried, mut refused) = (0, 0);
    for leaf in leaves().iter().filter(|leaf| leaf.words[0] != "mdfmctl") {
        let mut program: Command =
            programs.iter().find(|program| program.get_name() == leaf.words[0]).expect("a program").clone();
        let help = leaf.command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = help.lines().nth(1).unwrap_or_default().trim();
        for case in values().iter().flat_map(|value| cases(leaf, example, value)) {
            tried += 1;
            let read = catch_unwind(AssertUnwindSafe(|| program.try_get_matches_from_mut(&case)));
            let Err(error) = read.unwrap_or_else(|_| panic!("it panics: {case:?}")) else { continue };
            if error.exit_code() == 0 {
                continue;
            }
            refused += 1;
            let words = refusal(error);
            let is_clean = !words.contains(|c| is_unsafe(c) && c != '\n') && words.len() < REFUSAL_BYTES_MAX;
            assert!(words.starts_with("error: ") && is_clean, "{case:?}: {words:.2000}");
        }
    }
    assert!(tried > 2_000 && refused > 500 && refused < tried, "{refused} of {tried}");
}

/// Longest time for the programs that are started, and for one of them: a daemon that starts is stopped.
const PATIENCE: Duration = Duration::from_secs(20);
const ONE_PATIENCE: Duration = Duration::from_millis(700);
/// Bytes of the longest error: values that are repeated are cut.
const ERROR_BYTES_MAX: usize = 12_000;

/// A program of the workspace, beside this test.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test");
    let path = own.parent().and_then(Path::parent).expect("a folder").join(name);
    assert!(path.exists(), "{} is not built; run `cargo build --workspace` first", path.display());
    path
}

/// The words of a case inside a folder: what they name by an absolute path is in it too. `None` if they may not be run.
fn inside(dir: &Path, words: &[OsString]) -> Option<Vec<OsString>> {
    let is_agent = words[0] == "mdfm-agent";
    let mut inside = Vec::new();
    for word in &words[1..] {
        let below = word.to_str().and_then(|text| text.strip_prefix('/')).map(|text| dir.join(text).into_os_string());
        inside.push(below.unwrap_or_else(|| word.clone()));
    }
    // A trial starts programs of its own; what calls somebody calls nobody outside this machine.
    let calls = |word: &OsString| word.to_str().is_some_and(|text| text.contains("example"));
    if words.iter().any(|word| word == "quickstart") || (words[0] == "mdfm-sim" && words.iter().any(calls)) {
        return None;
    }
    if is_agent && !words.iter().any(|word| word == "--config") {
        inside.splice(0..0, ["--config".into(), dir.join("agent.toml").into_os_string()]);
    }
    Some(inside)
}

/// Runs a program with a bound. Returns its status, `None` if it had to be stopped, and its standard error.
fn run(dir: &Path, name: &str, words: &[OsString]) -> (Option<ExitStatus>, String) {
    let errors = dir.join("errors");
    let mut child = std::process::Command::new(program(name))
        .args(words)
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&errors).expect("a file"))
        .spawn()
        .expect("it starts");
    let began = Instant::now();
    let mut has_ended = false;
    while !has_ended && began.elapsed() < ONE_PATIENCE {
        std::thread::sleep(Duration::from_millis(3));
        has_ended = !matches!(child.try_wait(), Ok(None));
    }
    // Without effect on a program that has ended.
    let _ = child.kill();
    let status = child.wait().ok().filter(|_| has_ended);
    (status, String::from_utf8_lossy(&std::fs::read(&errors).unwrap_or_default()).into_owned())
}

/// Files below a folder, but for the one that keeps standard error.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if !path.ends_with("errors") => found.push(path),
            false => {}
        }
    }
    found
}

/// Whether an error shows how the program is made and not what is wrong.
fn is_of_the_inside(words: &str) -> bool {
    ["panicked", "Some(", "Err(", "Os {", "UtcMillis", "Error {", "builder error"].iter().any(|bad| words.contains(bad))
}

#[test]
fn cli_23_programs_end_in_words_whatever_the_values() {
    let base = std::env::temp_dir().join(format!("mdfm-pages-hostile-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&base);
    // Deep enough that a value that leads upward stays below the folder.
    let dir = base.join("a/b/c/d");
    let (programs, values, began) = (programs(), values(), Instant::now());
    let mut tried = 0;
    for round in 0..values.len() {
        for (i, leaf) in leaves().iter().filter(|leaf| leaf.words[0] != "mdfmctl").enumerate() {
            let value = &values[(i + round) % values.len()];
            let name = leaf.words[0].as_str();
            let mut command = programs.iter().find(|program| program.get_name() == name).expect("a program").clone();
            let help = leaf.command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = help.lines().nth(1).unwrap_or_default().trim();
            for case in cases(leaf, example, value) {
                let is_read = command.try_get_matches_from_mut(&case).is_ok();
                if !is_read || began.elapsed() > PATIENCE {
                    continue;
                }
                std::fs::create_dir_all(&dir).expect("a folder");
                let state = format!("state_dir = {:?}\n", dir.join("state"));
                std::fs::write(dir.join("agent.toml"), state).expect("written");
                let Some(words) = inside(&dir, &case) else { continue };
                let before = files(&base);
                let (status, errors) = run(&dir, name, &words);
                tried += 1;
                // What fails has done nothing, not half of it.
                let has_failed = status.is_some_and(|status| !status.success());
                let left: Vec<PathBuf> = files(&base).into_iter().filter(|file| !before.contains(file)).collect();
                assert!(!has_failed || left.is_empty(), "{case:?} fails, and leaves {left:?}: {errors:.3000}");
                let ended = status.is_none_or(|status| status.code().is_some_and(|code| code != 101));
                let is_said = status.is_none_or(|status| status.success() || !errors.trim().is_empty());
                let is_clean = !errors.contains(|c| is_unsafe(c) && c != '\n') && errors.len() < ERROR_BYTES_MAX;
                assert!(ended && is_said && is_clean, "{case:?}: {status:?} {errors:.3000}");
                assert!(!is_of_the_inside(&errors), "{case:?}: {errors:.3000}");
                std::fs::remove_dir_all(&base).expect("removed");
            }
        }
    }
    let _ = std::fs::remove_dir_all(&base);
    assert!(tried > 50, "{tried}");
}
