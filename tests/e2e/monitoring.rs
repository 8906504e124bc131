//! What the operator's own monitoring gets: security events by syslog over TLS, traces by OTLP, logs as JSON, and nothing secret in any.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mdfm_tests::{Api, Layout, Role, World, device_id, hospital_id, wait_for};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use prost::Message;
use serde_json::{Value, json};

use crate::access::PASSWORD;
use crate::{fresh_dir, image, write_secret};

/// A receiver of somebody else's making, which asks for a certificate and writes each message as a line.
struct Receiver(Child);

impl Receiver {
    fn start(world: &World, port: u16) -> Self {
        let (dir, data) = (world.dir.display(), world.data().display().to_string());
        let config = format!(
            "global(workDirectory=\"{dir}\" defaultNetstreamDriver=\"gtls\"\n\
             defaultNetstreamDriverCAFile=\"{dir}/clients.pem\" defaultNetstreamDriverCertFile=\"{data}/server.pem\"\n\
             defaultNetstreamDriverKeyFile=\"{data}/server.key\")\n\
             module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"x509/certvalid\")\n\
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

/// An authority of the receiver's own, and a certificate of it by which the receiver knows the coordinator.
fn make_client_certificate(dir: &Path) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(dir.join("clients.pem"), authority.self_signed(&authority_key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut client = rcgen::CertificateParams::new(vec!["coordinator.example".into()]).unwrap();
    client.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    std::fs::write(dir.join("client.pem"), client.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    write_secret(&dir.join("client.key"), &key.serialize_pem());
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
        "[syslog]\nhost = \"localhost\"\nport = {port}\nca_file = {:?}\ncertificate_file = {:?}\nkey_file = {:?}\n",
        dir.join("coordinator/ca.pem"),
        dir.join("client.pem"),
        dir.join("client.key"),
    );
    let layout = Layout { hospitals: 0, more_config, ..Layout::default() };
    let world = World::start_with(&dir, layout, make_client_certificate).unwrap();
    let stranger = Api::with_session(world.session(Role::Admin).as_ref()).unwrap().anonymous();
    let body = json!({ "userId": "admin\n<13>1 forged", "password": "guess guess guess" });
    assert_eq!(stranger.json("POST", "/api/v1/sessions", &body).unwrap().0, 401);
    world.ctl(Role::Admin, &["users", "sign-out", "qa", "--reason", "x\n<13>1 forged"]).unwrap();
    // Only now is there somebody who listens.
    let receiver = Receiver::start(&world, port);
    let has = |words: &'static str| {
        wait_for(words, Duration::from_secs(30), || Ok(events(&dir).iter().any(|e| e.contains(words)).then_some(())))
    };
    has("|session.open|[mdfm@32473").unwrap();
    // A name without an account is written as a mark: it may be a password in the wrong place.
    has("user/unknown-").unwrap();
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
    crate::notices::need_certificate(&world, "certificate/syslog");
}

#[test]
fn logs_are_json_where_asked_and_hold_no_secret() {
    let dir = fresh_dir("json-log");
    let mut world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    world.kill_coordinator();
    let log = dir.join("logs/json.log");
    let config = dir.join("coordinator.toml");
    let mut child = Command::new(mdfm_tests::program("mdfm-coordinator").unwrap())
        .args(["serve", "--config", &config.display().to_string()])
        .env("MDFM_LOG_FORMAT", "json")
        .env("MDFM_LOG", "debug")
        // A minimal machine has no authorities of its own; nothing that is configured here needs one.
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
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

/// A span as the receiver got it.
#[derive(Debug)]
struct Span {
    service: String,
    trace: String,
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    attributes: Vec<KeyValue>,
}

impl Span {
    fn says(&self, key: &str, value: &str) -> bool {
        let found = self.attributes.iter().find(|a| a.key == key).and_then(|a| a.value.as_ref()?.value.as_ref());
        matches!(found, Some(Any::StringValue(text)) if text == value)
    }
}

fn spans(receiver: &mdfm_tests::Receiver) -> Vec<Span> {
    let mut all = Vec::new();
    for call in receiver.calls() {
        assert_eq!(call.headers["content-type"], "application/x-protobuf");
        assert_eq!(call.headers["authorization"], "Bearer of the receiver");
        for of in ExportTraceServiceRequest::decode(&*call.body).unwrap().resource_spans {
            let resource = of.resource.unwrap();
            let service = resource.attributes.iter().find(|a| a.key == "service.name").unwrap().value.clone().unwrap();
            let Some(Any::StringValue(service)) = service.value else { panic!("a name") };
            for span in of.scope_spans.into_iter().flat_map(|s| s.spans) {
                assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
                all.push(Span {
                    service: service.clone(),
                    trace: span.trace_id.iter().map(|b| format!("{b:02x}")).collect(),
                    id: span.span_id,
                    parent: span.parent_span_id,
                    name: span.name,
                    attributes: span.attributes,
                });
            }
        }
    }
    all
}

/// A caller's trace goes on through the API, the audit log and the directives to what the gateway reports, although the coordinator is killed
/// and the receiver of traces is away in between.
#[test]
fn seed_rep_one_trace_leads_from_the_request_through_the_directive_to_the_agents_telemetry() {
    let dir = fresh_dir("traces");
    let place = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (port, ca, secret) =
        (place.local_addr().unwrap().port(), dir.join("coordinator/ca.pem"), dir.join("otel.secret"));
    let more_config = format!(
        "[traces]\nendpoint = \"https://localhost:{port}/v1/traces\"\nca_file = {ca:?}\nauthorization_file = {secret:?}\n"
    );
    let layout = Layout { hospitals: 1, devices: 1, more_config, ..Layout::default() };
    let prepare = |_: &Path| write_secret(&secret, "Bearer of the receiver\n");
    let mut world = World::start_with(&dir, layout, prepare).unwrap();
    let receiver = mdfm_tests::Receiver::start(place, &world.data()).unwrap();
    world.release("FW-22", "2.2.0", 22, &image(&dir, 1, 100_000), 1.0).unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let phase = json!({ "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT0S" });
    let body = json!({ "firmwareId": "FW-22", "strategy": "Progressive", "phases": [phase] });
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [("content-type", "application/json"), ("traceparent", parent.as_str())];
    let sent = operator.send_with("POST", "/api/v1/deployments", body.to_string().into_bytes(), &headers).unwrap();
    assert_eq!(sent.0, 201, "{sent:?}");
    let id = sent.1["deploymentId"].as_str().unwrap().to_owned();
    receiver.answer(503);
    world.kill_coordinator();
    world.start_coordinator().unwrap();
    wait_for("the deployment to complete", Duration::from_secs(60), || {
        let view = world.deployment(&id)?;
        world.validate_if_due(&id, &view)?;
        Ok((view["status"]["name"] == "completed").then_some(()))
    })
    .unwrap();
    receiver.answer(200);
    let found = wait_for("the last spans", Duration::from_secs(30), || {
        let found: Vec<Span> = spans(&receiver).into_iter().filter(|s| s.trace == trace).collect();
        let names: Vec<&str> = found.iter().map(|s| s.name.as_str()).collect();
        let wanted = ["deployment.create", "directive.issue", "confirmed", "deployment.validate"];
        Ok(wanted.iter().all(|name| names.contains(name)).then_some(found))
    })
    .unwrap();
    let one = |name: &str| found.iter().find(|s| s.name == name).unwrap();
    let parent_of = |span: &Span| found.iter().find(|s| s.id == span.parent).map(|s| s.name.clone());
    let created = one("deployment.create");
    assert!(created.says("mdfm.actor.id", "operator") && created.service == "mdfm-coordinator");
    let directive = one("directive.issue");
    assert_eq!(parent_of(directive).as_deref(), Some("deployment.create"));
    assert!(directive.says("mdfm.deployment.id", &id));
    let confirmed = one("confirmed");
    assert_eq!((confirmed.service.as_str(), parent_of(confirmed).as_deref()), ("mdfm-agent", Some("directive.issue")));
    assert!(confirmed.says("mdfm.device.id", &device_id(1, 1)) && confirmed.says("mdfm.hospital.id", &hospital_id(1)));
    // The kill may have taken the request's own span along; where it is, it stands between the caller's and the record's.
    if let Some(request) = found.iter().find(|s| s.name == "POST /api/v1/deployments") {
        assert_eq!(
            (&request.id, request.parent.as_slice()),
            (&created.parent, &[0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7][..])
        );
    }
    // A read is traced for who asks for it, and nothing that a span says is secret.
    let headers = [("traceparent", parent.as_str())];
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    operator.send_with("GET", "/api/v1/devices", vec![], &headers).unwrap();
    wait_for("the read", Duration::from_secs(20), || {
        let read = spans(&receiver).into_iter().find(|s| s.trace == trace && s.name == "GET /api/v1/devices");
        Ok(read.filter(|s| s.says("url.path", "/api/v1/devices") && s.says("client.address", "127.0.0.1")))
    })
    .unwrap();
    for call in receiver.calls() {
        let text = String::from_utf8_lossy(&call.body).into_owned();
        assert!(!text.contains(PASSWORD) && !text.contains("$argon2"), "{text}");
    }
}
