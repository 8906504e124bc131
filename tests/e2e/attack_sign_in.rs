//! Attacks on signing in, on tokens and on what the audit log says of secrets (issue 18: SEC-2, 4, 7, 11, 16, 19). After each the same coordinator
//! still does what it is for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use mdfm_shared::digest::Digest;
use mdfm_tests::{Api, Layout, Role, World, device_id, gateway_id, hospital_id, wait_for};
use serde_json::{Value, json};

use crate::access::{PASSWORD, code, one_time_code};
use crate::fresh_dir;

/// More requests a second than anybody makes by hand.
const FAST: &str = "requests_per_second = 10000\n";

fn world(name: &str, hospitals: usize) -> World {
    let layout = Layout { hospitals, devices: 1, more_config: FAST.into(), ..Layout::default() };
    World::start(&fresh_dir(name), layout).unwrap()
}

fn api(world: &World, user: &str) -> Api {
    Api::with_session(world.dir.join("sessions").join(user).as_ref()).unwrap()
}

fn sign_in(from: &Api, user: &str, more: &Value) -> (u16, Value) {
    let mut body = json!({ "userId": user });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    from.json("POST", "/api/v1/sessions", &body).unwrap()
}

/// A recovery code of somebody, each once: unlike codes by time they need no waiting.
fn recovery_code(world: &World, user: &str) -> String {
    let file = world.dir.join(format!("sessions/{user}.recovery"));
    let mut codes: Vec<String> = std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    let code = codes.pop().unwrap();
    std::fs::write(&file, codes.join("\n")).unwrap();
    code
}

/// Signs in with both factors.
fn with_both(from: &Api, world: &World, user: &str) -> (u16, Value) {
    sign_in(from, user, &json!({ "password": PASSWORD, "recoveryCode": recovery_code(world, user) }))
}

/// Every byte of the log as it lies on the disk.
fn log_bytes(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            all.extend(std::fs::read(path).unwrap());
        }
    }
    all
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The schema behind a reference.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/components/schemas/"));
    name.map_or(schema, |name| &document["components"]["schemas"][name])
}

/// A guess of a secret that somebody could make.
const GUESSED: &str = "guessed-in-1.6-seconds";

/// Every route whose body has a secret: its method, its path, and a body with guessable secrets.
fn routes_with_secrets(document: &Value) -> Vec<(String, String, Value)> {
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = resolved(document, &operation["requestBody"]["content"]["application/json"]["schema"]);
            let fields = schema["properties"].as_object();
            let mut body = serde_json::Map::new();
            let mut has_secret = false;
            for (name, property) in fields.into_iter().flatten() {
                let is_secret = property["format"] == "password";
                has_secret |= is_secret;
                let value = match (is_secret, property["type"].as_str(), name.as_str()) {
                    (true, ..) => json!(GUESSED),
                    (_, _, "roles") => json!(["Auditor"]),
                    (_, _, "role") => json!("QA"),
                    (_, _, "hospitalId") => continue,
                    (_, Some("array"), _) => json!([]),
                    _ => json!(format!("x-{name}")),
                };
                body.insert(name.clone(), value);
            }
            if has_secret {
                let called: Vec<&str> = path.split('/').map(|p| if p.starts_with('{') { "x-1" } else { p }).collect();
                routes.push((method.to_uppercase(), called.join("/"), Value::Object(body)));
            }
        }
    }
    routes
}

