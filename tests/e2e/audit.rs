//! The audit log as an inspector meets it: search, the past, reports, evidence and copies that are verified without us; and the
//! store under damage, without room, with a second coordinator, restored from a backup, before witnesses.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use mdfm_shared::fixture::page::symptom;
use mdfm_tests::{Checked, Layout, Role, World, device_id, program, wait_for};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

/// Runs one of our programs to its end.
fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(program(name).unwrap()).args(arguments).checked_output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn vkey(world: &World) -> String {
    std::fs::read_to_string(world.data().join("log.vkey")).unwrap()
}

const EVERYBODY: &str = r#"{ "strategy": "Progressive", "phases": [
    { "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1S", "maxErrorRatePercent": 50 } ] }"#;

/// A release brought to everybody.
fn operate(world: &World, dir: &Path, firmware: &str, version: &str, release: u64) -> String {
    let image = image(dir, release as u8, 100_000);
    world.release(firmware, version, release, &image, 0.2).unwrap();
    let plan: Value = serde_json::from_str(EVERYBODY).unwrap();
    let id = world.deploy(firmware, &plan).unwrap();
    finish(world, &id);
    id
}

fn finish(world: &World, id: &str) {
    wait_for("the deployment to be completed", Duration::from_secs(60), || {
        let view = world.deployment(id)?;
        world.validate_if_due(id, &view)?;
        Ok((view["status"]["name"] == "completed").then_some(()))
    })
    .unwrap();
}

/// Until the published checkpoint covers what there is now.
pub(crate) fn settled(world: &World) {
    let size = world.ctl(Role::Operator, &["audit", "status"]).unwrap()["logSize"].as_u64().unwrap();
    wait_for("a checkpoint over all of it", Duration::from_secs(30), || {
        let status = world.ctl(Role::Operator, &["audit", "status"])?;
        Ok((status["publishedSize"].as_u64() >= Some(size)).then_some(()))
    })
    .unwrap();
}

