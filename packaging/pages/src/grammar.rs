//! The grammar of the command lines, held by a test: a noun and a verb, the same verbs everywhere, and one meaning an option.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, ArgAction, Command};
use mdfm_service::command_line::example_words;

use crate::programs;

/// The verbs of `mdfmctl`. A verb may name its object behind a hyphen (`make-root`, `change-roles`).
pub(crate) const VERBS: &[(&str, &str)] = &[
    ("list", "shows many, one a line, filtered, sorted and cut as asked"),
    ("show", "shows one with everything in it; `second-factor show` shows the factor to the coordinator"),
    ("search", "shows the records of the audit log that meet conditions"),
    ("inspect", "shows every field of a document in a file, offline"),
    ("preview", "shows what an order would reach; makes nothing"),
    ("verify", "checks a file, a copy or a person's identity, and says what was found"),
    ("add", "makes a new one at the coordinator"),
    ("change", "changes what is named of one, and nothing else"),
    ("set", "brings one to the values that are given, whether it was there or not"),
    ("use", "makes one the choice of the calls that follow"),
    ("attach", "adds a file to one"),
    ("remove", "takes one away; others may take its place"),
    ("import", "adds many from a file"),
    ("export", "writes a copy for another place"),
    ("upload", "sends files and makes one of them"),
    ("deliver", "sends what a gateway exported"),
    ("make", "writes a new document, key or patch into a file; nothing is sent"),
    ("rotate", "writes the next version of a document into a file"),
    ("renew", "signs what is held again, with a later expiry"),
    ("sign", "adds a signature to a document in a file, after it was shown"),
    ("join", "adds to a document in a file the signatures of its copies"),
    ("publish", "sends a signed document to the coordinator, which distributes it"),
    ("enrol", "sets up an identity or a second factor"),
    ("confirm", "shows that something works, or agrees to what somebody else proposed"),
    ("propose", "asks for something that somebody else confirms"),
    ("revoke", "ends an authority: a token, a gateway; it does not come back"),
    ("retire", "ends the service of a device; its id is not used again"),
    ("withdraw", "takes a release out of use"),
    ("reconcile", "says which of two differing sides is right"),
    ("open", "begins a case: an incident, a recall"),
    ("decide", "records a decision in a case"),
    ("note", "adds a note to a case"),
    ("report", "records that the report of a case was made"),
    ("close", "ends a case"),
    ("fulfil", "records that a duty has been done"),
    ("hold", "places a legal hold"),
    ("release", "ends a hold"),
    ("enable", "lets an account sign in again"),
    ("disable", "ends an account's sessions and tokens, and lets it not sign in"),
    ("sign-out", "ends every session and token of somebody"),
    ("reset", "gives somebody another password"),
    ("train", "records that somebody is trained"),
    ("link", "links an account with the identity provider's"),
    ("unlink", "ends such a link"),
    ("read", "marks notices as read"),
    ("retry", "tries to deliver again"),
];

/// Nouns in place of a verb: the part of that name is shown, or written into a file. They change nothing.
pub(crate) const PARTS: &[&str] = &[
    "cohorts",
    "dead-letters",
    "devices",
    "differences",
    "evidence",
    "fleet-link",
    "history",
    "page",
    "permissions",
    "proof",
    "rules",
    "sbom",
    "state",
    "status",
];

/// Verbs without a noun: `mdfmctl` for the person at the keyboard, and for releases and deployments, where every second counts.
pub(crate) const ALONE: &[(&str, &str)] = &[
    ("login", "the person who calls"),
    ("logout", "the person who calls"),
    ("whoami", "the person who calls"),
    ("change-password", "the person who calls"),
    ("init", "the installation"),
    ("approve", "a release"),
    ("reject", "a release"),
    ("deploy", "a release"),
    ("watch", "a deployment"),
    ("validate", "a deployment"),
    ("pause", "a deployment"),
    ("resume", "a deployment"),
    ("abort", "a deployment"),
    ("rollback", "a deployment"),
    ("consent", "a deployment"),
    ("completions", "the tool, as other tools name it"),
];

