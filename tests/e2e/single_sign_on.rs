//! Single sign-on through an OpenID provider of somebody else's making, which the test starts.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mdfm_tests::{Api, Checked, Layout, Role, World, checked_end, program};
use reqwest::header;
use serde_json::{Value, json};

use crate::access::{PASSWORD, code};
use crate::fresh_dir;

/// The provider, and the subjects of its people.
struct Provider {
    child: Child,
    subjects: Vec<(String, String)>,
}

impl Provider {
    fn start(port: u16, dir: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc/provider.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(port.to_string())
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("Debian's python3 is there; run `make test-tools`");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let told: Vec<String> = lines.take_while(|line| line != "serving").collect();
        let subjects: Vec<_> =
            told.iter().filter_map(|l| l.split_once('=')).map(|(n, s)| (n.to_owned(), s.to_owned())).collect();
        assert_eq!(subjects.len(), 2, "the provider did not start; run `make test-tools`: {told:?}");
        Self { child, subjects }
    }

    fn subject(&self, name: &str) -> &str {
        &self.subjects.iter().find(|(n, _)| n == name).unwrap().1
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody's browser at the provider: signs in there and gives where it is sent.
fn browse(address: &str, name: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let base = address.split("/o/").next().unwrap();
        let sent = |answer: &reqwest::Response| {
            let location = answer.headers().get(header::LOCATION).expect("a redirect").to_str().unwrap();
            if location.starts_with('/') { format!("{base}{location}") } else { location.to_owned() }
        };
        let login = sent(&browser.get(address).send().await.unwrap());
        let cookies = |answer: &reqwest::Response| {
            let all = answer.headers().get_all(header::SET_COOKIE).iter();
            let all: Vec<_> = all.map(|c| c.to_str().unwrap().split(';').next().unwrap().to_owned()).collect();
            all.join("; ")
        };
        let token = cookies(&browser.get(&login).send().await.unwrap());
        let secret = token.split_once('=').expect("a token against forged requests").1.to_owned();
        let form = format!("csrfmiddlewaretoken={secret}&username={name}&password={}", PASSWORD.replace(' ', "+"));
        let post = browser.post(&login).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let signed_in = post.header(header::COOKIE, token).body(form).send().await.unwrap();
        let next = sent(&signed_in);
        sent(&browser.get(next).header(header::COOKIE, cookies(&signed_in)).send().await.unwrap())
    })
}