#[test]
fn sec_2_no_record_confirms_a_guess_of_a_bodys_secret() {
    let mut world = world("sec-2", 0);
    let admin = api(&world, "admin");
    let document = admin.anonymous().send("GET", "/api/v1/openapi.json", vec![]).unwrap().1;
    let routes = routes_with_secrets(&document);
    assert!(routes.len() >= 10, "{routes:?}");
    let (mut guesses, mut users) = (Vec::new(), BTreeMap::new());
    for (n, (method, path, body)) in routes.iter().enumerate() {
        // The password is not changed by this test: it has to be given for that, and is wrong.
        let digits = body.to_string().replace(&format!("\"{GUESSED}\""), "918273645");
        let spoiled = body.to_string().replace('}', ",}");
        let unknown = body.to_string().replacen('{', &format!("{{\"more\":\"{GUESSED}\","), 1);
        for (v, sent) in [body.to_string(), digits, spoiled, unknown, json!(GUESSED).to_string()].iter().enumerate() {
            for user in ["admin", "qa"] {
                let key = format!("key-{n}-{v}");
                let headers = [("Idempotency-Key", key.as_str())];
                let caller = api(&world, user);
                let answer = caller.send_with(method, path, sent.clone().into_bytes(), &headers).unwrap();
                let said = answer.1.to_string();
                assert!(!said.contains(GUESSED) && !said.contains("918273645"), "{method} {path}: {said}");
                users.entry(answer.0).or_insert(path);
                for text in [
                    format!("{method} {path}\n{sent}"),
                    format!("{method} {path} {sent}"),
                    format!("{method}{path}{sent}"),
                    format!("{method}\n{path}\n{sent}"),
                    format!("{path}\n{sent}"),
                    format!("{path}{sent}"),
                    sent.clone(),
                    format!("{user}\n{key}"),
                ] {
                    guesses.push(text);
                }
            }
        }
    }
    // One that is carried out: its record has marks.
    let new = json!({ "userId": "hired", "printedName": "Hired", "roles": ["Auditor"], "password": GUESSED });
    let made = admin.post_again("/api/v1/users", "hire-1", &new.to_string()).unwrap();
    assert_eq!((made.0, made.2), (201, false), "{made:?}");
    guesses.push(format!("POST /api/v1/users\n{new}"));
    guesses.push("admin\nhire-1".into());
    // Somebody who types the password where the name belongs, and a token where its id belongs.
    assert_eq!(
        code(&sign_in(&admin.anonymous(), "typed-in-the-wrong-place", &json!({ "password": "x" }))),
        "wrong-credentials"
    );
    let token = format!("mdfm_{}", "ab".repeat(32));
    for path in
        [format!("/api/v1/me/tokens/{token}"), format!("/api/v1/users/qa/tokens/{token}"), format!("/api/v1/{token}")]
    {
        let said = admin.json("DELETE", &path, &json!({ "reason": "x" })).unwrap();
        assert!(!said.1.to_string().contains(&token), "{said:?}");
    }
    guesses.extend([GUESSED.to_owned(), "918273645".into(), "typed-in-the-wrong-place".into(), token.clone()]);

    let log = log_bytes(&world.data().join("log"));
    assert!(contains(&log, b"user.create") && contains(&log, b"\"content\""), "the log is read as it is written");
    for secret in [GUESSED, "918273645", "typed-in-the-wrong-place", token.as_str()] {
        assert!(!contains(&log, secret.as_bytes()), "{secret} stands in the log");
    }
    let text = String::from_utf8_lossy(&log);
    let digests: std::collections::BTreeSet<&str> =
        text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 64).collect();
    for guess in &guesses {
        let digest = Digest::of(guess.as_bytes()).to_string();
        assert!(!digests.contains(digest.as_str()), "the log confirms {guess}");
    }

    // The same request is still done once, also by a coordinator that was started again.
    assert!(admin.post_again("/api/v1/users", "hire-1", &new.to_string()).unwrap().2);
    world.kill_coordinator();
    world.start_coordinator().unwrap();
    let admin = api(&world, "admin");
    let again = admin.post_again("/api/v1/users", "hire-1", &new.to_string()).unwrap();
    assert!(again.0 == 409 && again.1.contains("done-before"), "{again:?}");
    let other = json!({ "userId": "hired-2", "printedName": "Hired", "roles": ["Auditor"], "password": GUESSED });
    let other = admin.post_again("/api/v1/users", "hire-1", &other.to_string()).unwrap();
    assert!(other.0 == 422 && other.1.contains("idempotency-key-reused"), "{other:?}");
    assert_eq!(sign_in(&admin.anonymous(), "hired", &json!({ "password": GUESSED })).0, 201);
}

