//! `docs/cli-reference.md`, made from the programs' own definitions.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, ArgAction, Command};

use crate::grammar::{ALONE, Leaf, MEANINGS, PARTS, VERBS, leaves, options, value};
use crate::programs;

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// An option as it is typed.
fn typed(option: &Arg) -> String {
    let short = option.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let value = value(option);
    let value = if value.is_empty() { value } else { format!(" {value}") };
    format!("`{short}--{}{value}`", option.get_long().unwrap_or_default())
}

/// The help of an argument, with its default and, of an option, whether it is needed.
fn help(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let end = |text: &mut String| {
        if !text.is_empty() && !text.ends_with('.') {
            text.push('.');
        }
    };
    let possible: Vec<String> =
        argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if argument.get_action().takes_values() && !possible.is_empty() {
        end(&mut text);
        let _ = write!(text, " One of {}.", possible.join(", "));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        end(&mut text);
        let _ = write!(text, " Default: `{}`.", defaults.join(", "));
    }
    if argument.is_required_set() && argument.get_long().is_some() {
        end(&mut text);
        text.push_str(" Required.");
    }
    if matches!(argument.get_action(), ArgAction::Append) && argument.get_long().is_some() {
        end(&mut text);
        text.push_str(" May be given several times.");
    }
    cell(&text)
}

fn usage(command: &Command, words: &[String]) -> String {
    let place = |argument: &Arg| {
        let name = format!("<{}>", value(argument));
        if argument.is_required_set() { name } else { format!("[{}]", value(argument)) }
    };
    let places: Vec<String> = command.get_positionals().map(place).collect();
    [words.join(" "), places.join(" ")].join(" ").trim_end().to_owned()
}

fn table() -> String {
    let mut text = String::from(
        "# Command reference\n\nFor everybody who calls the programs: after this page you know each command, with its options and an example.\n\nMade by `make trace` from the programs' own definitions; [the command line](cli.md) explains them. \
         Manual pages with the\nsame content are installed with each package (`man mdfmctl-devices-list`).\n\n## Verbs of mdfmctl\n\n\
         A command is a noun and a verb: `mdfmctl devices list`. A verb may name its object: `trust make-root`, `users change-roles`.\n\n\
         | verb | meaning |\n|---|---|\n",
    );
    for (verb, meaning) in VERBS {
        let _ = writeln!(text, "| `{verb}` | {meaning} |");
    }
    let parts: Vec<String> = PARTS.iter().map(|part| format!("`{part}`")).collect();
    let _ = writeln!(
        text,
        "\nA second noun in place of a verb shows that part, or writes it into a file, and changes nothing: {}.\n\n\
         A verb alone acts on what it always acts on:\n\n| verb | acts on |\n|---|---|",
        parts.join(", ")
    );
    for (verb, object) in ALONE {
        let _ = writeln!(text, "| `{verb}` | {object} |");
    }
    text.push_str(
        "\n## Options with one meaning in many commands\n\nThe help of a command says what it is there.\n\n| option | meaning |\n|---|---|\n",
    );
    for (option, meaning) in MEANINGS {
        let _ = writeln!(text, "| `--{option}` | {meaning} |");
    }
    let mut earlier: BTreeMap<String, String> = BTreeMap::new();
    for mut program in programs() {
        program.build();
        gather_earlier(&program, &[], &mut earlier);
    }
    text.push_str(
        "\n## Earlier spellings\n\nScripts of earlier versions go on working, except that a file that exists is replaced only with `--overwrite`; help does not show these.\n\n| earlier | now |\n|---|---|\n",
    );
    for (earlier, now) in earlier {
        let _ = writeln!(text, "| `{earlier}` | `{now}` |");
    }
    for mut program in programs() {
        program.build();
        let about = program.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "\n## {}\n\n{about}", program.get_name());
        let global: Vec<&Arg> = program.get_arguments().filter(|a| a.is_global_set()).collect();
        if !global.is_empty() {
            text.push_str("\nGlobal options, of every command:\n\n");
            rows(&mut text, global.into_iter());
        }
        for Leaf { words, command } in leaves().iter().filter(|leaf| leaf.words[0] == program.get_name()) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = example.lines().nth(1).unwrap_or_default().trim().to_owned();
            let _ = writeln!(text, "\n### {}\n\n{}\n\n```text\n{example}\n```", usage(command, words), cell(&about));
            let places: Vec<&Arg> = command.get_positionals().collect();
            let own: Vec<&Arg> = options(command).collect();
            if !places.is_empty() || !own.is_empty() {
                text.push('\n');
                rows(&mut text, places.into_iter().chain(own));
            }
        }
    }
    text
}

