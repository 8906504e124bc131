//! Who may what, and how they show who they are: every route for every role, second factors, signatures, tokens, and what an administrator
//! cannot do.

use std::collections::BTreeSet;
use std::time::Duration;

use mdfm_tests::{Api, Layout, Role, World, hospital_id, wait_for};
use serde_json::{Value, json};

use crate::{fresh_dir, image};

fn api(world: &World, user: &str) -> Api {
    Api::with_session(world.dir.join("sessions").join(user).as_ref()).unwrap()
}

/// Whom the founding documents give each permission, written down once more and apart from the code.
fn roles_with(right: &str) -> &'static [&'static str] {
    match right {
        "own" | "read" => &["admin", "operator", "auditor", "clinical", "qa", "regulatory", "nurse"],
        "readAll" => &["admin", "operator", "auditor", "clinical", "qa", "regulatory"],
        "readAudit" => &["admin", "operator", "auditor", "qa", "regulatory"],
        "manageUsers" | "manageTrust" => &["admin"],
        "manageFleet" | "submitFirmware" | "deploy" => &["operator"],
        "approve" => &["clinical", "qa", "regulatory"],
        "stop" => &["operator", "clinical", "regulatory"],
        "rollBack" => &["operator", "clinical", "regulatory", "nurse"],
        "consent" => &["operator", "nurse"],
        "publishAuthority" => &["admin", "operator", "clinical", "qa", "regulatory"],
        "recall" => &["operator", "regulatory"],
        "reportIncident" => &["operator", "clinical", "qa", "regulatory", "nurse"],
        "retain" | "dispose" => &["admin", "regulatory"],
        "gateway" => &[],
        other => panic!("nobody has said who has {other}"),
    }
}

const EVERYBODY: [&str; 7] = ["admin", "operator", "auditor", "clinical", "qa", "regulatory", "nurse"];

/// Refusals in the log: those with a record of their own, and those that were counted.
fn refusals(world: &World) -> u64 {
    let (mut from, mut refused) = (0, 0);
    let auditor = api(world, "auditor");
    loop {
        let path = format!("/api/v1/compliance/audit-logs?from={from}&limit=500&outcome=refused");
        let page = auditor.send("GET", &path, vec![]).unwrap().1;
        for record in page["records"].as_array().unwrap() {
            let is_count = record["action"] == "refusal.count";
            let counted = record["reason"].as_str().and_then(|r| r.split(' ').nth(1)?.parse::<u64>().ok());
            refused += counted.filter(|_| is_count).unwrap_or(1);
        }
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => return refused,
        }
    }
}

