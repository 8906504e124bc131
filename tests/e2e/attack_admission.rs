//! Attacks on what everybody shares: the audit log, its disk, the places for connections, memory. Networks are addresses of loopback. After each attack
//! the same installation does its work.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mdfm_tests::{Api, Checked, Layout, Role, World, gateway_id, hospital_id, program, wait_for};
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::{fresh_dir, image};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A connection from 127.0.`network`.1, which counts as a network of its own.
fn tcp(port: u16, network: u8) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, network, 1], 0)))?;
        socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    stream.set_write_timeout(Some(Duration::from_secs(15)))?;
    Ok(stream)
}

fn client(world: &World, identity: Option<(String, String)>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.data().join("ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    })
}

/// TLS with a complete handshake.
fn tls(config: &Arc<ClientConfig>, tcp: TcpStream) -> std::io::Result<Stream> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Sends one request and reads the head of its answer; returns the status.
fn ask(stream: &mut Stream, head: &str, body: &str) -> std::io::Result<u16> {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    stream.write_all(format!("{head} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n{body}").as_bytes())?;
    stream.flush()?;
    let (mut heard, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let n = stream.read(&mut piece)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        heard.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&heard);
        let Some((headers, rest)) = text.split_once("\r\n\r\n") else { continue };
        let wanted = headers.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if rest.len() >= wanted.unwrap_or(0) {
            return headers.get(9..12).and_then(|s| s.parse().ok()).ok_or(std::io::ErrorKind::InvalidData.into());
        }
    }
}

/// The key and certificate of a gateway, as somebody who broke into it finds them.
fn stolen(world: &World, h: usize) -> (String, String) {
    let identity: Value =
        serde_json::from_slice(&std::fs::read(world.agent_state(h).join("identity.json")).unwrap()).unwrap();
    let text = |name: &str| identity[name].as_str().unwrap().to_owned();
    (text("certificate_pem"), text("key_pem"))
}

fn log_size(world: &World) -> u64 {
    let api = Api::with_session(world.session(Role::Auditor).as_ref()).unwrap();
    api.send("GET", "/api/v1/health", vec![]).unwrap().1["logSize"].as_u64().unwrap()
}

fn search(world: &World, arguments: &[&str]) -> Vec<Value> {
    let found =
        world.ctl(Role::Auditor, &[&["audit", "search", "--oldest", "--limit", "200"], arguments].concat()).unwrap();
    found["records"].as_array().unwrap().clone()
}

/// The same agent takes a good release.
fn update(world: &World, dir: &std::path::Path, seed: u8) {
    let (version, image) = (format!("2.{seed}.0"), image(dir, seed, 100_000));
    let firmware = format!("FW-{version}");
    world.release(&firmware, &version, u64::from(seed), &image, 0.5).unwrap();
    let id = world.deploy(&firmware, &World::progressive(&hospital_id(1), "PT0S")).unwrap();
    wait_for("the device to have the good release", Duration::from_secs(120), || {
        let view = world.deployment(&id)?;
        Ok((view["devices"][0]["state"] == "confirmed").then_some(()))
    })
    .unwrap();
}

/// Makes a user who has no second factor yet; returns the body that signs them in.
fn add_ward(world: &World) -> Value {
    let password = world.dir.join("password");
    let file = password.display().to_string();
    let hospital = hospital_id(1);
    let new = ["--name", "Ward", "--role", "HospitalStaff", "--hospital", &hospital, "--password-file", &file];
    world.ctl(Role::Admin, &[&["users", "add", "ward"][..], &new].concat()).unwrap();
    json!({ "userId": "ward", "password": std::fs::read_to_string(password).unwrap() })
}

/// Changes the coordinator's configuration while it is down; returns what it was.
fn reconfigure(world: &mut World, first_line: &str) -> String {
    world.kill_coordinator();
    let file = world.dir.join("coordinator.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{first_line}\n{text}")).unwrap();
    world.start_coordinator().unwrap();
    text
}

