//! What administrators do beside each other, and what the audit log shows of it.

use std::process::{Command, Stdio};

use mdfm_tests::{Checked, Layout, Role, World, program};
use serde_json::{Value, json};

use crate::fresh_dir;

/// What `mdfmctl` of a person printed without a terminal, and its exit status.
fn called(world: &World, user: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let session = world.dir.join("sessions").join(user);
    let mut command = Command::new(program("mdfmctl").unwrap());
    let output = command.arg("--session").arg(session).args(arguments).stdin(Stdio::null()).checked_output().unwrap();
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    (output.status.code(), text)
}

/// Writes the settings as `mdfmctl` shows them, with one of them changed, to a file.
fn written(world: &World, user: &str, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut settings = world.ctl_as(user, &["settings", "show"]).unwrap();
    change(&mut settings);
    let file = world.dir.join(name);
    std::fs::write(&file, settings.to_string()).unwrap();
    file.display().to_string()
}

#[test]
fn cli_3_the_second_of_two_administrators_sees_what_changed() {
    let dir = fresh_dir("administration");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let password = dir.join("password").display().to_string();
    let add = ["users", "add", "second", "--name", "Second", "--role", "Admin", "--password-file", &password];
    world.ctl(Role::Admin, &add).unwrap();
    world.login_as("second").unwrap();

    // Both look, then both write.
    let first = written(&world, "admin", "first.json", |settings| settings["passwordDays"] = json!(90));
    let second = written(&world, "second", "second.json", |settings| settings["trainingRequired"] = json!(true));
    let set =
        |user: &str, file: &str, reason: &str| called(&world, user, &["settings", "set", file, "--reason", reason]);
    let done = set("admin", &first, "shorter passwords");
    assert_eq!(done.0, Some(0), "{}", done.1);
    let (status, words) = set("second", &second, "training");
    assert_eq!(status, Some(5), "{words}");
    for part in [
        "nothing was changed",
        "by admin at 20",
        "(shorter passwords)",
        "passwordDays is 90 now, 365 in the file",
        "trainingRequired is false now, true in the file",
        "mdfmctl settings show --json > NEW.json",
    ] {
        assert!(words.contains(part), "{part:?} is missing: {words}");
    }
    let now = world.ctl_as("second", &["settings", "show"]).unwrap();
    assert_eq!(
        (&now["passwordDays"], &now["trainingRequired"]),
        (&json!(90), &json!(false)),
        "the first change stands"
    );
    let again = written(&world, "second", "again.json", |settings| settings["trainingRequired"] = json!(true));
    let done = set("second", &again, "training");
    assert_eq!(done.0, Some(0), "{}", done.1);
    let now = world.ctl_as("admin", &["settings", "show"]).unwrap();
    assert_eq!((&now["passwordDays"], &now["trainingRequired"]), (&json!(90), &json!(true)), "both changes stand");

    a_factor_leaves_no_secret(&world);
}

/// What an auditor reads of a second factor that was set up: that it was, and nothing that opens the account.
fn a_factor_leaves_no_secret(world: &World) {
    let wanted = ["audit", "search", "--action", "user.second-factor.set", "--object", "user/second"];
    let found = world.ctl(Role::Auditor, &wanted).unwrap();
    let records = found["records"].as_array().or_else(|| found.as_array()).unwrap().clone();
    let index = records[0]["index"].to_string();
    let secret = std::fs::read_to_string(world.factor("second")).unwrap().trim().to_owned();
    let recovery = std::fs::read_to_string(world.dir.join("sessions/second.recovery")).unwrap();
    let recovery: Vec<&str> = recovery.lines().collect();
    assert!(secret.len() >= 16 && !recovery.is_empty(), "they are what must not be found");
    let as_json = world.ctl(Role::Auditor, &["audit", "show", &index]).unwrap().to_string();
    let (status, as_text) = called(world, "auditor", &["audit", "show", &index]);
    assert_eq!(status, Some(0), "{as_text}");
    // The log itself, byte by byte.
    let log: Vec<u8> = files_below(&world.dir.join("coordinator/log")).concat();
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("user.second-factor.set"), "it is the log");
    for (what, shown) in [("JSON", as_json.as_str()), ("text", &as_text), ("the log", &log)] {
        assert!(!shown.to_lowercase().contains(&secret.to_lowercase()), "{what} has the secret");
        let codes = recovery.iter().filter(|code| shown.to_lowercase().contains(&code.to_lowercase())).count();
        assert_eq!(codes, 0, "{what} has a recovery code");
    }
    let event: Value = serde_json::from_str::<Value>(&as_json).unwrap();
    let change = find(&event, "change").expect("the change of the account");
    assert_eq!(change["change"], "secondFactorSet");
    for digest in [&change["secret"], &change["session"], &change["recovery"][0]] {
        let text = digest.as_str().unwrap_or_default();
        assert!(text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit()), "a digest: {digest}");
    }
    let fields: std::collections::BTreeSet<&str> = change.as_object().unwrap().keys().map(String::as_str).collect();
    let known = ["change", "recovery", "secret", "session", "step", "type", "user"];
    assert_eq!(fields, known.into_iter().collect(), "nothing else is in it");
}

/// The object in which a field of this name is a text.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) if fields.get(name).is_some_and(Value::is_string) => Some(value),
        Value::Object(fields) => fields.values().find_map(|inner| find(inner, name)),
        Value::Array(items) => items.iter().find_map(|inner| find(inner, name)),
        _ => None,
    }
}

fn files_below(dir: &std::path::Path) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        match entry.path().is_dir() {
            true => all.extend(files_below(&entry.path())),
            false => all.push(std::fs::read(entry.path()).unwrap()),
        }
    }
    all
}
