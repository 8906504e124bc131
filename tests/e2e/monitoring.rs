//! What the operator's own monitoring gets: security events by syslog over TLS, logs as JSON, and nothing secret in either.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mdfm_tests::{Api, Layout, Role, World, wait_for};
use serde_json::{Value, json};

use crate::access::PASSWORD;
use crate::fresh_dir;

/// A receiver of somebody else's making, which writes each message as a line.
struct Receiver(Child);

impl Receiver {
    fn start(world: &World, port: u16) -> Self {
        let (dir, data) = (world.dir.display(), world.data().display().to_string());
        let config = format!(
            "global(workDirectory=\"{dir}\" defaultNetstreamDriver=\"gtls\"\n\
             defaultNetstreamDriverCAFile=\"{data}/ca.pem\" defaultNetstreamDriverCertFile=\"{data}/server.pem\"\n\
             defaultNetstreamDriverKeyFile=\"{data}/server.key\")\n\
             module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\")\n\
             input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
             template(name=\"line\" type=\"string\" string=\"%pri%|%timereported:::date-rfc3339%|%hostname%|%app-name%|%msgid%|%structured-data%|%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{dir}/events\" template=\"line\")\n"
        );
        let file = world.dir.join("rsyslog.conf");
        std::fs::write(&file, config).unwrap();
        let log = std::fs::File::create(world.dir.join("logs/rsyslog.log")).unwrap();
        let child = Command::new("/usr/sbin/rsyslogd")
            .args(["-n", "-f", &file.display().to_string(), "-i", &world.dir.join("rsyslog.pid").display().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("rsyslogd is there; run `make test-tools`");
        Self(child)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn events(dir: &Path) -> Vec<String> {
    std::fs::read_to_string(dir.join("events")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn fda_cyb_log_security_events_reach_the_monitoring_in_order_also_those_while_it_was_away() {
    let dir = fresh_dir("syslog");
    let place = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = place.local_addr().unwrap().port();
    drop(place);
    let more_config = format!(
        "[syslog]\nhost = \"localhost\"\nport = {port}\nca_file = {:?}\n",
        dir.join("coordinator/ca.pem").display().to_string()
    );
    let world = World::start(&dir, Layout { hospitals: 0, more_config, ..Layout::default() }).unwrap();
    let stranger = Api::with_session(world.session(Role::Admin).as_ref()).unwrap().anonymous();
    let body = json!({ "userId": "admin\n<13>1 forged", "password": "guess guess guess" });
    assert_eq!(stranger.json("POST", "/api/v1/sessions", &body).unwrap().0, 401);
    // Only now is there somebody who listens.
    let receiver = Receiver::start(&world, port);
    let has = |words: &'static str| {
        wait_for(words, Duration::from_secs(30), || Ok(events(&dir).iter().any(|e| e.contains(words)).then_some(())))
    };
    has("|session.open|[mdfm@32473").unwrap();
    has("forged").unwrap();
    world.ctl(Role::Admin, &["users", "sign-out", "qa", "--reason", "before"]).unwrap();
    has("|user.sessions.end|").unwrap();
    drop(receiver);
    world.ctl(Role::Admin, &["users", "sign-out", "qa", "--reason", "meanwhile-away"]).unwrap();
    let _receiver = Receiver::start(&world, port);
    world.ctl(Role::Admin, &["users", "sign-out", "qa", "--reason", "afterwards"]).unwrap();
    has("afterwards").unwrap();
    let all = events(&dir);
    let indexes: Vec<u64> =
        all.iter().filter_map(|e| e.split("index=\"").nth(1)?.split('"').next()?.parse().ok()).collect();
    assert!(indexes.len() == all.len() && indexes.is_sorted(), "{all:#?}");
    assert!(all.iter().all(|e| e.contains("|127.0.0.1|mdfm-coordinator|")), "{all:#?}");
    let roots = all.iter().filter(|e| e.contains("|trust.root.add|")).count();
    assert_eq!(roots, 1, "what came first was not lost: {all:#?}");
}

#[test]
fn logs_are_json_where_wished_and_hold_no_secret() {
    let dir = fresh_dir("json-log");
    let mut world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    world.kill_coordinator();
    let log = dir.join("logs/json.log");
    let config = dir.join("coordinator.toml");
    let mut child = Command::new(mdfm_tests::program("mdfm-coordinator").unwrap())
        .args(["serve", "--config", &config.display().to_string()])
        .env("MDFM_LOG_FORMAT", "json")
        .env("MDFM_LOG", "debug")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    wait_for("the coordinator", Duration::from_secs(20), || {
        Ok(std::fs::read_to_string(&log)?.contains("serving").then_some(()))
    })
    .unwrap();
    world.login(Role::Operator).unwrap();
    let made = ["tokens", "create", "robot", "--permission", "read", "--expires", "2027-10-01T00:00:00Z"];
    let token = world.ctl(Role::Operator, &made).unwrap()["token"].as_str().expect("a token").to_owned();
    world.ctl(Role::Operator, &["hospitals", "add", "HOSP-9", "--name", "Nine"]).unwrap();
    let session: Value = serde_json::from_slice(&std::fs::read(world.session(Role::Operator)).unwrap()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> =
        text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    assert!(lines.iter().any(|l| l["event"] == "hospital.register" && l["level"] == "INFO"), "{text}");
    let factor = std::fs::read_to_string(world.factor("operator")).unwrap();
    let secrets = [PASSWORD, session["token"].as_str().unwrap(), factor.trim(), &token];
    for secret in secrets {
        assert!(!text.contains(secret), "a secret stands in the log");
    }
}