#[test]
fn p11_10d_every_route_answers_every_role_as_the_seed_says_and_records_each_denial() {
    let dir = fresh_dir("routes");
    // Each of them asks more in a second than anybody does by hand.
    let more_config = "requests_per_second = 10000\n".to_owned();
    let mut world = World::start(&dir, Layout { hospitals: 0, more_config, ..Layout::default() }).unwrap();
    world.ctl(Role::Operator, &["hospitals", "add", &hospital_id(1), "--name", "One"]).unwrap();
    world.add_staff("nurse", &hospital_id(1)).unwrap();
    let (status, document) = api(&world, "admin").anonymous().send("GET", "/api/v1/openapi.json", vec![]).unwrap();
    assert_eq!(status, 200);
    let callers: Vec<(&str, Api)> = EVERYBODY.iter().map(|user| (*user, api(&world, user))).collect();
    let stranger = api(&world, "admin").anonymous();
    let (before, mut denials, mut asked) = (refusals(&world), 0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let right = operation["x-right"].as_str().unwrap_or_else(|| panic!("{method} {path} says nothing"));
            let method = method.to_uppercase();
            // Ids that name nothing, and no body: who may goes on to an error of another kind.
            let called: String =
                path.split('/').map(|p| if p.starts_with('{') { "x-1" } else { p }).collect::<Vec<_>>().join("/");
            let called = if path.contains("/tile/") { "/api/v1/compliance/log/tile/0/000".into() } else { called };
            let shown = format!("{method} {called}");
            if right == "anybody" {
                continue;
            }
            let (status, problem) = stranger.send(&method, &called, vec![]).unwrap();
            let expected = if right == "gateway" { 403 } else { 401 };
            assert_eq!(status, expected, "{shown} by a stranger: {problem}");
            denials += 1;
            for (user, api) in &callers {
                let may = roles_with(right).contains(user);
                if may && shown == "DELETE /api/v1/sessions/current" {
                    continue;
                }
                let (status, problem) = api.send(&method, &called, vec![]).unwrap();
                let kind = problem["type"].as_str().unwrap_or_default();
                if may {
                    let is_denied =
                        ["permission", "no-session", "step-up", "second-factor"].iter().any(|k| kind.ends_with(k));
                    assert!(
                        !is_denied && ![401, 429].contains(&status) && status < 500,
                        "{shown} by {user}: {status} {problem}"
                    );
                } else {
                    let code = if right == "gateway" { "no-certificate" } else { "permission" };
                    assert_eq!((status, kind), (403, format!("urn:mdfm:problem:{code}").as_str()), "{shown} by {user}");
                    denials += 1;
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 500, "{asked}");
    // What the API says of roles is what was just asked.
    let roles = callers[0].1.json("GET", "/api/v1/roles", &Value::Null).unwrap().1;
    let is_said = |user: &str, permission: &str| {
        let of = |role: &&Value| role["role"].as_str().is_some_and(|r| r.to_lowercase() == user);
        let role = roles.as_array().unwrap().iter().find(of).unwrap();
        role["permissions"].as_array().unwrap().iter().any(|p| p["permission"] == permission)
    };
    for (user, said) in EVERYBODY.iter().map(|user| (*user, if *user == "nurse" { "hospitalstaff" } else { user })) {
        for permission in ["read", "readAll", "readAudit", "manageUsers", "deploy", "approve", "rollBack", "dispose"] {
            assert_eq!(is_said(said, permission), roles_with(permission).contains(&user), "{user} {permission}");
        }
    }
    // Many at once are counted; what was counted is written at an orderly stop.
    world.stop_coordinator();
    world.start_coordinator().unwrap();
    let recorded = refusals(&world) - before;
    assert!(
        recorded >= denials,
        "{recorded} records of {denials} denials; requests that could not be read are records too"
    );
}

/// Signs in with a body of one's own.
fn sign_in(world: &World, body: &Value) -> (u16, Value) {
    api(world, "admin").anonymous().json("POST", "/api/v1/sessions", body).unwrap()
}

pub(crate) fn code(answer: &(u16, Value)) -> &str {
    answer.1["type"].as_str().unwrap_or("none").rsplit(':').next().unwrap_or_default()
}

/// What the factor file of a user makes now; the next one with `ahead`.
pub(crate) fn one_time_code(world: &World, user: &str, ahead: u64) -> String {
    let secret = std::fs::read_to_string(world.factor(user)).unwrap();
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let totp = totp_rs::Builder::new().with_secret(totp_rs::Secret::try_from_base32(secret.trim()).unwrap());
    totp.build().unwrap().generate(seconds + 30 * ahead).to_string()
}

/// SHA-1 of `breached password`.
const BREACHED_SHA1: &str = "8993CE44E8E7E5295C6FB59704159B711B7AC7FE";

pub(crate) const PASSWORD: &str = "correct horse battery staple";

#[test]
fn p11_200a1_both_factors_open_each_code_once_and_a_recovery_code_too() {
    let dir = fresh_dir("factors");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let with = |more: Value| {
        let mut body = json!({ "userId": "clinical", "password": PASSWORD });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sign_in(&world, &body)
    };
    assert_eq!(code(&with(json!({}))), "second-factor", "the password alone does not open");
    assert_eq!(code(&with(json!({ "code": "000000" }))), "wrong-credentials");
    let next = one_time_code(&world, "clinical", 1);
    assert_eq!(with(json!({ "code": next })).0, 201);
    assert_eq!(code(&with(json!({ "code": next }))), "code-used");
    let recovery = std::fs::read_to_string(dir.join("sessions/clinical.recovery")).unwrap();
    let recovery = recovery.lines().next().unwrap().to_uppercase().replace('-', " ");
    assert_eq!(with(json!({ "recoveryCode": recovery })).0, 201, "typed as people type");
    assert_eq!(code(&with(json!({ "recoveryCode": recovery }))), "wrong-credentials");
    assert_eq!(code(&with(json!({ "recoveryCode": "aaaa-aaaa-aaaa-aaaa" }))), "wrong-credentials");

    // Five guesses in a row lock the name, for who knows the password too, and the lock is in the log.
    let guess = json!({ "userId": "qa", "password": "a guess that is wrong" });
    let guesses: Vec<String> = (0..6).map(|_| code(&sign_in(&world, &guess)).to_owned()).collect();
    assert_eq!(guesses[3..], ["wrong-credentials", "locked", "locked"]);
    assert_eq!(
        code(&sign_in(&world, &json!({ "userId": "qa", "password": PASSWORD }))),
        "locked",
        "the password alone"
    );
    let right = json!({ "userId": "qa", "password": PASSWORD, "code": one_time_code(&world, "qa", 1) });
    assert_eq!(sign_in(&world, &right).0, 201, "both factors are nobody's guess");

    // Without a second factor nobody decides anything, whatever their role.
    world.ctl(Role::Admin, &["users", "remove-second-factor", "operator", "--reason", "telephone lost"]).unwrap();
    let session = sign_in(&world, &json!({ "userId": "operator", "password": PASSWORD }));
    assert_eq!((session.0, &session.1["secondFactor"]), (201, &json!(false)));
    std::fs::remove_file(world.factor("operator")).unwrap();
    let old = world.ctl(Role::Operator, &["devices", "list"]).unwrap_err().to_string();
    assert!(old.contains("no-session"), "sessions of before are over: {old}");
    let file = dir.join("sessions/operator");
    let mut held: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    held["token"] = session.1["token"].clone();
    std::fs::write(&file, held.to_string()).unwrap();
    world.ctl(Role::Operator, &["hospitals", "add", "HOSP-1", "--name", "One"]).unwrap();
    let plan = dir.join("plan.json");
    std::fs::write(&plan, World::progressive("HOSP-1", "PT0S").to_string()).unwrap();
    let deploy = ["deploy", "--firmware", "FW-1", &plan.display().to_string()];
    let refused = world.ctl(Role::Operator, &deploy).unwrap_err().to_string();
    assert!(refused.contains("second-factor enrol"), "it says what to do: {refused}");
    let password = dir.join("password").display().to_string();
    let enrol = ["second-factor", "enrol", "--password-file", &password, "--factor-file", &world.factor("operator")];
    world.ctl(Role::Operator, &enrol).unwrap();
    let refused = world.ctl(Role::Operator, &deploy).unwrap_err().to_string();
    assert!(refused.contains("FW-1"), "and now it is about the firmware: {refused}");
}

/// A release that waits for approvals, and the roster with a key that the coordinator keeps for QA.
pub(crate) fn release_to_approve(world: &World, key: &str) {
    let image = image(&world.dir, 1, 100_000);
    world.upload("FW-22", "2.2.0", 22, &image, 1.0).unwrap();
    let [before, roster] = ["roster-1.mdfm", "roster-2.mdfm"].map(|name| world.dir.join(name).display().to_string());
    let replace = format!("qa={key}");
    world.offline(&["trust", "roster", "--from", &before, "--out", &roster, "--replace-key", &replace]).unwrap();
    world.sign_file(&roster, &["registrar"], &["--previous", &before]).unwrap();
    world.ctl(Role::Admin, &["trust", "publish", &roster]).unwrap();
}

#[test]
fn p11_200a3_nobody_signs_for_another_not_the_administrator_with_the_whole_disk() {
    let dir = fresh_dir("signatures");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let (password, factor) = (dir.join("password").display().to_string(), world.factor("qa"));
    // Everybody has a password of their own here.
    let own = dir.join("password-of-qa").display().to_string();
    crate::write_secret(own.as_ref(), "a password that only QA knows");
    world.ctl(Role::Qa, &["password", "--password-file", &password, "--new-password-file", &own]).unwrap();
    let create = ["signing-key", "create", "--password-file", &own, "--factor-file", &factor];
    let key = world.ctl(Role::Qa, &create).unwrap()["publicKey"].as_str().unwrap().to_owned();
    release_to_approve(&world, &key);
    // Another password of the owner's seals the same key anew.
    let newer = dir.join("newer-password-of-qa").display().to_string();
    crate::write_secret(newer.as_ref(), "another password that only QA knows");
    world.ctl(Role::Qa, &["password", "--password-file", &own, "--new-password-file", &newer]).unwrap();
    let own = newer;

    let qa = api(&world, "qa");
    let sign = |api: &Api, password: &str, code: &str| {
        let body = json!({
            "firmwareId": "FW-22", "role": "QA", "reason": "tests passed", "password": password, "code": code,
        });
        api.json("POST", "/api/v1/approvals/signature", &body).unwrap()
    };
    let own_password = "another password that only QA knows";
    assert_eq!(code(&sign(&qa, PASSWORD, "000000")), "wrong-password");
    assert_eq!(code(&sign(&qa, own_password, "000000")), "wrong-code");
    assert_eq!(code(&sign(&qa.anonymous(), own_password, "000000")), "no-session");
    let admin = api(&world, "admin");
    let code_of_admin = one_time_code(&world, "admin", 1);
    assert_eq!(code(&sign(&admin, PASSWORD, &code_of_admin)), "permission", "the administrator approves nothing");

    // What lies on the coordinator's disk opens with no password of the administrator's, nor with what is beside it.
    let credentials: Vec<String> = std::fs::read_dir(world.data().join("credentials"))
        .unwrap()
        .map(|e| std::fs::read_to_string(e.unwrap().path()).unwrap())
        .collect();
    let sealed: Vec<&String> = credentials.iter().filter(|c| c.contains("\"sealed\"")).collect();
    assert_eq!(sealed.len(), 1);
    assert!(
        !credentials.iter().any(|c| c.contains("mdfm-secret") || c.contains(own_password)),
        "no key and no password lies open"
    );

    let digest = world.manifest_digest("FW-22").unwrap();
    let arguments = [
        "approve",
        "FW-22",
        "--yes",
        "--digest",
        &digest,
        "--role",
        "QA",
        "--reason",
        "tests passed",
        "--password-file",
        &own,
        "--factor-file",
        &factor,
    ];
    let view = world.ctl(Role::Qa, &arguments).unwrap();
    let given = &view["approvals"][0];
    assert_eq!((&given["printedName"], &given["role"]), (&json!("QA signatory"), &json!("QA")), "{view}");
    assert!(given["meaning"].as_str().unwrap().contains("I approve FW-22 2.2.0"), "{given}");
    assert!(given["signedAt"].is_string() && given["reason"] == "tests passed");

    // A reset retires the key: the administrator, who knows the new password, signs nothing with it.
    world.upload("FW-23", "2.3.0", 23, &image(&dir, 2, 100_000), 1.0).unwrap();
    let reset = dir.join("password-by-admin").display().to_string();
    crate::write_secret(reset.as_ref(), "a password by the administrator");
    world
        .ctl(Role::Admin, &["users", "reset-password", "qa", "--reason", "forgotten", "--password-file", &reset])
        .unwrap();
    let known = json!({ "userId": "qa", "password": "a password by the administrator" });
    assert_eq!(code(&sign_in(&world, &known)), "second-factor", "the other factor is still QA's");
    world.ctl(Role::Admin, &["users", "remove-second-factor", "qa", "--reason", "on a pretext"]).unwrap();
    std::fs::remove_file(world.factor("qa")).unwrap();
    let thief = dir.join("sessions/thief").display().to_string();
    let url = format!("https://127.0.0.1:{}", world.port);
    let ca = world.data().join("ca.pem").display().to_string();
    let login = ["login", "--url", &url, "--ca", &ca, "--user", "qa", "--password-file", &reset];
    world.ctl_as("thief", &login).unwrap();
    let stolen = dir.join("sessions/thief.factor").display().to_string();
    world.ctl_as("thief", &["second-factor", "enrol", "--password-file", &reset, "--factor-file", &stolen]).unwrap();
    let digest = world.manifest_digest("FW-23").unwrap();
    let arguments = [
        "approve",
        "FW-23",
        "--yes",
        "--digest",
        &digest,
        "--role",
        "QA",
        "--reason",
        "mine now",
        "--password-file",
        &reset,
        "--factor-file",
        &stolen,
    ];
    let refused = world.ctl_as("thief", &arguments).unwrap_err().to_string();
    assert!(refused.contains("signing-key"), "{refused}");
    // Nor with a new one, which no registrar has put on the roster.
    world.ctl_as("thief", &["signing-key", "create", "--password-file", &reset, "--factor-file", &stolen]).unwrap();
    let refused = world.ctl_as("thief", &arguments).unwrap_err().to_string();
    assert!(refused.contains("approval-refused"), "{refused}");
    assert!(std::path::Path::new(&thief).exists());
}

/// A person of QA who signs with the key that the coordinator keeps for them, and a deployment that they approved so.
pub(crate) struct Gate<'a> {
    world: &'a World,
    both: [String; 4],
    /// Digest of the manifest.
    pub(crate) digest: String,
    /// The deployment, whose gate waits for them.
    pub(crate) deployment: String,
}

impl<'a> Gate<'a> {
    pub(crate) fn reach(world: &'a World, dir: &std::path::Path) -> Self {
        let password = dir.join("password").display().to_string();
        let both = ["--password-file".into(), password, "--factor-file".into(), world.factor("qa")];
        let create: Vec<&str> = ["signing-key", "create"].into_iter().chain(both.iter().map(String::as_str)).collect();
        let made = world.ctl(Role::Qa, &create).unwrap();
        release_to_approve(world, made["publicKey"].as_str().unwrap());
        for role in [Role::Clinical, Role::Regulatory] {
            world.approve("FW-22", role).unwrap();
        }
        let digest = world.manifest_digest("FW-22").unwrap();
        let mut gate = Self { world, both, digest, deployment: String::new() };
        gate.sign("approve", "FW-22").unwrap();
        let phase = json!({ "name": "All", "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT0S", "validationRole": "QA" });
        gate.deployment = world.deploy("FW-22", &json!({ "strategy": "Progressive", "phases": [phase] })).unwrap();
        wait_for("the gate", Duration::from_secs(60), || {
            let view = world.deployment(&gate.deployment)?;
            Ok((view["phases"][0]["status"]["name"] == "awaitingValidation").then_some(()))
        })
        .unwrap();
        gate
    }

    /// They approve a release, or validate a phase.
    pub(crate) fn sign(&self, verb: &str, id: &str) -> anyhow::Result<Value> {
        let more = [verb, id, "--role", "QA", "--reason", "seen on every device", "--yes", "--digest", &self.digest];
        let all: Vec<&str> = more.into_iter().chain(self.both.iter().map(String::as_str)).collect();
        self.world.ctl(Role::Qa, &all)
    }
}

#[test]
fn p11_200a1_a_phase_is_validated_with_the_key_that_opens_for_both_factors() {
    let dir = fresh_dir("validation");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 1, ..Layout::default() }).unwrap();
    let gate = Gate::reach(&world, &dir);
    let id = &gate.deployment;
    let path = format!("/api/v1/deployments/{id}/validations/signature");
    let body = |password: &str| json!({ "role": "QA", "reason": "x", "password": password, "code": "000000" });
    assert_eq!(code(&api(&world, "qa").json("POST", &path, &body("a guess")).unwrap()), "wrong-password");
    assert_eq!(code(&api(&world, "qa").json("POST", &path, &body(PASSWORD)).unwrap()), "wrong-code");
    let view = gate.sign("validate", id).unwrap();
    let given = &view["phases"][0]["validation"];
    assert_eq!((&given["printedName"], &given["role"]), (&json!("QA signatory"), &json!("QA")), "{view}");
    assert!(given["meaning"].as_str().unwrap().contains("I validate phase 1 (All) as QA"), "{given}");
    let history = world.ctl(Role::Auditor, &["firmware", "history", "FW-22"]).unwrap();
    let said = |action: &str, by: &str| {
        history.as_array().unwrap().iter().any(|r| r["action"] == action && r["actor"]["id"] == by)
    };
    assert!(said("firmware.approve", "qa") && said("deployment.create", "operator"), "{history}");
}

