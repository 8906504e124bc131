//! The language of the project (plain technical English): words that leave the tree, and the length of test names. `words.txt` has what is
//! still there; its numbers only go down.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{files, root, trace};

/// The table of what is still there.
const TABLE: &str = "tests/tidy/words.txt";
/// Files that follow from others, or that name the words.
const SKIPPED: [&str; 4] =
    ["docs/validation.md", "docs/cli-reference.md", "docs/start-record.md", "tests/tidy/words.rs"];
/// Characters of a test's name.
const NAME_CHARS_MAX: usize = 60;
/// The row of test names that are longer.
const LONG_NAMES: &str = "(test names of more than 60 characters)";

/// The text on one line, in lower case, without the marks of comments at the beginnings of lines.
fn running(text: &str) -> String {
    let line = |line: &str| line.trim_start().trim_start_matches(['/', '!', '#', '*', '>']).trim().to_lowercase();
    text.lines().map(line).collect::<Vec<_>>().join(" ")
}

/// How often a word, or words in a row, stand in a running text. A single word counts as a part of a name too (`is_told`).
fn count(text: &str, word: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || (word.contains(' ') && c == '_');
    let stands_alone = |at: &usize| !text[..*at].ends_with(is_part) && !text[*at + word.len()..].starts_with(is_part);
    text.match_indices(word).map(|(at, _)| at).filter(stands_alone).count()
}

/// The numbers of the table, in its order.
fn allowed() -> Vec<(String, usize)> {
    let table = std::fs::read_to_string(root().join(TABLE)).unwrap();
    let rows = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|row| row.split_once('\t').unwrap()).map(|(word, n)| (word.to_owned(), n.parse().unwrap())).collect()
}

/// Where each word of the table stands now, by file.
fn found(words: &[(String, usize)]) -> BTreeMap<String, Vec<(String, usize)>> {
    let mut found: BTreeMap<String, Vec<(String, usize)>> = BTreeMap::new();
    for (path, text) in [".rs", ".md", ".html", ".toml"].iter().flat_map(|ending| files(".", ending)) {
        if SKIPPED.contains(&path.as_str()) {
            continue;
        }
        let text = running(&text);
        for (word, _) in words {
            let n = count(&text, word);
            if n > 0 {
                found.entry(word.clone()).or_default().push((path.clone(), n));
            }
        }
    }
    for (title, name) in trace::named_tests() {
        if name.chars().count() > NAME_CHARS_MAX {
            found.entry(LONG_NAMES.to_owned()).or_default().push((title, 1));
        }
    }
    found
}

#[test]
fn words_and_lengths_only_go_down() {
    let words = allowed();
    let found = found(&words);
    let sum = |word: &String| found.get(word).map_or(0, |places| places.iter().map(|(_, n)| n).sum::<usize>());
    let more: Vec<String> = words
        .iter()
        .filter(|(word, n)| sum(word) > *n)
        .map(|(word, n)| format!("{word:?} {} times, allowed are {n}: {:?}", sum(word), found[word]))
        .collect();
    assert!(more.is_empty(), "plain technical English has another word for it: {more:#?}");
    let fewer: Vec<&String> = words.iter().filter(|(word, n)| sum(word) < *n).map(|(word, _)| word).collect();
    if fewer.is_empty() {
        return;
    }
    let path = root().join(TABLE);
    if std::env::var_os("MDFM_WRITE").is_some() {
        let old = std::fs::read_to_string(&path).unwrap();
        let comments = old.lines().take_while(|line| line.starts_with('#'));
        let mut table: String = comments.map(|line| format!("{line}\n")).collect();
        for (word, _) in &words {
            let _ = writeln!(table, "{word}\t{}", sum(word));
        }
        std::fs::write(&path, table).unwrap();
        return;
    }
    panic!("fewer than {TABLE} says: {fewer:?}; lower the numbers with `make trace`");
}

#[test]
fn words_are_counted_in_prose_and_names() {
    let text = running("/// He is\n    /// none for it, x.is_none().\nfn is_told() // Told twice, untold.\n");
    assert_eq!((count(&text, "is none"), count(&text, "none for"), count(&text, "told")), (1, 1, 2), "{text}");
}
