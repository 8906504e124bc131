//! Whoever watches the services can tell causes apart by the exit status (docs/troubleshooting.md).

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mdfm_shared::fixture::page::{Symptom, symptom};
use mdfm_tests::{Layout, World, program};
use serde_json::Value;

use crate::fresh_dir;

/// Runs a program that must end by itself; gives its status and what it said.
fn ends(name: &str, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(program(name).unwrap()).args(arguments).output().unwrap();
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