#[test]
fn p11_300c_who_is_disabled_is_out_at_once_and_tokens_do_what_they_say_and_no_more() {
    let dir = fresh_dir("standing");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let operator = api(&world, "operator");
    let token = |permissions: Value, until: &str| {
        let body = json!({ "name": "nightly inventory", "permissions": permissions, "expiresAt": until });
        operator.json("POST", "/api/v1/me/tokens", &body).unwrap()
    };
    let year = |years: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 365 * years - 1);
        at.to_string()
    };
    assert_eq!(code(&token(json!(["deploy"]), &year(1))), "invalid-field", "a machine deploys nothing");
    assert_eq!(code(&token(json!(["manageUsers"]), &year(1))), "invalid-field", "nor has it what its owner lacks");
    assert_eq!(code(&token(json!(["readAll"]), &year(3))), "invalid-field", "nor for ever");
    let made = token(json!(["read", "manageFleet"]), &year(1));
    assert_eq!(made.0, 201, "{made:?}");
    let machine = operator.with_token(made.1["token"].as_str().unwrap());
    assert_eq!(machine.json("GET", "/api/v1/devices", &Value::Null).unwrap().0, 200);
    let hospital = json!({ "hospitalId": "HOSP-9", "name": "Nine" });
    assert_eq!(machine.json("POST", "/api/v1/hospitals", &hospital).unwrap().0, 201);
    assert_eq!(code(&machine.json("GET", "/api/v1/compliance/audit-logs", &Value::Null).unwrap()), "permission");
    assert_eq!(code(&machine.json("GET", "/api/v1/me", &Value::Null).unwrap()), "person");
    let found = world.ctl(Role::Auditor, &["audit", "search", "--oldest", "--object", "hospital/HOSP-9"]).unwrap();
    let actor = found["records"][0].to_string();
    assert!(actor.contains("operator/token/"), "the record says that a machine did it: {actor}");

    assert_eq!(
        code(&operator.json("POST", "/api/v1/users/operator/disable", &json!({ "reason": "x" })).unwrap()),
        "permission"
    );
    let admin = api(&world, "admin");
    let reason = json!({ "reason": "left the company" });
    assert_eq!(code(&admin.json("POST", "/api/v1/users/admin/disable", &reason).unwrap()), "own-account");
    let ended = admin.json("POST", "/api/v1/users/operator/disable", &reason).unwrap();
    assert_eq!((ended.0, &ended.1["tokensEnded"]), (200, &json!(1)), "{ended:?}");
    for who in [&operator, &machine] {
        assert_eq!(code(&who.json("GET", "/api/v1/devices", &Value::Null).unwrap()), "no-session");
    }
    let body = json!({ "userId": "operator", "password": PASSWORD, "code": one_time_code(&world, "operator", 1) });
    assert_eq!(code(&sign_in(&world, &body)), "disabled");
    let again = json!({ "userId": "operator", "printedName": "Another", "roles": ["Operator"], "password": PASSWORD });
    assert_eq!(code(&admin.json("POST", "/api/v1/users", &again).unwrap()), "exists", "an id is one person's for ever");
    let users = admin.json("GET", "/api/v1/users", &Value::Null).unwrap().1;
    let disabled: BTreeSet<&str> = users
        .as_array()
        .unwrap()
        .iter()
        .filter(|u| u["disabled"] == true)
        .map(|u| u["userId"].as_str().unwrap())
        .collect();
    assert_eq!(disabled, BTreeSet::from(["operator"]));
}

