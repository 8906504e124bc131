//! `docs/api.md`, carried out as it stands; and what its promises mean when somebody tests them.

use std::collections::BTreeSet;
use std::process::Command;

use mdfm_tests::{Api, Checked, Layout, Role, World, device_id, hospital_id, program, wait_for};

use crate::access::{PASSWORD, one_time_code};
use crate::{fresh_dir, image};

/// The blocks of a page that are to be run, one script.
fn script(page: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```sh run\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.map(|block| format!("echo '--- next block'\n{block}")).collect()
}

#[test]
fn seed_api_the_documented_calls_work_as_they_stand() {
    let dir = fresh_dir("api-walk");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let image = image(&dir, 1, 300_000);
    let work = dir.join("walk");
    std::fs::create_dir_all(&work).unwrap();
    let tools = program("mdfmctl").unwrap().parent().unwrap().display().to_string();
    let output = Command::new("bash")
        .args(["-eu", "-c", &script("api.md")])
        .current_dir(&work)
        .env("PATH", format!("{tools}:{}", std::env::var("PATH").unwrap()))
        .env("URL", format!("https://127.0.0.1:{}", world.port))
        .env("CA", world.data().join("ca.pem"))
        .env("OPERATOR", Role::Operator.user())
        .env("PASSWORD", PASSWORD)
        .env("CODE", one_time_code(&world, Role::Operator.user(), 1))
        .env("KEYS", dir.join("keys"))
        .env("IMAGE", &image)
        .checked_output()
        .unwrap();
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let problem = std::fs::read_to_string(work.join("problem.json")).unwrap();
    assert!(problem.contains("not-approved") || problem.contains("FW-2.3.0"), "{problem}");
    let created = world.ctl(Role::Auditor, &["audit", "search", "--object", "hospital/HOSP-101"]).unwrap();
    assert_eq!(created["records"].as_array().map(Vec::len), Some(1), "done once: {created}");
}

/// The names that a page or a dashboard uses, without what Prometheus itself adds to a histogram.
fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|w| w.starts_with("mdfm_"));
    words
        .map(|w| w.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count").to_owned())
        .collect()
}

#[test]
fn seed_rep_the_metrics_are_those_of_the_page_and_the_dashboards_ask_for_no_others() {
    let dir = fresh_dir("metrics");
    let world = World::start(&dir, Layout { hospitals: 1, ..Layout::default() }).unwrap();
    let image = image(&dir, 1, 100_000);
    world.release("FW-22", "2.2.0", 22, &image, 1.0).unwrap();
    world.deploy("FW-22", &World::progressive(&hospital_id(1), "PT0S")).unwrap();
    let auditor = Api::with_session(world.session(Role::Auditor).as_ref()).unwrap();
    let read = || auditor.text("/api/v1/metrics").unwrap();
    read();
    let (status, metrics) = read();
    assert_eq!(status, 200, "{metrics}");
    let told: BTreeSet<String> = metrics.lines().filter(|l| !l.starts_with('#')).flat_map(metric_names).collect();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    let documented: BTreeSet<String> =
        page.lines().filter(|l| l.starts_with("| `mdfm_")).flat_map(metric_names).collect();
    assert_eq!(told, documented);
    for board in ["fleet.json", "coordinator.json"] {
        let board = std::fs::read_to_string(root.join("packaging/grafana").join(board)).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&board).unwrap();
        assert!(parsed["panels"].as_array().is_some_and(|p| p.len() >= 8));
        let asked = metric_names(&board);
        assert!(asked.len() > 5 && asked.is_subset(&documented), "{:?}", asked.difference(&documented));
    }
    assert!(metrics.contains("mdfm_gateways{presence=\"online\"}"), "{metrics}");
    assert!(
        metrics.contains("mdfm_http_requests_total{method=\"GET\",route=\"/api/v1/metrics\",status=\"200\"} 1"),
        "{metrics}"
    );
    let stranger = auditor.anonymous();
    assert_eq!(stranger.text("/api/v1/metrics").unwrap().0, 401);
    let (_, headers, _) = stranger.raw("/api/v1/metrics").unwrap();
    assert_eq!(headers.get("x-content-type-options").unwrap(), "nosniff", "denials too");
    for open in ["/api/v1/health", "/api/v1/readiness"] {
        assert_eq!(stranger.text(open).unwrap().0, 200, "{open}");
    }
}