#[test]
fn sec_4_no_token_and_no_old_factor_decides_over_the_fleet() {
    let world = world("sec-4", 1);
    let operator = api(&world, "operator");
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    let token = |who: &Api, permissions: Value| {
        who.json("POST", "/api/v1/me/tokens", &json!({ "name": "ci", "permissions": permissions, "expiresAt": soon }))
            .unwrap()
    };
    assert_eq!(code(&token(&operator, json!(["recall"]))), "invalid-field", "no token carries recalls");
    let made = token(&operator, json!(["manageFleet", "submitFirmware", "stop", "read", "readAll"]));
    assert_eq!(made.0, 201, "{made:?}");
    let machine = operator.with_token(made.1["token"].as_str().unwrap());
    let gateway = gateway_id(1);
    let (tokens, revocation) =
        (format!("/api/v1/gateways/{gateway}/enrolment-tokens"), format!("/api/v1/gateways/{gateway}/revocation"));
    let recall =
        json!({ "deviceModel": "CardiacMonitor-X200", "versions": ["2.1.0"], "action": "rollBack", "reason": "x" });
    let why = json!({ "reason": "x" });
    for (method, path, body, expected) in [
        ("POST", tokens.as_str(), &Value::Null, "person"),
        ("POST", revocation.as_str(), &why, "person"),
        ("POST", "/api/v1/recalls", &recall, "permission"),
        ("POST", "/api/v1/deployments/dep-1/abort", &why, "person"),
        ("PUT", "/api/v1/hospitals/HOSP-001/policy", &json!({}), "person"),
        ("POST", "/api/v1/me/tokens", &json!({}), "person"),
        ("PUT", "/api/v1/settings", &json!({}), "permission"),
    ] {
        assert_eq!(code(&machine.json(method, path, body).unwrap()), expected, "{method} {path} by a token");
    }
    assert_eq!(machine.json("GET", "/api/v1/devices", &Value::Null).unwrap().0, 200, "what it is for it does");
    let new = json!({ "gatewayId": "GW-900", "hospitalId": hospital_id(1) });
    assert_eq!(machine.json("POST", "/api/v1/gateways", &new).unwrap().0, 201);
    let first = machine.json("POST", "/api/v1/gateways/GW-900/enrolment-tokens", &Value::Null).unwrap();
    assert_eq!(code(&first), "person", "nor does a token enrol reporters of its own");
    assert_eq!(operator.json("POST", "/api/v1/gateways/GW-900/enrolment-tokens", &Value::Null).unwrap().0, 201);

    // A password alone makes no token, and replaces no gateway.
    let password = world.dir.join("password").display().to_string();
    let add = ["users", "add", "late", "--name", "Late", "--role", "Operator", "--password-file", &password];
    world.ctl(Role::Admin, &add).unwrap();
    let opened = sign_in(&operator.anonymous(), "late", &json!({ "password": PASSWORD }));
    let late = operator.with_token(opened.1["token"].as_str().unwrap());
    assert_eq!(code(&token(&late, json!(["read"]))), "second-factor");
    assert_eq!(code(&late.json("POST", &tokens, &Value::Null).unwrap()), "gateway-enrolled");
    assert_eq!(code(&late.json("POST", &revocation, &why).unwrap()), "second-factor");
    assert_eq!(code(&late.json("POST", "/api/v1/recalls", &recall).unwrap()), "second-factor");

    // A factor that was shown, and is not the person's any more, counts no longer.
    let other = with_both(&operator.anonymous(), &world, "operator");
    let other = operator.with_token(other.1["token"].as_str().unwrap());
    let begun = other.json("POST", "/api/v1/me/second-factor", &json!({ "password": PASSWORD })).unwrap();
    crate::write_secret(world.factor("operator").as_ref(), begun.1["secret"].as_str().unwrap());
    let first = json!({ "code": one_time_code(&world, "operator", 0) });
    assert_eq!(other.json("POST", "/api/v1/me/second-factor/confirmation", &first).unwrap().0, 201);
    assert_eq!(code(&token(&operator, json!(["read"]))), "step-up");
    assert_eq!(code(&operator.json("POST", &tokens, &Value::Null).unwrap()), "gateway-enrolled");
    assert_eq!(code(&operator.json("POST", &revocation, &why).unwrap()), "step-up");

    // A person who has just shown it may; administrators hear; the gateway that is there goes on.
    let replacing = other.json("POST", &tokens, &Value::Null).unwrap();
    assert_eq!(replacing.0, 201, "{replacing:?}");
    wait_for("the administrators to be notified", Duration::from_secs(30), || {
        let notices = world.ctl(Role::Admin, &["notices", "list"])?;
        let found = notices.as_array().is_some_and(|all| all.iter().any(|n| n["kind"] == "gatewayReplaced"));
        Ok(found.then_some(()))
    })
    .unwrap();
    wait_for("the gateway to be heard again", Duration::from_secs(60), || {
        let gateways = other.json("GET", "/api/v1/gateways", &Value::Null)?.1;
        let own = gateways.as_array().and_then(|all| all.iter().find(|g| g["gatewayId"] == gateway.as_str()).cloned());
        Ok(own.filter(|g| g["presence"] == "online" && g["enrolled"] == true))
    })
    .unwrap();
    assert_eq!(token(&other, json!(["read"])).0, 201);
}