/// `mdfmctl login --sso` with somebody in front of the browser; gives what it prints.
fn sign_in(world: &World, session: &Path, name: &str) -> Result<Value, String> {
    let mut child = Command::new(program("mdfmctl").unwrap())
        .args(["--json", "--session"])
        .arg(session)
        .args(["login", "--sso", "--url", &format!("https://127.0.0.1:{}", world.port), "--ca"])
        .arg(world.data().join("ca.pem"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find(|line| line.starts_with("http")).expect("an address to go to");
    let back = browse(&address, name);
    assert!(back.starts_with("http://127.0.0.1:"), "{back}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let page = runtime.block_on(async { reqwest::get(&back).await.unwrap().text().await.unwrap() });
    assert!(page.contains("close this page"), "{page}");
    let said: Vec<String> = lines.collect();
    mdfm_tests::check_errors("mdfmctl", said.join("\n").as_bytes());
    let output = checked_end("mdfmctl", child).unwrap();
    if output.status.success() { Ok(serde_json::from_slice(&output.stdout).unwrap()) } else { Err(said.join("\n")) }
}

#[test]
fn seed_sec_people_sign_in_at_their_own_provider_and_critical_things_need_the_second_factor_all_the_same() {
    // Whoever did it before did the same.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let dir = fresh_dir("sso");
    let place = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = place.local_addr().unwrap().port();
    let secret = dir.join("oidc.secret");
    let more_config = format!(
        "[oidc]\nissuer = \"http://127.0.0.1:{port}/o\"\nclient_id = \"mdfm\"\nclient_secret_file = {secret:?}\n"
    );
    std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
    let world = World::start_with(&dir, Layout { hospitals: 0, more_config, ..Layout::default() }, |dir| {
        std::fs::write(dir.join("oidc.secret"), "a secret + with / signs % in it").unwrap();
        std::fs::set_permissions(dir.join("oidc.secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    })
    .unwrap();
    let api = Api::with_session(world.session(Role::Admin).as_ref()).unwrap();
    let begin =
        |uri: &str| api.anonymous().json("POST", "/api/v1/sessions/oidc", &json!({ "redirectUri": uri })).unwrap();
    drop(place);
    assert_eq!(code(&begin("http://127.0.0.1:9/callback")), "provider", "nobody answers there");
    assert_eq!(code(&begin("https://evil.example/")), "invalid-field");

    let provider = Provider::start(port, &dir);
    let session = dir.join("sessions/sso");
    let refused = sign_in(&world, &session, "qa").unwrap_err();
    assert!(refused.contains("an administrator links accounts"), "nobody is linked yet: {refused}");
    let link = ["users", "link", "qa", "--subject", provider.subject("qa"), "--reason", "joined"];
    world.ctl(Role::Admin, &link).unwrap();
    let taken = ["users", "link", "clinical", "--subject", provider.subject("qa"), "--reason", "x"];
    assert!(world.ctl(Role::Admin, &taken).unwrap_err().to_string().contains("linked with it already"));
    let opened = sign_in(&world, &session, "qa").unwrap();
    assert_eq!((&opened["userId"], &opened["printedName"]), (&"qa".into(), &"QA signatory".into()));
    let qa = Api::with_session(&session).unwrap();
    assert_eq!(qa.send("GET", "/api/v1/me", vec![]).unwrap().1["userId"], "qa");
    let reject = qa.json("POST", "/api/v1/firmware/x/rejection?role=QA", &json!({ "reason": "x" })).unwrap();
    assert_eq!(code(&reject), "step-up", "the provider's word alone decides over no firmware");
    let factor = world.factor("qa");
    let show = Command::new(program("mdfmctl").unwrap())
        .args(["--session", &session.display().to_string(), "second-factor", "show", "--factor-file", &factor])
        .checked_output();
    assert!(show.unwrap().status.success());
    let reject = qa.json("POST", "/api/v1/firmware/x/rejection?role=QA", &json!({ "reason": "x" })).unwrap();
    assert_eq!(code(&reject), "not-found");
    assert!(sign_in(&world, &dir.join("sessions/x"), "stranger").unwrap_err().contains("nobody here is"));

    // What comes back counts once, in its own flow alone.
    let begun = begin("http://127.0.0.1:9/callback").1;
    let other = begin("http://127.0.0.1:9/callback").1;
    let back = browse(begun["authorizationUrl"].as_str().unwrap(), "qa");
    let back = reqwest::Url::parse(&back).unwrap();
    let value = |name: &str| back.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned();
    let complete = |flow: &Value, state: &str| {
        let body = json!({ "flow": flow, "state": state, "code": value("code") });
        api.anonymous().json("POST", "/api/v1/sessions/oidc/completion", &body).unwrap()
    };
    assert_eq!(code(&complete(&other["flow"], &value("state"))), "single-sign-on", "another flow");
    assert_eq!(code(&complete(&json!("made up"), &value("state"))), "single-sign-on");
    assert_eq!(complete(&begun["flow"], &value("state")).0, 201);
    assert_eq!(code(&complete(&begun["flow"], &value("state"))), "single-sign-on", "a second time");
    // A disabled account is let in by nobody.
    world.ctl(Role::Admin, &["users", "disable", "qa", "--reason", "left"]).unwrap();
    assert!(sign_in(&world, &session, "qa").unwrap_err().contains("may not sign in"));
    let records = world.ctl(Role::Auditor, &["audit", "search", "--action", "session.open", "--actor", "qa"]).unwrap();
    let issuers = records["records"].as_array().unwrap().iter().filter(|r| r["event"]["issuer"].is_string()).count();
    assert_eq!(issuers, 2, "the record says who vouched: {records}");
}
