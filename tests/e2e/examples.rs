//! Every example of `--help`, and every list that a page asks for, given to a coordinator: a name that does not exist is found by its refusal.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mdfm_service::command_line::example_words;
use mdfm_tests::{Checked, Layout, Role, World, program};

use crate::fresh_dir;

/// Examples that are not called, and why.
const NOT_CALLED: &[(&str, &str)] = &[
    ("login ", "its coordinator is nobody's"),
    ("logout", "ends the session of the test"),
    ("init ", "is a ceremony of several people"),
    ("contexts ", "about this machine's own sessions; takes no --session"),
    ("webhooks set ", "its receiver is nobody's"),
];

/// Examples whose value is refused for another reason than its name, and that reason.
const REFUSED: &[(&str, &str)] = &[
    ("audit verify exported", "neither a verifier key nor a file that exists"),
    ("recalls open ", "nothing would be recalled"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The examples of `mdfmctl --help`, without the program's name: the reference is made from them, which another test holds.
fn of_help() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/cli-reference.md")).unwrap();
    page.lines().filter_map(|line| line.strip_prefix("mdfmctl ")).map(str::to_owned).collect()
}

/// The lists that pages ask for with conditions or an order of their own, without the program's name.
fn of_pages() -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let page = entry.unwrap().path();
        if page.extension().is_none_or(|e| e != "md") || page.ends_with("cli-reference.md") {
            continue;
        }
        let text = std::fs::read_to_string(page).unwrap().replace("\\|", "|");
        for part in text.split("mdfmctl ").skip(1) {
            let call = part.split(['`', '|', '\n', ';', '#']).next().unwrap_or_default();
            let call = call.split(" 2>").next().unwrap_or_default().trim();
            let asks = call.contains(" list") && (call.contains("--filter ") || call.contains("--sort "));
            found.extend(asks.then(|| call.replace('"', "'")));
        }
    }
    found
}

/// The exit status and what it printed, as the first of the roles that may call it.
fn call(world: &World, words: &[String]) -> (i32, String) {
    let mut last = (3, String::new());
    for role in [Role::Operator, Role::Admin, Role::Auditor, Role::Clinical] {
        let mut command = Command::new(program("mdfmctl").unwrap());
        command.args(["--session", &world.session(role)]).args(words).stdin(Stdio::null()).current_dir(&world.dir);
        let output = command.checked_output().unwrap();
        let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
        last = (output.status.code().unwrap_or(-1), text);
        if last.0 != 3 {
            break;
        }
    }
    last
}

#[test]
fn cli_29_examples_name_only_what_exists() {
    let dir = fresh_dir("examples");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let (help, pages) = (of_help(), of_pages());
    assert!(help.len() > 120 && pages.len() > 3, "{} examples, {} lists of pages", help.len(), pages.len());
    let (mut wrong, mut refused) = (Vec::new(), std::collections::BTreeSet::new());
    for example in help.iter().chain(&pages) {
        if NOT_CALLED.iter().any(|(begins, _)| example.starts_with(begins.trim_end())) {
            continue;
        }
        let (status, text) = call(&world, &example_words(example));
        let known = REFUSED.iter().find(|(begins, _)| example.starts_with(begins));
        if let Some((begins, _)) = known.filter(|(_, because)| text.contains(because)) {
            refused.insert(*begins);
        } else if [2, 6, 7].contains(&status) || example.contains(" list") && status != 0 {
            wrong.push(format!("{example}: {status}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (begins, because) in REFUSED {
        assert!(refused.contains(begins), "{begins}: {because}: an exception that is not needed");
    }
    for (begins, why) in NOT_CALLED {
        assert!(help.iter().any(|example| example.starts_with(begins.trim_end())), "{begins}: {why}: not there");
    }
    // The reason is free text: it begins with the setting that is changed.
    let settings = world.ctl(Role::Admin, &["settings", "show"]).unwrap();
    let example = help.iter().find(|example| example.starts_with("settings set ")).unwrap();
    let reason = example_words(example).pop().unwrap();
    let named = reason.split(' ').next().unwrap_or_default();
    assert!(settings.get(named).is_some(), "{example}: there is no setting {named:?}: {settings}");
}
