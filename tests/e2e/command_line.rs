//! What people met at the command line: `mdfmctl` and the demonstration as they are called, in one installation.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use mdfm_tests::{
    Api, Checked, Layout, Role, World, checked_end, device_id, gateway_id, hospital_id, program, wait_for,
};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

/// Runs `mdfmctl` without a terminal, as it is called.
fn called(world: &World, role: Role, arguments: &[&str]) -> Output {
    let mut command = Command::new(program("mdfmctl").unwrap());
    command.args(["--session", &world.session(role)]).args(arguments).stdin(Stdio::null()).checked_output().unwrap()
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// What it printed, of a call that succeeds.
fn says(world: &World, role: Role, arguments: &[&str]) -> String {
    let output = called(world, role, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    text(&output)
}

/// What it printed, of a call that fails with this exit status.
fn fails(world: &World, role: Role, status: i32, words: &str, arguments: &[&str]) -> String {
    let output = called(world, role, arguments);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
    assert!(text.contains(words), "{arguments:?}: {text}");
    assert!(!text.contains("UtcMillis") && !text.contains(" { "), "no Rust in it: {text}");
    text
}

fn plan(world: &World, name: &str, plan: &Value) -> String {
    let file = world.dir.join(format!("{name}.json"));
    std::fs::write(&file, plan.to_string()).unwrap();
    file.display().to_string()
}

/// One installation for every row that needs one; each part leaves it as the next expects it.
#[test]
fn cli_1_to_25_the_tool_in_one_installation() {
    let dir = fresh_dir("command-line");
    let world = World::start(&dir, Layout { hospitals: 2, devices: 2, ..Layout::default() }).unwrap();
    let first = image(&dir, 31, 200_000);
    world.upload("FW-2.2.0", "2.2.0", 22, &first, 1.0).unwrap();
    signing(&world, &first);
    for role in [Role::Clinical, Role::Regulatory] {
        world.approve("FW-2.2.0", role).unwrap();
    }
    policies(&world);
    let id = deploying(&world);
    rolling_back(&world, &id);
    recalling(&world);
    looking(&world, &id);
    reading(&world, &id);
    retiring(&world);
}

/// CLI-32: whoever signs reads about it; staff read of their own hospital alone.
fn reading(world: &World, id: &str) {
    for (noun, object) in [("firmware", "FW-2.2.0"), ("deployments", id), ("devices", &device_id(1, 1))] {
        let shown = says(world, Role::Clinical, &[noun, "history", object]);
        assert!(shown.lines().count() > 1, "{noun}: {shown}");
    }
    let report = world.dir.join("read-by-clinical.json").display().to_string();
    says(world, Role::Clinical, &["reports", "make", "deployment", id, "--out", &report]);
    fails(world, Role::Clinical, 1, "--overwrite", &["reports", "make", "deployment", id, "--out", &report]);
    fails(world, Role::Clinical, 3, "permission", &["audit", "search", "--limit", "1"]);
    let (own, other) = (hospital_id(1), hospital_id(2));
    world.add_staff("ward-1", &own).unwrap();
    for (noun, object) in [("firmware", "FW-2.2.0"), ("deployments", id), ("devices", &device_id(1, 1))] {
        let page = world.ctl_as("ward-1", &[noun, "history", object]).unwrap().to_string();
        assert!(!page.contains(&other) && !page.contains(&device_id(2, 1)), "{noun}: {page}");
    }
    let hidden = world.ctl_as("ward-1", &["devices", "history", &device_id(2, 1)]).unwrap_err().to_string();
    assert!(hidden.contains("not-found"), "{hidden}");
    let report = world.dir.join("read-by-staff.json").display().to_string();
    let refused = world.ctl_as("ward-1", &["reports", "make", "deployment", id, "--out", &report]);
    assert!(refused.unwrap_err().to_string().contains("permission") && !Path::new(&report).exists());
}

/// CLI-5, CLI-6.
fn signing(world: &World, first: &Path) {
    let shown = says(world, Role::Clinical, &["firmware", "show", "FW-2.2.0"]);
    for words in ["hardware", "release number", "security version", "class", "trial", "bill of materials"] {
        assert!(shown.to_lowercase().contains(words), "{words}: {shown}");
    }
    let differences = says(world, Role::Clinical, &["firmware", "differences", "FW-2.2.0"]);
    assert!(differences.contains("nothing to compare"), "no release is in the field yet: {differences}");
    let (key, digest) = (world.key("qa"), world.manifest_digest("FW-2.2.0").unwrap());
    let approve = |reason: &str, more: &[&str]| {
        let all = [&["approve", "FW-2.2.0", "--role", "QA", "--key", &key, "--reason", reason][..], more].concat();
        called(world, Role::Qa, &all)
    };
    let named = ["--yes", "--manifest-digest", &digest];
    let blank = approve(" ", &named);
    assert_eq!(blank.status.code(), Some(6), "{}", text(&blank));
    assert!(text(&blank).contains("must say why"), "{}", text(&blank));
    let blind = approve("tested", &["--yes"]);
    assert!(!blind.status.success() && text(&blind).contains("--yes needs --digest"), "{}", text(&blind));
    let other = image(&world.dir, 99, 1_000).display().to_string();
    let wrong = approve("tested", &[&named[..], &["--image", &other]].concat());
    assert!(!wrong.status.success() && text(&wrong).contains("nothing was signed: the release has the image"));
    let view = world.ctl(Role::Qa, &["firmware", "show", "FW-2.2.0"]).unwrap();
    assert_eq!(view["approvals"].as_array().map(Vec::len), Some(0), "none of them was given");
    let right = approve("tested", &[&named[..], &["--image", &first.display().to_string()]].concat());
    assert!(right.status.success(), "{}", text(&right));
    let view = world.ctl(Role::Qa, &["firmware", "show", "FW-2.2.0"]).unwrap();
    assert_eq!(view["approvals"].as_array().map(Vec::len), Some(1), "only the last one was given");
}

/// CLI-3.
fn policies(world: &World) {
    let (hospital, window) = (hospital_id(1), "Sunday 02:00-06:00 America/New_York");
    let policy = ["hospitals", "policy"];
    fails(world, Role::Operator, 2, "unrecognized subcommand", &[&policy[..], &[&hospital]].concat());
    let change = |more: &[&'static str]| -> Vec<&str> { [&policy[..], &["change", &hospital], more].concat() };
    fails(world, Role::Operator, 2, "--add-window", &change(&["--reason", "nothing named"]));
    fails(world, Role::Operator, 2, "--reason", &change(&["--consent"]));
    says(world, Role::Operator, &change(&["--add-window", window, "--reason", "agreed"]));
    says(world, Role::Operator, &change(&["--consent", "--reason", "the ward asks"]));
    let shown = says(world, Role::Operator, &[&policy[..], &["show", &hospital]].concat());
    // "not asked for" has the words too.
    assert!(shown.contains("each deployment: asked for"), "{shown}");
    assert!(shown.contains("Sunday 02:00:00-06:00:00 America/New_York"), "the window stays: {shown}");
    says(world, Role::Operator, &change(&["--no-consent", "--reason", "no more"]));
    fails(world, Role::Operator, 5, "has these values already", &change(&["--no-consent", "--reason", "again"]));
    let shown = says(world, Role::Operator, &[&policy[..], &["show", &hospital]].concat());
    assert!(shown.contains("Sunday") && shown.contains("each deployment: not asked for"), "the windows stay: {shown}");
    says(world, Role::Operator, &change(&["--no-windows", "--reason", "at any time"]));
    let shown = says(world, Role::Operator, &[&policy[..], &["show", &hospital]].concat());
    assert!(!shown.contains("Sunday") && shown.contains("at any time"), "{shown}");
    says(world, Role::Operator, &change(&["--add-window", window, "--reason", "agreed"]));
}

/// CLI-1, CLI-4, CLI-9, CLI-23.
fn deploying(world: &World) -> String {
    let phases = json!([{ "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 30, "monitoringDuration": "PT1H" }]);
    let named = json!({ "firmwareId": "FW-2.2.0", "strategy": "Progressive", "phases": phases });
    let file = plan(world, "named", &named);
    fails(world, Role::Operator, 1, "which of them is meant?", &["deploy", "--firmware", "FW-9", &file, "--dry-run"]);
    let shown = says(world, Role::Operator, &["deploy", &file, "--dry-run"]);
    assert!(shown.contains("FW-2.2.0 for 4 devices"), "{shown}");
    let window = shown.lines().find(|line| line.contains("window Sun")).unwrap_or_else(|| panic!("no window: {shown}"));
    assert!(
        window.contains(" 02:00") && window.contains("(20") && window.trim_end().ends_with("Z)"),
        "both times: {window}"
    );
    assert!(!shown.contains("IGNORED") && !shown.contains("byGate"), "{shown}");
    fails(world, Role::Operator, 1, "confirmed on a terminal, or with --yes", &["deploy", &file]);
    let api = Api::with_session(Path::new(&world.session(Role::Operator))).unwrap();
    let dry = |body: &Value, query: &str| api.json("POST", &format!("/api/v1/deployments{query}"), body).unwrap();
    let mut in_body = named.clone();
    in_body["dryRun"] = json!(true);
    assert_eq!(dry(&in_body, "").0, 200, "the body alone makes it a dry run");
    assert_eq!(dry(&named, "?dryrun=true").0, 400, "a misspelt parameter starts nothing");
    let both = plan(world, "dry-run-in-plan", &in_body);
    fails(world, Role::Operator, 1, "give --dry-run on the command line", &["deploy", &both, "--yes"]);
    assert_eq!(world.ctl(Role::Operator, &["deployments", "list"]).unwrap(), json!([]), "nothing was started");
    let mut urgent = named.clone();
    urgent["ignoreWindows"] = json!(true);
    let file = plan(world, "no-reason", &urgent);
    fails(world, Role::Operator, 6, "ignoreWindowsReason", &["deploy", &file, "--dry-run"]);
    urgent["ignoreWindowsReason"] = json!("alarms fail");
    let file = plan(world, "urgent", &urgent);
    let shown = says(world, Role::Operator, &["deploy", &file, "--dry-run"]);
    assert!(shown.contains("IGNORED: its window Sunday 02:00:00-06:00:00 America/New_York, next Sun"), "{shown}");
    let mut typo = named.clone();
    typo["phases"][0]["hospitalCohort"] = json!("al");
    let file = plan(world, "typo", &typo);
    let output = called(world, Role::Operator, &["deploy", &file, "--dry-run"]);
    // Without cohorts in the fleet it is a note; with them it is refused with the one that was meant.
    let output = text(&output);
    assert!(output.contains("NOTE: ") && output.contains("\"al\"") || output.contains("did you mean"), "{output}");
    let file = plan(world, "wrong-type", &json!({ "firmwareId": "FW-2.2.0", "strategy": 7 }));
    fails(world, Role::Operator, 6, "expected a string at line 1 column", &["deploy", &file, "--dry-run"]);
    let id = world.deploy("FW-2.2.0", &urgent).unwrap();
    wait_for("the devices to confirm", Duration::from_secs(60), || {
        let view = world.deployment(&id)?;
        let done = view["devices"].as_array().unwrap().iter().filter(|d| d["state"] == "confirmed").count();
        Ok((done == 4).then_some(()))
    })
    .unwrap();
    let list = says(world, Role::Operator, &["deployments", "list", "--active"]);
    let row = list.lines().find(|line| line.starts_with(&id)).unwrap_or_else(|| panic!("not in the list: {list}"));
    assert!(row.contains("monitoring"), "{row}");
    let shown = says(world, Role::Operator, &["deployments", "show", &id]);
    let row = shown.lines().find(|line| line.trim_start().starts_with(&device_id(2, 2)));
    assert!(row.is_some_and(|row| row.contains("confirmed")), "{shown}");
    id
}

/// CLI-8.
fn rolling_back(world: &World, id: &str) {
    let device = device_id(1, 1);
    let order = ["rollback", id, "--device", &device, "--reason", "screen flickers"];
    fails(world, Role::Operator, 1, "--because operational", &order);
    let dry = says(world, Role::Operator, &[&order[..], &["--because", "Firmware", "--dry-run"]].concat());
    assert!(dry.contains("1 device counts as failed"), "{dry}");
    let dry = says(world, Role::Operator, &[&order[..], &["--because", "operational", "--dry-run"]].concat());
    assert!(dry.contains("1 device leaves the deployment's count"), "{dry}");
    fails(world, Role::Operator, 1, "with --yes", &[&order[..], &["--because", "operational"]].concat());
    let all = says(world, Role::Operator, &["rollback", id, "--reason", "x", "--dry-run"]);
    assert!(all.contains("4 devices in 2 hospitals"), "{all}");
    fails(world, Role::Operator, 1, "with --yes", &["rollback", id, "--reason", "x"]);
    // A2: what says only in its body that it is a dry run does nothing either; ids make no other address.
    let api = Api::with_session(Path::new(&world.session(Role::Operator))).unwrap();
    let path = format!("/api/v1/deployments/{id}/rollback");
    let (status, view) = api.json("POST", &path, &json!({ "reason": "x", "dryRun": true })).unwrap();
    assert_eq!((status, &view["totalDevices"]), (200, &json!(4)), "{view}");
    assert_eq!(api.json("POST", &format!("{path}?dry_run=true"), &json!({ "reason": "x" })).unwrap().0, 400);
    for bad in ["../../recalls", "..", "dep-1?dryRun=false", "dep-1#"] {
        fails(world, Role::Operator, 2, "deployment id", &["rollback", bad, "--reason", "x", "--yes"]);
    }
    assert_eq!(world.deployment(id).unwrap()["status"]["name"], "running", "nothing was done");
    says(world, Role::Operator, &["abort", id, "--yes", "--reason", "the recall follows"]);
    wait_for("the deployment to end", Duration::from_secs(30), || {
        Ok((world.deployment(id)?["status"]["name"] == "aborted").then_some(()))
    })
    .unwrap();
    // CLI-16: whoever follows learns from the exit status how it ended.
    let followed = called(world, Role::Operator, &["watch", id, "--follow"]);
    assert_eq!(followed.status.code(), Some(11), "{}", text(&followed));
    assert_eq!(String::from_utf8_lossy(&followed.stdout).lines().count(), 1, "{}", text(&followed));
}

/// CLI-2.
fn recalling(world: &World) {
    let open = ["recalls", "open", "--model", "CardiacMonitor-X200", "--reason", "alarms", "--action"];
    let with = |more: &[&'static str]| -> Vec<&str> { [&open[..], more].concat() };
    fails(world, Role::Regulatory, 6, "allReleases", &with(&["rollBack", "--yes"]));
    fails(world, Role::Regulatory, 2, "possible values", &with(&["destroy", "--all-releases"]));
    let dry = says(world, Role::Regulatory, &with(&["rollback", "--all-releases", "--dry-run"]));
    assert!(dry.contains("1 release and 4 devices in 2 hospitals") && dry.contains("FW-2.2.0"), "{dry}");
    fails(world, Role::Regulatory, 1, "with --yes", &with(&["rollBack", "--all-releases"]));
    let contradicts = with(&["quarantine", "--all-releases", "--release-from", "3", "--yes"]);
    fails(world, Role::Regulatory, 6, "contradicts", &contradicts);
    assert_eq!(world.ctl(Role::Regulatory, &["recalls", "list"]).unwrap(), json!([]), "nothing was opened");
}

/// CLI-10, CLI-15, CLI-24, CLI-25.
fn looking(world: &World, id: &str) {
    let mut command = Command::new(program("mdfmctl").unwrap());
    command.args(["--session", &world.session(Role::Operator), "audit", "search", "--limit", "500"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut byte = [0];
    child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
    let output = checked_end("mdfmctl", child).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "as `head` leaves it: {}", text(&output));

    let who = says(world, Role::Operator, &["whoami"]);
    assert!(who.starts_with("operator (") && who.contains("second factor: set up; "), "{who}");
    fails(world, Role::Operator, 4, "NO-1", &["devices", "show", "NO-1"]);
    fails(world, Role::Operator, 4, "dep-none", &["deployments", "show", "dep-none"]);
    let none = called(world, Role::Regulatory, &["recalls", "list"]);
    assert!(none.stdout.is_empty() && String::from_utf8_lossy(&none.stderr).contains("nothing found"));
    assert!(says(world, Role::Auditor, &["audit", "search", "--since", "1h", "--limit", "5"]).contains("ENTRY"));
    let before = called(world, Role::Auditor, &["audit", "search", "--until", "1h", "--limit", "5"]);
    assert!(before.stdout.is_empty() && text(&before).contains("nothing found"), "it began later: {}", text(&before));
    let future = called(world, Role::Auditor, &["audit", "search", "--since", "2099-01-01"]);
    assert!(String::from_utf8_lossy(&future.stderr).contains("nothing found"), "{}", text(&future));
    fails(world, Role::Auditor, 6, "is not a time", &["audit", "search", "--since", "yesterday"]);
    fails(world, Role::Auditor, 6, "has no time zone", &["audit", "search", "--since", "2026-11-29T10:00"]);
    forms(world);

    let token = world.dir.join("sessions/machine.token").display().to_string();
    let made = ["tokens", "create", "ci", "--permission", "readAll", "--permission", "read", "--expires", "1d"];
    world.ctl(Role::Operator, &[&made[..], &["--out", &token]].concat()).unwrap();
    let mut machine = Command::new(program("mdfmctl").unwrap());
    machine.env("MDFMCTL_TOKEN", std::fs::read_to_string(&token).unwrap().trim());
    machine.env("MDFMCTL_URL", format!("https://127.0.0.1:{}", world.port));
    machine.env("MDFMCTL_CA", world.dir.join("coordinator/ca.pem"));
    machine.env("MDFMCTL_SESSION", "/nonexistent/session");
    let listed = machine.args(["deployments", "list"]).checked_output().unwrap();
    assert!(listed.status.success() && text(&listed).contains(id), "{}", text(&listed));
    // Whoever types a session means that, and no token.
    let both = machine.args(["--context", "staging"]).checked_output().unwrap();
    assert_eq!(both.status.code(), Some(1), "{}", text(&both));
    assert!(text(&both).contains("unset MDFMCTL_TOKEN"), "{}", text(&both));
    // A session is for its own coordinator; nothing is sent elsewhere.
    let mut elsewhere = Command::new(program("mdfmctl").unwrap());
    elsewhere.env("MDFMCTL_URL", "https://127.0.0.1:1").args(["--session", &world.session(Role::Operator), "whoami"]);
    let refused = elsewhere.checked_output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("nothing was sent"), "{}", text(&refused));
}

/// CLI-26: lists as the API has them, in each form; errors for programs.
fn forms(world: &World) {
    let hospital = hospital_id(2);
    let filter = format!("hospitalId={hospital}");
    let devices = ["devices", "list", "--filter", &filter, "--sort", "-deviceId"];
    let with = |more: &[&'static str]| says(world, Role::Operator, &[&devices[..], more].concat());
    assert_eq!(with(&["-o", "name"]), format!("{}\n{}\n", device_id(2, 2), device_id(2, 1)));
    assert_eq!(with(&["--output", "name", "--limit", "1"]), format!("{}\n", device_id(2, 2)));
    let rows: Value = serde_json::from_str(&with(&["-o", "json", "--limit", "1"])).unwrap();
    assert_eq!((rows.as_array().map(Vec::len), &rows[0]["deviceId"]), (Some(1), &json!(device_id(2, 2))));
    let wide = with(&["-o", "wide"]);
    assert!(wide.contains("SERIAL") && !with(&[]).contains("SERIAL"), "{wide}");
    fails(world, Role::Operator, 6, "there is no field", &["devices", "list", "--filter", "nothing=1"]);
    let failed = called(world, Role::Operator, &["--json", "devices", "show", "NO-1"]);
    let problem: Value = serde_json::from_slice(&failed.stderr).unwrap();
    assert_eq!((&problem["status"], &problem["exitStatus"]), (&json!(404), &json!(4)), "{problem}");
    assert!(problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:mdfm:problem:")), "{problem}");
    let unread = called(world, Role::Operator, &["--json", "devices", "show", ".."]);
    let problem: Value = serde_json::from_slice(&unread.stderr).unwrap();
    assert_eq!((unread.status.code(), &problem["exitStatus"]), (Some(2), &json!(2)), "{problem}");
    let help = says(world, Role::Operator, &["devices", "list", "--help"]);
    assert!(help.contains("Global options:") && help.contains("Example:\n  mdfmctl devices list"), "{help}");
    assert!(says(world, Role::Operator, &["completions", "bash"]).contains("_mdfmctl()"));
    // Two people's changes of one account do not overwrite each other.
    let admin = Api::with_session(Path::new(&world.session(Role::Admin))).unwrap();
    let path = format!("/api/v1/users/{}", Role::Auditor.user());
    let (seen, _) = admin.tagged(&path).unwrap();
    let roles = ["users", "roles", Role::Auditor.user(), "--add", "QA", "--reason", "stands in"];
    says(world, Role::Admin, &roles);
    let body = json!({ "roles": ["Auditor"], "reason": "as it was" });
    assert_eq!(admin.json_if_match("PUT", &format!("{path}/roles"), &body, &seen).unwrap().0, 412);
    let held = world.ctl(Role::Admin, &["users", "show", Role::Auditor.user()]).unwrap();
    assert_eq!(held["roles"], json!(["Auditor", "QA"]), "what was added stays");
    says(world, Role::Admin, &["users", "roles", Role::Auditor.user(), "--remove", "QA", "--reason", "is back"]);
}

/// CLI-9, CLI-18, and the sets that wiped what was not named (CLI-3).
fn retiring(world: &World) {
    let hold = ["retention", "hold", "LH-1", "--object", "device/NO-1", "--reason", "a claim"];
    fails(world, Role::Regulatory, 4, "NO-1", &hold);
    let device = device_id(2, 2);
    let serial = world.ctl(Role::Operator, &["devices", "show", &device]).unwrap()["serialNumber"].clone();
    let same = ["devices", "change", &device, "--serial", serial.as_str().unwrap(), "--reason", "checked"];
    fails(world, Role::Operator, 5, "has these values already", &same);
    fails(world, Role::Operator, 1, "with --yes", &["devices", "retire", &device, "--reason", "worn out"]);
    world.ctl(Role::Operator, &["devices", "retire", &device, "--reason", "worn out"]).unwrap();
    assert!(!says(world, Role::Operator, &["devices", "list"]).contains(&device));
    assert!(says(world, Role::Operator, &["devices", "list", "--all"]).contains(&device));

    let group = ["groups", "set", "ICU", "--name", "Ward", "--device", &device_id(1, 1), "--reason", "list"];
    says(world, Role::Operator, &group);
    let replaced = ["groups", "set", "ICU", "--name", "Ward", "--device", &device_id(1, 2), "--reason", "list"];
    fails(world, Role::Operator, 1, "a list of 1 device and becomes a list of 1 device", &replaced);
    says(world, Role::Operator, &["groups", "change", "ICU", "--add-device", &device_id(1, 2), "--reason", "moved in"]);
    let members = says(world, Role::Operator, &["groups", "devices", "ICU", "-o", "name"]);
    assert_eq!(members, format!("{}\n{}\n", device_id(1, 1), device_id(1, 2)), "the first was not replaced");
    fails(world, Role::Regulatory, 2, "--not-reportable", &["incidents", "decide", "inc-1", "--reason", "x"]);
    fails(world, Role::Qa, 2, "--none", &["notices", "address"]);
    let longer = ["retention", "set", "--audit-years", "9", "--reason", "policy"];
    fails(world, Role::Regulatory, 1, "never get shorter again", &longer);
}

#[test]
fn cli_19_the_demonstration_deletes_only_what_it_made() {
    let dir = fresh_dir("demo-folder");
    std::fs::create_dir_all(dir.join("demo-run")).unwrap();
    std::fs::write(dir.join("demo-run/thesis.txt"), "ten years of work").unwrap();
    let demo = |arguments: &[&str]| {
        Command::new(program("mdfm-demo").unwrap()).current_dir(&dir).args(arguments).checked_output().unwrap()
    };
    let help = demo(&["--help"]);
    assert!(help.status.success() && text(&help).contains("Usage: mdfm-demo"), "{}", text(&help));
    for unknown in [&["--frobnicate"][..], &["stop", "here", "there"], &["stop", "--frobnicate"], &["stop", ""]] {
        let refused = demo(unknown);
        assert!(
            refused.status.code() == Some(2) && text(&refused).contains("is not known"),
            "{unknown:?}: {}",
            text(&refused)
        );
    }
    let refused = demo(&[]);
    assert!(!refused.status.success() && text(&refused).contains("left alone"), "{}", text(&refused));
    assert!(dir.join("demo-run/thesis.txt").exists());
    let none = demo(&["stop"]);
    assert!(!none.status.success() && text(&none).contains("no demonstration was run in"), "{}", text(&none));
    // What somebody types comes back without what a terminal obeys, and without a backtrace.
    for asked in [&["stop", "nowhere\u{1b}[31m\u{7}"][..], &["\u{1b}]0;x\u{7}"]] {
        let refused = Command::new(program("mdfm-demo").unwrap())
            .current_dir(&dir)
            .args(asked)
            .env("RUST_BACKTRACE", "1")
            .checked_output()
            .unwrap();
        let words = text(&refused);
        assert!(!refused.status.success() && !words.contains('\u{1b}') && !words.contains("backtrace"), "{words}");
    }
    assert!(text(&demo(&["--version"])).starts_with("mdfm-demo "));
    stopping(&dir);
}

/// What a run left running is ended from any folder, and named; nothing else is touched.
fn stopping(dir: &Path) {
    let (ours, elsewhere) = (dir.join("kept/demo-run"), dir.join("elsewhere"));
    std::fs::create_dir_all(&ours).unwrap();
    std::fs::create_dir_all(&elsewhere).unwrap();
    // A shell whose command line names the folder stands for the programs of an installation.
    let script = format!(": {}; cat; true", ours.canonicalize().unwrap().display());
    let mut left = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let named = format!("{}\n{}\n", left.id(), other.id());
    std::fs::write(ours.join(".mdfm-demo"), named).unwrap();
    let stop = |folder: &Path| {
        let mut command = Command::new(program("mdfm-demo").unwrap());
        command.current_dir(&elsewhere).arg("stop").arg(folder).checked_output().unwrap()
    };
    let stopped = stop(Path::new("../kept"));
    let words = text(&stopped);
    assert!(stopped.status.success() && words.contains(&format!("process {}", left.id())), "{words}");
    assert!(words.contains("1 process of ") && !words.contains(&format!("process {}\n", other.id())), "{words}");
    left.wait().unwrap();
    assert!(text(&stop(&ours)).contains("nothing of "), "they have ended");
    assert!(other.try_wait().unwrap().is_none(), "a program of somebody else goes on");
    drop(other.stdin.take());
    other.wait().unwrap();
}

/// CLI-10: whoever reads the output has left before anything was written.
#[test]
fn cli_10_a_closed_pipe_ends_every_list_quietly() {
    let dir = fresh_dir("closed-pipe");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let (hospital, gateway, device) = (hospital_id(1), gateway_id(1), device_id(1, 1));
    let ended = |role: Role, arguments: &[&str], out_of_report: bool| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(program("mdfmctl").unwrap());
        command.args(["--session", &world.session(role)]).args(arguments).stdin(Stdio::null()).stdout(writer);
        let output = checked_end("mdfmctl", command.stderr(Stdio::piped()).spawn().unwrap()).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // An empty list prints nothing but this.
        let is_quiet = said.is_empty() || said == "nothing found\n";
        assert!(output.status.success() && is_quiet, "{arguments:?} {out_of_report}: {} {said}", output.status);
    };
    for noun in [
        "users",
        "hospitals",
        "groups",
        "gateways",
        "devices",
        "firmware",
        "deployments",
        "incidents",
        "webhooks",
        "recalls",
        "rollback-orders",
        "contexts",
        "tokens",
        "notices",
    ] {
        ended(Role::Admin, &[noun, "list"], false);
        ended(Role::Admin, &["--json", noun, "list"], false);
    }
    for shown in [
        &["hospitals", "show", &hospital][..],
        &["gateways", "show", &gateway],
        &["devices", "show", &device],
        &["devices", "history", &device],
        &["users", "show", "operator"],
        &["settings", "show"],
        &["trust", "show"],
        &["withdrawals", "show"],
        &["hospitals", "cohorts"],
        &["users", "permissions"],
        &["whoami"],
        &["--help"],
        &["devices", "list", "--help"],
        &["completions", "bash"],
    ] {
        ended(Role::Admin, shown, false);
    }
    ended(Role::Auditor, &["retention", "show"], false);
    ended(Role::Auditor, &["audit", "search"], false);
    ended(Role::Auditor, &["audit", "show", "0"], false);
    ended(Role::Auditor, &["audit", "status"], false);
    ended(Role::Auditor, &["reports", "make", "system", "--format", "json", "--out", "/dev/stdout"], true);
    // CLI-25, CLI-11: what is not there has its status, before anybody is asked.
    fails(&world, Role::Admin, 4, "there is no gateway GW-999", &["gateways", "show", "GW-999"]);
    fails(&world, Role::Admin, 4, "there is no webhook nope", &["webhooks", "show", "nope"]);
    fails(&world, Role::Admin, 4, "nobody", &["users", "reset-password", "nobody", "--reason", "x"]);
    fails(&world, Role::Admin, 4, "nobody", &["users", "remove-second-factor", "nobody", "--reason", "x"]);
    fails(&world, Role::Auditor, 4, "NOPE", &["retention", "confirm", "NOPE", "--reason", "x"]);
    fails(&world, Role::Auditor, 4, "there is no entry", &["audit", "show", "999999"]);
    fails(
        &world,
        Role::Admin,
        6,
        "did you mean \"confirmed\"",
        &["devices", "list", "--filter", "installState=confirmd"],
    );
    fails(&world, Role::Admin, 6, "there is no field", &["recalls", "list", "--sort", "nothing"]);
    let asked = called(&world, Role::Admin, &["--json", "gateways", "revoke", &gateway, "--reason", "x"]);
    let problem: Value = serde_json::from_slice(&asked.stderr).expect("one line of JSON and nothing else");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("--yes")), "{problem}");
}

/// CLI-17: what fails before the first byte leaves nothing behind, and what ended early goes on under its id.
#[test]
fn cli_17_a_failed_upload_uses_up_no_id_and_goes_on() {
    let dir = fresh_dir("uploads");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let file = image(&dir, 41, 200_000);
    let ids = || says(&world, Role::Operator, &["firmware", "list", "-o", "name"]);
    // Longer than a version may be, and an image that is not there: neither reaches the coordinator as a release.
    assert!(world.upload("FW-2.2.0", &"9".repeat(2_000), 22, &file, 1.0).is_err());
    assert!(world.upload("FW-2.2.0", "2.2.0", 22, &dir.join("no.img"), 1.0).is_err());
    assert!(!ids().contains("FW-2.2.0"), "{}", ids());
    // As an upload leaves it whose line broke before its image: the same command goes on.
    let operator = Api::with_session(Path::new(&world.session(Role::Operator))).unwrap();
    let begun = json!({ "firmwareId": "FW-2.2.0", "version": "2.2.0", "deviceModel": "CardiacMonitor-X200", "releaseNotes": "", "approvalRequired": true });
    assert_eq!(operator.json("POST", "/api/v1/firmware", &begun).unwrap().0, 201);
    let view = world.upload("FW-2.2.0", "2.2.0", 22, &file, 1.0).unwrap();
    assert_eq!(view["status"], "pendingApproval", "{view}");
    // Another release of that number is refused before it exists.
    let taken = world.upload("FW-OTHER", "2.2.1", 22, &file, 1.0).unwrap_err().to_string();
    assert!(taken.contains("22") && !ids().contains("FW-OTHER"), "{taken}: {}", ids());
    world.upload("FW-OTHER", "2.2.1", 23, &file, 1.0).unwrap();
}