/// What browsers, proxies and path handling are tricked with elsewhere.
#[test]
fn att_15_stored_script_path_tricks_smuggled_requests_and_a_storm_of_sign_ins_get_nowhere() {
    let dir = fresh_dir("tricks");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    let script = "<script>alert(1)</script><img src=x onerror=alert(2)>";
    let body = serde_json::json!({
        "firmwareId": "FW-1", "version": "1.0", "deviceModel": "Pump", "releaseNotes": script, "approvalRequired": true,
    });
    assert_eq!(operator.json("POST", "/api/v1/firmware", &body).unwrap().0, 201);
    let (status, headers, text) = operator.raw("/api/v1/firmware/FW-1").unwrap();
    let header = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    assert_eq!(status, 200);
    assert!(text.contains("<script>"), "what was written is given back as it was, and never as a page");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!((header("x-content-type-options"), header("x-frame-options")), ("nosniff".into(), "DENY".into()));
    assert!(header("content-security-policy").contains("default-src 'none'"));
    assert!(header("access-control-allow-origin").is_empty(), "no other page may read it");
    assert!(header("set-cookie").is_empty(), "nothing that a browser would send by itself");

    for path in ["..%2F..%2Fetc%2Fpasswd", "%2e%2e", "FW-1%00", "FW-1%2F..%2FFW-1", "a%0d%0aX: y"] {
        for (method, path) in
            [("GET", format!("/api/v1/firmware/{path}")), ("PUT", format!("/api/v1/firmware/{path}/image"))]
        {
            let (status, problem) = operator.send(method, &path, b"x".to_vec()).unwrap();
            assert!([400, 404, 422].contains(&status), "{method} {path}: {status} {problem}");
        }
    }
    let images: Vec<_> = std::fs::read_dir(world.data().join("images")).unwrap().collect();
    assert!(images.is_empty(), "{images:?}");

    // Two lengths, or a length and chunks: one request or none, never the second one hidden in the first.
    for smuggled in [
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let answers =
            operator.speak(&format!("POST /api/v1/hospitals HTTP/1.1\r\nHost: localhost\r\n{smuggled}")).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 0, "{answers}");
    }

    let guess = serde_json::json!({ "userId": "admin", "password": "not the password at all" });
    let stranger = operator.anonymous();
    let began = std::time::Instant::now();
    // What is over the limit is answered after a pause: it costs whoever asks, and nobody else.
    let codes: Vec<u16> = (0..150).map(|_| stranger.json("POST", "/api/v1/sessions", &guess).unwrap().0).collect();
    // Sixty at once, and one more each second.
    let answered = codes.iter().filter(|c| **c == 401).count();
    let most = 61 + usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(codes[..20].iter().all(|c| *c == 401) && answered <= most, "{answered} of at most {most}: {codes:?}");
    assert!(codes.iter().all(|c| [401, 429].contains(c)), "{codes:?}");
    assert!(began.elapsed().as_secs() < 60, "a storm costs the one who makes it");
    assert_eq!(operator.json("GET", "/api/v1/devices", &serde_json::Value::Null).unwrap().0, 200, "and nobody else");
}

