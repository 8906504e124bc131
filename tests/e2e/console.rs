//! The web console: attacks on its cookie and forms, journeys in a real browser, and every page of every role.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use mdfm_tests::{Api, Browser, Checked, Layout, Role, World, device_id, free_port, gateway_id, hospital_id, wait_for};
use serde_json::{Value, json};

use crate::access::{PASSWORD, one_time_code, release_to_approve};
use crate::{fresh_dir, image};

/// More requests a second than anybody makes by hand: a crawl does.
pub(crate) const FAST: &str = "requests_per_second = 10000\n";
/// What a page of the console itself sends with a form.
pub(crate) const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");
/// Text that is a script wherever it is not escaped.
const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";

pub(crate) fn api(world: &World, user: &str) -> Api {
    Api::with_session(world.dir.join("sessions").join(user).as_ref()).unwrap()
}

pub(crate) fn url(world: &World) -> String {
    format!("https://127.0.0.1:{}", world.port)
}

/// The token of the forms of a session, as its pages carry it.
fn form_token(api: &Api) -> String {
    let (status, _, page) = api.console("GET", "/console", &[], &[]).unwrap();
    assert_eq!(status, 200, "{page}");
    let rest = page.split_once("name=\"form_token\" value=\"").expect("a form").1;
    rest.split_once('"').unwrap().0.to_owned()
}

