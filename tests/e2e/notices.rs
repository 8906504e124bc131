//! What people and programs are told: by inbox, by mail through a real SMTP server, by webhook; and what becomes of it when nobody takes it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_tests::{Api, Layout, Receiver, Role, World, wait_for};
use serde_json::{Value, json};

use crate::access::{PASSWORD, code};
use crate::{fresh_dir, image, write_secret};

/// Somebody else's SMTP server, which takes nothing without STARTTLS and a login, and keeps what it took in a mailbox.
struct MailServer(Child);

impl MailServer {
    fn start(world: &World, port: u16) -> Self {
        let (data, mailbox) = (world.data(), mailbox(world));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("mail/server.py");
        let child = Command::new("/usr/bin/python3")
            .arg(script)
            .args([&port.to_string(), MAIL_USER, MAIL_PASSWORD])
            .args([data.join("server.pem"), data.join("server.key"), mailbox])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("aiosmtpd is there; run `make test-tools`");
        let server = Self(child);
        wait_for("the mail server", Duration::from_secs(20), || {
            Ok(std::net::TcpStream::connect(("127.0.0.1", port)).ok())
        })
        .unwrap();
        server
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const MAIL_USER: &str = "firmware@vendor.example";
const MAIL_PASSWORD: &str = "a password of the mail server";

/// Gives a place up, and its port.
fn free(place: TcpListener) -> u16 {
    place.local_addr().unwrap().port()
}

fn mailbox(world: &World) -> PathBuf {
    world.dir.join("mailbox")
}

/// The mails that the server took, whole.
fn mails(world: &World) -> Vec<String> {
    let files =
        |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect::<Vec<_>>();
    files(&mailbox(world).join("new")).iter().map(|f| std::fs::read_to_string(f).unwrap_or_default()).collect()
}

fn api(world: &World, user: &str) -> Api {
    Api::with_session(world.dir.join("sessions").join(user).as_ref()).unwrap()
}

fn notices(world: &World, user: &str) -> Vec<Value> {
    world.ctl_as(user, &["notices", "list"]).unwrap().as_array().cloned().unwrap()
}

/// A world that mails and calls, where a notice is tried three times within seconds; with the places of mail server and receiver, which are
/// held until those come.
fn world(name: &str) -> (World, TcpListener, TcpListener) {
    let dir = fresh_dir(name);
    let [mail_place, hooks] = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let mail = mail_place.local_addr().unwrap().port();
    let (ca, secret) = (dir.join("coordinator/ca.pem"), dir.join("mail.password"));
    let more_config = format!(
        "notice_retry_seconds = [1, 1]\nwebhook_ca_file = {ca:?}\nwebhook_networks = [\"127.0.0.0/8\", \"::1/128\"]\n[mail]\nhost = \"localhost\"\nport = {mail}\n\
         from = \"Firmware <firmware@vendor.example>\"\nca_file = {ca:?}\n\
         user = {MAIL_USER:?}\npassword_file = {secret:?}\n"
    );
    let layout = Layout { hospitals: 0, more_config, ..Layout::default() };
    (World::start_with(&dir, layout, |_| write_secret(&secret, MAIL_PASSWORD)).unwrap(), mail_place, hooks)
}

/// The coordinator records the certificate that somebody whom it calls has shown.
pub(crate) fn need_certificate(world: &World, object: &str) {
    let search = ["audit", "search", "--action", "certificate.seen", "--object", object];
    wait_for(object, Duration::from_secs(60), || {
        let found = world.ctl(Role::Auditor, &search)?;
        Ok(found.to_string().contains("is valid until").then_some(()))
    })
    .unwrap();
}

#[test]
fn a_release_is_told_by_inbox_mail_and_webhook_and_nothing_is_lost_while_nobody_takes_it() {
    let (mut world, mail, hooks) = world("notices");
    let mail = free(mail);
    let port = hooks.local_addr().unwrap().port();
    let receiver = Receiver::start(hooks, &world.data()).unwrap();
    receiver.answer(500);
    world.ctl(Role::Qa, &["notices", "address", "qa@hospital.example"]).unwrap();
    let url = format!("https://localhost:{port}/told");
    let set = ["webhooks", "set", "its-own", "--url", &url, "--kind", "approvalRequested", "--reason", "test"];
    let secret = world.ctl(Role::Admin, &set).unwrap()["secret"].as_str().unwrap().to_owned();
    // Neither the mail server nor the webhook's receiver takes anything yet.
    world.upload("FW-1", "2.2.0", 22, &image(&world.dir, 1, 4_000), 1.0).unwrap();
    let dead = wait_for("both to be given up", Duration::from_secs(30), || {
        let dead = world.ctl(Role::Admin, &["notices", "dead-letters"])?;
        let about = |letter: &&Value| letter["kind"] == "approvalRequested";
        let about: Vec<Value> = dead.as_array().into_iter().flatten().filter(about).cloned().collect();
        Ok((about.len() == 2).then_some(about))
    })
    .unwrap();
    assert_eq!(receiver.calls().len(), 3, "three attempts");
    // The coordinator is killed; what was told is there afterwards, and told once more.
    world.kill_coordinator();
    world.start_coordinator().unwrap();
    receiver.answer(204);
    let _server = MailServer::start(&world, mail);
    for letter in &dead {
        let id = letter["deliveryId"].as_str().unwrap();
        assert!(letter["attempts"] == 3 && !letter["lastError"].as_str().unwrap().is_empty(), "{letter}");
        world.ctl(Role::Admin, &["notices", "retry", id]).unwrap();
    }
    let taken = wait_for("mail and webhook", Duration::from_secs(30), || {
        let (mails, calls) = (mails(&world), receiver.calls());
        Ok((mails.len() == 1 && calls.len() == 4).then_some((mails, calls)))
    })
    .unwrap();
    let (mail, call) = (&taken.0[0], &taken.1[3]);
    for words in [
        "To: \"QA signatory\" <qa@hospital.example>",
        "[MDFM] firmware FW-1 waits for your approval",
        "asks for nothing",
    ] {
        assert!(mail.contains(words) || mail.contains(&words.replace('"', "")), "{words}: {mail}");
    }
    // The signature is checked as the specification says, with the secret that was shown once.
    let id = &call.headers["webhook-id"];
    assert_eq!(*id, taken.1[0].headers["webhook-id"], "the id stays the same");
    let text = String::from_utf8(call.body.clone()).unwrap();
    let signed = format!("{id}.{}.{text}", call.headers["webhook-timestamp"]);
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    let signature = STANDARD.decode(call.headers["webhook-signature"].trim_start_matches("v1,")).unwrap();
    ring::hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&body["type"], &body["data"]["object"]), (&json!("approvalRequested"), &json!("firmware/FW-1")));
    // The inbox of each approver, and nobody else's.
    for role in Role::APPROVERS {
        let all = notices(&world, role.user());
        assert!(all.iter().any(|n| n["object"] == "firmware/FW-1" && n["read"] == false), "{role:?}: {all:?}");
    }
    assert!(!notices(&world, "auditor").iter().any(|n| n["object"] == "firmware/FW-1"));
    world.ctl(Role::Qa, &["notices", "read", "--all"]).unwrap();
    assert!(notices(&world, "qa").iter().all(|n| n["read"] == true));
    need_certificate(&world, "webhook/its-own");
    need_certificate(&world, "certificate/mail");
    // The server never answers to QUIT: what it has taken is not sent a second time.
    wait_for("what was tried again to be gone", Duration::from_secs(20), || {
        let left = world.ctl(Role::Admin, &["notices", "dead-letters"])?;
        Ok(left.as_array().unwrap().iter().all(|l| l["kind"] == "accountChanged").then_some(()))
    })
    .unwrap();
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(mails(&world).len(), 1);
}