#[test]
fn att_15_a_body_that_never_comes_holds_its_connection_for_seconds_alone() {
    let dir = fresh_dir("slow-body");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let stranger = Api::with_session(world.session(Role::Operator).as_ref()).unwrap().anonymous();
    let began = std::time::Instant::now();
    let request = "POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{\"userId\":";
    let answer = stranger.speak_and_wait(request, std::time::Duration::from_secs(60)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("slow-body"), "{answer}");
    assert!((15..40).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

/// Whoever loses the answer asks again with the same key, and it is done once: the case for which the keys are there.
#[test]
fn a_request_whose_answer_was_lost_is_done_once() {
    let dir = fresh_dir("lost-answers");
    let mut world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let operator = Api::with_session(world.session(Role::Operator).as_ref()).unwrap();
    let mut replayed = 0;
    for n in 0..60 {
        let body = format!("{{\"hospitalId\":\"HOSP-{n}\",\"name\":\"N\"}}");
        // Before it is read, while it is carried out, after.
        let after = std::time::Duration::from_micros(100 * n);
        operator.post_and_leave("/api/v1/hospitals", &format!("key-{n}"), &body, after).unwrap();
        let (status, was_replayed) = wait_for("the answer", std::time::Duration::from_secs(10), || {
            let answer = operator.post_again("/api/v1/hospitals", &format!("key-{n}"), &body)?;
            // The first one may be under way still.
            Ok((answer.0 != 409 || answer.1.contains("exists")).then_some((answer.0, answer.2)))
        })
        .unwrap();
        assert_eq!(status, 201, "never that it exists already");
        replayed += usize::from(was_replayed);
    }
    assert!(replayed > 0, "some had arrived before the line was cut");
    // Answers die with the coordinator; that the requests were carried out does not.
    world.kill_coordinator();
    world.start_coordinator().unwrap();
    let operator = session(&world, Role::Operator);
    let again = |key: &str, body: &str| operator.post_again("/api/v1/hospitals", key, body).unwrap();
    let (status, body, _) = again("key-7", "{\"hospitalId\":\"HOSP-7\",\"name\":\"N\"}");
    assert!(status == 409 && body.contains("done-before"), "{body}");
    assert!(body.contains("hospital.register of hospital/HOSP-7"), "{body}");
    let (status, body, _) = again("key-7", "{\"hospitalId\":\"HOSP-700\",\"name\":\"N\"}");
    assert!(status == 422 && body.contains("idempotency-key-reused"), "{body}");
    assert_eq!(again("key-700", "{\"hospitalId\":\"HOSP-700\",\"name\":\"N\"}").0, 201);
}

fn session(world: &World, role: Role) -> Api {
    Api::with_session(world.session(role).as_ref()).unwrap()
}

#[test]
fn fda_830_an_inventory_is_imported_whole_or_not_corrected_moved_and_shown_as_fhir() {
    let dir = fresh_dir("inventory");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    for h in 1..=2 {
        world.ctl(Role::Operator, &["hospitals", "add", &hospital_id(h), "--name", "Some hospital"]).unwrap();
    }
    let (operator, auditor) = (session(&world, Role::Operator), session(&world, Role::Auditor));
    let list = dir.join("devices.csv");
    let file = list.display().to_string();
    let header = "deviceId,modelNumber,serialNumber,hospitalId,currentFirmwareVersion,udi\n";
    let row =
        |n: usize, hospital: &str| format!("DEV-{n},Pump,SN-{n},{hospital},1.0,\"(01)09506000134352(21)SN-{n}\"\n");
    let rows: String = (1..=1_500).map(|n| row(n, &hospital_id(1 + n % 2))).collect();
    std::fs::write(&list, format!("{header}{rows}{}{}", row(7, &hospital_id(1)), row(9_999, "HOSP-404"))).unwrap();
    let refused = world.ctl(Role::Operator, &["devices", "import", &file]).unwrap_err().to_string();
    assert!(refused.contains("2 of 1502 rows are wrong, nothing was registered"), "{refused}");
    assert!(refused.contains("line 1502") && refused.contains("twice") && refused.contains("HOSP-404"), "{refused}");
    assert_eq!(world.device_list().unwrap().len(), 0);
    std::fs::write(&list, format!("{header}{rows}")).unwrap();
    let dry = world.ctl(Role::Operator, &["devices", "import", &file, "--dry-run"]).unwrap();
    assert_eq!((&dry["rows"], &dry["registered"]), (&1_500.into(), &0.into()));
    let done = world.ctl(Role::Operator, &["devices", "import", &file]).unwrap();
    assert_eq!(done["registered"], 1_500);
    assert_eq!(world.device_list().unwrap().len(), 1_500);

    // Two people look at the same device; the second change is refused, because the first one came between.
    let (tag, seen) = operator.tagged("/api/v1/devices/DEV-1").unwrap();
    assert_eq!(seen["hospitalId"], hospital_id(2).as_str());
    let change = serde_json::json!({ "hospitalId": hospital_id(1), "udi": null, "reason": "moved" });
    let patch = |tag: &str| operator.json_if_match("PATCH", "/api/v1/devices/DEV-1", &change, tag).unwrap();
    let (status, moved) = patch(&tag);
    assert_eq!((status, &moved["hospitalId"], &moved["udi"]), (200, &hospital_id(1).into(), &serde_json::Value::Null));
    assert_eq!(patch(&tag).0, 412);
    let history = auditor.send("GET", "/api/v1/devices/DEV-1/history?limit=2", vec![]).unwrap().1;
    let actions: Vec<&str> =
        history["records"].as_array().unwrap().iter().filter_map(|r| r["action"].as_str()).collect();
    assert_eq!(actions, ["device.change", "device.change"], "{history}");
    assert_eq!(history["records"][1]["before"]["hospital"], hospital_id(2).as_str());

    let (status, headers, body) = operator.raw("/api/v1/fhir/Device/DEV-2").unwrap();
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/fhir+json; fhirVersion=4.0"));
    let device: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&device["resourceType"], &device["status"]), (&"Device".into(), &"active".into()));
    assert_eq!(device["udiCarrier"][0]["deviceIdentifier"], "09506000134352");
    let (mut path, mut found) = (format!("/api/v1/fhir/Device?organization={}&_count=300", hospital_id(1)), 0);
    loop {
        let bundle = operator.send("GET", &path, vec![]).unwrap().1;
        found += bundle["entry"].as_array().unwrap().len();
        match bundle["link"][0]["url"].as_str() {
            Some(next) => path = next[next.find("/api/").unwrap()..].to_owned(),
            None => break,
        }
    }
    assert_eq!(found, 751, "half of them, and the one that moved");
}

