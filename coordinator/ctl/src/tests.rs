//! Bad input: any command line that is made of the tool's own words and hostile values is read as a command or refused in words, and a
//! command that is carried out against a coordinator that answers nothing fails in words.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{ArgAction, Command, CommandFactory};
use mdfm_service::command_line::example_words;
use mdfm_shared::text::is_unsafe;
use mdfm_shared::waiting::WaitCode;

use crate::help::tests::{example, leaves};
use crate::{Action, Arguments, audit, carry_out, client, exit_code, firmware, refusal};

/// Longest time for commands that are carried out.
const PATIENCE: Duration = Duration::from_secs(4);
/// Bytes of the longest error: what is wrong, the values that are possible, and how the command is used.
const ERROR_CHARS_MAX: usize = 8_000;

/// Values that nobody means.
fn values() -> Vec<OsString> {
    let long = "x".repeat(10_000);
    let texts = [
        "",
        " ",
        &long,
        "\u{1b}[2J\u{202e}",
        "a\nb",
        "../../etc/passwd",
        "..",
        "a?dryRun=false#",
        "%2e%2e%2f",
        "--",
        "-1",
        "99999999999999999999",
    ];
    let not_utf8 = OsString::from_vec(vec![0xff, 0xfe, b'x']);
    texts.into_iter().map(OsString::from).chain([not_utf8]).collect()
}

/// A command line with a hostile value in one place.
struct Case {
    path: String,
    words: Vec<OsString>,
}

/// Each place of each command's example in turn, then each of its options behind the example; one value in each, or every value.
fn cases(path: &[String], command: &Command, values: &[OsString]) -> Vec<Case> {
    let good: Vec<OsString> = example_words(example(path)).into_iter().map(OsString::from).collect();
    let mut cases = Vec::new();
    let mut add = |words: Vec<OsString>| cases.push(Case { path: path.join(" "), words });
    for value in values {
        for place in path.len()..good.len() {
            let mut words = good.clone();
            words[place] = value.clone();
            add(words);
        }
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long() else { continue };
            let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
            // A file that is written to or read from must not be the test's own.
            let option = OsString::from(format!("--{long}"));
            let behind = if takes_value { vec![option, value.clone()] } else { vec![option] };
            add([good.clone(), behind.clone()].concat());
            add([good.iter().take(path.len()).cloned().collect(), behind].concat());
        }
        add([good.clone(), vec![value.clone()]].concat());
    }
    cases
}

fn read(command: &mut Command, words: &[OsString]) -> Result<Arguments, clap::Error> {
    let all = std::iter::once(OsString::from("mdfmctl")).chain(words.iter().cloned());
    command.try_get_matches_from_mut(all).and_then(crate::read)
}

#[test]
fn cli_28_what_is_typed_stands_above_the_environment() {
    // As if `MDFMCTL_SESSION` and `MDFMCTL_CONTEXT` were set, which a test cannot do beside others.
    let mut command = crate::command()
        .mut_arg("session", |arg| arg.env("CARGO_MANIFEST_DIR"))
        .mut_arg("context", |arg| arg.env("CARGO_PKG_NAME"));
    let mut chosen = |words: &[&str]| {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        read(&mut command, &words)
            .map(|read| (read.session, read.context.map(|name| name.to_string()), read.names_session))
    };
    let environment = || std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = || std::env::var("CARGO_PKG_NAME").ok();
    assert_eq!(chosen(&["abort", "dep-1", "--reason", "r"]).expect("reads"), (environment(), own(), false));
    for words in [["--context", "staging", "devices", "list"], ["devices", "list", "--context", "staging"]] {
        assert_eq!(chosen(&words).expect("reads"), (None, Some("staging".to_owned()), true));
    }
    for words in [["--session", "x", "devices", "list"], ["devices", "--session", "x", "list"]] {
        assert_eq!(chosen(&words).expect("reads"), (Some("x".into()), own(), true));
    }
    let two = chosen(&["--session", "x", "devices", "list", "--context", "staging"]).expect_err("two").to_string();
    assert!(two.contains("--session and --context name two sessions; give one"), "{two}");
}

