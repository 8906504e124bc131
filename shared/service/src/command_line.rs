//! The command lines of every program: read in one way, with an example of each command, and refused in words that repeat of hostile values
//! no more than a terminal may get.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{Command, FromArgMatches};
use mdfm_shared::text::{clip, printable};

use crate::output;
use crate::terminal::{self, wrap};

/// Characters of a value that an error repeats.
const REPEATED_CHARS_MAX: usize = 200;

/// Characters of a line of an error.
const LINE_CHARS_MAX: usize = 1_000;

/// Widest text of help: lines that are longer are hard to read.
const HELP_COLUMNS_MAX: usize = 100;

/// Narrowest text of help, whatever the terminal says.
const HELP_COLUMNS_MIN: usize = 40;

/// Columns before the help of an option that stands on a line of its own.
pub const HELP_INDENT: usize = 10;

/// What stands before an example.
const EXAMPLES_TITLE: &str = "Example:\n  ";

/// An example of each command: its words without the program's name, and the whole call without it.
pub type Examples = [(&'static str, &'static str)];

/// Checks the name of a log or a witness, which stands in signed notes (C2SP signed-note: no white space, no plus sign).
///
/// # Errors
/// It is not one; the text says what to write.
pub fn note_name(text: &str) -> Result<String, String> {
    const CHARS_MAX: usize = 128;
    let is_good = text.chars().all(|c| c.is_ascii_graphic() && c != '+');
    if is_good && (1..=CHARS_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!("write 1 to {CHARS_MAX} letters, digits or signs without '+', for example log.vendor.example/mdfm"))
}