/// The sample: eighty reports at once, asked for by a machine's token, took 4 GiB, and for two minutes nobody could pause anything.
#[test]
fn sec_4_reports_of_a_token_keep_nobody_from_pausing() {
    let world = world("sec-4-reports", 1);
    world.release("FW-22", "2.2.0", 22, &crate::image(&world.dir, 1, 100_000), 1.0).unwrap();
    let phase = json!({ "name": "All", "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1H" });
    let id = world.deploy("FW-22", &json!({ "strategy": "Progressive", "phases": [phase] })).unwrap();
    let operator = api(&world, "operator");
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    let new = json!({ "name": "ci", "permissions": ["read", "readAll"], "expiresAt": soon });
    let made = operator.json("POST", "/api/v1/me/tokens", &new).unwrap();
    let path = format!("/api/v1/compliance/reports/deployment/{id}");
    let asked: Vec<_> = (0..24)
        .map(|_| {
            let (machine, path) = (operator.with_token(made.1["token"].as_str().unwrap()), path.clone());
            std::thread::spawn(move || machine.text(&path).map(|(status, _)| status).unwrap_or_default())
        })
        .collect();
    let began = Instant::now();
    let paused = operator.json("POST", &format!("/api/v1/deployments/{id}/pause"), &json!({ "reason": "x" })).unwrap();
    assert_eq!((paused.0, began.elapsed() < Duration::from_secs(10)), (200, true), "{:?}: {paused:?}", began.elapsed());
    assert_eq!(operator.text(&path).unwrap().0, 200, "the owner has a place beside the token");
    let statuses: Vec<u16> = asked.into_iter().map(|thread| thread.join().unwrap()).collect();
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!(statuses.contains(&200) && refused > 0, "one at a time: {statuses:?}");
}

#[test]
fn sec_7_strangers_neither_lock_out_nor_guess_their_way_in() {
    let world = world("sec-7", 0);
    let live = api(&world, "qa");
    let from = |address: &str| live.anonymous().from_address(address.parse::<IpAddr>().unwrap()).unwrap();
    let guess = json!({ "password": "a wrong guess of strangers" });
    // Ten wrong passwords from one network, then a few from each of many: as many as strangers have together, and more.
    let first: Vec<String> = (0..10).map(|_| code(&sign_in(&from("127.0.0.9"), "qa", &guess)).to_owned()).collect();
    assert_eq!((first[3].as_str(), first[4].as_str(), first[9].as_str()), ("wrong-credentials", "locked", "locked"));
    for n in 1..=40 {
        assert_ne!(sign_in(&from(&format!("127.0.1.{n}")), "qa", &guess).0, 201);
    }
    // The session that is there does what it did.
    let shown = json!({ "recoveryCode": recovery_code(&world, "qa") });
    assert_eq!(live.json("POST", "/api/v1/sessions/current/second-factor", &shown).unwrap().0, 204, "step-up");
    let change = json!({ "password": PASSWORD, "newPassword": "another long password of QA" });
    assert_eq!(live.json("PUT", "/api/v1/me/password", &change).unwrap().0, 204);
    let back = json!({ "password": "another long password of QA", "newPassword": PASSWORD });
    assert_eq!(live.json("PUT", "/api/v1/me/password", &back).unwrap().0, 204);
    let sign = json!({ "firmwareId": "FW-1", "role": "QA", "reason": "x", "password": PASSWORD, "code": "000000" });
    assert_eq!(code(&live.json("POST", "/api/v1/approvals/signature", &sign).unwrap()), "wrong-code", "not locked");

    // Where QA signed in before, the password is answered; elsewhere only with a code beside it.
    let alone = json!({ "password": PASSWORD });
    assert_eq!(code(&sign_in(&from("127.0.0.1"), "qa", &alone)), "second-factor");
    assert_eq!(
        code(&sign_in(&from("127.0.9.9"), "qa", &alone)),
        "wrong-credentials",
        "no answer to a stranger's guess"
    );
    assert_eq!(with_both(&from("127.0.9.9"), &world, "qa").0, 201, "the owner, from a network that nobody knows");
    assert_eq!(with_both(&from("127.0.0.9"), &world, "qa").0, 201, "and from the strangers' own");
    // Other names are as they were.
    assert_eq!(code(&sign_in(&from("127.0.1.1"), "clinical", &alone)), "second-factor");
}