#[test]
fn sec_1_floods_of_refusals_leave_a_handful_of_records() {
    let dir = fresh_dir("admission-records");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    world.add_staff("nurse", &hospital_id(1)).unwrap();
    let strangers = client(&world, None);

    // A stranger invents gateways, over connections that are kept, from three networks.
    let before = log_size(&world);
    let floods: Vec<_> = (0..12_u8)
        .map(|n| {
            let (config, port) = (Arc::clone(&strangers), world.port);
            std::thread::spawn(move || {
                let mut statuses = Vec::new();
                let dial = || tcp(port, 10 + n % 3).and_then(|tcp| tls(&config, tcp)).ok();
                let mut stream = dial();
                for i in 0..60 {
                    let body = json!({ "gateway": format!("GW-{n}-{i}"), "secret": "00".repeat(32), "csrPem": "x", "telemetryKey": "y" });
                    let status = stream.as_mut().map(|s| ask(s, "POST /agent/v1/enrolments", &body.to_string()));
                    match status {
                        Some(Ok(status)) => statuses.push(status),
                        // A refusal before the body was read ends the connection; too many new ones are refused too.
                        _ => stream = dial(),
                    }
                }
                statuses
            })
        })
        .collect();
    let statuses: Vec<u16> = floods.into_iter().flat_map(|f| f.join().unwrap()).collect();
    assert!(statuses.len() > 300 && statuses.iter().all(|s| [403, 429].contains(s)), "{statuses:?}");
    assert!(statuses.contains(&403), "the token was looked at before the request to sign: {statuses:?}");
    let added = log_size(&world) - before;
    assert!(added < 30, "{added} records of {} refused enrolments", statuses.len());

    // A signed-in nurse tries what she may not, as fast as she can.
    let before = log_size(&world);
    let nurse = Api::with_session(&dir.join("sessions/nurse")).unwrap();
    for n in 0..500 {
        let path = format!("/api/v1/devices/DEV-{n}/retirement");
        let (status, _) = nurse.json("POST", &path, &json!({ "reason": "x" })).unwrap();
        assert!([403, 429].contains(&status), "{status}");
    }
    let added = log_size(&world) - before;
    assert!(added < 20, "{added} records of 500 denials");

    // What was counted is in the log when the coordinator has stopped, and she still does what she may.
    world.stop_coordinator();
    world.start_coordinator().unwrap();
    let counted = search(&world, &["--action", "refusal.count"]);
    let of = |actor: &str| -> u64 {
        let own = counted.iter().filter(|r| r["actor"]["id"] == actor);
        own.filter_map(|r| r["reason"].as_str()?.split(' ').nth(1)?.parse::<u64>().ok()).sum()
    };
    assert!(of("nurse") > 100, "{counted:#?}");
    assert!((10..13).any(|n| of(&format!("127.0.{n}.1")) > 0), "{counted:#?}");
    let nurse = Api::with_session(&dir.join("sessions/nurse")).unwrap();
    assert_eq!(nurse.send("GET", "/api/v1/me", vec![]).unwrap().0, 200);
    update(&world, &dir, 30);
}