#[test]
fn cli_23_any_words_are_a_command_or_a_clear_refusal() {
    Arguments::command().debug_assert();
    let mut command = crate::command();
    let (mut tried, mut refused) = (0, 0);
    for (path, leaf) in leaves() {
        for case in cases(&path, &leaf, &values()) {
            let result = catch_unwind(AssertUnwindSafe(|| read(&mut command, &case.words)));
            let result = result.unwrap_or_else(|_| panic!("it panics: {:?}", case.words));
            tried += 1;
            if let Err(error) = result {
                refused += 1;
                // An option of help or version is no error.
                if error.exit_code() == 0 {
                    continue;
                }
                let words = refusal(error);
                let is_clear = words.starts_with("error: ") && !words.contains("{ ") && words.len() < ERROR_CHARS_MAX;
                let is_clean = !words.contains(|c| is_unsafe(c) && c != '\n');
                assert!(is_clear && is_clean, "{}: {} bytes: {:.2000}", case.path, words.len(), words);
            }
        }
    }
    assert!(tried > 10_000 && refused > 1_000 && refused < tried, "{refused} of {tried}");
}

/// Whether a command may be carried out here: it asks the coordinator before it writes a file, and asks nobody on the terminal.
fn is_carried_out(case: &Case, arguments: &Arguments) -> bool {
    let offline = matches!(
        arguments.command,
        Action::Init(_)
            | Action::Keys(_)
            | Action::Trust(_)
            | Action::Broker(_)
            | Action::Completions { .. }
            | Action::Contexts(_)
            | Action::Audit(audit::Action::Page { .. } | audit::Action::Export { .. })
            | Action::Firmware(firmware::Action::MakeDelta(_))
    );
    let asks = [
        "login",
        "change-password",
        "signing-key add",
        "second-factor enrol",
        "users add",
        "users reset-password",
        "users remove-second-factor",
    ];
    let has = |word: &str| case.words.iter().any(|w| w == OsStr::new(word));
    // Somebody who follows waits for minutes, and standard input is the test's own.
    !offline && !asks.contains(&case.path.as_str()) && !has("--follow") && !has("-")
}

