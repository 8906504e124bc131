//! What a hostile device makes a gateway keep, print and show; what a curious gateway may see; where the coordinator may be sent.
//! After each attack the same programs take a good update.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mdfm_shared::wire::mqtt::{self, Connect};
use mdfm_tests::{Checked, Layout, Receiver, Role, World, device_id, gateway_id, hospital_id, program, wait_for};
use serde_json::Value;

use crate::adapters::address;
use crate::audit::{settled, shown_in_browser};
use crate::front_door::{GatewayDoor, subscribe};
use crate::{fresh_dir, image};

/// Sequences that a terminal obeys, and what forges lines and directions.
const HOSTILE: &str =
    "X\u{1b}]52;c;cm0gLXJmIH4=\u{7}\u{1b}[2J\nforged line\r\u{9b}31m\u{202e}cod\u{2066}\u{200b}<!--<script>";

fn is_clean(text: &str) -> bool {
    !text.contains(|c: char| mdfm_shared::text::is_unsafe(c) && c != '\n')
}

/// A connection as the device itself.
fn as_device(world: &World, h: usize, d: usize) -> std::io::Result<TcpStream> {
    let id = device_id(h, d);
    let secret = std::fs::read_to_string(world.dir.join(format!("{id}.secret")))?;
    let mut stream = TcpStream::connect(address(&world.dir.join(format!("agent-{h:03}.toml"))))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let (client_id, username) = (id.clone(), Some(id));
    let connect = Connect {
        client_id,
        clean_session: true,
        keep_alive_s: 30,
        will: None,
        username,
        password: Some(secret.into()),
    };
    stream.write_all(&connect.encode().map_err(std::io::Error::other)?)?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack)?;
    Ok(stream)
}