/// A token is its owner, with less: nurses' machines see their own hospital alone.
#[test]
fn p11_10g_a_token_sees_no_more_than_its_owner() {
    let dir = fresh_dir("token-scope");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    for h in [1, 2] {
        let (hospital, device, serial) = (hospital_id(h), format!("DEV-{h}"), format!("SN-{h}"));
        world.ctl(Role::Operator, &["hospitals", "add", &hospital, "--name", "One of two"]).unwrap();
        let add = ["devices", "add", &device, "--model", "M", "--serial", &serial, "--hospital", &hospital];
        world.ctl(Role::Operator, &[&add[..], &["--firmware-version", "1.0"]].concat()).unwrap();
    }
    world.add_staff("nurse", &hospital_id(1)).unwrap();
    let nurse = api(&world, "nurse");
    let at = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    let body = json!({ "name": "ward display", "permissions": ["read"], "expiresAt": at });
    let made = nurse.json("POST", "/api/v1/me/tokens", &body).unwrap();
    let display = nurse.with_token(made.1["token"].as_str().unwrap());
    for who in [&nurse, &display] {
        let devices = who.json("GET", "/api/v1/devices", &Value::Null).unwrap().1;
        assert_eq!(devices.as_array().map(Vec::len), Some(1), "{devices}");
        assert_eq!(devices[0]["deviceId"], "DEV-1");
        assert_eq!(who.json("GET", "/api/v1/devices/DEV-2", &Value::Null).unwrap().0, 404);
        assert_eq!(who.json("GET", "/api/v1/hospitals", &Value::Null).unwrap().1.as_array().map(Vec::len), Some(1));
    }
}