#[test]
fn seed_api_a_group_is_deployed_to_with_the_tool_and_who_asks_too_often_waits() {
    let dir = fresh_dir("groups");
    let more_config = "requests_per_second = 20\n".to_owned();
    let world = World::start(&dir, Layout { hospitals: 2, devices: 2, more_config, ..Layout::default() }).unwrap();
    let operate = |arguments: &[&str]| world.ctl(Role::Operator, arguments);
    operate(&["hospitals", "change", &hospital_id(2), "--cohort", "late", "--reason", "asked for it"]).unwrap();
    let cohorts = operate(&["hospitals", "cohorts"]).unwrap();
    let late = cohorts.as_array().unwrap().iter().find(|c| c["cohort"] == "late").unwrap();
    assert_eq!((&late["hospitals"], &late["devices"]), (&serde_json::json!([hospital_id(2)]), &2.into()));
    let query = "hospitalCohort=late,deviceId!=DEV-002-2";
    operate(&["groups", "set", "LATE", "--name", "Late ones", "--query", query, "--reason", "rollout 7"]).unwrap();
    let list = dir.join("list");
    std::fs::write(&list, "DEV-001-1\n\nDEV-002-2\n").unwrap();
    let file = list.display().to_string();
    operate(&["groups", "set", "ICU", "--name", "Ward", "--devices-file", &file, "--reason", "ward list"]).unwrap();
    let ids = |group: &str| -> Vec<String> {
        let devices = operate(&["groups", "devices", group]).unwrap();
        devices.as_array().unwrap().iter().map(|d| d["deviceId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((ids("LATE"), ids("ICU")), (vec![device_id(2, 1)], vec![device_id(1, 1), device_id(2, 2)]));
    let image = image(&dir, 7, 50_000);
    world.release("FW-22", "2.2.0", 22, &image, 1.0).unwrap();
    let plan = dir.join("plan.json");
    let phases = serde_json::json!([{ "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT0S" }]);
    let body = serde_json::json!({ "strategy": "Progressive", "targetGroup": "LATE", "phases": phases });
    std::fs::write(&plan, body.to_string()).unwrap();
    let made = operate(&["deploy", "--firmware", "FW-22", &plan.display().to_string()]).unwrap();
    let devices: Vec<&str> =
        made["devices"].as_array().unwrap().iter().map(|d| d["deviceId"].as_str().unwrap()).collect();
    assert_eq!((devices, &made["groupId"]), (vec![device_id(2, 1).as_str()], &"LATE".into()));

    // One caller asks faster than anybody may; everybody else goes on, and the flood makes one record.
    let (operator, auditor) = (session(&world, Role::Operator), session(&world, Role::Auditor));
    let ask = |api: &Api| api.raw("/api/v1/hospitals").unwrap();
    let answers: Vec<_> = (0..150).map(|_| ask(&operator)).collect();
    let late: Vec<_> = answers.iter().filter(|(status, ..)| *status == 429).collect();
    assert!((20..280).contains(&late.len()), "{} of 300 were too many", late.len());
    assert!(late.iter().all(|(_, headers, body)| headers["retry-after"] == "1" && body.contains("too-many-requests")));
    assert_eq!(ask(&auditor).0, 200);
    // The tool waits as it is told.
    operate(&["hospitals", "list"]).unwrap();
    let path = "/api/v1/compliance/audit-logs?actor=operator&outcome=refused";
    let records = auditor.send("GET", path, vec![]).unwrap().1;
    let told = records["records"].as_array().unwrap().iter();
    let told = told.filter(|r| r["reason"].as_str().is_some_and(|w| w.starts_with("too-many-requests"))).count();
    assert_eq!(told, 1, "{records}");
}

#[test]
fn fda_803_an_incident_is_reported_by_staff_decided_and_closed() {
    let dir = fresh_dir("incident");
    let world = World::start(&dir, Layout { hospitals: 2, devices: 1, ..Layout::default() }).unwrap();
    world.add_staff("nurse", &hospital_id(1)).unwrap();
    world.add_staff("other", &hospital_id(2)).unwrap();
    let open = |device: &str| {
        let what = ["--title", "Alarm without cause", "--description", "twice this night", "--outcome", "malfunction"];
        world.ctl_as("nurse", &[&["incidents", "open"][..], &what, &["--device", device]].concat())
    };
    assert!(open(&mdfm_tests::device_id(2, 1)).unwrap_err().to_string().contains("no device"));
    let incident = open(&mdfm_tests::device_id(1, 1)).unwrap();
    let id = incident["incidentId"].as_str().unwrap();
    assert!(incident["dueAt"].is_string(), "{incident}");
    assert_eq!(world.ctl_as("other", &["incidents", "list"]).unwrap(), serde_json::json!([]));
    assert!(world.ctl_as("other", &["incidents", "show", id]).unwrap_err().to_string().contains("no incident"));
    let told = wait_for("the notice", std::time::Duration::from_secs(10), || {
        let told = world.ctl(Role::Regulatory, &["notices", "list"])?;
        Ok(told.as_array().is_some_and(|t| t.iter().any(|n| n["kind"] == "incidentOpened")).then_some(told))
    })
    .unwrap();
    assert!(told.to_string().contains(id), "{told}");
    world.ctl(Role::Regulatory, &["incidents", "decide", id, "--reportable", "--reason", "likely to recur"]).unwrap();
    assert!(world.ctl(Role::Regulatory, &["incidents", "close", id, "--reason", "x"]).is_err(), "the report is owed");
    world.ctl(Role::Regulatory, &["incidents", "report", id, "--reference", "MDR-2027-1"]).unwrap();
    let closed = world.ctl(Role::Regulatory, &["incidents", "close", id, "--reason", "corrected"]).unwrap();
    assert_eq!((&closed["report"], &closed["closed"]["by"]), (&"MDR-2027-1".into(), &"regulatory".into()));
}

/// A deployment is watched to its end by events alone, and a watch ends with its session.
#[test]
fn seed_api_a_deployment_is_watched_by_events_to_its_end() {
    let dir = fresh_dir("watched");
    let mut world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    world.release("FW-22", "2.2.0", 22, &image(&dir, 1, 100_000), 0.5).unwrap();
    let one = serde_json::json!({ "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 50.0, "monitoringDuration": "PT1S" } ] });
    let id = world.deploy("FW-22", &one).unwrap();
    let is_over = |view: &serde_json::Value| {
        let status = view["phases"][0]["status"]["name"].as_str();
        view["status"]["name"] == "completed" || status == Some("awaitingValidation")
    };
    let small = std::thread::spawn({
        let (watcher, path) =
            (session(&world, Role::Clinical), format!("/api/v1/deployments/{id}/events?changes=true"));
        move || watcher.events(&path, is_over)
    });
    let seen = session(&world, Role::Auditor).events(&format!("/api/v1/deployments/{id}/events"), |view| {
        view["status"]["name"] == "completed" || view["phases"][0]["status"]["name"] == "awaitingValidation"
    });
    let seen = seen.unwrap();
    assert!(seen.len() >= 3, "{} views", seen.len());
    let states: BTreeSet<String> = seen.iter().map(|v| v["devices"][0]["state"].to_string()).collect();
    assert!(states.contains("\"confirmed\"") && states.len() > 1, "{states:?}");
    let small = small.join().unwrap().unwrap();
    assert!(small.iter().all(|event| event.to_string().len() <= 20_000), "small whatever the deployment's size");
    let (summaries, changes): (Vec<_>, Vec<_>) = small.iter().partition(|event| event.get("waitingTotal").is_some());
    assert!(summaries.len() >= 3 && summaries[0].get("devices").is_none(), "{summaries:?}");
    let last = changes.iter().rev().find_map(|event| event["devices"].as_array()?.first());
    assert_eq!(last.map(|device| &device["state"]), Some(&serde_json::json!("confirmed")), "{changes:?}");
    let auditor = session(&world, Role::Auditor);
    let get = |rest: &str| auditor.send("GET", &format!("/api/v1/deployments/{id}/{rest}"), Vec::new()).unwrap().1;
    let listed = get("devices?filter=state%3Dconfirmed");
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    let summary = get("summary");
    assert_eq!(summary["phases"][0]["devices"]["confirmed"], 1, "{summary}");
    assert_eq!(summary["phases"][0]["standing"]["observed"], 1, "{summary}");
    let (tag, whole) = auditor.tagged(&format!("/api/v1/deployments/{id}?devices=false")).unwrap();
    assert_eq!((&whole["deploymentId"], &whole["devices"]), (&id.as_str().into(), &serde_json::json!([])));
    assert_eq!(auditor.tagged(&format!("/api/v1/deployments/{id}/summary")).unwrap().0, tag);
    let reason = serde_json::json!({ "reason": "seen in another state" });
    let pause = format!("/api/v1/deployments/{id}/pause");
    let stale = session(&world, Role::Operator).json_if_match("POST", &pause, &reason, "\"00\"").unwrap();
    assert_eq!(stale.0, 412, "{}", stale.1);
    let decisions = get("history?action=deployment.*");
    let actions: Vec<_> = decisions["records"].as_array().unwrap().iter().map(|r| r["action"].as_str()).collect();
    assert!(actions.len() >= 3 && actions.iter().flatten().all(|a| a.starts_with("deployment.")), "{actions:?}");
    let path = format!("/api/v1/deployments/{id}/events");
    let mut heard = 0;
    let left = auditor.events(&path, |_| {
        heard += 1;
        world.ctl(Role::Admin, &["users", "sign-out", "auditor", "--reason", "left"]).unwrap();
        false
    });
    assert!(left.is_ok() && heard >= 1, "the watch ends when the session does: {left:?}");
    let (status, headers, page) = auditor.anonymous().raw("/api/v1/docs").unwrap();
    assert_eq!(status, 200);
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(page.contains("<code>&#x2f;api&#x2f;v1&#x2f;deployments</code>"), "the page of the API");

    // The tool goes on watching over a coordinator that is killed and started again.
    let told = std::fs::File::create(dir.join("logs/watch.log")).unwrap();
    let mut tool = Command::new(program("mdfmctl").unwrap())
        .args(["--session", &world.session(Role::Operator), "watch", &id, "--follow"])
        .stdout(told.try_clone().unwrap())
        .stderr(told)
        .spawn()
        .unwrap();
    let says = |words: &str| {
        wait_for(words, std::time::Duration::from_secs(20), || {
            Ok(std::fs::read_to_string(dir.join("logs/watch.log"))?.contains(words).then_some(()))
        })
        .unwrap();
    };
    says("awaitingValidation");
    world.kill_coordinator();
    says("the coordinator is away");
    world.start_coordinator().unwrap();
    let view = world.deployment(&id).unwrap();
    assert!(world.validate_if_due(&id, &view).unwrap());
    let ended = wait_for("the tool to end", std::time::Duration::from_secs(30), || Ok(tool.try_wait()?)).unwrap();
    assert!(ended.success());
    says("completed");
}