fn fault(id: &str, severity: &str, words: &str) -> Vec<u8> {
    let fault = serde_json::json!({ "severity": severity, "code": words, "message": words });
    mqtt::publish(&format!("mdfm-device/v1/{id}/event"), fault.to_string().as_bytes())
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn update(world: &World, dir: &Path, version: &str, release: u64, hospital: usize) -> String {
    update_instead(world, dir, version, release, hospital, None)
}

/// The same in place of a deployment that may still be under way.
fn update_instead(
    world: &World,
    dir: &Path,
    version: &str,
    release: u64,
    hospital: usize,
    before: Option<&str>,
) -> String {
    let image = image(dir, u8::try_from(release).unwrap(), 200_000);
    let firmware = format!("FW-{version}");
    world.release(&firmware, version, release, &image, 0.2).unwrap();
    let plan = World::progressive(&hospital_id(hospital), "PT0S");
    let id = before
        .map_or_else(|| world.deploy(&firmware, &plan), |before| world.deploy_instead(&firmware, &plan, before))
        .unwrap();
    wait_for("the device to be updated", Duration::from_secs(120), || {
        let view = world.deployment(&id)?;
        let device =
            view["devices"].as_array().into_iter().flatten().find(|d| d["hospitalId"] == hospital_id(hospital));
        Ok(device.is_some_and(|d| d["state"] == "confirmed").then_some(()))
    })
    .unwrap();
    id
}

#[test]
fn sec_10_an_offline_gateway_outlives_a_flooding_device() {
    let dir = fresh_dir("flood");
    let layout = Layout {
        hospitals: 1,
        devices: 2,
        more_agent_config: "outbox_bytes_max = 262144\n".into(),
        ..Layout::default()
    };
    let mut world = World::start(&dir, layout).unwrap();
    let first = update(&world, &dir, "2.2.0", 22, 1);
    world.kill_coordinator();
    world.kill_device(1, 2);
    let id = device_id(1, 2);
    let before = resident_kib(world.agent_pid(1).unwrap());
    let until = Instant::now() + Duration::from_secs(20);
    let mut n = 0_u64;
    while Instant::now() < until {
        let Ok(mut stream) = as_device(&world, 1, 2) else { continue };
        // Each message differs; each second line is not JSON, each with an error at another column; then a rule is broken.
        for _ in 0..200 {
            n += 1;
            let words = format!("{n} {HOSTILE}").repeat(20);
            let junk = format!("{}{{\"model\": {n}", " ".repeat(usize::try_from(n % 4_000).unwrap()));
            let junk = mqtt::publish(&format!("mdfm-device/v1/{id}/report"), junk.as_bytes());
            if stream.write_all(&[fault(&id, "error", &words), junk].concat()).is_err() {
                break;
            }
        }
        let _ = stream.write_all(&[0xf0, 0]);
    }
    assert!(n > 500, "{n} messages");
    let grown = resident_kib(world.agent_pid(1).unwrap()).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB more");
    let status: Value = serde_json::from_str(&world.on_gateway(1, &["status", "--json"]).unwrap()).unwrap();
    assert!(status["outboxBytes"].as_u64().unwrap() < 2 * 262_144, "{status}");
    let file = std::fs::metadata(world.agent_state(1).join("state/state.log")).unwrap().len();
    assert!(file < 8 << 20, "{file} bytes");

    let logs = world.on_gateway(1, &["logs", "--limit", "2000"]).unwrap();
    // A long cell goes on below.
    let words = logs.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("flood") && words.contains("counted and not kept"), "{logs}");

    // It starts again, everything that waited arrives once, and the flood is counted in a few records.
    world.kill_agent(1);
    world.start_agent(1).unwrap();
    world.start_coordinator().unwrap();
    world.start_device(1, 2).unwrap();
    wait_for("the outbox to be empty", Duration::from_secs(90), || {
        let Ok(status) = world.on_gateway(1, &["status", "--json"]) else { return Ok(None) };
        Ok((serde_json::from_str::<Value>(&status)?["outboxDepth"] == 0).then_some(()))
    })
    .unwrap();
    let page = world
        .ctl(Role::Auditor, &["audit", "search", "--action", "telemetry.commit", "--newest", "--limit", "500"])
        .unwrap();
    let records = page["records"].as_array().unwrap();
    assert!(records.len() < 250, "{} records of telemetry", records.len());
    // The faults of the flood hold the first deployment until a person decides.
    update_instead(&world, &dir, "2.3.0", 23, 1, Some(&first));
}