#[test]
fn p11_300d_an_attack_on_an_account_is_told_to_the_administrators_at_once() {
    let (world, mail, _) = world("attacked");
    let _server = MailServer::start(&world, free(mail));
    world.ctl(Role::Admin, &["notices", "address", "security@vendor.example"]).unwrap();
    let stranger = api(&world, "admin").anonymous();
    let tries = (0..6).map(|n| {
        let body = json!({ "userId": "clinical", "password": format!("{PASSWORD} {n}") });
        stranger.json("POST", "/api/v1/sessions", &body).unwrap()
    });
    let codes: Vec<String> = tries.map(|answer| code(&answer).to_owned()).collect();
    assert_eq!(codes.last().map(String::as_str), Some("locked"), "{codes:?}");
    wait_for("the mail", Duration::from_secs(20), || {
        let words = "user/clinical is locked";
        Ok(mails(&world).iter().any(|m| m.contains("To: ") && m.contains(words)).then_some(()))
    })
    .unwrap();
}

#[test]
fn mail_is_never_sent_without_tls() {
    let (world, mail, _) = world("plain-mail");
    let mail = free(mail);
    // A server that knows no STARTTLS, as one is after somebody on the line struck it out.
    let plain = Command::new("/usr/bin/aiosmtpd")
        .args(["-n", "-l", &format!("127.0.0.1:{mail}"), "-c", "aiosmtpd.handlers.Mailbox"])
        .arg(mailbox(&world))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("aiosmtpd is there; run `make test-tools`");
    let _plain = MailServer(plain);
    world.ctl(Role::Qa, &["notices", "address", "qa@hospital.example"]).unwrap();
    world.ctl(Role::Admin, &["users", "sign-out", "qa", "--reason", "test"]).unwrap();
    let dead = wait_for("the mail to be given up", Duration::from_secs(30), || {
        let dead = world.ctl(Role::Admin, &["notices", "dead-letters"])?;
        Ok(dead[0]["lastError"].as_str().map(str::to_owned))
    })
    .unwrap();
    assert!(dead.contains("mail server"), "{dead}");
    assert_eq!(mails(&world).len(), 0);
}