/// Wrong codes lock, whatever is tried between them.
#[test]
fn p11_300d_wrong_codes_in_a_session_lock_though_recovery_codes_are_tried_between_them() {
    let dir = fresh_dir("code-guesses");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let auditor = api(&world, "auditor");
    let show =
        |body: Value| code(&auditor.json("POST", "/api/v1/sessions/current/second-factor", &body).unwrap()).to_owned();
    let said: Vec<String> = (0..6)
        .flat_map(|guess| {
            [json!({ "code": format!("00000{guess}") }), json!({ "recoveryCode": "aaaa-aaaa-aaaa-aaaa" })]
        })
        .map(show)
        .collect();
    assert_eq!(said[..4], ["wrong-code"; 4]);
    assert!(said[4..].iter().all(|code| code == "locked"), "from the fifth on: {said:?}");
    let right = json!({ "code": one_time_code(&world, "auditor", 1) });
    assert_eq!(show(right), "locked", "the right one is not looked at");
    wait_for("the administrators to be told", std::time::Duration::from_secs(20), || {
        let told = world.ctl(Role::Admin, &["notices", "list"])?;
        Ok(told.as_array().is_some_and(|t| t.iter().any(|n| n["kind"] == "accountLocked")).then_some(()))
    })
    .unwrap();
}

