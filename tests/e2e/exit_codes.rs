//! Whoever watches the services can tell causes apart by the exit status (docs/troubleshooting.md).

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mdfm_shared::fixture::page::{Symptom, symptom};
use mdfm_tests::{Checked, Layout, Role, World, program, wait_for};
use serde_json::Value;

use crate::fresh_dir;

/// Runs a program that must end by itself; gives its status and what it said.
fn ends(name: &str, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(program(name).unwrap()).args(arguments).checked_output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A certificate whose time has not come.
fn certificate_of_the_future() -> String {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.not_before = rcgen::date_time_ymd(2100, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2101, 1, 1);
    parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn every_cause_has_its_exit_status_and_one_clear_line() {
    let dir = fresh_dir("exit");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    world.kill_agent(1);
    world.kill_coordinator();
    let text = |path: PathBuf| path.display().to_string();
    let (agent, coordinator) = (text(dir.join("agent-001.toml")), text(dir.join("coordinator.toml")));
    let wrong = text(dir.join("wrong.toml"));
    let line = |name: &str, config: &str, status: i32| {
        let arguments: &[&str] =
            if name == "mdfm-agent" { &["--config", config, "run"] } else { &["serve", "--config", config] };
        let (found, said) = ends(name, arguments);
        assert_eq!(found, status, "{name}: {said}");
        said
    };
    let says = |name: &str, config: &str, status: i32, words: &str| {
        let said = line(name, config, status);
        assert!(said.contains(words), "{name}: {said}");
    };
    let shows = |name: &str, config: &str, status: i32, shown: &Symptom| shown.assert_in(&line(name, config, status));

    std::fs::write(&wrong, "heartbeat_secods = 5").unwrap();
    let unknown_key = symptom("The service does not start", "… did you mean");
    shows("mdfm-agent", &wrong, 78, &unknown_key);
    says("mdfm-agent", &wrong, 78, "did you mean `heartbeat_seconds`");
    std::fs::write(&wrong, "lisen = \"127.0.0.1:1\"").unwrap();
    says("mdfm-coordinator", &wrong, 78, "did you mean `listen`");
    std::fs::write(&wrong, format!("data_dir = {:?}\nstate_dir = 1", text(dir.join("nowhere")))).unwrap();
    says("mdfm-coordinator", &wrong, 78, "state_dir");
    std::fs::write(&wrong, format!("data_dir = {:?}", text(dir.join("nowhere")))).unwrap();
    shows("mdfm-coordinator", &wrong, 66, &symptom("The service does not start", "… cannot be read; was"));
    std::fs::write(&wrong, format!("state_dir = {:?}", text(dir.join("nowhere")))).unwrap();
    shows("mdfm-agent", &wrong, 66, &symptom("The service does not start", "… is this gateway"));

    for (name, config, secret) in [
        ("mdfm-coordinator", &coordinator, world.data().join("online.key")),
        ("mdfm-agent", &agent, world.agent_state(1).join("identity.json")),
    ] {
        set_mode(&secret, 0o644);
        says(name, config, 77, &format!("chmod 600 {}", secret.display()));
        set_mode(&secret, 0o600);
    }

    let taken = TcpListener::bind(("127.0.0.1", world.port)).unwrap();
    let port_taken = symptom("The service does not start", "cannot listen");
    shows("mdfm-coordinator", &coordinator, 69, &port_taken);
    drop(taken);
    let device_port: u16 = std::fs::read_to_string(&agent)
        .unwrap()
        .split("127.0.0.1:")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let taken = TcpListener::bind(("127.0.0.1", device_port)).unwrap();
    shows("mdfm-agent", &agent, 69, &port_taken);
    drop(taken);

    let server = world.data().join("server.pem");
    let good = std::fs::read_to_string(&server).unwrap();
    std::fs::write(&server, certificate_of_the_future()).unwrap();
    let clock = symptom("The service does not start", "… set the clock");
    shows("mdfm-coordinator", &coordinator, 75, &clock);
    std::fs::write(&server, good).unwrap();
    let identity = world.agent_state(1).join("identity.json");
    let good = std::fs::read_to_string(&identity).unwrap();
    let mut early: Value = serde_json::from_str(&good).unwrap();
    early["certificate_pem"] = certificate_of_the_future().into();
    std::fs::write(&identity, early.to_string()).unwrap();
    shows("mdfm-agent", &agent, 75, &clock);
    std::fs::write(&identity, good).unwrap();

    // Mended, both run.
    world.start_coordinator().unwrap();
    world.start_agent(1).unwrap();
}

/// What has no status of its own ends with 1 and one line.
#[test]
fn cli_14_another_cause_ends_with_1_and_its_line() {
    let dir = fresh_dir("exit-other");
    let (state, token, config) = (dir.join("state"), dir.join("token"), dir.join("agent.toml"));
    std::fs::create_dir_all(&state).unwrap();
    let authority = rcgen::CertificateParams::default().self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let enrolment = mdfm_shared::enrol::EnrolmentToken {
        gateway: "GW-001".parse().unwrap(),
        url: "https://127.0.0.1:1".into(),
        secret: [7; 32],
        trust_root: mdfm_shared::digest::Digest([1; 32]),
        ca_der: authority.der().to_vec(),
    };
    std::fs::write(&token, enrolment.to_text()).unwrap();
    set_mode(&token, 0o600);
    std::fs::write(&config, format!("state_dir = {state:?}\n")).unwrap();
    let text = |path: &Path| path.display().to_string();
    let (status, said) = ends("mdfm-agent", &["--config", &text(&config), "enrol", "--token-file", &text(&token)]);
    assert_eq!(status.to_string(), "1", "{said}");
    assert!(said.contains("reaching https://127.0.0.1:1"), "{said}");
}

/// A process that ends with its handle.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// From one moment on no file may grow: the next record cannot be written. Nothing that was answered is lost.
#[test]
fn cli_14_a_log_that_cannot_be_written_ends_with_70() {
    let dir = fresh_dir("exit-full");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    world.kill_agent(1);
    world.kill_coordinator();
    let config = dir.join("coordinator.toml");
    // Without the signal a write over the limit is an error, as on a full disk.
    let serve = format!("trap '' XFSZ; exec {:?} serve --config {config:?}", program("mdfm-coordinator").unwrap());
    let mut coordinator = Ends(Command::new("sh").args(["-c", &serve]).stderr(Stdio::piped()).spawn().unwrap());
    // Through a pipe, which has no limit.
    let (heard, lines) = (Arc::new(Mutex::new(String::new())), coordinator.0.stderr.take().unwrap());
    let keeps = Arc::clone(&heard);
    std::thread::spawn(move || {
        for line in BufReader::new(lines).lines().map_while(Result::ok) {
            keeps.lock().unwrap().push_str(&(line + "\n"));
        }
    });
    let said = || heard.lock().unwrap().clone();
    wait_for("the coordinator to serve", Duration::from_secs(30), || Ok(said().contains("serving").then_some(())))
        .unwrap();
    let add = |id: &str| world.ctl(Role::Operator, &["hospitals", "add", id, "--name", id]);
    add("H-BEFORE").unwrap();
    let limited =
        Command::new("prlimit").args(["--fsize=1", "--pid", &coordinator.0.id().to_string()]).status().unwrap();
    assert!(limited.success(), "prlimit is of Debian's util-linux");
    assert!(add("H-LOST").is_err(), "nobody is answered");
    let status = wait_for("the coordinator to end", Duration::from_secs(30), || Ok(coordinator.0.try_wait()?)).unwrap();
    assert_eq!(status.code(), Some(70), "{}", said());
    let stopping = symptom("The service does not start", "… stopping");
    wait_for("its last line", Duration::from_secs(5), || Ok(stopping.is_in(&said()).then_some(()))).unwrap();
    world.start_coordinator().unwrap();
    let listed = world.ctl(Role::Operator, &["hospitals", "list"]).unwrap().to_string();
    assert!(listed.contains("H-BEFORE") && !listed.contains("H-LOST"), "{listed}");
}

/// Root types `enrol` beside a state directory that belongs to the service's user: what is written there must be the service's. Nobody answers
/// at the coordinator's address; the state directory is opened before that.
#[test]
fn cli_22_root_enrols_as_the_user_of_the_service() {
    use std::os::unix::fs::{MetadataExt, chown};

    const SERVICE: u32 = 65_534;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Without root there is nobody to become.
        return;
    }
    let dir = std::env::temp_dir().join(format!("mdfm-enrol-{}", std::process::id()));
    let state = dir.join("state");
    std::fs::create_dir_all(&state).unwrap();
    chown(&state, Some(SERVICE), Some(SERVICE)).unwrap();
    let authority = rcgen::CertificateParams::default().self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let token = mdfm_shared::enrol::EnrolmentToken {
        gateway: "GW-001".parse().unwrap(),
        url: "https://127.0.0.1:1".into(),
        secret: [7; 32],
        trust_root: mdfm_shared::digest::Digest([1; 32]),
        ca_der: authority.der().to_vec(),
    };
    let (file, config) = (dir.join("token"), dir.join("agent.toml"));
    std::fs::write(&file, token.to_text()).unwrap();
    set_mode(&file, 0o600);
    std::fs::write(&config, format!("state_dir = {state:?}\n")).unwrap();
    let text = |path: &Path| path.display().to_string();
    let (status, said) = ends("mdfm-agent", &["--config", &text(&config), "enrol", "--token-file", &text(&file)]);
    assert!(status == 1 && said.contains("reaching https://127.0.0.1:1"), "{status}: {said}");
    let lock = std::fs::metadata(state.join("state/lock")).unwrap();
    assert_eq!((lock.uid(), lock.gid()), (SERVICE, SERVICE));
    std::fs::remove_dir_all(&dir).unwrap();
}

/// The samples: `mdfmctl` signed with a key of mode 0644 and signed in with such a password; `mdfm-witness`, `mdfm-agent` and `mdfm-coordinator init` took
/// keys and a password that others can read.
#[test]
fn cli_22_no_program_takes_a_secret_that_others_can_read() {
    let dir = fresh_dir("exposed");
    std::fs::create_dir_all(&dir).unwrap();
    let text = |name: &str| dir.join(name).display().to_string();
    let refused = |name: &str, exposed: &str, status: i32, arguments: &[&str]| {
        set_mode(&dir.join(exposed), 0o640);
        let (found, said) = ends(name, arguments);
        assert_eq!(found, status, "{name} {arguments:?}: {said}");
        symptom("The service does not start", "… holds a secret").assert_in(&said);
        let cure = format!("run: chmod 600 {}", text(exposed));
        assert!(said.contains(&cure), "{name}: {said}");
        set_mode(&dir.join(exposed), 0o600);
        let (_, said) = ends(name, arguments);
        assert!(!said.contains("holds a secret"), "{name} takes it after the cure: {said}");
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    for name in ["password", "factor"] {
        std::fs::write(dir.join(name), "JBSWY3DPEHPK3PXP\n").unwrap();
    }
    std::fs::write(dir.join("tls.key"), key.serialize_pem()).unwrap();
    std::fs::write(dir.join("tls.pem"), own.pem()).unwrap();

    // What people hold: a key, a password, the secret of a second factor, a session.
    let keys: Vec<String> = ["root", "release", "registrar"].map(text).into();
    let (status, said) =
        ends("mdfmctl", &[&["keys", "make"][..], &keys.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    assert_eq!(status, 0, "{said}");
    let (public, root) = (|name: &str| text(&format!("{name}.pub")), text("root-1.mdfm"));
    let log =
        mdfm_shared::tlog::NoteSigner::new("example/log", mdfm_shared::sign::SecretKey::from_seed([7; 32])).unwrap();
    std::fs::write(dir.join("log.vkey"), log.key().to_vkey()).unwrap();
    let owners = ["--root", &public("root"), "--root-threshold", "1", "--release", &public("release"), "--registrar"];
    let others =
        [public("registrar"), "--coordinator".to_owned(), public("release"), "--log-vkey".to_owned(), text("log.vkey")];
    let make = ["trust", "make-root", "--out", &root];
    let (status, said) = ends("mdfmctl", &[&make[..], &owners, &others.each_ref().map(String::as_str)].concat());
    assert_eq!(status, 0, "{said}");
    let sign = ["trust", "sign", &root, "--key", &text("root"), "--yes", "--digest", &"0".repeat(64)];
    refused("mdfmctl", "root", 1, &sign);
    let session = text("session");
    let login =
        ["--session", &session, "login", "--url", "https://127.0.0.1:1", "--ca", &text("tls.pem"), "--user", "qa"];
    refused("mdfmctl", "password", 1, &[&login[..], &["--password-file", &text("password")]].concat());
    let both = ["--password-file", &text("password"), "--factor-file", &text("factor")];
    refused("mdfmctl", "factor", 1, &[&login[..], &both].concat());
    std::fs::write(&session, "{}").unwrap();
    refused("mdfmctl", "session", 1, &["--session", &session, "devices", "list"]);

    // What programs hold.
    let data = text("coordinator");
    let init = ["init", "--data", &data, "--dns-name", "localhost", "--log-origin", "example/log"];
    refused("mdfm-coordinator", "password", 77, &[&init[..], &["--admin-password-file", &text("password")]].concat());
    let witness = text("witness");
    let (status, said) = ends("mdfm-witness", &["init", "--data", &witness, "--name", "witness.example/1"]);
    assert_eq!(status, 0, "{said}");
    let config = format!(
        "data_dir = {witness:?}\nlisten = \"127.0.0.1:1\"\nlogs = [{:?}]\ncertificate_file = {:?}\nkey_file = {:?}\n",
        log.key().to_vkey(),
        text("tls.pem"),
        text("tls.key")
    );
    std::fs::write(dir.join("witness.toml"), config).unwrap();
    let check = ["serve", "--config", &text("witness.toml"), "--check-config"];
    refused("mdfm-witness", "tls.key", 77, &check);
    refused("mdfm-witness", "witness/witness.key", 77, &check);
    let config = format!(
        "state_dir = {:?}\n[device_tls]\nlisten = \"127.0.0.1:1\"\ncertificate = {:?}\nkey = {:?}\n",
        text("agent"),
        text("tls.pem"),
        text("tls.key")
    );
    std::fs::write(dir.join("agent.toml"), config).unwrap();
    refused("mdfm-agent", "tls.key", 77, &["--config", &text("agent.toml"), "run", "--check-config"]);
    std::fs::write(dir.join("token"), "mdfm-token").unwrap();
    refused("mdfm-agent", "token", 77, &["--config", &text("agent.toml"), "enrol", "--token-file", &text("token")]);
    let device = ["device", "--dir", &text("flash"), "--id", "DEV-1", "--broker", "nowhere"];
    refused("mdfm-sim", "password", 77, &[&device[..], &["--secret-file", &text("password")]].concat());
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A shell hands a secret over as a pipe, which has no mode to be wrong; `/dev/stdin` is one, too.
#[test]
fn cli_22_a_secret_comes_through_a_pipe_of_the_shell() {
    let dir = fresh_dir("pipe");
    std::fs::create_dir_all(&dir).unwrap();
    let coordinator = program("mdfm-coordinator").unwrap();
    for (n, file) in ["/dev/stdin", "/dev/fd/0"].iter().enumerate() {
        let data = dir.join(n.to_string());
        let script = format!(
            "echo 'a password that nobody guesses' | {} init --data {} --dns-name localhost --log-origin example/log --admin-password-file {file}",
            coordinator.display(),
            data.display()
        );
        let output = Command::new("sh").args(["-c", &script]).checked_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!data.join("first-password-of-admin").exists(), "it is the one that was given");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
