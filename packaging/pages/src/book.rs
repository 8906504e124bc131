//! The commands that the pages of docs/ show: each is one, with options that it has.

use std::path::{Path, PathBuf};

use clap::{Arg, Command};

use crate::programs;

/// The pages that people read, with their text; what is made from the definitions themselves is left out.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = std::fs::read_dir(root.join("docs")).expect("the pages").map(|entry| entry.expect("a page").path());
    let is_written = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "md")
            && !path.ends_with("cli-reference.md")
            && !path.ends_with("validation.md")
    };
    let all = docs.filter(is_written).chain(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    let mut pages: Vec<(String, String)> = all
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a page can be read"))
        })
        .collect();
    pages.sort();
    pages
}

/// Everything on a page that may be a command: the lines of its blocks, and what stands in backquotes.
fn shown(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (n, part) in text.split("\n```").enumerate() {
        if n % 2 == 1 {
            let is_shell = part.starts_with("sh") || part.starts_with("console");
            found.extend(part.replace("\\\n", " ").lines().filter(|_| is_shell).map(str::to_owned));
        } else {
            found.extend(part.replace("\\|", "|").split('`').skip(1).step_by(2).map(|code| code.replace('\n', " ")));
        }
    }
    found
}

/// The words of a line; what stands in quotes of either kind is part of one.
fn words(line: &str) -> Vec<String> {
    let (mut found, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match quote {
            Some(open) if open == c => quote = None,
            Some(_) => word.push(c),
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c.is_whitespace() => found.push(std::mem::take(&mut word)),
            None => word.push(c),
        }
    }
    found.push(word);
    found.retain(|word| !word.is_empty());
    found
}

/// The words behind each call of a program in a line, up to what the shell takes from there.
fn calls(line: &str) -> Vec<(String, Vec<String>)> {
    let words = words(line);
    let names: Vec<String> = programs().iter().map(|program| program.get_name().to_owned()).collect();
    let is_end =
        |word: &String| ["|", "||", "&&", ";", ">", ">>", "2>", "2>&1", "<", "&", "#"].contains(&word.as_str());
    let begins = |at: usize| {
        let name = words[at].rsplit(['/', '(']).next().unwrap_or_default();
        names.iter().find(|known| *known == name).cloned()
    };
    let call =
        |at: usize| begins(at).map(|name| (name, words[at + 1..].iter().take_while(|w| !is_end(w)).cloned().collect()));
    // What stands behind an option is its value, as in `systemctl status mdfm-agent`, unless it is called.
    (0..words.len()).filter(|at| *at == 0 || !is_argument(&words[at - 1])).filter_map(call).collect()
}

/// Words behind which a program's name is no call of it.
fn is_argument(word: &str) -> bool {
    !["--", "$", "&&", "||", "|", ";", "timeout"].contains(&word)
}

fn option<'c>(chain: &[&'c Command], name: &str) -> Option<&'c Arg> {
    let has = |arg: &&Arg| arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name));
    chain.iter().rev().find_map(|command| command.get_arguments().find(has))
}

/// What is wrong with a call; `None` if it could be typed.
fn wrong(program: &Command, words: &[String]) -> Option<String> {
    let mut chain = vec![program];
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let word = word.trim_end_matches([';', ',', ')']);
        let here = chain[chain.len() - 1];
        if let Some(long) = word.strip_prefix("--") {
            let name = long.split('=').next().unwrap_or_default();
            if ["", "help", "version"].contains(&name) {
                continue;
            }
            let Some(arg) = option(&chain, name) else { return Some(format!("--{name}")) };
            if arg.get_action().takes_values() && !long.contains('=') {
                words.next();
            }
        } else if let Some(next) = here.find_subcommand(word) {
            chain.push(next);
        } else if here.has_subcommands() && here.get_positionals().next().is_none() {
            let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            return (is_word && word != "help").then(|| word.to_owned());
        }
    }
    None
}

#[test]
fn cli_27_every_command_of_the_pages_is_one() {
    let programs = programs();
    let (mut count, mut found) = (0, Vec::new());
    for (page, text) in pages() {
        for line in shown(&text) {
            for (name, words) in calls(&line) {
                let program = programs.iter().find(|program| program.get_name() == name).expect("it was found by name");
                count += 1;
                found.extend(wrong(program, &words).map(|what| format!("{page}: {name} has no {what}: {line}")));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(count > 300, "{count} commands");
}

#[test]
fn cli_27_a_command_that_is_not_there_is_found() {
    let programs = programs();
    let said = |line: &str| {
        let (name, words) = calls(line).into_iter().next()?;
        wrong(programs.iter().find(|program| program.get_name() == name)?, &words)
    };
    assert_eq!(said("mdfmctl devices list --filter 'a=b' | head"), None);
    assert_eq!(said("mdfmctl devices lst"), Some("lst".into()));
    assert_eq!(said("mdfmctl devices list --filtr x"), Some("--filtr".into()));
    assert_eq!(said("runuser -u x -- mdfm-agent --config FILE enroll"), Some("enroll".into()));
    assert!(calls("systemctl status mdfm-agent nothing").is_empty());
}
