//! The first installation as its people do it: each with their own key on their own machine; and a rotation later.

use std::path::Path;
use std::process::Command;

use mdfm_tests::{Checked, Layout, Role, World, program};
use serde_json::Value;

use crate::fresh_dir;

const APPROVERS: [&str; 6] = [
    "--approver",
    "clinical|Clara Clinical|Clinical",
    "--approver",
    "qa|Quentin Quality|QA",
    "--approver",
    "regulatory|Rita Regulatory|Regulatory",
];

fn texts(view: &Value, what: &str) -> Vec<String> {
    view[what].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn p11_200a2_a_key_ceremony_is_guided_step_by_step_and_no_key_leaves_its_owner() {
    let dir = fresh_dir("ceremony");
    let world = World::start_empty(&dir, Layout { hospitals: 0, ..Layout::default() }, |_| {}).unwrap();
    let (ceremony, own) = (dir.join("ceremony"), dir.join("own"));
    std::fs::create_dir_all(&own).unwrap();
    let path = |p: &Path| p.display().to_string();
    let (folder, online, vkey) =
        (path(&ceremony), path(&world.data().join("online.pub")), path(&world.data().join("log.vkey")));
    assert!(world.offline(&["init", &folder]).unwrap_err().to_string().contains("the first call needs"));
    let first = ["init", &folder, "--coordinator", &online, "--log-vkey", &vkey];
    let two = [&first[..], &APPROVERS[..4]].concat();
    assert!(world.offline(&two).unwrap_err().to_string().contains("nobody is named as Regulatory"));
    let begun = world.offline(&[&first[..], &APPROVERS].concat()).unwrap();
    assert_eq!(texts(&begun, "next").len(), 8, "three root keys, release, registrar, three approvers: {begun}");
    let again = || world.offline(&["init", &folder]).unwrap();

    // Everybody makes a key; only the public halves come together.
    let owners = ["root-1", "root-2", "root-3", "release", "registrar", "clinical", "qa", "regulatory"];
    for owner in owners {
        let file = own.join(owner);
        world.offline(&["keys", "new", &path(&file)]).unwrap();
        // Somebody brings another's key by mistake first.
        let from = if owner == "regulatory" { own.join("qa.pub") } else { own.join(format!("{owner}.pub")) };
        std::fs::copy(from, ceremony.join("public").join(format!("{owner}.pub"))).unwrap();
    }
    let same = world.offline(&["init", &folder]).unwrap_err().to_string();
    assert!(same.contains("must all be different"), "{same}");
    std::fs::copy(own.join("regulatory.pub"), ceremony.join("public/regulatory.pub")).unwrap();

    let (root, roster) = (path(&ceremony.join("root-1.mdfm")), path(&ceremony.join("roster-1.mdfm")));
    let digest = |file: &str| {
        world.offline(&["trust", "inspect", file]).unwrap()["digest"].as_str().expect("a digest").to_owned()
    };
    let sign_with = |file: &str, owner: &str, more: &[&str]| {
        let (key, digest) = (path(&own.join(owner)), digest(file));
        let confirmed = ["trust", "sign", file, "--key", &key, "--yes", "--digest", &digest];
        world.offline(&[&confirmed[..], more].concat())
    };
    let sign = |file: &str, owner: &str| sign_with(file, owner, &["--accept-weaker"]).unwrap();
    assert!(texts(&again(), "next")[0].contains("2 of root-1, root-2, root-3"));
    // The ceremony's root names no witness, which is marked.
    let unmarked = sign_with(&root, "root-1", &[]).unwrap_err().to_string();
    assert!(unmarked.contains("marked WEAKER"), "{unmarked}");
    sign(&root, "qa");
    sign(&root, "root-3");
    assert!(texts(&again(), "next")[0].contains("needs 2"), "one signature, and one that does not count");
    sign(&root, "root-1");
    let signed = again();
    assert!(texts(&signed, "next")[0].starts_with("the registrar"), "{signed}");
    sign(&roster, "registrar");
    assert!(texts(&again(), "next")[0].contains("mdfmctl login"));
    let shown = world.offline(&["trust", "inspect", &root]).unwrap();
    assert_eq!(shown["signedBy"].as_array().map(Vec::len), Some(3));
    let pin = shown["digest"].as_str().unwrap().to_owned();

    world.login(Role::Admin).unwrap();
    let published = world.ctl(Role::Admin, &["init", &folder]).unwrap();
    assert_eq!(texts(&published, "next").len(), 6, "a password and an identity each: {published}");
    for approver in ["clinical", "qa", "regulatory"] {
        world
            .ctl(Role::Admin, &["users", "verify", approver, "--evidence", "passport", "--reason", "ceremony"])
            .unwrap();
    }
    let complete = world.ctl(Role::Admin, &["init", &folder]).unwrap();
    let hand = texts(&complete, "next");
    assert!(hand.len() == 3 && hand.iter().all(|step| step.starts_with("hand ")), "until they are removed: {complete}");
    // The folder has nothing of anybody's secret but the first passwords, which their owners change.
    let secrets = std::fs::read_dir(&ceremony)
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().contains("password"));
    assert_eq!(secrets.count(), 3);
    let password = path(&ceremony.join("first-password-of-clinical"));
    let login =
        ["login", "--url", &format!("https://127.0.0.1:{}", world.port), "--ca", &path(&world.data().join("ca.pem"))];
    let login = [&login[..], &["--user", "clinical", "--password-file", &password]].concat();
    assert_eq!(world.ctl_as("clinical", &login).unwrap()["printedName"], "Clara Clinical");
    for approver in ["clinical", "qa", "regulatory"] {
        std::fs::remove_file(ceremony.join(format!("first-password-of-{approver}"))).unwrap();
    }
    let complete = world.ctl(Role::Admin, &["init", &folder]).unwrap();
    assert!(texts(&complete, "next").is_empty(), "{complete}");

    // Years later: another registrar. Old and new root keys sign, nobody else's count, and a wrong pin is noticed.
    world.offline(&["keys", "new", &path(&own.join("registrar-2"))]).unwrap();
    let next = path(&dir.join("root-2.mdfm"));
    let registrar = path(&own.join("registrar-2.pub"));
    world.offline(&["trust", "rotate", "--from", &root, "--out", &next, "--registrar", &registrar]).unwrap();
    sign_with(&next, "root-2", &["--accept-weaker", "--previous", &root]).unwrap();
    let verify = |more: &[&str]| world.offline(&[&["trust", "verify", &root, &next][..], more].concat());
    assert!(verify(&["--pin", &pin]).unwrap_err().to_string().contains("root-2.mdfm does not hold"));
    sign(&next, "root-3");
    assert_eq!(verify(&["--pin", &pin]).unwrap()["rootVersion"], 2);
    assert!(verify(&["--pin", &"0".repeat(64)]).unwrap_err().to_string().contains("root-1.mdfm does not hold"));
    assert!(verify(&["--roster", &roster]).unwrap_err().to_string().contains("does not hold under the last root"));
    let old = world.offline(&["trust", "verify", &root, "--pin", &pin, "--roster", &roster]).unwrap();
    assert_eq!(old["people"], 3);
    world.ctl(Role::Admin, &["trust", "publish", &next]).unwrap();
    assert_eq!(world.ctl(Role::Admin, &["trust", "show"]).unwrap()["rootVersion"], 2);
}