#[test]
fn sec_17_no_escape_sequence_of_a_device_reaches_a_terminal() {
    let dir = fresh_dir("escapes");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 2, ..Layout::default() }).unwrap();
    world.kill_device(1, 2);
    let id = device_id(1, 2);
    let mut stream =
        wait_for("the agent to listen", Duration::from_secs(40), || Ok(as_device(&world, 1, 2).ok())).unwrap();
    stream.write_all(&fault(&id, "error", HOSTILE)).unwrap();
    let hostile = serde_json::json!({ "model": HOSTILE });
    stream.write_all(&mqtt::publish(&format!("mdfm-device/v1/{id}/report"), hostile.to_string().as_bytes())).unwrap();
    let seen = |arguments: &[&str]| {
        let text = world.on_gateway(1, arguments).unwrap();
        assert!(is_clean(&text), "{arguments:?}: {text:?}");
        text
    };
    wait_for("the fault in the logs", Duration::from_secs(30), || Ok(seen(&["logs"]).contains("cm0g").then_some(())))
        .unwrap();
    let logs = seen(&["logs"]);
    assert!(logs.contains("\\u{1b}]52") && !logs.lines().any(|l| l.starts_with("forged")), "{logs}");
    let json: Value = serde_json::from_str(&seen(&["logs", "--json"])).unwrap();
    let details = json.as_array().unwrap().iter().filter_map(|e| e["detail"].as_str());
    assert!(details.into_iter().any(|d| d.contains('\u{1b}')), "JSON keeps the value");
    for arguments in [&["status"][..], &["devices"], &["device", &id], &["selftest"]] {
        // A check may fail; what is said is clean all the same.
        let _ = world.on_gateway(1, arguments).map(|text| assert!(is_clean(&text), "{text:?}"));
    }

    // A person's words are no better: a reason that is refused and echoed, a reason that is listed.
    let called = |arguments: &[&str]| {
        let session = world.session(Role::Operator);
        let output = Command::new(program("mdfmctl").unwrap())
            .args(["--session", &session])
            .args(arguments)
            .checked_output()
            .unwrap();
        let text = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap()).concat();
        assert!(is_clean(&text), "{arguments:?}: {text:?}");
        (output.status.success(), text)
    };
    let ctl = |arguments: &[&str]| called(arguments).1;
    let gateway = gateway_id(1);
    ctl(&["gateways", "revoke", &format!("NO-{HOSTILE}"), "--yes", "--reason", HOSTILE]);
    ctl(&["hospitals", "add", "HOSP-900", "--name", HOSTILE]);
    wait_for("the fault in the record", Duration::from_secs(30), || {
        Ok(ctl(&["devices", "show", &id]).contains("cm0g").then_some(()))
    })
    .unwrap();
    for arguments in [
        &["hospitals", "list"][..],
        &["devices", "list"],
        &["gateways", "show", &gateway],
        &["audit", "search", "--newest"],
        &["audit", "search", "--newest", "--outcome", "refused"],
        &["--json", "audit", "search", "--newest"],
    ] {
        let (is_done, text) = called(arguments);
        assert!(is_done, "{arguments:?}: {text}");
    }
    for log in std::fs::read_dir(dir.join("logs")).unwrap() {
        let path = log.unwrap().path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(is_clean(&text), "{}", path.display());
        assert!(!text.lines().any(|l| l.starts_with("forged")), "{}", path.display());
    }
    drop(stream);
    world.start_device(1, 2).unwrap();
    update(&world, &dir, "2.2.0", 22, 1);
}

#[test]
fn sec_18_no_record_blanks_the_evidence_page() {
    let dir = fresh_dir("page");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let reason = "<!--<script><img src=x onerror=document.title='owned'></script>-->\u{202e}\u{2028}]]>";
    world.ctl(Role::Operator, &["gateways", "add", "GW-900", "--hospital", &hospital_id(1)]).unwrap();
    world.ctl(Role::Operator, &["gateways", "revoke", "GW-900", "--reason", reason]).unwrap();
    settled(&world);
    let (file, page) = (dir.join("evidence.json"), dir.join("evidence.html"));
    let text = |path: &Path| path.display().to_string();
    let arguments = ["audit", "evidence", "--action", "gateway.*", "--out", &text(&file), "--page", &text(&page)];
    world.ctl(Role::Auditor, &arguments).unwrap();
    let dom = shown_in_browser(&page);
    // No key was given to it: everything holds, and whose log it is was not checked.
    assert!(dom.contains(">CONSISTENT: "), "{}", &dom[..dom.len().min(3_000)]);
    assert!(dom.contains("&lt;!--&lt;script&gt;") && !dom.contains("<title>owned"), "shown, not run");
    assert!(!dom.contains('\u{202e}'), "nothing changes the direction of what is read");
    update(&world, &dir, "2.2.0", 22, 1);
}