#[test]
fn sec_1_a_gateway_fills_its_allowance_and_no_more() {
    let dir = fresh_dir("admission-gateway");
    let limits = "gateway_log_bytes_per_day = 200000\nrequests_per_second = 1000\n";
    let layout = Layout { hospitals: 0, devices: 0, more_config: limits.into(), ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let (session, fleet) = (world.session(Role::Operator), dir.join("fleet").display().to_string());
    let sim = |arguments: &[&str]| {
        let mut command = std::process::Command::new(program("mdfm-sim").unwrap());
        command.arg("fleet").args(arguments).args(["--dir", &fleet, "--session", &session]);
        let output = command.stderr(std::process::Stdio::null()).checked_output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        output.stdout
    };
    sim(&["enrol", "--gateways", "1"]);
    let before = log_size(&world);
    let load = ["run", "--json", "--seconds", "10", "--batches", "90", "--drain-seconds", "1"];
    let result: Value = serde_json::from_slice(&sim(&load)).unwrap();
    let sent = result["load"]["batchesSent"].as_u64().unwrap();
    let added = log_size(&world) - before;
    assert!((20..220).contains(&added), "{added} records of {sent} batches: {:#}", result["load"]);
    assert!(result["load"]["unacknowledged"].as_u64() > Some(0), "what was not taken was not acknowledged");
    // Nobody else is concerned.
    world.ctl(Role::Operator, &["hospitals", "add", "HOSP-900", "--name", "Later"]).unwrap();
}

#[test]
fn sec_1_a_nearly_full_disk_still_takes_what_stops_harm() {
    let dir = fresh_dir("admission-disk");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let image_2 = image(&dir, 22, 100_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image_2, 0.5).unwrap();
    let sign_in = add_ward(&world);
    let running = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT10M")).unwrap();

    let text = reconfigure(&mut world, &format!("disk_safety_bytes = {}", 1_u64 << 60));
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    let hospital = json!({ "hospitalId": "HOSP-900", "name": "Later" });
    let (status, problem) = operator.json("POST", "/api/v1/hospitals", &hospital).unwrap();
    assert_eq!((status, &problem["type"]), (507, &json!("urn:mdfm:problem:disk-full")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("only what stops harm"), "{problem}");
    let (status, _) = operator.send("PUT", "/api/v1/firmware/FW-2.2.0/image", vec![0; 2_000]).unwrap();
    assert_eq!(status, 507, "an upload is refused before it takes room");
    assert_eq!(world.ctl(Role::Operator, &["audit", "status"]).map(|s| s["writable"].clone()).ok(), Some(json!(false)));
    std::thread::sleep(Duration::from_millis(300));
    let path = |act: &str| format!("/api/v1/deployments/{running}/{act}");
    let because = json!({ "reason": "the disk is full" });
    let clinical = Api::with_session(world.session(Role::Clinical).as_ref()).unwrap();
    let (status, view) = clinical.json("POST", &path("pause"), &because).unwrap();
    assert_eq!(status, 200, "{view}");
    world.add_staff("nurse", &hospital_id(1)).expect_err("a new account is not urgent");
    let (status, view) = operator.anonymous().json("POST", "/api/v1/sessions", &sign_in).unwrap();
    assert_eq!(status, 201, "{view}");
    let session = operator.with_token(view["token"].as_str().unwrap());
    let (status, view) = clinical.json("POST", &path("abort"), &because).unwrap();
    assert_eq!(status, 200, "{view}");
    assert_eq!(session.send("DELETE", "/api/v1/sessions/current", vec![]).unwrap().0, 204);

    // At the hard reserve nothing is done; with room again everything is.
    world.kill_coordinator();
    std::fs::write(dir.join("coordinator.toml"), format!("disk_reserve_bytes = {}\n{text}", i64::MAX)).unwrap();
    world.start_coordinator().unwrap();
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    let (status, problem) = operator.anonymous().json("POST", "/api/v1/sessions", &sign_in).unwrap();
    assert_eq!((status, &problem["type"]), (507, &json!("urn:mdfm:problem:disk-full")), "{problem}");
    world.kill_coordinator();
    std::fs::write(dir.join("coordinator.toml"), text).unwrap();
    world.start_coordinator().unwrap();
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    assert_eq!(operator.json("POST", "/api/v1/hospitals", &hospital).unwrap().0, 201);
    update(&world, &dir, 31);
}

/// The sample: each image that a machine token uploaded in place of the last one, and each that was refused, stayed on the disk of the audit log until
/// the coordinator did nothing but what stops harm.
#[test]
fn sec_1_uploads_fill_no_disk() {
    let dir = fresh_dir("admission-uploads");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    let new = json!({ "name": "ci", "permissions": ["submitFirmware", "read"], "expiresAt": soon });
    let (_, made) = operator.json("POST", "/api/v1/me/tokens", &new).unwrap();
    let machine = operator.with_token(made["token"].as_str().unwrap());
    let files = || std::fs::read_dir(world.data().join("images")).unwrap().count();
    let create = |id: &str| {
        let new = json!({ "firmwareId": id, "version": "9.0.0", "deviceModel": "CardiacMonitor-X200" });
        assert_eq!(machine.json("POST", "/api/v1/firmware", &new).unwrap().0, 201, "{id}");
    };
    let put = |path: &str, seed: u8| machine.send("PUT", path, vec![seed; 50_000]).unwrap();
    let before = files();
    ["FW-A", "FW-B"].into_iter().for_each(create);
    for seed in 0..5 {
        assert_eq!(put("/api/v1/firmware/FW-A/image", seed).0, 200);
        assert_eq!(files(), before + 1, "the image that was replaced is gone");
    }
    // The same image for two releases stays as long as one of them has it.
    assert_eq!(put("/api/v1/firmware/FW-B/image", 4).0, 200);
    assert_eq!(put("/api/v1/firmware/FW-A/image", 9).0, 200);
    assert_eq!(files(), before + 2);
    // What is refused leaves nothing: a patch that is another one, an image of a release that is not there, a bill of materials that nobody signed.
    let digest = "ab".repeat(32);
    for path in [
        format!("/api/v1/firmware/FW-A/deltas/{digest}"),
        "/api/v1/firmware/FW-NONE/image".into(),
        "/api/v1/firmware/FW-A/sbom".into(),
    ] {
        for seed in 20..23 {
            // What is refused before its body was read ends the connection, which may be seen first.
            let answer = machine.send("PUT", &path, vec![seed; 50_000]);
            assert!(!answer.as_ref().is_ok_and(|(status, _)| *status < 400), "{path}: {answer:?}");
        }
    }
    assert_eq!(files(), before + 2);
    let id = world.data().join("images").join(mdfm_shared::digest::Digest::of(&[4; 50_000]).to_string());
    assert!(id.exists(), "the image of FW-B");

    // Uploads end before the room of the records begins: everything else goes on.
    let text = reconfigure(&mut world, &format!("disk_work_bytes = {}", 1_u64 << 60));
    // As above: the end of the connection may be seen before the answer.
    let refused = || machine.send("PUT", "/api/v1/firmware/FW-A/image", vec![30; 2_000]).ok();
    let (status, problem) = (0..20).find_map(|_| refused()).expect("an answer in twenty tries");
    assert_eq!((status, &problem["type"]), (507, &json!("urn:mdfm:problem:storage-full")), "{problem}");
    let hospital = json!({ "hospitalId": "HOSP-900", "name": "Later" });
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    assert_eq!(operator.json("POST", "/api/v1/hospitals", &hospital).unwrap().0, 201);
    world.kill_coordinator();
    std::fs::write(dir.join("coordinator.toml"), text).unwrap();
    world.start_coordinator().unwrap();
    update(&world, &dir, 34);
}

#[test]
fn sec_9_connections_that_do_not_read_keep_nobody_out() {
    let dir = fresh_dir("admission-places");
    let more_config = "connections_max = 60\nrequests_per_second = 1000\n".to_owned();
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, more_config, ..Layout::default() }).unwrap();
    let (strangers, sign_in) = (client(&world, None), add_ward(&world));
    let open = || world.link().unwrap()["connections"]["open"].as_u64().unwrap();

    // Sixty connections of three networks ask for much and read nothing.
    let many = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(40);
    let mut deaf = Vec::new();
    for n in 0..60_u8 {
        let Ok(mut stream) = tls(&strangers, tcp(world.port, 20 + n % 3).unwrap()) else { continue };
        if stream.write_all(many.as_bytes()).and_then(|()| stream.flush()).is_ok() {
            deaf.push(stream);
        }
    }
    assert!(deaf.len() >= 30, "{}", deaf.len());
    // People and gateways have their places all the same,
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    assert_eq!(operator.anonymous().json("POST", "/api/v1/sessions", &sign_in).unwrap().0, 201);
    let mut gateway = tls(&client(&world, Some(stolen(&world, 1))), tcp(world.port, 25).unwrap()).unwrap();
    assert_eq!(ask(&mut gateway, "GET /agent/v1/log/consistency?old=1&new=1", "").unwrap(), 200);
    // and the others lose theirs.
    wait_for("the deaf connections to be closed", Duration::from_secs(90), || Ok((open() < 10).then_some(()))).unwrap();
    drop(deaf);
    update(&world, &dir, 32);
}