#[test]
fn a_trial_makes_every_key_at_once_and_says_what_it_is() {
    let dir = fresh_dir("trial");
    let init = |world: &World, dir: &Path| {
        world.login(Role::Admin).unwrap();
        Command::new(program("mdfmctl").unwrap())
            .arg("--session")
            .arg(world.session(Role::Admin))
            .arg("init")
            .arg(dir.join("trial"))
            .arg("--coordinator")
            .arg(world.data().join("online.pub"))
            .arg("--log-vkey")
            .arg(world.data().join("log.vkey"))
            .args(APPROVERS)
            .arg("--trial")
            .checked_output()
            .unwrap()
    };
    // A real installation never becomes a trial.
    let real_dir = fresh_dir("no-trial");
    let real = World::start_empty(&real_dir, Layout { hospitals: 0, ..Layout::default() }, |_| {}).unwrap();
    let refused = init(&real, &real_dir);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("is not a trial installation"), "{words}");
    drop(real);
    let world = World::start_empty(&dir, Layout { hospitals: 0, trial: true, ..Layout::default() }, |_| {}).unwrap();
    let output = init(&world, &dir);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.starts_with("THIS IS A TRIAL"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("the coordinator has the trust root and the roster"), "{said}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(dir.join("trial/trial-secret-keys/root-1")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o077, 0, "a secret is its owner's alone");
}

/// Whoever has a first password and nothing else is signed in by the command that they came for: own password, second factor with its first code,
/// recovery codes, and then what the command does.
#[test]
fn cli_27_the_first_sign_in_is_one_command() {
    let dir = fresh_dir("first-sign-in");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let first = dir.join("first-password");
    crate::write_secret(&first, "a password of somebody else");
    let add = ["users", "add", "jdoe", "--name", "Jane Doe", "--role", "Operator", "--password-file"];
    world.ctl(Role::Admin, &[&add[..], &[&first.display().to_string()]].concat()).unwrap();
    let typed = |answers: Value, arguments: &[&str]| {
        let output = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("terminal/answer.py"))
            .arg(answers.to_string())
            .arg(program("mdfmctl").unwrap())
            .arg("--session")
            .arg(dir.join("jdoe.session"))
            .args(arguments)
            .env("MDFMCTL_URL", format!("https://127.0.0.1:{}", world.port))
            .env("MDFMCTL_CA", world.data().join("ca.pem"))
            .checked_output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), format!("{printed}{}", String::from_utf8_lossy(&output.stderr)))
    };
    let answers = serde_json::json!([
        ["your user id", "jdoe"],
        ["the password of jdoe", "a password of somebody else"],
        ["Enter alone keeps the present one", "a password that jdoe alone knows"],
        ["the new password again", "a password that jdoe alone knows"],
        ["Enter alone sets up the second factor later", "000000"],
        ["Enter alone sets up the second factor later", "TOTP"],
    ]);
    let (status, printed) = typed(answers, &["hospitals", "add", "HOSP-9", "--name", "Nine"]);
    assert_eq!(status, Some(0), "{printed}");
    for words in ["password changed", "otpauth://totp/", "signed in as jdoe", "recovery codes", "registered HOSP-9"] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    assert!(!printed.contains("jdoe alone knows"), "no password is shown: {printed}");
    // The session is kept: the next command asks nothing.
    let (status, printed) = typed(serde_json::json!([]), &["whoami"]);
    assert!(status == Some(0) && printed.contains("second factor: set up"), "{printed}");
    assert!(printed.contains("the roles Clinical, QA and Regulatory sign"), "{printed}");
}