#[test]
fn p11_300b_breached_passwords_are_refused_and_settings_change_only_as_they_were_seen() {
    let dir = fresh_dir("breached");
    let list = dir.with_extension("hashes");
    std::fs::create_dir_all(list.parent().unwrap()).unwrap();
    // SHA-1 of "breached password", between two others.
    let hashes = [format!("{}:3", "0".repeat(40)), BREACHED_SHA1.into(), "F".repeat(40)];
    std::fs::write(&list, hashes.join("\r\n")).unwrap();
    let more_config = format!("breached_passwords_file = {list:?}\n");
    let world = World::start(&dir, Layout { hospitals: 0, more_config, ..Layout::default() }).unwrap();
    let (admin, qa) = (api(&world, "admin"), api(&world, "qa"));
    let change = |new: &str| {
        let body = json!({ "password": PASSWORD, "newPassword": new });
        qa.json("PUT", "/api/v1/me/password", &body).unwrap()
    };
    let refused = change("breached password");
    assert_eq!(code(&refused), "invalid-field");
    assert!(refused.1["detail"].as_str().unwrap().contains("breach"), "{refused:?}");
    assert_eq!(change("a breached password").0, 204);

    let shown = admin.tagged("/api/v1/settings").unwrap();
    let (tag, mut settings) = (shown.0, shown.1);
    assert_eq!(settings["passwordDays"], 365);
    settings["passwordDays"] = 90.into();
    let request = json!({ "settings": settings, "reason": "shorter" });
    let put = |tag: &str| admin.json_if_match("PUT", "/api/v1/settings", &request, tag).unwrap();
    assert_eq!(put(&tag).0, 200);
    assert_eq!((put(&tag).0, code(&put(&tag))), (412, "changed-meanwhile"), "somebody did meanwhile");
    assert_eq!(admin.tagged("/api/v1/settings").unwrap().1["passwordDays"], 90);
    let me = qa.send("GET", "/api/v1/me", vec![]).unwrap().1;
    assert_eq!(me["cannotSign"], Value::Null);
    let lapsed = json!({ "trainedUntil": "2020-01-01T00:00:00Z", "reason": "long ago" });
    assert_eq!(admin.json("PUT", "/api/v1/users/qa/training", &lapsed).unwrap().0, 422);
}