/// Memory that a process holds, in MiB.
fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim_matches([' ', '\t', 'k', 'B']).parse::<f64>().unwrap() / 1024.0
}

#[test]
fn sec_9_headers_of_strangers_take_little_memory() {
    let dir = fresh_dir("admission-headers");
    let world = World::start(&dir, Layout { hospitals: 0, devices: 0, ..Layout::default() }).unwrap();
    let strangers = client(&world, None);
    let coordinator = world.process_ids()[0];
    let before = resident_mib(coordinator);
    let (mut hogs, mut peak) = (Vec::new(), before);
    for n in 0..1_600_u32 {
        let network = 30 + (n % 8) as u8;
        let Ok(mut stream) = tcp(world.port, network).and_then(|tcp| tls(&strangers, tcp)) else { continue };
        // As much as is taken: a head that does not end.
        let header = format!("X-Hog: {}\r\n", "x".repeat(390));
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
        stream.sock.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let _ = (0..38).try_for_each(|_| stream.write_all(header.as_bytes()));
        let _ = stream.flush();
        hogs.push(stream);
        if n % 50 == 49 {
            peak = resident_mib(coordinator).max(peak);
        }
    }
    let grown = peak - before;
    assert!(hogs.len() > 1_200, "{} connections were made", hogs.len());
    assert!(grown < 160.0, "{} connections took {grown:.0} MiB", hogs.len());
    // One that goes on gets an answer that says so.
    let api = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    let heard = api.speak(&format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Hog: {}\r\n", "x".repeat(40_000))).unwrap();
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 431"), "{heard}");
    let many: String = (0..100).map(|n| format!("X-{n}: 1\r\n")).collect();
    let heard = api.speak(&format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")).unwrap();
    assert!(heard.starts_with("HTTP/1.1 431"), "{heard}");
    let (status, _) = api.anonymous().send("POST", "/api/v1/sessions", vec![b' '; 17 * 1_024]).unwrap();
    assert_eq!(status, 413, "a body of somebody unknown is small");
    drop(hogs);
    world.ctl(Role::Operator, &["hospitals", "add", "HOSP-1", "--name", "One"]).unwrap();
}

#[test]
fn sec_15_one_client_leaves_a_witness_to_others() {
    let dir = fresh_dir("admission-witness");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, witnesses: 1, ..Layout::default() }).unwrap();
    let config = std::fs::read_to_string(dir.join("witness-1.toml")).unwrap();
    let port = config.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('"').next()).unwrap().parse().unwrap();
    // One client takes every place that it can get, says nothing, and comes again as soon as it has lost one; others of many networks do the same.
    let over = Arc::new(AtomicBool::new(false));
    let attack = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            let (mut held, mut made) = (VecDeque::new(), 0_u32);
            while !over.load(Ordering::Relaxed) {
                for n in 0..40_u8 {
                    let network = if n < 30 { 40 } else { 41 + (made % 100) as u8 };
                    held.extend(tcp(port, network).ok());
                    made += 1;
                }
                held.drain(..held.len().saturating_sub(1_000));
                std::thread::sleep(Duration::from_millis(100));
            }
            made
        })
    };
    std::thread::sleep(Duration::from_secs(2));
    update(&world, &dir, 33);
    over.store(true, Ordering::Relaxed);
    assert!(attack.join().unwrap() > 500, "too few connections show nothing");
}