#[test]
fn p11_10b_an_inspector_finds_copies_and_verifies_everything_without_us() {
    let dir = fresh_dir("inspector");
    let static_dir = dir.join("static");
    let more_config = format!("publish_dir = {:?}\n", static_dir.display().to_string());
    let layout = Layout { hospitals: 2, devices: 1, more_config, ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let began = world.ctl(Role::Operator, &["audit", "search", "--newest", "--limit", "1"]).unwrap();
    let began = began["records"][0]["at"].as_str().unwrap().to_owned();
    let deployment = operate(&world, &dir, "FW-2.2.0", "2.2.0", 22);
    let _ = world.ctl(Role::Clinical, &["audit", "search"]).unwrap_err();
    settled(&world);

    let search = |more: &[&str]| -> Vec<Value> {
        let page = world.ctl(Role::Operator, &[&["audit", "search", "--oldest"], more].concat()).unwrap();
        page["records"].as_array().unwrap().clone()
    };
    let actions = |more: &[&str]| -> Vec<String> {
        search(more).iter().map(|r| r["action"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(actions(&["--firmware", "FW-2.2.0", "--action", "firmware.approve"]).len(), 3);
    assert_eq!(actions(&["--role", "QA", "--action", "firmware.*"]), ["firmware.approve", "firmware.approve.context"]);
    assert_eq!(actions(&["--outcome", "refused", "--actor", Role::Clinical.user()]), ["audit.search"]);
    let first = device_id(1, 1);
    let about_device = search(&["--device", &first, "--action", "telemetry.commit", "--deployment", &deployment]);
    assert!(
        !about_device.is_empty() && about_device.iter().all(|r| r["site"] == "HOSP-001"),
        "telemetry names its site"
    );
    assert!(actions(&["--text", "evening tests passed nowhere"]).is_empty());

    // The past, and what changed since.
    let object = format!("device/{first}");
    let now = "2100-01-01T00:00:00Z";
    let before = world.ctl(Role::Operator, &["audit", "state", &object, "--at", &began]).unwrap();
    let after = world.ctl(Role::Operator, &["audit", "state", &object, "--at", now]).unwrap();
    assert_eq!(
        (&before["state"]["firmware_version"], &after["state"]["firmware_version"]),
        (&json!("2.1.0"), &json!("2.2.0"))
    );
    let diff = world.ctl(Role::Operator, &["audit", "diff", &object, "--from", &began, "--to", now]).unwrap();
    let changed = |path: &str| diff["changes"].as_array().unwrap().iter().any(|c| c["path"] == path);
    assert!(changed("/firmware_version") && !changed("/serial"), "{diff}");
    let live = world.device_list().unwrap().into_iter().find(|d| d["deviceId"] == first.as_str()).unwrap();
    assert_eq!(after["state"]["running_sha256"], live["runningSha256"], "the past up to now is now");

    // The whole log, as segments and as tiles; then a byte of each is flipped.
    let key = vkey(&world);
    let (copy, tiles) = (dir.join("copy"), dir.join("tiles"));
    world.ctl(Role::Operator, &["audit", "export", &copy.display().to_string()]).unwrap();
    world.ctl(Role::Operator, &["audit", "export", "--tiles", &tiles.display().to_string()]).unwrap();
    wait_for("the static files", Duration::from_secs(20), || Ok(static_dir.join("checkpoint").exists().then_some(())))
        .unwrap();
    let verify = |what: &Path| run("mdfmctl", &["audit", "verify", &what.display().to_string(), "--key", &key]);
    for good in [&copy, &tiles, &static_dir] {
        let output = verify(good);
        assert!(output.status.success() && said(&output).contains("lead to the signed root"), "{}", said(&output));
    }
    let segment = copy.join("00000000000000000000.log");
    let bytes = std::fs::read(&segment).unwrap();
    let mut bad = bytes.clone();
    let position = bytes.windows(16).position(|w| w == b"firmware.approve").unwrap();
    bad[position] ^= 1;
    std::fs::write(&segment, &bad).unwrap();
    let output = verify(&copy);
    assert!(
        !output.status.success() && said(&output).contains("entry ") && said(&output).contains("byte "),
        "{}",
        said(&output)
    );

    std::fs::write(&segment, &bytes).unwrap();
    offline(&world, &copy, &key, &object, &first);

    // Somebody else's implementation says the same.
    let inspector = Path::new(env!("CARGO_MANIFEST_DIR")).join("inspector/main.go");
    let inspect = |what: &Path| {
        Command::new("go")
            .args(["run", &inspector.display().to_string(), &what.display().to_string(), &key])
            .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")])
            .env("GOCACHE", dir.join("go-cache"))
            .checked_output()
            .expect("Go is not installed; run `make tools`")
    };
    let output = inspect(&tiles);
    assert!(output.status.success() && said(&output).contains("lead to the signed root"), "{}", said(&output));
    let bundle = walk(&tiles.join("tile/entries")).remove(0);
    let mut bad = std::fs::read(&bundle).unwrap();
    bad[40] ^= 1;
    std::fs::write(&bundle, bad).unwrap();
    assert!(!inspect(&tiles).status.success() && !verify(&tiles).status.success(), "a flipped byte in a tile");

    // One entry with its proof; an evidence file, and a page of it.
    let entry = search(&["--action", "firmware.approve"])[0]["index"].to_string();
    let proof = dir.join("entry.tlog-proof");
    world.ctl(Role::Operator, &["audit", "proof", &entry, "--out", &proof.display().to_string()]).unwrap();
    assert!(verify(&proof).status.success());
    let (file, page) = (dir.join("evidence.json"), dir.join("evidence.html"));
    let (file_name, page_name) = (file.display().to_string(), page.display().to_string());
    let about = ["audit", "evidence", "--deployment", &deployment, "--out", &file_name, "--page", &page_name];
    world.ctl(Role::Operator, &about).unwrap();
    let output = verify(&file);
    assert!(output.status.success() && said(&output).contains("signed telemetry batch"), "{}", said(&output));
    assert!(said(&output).contains("VERIFIED: "), "{}", said(&output));
    let unkeyed = run("mdfmctl", &["audit", "verify", &file_name]);
    assert!(said(&unkeyed).contains("CONSISTENT, but whose log this is was not checked"), "{}", said(&unkeyed));
    let firmware = dir.join("firmware.json");
    let firmware_name = firmware.display().to_string();
    world.ctl(Role::Operator, &["audit", "evidence", "--firmware", "FW-2.2.0", "--out", &firmware_name]).unwrap();
    let output = verify(&firmware);
    let words = said(&output);
    assert!(words.contains("signed as QA") && words.contains(&Role::Qa.printed_name()), "{words}");
    let nothing = dir.join("nothing.json");
    let nothing_name = nothing.display().to_string();
    let unknown = ["audit", "evidence", "--deployment", "dep-unknown", "--out", &nothing_name];
    let error = world.ctl(Role::Operator, &unknown).unwrap_err().to_string();
    assert!(error.contains("nothing was written") && !nothing.exists(), "{error}");
    for (from, to, what) in [
        ("\"outcome\\\":\\\"accepted", "\"outcome\\\":\\\"refused", "a record's word"),
        ("\"index\": ", "\"index\": 1", "a position"),
        ("demo.mdfm.example/log+", "demo.mdfm.example/log2+", "the key"),
    ] {
        let text = std::fs::read_to_string(&file).unwrap();
        let altered = text.replacen(from, to, 1);
        assert_ne!(text, altered, "{what}");
        let bad = dir.join("bad.json");
        std::fs::write(&bad, altered).unwrap();
        assert!(!verify(&bad).status.success(), "{what}");
    }
    show_in_browser(&page, &key);

    // Reports.
    for (kind, id) in [
        ("firmware", Some("FW-2.2.0")),
        ("deployment", Some(deployment.as_str())),
        ("device", Some(first.as_str())),
        ("access", None),
        ("system", None),
        ("audit", None),
    ] {
        for format in ["pdf", "json", "csv"] {
            let out = dir.join(format!("report-{kind}.{format}")).display().to_string();
            let mut arguments = vec!["report", "make", kind];
            arguments.extend(id);
            arguments.extend(["--out", &out]);
            world.ctl(Role::Regulatory, &arguments).unwrap();
        }
        let online = world.data().join("online.pub").display().to_string();
        let json = dir.join(format!("report-{kind}.json"));
        let check = |path: &Path| run("mdfmctl", &["report", "verify", &path.display().to_string(), "--key", &online]);
        assert!(check(&json).status.success(), "{}", said(&check(&json)));
        let text = std::fs::read_to_string(&json).unwrap();
        std::fs::write(&json, text.replacen("\"made", "\"Made", 1)).unwrap();
        assert!(!check(&json).status.success(), "an altered {kind} report");
    }
    let pdf = std::fs::read(dir.join("report-deployment.pdf")).unwrap();
    assert!(pdf.starts_with(b"%PDF-"));
}

/// CLI-12, CLI-13: an inspector reads a copy without the coordinator, and finds in it what the coordinator shows.
fn offline(world: &World, copy: &Path, key: &str, object: &str, device: &str) {
    let copy_name = copy.display().to_string();
    let read = |arguments: &[&str]| {
        let all = [&["--session", "/nonexistent/session"], arguments, &["--copy", &copy_name, "--key", key]].concat();
        run("mdfmctl", &all)
    };
    let verified = run("mdfmctl", &["audit", "verify", &copy_name, "--key", key]);
    assert!(said(&verified).contains("VERIFIED: records from 20"), "{}", said(&verified));
    let found = read(&["audit", "search", "--device", device, "--newest"]);
    assert!(found.status.success() && said(&found).contains("installation confirmed"), "{}", said(&found));
    let live = run("mdfmctl", &["--session", &world.session(Role::Operator), "devices", "history", device]);
    assert!(
        said(&live).contains("installation confirmed") && !said(&live).contains("telemetry.commit"),
        "{}",
        said(&live)
    );
    let page: Value =
        serde_json::from_slice(&read(&["--json", "audit", "search", "--event", "stateChanged"]).stdout).unwrap();
    let index = page["records"][0]["index"].to_string();
    assert!(page["records"][0]["events"][0]["what"].is_string(), "{page}");
    let shown = read(&["audit", "show", &index]);
    assert!(shown.status.success() && said(&shown).contains("signed by it; its events:"), "{}", said(&shown));
    let live = run("mdfmctl", &["--session", &world.session(Role::Operator), "audit", "show", &index]);
    assert_eq!(said(&live), said(&shown), "the copy shows what the coordinator shows");
    let past: Value =
        serde_json::from_slice(&read(&["--json", "audit", "state", object, "--at", "1s"]).stdout).unwrap();
    let reported = past["state"]["reported"].as_object().unwrap();
    assert!(
        reported.len() == 1 && reported.values().all(|of_gateway| of_gateway["installState"] == "confirmed"),
        "{past}"
    );
    let unkeyed = run("mdfmctl", &["audit", "search", "--copy", &copy_name]);
    assert!(!unkeyed.status.success() && said(&unkeyed).contains("--log-vkey is needed"), "{}", said(&unkeyed));
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// What a real browser makes of a page.
pub(crate) fn shown_in_browser(page: &Path) -> String {
    let profile = page.with_extension("profile");
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--virtual-time-budget=20000", &format!("--user-data-dir={}", profile.display()), "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .checked_output()
        .expect("Chromium is not installed; run `make tools`");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The page verifies in a real browser, and says so when a byte of the evidence is another one.
fn show_in_browser(page: &Path, key: &str) {
    // CLI-13: without a key of one's own the page says what was not checked; CLI-12: batches are shown as their events.
    let dom = shown_in_browser(page);
    assert!(dom.contains(">CONSISTENT: ") && dom.contains("class=\"amber\""), "{}", &dom[..dom.len().min(3_000)]);
    assert!(!dom.contains(">VERIFIED: ") && dom.contains(key), "{}", &dom[..dom.len().min(3_000)]);
    assert!(dom.contains(">installation confirmed<") && dom.contains(">installation on trial<"), "batches are read");
    let text = std::fs::read_to_string(page).unwrap();
    let pinned = page.with_file_name("pinned.html");
    std::fs::write(&pinned, text.replacen("id=\"key\"", &format!("id=\"key\" value=\"{key}\""), 1)).unwrap();
    let dom = shown_in_browser(&pinned);
    assert!(dom.contains(">VERIFIED: ") && dom.contains("class=\"good\""), "{}", &dom[..dom.len().min(3_000)]);
    let bad = page.with_file_name("bad.html");
    std::fs::write(&bad, text.replacen("telemetry.commit", "telemetry.commut", 1)).unwrap();
    let dom = shown_in_browser(&bad);
    assert!(dom.contains(">NOT VERIFIED: entry "), "{}", &dom[..dom.len().min(3_000)]);
}

#[test]
fn att_12_nothing_is_installed_before_the_witnesses_have_seen_it() {
    let dir = fresh_dir("witnesses");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, witnesses: 2, ..Layout::default() }).unwrap();
    operate(&world, &dir, "FW-2.2.0", "2.2.0", 22);

    // One of two witnesses is away: the release is announced, and no agent takes it.
    world.kill_witness(2);
    let image = image(&dir, 23, 100_000);
    world.release("FW-2.3.0", "2.3.0", 23, &image, 0.2).unwrap();
    let plan: Value = serde_json::from_str(EVERYBODY).unwrap();
    let id = world.deploy("FW-2.3.0", &plan).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    let state = &world.deployment(&id).unwrap()["devices"][0]["state"];
    assert!(state.is_null() || state == "fetching", "{state}");
    assert_eq!(world.boot_record(1, 1).unwrap().0, "2.2.0");

    // It comes back, and everything goes on by itself.
    world.start_witness(2).unwrap();
    finish(&world, &id);
    assert_eq!(world.boot_record(1, 1).unwrap().0, "2.3.0");
    settled(&world);
    let copy = dir.join("copy").display().to_string();
    world.ctl(Role::Operator, &["audit", "export", &copy]).unwrap();
    let (key, one, two) = (vkey(&world), witness_key(&dir, 1), witness_key(&dir, 2));
    let verify = ["audit", "verify", &copy, "--key", &key, "--witness", &one, "--witness", &two];
    let output = run("mdfmctl", &verify);
    assert!(output.status.success() && said(&output).contains("2 witnesses cosigned"), "{}", said(&output));
    let stranger = dir.join("stranger").display().to_string();
    let made = run("mdfm-witness", &["init", "--data", &stranger, "--name", "stranger.example/w"]);
    let stranger_key = String::from_utf8(made.stdout).unwrap();
    let output = run("mdfmctl", &[&verify[..], &["--witness", stranger_key.trim()]].concat());
    assert!(!output.status.success() && said(&output).contains("3 are needed"), "{}", said(&output));

    // The coordinator's log is set back to an older state: the witnesses say no, and nothing new is published.
    world.kill_coordinator();
    let log = world.data().join("log");
    let saved = dir.join("older");
    assert!(
        Command::new("cp")
            .args(["-a", &log.display().to_string(), &saved.display().to_string()])
            .status()
            .unwrap()
            .success()
    );
    world.start_coordinator().unwrap();
    for _ in 0..3 {
        world.login(Role::Operator).unwrap();
    }
    settled(&world);
    world.kill_coordinator();
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::rename(&saved, &log).unwrap();
    world.start_coordinator().unwrap();
    let journal = dir.join("logs/coordinator.log");
    wait_for("the witnesses' refusal", Duration::from_secs(30), || {
        let journal = std::fs::read_to_string(&journal)?;
        let refused = symptom("The coordinator does nothing", "the witness did not cosign").is_in(&journal);
        let why = symptom("The coordinator does nothing", "the log was set back").is_in(&journal);
        Ok((refused && why).then_some(()))
    })
    .unwrap();
}

fn witness_key(dir: &Path, w: usize) -> String {
    std::fs::read_to_string(dir.join(format!("witness-{w}/witness.vkey"))).unwrap()
}

#[test]
fn p11_10c_a_backup_of_a_busy_coordinator_restores_to_the_same_state_and_root() {
    let dir = fresh_dir("backup");
    let mut world = World::start(&dir, Layout { hospitals: 2, devices: 1, ..Layout::default() }).unwrap();
    let image = image(&dir, 22, 100_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 0.2).unwrap();
    let plan: Value = serde_json::from_str(EVERYBODY).unwrap();
    let id = world.deploy("FW-2.2.0", &plan).unwrap();
    // Hot: while devices report.
    let (data, backup, again) = (world.data().display().to_string(), dir.join("backup"), dir.join("restored"));
    let (backup_name, again_name) = (backup.display().to_string(), again.display().to_string());
    let output = run("mdfm-coordinator", &["backup", "--data", &data, "--out", &backup_name]);
    assert!(output.status.success(), "{}", said(&output));
    let output = run("mdfm-coordinator", &["backup", "--data", &data, "--out", &backup_name]);
    assert!(!output.status.success() && said(&output).contains("exists already"), "{}", said(&output));
    finish(&world, &id);
    settled(&world);

    // A second coordinator on the same directory would fork the log: it does not start.
    let config = dir.join("coordinator.toml").display().to_string();
    let output = run("mdfm-coordinator", &["serve", "--config", &config]);
    assert!(!output.status.success() && said(&output).contains("in use by another coordinator"), "{}", said(&output));

    // Who is there is of the moment; the rest is the state.
    let devices = |world: &World| {
        let mut list = world.device_list().unwrap();
        for device in &mut list {
            let view = device.as_object_mut().unwrap();
            view.retain(|name, _| !["presence", "lastAttachedAt", "inUse"].contains(&name.as_str()));
        }
        list
    };
    let before = devices(&world);
    let status = world.ctl(Role::Operator, &["audit", "status"]).unwrap();
    world.kill_coordinator();
    let cold = dir.join("cold").display().to_string();
    let output = run("mdfm-coordinator", &["backup", "--data", &data, "--out", &cold]);
    assert!(output.status.success(), "{}", said(&output));
    let output = run("mdfm-coordinator", &["restore", "--from", &cold, "--data", &again_name]);
    assert!(output.status.success(), "{}", said(&output));
    std::fs::remove_dir_all(world.data()).unwrap();
    std::fs::rename(&again, world.data()).unwrap();
    world.start_coordinator().unwrap();
    assert_eq!(devices(&world), before, "the same state");
    let now = world.ctl(Role::Operator, &["audit", "status"]).unwrap();
    assert!(now["logSize"].as_u64() >= status["logSize"].as_u64());
    operate(&world, &dir, "FW-2.3.0", "2.3.0", 23);

    // A backup with a flipped byte is not restored.
    let segment = backup.join("log/00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let nowhere = dir.join("nowhere").display().to_string();
    let output = run("mdfm-coordinator", &["restore", "--from", &backup_name, "--data", &nowhere]);
    assert!(!output.status.success() && said(&output).contains("nothing was restored"), "{}", said(&output));
    assert!(!Path::new(&nowhere).exists());
}

#[test]
fn p11_10a_damage_is_named_at_the_start_and_a_full_disk_stops_writes_alone() {
    let dir = fresh_dir("damage");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    settled(&world);
    world.kill_coordinator();
    let config = dir.join("coordinator.toml");
    let serve = || run("mdfm-coordinator", &["serve", "--config", &config.display().to_string()]);
    let segment = world.data().join("log/00000000000000000000.log");
    let good = std::fs::read(&segment).unwrap();
    let mut bad = good.clone();
    bad[20] ^= 1;
    std::fs::write(&segment, &bad).unwrap();
    let output = serve();
    assert!(
        !output.status.success() && said(&output).contains("entry 0") && said(&output).contains("at byte 8"),
        "{}",
        said(&output)
    );
    // In the middle the scrub names it.
    let mut bad = good.clone();
    let middle = good.len() / 3;
    bad[middle] ^= 1;
    std::fs::write(&segment, &bad).unwrap();
    // What was kept of the state lets it start; what follows from the segments is lost on the way and made anew.
    std::fs::remove_dir_all(world.data().join("log/tree")).unwrap();
    let output = serve();
    assert!(!output.status.success(), "a tree over altered entries is another tree: {}", said(&output));
    std::fs::write(&segment, &good).unwrap();
    std::fs::remove_dir_all(world.data().join("read-model")).unwrap();
    world.start_coordinator().unwrap();
    let devices = world.device_list().unwrap();
    assert_eq!(devices.len(), 1, "tree and state are made anew from the segments");

    // No room: nothing new is done, everything can still be read; with room it goes on.
    world.kill_coordinator();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("disk_reserve_bytes = {}\n{text}", i64::MAX)).unwrap();
    world.start_coordinator().unwrap();
    let add = ["hospitals", "add", "HOSP-900", "--name", "Later"];
    let refused = world.ctl(Role::Operator, &add).unwrap_err().to_string();
    assert!(refused.contains("disk of the audit log is full"), "{refused}");
    // Who is attached at the moment is no part of what is kept.
    let kept = |devices: &[serde_json::Value]| {
        let field = |d: &serde_json::Value, name: &str| d[name].clone();
        let fields = ["deviceId", "hospitalId", "currentFirmwareVersion", "runningSha256"];
        devices.iter().map(|d| fields.map(|name| field(d, name))).collect::<Vec<_>>()
    };
    assert_eq!(kept(&world.device_list().unwrap()), kept(&devices));
    assert_eq!(world.ctl(Role::Operator, &["audit", "status"]).unwrap()["writable"], false);
    world.kill_coordinator();
    std::fs::write(&config, text).unwrap();
    world.start_coordinator().unwrap();
    world.ctl(Role::Operator, &add).unwrap();
}

#[test]
fn seed_ret_holds_terms_and_disposals_are_for_two_people() {
    let dir = fresh_dir("retention");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let retention = |role: Role, more: &[&str]| world.ctl(role, &[&["retention"], more].concat());
    let show = retention(Role::Operator, &["show"]).unwrap();
    assert_eq!(show["terms"], json!({ "auditYears": 7, "deviceYearsAfterLife": 7, "deploymentYears": 10 }));
    let set = |years: &str| {
        let more =
            ["set", "--audit-years", years, "--device-years", "7", "--deployment-years", "10", "--reason", "policy"];
        retention(Role::Regulatory, &more)
    };
    assert!(set("6").unwrap_err().to_string().contains("only grow"));
    set("9").unwrap();
    let hold = ["hold", "LH-1", "--object", "device/DEV-001-1", "--reason", "a claim"];
    assert!(retention(Role::Operator, &hold).unwrap_err().to_string().contains("permission"));
    retention(Role::Regulatory, &hold).unwrap();
    let nothing = retention(Role::Regulatory, &["propose", "X-1", "--reason", "yearly"]).unwrap_err().to_string();
    assert!(nothing.contains("no record's retention has ended"), "{nothing}");
    retention(Role::Regulatory, &["release", "LH-1", "--reason", "settled"]).unwrap();
    let show = retention(Role::Operator, &["show"]).unwrap();
    assert_eq!((&show["holds"], &show["terms"]["auditYears"]), (&json!({}), &json!(9)));
    let retire = ["devices", "retire", "DEV-001-1", "--reason", "worn out"];
    world.ctl(Role::Operator, &retire).unwrap();
    assert!(world.ctl(Role::Operator, &retire).unwrap_err().to_string().contains("retired already"));
    assert!(world.device_list().unwrap()[0]["retiredAt"].is_string());
}

/// Fourteen years later the devices are long gone: their records go, in the middle of it the power does too, and nothing misses them.
#[test]
fn seed_ret_after_the_terms_payloads_go_and_every_proof_stays() {
    let dir = fresh_dir("disposal");
    let static_dir = dir.join("static");
    let more_config = format!("publish_dir = {:?}\n", static_dir.display().to_string());
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 2, more_config, ..Layout::default() }).unwrap();
    operate(&world, &dir, "FW-2.2.0", "2.2.0", 22);
    for d in 1..=2 {
        world.ctl(Role::Operator, &["devices", "retire", &device_id(1, d), "--reason", "worn out"]).unwrap();
    }
    settled(&world);
    let copy = |world: &World, name: &str| {
        let copy = dir.join(name).display().to_string();
        world.ctl(Role::Operator, &["audit", "export", &copy]).unwrap();
        let output = run("mdfmctl", &["--json", "audit", "verify", &copy, "--key", &vkey(world)]);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let before = copy(&world, "before");
    assert_eq!(before["disposed"], 0);
    world.kill_coordinator();

    world.start_coordinator_later(14).unwrap();
    for role in [Role::Operator, Role::Regulatory, Role::Admin] {
        world.login(role).unwrap();
    }
    let retention = |world: &World, role: Role, more: &[&str]| world.ctl(role, &[&["retention"], more].concat());
    let proposed = retention(&world, Role::Regulatory, &["propose", "X-1", "--reason", "terms are over"]).unwrap();
    let entries = proposed["entries"].as_u64().unwrap();
    assert!(entries > 10, "{proposed}");
    let same = retention(&world, Role::Regulatory, &["confirm", "X-1", "--reason", "yes"]).unwrap_err().to_string();
    assert!(same.contains("another person"), "{same}");
    retention(&world, Role::Admin, &["confirm", "X-1", "--reason", "checked the list"]).unwrap();
    // Perhaps before the first file is rewritten, perhaps after the last: it goes on at the next start.
    world.kill_coordinator();
    world.start_coordinator_later(14).unwrap();
    wait_for("the disposal to be carried out", Duration::from_secs(30), || {
        let show = retention(&world, Role::Operator, &["show"])?;
        Ok(show["disposals"]["X-1"]["carriedOutAt"].is_string().then_some(()))
    })
    .unwrap();
    assert!(world.device_list().unwrap().is_empty(), "nobody knows the devices any more");
    settled(&world);
    let after = copy(&world, "after");
    assert_eq!(after["disposed"].as_u64(), Some(entries), "{after}");
    let gone = world
        .ctl(Role::Operator, &["audit", "search", "--device", &device_id(1, 1), "--action", "telemetry.*"])
        .unwrap();
    let left = gone["records"].as_array().unwrap().len();
    assert!(left <= 1, "the newest batch of the gateway stays, its chain goes on from it: {left} are left");
    let approvals = world.ctl(Role::Operator, &["audit", "search", "--action", "firmware.approve"]).unwrap();
    assert_eq!(approvals["records"].as_array().map(Vec::len), Some(3), "approvals stay for ever");
    let needle = b"SN-001-1";
    wait_for("the static files to follow", Duration::from_secs(20), || {
        Ok(std::fs::read_to_string(static_dir.join("disposals")).ok().filter(|n| n == "1"))
    })
    .unwrap();
    for file in walk(&world.data().join("log")).into_iter().chain(walk(&static_dir)) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(needle.len()).any(|w| w == needle), "{} still holds a payload", file.display());
    }

    // A start from the segments alone gives the same, and the log goes on.
    world.kill_coordinator();
    std::fs::remove_dir_all(world.data().join("read-model")).unwrap();
    std::fs::remove_dir_all(world.data().join("log/tree")).unwrap();
    world.start_coordinator_later(14).unwrap();
    assert!(world.device_list().unwrap().is_empty());
    world.ctl(Role::Operator, &["hospitals", "add", "HOSP-900", "--name", "Later"]).unwrap();
    settled(&world);
    assert_eq!(copy(&world, "later")["disposed"].as_u64(), Some(entries));
}