#[test]
fn p11_300e_a_second_factor_counts_only_once_it_was_shown_to_work() {
    let dir = fresh_dir("factor-shown");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let password = dir.join("password").display().to_string();
    world
        .ctl(Role::Admin, &["users", "add", "new", "--name", "New", "--role", "Operator", "--password-file", &password])
        .unwrap();
    let signed_in = sign_in(&world, &json!({ "userId": "new", "password": PASSWORD }));
    let new = api(&world, "admin").with_token(signed_in.1["token"].as_str().unwrap());
    let begun = new.json("POST", "/api/v1/me/second-factor", &json!({ "password": PASSWORD })).unwrap();
    assert_eq!(begun.0, 201, "{begun:?}");
    let confirm =
        |code: &str| new.json("POST", "/api/v1/me/second-factor/confirmation", &json!({ "code": code })).unwrap();
    assert_eq!(code(&confirm("000000")), "wrong-code");
    let has_factor = || new.send("GET", "/api/v1/me", vec![]).unwrap().1["secondFactor"].as_bool();
    assert_eq!(has_factor(), Some(false), "it was not shown, so it does not count");
    let file = dir.join("sessions/new.factor");
    crate::write_secret(&file, begun.1["secret"].as_str().unwrap());
    assert_eq!(confirm(&one_time_code(&world, "new", 0)).0, 201);
    assert_eq!(has_factor(), Some(true));
    let again = sign_in(&world, &json!({ "userId": "new", "password": PASSWORD }));
    assert_eq!(code(&again), "second-factor", "from now on it is asked for each time");
}