#[test]
fn sec_11_tokens_end_with_the_standing_that_they_came_from() {
    let world = world("sec-11", 0);
    let (admin, operator) = (api(&world, "admin"), api(&world, "operator"));
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    let body = json!({ "name": "nightly", "permissions": ["read", "readAll"], "expiresAt": soon });
    let mut who = operator;
    for (method, path, change) in [
        ("POST", "sign-out", json!({ "reason": "x" })),
        ("PUT", "password", json!({ "newPassword": PASSWORD, "reason": "x" })),
        ("PUT", "roles", json!({ "roles": ["Auditor"], "reason": "x" })),
        ("DELETE", "second-factor", json!({ "reason": "x" })),
    ] {
        let made = who.json("POST", "/api/v1/me/tokens", &body).unwrap();
        assert_eq!(made.0, 201, "{made:?}");
        let machine = who.with_token(made.1["token"].as_str().unwrap());
        assert_eq!(machine.json("GET", "/api/v1/devices", &Value::Null).unwrap().0, 200);
        let ended = admin.json(method, &format!("/api/v1/users/operator/{path}"), &change).unwrap();
        assert_eq!((ended.0, &ended.1["tokensEnded"]), (200, &json!(1)), "{path}: {ended:?}");
        assert_eq!(code(&machine.json("GET", "/api/v1/devices", &Value::Null).unwrap()), "no-session", "{path}");
        if path != "second-factor" {
            let again = with_both(&admin.anonymous(), &world, "operator");
            assert_eq!(again.0, 201, "the person goes on: {again:?}");
            who = admin.with_token(again.1["token"].as_str().unwrap());
        }
    }
    // Administrators see the tokens of everybody, and revoke them.
    let clinical = api(&world, "clinical");
    let made = clinical.json("POST", "/api/v1/me/tokens", &body).unwrap();
    let machine = clinical.with_token(made.1["token"].as_str().unwrap());
    let all = world.ctl(Role::Admin, &["tokens", "list", "--all"]).unwrap();
    let found = all.as_array().unwrap().iter().find(|t| t["userId"] == "clinical").unwrap();
    assert!(found["madeAt"].is_string() && found["token"].is_null(), "{found}");
    let token = found["tokenId"].as_str().unwrap();
    let revoke = ["tokens", "revoke", token, "--user", "clinical", "--reason", "nobody knows what it is for"];
    assert!(world.ctl(Role::Operator, &revoke).is_err(), "an administrator's business");
    world.ctl(Role::Admin, &revoke).unwrap();
    assert_eq!(code(&machine.json("GET", "/api/v1/devices", &Value::Null).unwrap()), "no-session");
    assert_eq!(clinical.json("GET", "/api/v1/devices", &Value::Null).unwrap().0, 200);
}