fn connect(stream: &mut Stream, gateway: &str) -> std::io::Result<()> {
    use mdfm_shared::wire::mqtt::Connect;
    let client_id = gateway.to_owned();
    let packet =
        Connect { client_id, clean_session: true, keep_alive_s: 30, will: None, username: None, password: None };
    stream.write_all(&packet.encode().unwrap())?;
    stream.flush()?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack)?;
    match connack[3] {
        0 => Ok(()),
        code => Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, code.to_string())),
    }
}

#[test]
fn sec_23_old_certificates_end_and_clones_are_reported() {
    let dir = fresh_dir("admission-clone");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let gateway = gateway_id(1);
    world.kill_agent(1);
    let old = client(&world, Some(stolen(&world, 1)));

    // Two peers with one certificate, behind one address: each takes the other's place as soon as it has lost its own.
    let mut sessions: Vec<Stream> = Vec::new();
    for _ in 0..7 {
        let mut stream = tls(&old, tcp(world.port, 50).unwrap()).unwrap();
        connect(&mut stream, &gateway).unwrap();
        sessions.push(stream);
        std::thread::sleep(Duration::from_millis(300));
    }
    let clones = wait_for("the clone to be recorded", Duration::from_secs(10), || {
        let found = search(&world, &["--action", "gateway.clone"]);
        Ok((!found.is_empty()).then_some(found))
    })
    .unwrap();
    assert_eq!(clones.len(), 1, "{clones:#?}");
    assert!(clones[0]["reason"].as_str().unwrap().contains("127.0.50.1"), "{clones:#?}");
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    wait_for("the operator to be notified", Duration::from_secs(15), || {
        let (_, inbox) = operator.send("GET", "/api/v1/me/notices", vec![])?;
        Ok(inbox.to_string().contains("use the certificate of gateway").then_some(()))
    })
    .unwrap();

    // Connections that begin a CONNECT, and never end it, keep nobody out: one of the thief's is closed for the gateway's next.
    let mut half: Vec<Stream> = Vec::new();
    for n in 0..70 {
        let mut stream = tls(&old, tcp(world.port, 60 + n % 2).unwrap()).unwrap();
        stream.write_all(&[0x10]).and_then(|()| stream.flush()).unwrap();
        half.push(stream);
    }
    let mut newest = tls(&old, tcp(world.port, 53).unwrap()).unwrap();
    connect(&mut newest, &gateway).unwrap();
    sessions.push(newest);
    let crowded = wait_for("the crowd to be recorded", Duration::from_secs(10), || {
        let found = search(&world, &["--action", "gateway.crowded"]);
        Ok((!found.is_empty()).then_some(found))
    })
    .unwrap();
    assert_eq!(crowded.len(), 1, "{crowded:#?}");
    assert!(crowded[0]["reason"].as_str().unwrap().contains("127.0.60.1 and 127.0.61.1"), "{crowded:#?}");
    drop(half);

    // The gateway is enrolled again: connections with the certificate before end, whatever they speak.
    let mut http = tls(&old, tcp(world.port, 51).unwrap()).unwrap();
    assert_eq!(ask(&mut http, "GET /agent/v1/log/consistency?old=1&new=1", "").unwrap(), 200);
    let mut apart = tls(&old, tcp(world.port, 52).unwrap()).unwrap();
    for stream in [&mut apart, &mut http] {
        assert_eq!(ask(stream, "GET /agent/v1/log/consistency?old=1&new=1", "").unwrap(), 200);
    }
    let two = wait_for("HTTPS from two networks to be recorded", Duration::from_secs(10), || {
        let found = search(&world, &["--action", "gateway.two-networks"]);
        Ok((!found.is_empty()).then_some(found))
    })
    .unwrap();
    assert_eq!(two.len(), 1, "{two:#?}");
    drop(apart);
    let token = dir.join("again.token").display().to_string();
    world.ctl(Role::Operator, &["gateways", "token", &gateway, "--out", &token]).unwrap();
    let config = dir.join("agent-001.toml").display().to_string();
    let output = std::process::Command::new(program("mdfm-agent").unwrap())
        .args(["--config", &config, "enrol", "--token-file", &token, "--again"])
        .checked_output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rest = [0; 16];
    let began = Instant::now();
    assert_eq!(http.read(&mut rest).unwrap_or(0), 0, "the HTTP connection ends");
    let mut newest = sessions.pop().unwrap();
    assert_eq!(newest.read(&mut rest).unwrap_or(0), 0, "and so does the MQTT session");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let refused = tls(&old, tcp(world.port, 52).unwrap()).and_then(|mut s| connect(&mut s, &gateway));
    assert_eq!(refused.unwrap_err().to_string(), "4", "CLI-20: and says that the certificate is not current");
    world.start_agent(1).unwrap();
    update(&world, &dir, 34);
}