fn rows<'a>(text: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    text.push_str("| | |\n|---|---|\n");
    for argument in arguments {
        let name = match argument.get_long() {
            Some(_) => typed(argument),
            None => format!("`{}`", value(argument)),
        };
        let _ = writeln!(text, "| {name} | {} |", help(argument));
    }
}

/// Aliases that help does not show, and commands that stay for scripts.
fn gather_earlier(command: &Command, words: &[String], found: &mut BTreeMap<String, String>) {
    let words = [words, &[command.get_name().to_owned()]].concat();
    let call = words.join(" ");
    let parent = words[..words.len() - 1].join(" ");
    for alias in command.get_all_aliases() {
        found.insert(format!("{parent} {alias}"), call.clone());
    }
    // The help of what stays for scripts names the present command: "The same as `duties fulfil`".
    let present = |help: String| help.split('`').nth(1).map(str::to_owned);
    let about = command.get_about().map(ToString::to_string).filter(|_| command.is_hide_set());
    if let Some(now) = about.and_then(present) {
        found.insert(call.clone(), format!("{} {now}", words[0]));
    }
    for option in command.get_arguments().filter(|option| !option.is_global_set()) {
        let help = option.get_help().map(ToString::to_string).filter(|_| option.is_hide_set());
        if let Some(now) = help.and_then(present) {
            found.insert(format!("{call} --{}", option.get_long().unwrap_or_default()), format!("{parent} {now}"));
        }
        for alias in option.get_all_aliases().unwrap_or_default() {
            found.insert(format!("{call} --{alias}"), format!("--{}", option.get_long().unwrap_or_default()));
        }
    }
    command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(|sub| gather_earlier(sub, &words, found));
}

/// Before and after the list of commands in `docs/cli.md`.
const LIST: (&str, &str) = ("<!-- commands, made by `make trace` -->\n", "<!-- end of the commands -->\n");

/// Every command of every program, a line for each noun.
fn list() -> String {
    let mut lines: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    let programs: Vec<String> = programs().iter().map(|program| program.get_name().to_owned()).collect();
    for Leaf { words, .. } in leaves() {
        let program = programs.iter().position(|program| *program == words[0]).unwrap_or_default();
        let (noun, last) = words.split_at(words.len() - 1);
        lines.entry((program, noun.join(" "))).or_default().push(format!("`{}`", last[0]));
    }
    let mut text = String::from("| | commands |\n|---|---|\n");
    for ((_, noun), commands) in lines {
        let _ = writeln!(text, "| `{noun}` | {} |", commands.join(", "));
    }
    text
}

#[test]
fn cli_28_the_page_names_every_command() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let found = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = found.split_once(LIST.0).expect("the beginning of the list");
    let (_, after) = rest.split_once(LIST.1).expect("the end of the list");
    let page = [before, LIST.0, &list(), LIST.1, after].concat();
    if std::env::var_os("MDFM_WRITE").is_some() {
        std::fs::write(&path, page).expect("written");
        return;
    }
    assert!(found == page, "docs/cli.md does not list what the programs have; run `make trace`");
    for named in ["| `mdfmctl gateways` |", "| `mdfmctl webhooks` |", "`join`"] {
        assert!(page.contains(named), "{named}");
    }
}

#[test]
fn cli_28_the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli-reference.md");
    let table = table();
    if std::env::var_os("MDFM_WRITE").is_some() {
        std::fs::write(&path, table).expect("written");
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == table, "docs/cli-reference.md is not what the programs say; run `make trace`");
}