/// Options whose help differs from command to command, and the one meaning that all of it has.
pub(crate) const MEANINGS: &[(&str, &str)] = &[
    ("all", "all of them, also those that are left out otherwise"),
    ("at", "the time that is meant"),
    ("config", "the configuration file"),
    ("coordinator", "the coordinator's public key, or a file with it"),
    ("data", "the data directory"),
    ("days", "days until the document expires"),
    ("deployment", "a deployment"),
    ("device", "a device; where it may be given several times, each of them"),
    ("devices", "the number of devices"),
    ("dir", "the directory of a device, or of a simulated fleet"),
    ("document-version", "the version of the document"),
    ("dry-run", "shows what would be done, and does nothing"),
    ("evidence", "what you saw of a person whose identity you verified"),
    ("factor-file", "the file with the secret of the second factor"),
    ("firmware", "a release"),
    ("firmware-version", "a version label of firmware"),
    (
        "force",
        "goes on although entries of the past are dropped or narrowed; approvals that stand on them no longer count",
    ),
    ("gateway", "a gateway"),
    ("gateways", "the number of gateways"),
    ("hardware", "a hardware revision"),
    ("hospital", "a hospital"),
    ("id", "the id of what is made or simulated"),
    ("image", "the file with an image"),
    ("json", "prints JSON"),
    ("key", "the file with your secret key, to sign with"),
    ("limit", "the largest number of what is shown"),
    ("log-size", "a size of the audit log"),
    ("log-vkey", "the audit log's verifier key, or a file with it"),
    ("model", "the model of a device"),
    ("name", "a name"),
    ("new-password-file", "the file with a new password in its first line"),
    ("object", "an object of the audit log, `kind/ID`"),
    ("out", "the file or directory to make"),
    ("password-file", "the file with a password in its first line"),
    ("previous", "the document before this one"),
    ("query", "the condition of a group by query"),
    ("reason", "why; the audit log keeps it"),
    ("reference", "where a report is found"),
    ("role", "a role of a person"),
    ("root-threshold", "root signatures needed"),
    ("session", "the file that keeps a session"),
    ("since", "the earlier time"),
    ("trial", "a trial installation, not for patients, whose secrets lie in one folder"),
    ("until", "the later time, or the end of what is made"),
    ("url", "an address that begins with https://"),
    ("user", "a user"),
    ("version", "a version label of firmware"),
    ("witness", "a verifier key of a witness, or a file with it"),
    ("witness-threshold", "witnesses needed"),
    ("yes", "does it without a question"),
];

/// A command that stands alone, without a command below it: its words, and its definition.
pub(crate) struct Leaf {
    pub(crate) words: Vec<String>,
    pub(crate) command: Command,
}

/// Every command of every program that help shows.
pub(crate) fn leaves() -> Vec<Leaf> {
    fn walk(command: &Command, words: &[String], found: &mut Vec<Leaf>) {
        let words = [words, &[command.get_name().to_owned()]].concat();
        // A command with others below it may do something by itself: `mdfm-agent device DEVICE`.
        if !command.is_subcommand_required_set() {
            found.push(Leaf { words: words.clone(), command: command.clone() });
        }
        let shown = |sub: &&Command| sub.get_name() != "help" && !sub.is_hide_set();
        command.get_subcommands().filter(shown).for_each(|sub| walk(sub, &words, found));
    }
    let mut found = Vec::new();
    for mut program in programs() {
        program.build();
        walk(&program, &[], &mut found);
    }
    found
}

/// The options of a command that help shows, without those that every command has.
pub(crate) fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_own = |argument: &&Arg| {
        let flag = matches!(argument.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong);
        argument.get_long().is_some() && !flag && !argument.is_hide_set() && !argument.is_global_set()
    };
    command.get_arguments().filter(is_own)
}

/// The name of an argument's value; empty for a flag.
pub(crate) fn value(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let names: Vec<&str> = names.iter().map(clap::builder::Str::as_str).collect();
    if argument.get_action().takes_values() { names.join(" ") } else { String::new() }
}

/// The first sentence of an argument's help.
fn sentence(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    help.split([';', '.', ':', ',']).next().unwrap_or_default().trim().to_owned()
}

#[test]
fn cli_28_every_command_is_a_noun_and_a_verb() {
    let verbs: BTreeSet<&str> = VERBS.iter().map(|(verb, _)| *verb).collect();
    let (mut used, mut wrong) = (BTreeSet::new(), Vec::new());
    for Leaf { words, .. } in leaves().iter().filter(|leaf| leaf.words[0] == "mdfmctl") {
        let last = words[words.len() - 1].as_str();
        let verb = if verbs.contains(last) { last } else { last.split('-').next().unwrap_or_default() };
        let is_alone = words.len() == 2 && ALONE.iter().any(|(alone, _)| *alone == last);
        let is_pair = words.len() > 2 && (verbs.contains(verb) || PARTS.contains(&last));
        used.insert(if PARTS.contains(&last) { last.to_owned() } else { verb.to_owned() });
        if !is_alone && !is_pair {
            wrong.push(words.join(" "));
        }
    }
    assert!(wrong.is_empty(), "not of the grammar: {wrong:#?}");
    let known = VERBS.iter().map(|(verb, _)| *verb).chain(PARTS.iter().copied());
    let unused: Vec<&str> = known.filter(|word| !used.contains(*word)).collect();
    assert!(unused.is_empty(), "no command uses {unused:?}");
}