#[test]
fn sec_22_a_gateway_sees_only_releases_directed_to_it() {
    let dir = fresh_dir("least-view");
    let mut world = World::start(&dir, Layout { hospitals: 2, devices: 1, ..Layout::default() }).unwrap();
    let image = image(&dir, 7, 100_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 0.2).unwrap();
    let digest = world.ctl(Role::Operator, &["firmware", "show", "FW-2.2.0"]).unwrap();
    let (sha256, manifest) = (text_at(&digest, "/imageSha256"), text_at(&digest, "/manifestDigest"));
    // The second hospital's phase would be opened after an hour.
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT1H")).unwrap();
    wait_for("the first hospital", Duration::from_secs(60), || {
        let view = world.deployment(&id)?;
        let device = view["devices"].as_array().into_iter().flatten().find(|d| d["hospitalId"] == hospital_id(1));
        Ok(device.is_some_and(|d| d["state"] == "confirmed").then_some(()))
    })
    .unwrap();
    world.kill_agent(1);
    world.kill_agent(2);
    let (first, second) = (GatewayDoor::stolen(&world, 1), GatewayDoor::stolen(&world, 2));
    let path = format!("/agent/v1/images/{sha256}");
    assert_eq!(first.get(&world, &path), 200, "it was directed to it");
    assert_eq!(second.get(&world, &path), 404, "and the other was not");
    let topic = format!("mdfm/v1/release/{manifest}");
    let every = "mdfm/v1/release/+".to_owned();
    let evidence = first.messages(&world, &[subscribe(&topic)]);
    assert!(contains(&evidence, topic.as_bytes()), "the first gets the evidence");
    for filter in [&topic, &every] {
        let seen = second.messages(&world, &[subscribe(filter)]);
        assert!(!contains(&seen, b"firmware.approve"), "{filter}");
    }
    // Of the records only what is verified: no address, no reason beside the signed one, no object before and after.
    assert!(contains(&evidence, b"firmware.approve"));
    for secret in [&b"\"address\":\"127"[..], b"\"before\":{", b"\"after\":{", b"\"trace\":"] {
        assert!(!contains(&evidence, secret), "{}", String::from_utf8_lossy(secret));
    }
    let reasons = evidence.windows(10).filter(|w| w == b"\"reason\":\"").count();
    assert_eq!(reasons, 0, "why they signed stands in the signed document alone");
    // The log keeps all of it.
    let page = world
        .ctl(Role::Auditor, &["audit", "search", "--firmware", "FW-2.2.0", "--action", "firmware.approve.context"])
        .unwrap();
    let contexts = page["records"].as_array().unwrap();
    assert_eq!(contexts.len(), 3, "{page}");
    assert!(
        contexts.iter().all(|r| r["address"].is_string() && r["reason"].is_string() && r["after"].is_object()),
        "{page}"
    );
    world.start_agent(1).unwrap();
    world.start_agent(2).unwrap();
    world.ctl(Role::Operator, &["abort", &id, "--reason", "the next one comes"]).unwrap();
    update(&world, &dir, "2.3.0", 23, 2);
}

fn text_at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {value}")).to_owned()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|w| w == part)
}

#[test]
fn sec_24_no_webhook_reaches_this_machine() {
    let dir = fresh_dir("webhooks");
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let ca = dir.join("coordinator/ca.pem");
    let more_config = format!("notice_retry_seconds = [1]\nwebhook_ca_file = {ca:?}\n");
    let world = World::start(&dir, Layout { hospitals: 1, more_config, ..Layout::default() }).unwrap();
    let receiver = Receiver::start(listener, &world.data()).unwrap();
    for (n, host) in
        ["localhost", "127.0.0.1", "[::1]", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"].iter().enumerate()
    {
        let url = format!("https://{host}:{port}/metadata");
        let name = format!("inward-{n}");
        // Refused when it is set, or when it is called: it is never reached.
        let _ = world.ctl(Role::Admin, &["webhooks", "set", &name, "--url", &url, "--reason", "test"]);
    }
    update(&world, &dir, "2.2.0", 22, 1);
    let dead = wait_for("the deliveries to be given up", Duration::from_secs(60), || {
        let letters = world.ctl(Role::Admin, &["notices", "dead-letters"])?.to_string();
        Ok(letters.contains("webhook_networks").then_some(letters))
    })
    .unwrap();
    assert!(dead.contains("inward-0"), "{dead}");
    assert!(receiver.calls().is_empty(), "{:?}", receiver.calls());
}