/// Everybody at once, with an hour of monitoring: it runs until somebody stops it.
pub(crate) fn plan() -> Value {
    json!({ "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 50, "monitoringDuration": "PT1H" } ] })
}

/// A deployment that monitors.
pub(crate) fn running(world: &World, dir: &std::path::Path) -> String {
    wait_for("the devices to be known", Duration::from_secs(60), || {
        Ok(world.device_list()?.iter().all(|d| !d["runningSha256"].is_null()).then_some(()))
    })
    .unwrap();
    world.release("FW-2.3.0", "2.3.0", 23, &image(dir, 41, 100_000), 0.5).unwrap();
    world.deploy("FW-2.3.0", &plan()).unwrap()
}

pub(crate) fn status_of(world: &World, deployment: &str) -> String {
    world.deployment(deployment).unwrap()["status"]["name"].as_str().unwrap_or_default().to_owned()
}

fn records(world: &World, arguments: &[&str]) -> Vec<Value> {
    let found = world.ctl(Role::Auditor, &[&["audit", "search", "--limit", "50"], arguments].concat()).unwrap();
    found["records"].as_array().unwrap().clone()
}

#[test]
fn sec_console_what_another_site_sends_changes_nothing() {
    let dir = fresh_dir("console-forged");
    let layout = Layout { hospitals: 1, devices: 1, more_config: FAST.into(), ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let deployment = running(&world, &dir);
    let (operator, stranger) = (api(&world, "operator"), api(&world, "operator").anonymous());
    let pause = format!("/console/deployments/{deployment}/pause");
    let token = form_token(&operator);
    let form = [("form_token", token.as_str()), ("reason", "a test")];

    // Each lacks one thing that a page of the console has.
    let other = form_token(&api(&world, "admin"));
    let foreign = [("form_token", other.as_str()), ("reason", "a test")];
    let host = url(&world);
    for (what, form, headers) in [
        ("another site", &form[..], &[("sec-fetch-site", "cross-site")][..]),
        ("another host of the site", &form, &[("sec-fetch-site", "same-site"), ("origin", host.as_str())]),
        ("nobody says from where", &form, &[]),
        ("an old browser, another origin", &form, &[("origin", "https://evil.example")]),
        ("no token", &form[1..], &[OURS]),
        ("the token of somebody else", &foreign, &[OURS]),
    ] {
        let (status, headers, page) = operator.console("POST", &pause, form, headers).unwrap();
        assert_eq!(status, 403, "{what}: {page}");
        assert!(page.contains("Nothing was changed") && !headers.contains_key("location"), "{what}: {page}");
    }
    assert_ne!(status_of(&world, &deployment), "paused");
    let refused = records(&world, &["--outcome", "refused"]);
    let of = |code: &str| refused.iter().filter(|r| r.to_string().contains(code)).count();
    assert!(of("cross-site") + of("sent by a page of this console") >= 1, "it is in the audit log: {refused:?}");

    // The cookie opens pages alone; what the API takes opens the API alone.
    let cookie = format!("__Host-mdfm={}", operator.token());
    let (status, _) = stranger.send_with("GET", "/api/v1/me", vec![], &[("cookie", &cookie)]).unwrap();
    assert_eq!(status, 401);
    let bearer = format!("Bearer {}", operator.token());
    let (status, headers, _) = stranger.console("GET", "/console", &[], &[("authorization", &bearer)]).unwrap();
    assert_eq!((status, headers["location"].to_str().unwrap()), (303, "/console/sign-in?next=%2Fconsole"));

    // A sign-in leads to this console, wherever the link says.
    let credentials = |next| {
        let code = world.dir.join("sessions/auditor.recovery");
        let mut codes: Vec<String> = std::fs::read_to_string(&code).unwrap().lines().map(str::to_owned).collect();
        let one = codes.pop().unwrap();
        std::fs::write(&code, codes.join("\n")).unwrap();
        [("user_id", "auditor".to_owned()), ("password", PASSWORD.to_owned()), ("code", one), ("next", next)]
    };
    let given = credentials("https://evil.example/console".to_owned());
    let given: Vec<(&str, &str)> = given.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let (status, _, _) =
        stranger.console("POST", "/console/sign-in", &given, &[("sec-fetch-site", "cross-site")]).unwrap();
    assert_eq!(status, 403, "nobody is signed in by another site");
    let (status, headers, page) = stranger.console("POST", "/console/sign-in", &given, &[OURS]).unwrap();
    assert_eq!((status, headers["location"].to_str().unwrap()), (303, "/console"), "{page}");
    let set = headers["set-cookie"].to_str().unwrap();
    for part in ["__Host-mdfm=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Domain"), "{set}");

    // Every page says what it may load, and that nobody keeps it.
    let (_, headers, _) = operator.console("GET", "/console/devices", &[], &[]).unwrap();
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("require-trusted-types-for")
            && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(
        (&headers["cache-control"], &headers["x-frame-options"]),
        (&"no-store".parse().unwrap(), &"DENY".parse().unwrap())
    );

    // A page that refreshes automatically does not keep the session alive; a page that somebody opens does.
    let ends = |headers: &[(&str, &str)]| {
        let (status, _, body) = operator.console("GET", "/console/session", &[], headers).unwrap();
        assert_eq!(status, 200, "{body}");
        let session: Value = serde_json::from_str(&body).unwrap();
        session["idleEndsAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    let opened = ends(&[]);
    std::thread::sleep(Duration::from_secs(2));
    let looked = ends(&[("mdfm-look", "1")]);
    assert!(looked.duration_since(opened).abs() < jiff::SignedDuration::from_millis(500), "{opened} {looked}");
    assert!(ends(&[]).duration_since(opened) > jiff::SignedDuration::from_secs(1), "{opened}");

    // The good form works still, on the same coordinator; and a session that has ended opens nothing.
    let (status, headers, page) = operator.console("POST", &pause, &form, &[OURS]).unwrap();
    assert_eq!((status, headers.get("location").is_some()), (303, true), "{page}");
    assert_eq!(status_of(&world, &deployment), "paused");
    let out = operator.console("POST", "/console/sign-out", &form[..1], &[OURS]).unwrap();
    assert_eq!(out.0, 303, "{}", out.2);
    assert_eq!(operator.console("GET", "/console/devices", &[], &[]).unwrap().0, 303);
    assert_eq!(
        operator.console("POST", &pause, &form, &[OURS]).unwrap().0,
        303,
        "the act is not repeated after signing in"
    );
}

#[test]
fn sec_console_limits_of_the_port_hold_for_pages_too() {
    let dir = fresh_dir("console-limits");
    let config = "requests_per_second = 20\napi_networks = [\"127.0.0.1/32\"]\n";
    let world = World::start(&dir, Layout { hospitals: 0, more_config: config.into(), ..Layout::default() }).unwrap();
    let operator = api(&world, "operator");
    let elsewhere = operator.from_address([127, 0, 0, 9].into()).unwrap();
    let (status, body) = elsewhere.send("GET", "/console/sign-in", vec![]).unwrap();
    assert_eq!(status, 403, "{body}");
    assert!(body.to_string().contains("api_networks"), "{body}");
    let statuses: Vec<u16> =
        (0..200).map(|_| operator.anonymous().console("GET", "/console/sign-in", &[], &[]).unwrap().0).collect();
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    // A stranger sends no large form.
    std::thread::sleep(Duration::from_secs(2));
    let large = "x".repeat(100_000);
    let sent = operator.anonymous().console("POST", "/console/sign-in", &[("user_id", &large)], &[OURS]);
    assert!(sent.is_err() || [403, 413, 400, 429].contains(&sent.as_ref().unwrap().0), "{sent:?}");
    let (_, _, page) = operator.anonymous().console("GET", "/console/sign-in", &[], &[]).unwrap();
    assert!(page.contains("name=\"user_id\""), "it goes on: {page}");
}

/// Signs in with the form, as a person does.
pub(crate) fn sign_in(browser: &Browser, world: &World, user: &str) {
    browser.open(&format!("{}/console/devices", url(world))).unwrap();
    assert!(browser.url().unwrap().contains("/console/sign-in?next="), "{}", browser.url().unwrap());
    // A code opens once: the next one comes within half a minute.
    wait_for("a sign-in", Duration::from_secs(100), || {
        if browser.has("nav[aria-label=Main]") {
            return Ok(Some(()));
        }
        browser.fill("#user_id", user)?;
        browser.fill("#password", PASSWORD)?;
        browser.fill("#code", &one_time_code(world, user, 0))?;
        browser.click("button.primary")?;
        // The page that follows shows one or the other.
        let is_in = wait_for("an answer to the sign-in", Duration::from_secs(20), || {
            let is_in = browser.has("nav[aria-label=Main]");
            Ok((is_in || browser.has("[role=alert]")).then_some(is_in))
        })?;
        if !is_in {
            std::thread::sleep(Duration::from_secs(5));
        }
        Ok(is_in.then_some(()))
    })
    .unwrap();
}

/// Filters by fields that are known without the whole view find what the view shows.
fn filters_know_what_views_show(world: &World) {
    let operator = api(world, "operator");
    let id = device_id(1, 1);
    let shown = operator.send("GET", &format!("/api/v1/devices/{id}"), vec![]).unwrap().1;
    for field in [
        "deviceId",
        "modelNumber",
        "serialNumber",
        "udi",
        "hospitalId",
        "currentFirmwareVersion",
        "hardwareRevision",
        "deploymentId",
    ] {
        let value = shown[field].as_str().map_or("null".to_owned(), str::to_owned);
        let found = |condition: &str| {
            let path = format!("/api/v1/devices?limit=1000&filter={field}{condition}{value}");
            let (status, list) = operator.send("GET", &path, vec![]).unwrap();
            assert_eq!(status, 200, "{path}: {list}");
            list.as_array().unwrap().iter().any(|d| d["deviceId"] == id.as_str())
        };
        assert!(found("=") && !found("!="), "{field} {value}");
    }
}

#[test]
fn console_an_operator_pauses_with_and_without_scripts() {
    let dir = fresh_dir("console-operator");
    let layout = Layout { hospitals: 2, devices: 1, more_config: FAST.into(), ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let hospital = json!({ "hospitalId": "HOSP-X", "name": HOSTILE, "cohort": "general" });
    assert_eq!(api(&world, "operator").json("POST", "/api/v1/hospitals", &hospital).unwrap().0, 201);
    let deployment = running(&world, &dir);
    filters_know_what_views_show(&world);
    let browser = Browser::start(&dir).unwrap();

    sign_in(&browser, &world, "operator");
    assert_eq!(browser.text("h1").unwrap(), "Devices");
    let _ = browser.complaints().unwrap();
    browser.click("details.more > summary").unwrap();
    browser.fill("#filter", &format!("hospitalId={}", hospital_id(2))).unwrap();
    browser.click("details.more form.filter button").unwrap();
    wait_for("the list of one hospital", Duration::from_secs(20), || {
        let listed = browser.text("table")?;
        Ok((listed.contains(&device_id(2, 1)) && !listed.contains(&device_id(1, 1))).then_some(()))
    })
    .unwrap();
    if !browser.has("details.more[open]") {
        browser.click("details.more > summary").unwrap();
    }
    browser.fill("#filter", "no filter").unwrap();
    browser.click("details.more form.filter button").unwrap();
    wait_for("the page to stay and say what is wrong", Duration::from_secs(20), || {
        Ok((browser.has("[role=alert]") && browser.has("#filter")).then_some(()))
    })
    .unwrap();

    // The page of a running deployment follows it.
    browser.open(&format!("{}/console/deployments/{deployment}", url(&world))).unwrap();
    wait_for("the page to follow", Duration::from_secs(30), || {
        Ok(browser.text(".live")?.contains("Live.").then_some(()))
    })
    .unwrap();
    wait_for("the confirmed devices to appear without a reload", Duration::from_secs(60), || {
        Ok(browser.text("main")?.contains("2 confirmed").then_some(()))
    })
    .unwrap();
    browser.fill("form[action$='/pause'] [name=reason]", HOSTILE).unwrap();
    browser.click("form[action$='/pause'] button").unwrap();
    wait_for("the pause", Duration::from_secs(20), || {
        let is_shown = browser.text("main")?.contains("Paused.");
        Ok((is_shown && status_of(&world, &deployment) == "paused").then_some(()))
    })
    .unwrap();
    assert_ne!(browser.script("return document.title").unwrap(), "owned");

    // The same without scripts.
    browser.scripts(false).unwrap();
    browser.open(&format!("{}/console/deployments/{deployment}/resume", url(&world))).unwrap();
    browser.fill("main form [name=reason]", "it was a test").unwrap();
    browser.click("main form button").unwrap();
    wait_for("the deployment to go on", Duration::from_secs(20), || {
        Ok((status_of(&world, &deployment) != "paused").then_some(()))
    })
    .unwrap();
    browser.open(&format!("{}/console/hospitals/HOSP-X", url(&world))).unwrap();
    let complaints = browser.complaints().unwrap();
    let ours: Vec<&String> = complaints.iter().filter(|line| !line.contains("favicon")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

/// Links of the console on a page.
fn links(page: &str) -> Vec<String> {
    let hrefs = page.split("href=\"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(href, _)| href);
    let ours = hrefs.filter(|href| href.starts_with("/console") || href.starts_with('?'));
    ours.map(|href| href.split('#').next().unwrap_or_default().replace("&#x2f;", "/").replace("&amp;", "&")).collect()
}

/// Opens every page that somebody reaches by links; returns address and text of each. Every one must open, or ask for the second factor.
fn crawl(user: &Api, name: &str) -> Vec<(String, String)> {
    let mut waiting = VecDeque::from([("/console".to_owned(), "the beginning".to_owned())]);
    let mut known = BTreeSet::from(["/console".to_owned()]);
    let (mut pages, mut faults) = (Vec::new(), Vec::new());
    while let Some((path, from)) = waiting.pop_front() {
        let (status, headers, text) = user.console("GET", &path, &[], &[]).unwrap();
        let asks = status == 403 && text.contains("name=\"step_up_code\"");
        if ![200, 303].contains(&status) && !asks {
            let said = text.split_once("<main").map_or(text.as_str(), |(_, main)| main);
            let said: String = said.chars().take(300).collect();
            faults.push(format!("{name}: {path} (on {from}): {status}: {}", said.replace('\n', " ")));
            continue;
        }
        let is_page = headers.get("content-type").is_some_and(|kind| kind.to_str().unwrap().starts_with("text/html"));
        if is_page && status != 303 {
            if !text.contains("<h1") || text.contains("style=\"") {
                faults.push(format!("{name}: {path}: no heading, or a style that the policy forbids"));
            }
            if text.contains("<img src=x") {
                faults.push(format!("{name}: {path}: hostile text is not escaped"));
            }
            for link in links(&text) {
                let link = if link.starts_with('?') {
                    format!("{}{link}", path.split('?').next().unwrap_or_default())
                } else {
                    link
                };
                if known.len() < 500 && !link.contains("/assets/") && known.insert(link.clone()) {
                    waiting.push_back((link, path.clone()));
                }
            }
        }
        pages.push((path, text));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    pages
}

#[test]
fn console_every_page_of_every_role_opens() {
    let dir = fresh_dir("console-crawl");
    let layout = Layout { hospitals: 2, devices: 1, more_config: FAST.into(), ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    world.add_staff("nurse", &hospital_id(1)).unwrap();
    let operator = api(&world, "operator");
    let hospital = json!({ "hospitalId": "HOSP-X", "name": HOSTILE, "cohort": "general" });
    assert_eq!(operator.json("POST", "/api/v1/hospitals", &hospital).unwrap().0, 201);
    let device =
        json!({ "deviceId": "DEV-X", "modelNumber": HOSTILE, "serialNumber": HOSTILE, "hospitalId": "HOSP-X" });
    let _ = operator.json("POST", "/api/v1/devices", &device).unwrap();
    let incident =
        json!({ "title": HOSTILE, "deviceIds": [device_id(1, 1)], "outcome": "noHarm", "description": HOSTILE });
    let (status, answer) = operator.json("POST", "/api/v1/incidents", &incident).unwrap();
    assert!(status < 300, "{answer}");
    let deployment = running(&world, &dir);
    wait_for("the devices to take the release", Duration::from_secs(60), || {
        let view = world.deployment(&deployment)?;
        Ok(view["devices"].as_array().is_some_and(|d| d.iter().all(|d| d["state"] == "confirmed")).then_some(()))
    })
    .unwrap();
    for user in ["admin", "operator", "auditor", "clinical", "qa", "regulatory"] {
        let pages = crawl(&api(&world, user), user);
        assert!(pages.len() >= 20, "{user}: {} pages", pages.len());
    }
    // Hospital staff find nothing of another hospital, however they go.
    let foreign = [hospital_id(2), device_id(2, 1), gateway_id(2), "HOSP-X".to_owned(), "DEV-X".to_owned()];
    let pages = crawl(&api(&world, "nurse"), "nurse");
    assert!(pages.iter().any(|(_, text)| text.contains(&device_id(1, 1))), "their own devices are there");
    // The help is the same for everybody; its examples are of nobody.
    for (path, text) in pages.into_iter().filter(|(path, _)| !path.starts_with("/console/help")) {
        for id in &foreign {
            assert!(!text.contains(id.as_str()), "nurse: {path} names {id}");
        }
    }
    for id in &foreign[..2] {
        for section in ["devices", "hospitals", "gateways", "search?q="] {
            let path = if section.ends_with('=') {
                format!("/console/{section}{id}")
            } else {
                format!("/console/{section}/{id}")
            };
            let (status, _, text) = api(&world, "nurse").console("GET", &path, &[], &[]).unwrap();
            let shows = text.contains(&format!("/console/devices/{}\"", device_id(2, 1)));
            assert!(status != 200 || !shows && section.ends_with('='), "{path}: {status}");
        }
    }
}

/// Name and value of each hidden field of a form, which begins at the words `from`.
pub(crate) fn hidden(page: &str, from: &str) -> Vec<(String, String)> {
    let form = page.split_once(from).unwrap_or_else(|| panic!("{from}: {page}")).1;
    let form = form.split_once("</form>").unwrap().0;
    let plain = |text: &str| {
        let known = [("&#x2f;", "/"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&#x27;", "'"), ("&amp;", "&")];
        known.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    let fields = form.split("<input type=\"hidden\" name=\"").skip(1).map(|field| {
        let (name, rest) = field.split_once("\" value=\"").unwrap();
        (name.to_owned(), plain(rest.split_once('"').unwrap().0))
    });
    fields.collect()
}

/// The ceremony of an approval with the key that the coordinator keeps: nothing is filled in, a wrong code signs nothing and keeps what was typed, what
/// changed meanwhile is said, and the receipt carries printed name, time and meaning (21 CFR 11.50).
#[test]
fn p11_200a1_a_release_is_signed_in_the_browser() {
    let dir = fresh_dir("console-ceremony");
    let world =
        World::start(&dir, Layout { hospitals: 1, devices: 1, more_config: FAST.into(), ..Layout::default() }).unwrap();
    let (password, factor) = (dir.join("password").display().to_string(), world.factor("qa"));
    let both = ["--password-file", &password, "--factor-file", &factor];
    let made = world.ctl(Role::Qa, &[&["signing-key", "create"], &both[..]].concat()).unwrap();
    release_to_approve(&world, made["publicKey"].as_str().unwrap());
    let qa = api(&world, "qa");
    let page = "/console/releases/FW-22/sign";

    // Somebody else signs after the form was opened: nothing is signed, and the page says what changed.
    let (status, _, form) = qa.console("GET", page, &[], &[]).unwrap();
    assert_eq!(status, 200, "{form}");
    world.approve("FW-22", Role::Clinical).unwrap();
    let shown = hidden(&form, "id=\"sign\"");
    // A code opens once, so the next one may have to be waited for.
    let (status, answer, code) = wait_for("a code that was not used", Duration::from_secs(100), || {
        let code = one_time_code(&world, "qa", 0);
        let typed = [("role", "QA"), ("reason", "protocol 7 passed"), ("password", PASSWORD), ("code", code.as_str())];
        let sent: Vec<(&str, &str)> =
            shown.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(typed).collect();
        let (status, _, answer) = qa.console("POST", page, &sent, &[OURS])?;
        if answer.contains("code-used") {
            std::thread::sleep(Duration::from_secs(8));
            return Ok(None);
        }
        Ok(Some((status, answer, code)))
    })
    .unwrap();
    let said = answer.split_once("<main").map_or("", |(_, main)| main);
    assert_eq!(status, 412, "{said}");
    assert!(
        answer.contains("What changed since you opened the form") && answer.contains("protocol 7 passed"),
        "{answer}"
    );
    assert!(!answer.contains(PASSWORD) && !answer.contains(&code), "no secret comes back");

    let browser = Browser::start(&dir).unwrap();
    browser.sign_in_as(&url(&world), qa.token()).unwrap();
    browser.open(&format!("{}{page}", url(&world))).unwrap();
    assert!(!browser.has("[name=role]:checked"), "no role is chosen for the signer");
    assert_eq!(browser.script("return document.querySelector('#f-reason').value").unwrap(), "");
    browser.click("[name=role][value=QA]").unwrap();
    browser.fill("#f-reason", "protocol 7 passed").unwrap();
    browser.fill("#f-password", PASSWORD).unwrap();
    browser.fill("#f-code", "000000").unwrap();
    browser.click("#sign button.primary").unwrap();
    wait_for("the refusal of the code", Duration::from_secs(20), || {
        Ok((browser.has("#problem") && browser.text("#problem")?.contains("code")).then_some(()))
    })
    .unwrap();
    let kept = "return [document.querySelector('#f-reason').value, document.querySelector('#f-password').value]";
    assert_eq!(
        browser.script(kept).unwrap(),
        json!(["protocol 7 passed", ""]),
        "the reason stays, the password does not"
    );
    wait_for("the signature", Duration::from_secs(100), || {
        if !browser.has("[name=role]:checked") {
            browser.click("[name=role][value=QA]")?;
        }
        browser.fill("#f-password", PASSWORD)?;
        browser.fill("#f-code", &one_time_code(&world, "qa", 0))?;
        browser.click("#sign button.primary")?;
        std::thread::sleep(Duration::from_secs(1));
        let is_signed = browser.url()?.contains("/receipt");
        if !is_signed {
            std::thread::sleep(Duration::from_secs(7));
        }
        Ok(is_signed.then_some(()))
    })
    .unwrap();
    let receipt = browser.text("main").unwrap();
    for part in ["QA signatory", "I approve FW-22", "as QA", "protocol 7 passed", "UTC"] {
        assert!(receipt.contains(part), "{part}: {receipt}");
    }
    let shown = world.ctl(Role::Auditor, &["firmware", "show", "FW-22"]).unwrap();
    let by_qa = shown["approvals"].as_array().unwrap().iter().filter(|a| a["role"] == "QA").count();
    assert_eq!(by_qa, 1, "{shown}");
    let complaints = browser.complaints().unwrap();
    // A refused form is an answer with an error's status, which the browser notes.
    let ours: Vec<&String> = complaints.iter().filter(|line| !line.contains("Failed to load resource")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

/// The shape of an address: one page of a kind is enough.
fn shape(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let part = |part: &str| {
        let is_id = part.chars().any(|c| c.is_ascii_digit()) || part.contains("HOSP") || part.contains("DEV");
        if is_id { "{id}".to_owned() } else { part.to_owned() }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// What axe finds on the page that is open: rules of WCAG 2.0 to 2.2, levels A and AA, and best practices.
fn accessibility(browser: &Browser, axe: &str) -> Vec<String> {
    browser.script(axe).unwrap();
    let run = "return axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })\
        .then((found) => found.violations.map((v) => v.id + ': ' + v.help + ': ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200)).join(' | ')))";
    let found = browser.script(run).unwrap();
    found.as_array().unwrap().iter().map(|v| v.as_str().unwrap_or_default().to_owned()).collect()
}

/// Fetched by `packaging/scripts/tools test`.
fn axe() -> String {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/axe/axe.min.js");
    std::fs::read_to_string(&file)
        .unwrap_or_else(|e| panic!("{}: {e}; run `packaging/scripts/tools test`", file.display()))
}

#[test]
fn console_pages_have_no_accessibility_faults() {
    let dir = fresh_dir("console-axe");
    let layout = Layout { hospitals: 2, devices: 1, more_config: FAST.into(), ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    world.add_staff("nurse", &hospital_id(1)).unwrap();
    let incident = json!({ "title": "display", "deviceIds": [device_id(1, 1)], "outcome": "noHarm", "description": "it stays dark" });
    let (status, answer) = api(&world, "operator").json("POST", "/api/v1/incidents", &incident).unwrap();
    assert!(status < 300, "{answer}");
    running(&world, &dir);
    let (browser, axe) = (Browser::start(&dir).unwrap(), axe());
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for user in ["operator", "admin", "clinical", "nurse"] {
        let user_api = api(&world, user);
        browser.sign_in_as(&url(&world), user_api.token()).unwrap();
        for (path, text) in crawl(&user_api, user) {
            let is_new = text.contains("<h1") && seen.insert((shape(&path), user == "nurse"));
            if !is_new {
                continue;
            }
            for (width, theme) in [(1280, "light"), (320, "dark")] {
                browser.resize(width, theme).unwrap();
                browser.open(&format!("{}{path}", url(&world))).unwrap();
                let found =
                    accessibility(&browser, &axe).into_iter().map(|f| format!("{user} {path} {width} {theme}: {f}"));
                faults.extend(found);
                let wide = browser.script("return document.documentElement.scrollWidth - window.innerWidth").unwrap();
                if wide.as_i64().unwrap_or(0) > 1 {
                    faults.push(format!("{user} {path} {width}: {wide} pixels wider than the window"));
                }
            }
            // What axe itself is refused by the policy of the page is not the page's.
            let complaints = browser.complaints().unwrap();
            faults.extend(complaints.into_iter().filter(|c| !c.contains("axe")).map(|c| format!("{user} {path}: {c}")));
        }
    }
    assert!(seen.len() >= 15, "{seen:?}");
    assert!(faults.is_empty(), "{} faults on {} pages:\n{}", faults.len(), seen.len(), faults.join("\n"));
}

#[test]
fn console_browsers_have_a_port_of_their_own() {
    let dir = fresh_dir("console-port");
    let port = free_port().unwrap();
    let write = |dir: &std::path::Path, name: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("console.pem"), made.cert.pem()).unwrap();
        mdfm_tests::write_private(&dir.join("console.key"), &made.signing_key.serialize_pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), made.cert.pem()).unwrap();
    };
    let files = (dir.join("console.pem").display().to_string(), dir.join("console.key").display().to_string());
    let more_config = format!(
        "[console]\nlisten = \"127.0.0.1:{port}\"\ncertificate_file = \"{}\"\nkey_file = \"{}\"\n",
        files.0, files.1
    );
    let layout = Layout { hospitals: 0, more_config, ..Layout::default() };
    let world = World::start_with(&dir, layout, |dir| write(dir, "first")).unwrap();

    let browser = Browser::start(&dir).unwrap();
    browser.open(&format!("https://localhost:{port}/console")).unwrap();
    assert_eq!(browser.text("h1").unwrap(), "Sign in");
    // The same connection limits, rights and pages as on the one port; MQTT is not spoken there, and no certificate is asked for.
    let shown = |name: &str| {
        let ca = dir.join(format!("{name}.pem")).display().to_string();
        let output = std::process::Command::new("curl")
            .args(["-sv", "--cacert", &ca, &format!("https://localhost:{port}/console/sign-in")])
            .checked_output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (is_good, said) = shown("first");
    assert!(is_good && !said.contains("Request CERT"), "{said}");
    let (_, said) = {
        let ca = world.data().join("ca.pem").display().to_string();
        let address = format!("https://127.0.0.1:{}/console/sign-in", world.port);
        let output =
            std::process::Command::new("curl").args(["-sv", "--cacert", &ca, &address]).checked_output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(said.contains("Request CERT"), "the one port asks for it: {said}");

    // A renewed certificate is taken up without a restart.
    write(&dir, "second");
    let coordinator = world.process_ids()[0];
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(coordinator).unwrap()),
        nix::sys::signal::Signal::SIGHUP,
    )
    .unwrap();
    wait_for("the new certificate", Duration::from_secs(20), || Ok(shown("second").0.then_some(()))).unwrap();
    assert!(!shown("first").0);
}
