//! Bad input on every command line: any words with hostile values are a command, or are refused in words.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