/// The words of an example; what stands in single quotes is one.
pub fn example_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in text.split('\'').enumerate() {
        match i % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// A command line with an example of each command, and with the name of an option's value in one form everywhere: the option's own name
/// unless another one is given.
pub fn described(command: Command, examples: &Examples) -> Command {
    let program = command.get_name().to_owned();
    walk(command, &program, "", examples)
}

fn walk(command: Command, program: &str, path: &str, examples: &Examples) -> Command {
    let command = match examples.iter().find(|(name, _)| *name == path) {
        Some((_, example)) => command.after_help(format!("{EXAMPLES_TITLE}{program} {example}")),
        None => command,
    };
    let named = command.mut_args(|argument| {
        let id = argument.get_id().to_string();
        // The name of a list's field is in the plural, that of one value is not.
        let own = argument
            .get_long()
            .map(|long| long.replace('-', "_").to_uppercase())
            .filter(|own| *own != id.to_uppercase());
        let is_default = match argument.get_value_names() {
            Some([name]) => name.as_str() == id.to_uppercase(),
            Some(_) => false,
            None => true,
        };
        match own.filter(|_| is_default && argument.get_action().takes_values()) {
            // A process has one command line, and a few options whose values need another name than their fields have.
            Some(own) => argument.value_name(&*own.leak()),
            None => argument,
        }
    });
    named.mut_subcommands(|sub| {
        let path = format!("{path} {}", sub.get_name());
        walk(sub, program, path.trim_start(), examples)
    })
}

/// The command line with its texts at a width.
pub fn wrapped(mut command: Command, columns: usize) -> Command {
    let columns = columns.clamp(HELP_COLUMNS_MIN, HELP_COLUMNS_MAX);
    if let Some(about) = command.get_about().map(ToString::to_string) {
        command = command.about(wrap(&about, columns));
    }
    if let Some(about) = command.get_long_about().map(ToString::to_string) {
        command = command.long_about(wrap(&about, columns));
    }
    let is_leaf = !command.has_subcommands();
    // The texts of commands stand beside their names in the list above them.
    let longest = command.get_subcommands().map(|sub| sub.get_name().len()).max().unwrap_or(0).max("help".len());
    let beside = columns.saturating_sub(longest + 4).max(HELP_COLUMNS_MIN / 2);
    command
        .next_line_help(is_leaf)
        .mut_args(|mut argument| {
            if let Some(help) = argument.get_help().map(ToString::to_string) {
                argument = argument.help(wrap(&help, columns - HELP_INDENT));
            }
            if let Some(help) = argument.get_long_help().map(ToString::to_string) {
                argument = argument.long_help(wrap(&help, columns - HELP_INDENT));
            }
            argument
        })
        .mut_subcommands(|mut sub| {
            if let Some(about) = sub.get_about().map(ToString::to_string) {
                sub = sub.about(wrap(&about, beside));
            }
            wrapped(sub, columns)
        })
}

/// The command line with its texts at the width of the terminal, or at that of a page.
pub fn at_terminal(command: Command) -> Command {
    wrapped(command, terminal::columns().unwrap_or(HELP_COLUMNS_MAX))
}

/// Reads the command line of this process.
///
/// # Errors
/// It cannot be read, which was printed; what the process ends with. Help and the version are printed, and end the process.
pub fn read<T: FromArgMatches>(command: Command) -> Result<T, ExitCode> {
    read_from(at_terminal(command), std::env::args_os()).map_err(|error| {
        if error.exit_code() == 0 {
            // Help and version are no errors; they go to standard output.
            error.exit();
        }
        let code = exit_code(&error);
        output::notes(refusal(error).trim_end());
        code.into()
    })
}

/// Reads words as a command line.
///
/// # Errors
/// Why they are not one.
pub fn read_from<T: FromArgMatches>(
    command: Command,
    words: impl IntoIterator<Item = OsString>,
) -> Result<T, clap::Error> {
    let mut matches = command.try_get_matches_from(words)?;
    T::from_arg_matches_mut(&mut matches)
}

/// The status with which a program ends that cannot read its command line.
pub fn exit_code(error: &clap::Error) -> u8 {
    u8::try_from(error.exit_code()).unwrap_or(2)
}

/// Why a command line cannot be read, in words.
pub fn refusal(mut error: clap::Error) -> String {
    let short = |text: &str, chars: usize| {
        let mut shown = text.to_owned();
        clip(&mut shown, chars);
        if shown.len() < text.len() { shown + "…" } else { shown }
    };
    let clean = |value: &String| short(&printable(value), REPEATED_CHARS_MAX);
    let cleaned: Vec<(ContextKind, ContextValue)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(value) => Some((kind, ContextValue::String(clean(value)))),
            ContextValue::Strings(values) => Some((kind, ContextValue::Strings(values.iter().map(clean).collect()))),
            _ => None,
        })
        .collect();
    for (kind, value) in cleaned {
        error.insert(kind, value);
    }
    // What is wrong with a value is said by whoever reads it, and may repeat it too.
    error.render().to_string().lines().map(|line| short(line, LINE_CHARS_MAX)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let devices = clap::Arg::new("devices").long("device").action(clap::ArgAction::Append);
        let file = clap::Arg::new("plan_file").long("plan").value_name("FILE").value_parser(["one"]);
        let show = Command::new("show").arg(devices).arg(file).arg(clap::Arg::new("id"));
        described(Command::new("tool").subcommand(show), &[("show", "show --device D-1")])
    }

    #[test]
    fn cli_28_values_are_named_like_their_options() {
        let command = command();
        let show = command.find_subcommand("show").expect("a command");
        let name = |id: &str| {
            let argument = show.get_arguments().find(|a| a.get_id() == id).expect("an argument");
            argument.get_value_names().map(|names| names[0].to_string()).unwrap_or_default()
        };
        assert_eq!((name("devices"), name("plan_file")), ("DEVICE".to_owned(), "FILE".to_owned()));
        assert_eq!(
            show.get_after_help().map(ToString::to_string).as_deref(),
            Some("Example:\n  tool show --device D-1")
        );
    }

    #[test]
    fn cli_23_a_refusal_repeats_no_hostile_value() {
        for hostile in ["\u{1b}[2J\u{202e}", &"x".repeat(10_000)] {
            let words = ["tool", "show", "--plan", hostile].map(OsString::from);
            let error = command().try_get_matches_from(words).expect_err("it is not one of the values");
            assert_eq!(exit_code(&error), 2);
            let words = refusal(error);
            assert!(words.starts_with("error: ") && words.len() < 1_000 && !words.contains('\u{1b}'), "{words}");
        }
    }
}