/// Nouns whose items have nothing beyond what their list shows.
const LISTED_ALONE: &[&str] = &["contexts", "notices", "tokens"];

#[test]
fn cli_11_every_noun_that_lists_also_shows() {
    let calls: BTreeSet<String> = leaves().into_iter().map(|leaf| leaf.words.join(" ")).collect();
    let listed: Vec<&str> =
        calls.iter().filter_map(|call| call.strip_prefix("mdfmctl ")?.strip_suffix(" list")).collect();
    assert!(listed.len() > 10, "{listed:?}");
    for noun in &listed {
        let shows = calls.contains(&format!("mdfmctl {noun} show"));
        assert!(shows != LISTED_ALONE.contains(noun), "{noun}: `show` and LISTED_ALONE do not fit");
    }
    assert!(LISTED_ALONE.iter().all(|noun| listed.contains(noun)), "an exception that lists nothing");
}

#[test]
fn cli_28_an_option_has_one_meaning() {
    let mut values: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut sentences: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for Leaf { words, command } in leaves() {
        for option in options(&command) {
            let long = option.get_long().expect("an option").to_owned();
            values.entry(long.clone()).or_default().insert(value(option), words.join(" "));
            sentences.entry(long).or_default().insert(sentence(option), words.join(" "));
        }
    }
    let several = |found: BTreeMap<String, BTreeMap<String, String>>| {
        found.into_iter().filter(|(_, by)| by.len() > 1).collect::<Vec<_>>()
    };
    let values = several(values);
    assert!(values.is_empty(), "one value has one name: {values:#?}");
    let differing = several(sentences);
    let unnamed: Vec<_> = differing.iter().filter(|(long, _)| !MEANINGS.iter().any(|(l, _)| l == long)).collect();
    assert!(unnamed.is_empty(), "what is the one meaning of each? {unnamed:#?}");
    let idle: Vec<_> = MEANINGS.iter().filter(|(l, _)| !differing.iter().any(|(long, _)| l == long)).collect();
    assert!(idle.is_empty(), "their help says the same everywhere: {idle:?}");
}

#[test]
fn cli_28_every_command_says_what_it_does_with_an_example() {
    let programs = programs();
    for Leaf { words, command } in leaves() {
        let call = words.join(" ");
        assert!(command.get_about().is_some_and(|about| !about.to_string().is_empty()), "{call} has no help");
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = help.lines().nth(1).unwrap_or_default().trim();
        assert!(example.starts_with(&call), "{call}: {help}");
        let program = programs.iter().find(|program| program.get_name() == words[0]).expect("a program");
        let read = program.clone().try_get_matches_from(example_words(example));
        assert!(read.is_ok(), "{example}: {}", read.err().map(|e| e.to_string()).unwrap_or_default());
    }
}

/// What answers to somebody answers to programs too: all of `mdfmctl` and of `mdfm-agent`, and what measures.
#[test]
fn cli_28_every_answer_can_be_json() {
    for Leaf { words, command } in leaves() {
        let has_json = command.get_arguments().any(|argument| argument.get_long() == Some("json"));
        // They report to the journal, or speak a protocol between programs.
        let answers = ["mdfmctl", "mdfm-agent"].contains(&words[0].as_str())
            || ["mdfm-sim fleet run", "mdfm-sim scale"].contains(&words.join(" ").as_str());
        assert!(has_json || !answers, "{}", words.join(" "));
    }
}

#[test]
fn cli_29_every_help_of_every_program_fits_the_terminal() {
    fn walk(command: &Command, columns: usize) {
        let help = command.clone().render_long_help().to_string();
        // Usage, examples, values in brackets and what clap adds of its own are laid out by clap, which breaks no word.
        let texts = help.split("\nExample:\n").next().unwrap_or_default();
        let is_text = |line: &&str| {
            let own = line.trim_start();
            !own.starts_with(['[', '-', '<'])
                && !line.contains("Print")
                && !line.starts_with("Usage:")
                && own.contains(' ')
        };
        let long = texts.lines().filter(is_text).find(|line| line.chars().count() > columns);
        assert!(long.is_none(), "{} at {columns}: {long:?}", command.get_name());
        command.get_subcommands().for_each(|sub| walk(sub, columns));
    }
    for columns in [60, 80, 100] {
        for program in crate::programs() {
            let mut wrapped = mdfm_service::command_line::wrapped(program, columns);
            wrapped.build();
            walk(&wrapped, columns);
        }
    }
}