#[test]
fn sec_16_names_that_exist_look_like_names_that_do_not() {
    let world = world("sec-16", 0);
    let stranger = api(&world, "admin").anonymous();
    let long = json!({ "password": "x".repeat(300) });
    let many = json!({ "password": "x", "code": "1".repeat(300) });
    let mut took = BTreeMap::new();
    for body in [json!({ "password": "a wrong password" }), json!({ "password": "" }), long, many] {
        let mut answers = Vec::new();
        // Names without any count yet: each is asked for a few times only.
        for (kind, names) in [("known", ["qa", "clinical"]), ("unknown", ["nobody", "no-one"])] {
            for name in names {
                let began = Instant::now();
                let answer = sign_in(&stranger, name, &body);
                let spent = began.elapsed();
                let least = took.entry((body.to_string().len(), kind)).or_insert(spent);
                *least = spent.min(*least);
                answers.push((answer.0, answer.1["type"].clone(), answer.1["detail"].clone()));
            }
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
    for ((size, kind), spent) in &took {
        let other = took[&(*size, if *kind == "known" { "unknown" } else { "known" })];
        // What could be distinguished before took a hundredth of the time; machines under load are not exact.
        assert!(*spent < other * 5 + Duration::from_millis(20), "{size} bytes, {kind}: {spent:?} and {other:?}");
    }
    assert_eq!(with_both(&stranger, &world, "qa").0, 201);
}

/// A path with each of these in place of what it asks for.
fn filled(path: &str, ids: &[&str]) -> Vec<String> {
    let kinds = ["device", "deployment", "firmware", "hospital", "gateway", "user"];
    path.split('/').skip(1).fold(vec![String::new()], |heads, segment| {
        let fitting = match segment {
            "{kind}" => &kinds[..],
            _ if segment.starts_with('{') => ids,
            _ => &[segment],
        };
        heads.iter().flat_map(|head| fitting.iter().map(move |part| format!("{head}/{part}"))).collect()
    })
}

/// Path and text of every answer to a route that reads something and that this person may use.
fn everything_read_by(person: &Api, ids: &[&str]) -> Vec<(String, String)> {
    let (_, document) = person.send("GET", "/api/v1/openapi.json", vec![]).unwrap();
    let paths = document["paths"].as_object().unwrap();
    // Events do not end, and are looked at apart.
    let reads = paths.iter().filter(|(path, methods)| methods.get("get").is_some() && !path.ends_with("/events"));
    let all = reads.flat_map(|(path, _)| filled(path, ids));
    let read = all.map(|path| (path.clone(), person.text(&path).unwrap()));
    let answered: Vec<_> = read.filter(|(_, answer)| answer.0 == 200).map(|(path, answer)| (path, answer.1)).collect();
    assert!(answered.len() >= 20, "too few were answered: {answered:#?}");
    answered
}

#[test]
fn sec_19_staff_read_nothing_of_another_hospitals_devices() {
    let world = world("sec-19", 2);
    world.add_staff("nurse", &hospital_id(2)).unwrap();
    world.release("FW-22", "2.2.0", 22, &crate::image(&world.dir, 1, 100_000), 1.0).unwrap();
    let phase = json!({ "name": "All", "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1H" });
    let id = world.deploy("FW-22", &json!({ "strategy": "Progressive", "phases": [phase] })).unwrap();
    let (theirs, text) = (device_id(1, 1), "pump stalls in theatre 3");
    let reason = format!("{theirs} at {}: {text}", hospital_id(1));
    world.ctl(Role::Clinical, &["pause", &id, "--reason", &reason]).unwrap();
    assert!(world.deployment(&id).unwrap()["status"]["reason"].as_str().unwrap().contains(text), "the vendor reads it");
    let nurse = api(&world, "nurse");
    let mut read = vec![
        nurse.json("GET", &format!("/api/v1/deployments/{id}"), &Value::Null).unwrap().1,
        nurse.json("GET", "/api/v1/deployments", &Value::Null).unwrap().1,
        nurse.json("GET", "/api/v1/me/notices", &Value::Null).unwrap().1,
        nurse.json("GET", "/api/v1/incidents", &Value::Null).unwrap().1,
        nurse.json("GET", "/api/v1/fhir/Device", &Value::Null).unwrap().1,
    ];
    read.extend(nurse.events(&format!("/api/v1/deployments/{id}/events"), |_| true).unwrap());
    let ids = [&id, &theirs, &hospital_id(1), &hospital_id(2), &gateway_id(1), "FW-22", "clinical", "0"];
    for (path, shown) in everything_read_by(&nurse, &ids) {
        for secret in [&theirs, text, &gateway_id(1)] {
            assert!(!shown.contains(secret), "{path}: {shown}");
        }
    }
    let refused = json!({ "reason": "x", "deviceId": theirs, "cause": "operational" });
    let back = format!("/api/v1/deployments/{id}/rollback");
    let other = nurse.json("POST", &back, &refused).unwrap();
    let made_up = nurse
        .json("POST", &back, &json!({ "reason": "x", "deviceId": "DEV-made-up", "cause": "operational" }))
        .unwrap();
    assert_eq!(other.0, made_up.0, "{other:?} {made_up:?}");
    let consent = format!("/api/v1/deployments/{id}/consents/{}", hospital_id(2));
    read.push(nurse.json("DELETE", &consent, &json!({ "reason": "x" })).unwrap().1);
    for view in &read {
        let shown = view.to_string();
        assert!(!shown.contains(&theirs) && !shown.contains(text), "{shown}");
    }
    assert_eq!(read[0]["status"]["name"], "paused", "that it waits they do read: {}", read[0]);
    world.ctl(Role::Operator, &["resume", &id, "--reason", "found"]).unwrap();
    wait_for("the update of the hospital's own device", Duration::from_secs(90), || {
        let view = nurse.json("GET", &format!("/api/v1/deployments/{id}"), &Value::Null)?.1;
        Ok((view["devices"][0]["state"] == "confirmed").then_some(()))
    })
    .unwrap();
}