#[test]
fn cli_23_commands_fail_in_words_where_nobody_answers() {
    let dir = std::env::temp_dir().join(format!("mdfmctl-hostile-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let session: PathBuf = dir.join("session.json");
    let held = serde_json::to_vec(&client::tests::session("https://127.0.0.1:1")).expect("encodes");
    std::fs::write(&session, held).expect("written");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut command = crate::command();
    let began = Instant::now();
    let values = values();
    // One value each in the first round, every command before the next: the time may end before all are tried.
    let mut tried = 0;
    for round in 0..values.len() {
        for (i, (path, leaf)) in leaves().into_iter().enumerate() {
            let value = &values[(i + round) % values.len()];
            for case in cases(&path, &leaf, std::slice::from_ref(value)).into_iter().step_by(7) {
                if began.elapsed() > PATIENCE {
                    break;
                }
                let Ok(mut arguments) = read(&mut command, &case.words) else { continue };
                if !is_carried_out(&case, &arguments) {
                    continue;
                }
                arguments.session = Some(session.clone());
                let carried = catch_unwind(AssertUnwindSafe(|| runtime.block_on(carry_out(arguments))));
                let carried = carried.unwrap_or_else(|_| panic!("it panics: {:?}", case.words));
                tried += 1;
                let Err(error) = carried else { panic!("done without a coordinator: {:?}", case.words) };
                let words = format!("{error:#}");
                assert!(!words.is_empty() && !words.contains("UtcMillis") && !words.contains("Error {"), "{words}");
                assert!([1, 4, 6, 7].contains(&exit_code(&error)), "{words}");
            }
        }
    }
    assert!(Path::new(&session).exists(), "the session is left alone");
    let _ = std::fs::remove_dir_all(&dir);
    assert!(tried > 100, "{tried}");
}

#[test]
fn cli_25_exit_statuses_follow_the_cause() {
    use crate::fault;
    let status = |error: anyhow::Error| exit_code(&error.context("while something was done"));
    assert_eq!(status(fault::not_signed_in("sign in")), 3);
    assert_eq!(status(fault::not_found("no such context")), 4);
    assert_eq!(status(fault::value("not a time")), 6);
    assert_eq!(status(client::Refused::new(404, "not-found", "x", serde_json::Value::Null).into()), 4);
    assert_eq!(status(anyhow::anyhow!("any other cause")), 1);
    let nowhere = std::env::temp_dir().join(format!("mdfmctl-nowhere-{}", std::process::id()));
    let error = client::Client::open(&nowhere).err().expect("no session");
    // A token in the environment of the tests would stand in its place.
    assert!(client::environment(client::TOKEN).is_some() || exit_code(&error) == 3, "{error:#}");
}

#[test]
fn cli_25_searches_begin_with_the_newest_and_refuse_odd_words() {
    let mut command = crate::command();
    let mut search = |words: &[&str]| {
        let words: Vec<OsString> = ["audit", "search"].iter().chain(words).map(OsString::from).collect();
        read(&mut command, &words).map(|read| match read.command {
            Action::Audit(audit::Action::Search { oldest, .. }) => oldest,
            other => panic!("{other:?}"),
        })
    };
    assert!(!search(&[]).expect("reads") && !search(&["--newest"]).expect("reads"));
    assert!(search(&["--oldest"]).expect("reads") && search(&["--oldest", "--newest"]).is_err());
    for taken in [["--outcome", "ACCEPTED"], ["--role", "operator"], ["--event", "deviceerror"], ["--limit", "1"]] {
        search(&taken).unwrap_or_else(|error| panic!("{taken:?}: {error}"));
    }
    for (bad, says) in [
        (["--outcome", "acepted"], "accepted"),
        (["--role", "Operater"], "Operator"),
        (["--event", "x"], "deviceError"),
        (["--device", ""], "--device"),
        (["--action", ""], "--action"),
        (["--since", ""], "--since"),
        (["--limit", "0"], "at least 1"),
    ] {
        let words = refusal(search(&bad).expect_err(says));
        assert!(words.contains(says), "{bad:?}: {words}");
    }
    let list = read(&mut command, &["devices", "list", "--limit", "0"].map(OsString::from)).expect_err("nothing");
    assert!(refusal(list).contains("at least 1"));
}

#[test]
fn cli_23_a_verb_that_is_not_there_names_the_others() {
    let words = |words: &[&str]| {
        let all: Vec<OsString> = std::iter::once(&"mdfmctl").chain(words).map(OsString::from).collect();
        let error = crate::command().try_get_matches_from(&all).expect_err("no such verb");
        crate::verbs(error.kind(), all.into_iter())
    };
    assert_eq!(words(&["duties", "dep-1"]), "\nCommands of duties: fulfil\n");
    assert!(words(&["hospitals", "policy", "set"]).contains("Commands of hospitals policy: show, change"));
    assert_eq!(words(&["nonsense"]), "");
    assert_eq!(words(&["devices", "list", "--limit", "x"]), "");
}

#[test]
fn cli_26_errors_of_the_command_line_follow_the_form() {
    let wants = |words: &[&str]| crate::wants_json(words.iter().map(OsString::from));
    for json in [
        &["mdfmctl", "--json", "x"][..],
        &["mdfmctl", "x", "-o", "json"],
        &["mdfmctl", "--output=json"],
        &["mdfmctl", "-ojson"],
    ] {
        assert!(wants(json), "{json:?}");
    }
    for other in [&["mdfmctl"][..], &["mdfmctl", "-o", "wide", "json"], &["mdfmctl", "json"]] {
        assert!(!wants(other), "{other:?}");
    }
}

#[test]
fn cli_16_each_end_of_a_followed_deployment_has_its_status() {
    use crate::deployments::Ended;
    let statuses = [Ended::RolledBack, Ended::Aborted, Ended::Superseded].map(|ended| exit_code(&ended.into()));
    assert_eq!(statuses, [10, 11, 12]);
}

#[test]
fn cli_14_every_named_command_exists() {
    let paths: Vec<String> = leaves().into_iter().map(|(path, _)| path.join(" ")).collect();
    let page = include_str!("../../../docs/troubleshooting.md");
    let texts: Vec<&str> = WaitCode::ALL.iter().map(WaitCode::how).chain([page]).collect();
    let mut named = 0;
    for rest in texts.iter().flat_map(|text| text.split("mdfmctl ").skip(1)) {
        let is_word = |c: char| c.is_ascii_lowercase() || c == '-' || c == ' ';
        let words = rest.split(|c| !is_word(c)).next().unwrap_or_default();
        // Whatever is behind the command's own words is an argument.
        let is_named = |path: &String| words == path || words.starts_with(&format!("{path} "));
        assert!(paths.iter().any(is_named), "mdfmctl {words}");
        named += 1;
    }
    assert!(named > 20, "{named}");
}
